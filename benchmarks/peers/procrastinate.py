"""Procrastinate on PostgreSQL: one process, jobs are asynchronous tasks of one event loop.

It listens for new jobs. A job stays in the database and is marked when it has ended: at least once,
if a task that retries stalled jobs is added.
"""

from __future__ import annotations

import procrastinate

from peers.contract import EMAIL, Setup
from peers.on_postgresql import PostgresqlPeer

SETUP = Setup.from_environment()
app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=SETUP.url))


@app.task(name="noop")
async def noop(number: int, email: str) -> None:  # noqa: ARG001 - as all contestants' jobs have it
    """Note that it is performed."""
    SETUP.journal.note(number)


class Procrastinate(PostgresqlPeer):
    """Enqueues with its synchronous connector, performs with the asynchronous one."""

    unfinished = "select 1 from procrastinate_jobs where status in ('todo', 'doing') limit 1"

    def open(self, *, perform: bool) -> None:
        """Make its tables."""
        super().open(perform=perform)
        app.open()
        app.schema_manager.apply_schema()

    def enqueue(self, number: int) -> None:
        """Enqueue one."""
        noop.defer(number=number, email=EMAIL)

    def enqueue_many(self, numbers: range) -> None:
        """Enqueue a thousand in one statement."""
        for first in numbers[::1_000]:
            some = range(first, min(first + 1_000, numbers.stop))
            noop.batch_defer(*({"number": number, "email": EMAIL} for number in some))

    def close(self) -> None:
        """Close both."""
        app.close()
        super().close()

    def work(self, concurrency: int) -> None:
        """Be the worker, as ``procrastinate worker --concurrency N`` is."""
        app.run_worker(concurrency=concurrency)


PEER = Procrastinate(SETUP)
