"""Jobs that compute: how much faster two processes of ``antq start`` are than one."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from measure import TIMEOUT_SECONDS, Measure, interleaved, main, rate, ratio, until

from antq_actors import AntQ, Job, Status, Worker

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER: Final = "ANTQ_BENCH_FOLDER"
SLOTS: Final = "ANTQ_BENCH_SLOTS"
CPU_SECONDS: Final = 0.001
POLL_SECONDS: Final = 0.02
"""Seconds between two looks whether all is done: seldom, as they take part of a core."""


class Compute(Worker, name="cores:Compute"):
    """Takes a millisecond of its thread's processor time, and does nothing else."""

    def perform(self, job: Job) -> None:  # noqa: ARG002 - there is nothing in it
        """Compute."""
        end = time.thread_time() + CPU_SECONDS
        while time.thread_time() < end:
            for _ in range(500):  # some 10 µs: to ask for the time costs a system call
                pass


class SignIn(Worker, name="cores:SignIn"):
    """Leaves a file for the process that performs it."""

    def perform(self, job: Job) -> None:  # noqa: ARG002 - its process is what counts
        """Leave the file."""
        Path(os.environ[FOLDER], f"{os.getpid()}.pid").touch()


def app(*, start_queues: bool = True) -> AntQ:
    """Make the application that is started, and the door to its jobs."""
    return AntQ(
        Path(os.environ[FOLDER], "store"),
        queues={"default": int(os.environ[SLOTS])},
        start_queues=start_queues,
        retention=None,
    )


def bench(*, short: bool) -> Iterator[Measure]:
    """One and two processes in turn, with few slots and with many, each round on a new store."""
    jobs, rounds = (50, 1) if short else (4_000, 5)
    cases = [(slots, processes) for slots in (5, 50) for processes in (1, 2)]

    values = interleaved(
        rounds, {_name(*case): functools.partial(_drained, jobs, *case) for case in cases}
    )
    for case in cases:
        yield Measure(_name(*case), "jobs/s", values[_name(*case)])
    for slots in (5, 50):
        one, two = values[_name(slots, 1)], values[_name(slots, 2)]
        yield ratio(f"two processes against one, concurrency {slots}", two, one, ">= 1.8")


def _name(slots: int, processes: int) -> str:
    many = "1 process" if processes == 1 else f"{processes} processes"
    return f"jobs of 1 ms of CPU, durable, concurrency {slots}, {many}"


def _drained(jobs: int, slots: int, processes: int) -> float:
    """Return the jobs/s from the moment at which all processes are up and may begin."""
    with tempfile.TemporaryDirectory(prefix="antq-bench-") as folder:
        os.environ[FOLDER], os.environ[SLOTS] = folder, str(slots)
        with app(start_queues=False) as door, _started(processes):
            _see_all(door, Path(folder), processes)
            queue = door.queue("default")
            queue.pause()
            before = door.count_jobs()
            door.enqueue_many(Compute, ({"number": number} for number in range(jobs)))

            def work() -> None:
                queue.resume()
                _completed(door, before + jobs)

            return rate(jobs, work)


def _see_all(door: AntQ, folder: Path, processes: int) -> None:
    """Return when each process has performed a job, and none has one left."""

    def all_signed_in() -> bool:
        door.enqueue(SignIn)
        return len(list(folder.glob("*.pid"))) == processes

    until(all_signed_in, POLL_SECONDS)
    _completed(door, door.count_jobs())


def _completed(door: AntQ, jobs: int) -> None:
    until(lambda: door.count_jobs(status=Status.COMPLETED) == jobs, POLL_SECONDS)


@contextmanager
def _started(processes: int) -> Iterator[None]:
    command = [sys.executable, "-m", "antq_actors", "start", "cores:app"]
    program = subprocess.Popen(
        [*command, "--processes", str(processes)],
        cwd=Path(__file__).parent,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        program.send_signal(signal.SIGTERM)
        program.wait(TIMEOUT_SECONDS)


if __name__ == "__main__":
    main(__doc__, bench)
