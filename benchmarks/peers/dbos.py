"""DBOS on SQLite: a workflow for each job, performed in one process with threads.

It polls. By default once a second, and starts as many workflows then as its queue may run at once;
tuned, here, a hundred times a second. A workflow's row is in the database before and after: at
least once. It has no settings for SQLite, which by itself waits for the disk.
"""

from __future__ import annotations

import signal
import sqlite3
import threading
from typing import Final

import sqlalchemy
from dbos import DBOS, DBOSClient

from peers.contract import EMAIL, Peer, Setup

SETUP = Setup.from_environment()
DATABASE: Final = SETUP.folder / "dbos.sqlite"
URL: Final = f"sqlite:///{DATABASE}"
VERSION: Final = "bench"
OPTIONS: Final = {"queue_name": "default", "workflow_name": "noop", "app_version": VERSION}
POLL: Final = 0.01 if SETUP.variant == "tuned" else 1.0
"""Seconds between two looks; the second is the default."""

DBOS(
    config={
        "name": "bench",
        "system_database_url": URL,
        "application_version": VERSION,
        "log_level": "ERROR",
    }
)


@DBOS.workflow(name="noop")
def noop(number: int, email: str) -> None:  # noqa: ARG001 - as all contestants' jobs have it
    """Note that it is performed."""
    SETUP.journal.note(number)


class Dbos(Peer):
    """A client enqueues; the database is made by an application that listens to no queue."""

    def open(self, *, perform: bool) -> None:  # noqa: ARG002 - it is all the same
        """Make the tables, and a client."""
        DBOS.listen_queues([])
        DBOS.launch()
        DBOS.destroy()
        self.client = DBOSClient(system_database_url=URL)
        self.engine = sqlalchemy.create_engine(URL)
        self.connection = sqlite3.connect(DATABASE)

    def enqueue(self, number: int) -> None:
        """Enqueue one."""
        self.client.enqueue(OPTIONS, number, EMAIL)

    def enqueue_many(self, numbers: range) -> None:
        """Enqueue a thousand in one transaction."""
        for first in numbers[::1_000]:
            with self.engine.begin() as connection:
                for number in range(first, min(first + 1_000, numbers.stop)):
                    self.client.enqueue_in_transaction(connection, OPTIONS, number, EMAIL)

    def is_done(self) -> bool:
        """Ask for a workflow that waits or runs."""
        unfinished = "select 1 from workflow_status where status in ('ENQUEUED', 'PENDING') limit 1"
        return self.connection.execute(unfinished).fetchone() is None

    def close(self) -> None:
        """Close all."""
        self.connection.close()
        self.engine.dispose()
        self.client.destroy()

    def work(self, concurrency: int) -> None:
        """Be the application."""
        stop = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: stop.set())
        DBOS.launch()
        DBOS.register_queue("default", worker_concurrency=concurrency, polling_interval_sec=POLL)
        stop.wait()
        DBOS.destroy(workflow_completion_timeout_sec=5)


PEER = Dbos(SETUP)
