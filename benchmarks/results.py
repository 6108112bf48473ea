"""What keeping a result costs, how soon those who wait are woken, and what it costs that they wait.

Jobs that return 1 KiB and keep it, beside the same jobs that do not; callers of ``result`` in the
process that performs the job and in another one; results read in a large store; thousands of
coroutines that wait while nothing happens; and the memory of a program that waits again and again.
"""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import chain
from multiprocessing import get_context
from typing import TYPE_CHECKING, Final

from measure import TIMEOUT_SECONDS, Measure, application, at, main, new_folder
from memory import status
from stored import FAR_AHEAD

from antq_actors import AntQ, worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SLOTS: Final = 50
MIB: Final = 2**20
WARM_UP: Final = 1_000
"""Waits before the memory is looked at."""
TEXT: Final = "x" * 1_000
OTHER_PROCESS: Final = """
import sys, time
from antq_actors import AntQ
with AntQ(sys.argv[1], start_queues=False) as app:
    print("up", flush=True)
    for line in sys.stdin:
        app.result(int(line), timeout=60)
        print(time.time(), flush=True)
"""


@worker
def plain(number: int) -> str:  # noqa: ARG001 - as the others
    """Return a text that is not kept."""
    return TEXT


@worker(result=True)
def kept(number: int) -> str:  # noqa: ARG001
    """Return a text that is kept."""
    return TEXT


def bench(*, short: bool) -> Iterator[Measure]:
    """Both kinds of jobs in turn, each round on a new store; then waits, one by one."""
    jobs, rounds, waits = (100, 1, 3) if short else (20_000, 5, 200)
    took: dict[str, list[float]] = {"plain": [], "kept": []}
    for _ in range(rounds):
        for each in (plain, kept):
            took[each.__name__].append(1e6 * _run(each, jobs) / jobs)
    yield Measure("jobs whose 1 KiB result is not kept", "us each", took["plain"])
    yield Measure("jobs whose 1 KiB result is kept", "us each", took["kept"], "<= 13 more")
    with application(durable=True, queues={"default": SLOTS}) as app:
        for where, late, goal in (("this", _here, "<= 5"), ("another", _elsewhere, "<= 60")):
            found = [at(0.99, late(app, waits))]
            yield Measure(f"end to return of result(), {where} process, p99", "ms", found, goal)
    yield from _reads(1_000 if short else 1_000_000)
    yield from _idle(50 if short else 10_000, seconds=0.2 if short else 20.0)
    yield from _memory(100 if short else 100_000)


def _run(what: object, jobs: int) -> float:
    """Return the seconds of a processor in which so many jobs ran."""
    with application(durable=True, queues={"default": SLOTS}) as app:
        app.queue("default").pause()
        app.enqueue_many(what, ({"number": number} for number in range(jobs)))  # type: ignore[arg-type]
        began = time.process_time()
        app.queue("default").resume()
        assert app.wait_idle(timeout=TIMEOUT_SECONDS)  # noqa: S101 - it is no measure else
        return time.process_time() - began


def _here(app: AntQ, waits: int) -> list[float]:
    late = []
    for number in range(waits):
        job = app.enqueue(kept, {"number": number}, schedule_in=0.02)
        job.result(timeout=TIMEOUT_SECONDS)
        late.append(_since_end(app, job.id, time.time()))
    return late


def _elsewhere(app: AntQ, waits: int) -> list[float]:
    late = []
    command = [sys.executable, "-c", OTHER_PROCESS, str(app.path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as waiter:
        assert waiter.stdin is not None  # noqa: S101
        assert waiter.stdout is not None  # noqa: S101
        waiter.stdout.readline()
        for number in range(waits):
            job = app.enqueue(kept, {"number": number}, schedule_in=0.15)
            print(job.id, file=waiter.stdin, flush=True)
            late.append(_since_end(app, job.id, float(waiter.stdout.readline())))
        waiter.stdin.close()
    return late


def _since_end(app: AntQ, id_: int, now: float) -> float:
    """Return the milliseconds from a job's end until *now*."""
    ended_at = app.get_job(id_).ended_at
    assert ended_at is not None  # noqa: S101
    return 1e3 * (now - ended_at.timestamp())


# ---- read in a large store -----------------------------------------------------------------------


def _reads(stored: int) -> Iterator[Measure]:
    with new_folder() as folder:
        with AntQ(folder, retention=None) as app:
            _fill(app, stored)
        with AntQ(folder, retention=None, start_queues=False) as app:
            chance, took = random.Random(1), []
            for _ in range(min(stored, 2_000)):
                began = time.perf_counter()
                app.result(chance.randint(1, stored), timeout=0)
                took.append(1e3 * (time.perf_counter() - began))
    for name, position in (("p50", 0.5), ("p99", 0.99)):
        shown = f"result() of any of {stored:,} kept, {name}"
        yield Measure(shown, "ms", [at(position, took)], "<= 1")


def _fill(app: AntQ, jobs: int) -> None:
    """Store so many jobs with their results: one is performed, and the others are copies of it."""
    app.enqueue(kept, {"number": 0}).result(timeout=TIMEOUT_SECONDS)
    head, line = app.export_jobs()
    record = json.loads(line)
    copies = (json.dumps(record | {"id": number}) for number in range(2, jobs + 1))
    app.import_jobs(chain([head], copies))


# ---- what it costs that somebody waits -----------------------------------------------------------


def _idle(waiters: int, seconds: float) -> Iterator[Measure]:
    """Measure processes in which so many coroutines wait, each for a job that is due later."""
    for where, runs_queues in (("node", True), ("process without queues", False)):
        with (
            new_folder() as folder,
            ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool,
        ):
            share, threads = pool.submit(
                _while_waiting, folder, waiters, seconds, runs_queues=runs_queues
            ).result()
        yield Measure(f"{waiters:,} wait in a {where}, idle", "% core", [share], "<= 2")
        yield Measure(f"  threads more than without, {waiters:,} waiting", "", [threads])


def _while_waiting(
    folder: str, waiters: int, seconds: float, *, runs_queues: bool
) -> tuple[float, int]:
    """Return the share of a core that a process takes, and how many threads the waits added."""

    async def wait(app: AntQ, ids: list[int]) -> tuple[float, int]:
        before = threading.active_count()
        waits = [asyncio.create_task(app.wait_async([id_])) for id_ in ids]
        await asyncio.sleep(seconds / 2)  # until all have looked at their job
        threads = threading.active_count() - before
        began, used = time.perf_counter(), time.process_time()
        await asyncio.sleep(seconds)
        share = 100 * (time.process_time() - used) / (time.perf_counter() - began)
        for each in waits:
            each.cancel()
        return share, threads

    with AntQ(folder, start_queues=runs_queues) as app:
        ids = app.enqueue_many(
            kept, ({"number": number} for number in range(waiters)), schedule_in=FAR_AHEAD
        )
        return asyncio.run(wait(app, ids))


def _memory(waits: int) -> Iterator[Measure]:
    """Measure how much more memory a process has after so many waits, of each kind."""
    kinds = {"that are answered": _answered, "that time out": _timed_out}
    for name, wait in kinds.items():
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            grown = pool.submit(_grown, wait, waits).result()
        yield Measure(f"memory after {waits:,} waits {name}, more", "MiB", [grown], "<= 8")


def _grown(wait: Callable[[AntQ, int], None], waits: int) -> float:
    with application(durable=True, queues={"default": SLOTS}) as app:
        app.enqueue(kept, {"number": 0}, schedule_in=FAR_AHEAD)
        wait(app, WARM_UP)
        before = status("RssAnon")
        wait(app, waits)
        return max(0.001, (status("RssAnon") - before) / MIB)


def _answered(app: AntQ, waits: int) -> None:
    for first in range(0, waits, SLOTS):
        numbers = range(first, min(first + SLOTS, waits))
        for id_ in app.enqueue_many(kept, ({"number": number} for number in numbers)):
            app.result(id_, timeout=TIMEOUT_SECONDS)


def _timed_out(app: AntQ, waits: int) -> None:
    for _ in range(waits):
        _, not_done = app.wait([1], timeout=0)
        assert not_done  # noqa: S101 - it is no measure else


if __name__ == "__main__":
    main(__doc__, bench)
