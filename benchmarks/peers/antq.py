"""antq_actors itself.

``embedded``: jobs are performed in the process that enqueues them, which is how it is meant to be
used and, without a path, the only way. Otherwise a process of its own performs them, as with most
peers.
"""

from __future__ import annotations

import time
from os import getpid

from antq_actors import AntQ, Job, Worker
from peers.contract import EMAIL, Peer, Setup, Workers
from peers.processes import memory_of

SETUP = Setup.from_environment()
EMBEDDED = SETUP.variant == "embedded"
PATH = SETUP.folder / "store" if SETUP.durable else None


class Noop(Worker):
    """Notes that it is performed."""

    def perform(self, job: Job) -> None:
        """Note it."""
        SETUP.journal.note(job.args["number"])


class Antq(Peer):
    """An application that enqueues, and one that performs; embedded they are the same."""

    has_processes = not EMBEDDED

    def open(self, *, perform: bool) -> None:
        """Start it; the queue of an embedded one is paused, so that nothing is performed yet."""
        self.app = AntQ(PATH, start_queues=perform and EMBEDDED).start()
        if EMBEDDED:
            self.app.queue("default").pause()

    def enqueue(self, number: int) -> None:
        """Enqueue one."""
        Noop.perform_async({"number": number, "email": EMAIL})

    def enqueue_many(self, numbers: range) -> None:
        """Enqueue them as a stream."""
        self.app.enqueue_many(Noop, ({"number": n, "email": EMAIL} for n in numbers))

    def is_done(self) -> bool:
        """Ask the counts."""
        return not self.app.count_jobs(status=["enqueued", "running"])

    def close(self) -> None:
        """Stop it."""
        self.app.stop()

    def start_workers(self, concurrency: int, *, gated: bool) -> Workers:
        """Resume the queue of this process, or start another process."""
        if not EMBEDDED:
            return super().start_workers(concurrency, gated=gated)
        return Embedded(self.app, concurrency)

    def work(self, concurrency: int) -> None:
        """Be the other process."""
        AntQ(PATH, queues={"default": concurrency}).run()


class Embedded:
    """The queue of this process, as workers that can be started and stopped."""

    def __init__(self, app: AntQ, concurrency: int) -> None:
        self._app = app
        app.queue("default").set_concurrency(concurrency)
        self.started = time.perf_counter()
        app.queue("default").resume()

    def check(self) -> None:
        """Do nothing: an application that died says so when it is asked for something."""

    def memory(self) -> float | None:
        """Return the memory of this process."""
        return memory_of([getpid()])

    def stop(self) -> float | None:
        """Stop the application."""
        began = time.perf_counter()
        self._app.stop()
        return time.perf_counter() - began


PEER = Antq(SETUP)
