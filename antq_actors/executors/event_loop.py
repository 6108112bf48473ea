"""The executor ``async``: coroutines on one event loop for each queue, a task for each attempt.

The loop has a thread of its own and an actor that owns it. A timeout, a cancellation and a stop
cancel the task. What a job raises anywhere on the loop, or does to it, fails that job alone (see
`loop_thread.py`). A job that blocks the loop stops all others of its queue, so it is detected, and
logged with its stack.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from antq_actors.events import ExecutorDied, ExecutorStarted
from antq_actors.executors.base import ASYNC, Health, NotReady
from antq_actors.executors.loop_thread import JOIN_TIMEOUT_SECONDS, LoopHandle, LoopThread
from antq_actors.otp.actors.gen_server import GenServer
from antq_actors.otp.kernel.reasons import ExitReason, Shutdown
from antq_actors.otp.kernel.stopping import add_abandoned
from antq_actors.otp.messaging import timers

if TYPE_CHECKING:
    from antq_actors.events import Event
    from antq_actors.executors.base import Done, Settings
    from antq_actors.executors.loop_thread import AttemptOwner
    from antq_actors.jobs.perform import Attempt
    from antq_actors.otp.kernel.cell import ServerRef
    from antq_actors.otp.kernel.child_spec import ChildSpec

log: Final = logging.getLogger("antq_actors.executors")

BLOCKED_AFTER_SECONDS: Final = 1.0
"""In which a loop that runs attempts has to come round once."""


class LoopExecutor:
    """Runs the coroutines of one queue, as many at once as it has slots."""

    kind = ASYNC

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._loop: LoopThread | None = None

    def child(self) -> ChildSpec:
        """Return the spec of the actor that owns the queue's event loop."""
        return LoopActor.child_spec(
            self, name=self._settings.name, shutdown=2 * JOIN_TIMEOUT_SECONDS
        )

    def start(self, attempt: Attempt, done: Done) -> LoopHandle:
        """Hand an attempt to the event loop's thread. Raises NotReady while there is no loop."""
        loop = self._loop
        if loop is None or loop.closing:
            raise NotReady("the event loop is being restarted")
        handle = LoopHandle(attempt, done, loop)
        loop.submit(handle)
        return handle

    def tell(self, type_: type[Event], **values: str) -> None:
        """Publish what became of the event loop."""
        self._settings.tell(type_, kind=ASYNC, pid=os.getpid(), **values)

    def resize(self, concurrency: int) -> None:
        """Do nothing: an event loop runs any number of attempts."""

    def health(self) -> Health:
        """Return how many attempts the event loop has, and for how long a job has blocked it."""
        loop = self._loop
        if loop is None:
            return Health(ASYNC, 0, "its event loop is being restarted")
        blocked = loop.blocked_for()
        how = "1 event loop" if blocked < BLOCKED_AFTER_SECONDS else f"blocked for {blocked:.1f} s"
        return Health(ASYNC, len(loop.attempts), how)

    def open(self) -> LoopThread:
        """Make the queue's event loop, not yet its thread; attempts start there from now on."""
        self._loop = loop = LoopThread(self._settings)
        return loop

    def close(self) -> None:
        """Forget the event loop, so that no attempt starts there any more."""
        self._loop = None


class _LoopEnded(NamedTuple):
    """The loop's thread came to its end."""


class _Blocked(NamedTuple):
    """The loop does not come round."""


class LoopActor(GenServer):
    """Owns the event loop of one queue: starts it, watches it, and ends it."""

    def __init__(self, executor: LoopExecutor) -> None:
        super().__init__()
        self._executor = executor
        self._last_blocker: AttemptOwner | None = None

    def init(self) -> None:
        """Start the thread of the queue's event loop, and a timer that checks for blocking jobs."""
        loop = self._loop = self._executor.open()
        self._otp_cell.watch(self, self._on_end)
        ref = self.ref
        loop.start(lambda: ref.deliver(_LoopEnded()))
        self._executor.tell(ExecutorStarted)
        timers.send_when(ref, _Blocked(), self._is_blocked, every=self._check_interval)

    def handle_info(self, message: Any) -> None:
        """Crash when the event loop has ended; log which job blocks it."""
        match message:
            case _LoopEnded():
                raise RuntimeError("the event loop ended") from self._loop.ended
            case _Blocked():
                self._log_what_blocks()
            case _:
                super().handle_info(message)

    def terminate(self, reason: ExitReason) -> None:  # noqa: ARG002 - every end is the same
        """Stop the event loop and join its thread; abandon the thread if a job blocks it."""
        self._executor.close()
        if not self._loop.stop():
            add_abandoned(self._otp_cell, self._loop.thread)
            log.warning(
                "the event loop of queue %r does not end; its thread is abandoned", self._loop.queue
            )

    def _on_end(self, _ref: ServerRef, reason: ExitReason) -> None:
        self._executor.close()
        how = "was stopped" if isinstance(reason, Shutdown) else "ended"
        if not isinstance(reason, Shutdown):
            self._executor.tell(ExecutorDied, reason=f"its event loop ended: {reason}")
        self._loop.abandon(f"its event loop {how}")

    def _check_interval(self) -> float:
        return BLOCKED_AFTER_SECONDS / 2

    def _is_blocked(self) -> bool:
        self._loop.ping()
        return self._loop.blocked_for() >= BLOCKED_AFTER_SECONDS

    def _log_what_blocks(self) -> None:
        owner, stack = self._loop.current_owner()
        if self._loop.blocked_for() < BLOCKED_AFTER_SECONDS or owner is self._last_blocker:
            return
        self._last_blocker = owner
        log.warning(
            "%s has blocked the event loop of queue %r for %.1f s, and %d jobs wait for it; await"
            " instead, or use asyncio.to_thread or executor='process'. It is at:\n%s",
            owner or "something",
            self._loop.queue,
            self._loop.blocked_for(),
            len(self._loop.attempts) - 1,
            stack,
        )
