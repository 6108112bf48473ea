"""The limits: what LMDB and bare threads do here when nothing is built on them.

They run in the rounds of what is compared with them, on the same disk, so that a slow minute of
the machine hits both sides of a ratio.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final

import lmdb
from measure import new_folder, rate

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    Turn = Callable[[Collection[int], Collection[int]], None]
    """Stores which jobs ended, and which begin next."""

VALUE: Final = bytes(400)
"""About what a job with a few arguments takes, in all tables together."""
STATE: Final = bytes(64)
"""About what a change of a job's status writes: the arguments stand elsewhere."""
BATCH: Final = 1_000
"""Puts in one transaction; as many as ``enqueue_many`` stores in one."""

WAITING: Final = b"w"
RUNNING: Final = b"r"
COMPLETED: Final = b"c"


def commits(puts: int, *, durable: bool = True) -> float:
    """Return the puts/s of one put in each transaction."""
    return puts_a_commit(puts, 1, durable=durable)


def puts_a_commit(puts: int, batch: int = BATCH, *, durable: bool = True) -> float:
    """Return the puts/s of *batch* puts in each transaction, each key behind the last one."""
    with _environment(durable=durable) as env:

        def work() -> None:
            for first in range(0, puts, batch):
                with env.begin(write=True) as txn:
                    for number in range(first, first + batch):
                        txn.put(_key(number), VALUE)

        return rate(puts, work)


def threads(jobs: int, slots: int) -> float:
    """Return the jobs/s of bare threads: one feeds *slots* others with no-ops, and stores nothing.

    At most *slots* are under way, so each has to be heard of before the next is handed over.
    """
    return _fed(jobs, slots, lambda _ended, _begun: None)


def threads_on_lmdb(jobs: int, slots: int, *, durable: bool) -> float:
    """Return the jobs/s of the same with the least a queue has to store.

    What ended since, and what begins next, is one transaction: a record rewritten and an index
    entry moved for each.
    """
    with _environment(durable=durable) as env:
        records, index = env.open_db(b"records"), env.open_db(b"index")

        def move(txn: lmdb.Transaction, number: int, before: bytes, after: bytes) -> None:
            key = _key(number)
            txn.put(key, STATE, db=records)
            txn.delete(before + key, db=index)
            txn.put(after + key, b"", db=index)

        def turn(ended: Collection[int], begun: Collection[int]) -> None:
            with env.begin(write=True) as txn:
                for number in ended:
                    move(txn, number, RUNNING, COMPLETED)
                for number in begun:
                    move(txn, number, WAITING, RUNNING)

        with env.begin(write=True) as txn:
            for number in range(jobs):
                txn.put(_key(number), STATE, db=records)
                txn.put(WAITING + _key(number), b"", db=index)
        return _fed(jobs, slots, turn)


def _fed(jobs: int, slots: int, turn: Turn) -> float:
    """Return the jobs/s at which *slots* threads are fed, with a *turn* of the store each time."""
    line: SimpleQueue[int | None] = SimpleQueue()
    done: SimpleQueue[int] = SimpleQueue()

    def slot() -> None:
        while (number := line.get()) is not None:
            done.put(number)

    def feed() -> None:
        begun, ended, free = 0, [], slots
        while begun < jobs or free < slots:
            following = range(begun, min(begun + free, jobs))
            turn(ended, following)
            begun = following.stop
            free -= len(following)
            for number in following:
                line.put(number)
            ended = [done.get()]
            while not done.empty():
                ended.append(done.get())
            free += len(ended)
        turn(ended, ())

    started = [threading.Thread(target=slot) for _ in range(slots)]
    for thread in started:
        thread.start()
    try:
        return rate(jobs, feed)
    finally:
        for _ in started:
            line.put(None)
        for thread in started:
            thread.join()


@contextmanager
def _environment(*, durable: bool) -> Iterator[lmdb.Environment]:
    with (
        new_folder(in_memory=not durable) as folder,
        lmdb.open(folder, map_size=2**31, max_dbs=2, sync=durable) as env,
    ):
        yield env


def _key(number: int) -> bytes:
    return number.to_bytes(8, "big")
