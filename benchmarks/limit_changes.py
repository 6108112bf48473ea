"""How soon all processes follow when a limit is changed, a place is free, or a service refuses."""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Final

from measure import Measure, at, main, new_folder, until

from antq_actors import AntQ, Concurrency, Job, QueueConfig, RateLimited, Worker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection

WAITS: Final = 0.3
"""Seconds that a service wants nobody to come."""
_spawn = get_context("spawn")


class Held(Worker, name="limit_changes:Held", concurrency=1):
    """Takes its place until a file is there, and writes when it began and when it ended."""

    def perform(self, job: Job) -> None:
        """Wait for it."""
        began = time.time()
        until(Path(job.args["file"]).exists)
        _moments(Path(job.args["file"]).parent, job.id).write_text(f"{began!r} {time.time()!r}")


class Refused(Worker, name="limit_changes:Refused", concurrency=Concurrency(2, key="key")):
    """Is refused once by the service that it calls, if its job says so."""

    def perform(self, job: Job) -> RateLimited | None:
        """Call it."""
        file = Path(job.args["file"])
        if job.args["is_refused"] and not file.exists():
            file.write_text(repr(time.time()))
            return RateLimited(WAITS)
        return None


def bench(*, short: bool) -> Iterator[Measure]:
    """Each with processes of its own."""
    rounds = 3 if short else 100
    yield from _changed(2 if short else 8, rounds)
    yield from _freed(rounds)
    yield from _refused(2 if short else 8, 2 if short else 20)


@contextmanager
def _nodes(*queues: str) -> Iterator[tuple[AntQ, Path]]:
    """Run a process with one slot for each of *queues*; yield an application without queues."""
    with new_folder() as folder, ExitStack() as opened:
        controls = []
        for queue in queues:
            control, theirs = _spawn.Pipe()
            process = _spawn.Process(target=_node, args=(theirs, str(Path(folder, "store")), queue))
            process.start()
            opened.callback(process.join)
            opened.callback(control.close)
            theirs.close()
            controls.append(control)
        for control in controls:
            control.recv()
        with AntQ(Path(folder, "store"), start_queues=False) as app:
            yield app, Path(folder)


def _node(control: Connection, path: str, queue: str) -> None:
    with AntQ(path, queues={queue: QueueConfig(1)}, retention=None):
        control.send("up")
        try:
            control.recv()  # until the other side is closed
        except EOFError:
            return


def _changed(nodes: int, rounds: int) -> Iterator[Measure]:
    """Raise a limit so that each process may run a job, and lower it again."""
    late = []
    with _nodes(*["default"] * nodes) as (app, folder):
        limit = app.limit(Held.antq_name)
        for number in range(rounds):
            file = folder / f"go {number}"
            jobs = app.enqueue_many(Held, [{"file": str(file)}] * nodes)
            until(lambda: app.count_jobs(status="running") == 1)
            began = time.time()
            limit.set(limit=nodes)
            until(lambda: app.count_jobs(status="running") == nodes)
            limit.set(limit=1)
            file.touch()
            app.wait_idle(timeout=60)
            late.append(1e3 * (max(_lasted(folder, job)[0] for job in jobs) - began))
    name = f"a limit is raised, all of {nodes} processes have started"
    yield Measure(f"{name}, p50", "ms", [at(0.5, late)])
    yield Measure(f"{name}, p99", "ms", [at(0.99, late)], "<= 70")


def _freed(rounds: int) -> Iterator[Measure]:
    """Let a job end for which one of a queue waits that only another process runs."""
    late = []
    with _nodes("default", "other") as (app, folder):
        for number in range(rounds):
            files = [str(folder / f"go {number} {queue}") for queue in ("default", "other")]
            first = app.enqueue(Held, {"file": files[0]})
            until(lambda: app.count_jobs(status="running") == 1)
            second = app.enqueue(Held, {"file": files[1]}, queue="other")
            time.sleep(0.1)  # until the other process has looked at it, and waits
            for file in reversed(files):
                Path(file).touch()
            app.wait_idle(timeout=60)
            late.append(1e3 * (_lasted(folder, second.id)[0] - _lasted(folder, first.id)[1]))
    yield Measure("a place is free, taken by another process, p50", "ms", [at(0.5, late)])
    yield Measure("a place is free, taken by another process, p99", "ms", [at(0.99, late)], "<= 70")


def _refused(nodes: int, rounds: int) -> Iterator[Measure]:
    """Let a service refuse one key, while jobs of another key are there as well."""
    late, others = [], []
    with _nodes(*["default"] * nodes) as (app, folder):
        for number in range(rounds):
            file = folder / f"refused {number}"
            args = {"file": str(file), "is_refused": True, "key": "refused"}
            (first,) = app.enqueue_many(Refused, [args])
            until(file.exists)
            until(lambda job=first: app.get_job(job).status == "enqueued")  # type: ignore[misc]
            closed = time.time()
            those = app.enqueue_many(Refused, [args] * 10)
            open_ones = app.enqueue_many(Refused, [{**args, "key": "open"}] * 10)
            app.wait_idle(timeout=60)
            opens = float(file.read_text()) + WAITS
            late.append(1e3 * (min(_started(app, job) for job in (first, *those)) - opens))
            others.append(1e3 * (max(_started(app, job) for job in open_ones) - closed))
    yield Measure("refused: the key opens, its first start, earliest", "ms", [min(late)], "> 0")
    yield Measure("refused: the key opens, its first start, p99", "ms", [at(0.99, late)], "<= 70")
    yield Measure("  ten jobs of another key meanwhile, all started, p50", "ms", [at(0.5, others)])


def _moments(folder: Path, job: int) -> Path:
    """Return the file in which a job writes when it was performed."""
    return folder / f"moments of {job}"


def _lasted(folder: Path, job: int) -> tuple[float, float]:
    began, ended = map(float, _moments(folder, job).read_text().split())
    return began, ended


def _started(app: AntQ, job: int) -> float:
    started = app.get_job(job).started_at
    if started is None:
        raise RuntimeError(f"job {job} did not start")
    return started.timestamp()


if __name__ == "__main__":
    main(__doc__, bench)
