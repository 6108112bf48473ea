"""How long a new job takes from ``perform_async`` to ``perform``: idle, and under half load.

Half load: one thread hands over, every few milliseconds, what a queue that drains its backlog
performs in half that time; another one enqueues the jobs whose latency is noted.
"""

from __future__ import annotations

import functools
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar, Final

import limits
from measure import TIMEOUT_SECONDS, Measure, application, at, kind, main, ratio, until
from noop import Noop, drain

from antq_actors import AntQ, Job, Status, Worker

if TYPE_CHECKING:
    from collections.abc import Iterator

BURST_SECONDS: Final = 0.005
"""Seconds between two hand-overs of the load."""
PAUSE_SECONDS: Final = 0.005
"""Seconds between two jobs whose latency is noted, under load."""
POSITIONS: Final = (("p50", 0.5), ("p99", 0.99), ("max", 1.0))
GOALS: Final = {"p50": "< 1.2", "p99": "< 3"}


class Note(Worker):
    """Notes when it is performed."""

    performed: ClassVar[threading.Event] = threading.Event()
    began: ClassVar[float] = 0.0

    def perform(self, job: Job) -> None:  # noqa: ARG002 - there is nothing in it
        """Note the time, and say so."""
        Note.began = time.perf_counter()
        Note.performed.set()


def bench(*, short: bool) -> Iterator[Measure]:
    """Durable and volatile; each round is one application, after a few jobs to warm up."""
    jobs, drained, rounds = (20, 200, 1) if short else (500, 5_000, 5)
    for durable in (True, False):
        idle, commits = [], []
        for _ in range(rounds):
            commits.append(1_000 / limits.commits(jobs, durable=durable))
            idle.append(_idle(jobs, durable=durable))
        yield from _measures("idle", idle, durable=durable, goals=GOALS if durable else {})
        if durable:
            yield Measure("  one durable commit of raw LMDB, mean", "ms", commits)
            middles = [at(0.5, latencies) for latencies in idle]
            yield ratio("  p50 against one durable commit", middles, commits)
    for durable in (True, False):
        rounds_of_load = [_half_load(jobs, drained, durable=durable) for _ in range(rounds)]
        loaded = [latencies for latencies, _ in rounds_of_load]
        yield from _measures("half load", loaded, durable=durable, goals={})
        carried = [share for _, share in rounds_of_load]
        yield Measure(f"  half load, {kind(durable=durable)}: performed / wanted", "x", carried)


def _measures(
    when: str, by_round: list[list[float]], *, durable: bool, goals: dict[str, str]
) -> Iterator[Measure]:
    for name, position in POSITIONS:
        values = [at(position, latencies) for latencies in by_round]
        what = f"perform_async to perform, {when}, {kind(durable=durable)}, {name}"
        yield Measure(what, "ms", values, goals.get(name, ""))


def _idle(jobs: int, *, durable: bool) -> list[float]:
    with application(durable=durable) as app:
        for _ in range(10):
            _latency()
            _become_idle(app)
        latencies = []
        for _ in range(jobs):
            latencies.append(_latency())
            _become_idle(app)
        return latencies


def _half_load(jobs: int, drained: int, *, durable: bool) -> tuple[list[float], float]:
    """Return the latencies, and which share of the load was performed in the same time."""
    with application(durable=durable, queues={"default": 50}) as app:
        half = drain(app, drained) / 2
        with _load(app, half):
            _latency()
            began, before = time.perf_counter(), app.count_jobs(status=Status.COMPLETED)
            latencies = []
            for _ in range(jobs):
                time.sleep(PAUSE_SECONDS)
                latencies.append(_latency())
            completed = app.count_jobs(status=Status.COMPLETED) - before
            return latencies, completed / (time.perf_counter() - began) / half


@contextmanager
def _load(app: AntQ, jobs_a_second: float) -> Iterator[None]:
    over = threading.Event()

    def produce() -> None:
        began, enqueued = time.perf_counter(), 0
        while not over.wait(BURST_SECONDS):
            due = int((time.perf_counter() - began) * jobs_a_second)
            app.enqueue_many(Noop, ({"number": number} for number in range(enqueued, due)))
            enqueued = due

    producer = threading.Thread(target=produce)
    producer.start()
    try:
        yield
    finally:
        over.set()
        producer.join()


def _latency() -> float:
    """Return the milliseconds from a job's enqueueing to its performing."""
    Note.performed.clear()
    began = time.perf_counter()
    job = Note.perform_async()
    if not Note.performed.wait(TIMEOUT_SECONDS):
        raise TimeoutError(f"job {job.id} was not performed in {TIMEOUT_SECONDS:g} s")
    return (Note.began - began) * 1_000


def _become_idle(app: AntQ) -> None:
    """Wait until the outcome of the last job is stored: only then there is nothing more to do."""
    until(functools.partial(_none_is_left, app))


def _none_is_left(app: AntQ) -> bool:
    return app.count_jobs(status=(Status.ENQUEUED, Status.RUNNING)) == 0


if __name__ == "__main__":
    main(__doc__, bench)
