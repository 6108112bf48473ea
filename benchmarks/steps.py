"""What a step costs: of one job alone, against a commit, and of fifty jobs beside each other.

A step is on disk before the next line runs, so the least that a lone one takes is one durable
commit. Jobs that run at the same time share commits.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, ClassVar, Final

import limits
from measure import TIMEOUT_SECONDS, Measure, application, main, ratio

from antq_actors import AntQ, Job, Worker

if TYPE_CHECKING:
    from collections.abc import Iterator

SLOTS: Final = 50


class Stepped(Worker):
    """Takes so many steps of next to nothing, when all jobs of a round have begun."""

    all_began: ClassVar[threading.Barrier]
    took: ClassVar[list[float]] = []
    """The seconds from the first step of each job to its last."""

    def perform(self, job: Job) -> None:
        """Take the steps, without their names in between."""
        names = [f"page {number}" for number in range(job.args["steps"])]
        Stepped.all_began.wait(TIMEOUT_SECONDS)
        began = time.perf_counter()
        for number, name in enumerate(names):
            job.step(name, int, number)
        Stepped.took.append(time.perf_counter() - began)


def bench(*, short: bool) -> Iterator[Measure]:
    """Take commits of raw LMDB, a lone job and fifty in turn, each round on a new store."""
    alone, beside, rounds = (20, 5, 1) if short else (1_000, 400, 5)
    took, commits, rates = [], [], []
    for _ in range(rounds):
        with application(durable=True, queues={"default": SLOTS}) as app:
            commits.append(1e3 / limits.commits(alone))
            took.append(1e3 * _seconds(app, 1, alone) / alone)
            rates.append(SLOTS * beside / _seconds(app, SLOTS, beside))
    yield Measure("a lone step, mean", "ms", took)
    yield Measure("  one durable commit of raw LMDB, mean", "ms", commits)
    yield ratio("  a lone step against one durable commit", took, commits, "<= 1.3")
    yield Measure(f"steps at {SLOTS} slots", "steps/s", rates, ">= 4,000")


def _seconds(app: AntQ, jobs: int, steps: int) -> float:
    """Return the seconds in which so many *jobs* took so many *steps* each, beside each other."""
    Stepped.all_began = threading.Barrier(jobs)
    Stepped.took.clear()
    ids = app.enqueue_many(Stepped, [{"steps": steps}] * jobs)
    _, not_done = app.wait(ids, timeout=TIMEOUT_SECONDS)
    if not_done or len(Stepped.took) != jobs:
        raise RuntimeError(f"{len(Stepped.took)} of {jobs} jobs have taken their steps")
    return max(Stepped.took)


if __name__ == "__main__":
    main(__doc__, bench)
