"""Queues end without harm to their jobs: they claim nothing more, and what runs comes to its end.

So does an application that stops, see ``runtime.py``; and so does a node that is drained from
outside, while its process goes on without queues.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from antq_actors.errors import AntqError
from antq_actors.otp.kernel.errors import CallExit, OtpError
from antq_actors.otp.messaging import calls
from antq_actors.otp.messaging.requests import send_request
from antq_actors.otp.supervision.supervisor import Supervisor
from antq_actors.queues.messages import Drain, GetRunning
from antq_actors.queues.running_attempts import INTERRUPTION_TIMEOUT_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from threading import RLock

    from antq_actors.otp.kernel.cell import ServerRef
    from antq_actors.queues.node import QueueNode

log: Final = logging.getLogger("antq_actors.app")

RUNNING_TIMEOUT_SECONDS: Final = 1.0
"""How long a queue has to say what it runs."""

STORE_TIMEOUT_SECONDS: Final = 10.0
"""Seconds beyond what jobs may take: for the store, and for a machine that is busy."""

DRAIN_SECONDS: Final = 30 * 86_400.0
"""How long running jobs have while a node is drained from outside: that is to interrupt none."""


def drain(queues: Sequence[str], timeout: float, *, wait: bool = True) -> None:
    """Have the application's queue actors claim no more jobs, and wait until none of them runs.

    What runs after *timeout* seconds is interrupted, and given back at the latest
    ``INTERRUPTION_TIMEOUT_SECONDS`` after that.
    """
    if not wait:
        for queue in queues:
            calls.cast(queue, Drain(timeout))
        return
    deadline = time.monotonic() + timeout + INTERRUPTION_TIMEOUT_SECONDS + STORE_TIMEOUT_SECONDS
    requests = [(queue, send_request(queue, Drain(timeout))) for queue in queues]
    for queue, request in requests:
        try:
            request.wait(max(0.0, deadline - time.monotonic()))
        except CallExit as error:
            # Its successor gives its jobs back; there is no need to wait for that.
            log.warning("%s ended before it was drained: %s", queue, error)


def running_jobs(queues: Sequence[str]) -> tuple[int, ...]:
    """Return the ids of the jobs that run in the application's queues, as their actors reply."""
    found: list[int] = []
    deadline = time.monotonic() + RUNNING_TIMEOUT_SECONDS
    for request in [send_request(queue, GetRunning()) for queue in queues]:
        with suppress(CallExit):  # it is being restarted, or has stopped
            found += request.wait(max(0.0, deadline - time.monotonic()))
    return tuple(sorted(found))


def stop_queues(root: ServerRef, node: QueueNode) -> None:
    """Stop what enqueues periodic jobs and what runs jobs; then the process is no node any more."""
    for child in ("cron", "queues"):
        with suppress(OtpError):
            Supervisor.terminate_child(root, child)
    with suppress(AntqError):
        node.cancel_abandoned()
    with suppress(AntqError):
        node.close()


class NodeDrain:
    """A node that is drained from outside, once that was asked for.

    *end* is called when none of its jobs runs any more, in a thread of the drain.
    """

    def __init__(
        self, queues: Callable[[], Sequence[str]], changing: RLock, end: Callable[[], bool]
    ) -> None:
        self._queues = queues
        self._changing = changing
        self._end = end
        self._has_begun = False
        self._waiters: list[Callable[[], object]] = []

    def begin(self) -> int:
        """Have the queues claim nothing more; return how many jobs run, and wait for none."""
        queues = self._queues()
        if not queues:
            return 0
        with self._changing:
            is_first, self._has_begun = not self._has_begun, True
        running = running_jobs(queues)
        if is_first:
            log.info("the node is drained: it claims nothing more, and %d jobs run", len(running))
            threading.Thread(
                target=self._run, args=[queues], name="antq drain", daemon=True
            ).start()
        return len(running)

    def when_done(self, call: Callable[[], object]) -> None:
        """Have *call* called, in another thread, when the node has been drained."""
        self._waiters.append(call)

    def _run(self, queues: Sequence[str]) -> None:
        drain(queues, DRAIN_SECONDS)
        with self._changing:
            if not self._end():
                return
        log.info("the node is drained: this process runs no queues any more")
        for call in self._waiters:
            call()
