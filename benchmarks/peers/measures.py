"""What is measured, the same for every contestant. Each function runs in a process of its own."""

from __future__ import annotations

import math
import random
import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING, Final

from peers.highest_rate import HIGHEST, highest_rate
from peers.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from peers.contract import Peer, Workers

TIMEOUT_SECONDS: Final = 60.0
"""Seconds in which what is waited for has to happen."""
THREADS: Final = 8
BATCH: Final = 1_000
SETTLED_SECONDS: Final = 0.5
"""Seconds a system gets to become idle."""
WARM_UP: Final = 5
PAUSE_SECONDS: Final = (0.01, 0.03)
"""Seconds between two jobs on an idle system, at random, so that they meet no rhythm of it."""


def enqueue(peer: Peer, *, seconds: float) -> dict[str, float | None]:
    """Return jobs/s into a store that nobody empties: one by one, so with threads, in bulk."""
    with _opened(peer, 1, perform=False):
        _one_by_one(peer, 1, seconds / 10)  # connections are made, tables opened
        return {
            "one": _one_by_one(peer, 1, seconds),
            "threads": _one_by_one(peer, THREADS, seconds),
            "bulk": _in_bulk(peer, seconds),
        }


def _one_by_one(peer: Peer, threads: int, seconds: float) -> float:
    barrier = threading.Barrier(threads)

    def work(_: int) -> tuple[int, float, float]:
        with peer.producer() as enqueue_one:
            barrier.wait(TIMEOUT_SECONDS)
            began = time.perf_counter()
            for number in count():
                enqueue_one(number)
                if time.perf_counter() > began + seconds:
                    return number + 1, began, time.perf_counter()
        raise AssertionError

    with ThreadPoolExecutor(threads) as pool:
        shares = list(pool.map(work, range(threads)))
    took = max(ended for _, _, ended in shares) - min(began for _, began, _ in shares)
    return sum(jobs for jobs, _, _ in shares) / took


def _in_bulk(peer: Peer, seconds: float) -> float | None:
    if peer.enqueue_many is None:
        return None
    began = time.perf_counter()
    for batches in count(1):
        peer.enqueue_many(range(BATCH))
        if time.perf_counter() > began + seconds:
            return batches * BATCH / (time.perf_counter() - began)
    raise AssertionError


def drain(peer: Peer, *, concurrency: int, jobs: int, seconds: float) -> dict[str, float]:
    """Return jobs/s, of *jobs* that were stored before any worker ran.

    From the first that is performed until the store knows that none is left; of a slow one, what
    it has performed in *seconds*.
    """
    with _opened(peer, jobs) as journal:
        peer.fill(range(jobs))
        workers = peer.start_workers(concurrency, gated=True)
        try:
            journal.wait_for_any(until=time.perf_counter() + TIMEOUT_SECONDS, check=workers.check)
            began = journal.times()[0]
            if journal.wait(jobs, until=began + seconds, check=workers.check):
                return {"rate": (jobs - 1) / (_done(peer, workers) - began)}
            performed = sum(1 for at in journal.times() if at <= began + seconds)
            return {"rate": (performed - 1) / seconds}
        finally:
            workers.stop()


def _done(peer: Peer, workers: Workers) -> float:
    deadline = time.perf_counter() + TIMEOUT_SECONDS
    while not peer.is_done():
        workers.check()
        if time.perf_counter() > deadline:
            raise TimeoutError(f"all jobs were performed, but not settled in {TIMEOUT_SECONDS:g} s")
        time.sleep(0.0005)
    return time.perf_counter()


def idle(peer: Peer, *, concurrency: int, seconds: float) -> dict[str, float | None]:
    """Return what a system with nothing to do is like.

    The seconds from the start of its processes to the first job, the MB it takes, milliseconds
    from before a job is enqueued until it is performed, and the seconds it takes to stop.
    """
    with _opened(peer, 10_000) as journal:
        peer.enqueue(0)
        workers = peer.start_workers(concurrency, gated=False)
        stopped = None
        try:
            _performed(journal, 1, workers)
            started = journal.of(0) - workers.started if peer.has_processes else None
            time.sleep(SETTLED_SECONDS)
            memory = workers.memory()
            latencies = _latencies(peer, journal, workers, seconds)
        finally:
            stopped = workers.stop()
        return {"start": started, "memory": memory, **_summary(latencies), "stop": stopped}


def _latencies(peer: Peer, journal: Journal, workers: Workers, seconds: float) -> list[float]:
    pause = random.Random(4711)
    latencies: list[float] = []
    ends = time.perf_counter() + seconds
    for number in range(1, 10_000):
        time.sleep(pause.uniform(*PAUSE_SECONDS))
        began = time.perf_counter()
        peer.enqueue(number)
        _performed(journal, number + 1, workers)
        latencies.append(journal.of(number) - began)
        if time.perf_counter() > ends and number > WARM_UP:
            break
    return latencies[WARM_UP:]


def load(peer: Peer, *, concurrency: int, rate: float, seconds: float) -> dict[str, float | None]:
    """Return milliseconds from when a job was due to be enqueued until it is performed.

    Jobs are due *rate* times a second, whatever became of those before: where enqueueing falls
    behind, that is part of what a user of the system would see.
    """
    with _arrivals(peer, concurrency, _jobs(rate, seconds)) as arrivals:
        latencies, performed = arrivals.at(rate, seconds)
        return {**_summary(latencies), "rate": performed}


def sustained(
    peer: Peer, *, concurrency: int, rate: float, seconds: float, bound: float, tries: int
) -> dict[str, float | None]:
    """Return the highest rate at which jobs arrive one by one and are performed in time.

    In time: the 99th percentile of the milliseconds from when a job was due to be enqueued is below
    *bound*. *rate* is the first of at most *tries*. The other values are the latencies at half of
    the highest.
    """
    room = (2 * tries + 1) * _jobs(HIGHEST, seconds)  # a file takes the space that is written
    with _arrivals(peer, concurrency, room) as arrivals:

        def p99_at(rate: float) -> float:
            for _ in range(2):  # once more if it was late: the disk may have paused for a moment
                p99 = _summary(arrivals.at(rate, seconds, bound=bound)[0])["p99"]
                if p99 < bound:
                    break
            return p99

        highest = highest_rate(rate, p99_at, bound=bound, tries=tries)
        if highest is None:
            return {}
        half = _summary(arrivals.at(highest / 2, seconds)[0])
        return {"rate": highest, "p50": half["p50"], "p99": half["p99"]}


def _jobs(rate: float, seconds: float) -> int:
    """Return how many jobs arrive, with the tenth that comes first and does not count."""
    counted = max(20, int(rate * seconds))
    return counted + counted // 10


@contextmanager
def _arrivals(peer: Peer, concurrency: int, jobs: int) -> Iterator[_Arrivals]:
    """Start workers and have them perform a job; then as many *jobs* may arrive."""
    with _opened(peer, 1 + jobs) as journal:
        workers = peer.start_workers(concurrency, gated=True)
        try:
            peer.enqueue(0)
            _performed(journal, 1, workers)
            yield _Arrivals(peer, journal, workers)
        finally:
            workers.stop()


class _Arrivals:
    """Jobs that are enqueued by this thread, one by one, while workers perform them."""

    def __init__(self, peer: Peer, journal: Journal, workers: Workers) -> None:
        self._peer, self._journal, self._workers = peer, journal, workers
        self._next = 1

    def at(
        self, rate: float, seconds: float, *, bound: float = math.inf
    ) -> tuple[list[float], float]:
        """Return the seconds from when each job was due, and how many were enqueued a second.

        Returns only when all of them are performed. Gives up when more than one in a hundred was
        enqueued *bound* milliseconds after it was due: the 99th percentile is above that already.
        """
        first, jobs = self._next, _jobs(rate, seconds)
        warm_up, may_be_late = jobs // 11, jobs // 100
        began = time.perf_counter()
        for number in range(jobs):
            ahead = began + (number + 1) / rate - time.perf_counter()
            if ahead > 0:
                time.sleep(ahead)
            elif number >= warm_up and 1_000 * -ahead > bound:
                may_be_late -= 1
            self._peer.enqueue(first + number)
            self._next += 1
            if may_be_late < 0:
                break
        enqueued = self._next - first
        took = time.perf_counter() - began
        _performed(self._journal, self._next, self._workers)
        _done(self._peer, self._workers)
        return [
            self._journal.of(first + number) - began - (number + 1) / rate
            for number in range(warm_up, enqueued)
        ], enqueued / took


def _performed(journal: Journal, jobs: int, workers: Workers) -> None:
    if not journal.wait(jobs, until=time.perf_counter() + TIMEOUT_SECONDS, check=workers.check):
        raise TimeoutError(f"a job was not performed in {TIMEOUT_SECONDS:g} s")


def _summary(latencies: list[float]) -> dict[str, float]:
    milliseconds = sorted(1_000 * latency for latency in latencies)
    return {
        "p50": statistics.median(milliseconds),
        "p99": milliseconds[min(len(milliseconds) - 1, int(0.99 * len(milliseconds)))],
        "max": milliseconds[-1],
    }


@contextmanager
def _opened(peer: Peer, jobs: int, *, perform: bool = True) -> Iterator[Journal]:
    journal = Journal.make(peer.setup.journal_file, jobs)
    peer.open(perform=perform)
    try:
        yield journal
    finally:
        peer.close()
