"""Kill nodes that fire periodic entries at random, and look whether each instant has one job.

    make instants INSTANTS=10000

Eight nodes, whose clock goes sixty times as fast as that of the system. Exits with 1 when an
instant has no job or two, when an entry counts one as missed, or when the store is not whole.
"""

from __future__ import annotations

import random
import time
from collections import Counter, defaultdict
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

from crash_workers import Nothing
from killed_nodes import FasterClock, Nodes

from antq_actors import AntQ, Every

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FASTER = 60
NAMES = ("one", "two", "three")
SECONDS_BETWEEN_KILLS = 0.2
"""On average."""


class Outcome(NamedTuple):
    """What came of a run."""

    instants: int
    jobs: int
    kills: int
    seconds: float
    findings: list[str]


def run(path: Path, *, nodes: int, instants: int, kills: int = 0, seed: int = 7) -> Outcome:
    """Kill some of the *nodes* until there were enough *kills* and *instants*; look at the jobs.

    Raises RuntimeError for a node that ends by itself.
    """
    chance, began = random.Random(seed), time.monotonic()
    entry = Every(1, worker=Nothing, missed="all", max_missed=1_000_000, overlap="allow")
    with AntQ(path, start_queues=False) as app:
        for name in NAMES:
            app.cron(name).set(entry)
        with ExitStack() as at_end:
            alive = Nodes(
                at_end,
                path,
                module="crash_workers",
                many=nodes,
                chance=chance,
                slots=2,
                before=FasterClock(FASTER),
            )
            while alive.kills < kills or app.count_jobs() < instants:
                time.sleep(chance.expovariate(1 / SECONDS_BETWEEN_KILLS))
                alive.kill_one()
            alive.kill_all()
        findings = [*find_wrong(app), *app.verify()]
        jobs = app.count_jobs()
        planned = len({(job.cron, job.scheduled_for) for job in app.list_jobs()})
    return Outcome(planned, jobs, alive.kills + nodes, time.monotonic() - began, findings)


def find_wrong(app: AntQ) -> Iterator[str]:
    """Yield what is wrong with the instants of each entry, one sentence each."""
    planned: dict[str | None, Counter[int]] = defaultdict(Counter)
    for job in app.list_jobs():
        if job.scheduled_for is None:
            yield f"job {job.id} has no instant"
        else:
            planned[job.cron][int(job.scheduled_for.timestamp())] += 1
    for info in app.crons():
        times = planned.pop(info.name, Counter())
        if not times or info.last_at is None:
            yield f"{info.name} has no jobs"
            continue
        for at in range(min(times), int(info.last_at.timestamp()) + 1):
            if (number := times.pop(at, 0)) != 1:
                yield f"{info.name} has {number} jobs for {at}"
        yield from (f"{info.name} has a job for {at}, which is no instant" for at in times)
        if info.missed or info.skipped:
            yield f"{info.name} counts {info.missed} missed and {info.skipped} skipped"
    yield from (f"there are jobs of {name}, which is no entry" for name in planned)
