"""Kill nodes that run random graphs of jobs, and look whether each job ends as a model says.

    make graphs KILLS=1000 GRAPHS=200 SIZE=10000

The first ten are of that size. Three of ten jobs fail. Each that completes asks for a follow-up.
Exits with 1 when a job has ended otherwise than by the model, when a follow-up was stored twice,
never, or for a job that did not complete, or when the store is not whole.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final, NamedTuple

from killed_nodes import Nodes

from antq_actors import AntQ, Fail, Job, Status, Worker
from antq_actors.storage.jobs.graph import GraphNode
from antq_actors.storage.jobs.group_verbs import NewGroup
from antq_actors.storage.jobs.groups import WORKFLOW
from antq_actors.workflows.edges import Condition

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from antq_actors.storage.jobs.job_store import JobStore

SECONDS_BETWEEN_KILLS = 1.0
"""On average."""
LONGEST_SECONDS = 600
FEWEST_NODES = 50
MOST_FAR: Final = 30
"""How far before a job those are that it waits for, at most; some wait for the first one."""


class GraphJob(Worker, name="killed_graphs:GraphJob", max_attempts=2):
    """Fails for good where it is to, and once where its number can be divided by seven."""

    def perform(self, job: Job) -> Fail | None:
        job.follow_up(FollowUpJob, {"graph": job.args["graph"], "number": job.args["number"]})
        is_first = job.attempts == 1 and job.args["number"] % 7 == 0
        return Fail("no") if job.args["fails"] or is_first else None

    def calculate_delay(self, job: Job) -> float:
        return 0.0


class FollowUpJob(Worker, name="killed_graphs:FollowUpJob"):
    """That it is stored is what counts."""

    def perform(self, job: Job) -> None:
        pass


class Planned(NamedTuple):
    """A job of a graph."""

    after: dict[int, Condition]
    fails: bool


class Outcome(NamedTuple):
    """What came of a run."""

    graphs: int
    jobs: int
    kills: int
    seconds: float
    findings: list[str]


def a_graph(chance: random.Random, size: int) -> list[Planned]:
    """Return a random graph, in which jobs wait for earlier ones."""
    conditions = [Condition.SUCCESS] * 7 + [Condition.END] * 2 + [Condition.FAILURE]
    planned = []
    for number in range(size):
        first = max(0, number - MOST_FAR)
        many = chance.randint(0, min(3, number))
        ups = {
            0 if number and chance.random() < 0.1 else chance.randint(first, number - 1)
            for _ in range(many)
        }
        after = {up: chance.choice(conditions) for up in ups}
        planned.append(Planned(after, chance.random() < 0.3))
    return planned


def ends_of(graph: list[Planned]) -> list[Status]:
    """Return how each job of a graph ends, by the rules and by nothing else."""
    ends: list[Status] = []
    for planned in graph:
        completed = {up: ends[up] is Status.COMPLETED for up in planned.after}
        is_cut = any(
            on is Condition.SUCCESS and not completed[up] for up, on in planned.after.items()
        )
        failures = [up for up, on in planned.after.items() if on is Condition.FAILURE]
        is_unneeded = bool(failures) and all(completed[up] for up in failures)
        if is_cut or is_unneeded:
            ends.append(Status.CANCELLED)
        else:
            ends.append(Status.FAILED if planned.fails else Status.COMPLETED)
    return ends


def run(
    path: Path,
    *,
    size: int,
    kills: int,
    graphs: int = 0,
    largest: int = 0,
    nodes: int = 2,
    seed: int = 7,
) -> Outcome:
    """Run random graphs of up to *size* jobs until there were enough of them and enough *kills*.

    The first ones are as large as can be, *largest* of them.

    Raises RuntimeError for a node that ends by itself.
    """
    chance, began = random.Random(seed), time.monotonic()
    findings: list[str] = []
    count = total = 0
    with AntQ(path, start_queues=False) as app, ExitStack() as at_end:
        alive = Nodes(at_end, path, module="killed_graphs", many=nodes, chance=chance)
        while alive.kills < kills or count < graphs:
            count += 1
            fewest = size if count <= largest else min(FEWEST_NODES, size)
            graph = a_graph(chance, chance.randint(fewest, size))
            total += len(graph)
            ids, until = _store(app, count, graph), time.monotonic() + LONGEST_SECONDS
            while not app.wait_idle(timeout=chance.expovariate(1 / SECONDS_BETWEEN_KILLS)):
                if time.monotonic() > until:
                    findings.append(f"graph {count} does not end")
                    return Outcome(count, total, alive.kills, time.monotonic() - began, findings)
                alive.kill_one()
            findings += find_wrong(app, count, graph, ids)
        findings += app.verify()
        alive.kill_all()
    return Outcome(count, total, alive.kills, time.monotonic() - began, findings)


def _store(app: AntQ, number: int, graph: list[Planned]) -> list[int]:
    """Store a graph in one transaction; return the ids of its jobs."""
    jobs = [
        GraphNode(
            app.antq_prepare(GraphJob, {"graph": number, "number": at, "fails": planned.fails}, {}),
            tuple((~up, condition) for up, condition in planned.after.items()),
        )
        for at, planned in enumerate(graph)
    ]

    def verb(store: JobStore) -> list[int]:
        group = store.create_group(NewGroup(WORKFLOW, str(number), 0))
        return store.insert_graph(group, jobs, now=time.time_ns() // 1_000)

    ids: list[int] = app._runtime().store.write(verb)
    return ids


def find_wrong(app: AntQ, number: int, graph: list[Planned], ids: list[int]) -> Iterator[str]:
    """Yield what is wrong with a graph that has ended, one sentence each."""
    expected = dict(zip(ids, ends_of(graph), strict=True))
    its = {"args": {"graph": number}, "after": min(ids) - 1}  # not all of the graphs before
    found = {job.id: job.status for job in app.list_jobs(worker=GraphJob, **its)}
    for id_, status in expected.items():
        if found.get(id_) is not status:
            yield f"job {id_} of graph {number} is {found.get(id_)}, and should be {status}"
    followed = Counter(ids[job.args["number"]] for job in app.list_jobs(worker=FollowUpJob, **its))
    completed = Counter(id_ for id_, status in expected.items() if status is Status.COMPLETED)
    for id_ in sorted((followed - completed) + (completed - followed)):
        yield f"job {id_} of graph {number} has {followed[id_]} follow-ups, not {completed[id_]}"
