"""Huey on SQLite: its consumer with threads.

A job is taken out of the database before it is performed, and nothing of it is left there, not even
a result: at most once. There is no way to enqueue many at once. An empty queue is polled; with the
default of up to 10 s between two looks latency would be seconds, so here it is 10 to 20 ms.
"""

from __future__ import annotations

import signal

import huey

from peers.contract import EMAIL, Peer, Setup

SETUP = Setup.from_environment()
queue = huey.SqliteHuey(filename=str(SETUP.folder / "huey.db"), results=False, fsync=SETUP.durable)


@queue.task()
def noop(number: int, email: str) -> None:  # noqa: ARG001 - as all contestants' jobs have it
    """Note that it is performed."""
    SETUP.journal.note(number)


class Huey(Peer):
    """The database is made by importing this."""

    stop_signal = signal.SIGINT  # which is the graceful one

    def open(self, *, perform: bool) -> None:
        """Do nothing more."""

    def enqueue(self, number: int) -> None:
        """Enqueue one."""
        noop(number, EMAIL)

    def fill(self, numbers: range) -> None:
        """Enqueue without waiting for the disk."""
        queue.storage.conn.execute("pragma synchronous=0")
        super().fill(numbers)

    def is_done(self) -> bool:
        """Return True: what was performed was taken out before."""
        return True

    def work(self, concurrency: int) -> None:
        """Be the consumer, as ``huey_consumer -k thread -w N -d 0.01 -m 0.02`` is."""
        queue.create_consumer(
            workers=concurrency, worker_type="thread", initial_delay=0.01, max_delay=0.02
        ).run()


PEER = Huey(SETUP)
