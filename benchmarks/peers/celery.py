"""Celery on Redis: processes up to 10 at once, threads for more.

Acknowledged late, which makes it at least once; results are ignored. There is no way to enqueue
many at once: a group sends one message after the other.
"""

from __future__ import annotations

import sys
from typing import Final

import celery

from peers.contract import EMAIL, Setup
from peers.on_redis import RedisPeer

MOST_PROCESSES: Final = 10
SETUP = Setup.from_environment()
app = celery.Celery("bench", broker=SETUP.url)
app.conf.update(
    task_acks_late=True,
    task_ignore_result=True,
    worker_send_task_events=False,
    broker_connection_retry_on_startup=True,
)


@app.task
def noop(number: int, email: str) -> None:  # noqa: ARG001 - as all contestants' jobs have it
    """Note that it is performed."""
    SETUP.journal.note(number)


class Celery(RedisPeer):
    """Its own command runs the workers; it takes no message before all its processes are up."""

    def enqueue(self, number: int) -> None:
        """Enqueue one."""
        noop.delay(number, EMAIL)

    def is_done(self) -> bool:
        """Ask for messages that wait or are not acknowledged."""
        return not self.redis.llen("celery") and not self.redis.hlen("unacked")

    def commands(self, concurrency: int) -> list[list[str]]:
        """Start the command."""
        pool = "prefork" if concurrency <= MOST_PROCESSES else "threads"
        options = ["--pool", pool, "--concurrency", str(concurrency), "--loglevel", "ERROR"]
        quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
        return [
            [sys.executable, "-m", "celery", "-A", "peers.celery:app", "worker", *options, *quiet]
        ]


PEER = Celery(SETUP)
