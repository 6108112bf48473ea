"""The executor ``async``: coroutines on one event loop for each queue, a task for each attempt.

The loop has a thread of its own and an actor that owns it. A timeout, a cancellation and a stop
cancel the task. What a job raises anywhere on the loop, or does to it, fails that job alone (see
`job_tasks.py`). One that blocks the loop stops all others of its queue, so it is looked for, and
named with its stack.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from antq_actors.executors import job_tasks
from antq_actors.executors.base import ASYNC, Health, NotReady, attempt_runner
from antq_actors.executors.loop_thread import JOIN_TIMEOUT_SECONDS, LoopThread
from antq_actors.jobs.attempt_error import describe, trace
from antq_actors.jobs.outcome import Failed, Interrupted
from antq_actors.otp.actors.gen_server import GenServer
from antq_actors.otp.kernel import abandoned
from antq_actors.otp.kernel.reasons import ExitReason, Shutdown
from antq_actors.otp.messaging import timers

if TYPE_CHECKING:
    from antq_actors.executors.base import Done, Settings
    from antq_actors.executors.job_tasks import Owner
    from antq_actors.jobs.outcome import NotRun, Outcome
    from antq_actors.jobs.perform import Attempt
    from antq_actors.otp.kernel.child_spec import ChildSpec
    from antq_actors.otp.kernel.ref import ServerRef

log: Final = logging.getLogger("antq_actors.executors")

BLOCKED_AFTER: Final = 1.0
"""Seconds in which a loop that runs attempts has to come round once."""

_CANCELLED: Final = (asyncio.CancelledError,)


class LoopExecutor:
    """Runs the coroutines of one queue, as many at once as it has slots."""

    kind = ASYNC

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._loop: LoopThread | None = None

    def child(self) -> ChildSpec:
        """Describe the actor that owns the loop."""
        return LoopActor.child_spec(
            self, name=self._settings.name, shutdown=2 * JOIN_TIMEOUT_SECONDS
        )

    def start(self, attempt: Attempt, done: Done) -> LoopHandle:
        """Have the loop start an attempt. Raises NotReady while there is none."""
        loop = self._loop
        if loop is None or loop.closing:
            raise NotReady("the event loop is being restarted")
        handle = LoopHandle(attempt, done, loop)
        loop.submit(handle)
        return handle

    def resize(self, concurrency: int) -> None:
        """Do nothing: a loop takes any number."""

    def health(self) -> Health:
        """Say how many attempts the loop has, and whether it comes round."""
        loop = self._loop
        if loop is None:
            return Health(ASYNC, 0, "its event loop is being restarted")
        blocked = loop.blocked_for()
        how = "1 event loop" if blocked < BLOCKED_AFTER else f"blocked for {blocked:.1f} s"
        return Health(ASYNC, len(loop.attempts), how)

    def open(self) -> LoopThread:
        """Make the loop, and start attempts there from now on."""
        self._loop = loop = LoopThread(self._settings)
        return loop

    def close(self) -> None:
        """Start nothing more."""
        self._loop = None


class LoopHandle:
    """One attempt, a task on the loop, and all tasks and callbacks that come of it."""

    __slots__ = (
        "_blamed",
        "_done",
        "_is_killed",
        "_loop",
        "attempt",
        "has_ended",
        "stop_requested",
        "task",
    )

    def __init__(self, attempt: Attempt, done: Done, loop: LoopThread) -> None:
        self.attempt = attempt
        self._done = done
        self._loop = loop
        self.task: asyncio.Task[None] | None = None
        self.stop_requested = False
        self._is_killed = False
        self.has_ended = False
        self._blamed: BaseException | None = None

    def __str__(self) -> str:
        job = self.attempt.job
        return f"job #{job.id} ({job.spec.worker})"

    def interrupt(self) -> None:
        """Cancel the task."""
        if not self.stop_requested:
            self.stop_requested = True
            self._loop.call(self._cancel)

    def kill(self) -> bool:
        """Cancel the task: nothing is stronger. What it still says is not heard."""
        self._is_killed = True
        self.interrupt()
        return False

    def blame(self, error: BaseException) -> None:
        """Fail by *error*, which one of its tasks or callbacks raised; in the loop's thread."""
        if self._blamed is None and not self.has_ended:
            self._blamed = error
            self._loop.call(self._cancel)  # in no job's name

    def _cancel(self) -> None:
        if self.task is not None:
            self.task.cancel()

    def _locate(self) -> None:
        """Note where the attempt is; in any thread."""
        task = self.task
        if task is not None:
            self.attempt.control.place = self._loop.place_of(self, task)

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """Become a task; in the loop's thread."""
        if self.stop_requested:
            self.end(None)
        else:
            self.task = job_tasks.new_task(self._run(), self, loop)
            self.attempt.control.on_locate = self._locate

    async def _run(self) -> None:
        end: Outcome | None
        try:
            end = await attempt_runner(
                self.attempt,
                clock=self._loop.clock,
                propagate=_CANCELLED,
                is_abandoned=self._is_abandoned,
            ).run_async()
        except asyncio.CancelledError:
            end = self._why_cancelled()
        error = self._blamed
        is_failure = isinstance(end, Failed) and end.retry_in is not None
        if error is not None and not (self.stop_requested or self.has_ended or is_failure):
            failed = Failed(describe(error), trace(error), None, type(error).__name__)
            attempt = self.attempt._replace(failed=failed, exception=error)
            end = await attempt_runner(attempt, clock=self._loop.clock).run_async()
        self.end(end)

    def _is_abandoned(self) -> bool:
        return self._is_killed or self.has_ended

    def _why_cancelled(self) -> Outcome | None:
        if self.stop_requested:
            return None
        if self._loop.closing:
            return Interrupted("its event loop was stopped")
        # Of something that it awaited, and others cancelled.
        return Failed("CancelledError", None, None, "CancelledError")

    def end(self, end: Outcome | NotRun | None) -> None:
        """Report how the attempt ended."""
        self.has_ended = True
        self.task = None  # its context holds this attempt
        self.attempt.control.on_locate = None  # so does this
        self._loop.attempts.discard(self)
        self._done(end)


class _LoopEnded(NamedTuple):
    """The loop's thread came to its end."""


class _Blocked(NamedTuple):
    """The loop does not come round."""


class LoopActor(GenServer):
    """Owns the event loop of one queue: starts it, watches it, and ends it."""

    def __init__(self, executor: LoopExecutor) -> None:
        super().__init__()
        self._executor = executor
        self._said: Owner | None = None

    def init(self) -> None:
        """Start the loop."""
        loop = self._loop = self._executor.open()
        self._otp_cell.watch(self, self._on_end)
        ref = self.ref
        loop.start(lambda: ref.deliver(_LoopEnded()))
        timers.send_when(ref, _Blocked(), self._is_blocked, every=self._until_next_look)

    def handle_info(self, message: Any) -> None:
        """Crash when the loop has ended; say which job blocks it."""
        match message:
            case _LoopEnded():
                raise RuntimeError("the event loop ended") from self._loop.ended
            case _Blocked():
                self._say_who_blocks()
            case _:
                super().handle_info(message)

    def terminate(self, reason: ExitReason) -> None:  # noqa: ARG002 - every end is the same
        """End the loop. A job that blocks it is given up with its thread."""
        self._executor.close()
        if not self._loop.stop():
            abandoned.add(self._otp_cell, self._loop.thread)
            log.warning(
                "the event loop of queue %r does not end; its thread is given up", self._loop.queue
            )

    def _on_end(self, _ref: ServerRef, reason: ExitReason) -> None:
        self._executor.close()
        how = "was stopped" if isinstance(reason, Shutdown) else "ended"
        self._loop.lose(f"its event loop {how}")

    def _until_next_look(self) -> float:
        return BLOCKED_AFTER / 2

    def _is_blocked(self) -> bool:
        self._loop.ping()
        return self._loop.blocked_for() >= BLOCKED_AFTER

    def _say_who_blocks(self) -> None:
        owner, stack = self._loop.what_it_runs()
        if self._loop.blocked_for() < BLOCKED_AFTER or owner is self._said:
            return
        self._said = owner
        log.warning(
            "%s has blocked the event loop of queue %r for %.1f s, and %d jobs wait for it; await"
            " instead, or use asyncio.to_thread or executor='process'. It is at:\n%s",
            owner or "something",
            self._loop.queue,
            self._loop.blocked_for(),
            len(self._loop.attempts) - 1,
            stack,
        )
