"""RQ on Redis: a ``SimpleWorker`` process for each job at once, which does not fork for every job.

Results are not kept. A job that was taken is in a registry until it has ended, from which it is
failed, not performed again, when its worker dies.
"""

from __future__ import annotations

import json
import sys

from rq import Queue, SimpleWorker

from peers.contract import EMAIL, Setup
from peers.on_redis import RedisPeer

SETUP = Setup.from_environment()


def noop(number: int, email: str) -> None:  # noqa: ARG001 - as all contestants' jobs have it
    """Note that it is performed."""
    SETUP.journal.note(number)


class Rq(RedisPeer):
    """Its concurrency is processes."""

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self.queue = Queue(connection=self.redis)

    def enqueue(self, number: int) -> None:
        """Enqueue one."""
        self.queue.enqueue(noop, number, EMAIL, result_ttl=0)

    def enqueue_many(self, numbers: range) -> None:
        """Enqueue in pipelines of a thousand."""
        for first in numbers[::1_000]:
            some = range(first, min(first + 1_000, numbers.stop))
            self.queue.enqueue_many(
                [Queue.prepare_data(noop, (number, EMAIL), result_ttl=0) for number in some]
            )

    def is_done(self) -> bool:
        """Ask for jobs that wait or run."""
        return not self.queue.count and not self.queue.started_job_registry.count

    def processes(self, concurrency: int) -> int:
        """Return one for each."""
        return concurrency

    def commands(self, concurrency: int) -> list[list[str]]:
        """Start one for each."""
        task = json.dumps({"work": 1})
        return [[sys.executable, "-m", "peers", "rq", task]] * concurrency

    def work(self, concurrency: int) -> None:  # noqa: ARG002 - it is always 1
        """Be one worker, as ``rq worker -w rq.SimpleWorker`` is."""
        worker = SimpleWorker([self.queue], connection=self.redis)
        self.wait_at_gate()
        worker.work(logging_level="WARNING")


PEER = Rq(SETUP)
