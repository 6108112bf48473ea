"""Jobs a second that come in, one by one and many at once, beside what LMDB alone can do.

The application has no queues: a web process that only enqueues.
"""

from __future__ import annotations

import functools
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

import limits
from measure import Measure, application, interleaved, main, rate, ratio

from antq_actors import Job, Worker

if TYPE_CHECKING:
    from collections.abc import Iterator

ARGS: Final = {"email": "jane.williams@example.com", "line": 4711}
THREADS: Final = 8

ONE: Final = "perform_async, durable, 1 thread"
ONE_THREADED: Final = f"perform_async, durable, {THREADS} threads"
ONE_VOLATILE: Final = "perform_async, volatile, 1 thread"
VOLATILE_THREADED: Final = f"perform_async, volatile, {THREADS} threads"
MANY: Final = "enqueue_many, durable"
MANY_VOLATILE: Final = "enqueue_many, volatile"
RAW_ONE: Final = "raw LMDB, durable, 1 put a commit"
RAW_ONE_VOLATILE: Final = "raw LMDB, volatile, 1 put a commit"
RAW_MANY: Final = f"raw LMDB, durable, {limits.BATCH:,} puts a commit"
GOALS: Final = {ONE_VOLATILE: ">= 30,000", MANY: ">= 150,000"}


class SendPromotion(Worker):
    """Is stored, and never performed."""

    def perform(self, job: Job) -> None:
        """Do nothing."""


def bench(*, short: bool) -> Iterator[Measure]:
    """All ways in turn, each round on a new store."""
    one, many, rounds = (20, 2_000, 1) if short else (4_000, 50_000, 5)
    values = interleaved(
        rounds,
        {
            ONE: functools.partial(one_by_one, one, durable=True),
            RAW_ONE: functools.partial(limits.commits, one),
            ONE_THREADED: functools.partial(one_by_one, one, durable=True, threads=THREADS),
            ONE_VOLATILE: functools.partial(one_by_one, one, durable=False),
            RAW_ONE_VOLATILE: functools.partial(limits.commits, one, durable=False),
            VOLATILE_THREADED: functools.partial(one_by_one, one, durable=False, threads=THREADS),
            MANY: functools.partial(many_at_once, many, durable=True),
            RAW_MANY: functools.partial(limits.puts_a_commit, many),
            MANY_VOLATILE: functools.partial(many_at_once, many, durable=False),
        },
    )
    for name, rounded in values.items():
        unit = "puts/s" if name.startswith("raw") else "jobs/s"
        yield Measure(name, unit, rounded, GOALS.get(name, ""))
    raw = values[RAW_ONE]
    yield ratio("  perform_async, 1 thread, against raw LMDB", values[ONE], raw, ">= 0.9")
    threaded = values[ONE_THREADED]
    yield ratio(f"  perform_async, {THREADS} threads, against raw LMDB", threaded, raw, ">= 3")
    volatile = values[RAW_ONE_VOLATILE]
    yield ratio("  perform_async, volatile, against raw LMDB", values[ONE_VOLATILE], volatile)
    yield ratio("  enqueue_many against raw LMDB", values[MANY], values[RAW_MANY])


def one_by_one(jobs: int, *, durable: bool, threads: int = 1) -> float:
    """Return the jobs/s of *threads* that call ``perform_async``."""

    def enqueue(share: int) -> None:
        for _ in range(share):
            SendPromotion.perform_async(ARGS)

    with (
        application(durable=durable, start_queues=False),
        ThreadPoolExecutor(threads) as pool,
    ):
        share = jobs // threads
        return rate(share * threads, lambda: list(pool.map(enqueue, [share] * threads)))


def many_at_once(jobs: int, *, durable: bool) -> float:
    """Return the jobs/s of one ``enqueue_many``."""
    with application(durable=durable, start_queues=False) as app:
        return rate(jobs, lambda: app.enqueue_many(SendPromotion, (ARGS for _ in range(jobs))))


if __name__ == "__main__":
    main(__doc__, bench)
