"""Kill nodes that run the members of batches at random, and look whether each callback came once.

    make batches KILLS=200 MEMBERS=10000

Members fail, for good or once, add others, are deleted and are retried by hand meanwhile. Exits
with 1 when a callback was stored twice or never, when counters are not what the members say, or
when the store is not whole.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, NamedTuple

from killed_nodes import Nodes

from antq_actors import AntQ, Fail, Job, JobNotFound, NotRetryable, Worker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from antq_actors import Batch

SECONDS_BETWEEN_KILLS = 0.3
"""On average."""
LONGEST_SECONDS = 600
EVENTS = ("on_success", "on_complete", "on_failure")


class Member(Worker, name="killed_batches:Member", max_attempts=2):
    """Fails for good at 3, fails once at 4, and adds another one at 5, by its last digit."""

    def perform(self, job: Job) -> Fail | None:
        digit = job.args["number"] % 10
        if digit == 5:
            job.batch.enqueue(Member, {"number": 0})
        time.sleep(0.001)
        return Fail("no") if digit == 3 or (digit == 4 and job.attempts == 1) else None

    def calculate_delay(self, job: Job) -> float:
        return 0.0


class Told(Worker, name="killed_batches:Told"):
    """A callback: that it is stored is what counts."""

    def perform(self, job: Job) -> None:
        pass


class Outcome(NamedTuple):
    """What came of a run."""

    batches: int
    members: int
    kills: int
    seconds: float
    findings: list[str]


def run(path: Path, *, members: int, kills: int, nodes: int = 2, seed: int = 7) -> Outcome:
    """Run batches of so many members until there were enough *kills*; look at each.

    Raises RuntimeError for a node that ends by itself.
    """
    chance, began = random.Random(seed), time.monotonic()
    findings: list[str] = []
    batches = total = 0
    with AntQ(path, start_queues=False) as app, ExitStack() as at_end:
        alive = Nodes(at_end, path, module="killed_batches", many=nodes, chance=chance)
        while alive.kills < kills:
            batches += 1
            batch = _batch(app, str(batches), members)
            deleted = 0
            while batch.status().open:
                if time.monotonic() > began + LONGEST_SECONDS + members * batches:
                    findings.append(f"batch {batch.id} does not end: {batch.status()}")
                    return Outcome(batches, total, alive.kills, time.monotonic() - began, findings)
                time.sleep(chance.expovariate(1 / SECONDS_BETWEEN_KILLS))
                if alive.kills < kills:
                    alive.kill_one()
                deleted += _disturb(app, chance, batch.id, members)
            total += batch.status().total
            findings += find_wrong(app, batch, deleted)
        findings += app.verify()
        alive.kill_all()
    return Outcome(batches, total, alive.kills, time.monotonic() - began, findings)


def _batch(app: AntQ, name: str, members: int) -> Batch:
    callbacks = {event: Told.build({"event": event, "batch": name}) for event in EVENTS}
    with app.batch(name, **callbacks) as batch:
        batch.enqueue_many(Member, ({"number": number} for number in range(members)))
    return batch


def _disturb(app: AntQ, chance: random.Random, first: int, members: int) -> int:
    """Delete one member of a batch, and retry another one by hand; return how many were deleted."""
    with suppress(JobNotFound, NotRetryable):
        app.retry_job(first + chance.randint(1, members))
    with suppress(JobNotFound):
        app.delete_job(first + chance.randint(1, members))
        return 1
    return 0


def find_wrong(app: AntQ, batch: Batch, deleted: int) -> Iterator[str]:
    """Yield what is wrong with a batch that has ended, one sentence each."""
    status, members = batch.status(), batch.jobs()
    told = Counter(
        job.args["event"]
        for job in app.list_jobs(worker=Told, args={"batch": batch.name}, after=batch.id)
    )
    if told != (expected := Counter({"on_complete": 1, "on_failure": 1})):
        yield f"batch {batch.id} has the callbacks {dict(told)}, not {dict(expected)}"
    if status.total != len(members) + deleted:
        yield f"batch {batch.id} counts {status.total}: {len(members)}, and {deleted} deleted"
    left = Counter(str(job.status) for job in members)
    for name in ("completed", "failed", "cancelled"):
        counted = getattr(status, name)
        if not left[name] <= counted <= left[name] + deleted:
            yield f"batch {batch.id} counts {counted} {name}, and {left[name]} members are"
    if sum(left.values()) != left["completed"] + left["failed"] + left["cancelled"]:
        yield f"batch {batch.id} has ended, and its members are {dict(left)}"
