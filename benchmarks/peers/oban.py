"""Oban for Python on PostgreSQL: one process, jobs are asynchronous tasks of one event loop.

It is asynchronous only: a thread that enqueues has a loop and a connection of its own. A job stays
in the database and is marked when it has ended: at least once.
"""

from __future__ import annotations

import asyncio
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import uvloop
from oban import Oban, worker
from oban.schema import install

from peers.contract import EMAIL, Setup
from peers.on_postgresql import PostgresqlPeer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SETUP = Setup.from_environment()


@worker(queue="default")
class Noop:
    """Notes that it is performed."""

    async def process(self, job: Any) -> None:
        """Note it."""
        SETUP.journal.note(job.args["number"])


def a_job(number: int) -> Any:
    """Return a job to enqueue."""
    return Noop.new({"number": number, "email": EMAIL})


class ObanPeer(PostgresqlPeer):
    """Enqueues from loops that run for one call, performs in one that stays."""

    unfinished = "select 1 from oban_jobs where state in ('available', 'executing') limit 1"

    def open(self, *, perform: bool) -> None:
        """Make its tables."""
        super().open(perform=perform)
        self.client = Client(SETUP.url)
        self.client.run(install(self.client.pool))

    @contextmanager
    def producer(self) -> Iterator[Callable[[int], object]]:
        """Give the thread a client."""
        client = Client(SETUP.url)
        try:
            yield client.enqueue
        finally:
            client.close()

    def enqueue(self, number: int) -> None:
        """Enqueue one."""
        self.client.enqueue(number)

    def enqueue_many(self, numbers: range) -> None:
        """Enqueue a thousand in one statement."""
        for first in numbers[::1_000]:
            some = range(first, min(first + 1_000, numbers.stop))
            self.client.run(self.client.oban.enqueue_many([a_job(number) for number in some]))

    def close(self) -> None:
        """Close both."""
        self.client.close()
        super().close()

    def work(self, concurrency: int) -> None:
        """Be the worker, as ``oban start --queues default:N`` is."""
        uvloop.run(_work(concurrency))


class Client:
    """An Oban without queues, on a loop and a connection of its own."""

    def __init__(self, url: str) -> None:
        self._loop = uvloop.new_event_loop()
        self.pool = self.run(Oban.create_pool(url, min_size=1, max_size=1))
        self.oban = Oban(pool=self.pool)

    def run(self, coroutine: Any) -> Any:
        """Run it to its end."""
        return self._loop.run_until_complete(coroutine)

    def enqueue(self, number: int) -> None:
        """Enqueue one."""
        self.run(self.oban.enqueue(a_job(number)))

    def close(self) -> None:
        """Close the connection and the loop."""
        self.run(self.pool.close())
        self._loop.close()


async def _work(concurrency: int) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    pool = await Oban.create_pool(SETUP.url)
    async with Oban(pool=pool, queues={"default": concurrency}):
        await stop.wait()
    await pool.close()


PEER = ObanPeer(SETUP)
