"""The end of an application, in its order: drain the queues, then the tree."""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from antq_actors.errors import AntqError
from antq_actors.otp.kernel.errors import CallExit, OtpError
from antq_actors.otp.kernel.reasons import Killed, Shutdown
from antq_actors.otp.messaging import calls
from antq_actors.otp.messaging.links import exit as exit_
from antq_actors.otp.messaging.requests import send_request
from antq_actors.otp.supervision.supervisor import Supervisor
from antq_actors.queues.messages import Drain, GetRunning
from antq_actors.queues.running_attempts import INTERRUPTION_TIMEOUT_SECONDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from antq_actors.otp.kernel.ref import ServerRef
    from antq_actors.queues.node import Node

log: Final = logging.getLogger("antq_actors.app")

ANSWER_TIMEOUT_SECONDS: Final = 1.0
"""How long a queue has to say what it runs."""

STORE_TIMEOUT_SECONDS: Final = 10.0
"""Seconds beyond what jobs may take: for the store, and for a machine that is busy."""


def drain(queues: Sequence[str], timeout: float, *, wait: bool = True) -> None:
    """Have the queue actors claim no more, and wait until nothing runs.

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
    """Return the ids of the jobs that run in these queues, as far as their actors say."""
    found: list[int] = []
    deadline = time.monotonic() + ANSWER_TIMEOUT_SECONDS
    for request in [send_request(queue, GetRunning()) for queue in queues]:
        with suppress(CallExit):  # it is being restarted, or has stopped
            found += request.wait(max(0.0, deadline - time.monotonic()))
    return tuple(sorted(found))


def end(root: ServerRef, node: Node) -> None:
    """Stop the tree: queues first, then this process is no node any more, then the store."""
    with suppress(OtpError):
        Supervisor.terminate_child(root, "queues")
    with suppress(AntqError):
        node.close()
    try:
        calls.stop(root, Shutdown(), timeout=STORE_TIMEOUT_SECONDS + INTERRUPTION_TIMEOUT_SECONDS)
    except CallExit as error:
        if root.is_alive():
            log.error("the supervision tree is abandoned: %s", error)  # noqa: TRY400 - no news in it
            exit_(root, Killed())
