"""Dramatiq on Redis: as many processes as cores, which share the threads.

A message is acknowledged after it was performed: at least once. There is no way to enqueue many at
once.
"""

from __future__ import annotations

import math
import os
import sys
from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from peers.contract import EMAIL, Setup
from peers.on_redis import RedisPeer

SETUP = Setup.from_environment()
broker = RedisBroker(url=SETUP.url)
dramatiq.set_broker(broker)


class Gate(dramatiq.Middleware):
    """Has each worker process wait for the others before it takes a message."""

    def before_worker_boot(self, *_: Any) -> None:
        """Wait."""
        PEER.wait_at_gate()


broker.add_middleware(Gate())


@dramatiq.actor
def noop(number: int, email: str) -> None:  # noqa: ARG001 - as all contestants' jobs have it
    """Note that it is performed."""
    SETUP.journal.note(number)


class Dramatiq(RedisPeer):
    """Its own command runs the workers."""

    def enqueue(self, number: int) -> None:
        """Enqueue one."""
        noop.send(number, EMAIL)

    def is_done(self) -> bool:
        """Ask for messages that are not acknowledged."""
        return not self.redis.hlen("dramatiq:default.msgs")

    def processes(self, concurrency: int) -> int:
        """Return the number of cores, or less."""
        return min(os.cpu_count() or 1, concurrency)

    def commands(self, concurrency: int) -> list[list[str]]:
        """Start the command."""
        processes = self.processes(concurrency)
        threads = math.ceil(concurrency / processes)
        options = ["--processes", str(processes), "--threads", str(threads), "--skip-logging"]
        return [[sys.executable, "-m", "dramatiq", *options, "peers.dramatiq"]]


PEER = Dramatiq(SETUP)
