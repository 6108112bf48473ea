"""What keeping a result costs, and how soon those who wait for a job are woken.

Jobs that return 1 KiB and keep it, beside the same jobs that do not; and callers of ``result`` in
the process that performs the job and in another one.
"""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING, Final

from measure import TIMEOUT_SECONDS, Measure, application, at, main

from antq_actors import worker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from antq_actors import AntQ

SLOTS: Final = 50
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


if __name__ == "__main__":
    main(__doc__, bench)
