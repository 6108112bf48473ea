"""What runs a job: processes beside threads for jobs that compute, and the cost of killing one."""

from __future__ import annotations

import functools
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

from measure import Measure, application, interleaved, main, new_folder, rate, ratio, until

from antq_actors import AntQ, Job, QueueConfig, Status, Worker

if TYPE_CHECKING:
    from collections.abc import Iterator

LOOK = 0.005
TIMEOUT = 0.3


class Burn(Worker, name="executors:Burn"):
    """Takes ``args["seconds"]`` of its thread's processor time, and does nothing else."""

    def perform(self, job: Job) -> None:
        """Compute."""
        end = time.thread_time() + job.args["seconds"]
        while time.thread_time() < end:
            for _ in range(500):  # some 10 µs: to ask for the time costs a system call
                pass


class Stuck(Worker, name="executors:Stuck", timeout=TIMEOUT, max_attempts=1):
    """Does not end, in one of three ways; none of them can be interrupted in a thread."""

    def perform(self, job: Job) -> None:
        """Be stuck."""
        match job.args["how"]:
            case "sleep":
                time.sleep(60)
            case "regex":
                re.match(r"(a+)+$", "a" * 60 + "b")
            case _:
                while True:
                    pass


class Note(Worker, name="executors:Note"):
    """Notes when it is performed, on the clock that all processes share."""

    def perform(self, job: Job) -> None:
        """Note it."""
        Path(job.args["file"]).write_text(repr(time.monotonic()))


def bench(*, short: bool) -> Iterator[Measure]:
    """Jobs that compute, then nothing but overhead, then jobs that have to be killed."""
    rounds = 1 if short else 3
    for milliseconds, jobs, slots in ((20, 200, 2), (1, 3_000, 2), (1, 3_000, 4)):
        yield from _computing(rounds, milliseconds, 20 if short else jobs, slots)
    alone = [_alone(20 if short else 500) for _ in range(rounds)]
    yield Measure("overhead per job, one at a time, process", "ms", alone, "< 1")
    for how in ("sleep", "regex", "loop"):
        freed = [_freed(how) for _ in range(1 if short else 9)]
        yield Measure(f"timeout to the next job's begin, stuck in a {how}", "s", freed, "< 0.5")


def _computing(rounds: int, milliseconds: int, jobs: int, slots: int) -> Iterator[Measure]:
    name = f"jobs of {milliseconds} ms of CPU, {slots} slots"
    values = interleaved(
        rounds,
        {
            kind: functools.partial(_drained, kind, jobs, milliseconds / 1_000, slots)
            for kind in _KINDS
        },
    )
    for kind in _KINDS:
        goal = ">= 1,500" if (kind, milliseconds) == ("process", 1) else ""
        yield Measure(f"{name}, {kind}", "jobs/s", values[kind], goal)
    yield ratio(
        f"{name}, process against thread",
        values["process"],
        values["thread"],
        ">= 1.85" if milliseconds == 20 else "",
    )


_KINDS = ("thread", "process")
_ALONE = QueueConfig(concurrency=1, executor="process")


def _drained(kind: str, jobs: int, seconds: float, slots: int) -> float:
    """Return the jobs/s of a backlog; the processes are there, and know the worker."""
    config = QueueConfig(concurrency=slots, executor=kind)
    with application(durable=False, queues={"default": config}) as app:
        _perform(app, 20 * slots, 0.020)
        queue = app.queue("default")
        queue.pause()
        before = app.count_jobs()
        app.enqueue_many(Burn, ({"seconds": seconds} for _ in range(jobs)))

        def work() -> None:
            queue.resume()
            _completed(app, before + jobs, 4 * LOOK)

        return rate(jobs, work)


def _alone(jobs: int) -> float:
    """Return the milliseconds that a job takes which does nothing, one after the other."""
    with application(durable=False, queues={"default": _ALONE}) as app:
        _perform(app, 20, 0.0)
        return 1_000 / rate(jobs, lambda: _perform(app, jobs, 0.0))


def _freed(how: str) -> float:
    """Return the seconds from the timeout of a stuck job to the begin of the next."""
    with (
        new_folder() as folder,
        application(durable=False, queues={"default": _ALONE}) as app,
    ):
        begun, file = Path(folder, "begun"), Path(folder, "file")
        app.enqueue(Note, {"file": str(begun)})
        until(lambda: app.count_jobs(status=Status.COMPLETED) == 1, LOOK)
        began = time.monotonic()
        app.enqueue(Stuck, {"how": how})
        app.enqueue(Note, {"file": str(file)})
        until(lambda: app.count_jobs(status=Status.COMPLETED) == 2, LOOK)
        return float(file.read_text()) - began - TIMEOUT


def _perform(app: AntQ, jobs: int, seconds: float) -> None:
    before = app.count_jobs(status=Status.COMPLETED)
    app.enqueue_many(Burn, ({"seconds": seconds} for _ in range(jobs)))
    _completed(app, before + jobs)


def _completed(app: AntQ, jobs: int, look: float = LOOK) -> None:
    until(lambda: app.count_jobs(status=Status.COMPLETED) == jobs, look)


if __name__ == "__main__":
    main(__doc__, bench)
