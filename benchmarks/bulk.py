"""How long it takes to change very many jobs together, and how long others wait meanwhile.

The jobs have failed one by one, each with its error, and are changed by one call. Beside it a
thread enqueues a job for another queue every few milliseconds, and notes when it is performed. So
it does while another process, as ``antq retry`` is, changes the jobs of this one.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, ClassVar, Final

from measure import TIMEOUT_SECONDS, Measure, application, at, main
from noop import Noop

from antq_actors import Job, Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from antq_actors import BulkOutcome

PAUSE_SECONDS: Final = 0.005
"""Seconds between two jobs whose latency is noted."""
MOST_ALONE: Final = 200
"""Jobs whose latency is noted while nothing else happens."""
BESIDE: Final = "beside"
"""The queue of these jobs."""
ELSEWHERE: Final = """
import sys
from antq_actors import AntQ
with AntQ(sys.argv[1], start_queues=False) as app:
    print("ready", flush=True)
    sys.stdin.readline()
    print(app.retry_jobs(queue="default", status="cancelled").changed)
"""
"""What another process does."""


class Note(Worker, queue=BESIDE):
    """Notes when it is performed."""

    performed: ClassVar[threading.Event] = threading.Event()
    began: ClassVar[float] = 0.0

    def perform(self, job: Job) -> None:  # noqa: ARG002 - there is nothing in it
        """Note the time, and say so."""
        Note.began = time.perf_counter()
        Note.performed.set()


def bench(*, short: bool) -> Iterator[Measure]:
    """Retry by status and by error, cancel and delete, in a new store in each round."""
    jobs, rounds = (1_500, 1) if short else (100_000, 3)
    seconds: dict[str, list[float]] = {}
    alone: list[list[float]] = []
    beside: list[list[float]] = []
    elsewhere: list[list[float]] = []
    for _ in range(rounds):
        for name, took in _one_round(jobs, alone, beside, elsewhere):
            seconds.setdefault(name, []).append(took)
    for name, values in seconds.items():
        goal = "<= 6" if name.startswith("retry") else ""
        yield Measure(f"{name}, {jobs:,} jobs, durable", "s", values, goal)
    for what, found, goal in (
        ("alone", alone, ""),
        ("beside a retry", beside, "<= 30"),
        ("beside one elsewhere", elsewhere, "<= 30"),
    ):
        for share, position in (("p50", 0.5), ("p99", 0.99)):
            values = [at(position, each) for each in found]
            name = f"  perform_async to perform, {what}, {share}"
            yield Measure(name, "ms", values, goal if share == "p99" else "")


def _one_round(
    jobs: int, alone: list[list[float]], beside: list[list[float]], elsewhere: list[list[float]]
) -> Iterator[tuple[str, float]]:
    with application(durable=True, queues={"default": 50, BESIDE: 5}) as app:
        app.queue("default").pause()
        app.import_jobs(_failed(jobs))
        _latency()
        alone.append([_latency() for _ in range(MOST_ALONE)])
        with _noting() as noted:
            yield "retry by status", _seconds(lambda: app.retry_jobs(queue="default"), jobs)
        beside.append(noted)
        yield "cancel", _seconds(lambda: app.cancel_jobs(queue="default"), jobs)
        seconds, noted = _retried_elsewhere(app.path, jobs)
        yield "retry by another process", seconds
        elsewhere.append(noted)
        app.cancel_jobs(queue="default")
        retry_by_error = {"status": "cancelled", "error": "timed out"}
        yield "retry by error", _seconds(lambda: app.retry_jobs(**retry_by_error), jobs)
        yield "delete", _seconds(lambda: app.delete_jobs(queue="default"), jobs)


def _seconds(change: Callable[[], BulkOutcome], jobs: int) -> float:
    began = time.perf_counter()
    outcome = change()
    if outcome.changed != jobs:
        raise RuntimeError(f"{outcome}, where there are {jobs} jobs")
    return time.perf_counter() - began


def _retried_elsewhere(path: Path, jobs: int) -> tuple[float, list[float]]:
    """Have another process retry all jobs; return its seconds, and what others took meanwhile."""
    command = [sys.executable, "-c", ELSEWHERE, str(path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, text=True, **pipes) as program:
        program.stdout.readline()
        with _noting() as noted:
            began = time.perf_counter()
            program.stdin.write("go\n")
            program.stdin.flush()
            changed = program.stdout.readline().strip()
            seconds = time.perf_counter() - began
    if changed != str(jobs):
        raise RuntimeError(f"{changed!r} were retried, where there are {jobs} jobs")
    return seconds, noted


@contextmanager
def _noting() -> Iterator[list[float]]:
    """Note in the ``with`` block how long new jobs of another queue take until they begin."""
    over, noted = threading.Event(), list[float]()

    def note() -> None:
        while not noted or not over.wait(PAUSE_SECONDS):
            noted.append(_latency())

    noting = threading.Thread(target=note)
    noting.start()
    try:
        yield noted
    finally:
        over.set()
        noting.join()


def _latency() -> float:
    """Return the milliseconds from a job's enqueueing to its performing."""
    Note.performed.clear()
    began = time.perf_counter()
    job = Note.perform_async()
    if not Note.performed.wait(TIMEOUT_SECONDS):
        raise TimeoutError(f"job {job.id} was not performed in {TIMEOUT_SECONDS:g} s")
    return (Note.began - began) * 1_000


def _failed(jobs: int) -> Iterator[str]:
    """Write an export of jobs that have failed one after the other."""
    first = datetime.now(UTC) - timedelta(hours=1)
    yield json.dumps({"antq_export": 1})
    for number in range(jobs):
        at_that_time = (first + timedelta(milliseconds=number)).isoformat()
        error = {"attempt": 1, "error": "timed out after 5 s", "at": at_that_time}
        yield json.dumps(
            {
                "id": number + 1,
                "worker": f"{Noop.__module__}:{Noop.__qualname__}",
                "queue": "default",
                "status": "failed",
                "inserted_at": at_that_time,
                "updated_at": at_that_time,
                "attempts": 1,
                "args": {"number": number},
                "errors": [error | {"stack_trace": "Traceback" * 30, "error_type": "TimeoutError"}],
            }
        )


if __name__ == "__main__":
    main(__doc__, bench)
