"""Periodic jobs: how late they are, what a turn costs beside many entries, and what idling does."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING, Final

from measure import Measure, main, new_folder

from antq_actors import AntQ, Cron, Every, Job, Worker
from antq_actors.storage.jobs import cron_turns, job_store
from antq_actors.storage.lmdb.open_stores import opened

if TYPE_CHECKING:
    from collections.abc import Iterator

_late: Final[list[float]] = []
_enough = threading.Semaphore(0)


class Tick(Worker):
    """Notes how long after its instant it was enqueued."""

    def perform(self, job: Job) -> None:
        """Note it."""
        if job.scheduled_for is not None:
            _late.append((job.inserted_at - job.scheduled_for).total_seconds())
            _enough.release()


class Far(Worker):
    """Does nothing, once a year."""

    def perform(self, job: Job) -> None:
        """Do nothing."""


def bench(*, short: bool) -> Iterator[Measure]:
    """Measure an application without entries, and one with very many."""
    entries, seconds, jobs = (50, 0.2, 2) if short else (10_000, 20.0, 30)
    for number in (0, entries):
        shares = [_of_a_process(number, seconds) for _ in range(1 if short else 3)]
        yield Measure(f"idle, {number:,} entries", "% core", shares, "0.2 more than without")
    late = _lateness(entries, jobs)
    yield Measure(f"enqueued after its instant, {entries:,} entries, p50", "ms", [median(late)])
    last = quantiles(late, n=100, method="inclusive")[-1]
    yield Measure(f"enqueued after its instant, {entries:,} entries, p99", "ms", [last], "< 50")
    name = f"a turn in which one of {entries:,} entries is due, without its commit"
    yield Measure(name, "ms", _turns(entries, jobs), "< 1")


@contextmanager
def _application(entries: int, *more: Every) -> Iterator[AntQ]:
    """Run an application with many entries, none of which is due."""
    last = time.gmtime(time.time() - 86_400)
    far = [
        Cron(
            f"{number % 60} {number // 60 % 24} {last.tm_mday} {last.tm_mon} *",
            worker=Far,
            name=f"far {number}",
        )
        for number in range(entries)
    ]
    with new_folder() as folder, AntQ(Path(folder, "store"), crons=[*far, *more]) as app:
        yield app


def _of_a_process(entries: int, seconds: float) -> float:
    """Ask a process of its own, in which no benchmark has been."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_share, entries, seconds).result()


def _share(entries: int, seconds: float) -> float:
    """Return the processor time of an idle application, in percent of one core."""
    with _application(entries):
        time.sleep(seconds / 5)  # until what belongs to starting is over
        began, used = time.perf_counter(), time.process_time()
        time.sleep(seconds)
        return 100 * (time.process_time() - used) / (time.perf_counter() - began)


def _lateness(entries: int, jobs: int) -> list[float]:
    """Return by how many milliseconds the jobs of an entry were enqueued after their instants."""
    with _application(entries, Every(1, worker=Tick, name="tick", overlap="allow")):
        for _ in range(jobs + 1):
            _enough.acquire()
    return [1e3 * late for late in _late[1:]]  # the first may have been missed while it started


def _turns(entries: int, turns: int) -> list[float]:
    """Return the milliseconds of turns in which one entry is due, within their transactions."""
    with _application(entries) as app:
        env = opened(app.path)
        assert env is not None  # noqa: S101 - the application runs

        def turn(store: job_store.JobStore) -> float:
            at = store.crons.head() or 0
            began = time.perf_counter()
            cron_turns.fire(store, now=at, limit=1)
            return 1e3 * (time.perf_counter() - began)

        return [job_store.write(env, turn) for _ in range(turns)]


if __name__ == "__main__":
    main(__doc__, bench)
