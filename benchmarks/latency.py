"""How long a new job takes from ``perform_async`` to ``perform``, on a system that is idle."""

from __future__ import annotations

import functools
import statistics
import threading
import time
from typing import TYPE_CHECKING, ClassVar

from measure import PATIENCE, Measure, application, main, until

from antq_actors import AntQ, Job, Status, Worker

if TYPE_CHECKING:
    from collections.abc import Iterator


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
    jobs, rounds = (20, 1) if short else (500, 5)
    for durable in (True, False):
        sorted_rounds = [_latencies(jobs, durable=durable) for _ in range(rounds)]
        kind = "durable" if durable else "volatile"
        goals = {"p50": "< 2", "p99": "", "max": ""} if durable else {}
        for name, position in (("p50", 0.5), ("p99", 0.99), ("max", 1.0)):
            yield Measure(
                f"perform_async to perform, idle, {kind}, {name}",
                "ms",
                [_at(position, latencies) for latencies in sorted_rounds],
                goals.get(name, ""),
            )


def _latencies(jobs: int, *, durable: bool) -> list[float]:
    """Answer them in milliseconds, sorted."""
    with application(durable=durable) as app:
        for _ in range(10):
            _latency(app)
        return sorted(_latency(app) for _ in range(jobs))


def _latency(app: AntQ) -> float:
    Note.performed.clear()
    began = time.perf_counter()
    job = Note.perform_async()
    if not Note.performed.wait(PATIENCE):
        raise TimeoutError(f"job {job.id} was not performed in {PATIENCE:g} s")
    milliseconds = (Note.began - began) * 1_000
    # Only when the outcome is stored is the system idle again.
    until(functools.partial(_is_completed, app, job.id))
    return milliseconds


def _is_completed(app: AntQ, job_id: int) -> bool:
    return app.get_worker(job_id).status is Status.COMPLETED


def _at(position: float, latencies: list[float]) -> float:
    if position == 0.5:
        return statistics.median(latencies)
    return latencies[min(len(latencies) - 1, int(position * len(latencies)))]


if __name__ == "__main__":
    main(__doc__, bench)
