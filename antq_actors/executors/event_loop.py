"""The executor ``async``: coroutines on one event loop for each queue, a task for each attempt.

The loop has a thread of its own and an actor that owns it. A timeout, a cancellation and a stop
cancel the task. What a job raises anywhere on the loop, or does to it, fails that job alone (see
`job_tasks.py`). One that blocks the loop stops all others of its queue, so it is looked for, and
named with its stack.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
import traceback
from collections import deque
from contextlib import suppress
from contextvars import Context
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from antq_actors.executors import job_tasks
from antq_actors.executors.attempt import perform_async
from antq_actors.executors.choice import ASYNC
from antq_actors.executors.contract import Died, Health, Lost, NotReady, Stopped
from antq_actors.jobs.attempt_error import describe, trace
from antq_actors.jobs.outcome import Failed
from antq_actors.otp import abandoned, timers
from antq_actors.otp.gen_server import GenServer
from antq_actors.otp.reasons import ExitReason, Shutdown

if TYPE_CHECKING:
    from antq_actors.executors.contract import Assignment, Done, End, Settings
    from antq_actors.otp.child_spec import ChildSpec
    from antq_actors.otp.ref import ServerRef

log: Final = logging.getLogger("antq_actors.executors")

BLOCKED_AFTER: Final = 1.0
"""Seconds in which a loop that runs attempts has to come round once."""

_BEGUN_AT_ONCE: Final = 100
_JOIN_TIME: Final = 5.0
_CANCEL_TIMEOUT_SECONDS: Final = 2.5
_ASYNCGENS_TIMEOUT_SECONDS: Final = 1.0
_CANCELLED: Final = (asyncio.CancelledError,)


class LoopExecutor:
    """Runs the coroutines of one queue, as many at once as it has slots."""

    kind = ASYNC

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._loop: _Loop | None = None

    def child(self) -> ChildSpec:
        """Describe the actor that owns the loop."""
        return LoopActor.child_spec(self, name=self._settings.name, shutdown=2 * _JOIN_TIME)

    def start(self, assignment: Assignment, done: Done) -> Attempt:
        """Have the loop start an attempt. Raises NotReady while there is none."""
        loop = self._loop
        if loop is None:
            raise NotReady("the event loop is being restarted")
        attempt = Attempt(assignment, done, loop)
        loop.submit(attempt)
        return attempt

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

    def open(self) -> _Loop:
        """Make the loop, and start attempts there from now on."""
        self._loop = loop = _Loop(self._settings)
        return loop

    def close(self) -> None:
        """Start nothing more."""
        self._loop = None


class Attempt:
    """One attempt, a task on the loop, and all tasks and callbacks that come of it."""

    __slots__ = ("_blamed", "_done", "_loop", "assignment", "has_ended", "task", "told")

    def __init__(self, assignment: Assignment, done: Done, loop: _Loop) -> None:
        self.assignment = assignment
        self._done = done
        self._loop = loop
        self.task: asyncio.Task[None] | None = None
        self.told = False
        self.has_ended = False
        self._blamed: BaseException | None = None

    def __str__(self) -> str:
        job = self.assignment.job
        return f"job #{job.id} ({job.spec.worker})"

    def interrupt(self) -> None:
        """Cancel the task."""
        if not self.told:
            self.told = True
            self._loop.call(self._cancel)

    kill = interrupt  # nothing is stronger than to cancel a task; what it still says is not heard

    def blame(self, error: BaseException) -> None:
        """Fail by *error*, which one of its tasks or callbacks raised; in the loop's thread."""
        if self._blamed is None and not self.has_ended:
            self._blamed = error
            self._loop.call(self._cancel)  # in no job's name

    def _cancel(self) -> None:
        if self.task is not None:
            self.task.cancel()

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """Become a task; in the loop's thread."""
        if self.told:
            self.end(Stopped())
        else:
            self.task = job_tasks.new_task(self._run(), self, loop)

    async def _run(self) -> None:
        end: End
        try:
            end = await perform_async(self.assignment, self._loop.clock, _CANCELLED)
        except asyncio.CancelledError:
            end = self._why_cancelled()
        error = self._blamed
        if error is not None and not self.told and not isinstance(end, Failed):
            end = await perform_async(self._failed_by(error), self._loop.clock, ())
        self.end(end)

    def _why_cancelled(self) -> End:
        if self.told:
            return Stopped()
        if self._loop.closing:
            return Lost("its event loop was stopped")
        return Died("CancelledError")  # of something that it awaited, and others cancelled

    def _failed_by(self, error: BaseException) -> Assignment:
        return self.assignment._replace(
            failure=describe(error), stack_trace=trace(error, skip=__file__)
        )

    def end(self, end: End) -> None:
        """Tell what the attempt came to."""
        self.has_ended = True
        self.task = None  # its context holds this attempt
        self._loop.attempts.discard(self)
        self._done(end)


class _Loop:
    """An event loop in a thread of its own."""

    def __init__(self, settings: Settings) -> None:
        self.clock = settings.clock
        self.queue = settings.queue
        self.attempts: set[Attempt] = set()
        self.ended: BaseException | None = None
        self.closing = False
        self._loop = asyncio.new_event_loop()
        self._ways_to_end = job_tasks.share(self._loop, settings.queue)
        self._context = Context()
        """Of what is called here for no job."""
        self._waiting: deque[Attempt] = deque()
        self._pinged: float | None = None
        """Since when the loop owes an answer, on the monotonic clock."""
        self.thread = threading.Thread(
            target=self._run, name=f"antq-loop-{settings.queue}", daemon=True
        )

    def start(self, ended: Any) -> None:
        """Start the thread; *ended* is called in it, at its end."""
        self._ended = ended
        self.thread.start()

    def submit(self, attempt: Attempt) -> None:
        """Have the loop begin an attempt soon."""
        self.attempts.add(attempt)
        self._waiting.append(attempt)
        if len(self._waiting) == 1:  # else the loop was told, and has not looked yet
            self.call(self._begin_all)

    def call(self, fn: Any) -> None:
        """Have the loop call *fn* soon; a closed one does not."""
        try:
            # Not in the context of the caller, which may be a job of any queue.
            self._loop.call_soon_threadsafe(fn, context=self._context)
        except RuntimeError:
            self._lose_all("its event loop has ended")

    def stop(self) -> bool:
        """End all that runs, and the loop; tell whether its thread ended in time."""
        self.closing = True
        self._stop()
        self.thread.join(_JOIN_TIME)
        return not self.thread.is_alive()

    def lose(self, reason: str) -> None:
        """Give up all attempts: the loop ends, or nobody waits for it any more."""
        self.closing = True
        self._lose_all(reason)
        self._stop()

    def _stop(self) -> None:
        self.call(self._ways_to_end["stop"])

    def _lose_all(self, reason: str) -> None:
        for attempt in list(self.attempts):
            attempt.end(Lost(reason))

    def blocked_for(self) -> float:
        """Answer for how many seconds the loop has owed an answer."""
        pinged = self._pinged
        return 0.0 if pinged is None else time.monotonic() - pinged

    def ping(self) -> None:
        """Ask the loop for an answer, if it has something to do and owes none."""
        if self.attempts and self._pinged is None:
            self._pinged = time.monotonic()
            self.call(self._pong)

    def _pong(self) -> None:
        self._pinged = None

    def what_it_runs(self) -> tuple[Attempt | None, str]:
        """Answer the attempt that the loop runs at this moment, and where it is."""
        owner = getattr(asyncio.current_task(self._loop), "owner", None)
        attempt = owner if isinstance(owner, Attempt) else None
        frame = sys._current_frames().get(self.thread.ident or 0)  # noqa: SLF001 - documented
        stack = "" if frame is None else "".join(traceback.format_stack(frame))
        return attempt, stack

    def _begin_all(self) -> None:
        try:
            for _ in range(min(len(self._waiting), _BEGUN_AT_ONCE)):
                self._waiting.popleft().begin(self._loop)
        finally:
            if self._waiting:
                self._loop.call_soon(self._begin_all)  # those that have begun come first

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            while not self.closing:
                self._run_until_stopped()
            self._end_all()
        except BaseException as error:  # noqa: BLE001 - it ends this loop, and its actor hears of it
            self.ended = error
        finally:
            self.closing = True
            asyncio.set_event_loop(None)
            self._ways_to_end["close"]()
            self._lose_all("its event loop has ended")  # what came when it was about to
            self._ended()

    def _run_until_stopped(self) -> None:
        try:
            self._loop.run_forever()
        except (SystemExit, KeyboardInterrupt) as error:
            # asyncio lets these two out of any task and callback. Whatever else was ready to run
            # is still in the loop.
            self._contain(error)

    def _contain(self, error: BaseException) -> None:
        owner = job_tasks.owner_of(error)
        if owner is not None and not owner.has_ended:
            owner.blame(error)
            return
        what = "something" if owner is None else f"what {owner} has left behind"
        with suppress(BaseException):  # a log handler that raises must not end the loop, either
            log.error(
                "%s raised %s on the event loop of queue %r, which goes on",
                what,
                type(error).__name__,
                self.queue,
                exc_info=error,
            )

    def _end_all(self) -> None:
        """End all tasks, and give up those that do not end."""
        ending = job_tasks.JobTask(self._cancel_all(), loop=self._loop)
        ending.add_done_callback(lambda _: self._stop())
        while not ending.done():
            self._run_until_stopped()
        for task in asyncio.all_tasks(self._loop):
            job_tasks.abandon(task)
            log.warning(
                "a coroutine of %s does not end when it is cancelled; it is given up",
                getattr(task, "owner", None) or f"queue {self.queue!r}",
            )

    async def _cancel_all(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_CANCEL_TIMEOUT_SECONDS)
        generators = asyncio.ensure_future(self._ways_to_end["shutdown_asyncgens"]())
        await asyncio.wait({generators}, timeout=_ASYNCGENS_TIMEOUT_SECONDS)


class _LoopEnded(NamedTuple):
    """The loop's thread came to its end."""


class _Blocked(NamedTuple):
    """The loop does not come round."""


class LoopActor(GenServer):
    """Owns the event loop of one queue: starts it, watches it, and ends it."""

    def __init__(self, executor: LoopExecutor) -> None:
        super().__init__()
        self._executor = executor
        self._said: Attempt | None = None

    def init(self) -> None:
        """Start the loop."""
        loop = self._loop = self._executor.open()
        self._otp_process.watch(self, self._on_end)
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
            abandoned.add(self._otp_process, self._loop.thread)
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
        attempt, stack = self._loop.what_it_runs()
        if self._loop.blocked_for() < BLOCKED_AFTER or attempt is self._said:
            return
        self._said = attempt
        what = "something"
        if attempt is not None:
            what = str(attempt)
        log.warning(
            "%s has blocked the event loop of queue %r for %.1f s, and %d jobs wait for it; await"
            " instead, or use asyncio.to_thread or executor='process'. It is at:\n%s",
            what,
            self._loop.queue,
            self._loop.blocked_for(),
            len(self._loop.attempts) - 1,
            stack,
        )
