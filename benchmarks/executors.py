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

SLOTS = 2
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
    cases = {"20 ms": (0.020, 10 if short else 200), "1 ms": (0.001, 20 if short else 3_000)}
    for name, (seconds, jobs) in cases.items():
        values = interleaved(
            rounds,
            {kind: functools.partial(_drained, kind, jobs, seconds) for kind in _KINDS},
        )
        for kind in _KINDS:
            goal = ">= 1,500" if (kind, name) == ("process", "1 ms") else ""
            yield Measure(f"jobs of {name} of CPU, {kind}", "jobs/s", values[kind], goal)
        yield ratio(
            f"process against thread, jobs of {name}",
            values["process"],
            values["thread"],
            ">= 1.85" if name == "20 ms" else "",
        )
    alone = [_alone(20 if short else 500) for _ in range(rounds)]
    yield Measure("overhead per job, one at a time, process", "ms", alone, "< 1")
    for how in ("sleep", "regex", "loop"):
        freed = [_freed(how) for _ in range(1 if short else 9)]
        yield Measure(f"timeout to the next job's begin, stuck in a {how}", "s", freed, "< 0.5")


_KINDS = ("thread", "process")


def _app(kind: str, slots: int = SLOTS) -> QueueConfig:
    return QueueConfig(concurrency=slots, executor=kind)


def _drained(kind: str, jobs: int, seconds: float) -> float:
    """Answer the jobs/s of a backlog; the processes are there, and know the worker."""
    with application(durable=False, queues={"default": _app(kind)}) as app:
        _perform(app, 20, 0.0)
        queue = app.queue("default")
        queue.pause()
        before = app.count_workers()
        app.enqueue_many(Burn, ({"seconds": seconds} for _ in range(jobs)))

        def work() -> None:
            queue.resume()
            _completed(app, before + jobs)

        return rate(jobs, work)


def _alone(jobs: int) -> float:
    """Answer the milliseconds that a job takes which does nothing, one after the other."""
    with application(durable=False, queues={"default": _app("process", 1)}) as app:
        _perform(app, 20, 0.0)
        return 1_000 / rate(jobs, lambda: _perform(app, jobs, 0.0))


def _freed(how: str) -> float:
    """Answer the seconds from the timeout of a stuck job to the begin of the next."""
    with (
        new_folder() as folder,
        application(durable=False, queues={"default": _app("process", 1)}) as app,
    ):
        begun, file = Path(folder, "begun"), Path(folder, "file")
        app.enqueue(Note, {"file": str(begun)})
        until(lambda: app.count_workers(status=Status.COMPLETED) == 1, LOOK)
        began = time.monotonic()
        app.enqueue(Stuck, {"how": how})
        app.enqueue(Note, {"file": str(file)})
        until(lambda: app.count_workers(status=Status.COMPLETED) == 2, LOOK)
        return float(file.read_text()) - began - TIMEOUT


def _perform(app: AntQ, jobs: int, seconds: float) -> None:
    before = app.count_workers(status=Status.COMPLETED)
    app.enqueue_many(Burn, ({"seconds": seconds} for _ in range(jobs)))
    _completed(app, before + jobs)


def _completed(app: AntQ, jobs: int) -> None:
    until(lambda: app.count_workers(status=Status.COMPLETED) == jobs, LOOK)


if __name__ == "__main__":
    main(__doc__, bench)
