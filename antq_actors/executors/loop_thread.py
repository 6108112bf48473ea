"""The thread in which the event loop of a queue runs, the attempts there, and how they end.

Whatever jobs do there, the loop runs on until it is stopped from outside; then all that is left on
it is cancelled, and abandoned if it does not end.
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import sys
import threading
import time
import traceback
import weakref
from collections import deque
from contextlib import suppress
from contextvars import Context, ContextVar
from typing import TYPE_CHECKING, Any, Final, Protocol

from msgspec.structs import replace

from antq_actors import forked_child
from antq_actors.executors import places
from antq_actors.executors.base import attempt_runner
from antq_actors.executors.job_threads import JobThreads
from antq_actors.jobs.attempt_error import describe, trace
from antq_actors.jobs.outcome import Failed, Interrupted, NotRun

if TYPE_CHECKING:
    from collections.abc import Callable

    from antq_actors.executors.base import Done, Settings
    from antq_actors.jobs.outcome import Outcome
    from antq_actors.jobs.perform import Attempt

log: Final = logging.getLogger("antq_actors.executors")

JOIN_TIMEOUT_SECONDS: Final = 5.0
"""How long a loop has to end, before its thread is abandoned."""

_CANCEL_TIMEOUT_SECONDS: Final = 2.5
_ASYNCGENS_TIMEOUT_SECONDS: Final = 1.0
_CANCELLED: Final = (asyncio.CancelledError,)
_BEGUN_AT_ONCE: Final = 100

_loop_threads: Final[weakref.WeakSet[LoopThread]] = weakref.WeakSet()


class LoopThread:
    """An event loop in a thread of its own."""

    def __init__(self, settings: Settings) -> None:
        self.clock = settings.clock
        self.queue = settings.queue
        self.attempts: set[LoopHandle] = set()
        self.ended: BaseException | None = None
        self.closing = False
        self._loop = asyncio.new_event_loop()
        self._loop.set_default_executor(JobThreads())
        self._real_methods = share_loop(self._loop, settings.queue)
        self._context = Context()
        """Of what is called here for no job."""
        self._waiting: deque[LoopHandle] = deque()
        self._pinged: float | None = None
        """When it was pinged, and has not answered since, on the monotonic clock."""
        self.thread = threading.Thread(
            target=self._run, name=f"antq-loop-{settings.queue}", daemon=True
        )

    def start(self, ended: Any) -> None:
        """Start the thread of the event loop; *ended* is called in that thread, at its end."""
        self._ended = ended
        self.thread.start()

    def submit(self, attempt: LoopHandle) -> None:
        """Queue an attempt and wake the loop's thread, which then makes it an asyncio task."""
        self.attempts.add(attempt)
        self._waiting.append(attempt)
        if len(self._waiting) == 1:  # else the loop was notified, and has not come to it yet
            self.call(self._begin_all)

    def call(self, fn: Any) -> None:
        """Have the event loop call *fn* soon in its thread; end all attempts if it is closed."""
        try:
            # Not in the context of the caller, which may be a job of any queue.
            self._loop.call_soon_threadsafe(fn, context=self._context)
        except RuntimeError:
            self._interrupt_all("its event loop has ended")

    def stop(self) -> bool:
        """Stop the event loop and its tasks, join its thread; return whether that ended in time."""
        self.closing = True
        self._stop()
        self.thread.join(JOIN_TIMEOUT_SECONDS)
        return not self.thread.is_alive()

    def abandon(self, reason: str) -> None:
        """Report all attempts of the event loop as interrupted or not run, and have it stop."""
        self.closing = True
        self._interrupt_all(reason)
        self._stop()

    def _stop(self) -> None:
        self.call(self._real_methods["stop"])

    def _interrupt_all(self, reason: str) -> None:
        for attempt in list(self.attempts):
            # One that never began has not been interrupted.
            attempt.end(NotRun(reason) if attempt.task is None else Interrupted(reason))

    def blocked_for(self) -> float:
        """Return for how many seconds the event loop has not answered a ping; reads the clock."""
        pinged = self._pinged
        return 0.0 if pinged is None else time.monotonic() - pinged

    def ping(self) -> None:
        """Note the time and have the event loop reply, if it has attempts and no ping is open."""
        if self.attempts and self._pinged is None:
            self._pinged = time.monotonic()
            self.call(self._pong)

    def _pong(self) -> None:
        self._pinged = None

    def current_owner(self) -> tuple[AttemptOwner | None, str]:
        """Return the attempt that the event loop runs at this moment, and its thread's stack."""
        owner = getattr(asyncio.current_task(self._loop), "owner", None)
        frame = sys._current_frames().get(self.thread.ident or 0)  # noqa: SLF001 - documented
        stack = "" if frame is None else "".join(traceback.format_stack(frame))
        return owner, stack

    def place_of(self, attempt: LoopHandle, task: asyncio.Task[Any]) -> str:
        """Return the stack of an attempt, whose own task is *task*, as text; in any thread."""
        if getattr(asyncio.current_task(self._loop), "owner", None) is attempt:
            frame = sys._current_frames().get(self.thread.ident or 0)  # noqa: SLF001 - documented
            return places.of_frames(frame)
        tasks = asyncio.all_tasks(self._loop) - {task}
        others = [each for each in tasks if getattr(each, "owner", None) is attempt]
        return places.of_coroutine(task.get_coro(), others)

    def _begin_all(self) -> None:
        try:
            for _ in range(min(len(self._waiting), _BEGUN_AT_ONCE)):
                self._waiting.popleft().begin(self._loop)
        finally:
            if self._waiting:
                self._loop.call_soon(self._begin_all)  # those that have begun come first

    def _run(self) -> None:
        self._since = forked_child.generation
        _loop_threads.add(self)
        asyncio.set_event_loop(self._loop)
        try:
            while not self.closing:
                self._run_until_stopped()
            self._end_all()
        except BaseException as error:  # noqa: BLE001 - it ends this loop, and its actor is notified
            forked_child.end_if_forked(self._since, error)
            self.ended = error
            self._abandon_all()  # nothing can be cancelled on a loop that is broken
        finally:
            self.closing = True
            self._close()
            self._interrupt_all("its event loop has ended")  # what came when it was about to
            self._ended()

    def _close(self) -> None:
        try:
            asyncio.set_event_loop(None)
            self._real_methods["close"]()
        except BaseException as error:  # noqa: BLE001 - it was broken, and its actor must know
            self.ended = self.ended or error

    def _run_until_stopped(self) -> None:
        try:
            self._real_methods["run_forever"]()
        except (SystemExit, KeyboardInterrupt) as error:
            # asyncio lets these two out of any task and callback. Whatever else was ready to run
            # is still in the loop.
            forked_child.end_if_forked(self._since, error)
            self._contain(error)

    def _contain(self, error: BaseException) -> None:
        owner = owner_of(error)
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
        """Cancel all tasks of the event loop, run it until they end, and abandon the rest."""
        ending = JobTask(self._cancel_all(), loop=self._loop)
        ending.add_done_callback(lambda _: self._stop())
        while not ending.done():
            self._run_until_stopped()
        for task in self._abandon_all():
            log.warning(
                "a coroutine of %s does not end when it is cancelled; it is abandoned",
                getattr(task, "owner", None) or f"queue {self.queue!r}",
            )

    def _abandon_all(self) -> set[asyncio.Task[Any]]:
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            abandon_task(task)
        return tasks

    async def _cancel_all(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_CANCEL_TIMEOUT_SECONDS)
        generators = asyncio.ensure_future(self._real_methods["shutdown_asyncgens"]())
        await asyncio.wait({generators}, timeout=_ASYNCGENS_TIMEOUT_SECONDS)

    # ---- forks ----------------------------------------------------------------------------

    def be_forked(self) -> None:
        """In a child process that a job forked: drop all other jobs' callbacks from the event loop.

        The job's code has the thread until it returns or waits; then the child process ends.
        """
        task = asyncio.current_task(self._loop)
        for waiting in ("_ready", "_scheduled"):  # asyncio has no other way to empty a loop
            getattr(self._loop, waiting, self._waiting).clear()
        self._loop.call_soon(self._end_child, task)

    def _end_child(self, task: asyncio.Task[Any] | None) -> None:
        error: BaseException | None = None
        if task is not None and not task.done():
            error = RuntimeError("a forked child cannot wait on the event loop of its parent")
        elif task is not None and not task.cancelled():
            error = task.exception()
        forked_child.end(error)


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
        """Have the event loop cancel the task of the attempt."""
        if not self.stop_requested:
            self.stop_requested = True
            self._loop.call(self._cancel)

    def kill(self) -> bool:
        """Cancel the attempt's task, as nothing is stronger, and ignore what it still reports."""
        self._is_killed = True
        self.interrupt()
        return False

    def blame(self, error: BaseException) -> None:
        """Fail the attempt by *error*, which its task or callback raised; in the loop's thread."""
        if self._blamed is None and not self.has_ended:
            self._blamed = error
            self._loop.call(self._cancel)  # in no job's name

    def _cancel(self) -> None:
        if self.task is not None:
            self.task.cancel()

    def _locate(self) -> None:
        """Store the stack of the attempt's task in its control, for the error; in any thread."""
        task = self.task
        if task is not None:
            self.attempt.control.place = self._loop.place_of(self, task)

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """Make the attempt an asyncio task, unless a stop was requested; in the loop's thread."""
        if self.stop_requested:
            self.end(None)
        else:
            self.task = start_job_task(self._run(), self, loop)
            self.attempt.control.on_locate = self._locate

    async def _run(self) -> None:
        end: Outcome | None
        runner = attempt_runner(
            self.attempt,
            clock=self._loop.clock,
            propagate=_CANCELLED,
            is_abandoned=self._is_abandoned,
        )
        try:
            end = await runner.run_async()
        except asyncio.CancelledError as cancelled:
            passage = runner.passage
            culprit = None if passage is None else passage.leave(cancelled)
            end = self._why_cancelled()
            if culprit is not None and isinstance(end, Failed):
                text = f"{culprit}: {describe(cancelled)}"
                end = replace(end, error=text, stack_trace=trace(cancelled))
        error = self._blamed
        is_failure = isinstance(end, Failed) and end.retry_in is not None
        if error is not None and not (self.stop_requested or self.has_ended or is_failure):
            failed = Failed(describe(error), trace(error), None, type(error).__name__)
            attempt = replace(self.attempt, failed=failed, exception=error)
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
        """Report how the attempt ended to its queue, and drop its task."""
        self.has_ended = True
        self.task = None  # its context holds this attempt
        self.attempt.control.on_locate = None  # so does this
        self._loop.attempts.discard(self)
        self._done(end)


def _be_forked() -> None:
    for each in list(_loop_threads):
        if each.thread.ident == threading.get_ident():
            each.be_forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_be_forked)


_ENDS_THE_LOOP: Final = (
    *("stop", "close", "shutdown_asyncgens", "shutdown_default_executor"),
    "run_forever",  # Python 3.13 refuses it for a loop that runs, and ends that run all the same
)


class AttemptOwner(Protocol):
    """An attempt, as its tasks see it."""

    has_ended: bool

    def blame(self, error: BaseException, /) -> None:
        """Fail the attempt by *error*, which one of its asyncio tasks or callbacks raised."""


_owner: Final[ContextVar[AttemptOwner | None]] = ContextVar("antq_owner", default=None)
"""The attempt that the current code belongs to; tasks and callbacks inherit it."""


class JobTask(asyncio.Task[Any]):
    """A task that no other job cancels while its own runs."""

    def __init__(
        self, coroutine: Any, *, owner: AttemptOwner | None = None, **options: Any
    ) -> None:
        self.owner = _owner.get() if owner is None else owner
        super().__init__(coroutine, **options)

    def cancel(self, msg: Any | None = None) -> bool:
        """Cancel this asyncio task of a job. Raises RuntimeError in another job than its own.

        That would be `asyncio.all_tasks()`, which lists the tasks of all jobs.
        """
        canceller = _owner.get()
        if canceller is None or canceller is self.owner:
            return self._cancel(msg)
        if self.owner is not None and not self.owner.has_ended and not self.done():
            raise RuntimeError(
                f"a job may cancel its own tasks alone; this one belongs to {self.owner}."
                " asyncio.all_tasks() lists those of all jobs of the queue: keep the tasks that"
                " you create, or use an asyncio.TaskGroup"
            )
        return self._cancel(msg)

    def _cancel(self, msg: Any | None) -> bool:
        # What this task awaits is cancelled by asyncio, whoever owns it: in no job's name.
        token = _owner.set(None)
        try:
            return super().cancel(msg)
        finally:
            _owner.reset(token)


def start_job_task(coroutine: Any, owner: AttemptOwner, loop: asyncio.AbstractEventLoop) -> JobTask:
    """Start the asyncio task of an attempt on *loop*, in a context of its own."""
    context = Context()
    context.run(_owner.set, owner)
    # Not by the loop's create_task(): a job may have set another task factory.
    return JobTask(coroutine, owner=owner, loop=loop, context=context)


def share_loop(loop: asyncio.AbstractEventLoop, queue: str) -> dict[str, Callable[..., Any]]:
    """Replace the methods of *loop* that would end it for all jobs; return the real ones."""
    loop.set_task_factory(
        lambda its_loop, coroutine, **options: JobTask(coroutine, loop=its_loop, **options)
    )
    methods = {name: getattr(loop, name) for name in _ENDS_THE_LOOP}
    for name in methods:
        # On the object: the policy of the program chooses its class.
        setattr(loop, name, _refusal(name, loop, queue))
    return methods


def _refusal(name: str, loop: asyncio.AbstractEventLoop, queue: str) -> Callable[..., Any]:
    def refuse(*_: Any, **__: Any) -> Any:
        error = RuntimeError(
            f"loop.{name}() would end what all jobs of queue {queue!r} share; a job ends when its"
            " perform returns"
        )
        owner = _owner.get()
        if owner is not None and asyncio.current_task(loop) is None:
            owner.blame(error)  # in a callback, where asyncio would only log it
        raise error

    return refuse


def owner_of(error: BaseException) -> AttemptOwner | None:
    """Return the attempt whose task or callback raised *error* out of an event loop's run.

    The traceback of *error* is cut to the frames of that task or callback.
    """
    frames = error.__traceback__
    while frames is not None:
        handle = frames.tb_frame.f_locals.get("self")
        if isinstance(handle, asyncio.Handle):
            error.__traceback__ = frames.tb_next or frames
            context: Context | None = getattr(handle, "_context", None)
            return None if context is None else context.get(_owner)
        frames = frames.tb_next
    return None


def abandon_task(task: asyncio.Task[Any]) -> None:
    """Keep for ever a task that does not end when it is cancelled, so that it is never destroyed.

    Python would throw GeneratorExit into its coroutine. One that catches everything would then go
    on without a loop, where nothing waits: it would spin for ever.
    """
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(task))
