"""The job that does nothing, and how a backlog of it is drained."""

from __future__ import annotations

import itertools
import threading
from typing import TYPE_CHECKING, ClassVar

from measure import TIMEOUT_SECONDS, rate, until

from antq_actors import AntQ, Job, Status, Worker

if TYPE_CHECKING:
    from collections.abc import Iterator


class Noop(Worker):
    """Counts that it was performed, and does nothing else."""

    numbers: ClassVar[Iterator[int]] = itertools.count(1)
    last: ClassVar[int] = 0
    all_performed: ClassVar[threading.Event] = threading.Event()

    @classmethod
    def expect(cls, jobs: int) -> None:
        """Set ``all_performed`` when so many more jobs were performed."""
        cls.all_performed.clear()
        cls.numbers, cls.last = itertools.count(1), jobs

    def perform(self, job: Job) -> None:  # noqa: ARG002 - it does nothing
        """Count."""
        if next(self.numbers) == self.last:
            self.all_performed.set()


def drain(app: AntQ, jobs: int) -> float:
    """Return the jobs/s at which a backlog of *jobs* is performed and known to be completed."""
    queue = app.queue(app.default_queue)
    queue.pause()
    app.enqueue_many(Noop, ({"number": number} for number in range(jobs)))
    Noop.expect(jobs)
    before = app.count_jobs(status=Status.COMPLETED)

    def work() -> None:
        queue.resume()
        if not Noop.all_performed.wait(TIMEOUT_SECONDS):
            raise TimeoutError(f"{jobs} jobs were not performed in {TIMEOUT_SECONDS:g} s")
        # Asked only now, so that it disturbs nothing: the last outcomes are still to be stored.
        until(lambda: app.count_jobs(status=Status.COMPLETED) == before + jobs)

    return rate(jobs, work)
