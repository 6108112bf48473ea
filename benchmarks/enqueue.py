"""Jobs a second that come in, one by one and many at once, beside what LMDB alone can do.

The application has no queues: a web process that only enqueues.
"""

from __future__ import annotations

import functools
import tempfile
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

import lmdb
from measure import Measure, application, interleaved, main, rate, ratio

from antq_actors import Job, Worker

if TYPE_CHECKING:
    from collections.abc import Iterator

ARGS: Final = {"email": "jane.williams@example.com", "line": 4711}
THREADS: Final = 8
BATCH: Final = 1_000
"""Puts in one raw transaction; as many as ``enqueue_many`` stores in one."""
VALUE: Final = bytes(200)
"""About what a job with ARGS takes."""

ONE: Final = "perform_async, durable"
ONE_THREADED: Final = f"perform_async, durable, {THREADS} threads"
ONE_VOLATILE: Final = "perform_async, volatile"
MANY: Final = "enqueue_many, durable"
MANY_VOLATILE: Final = "enqueue_many, volatile"
RAW_ONE: Final = "raw LMDB, durable, 1 put a commit"
RAW_MANY: Final = f"raw LMDB, durable, {BATCH:,} puts a commit"


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
            ONE: functools.partial(_one_by_one, one, durable=True),
            ONE_THREADED: functools.partial(_one_by_one, one, durable=True, threads=THREADS),
            ONE_VOLATILE: functools.partial(_one_by_one, one, durable=False),
            RAW_ONE: functools.partial(_raw, one, 1),
            MANY: functools.partial(_many, many, durable=True),
            MANY_VOLATILE: functools.partial(_many, many, durable=False),
            RAW_MANY: functools.partial(_raw, many, BATCH),
        },
    )
    for name in (ONE, ONE_THREADED, ONE_VOLATILE, MANY, MANY_VOLATILE):
        yield Measure(name, "jobs/s", values[name])
    for name in (RAW_ONE, RAW_MANY):
        yield Measure(name, "puts/s", values[name])
    yield ratio("  perform_async against raw LMDB", values[ONE], values[RAW_ONE])
    yield ratio("  enqueue_many against raw LMDB", values[MANY], values[RAW_MANY])


def _one_by_one(jobs: int, *, durable: bool, threads: int = 1) -> float:
    def enqueue(share: int) -> None:
        for _ in range(share):
            SendPromotion.perform_async(ARGS)

    with (
        application(durable=durable, start_queues=False),
        ThreadPoolExecutor(threads) as pool,
    ):
        share = jobs // threads
        return rate(share * threads, lambda: list(pool.map(enqueue, [share] * threads)))


def _many(jobs: int, *, durable: bool) -> float:
    with application(durable=durable, start_queues=False) as app:
        return rate(jobs, lambda: app.enqueue_many(SendPromotion, (ARGS for _ in range(jobs))))


def _raw(puts: int, batch: int) -> float:
    with (
        tempfile.TemporaryDirectory(prefix="antq-bench-") as folder,
        lmdb.open(folder, map_size=2**30) as env,
    ):

        def work() -> None:
            for first in range(0, puts, batch):
                with env.begin(write=True) as txn:
                    for number in range(first, first + batch):
                        txn.put(number.to_bytes(8, "big"), VALUE)

        return rate(puts, work)


if __name__ == "__main__":
    main(__doc__, bench)
