"""The threads of `asyncio.to_thread` and `loop.run_in_executor(None, …)` in jobs."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from contextvars import Context
from typing import TYPE_CHECKING, Any, Final

from antq_actors import forked_child
from antq_actors.executors import places
from antq_actors.otp.kernel.stopping import add_abandoned, discard_abandoned, woken_by
from antq_actors.otp.threads import run_queue

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

_NAME: Final = "antq-job-thread"


_MOST_ABANDONED: Final = 20
"""Threads that may run on abandoned, before they take the place of others."""


class _JobFuture(Future[Any]):
    """Notifies its executor when nothing waits for it any more, though it runs."""

    def __init__(self, executor: JobThreads) -> None:
        super().__init__()
        self._executor = executor
        self.thread: threading.Thread | None = None
        """Where it runs."""

    def cancel(self) -> bool:
        if super().cancel():
            return True
        self._executor.abandon(self)
        return False


class JobThreads(ThreadPoolExecutor):
    """The default executor of an event loop that runs jobs. It holds up no exit.

    Python joins the threads of its own executors when a program ends, for as long as it takes.
    These are service threads, and what a job has blocked in there is abandoned with its loop. A
    thread whose job was cancelled leaves its place to another.
    """

    def __init__(self) -> None:
        super().__init__()  # starts no thread; asyncio insists on this class
        self._changing = threading.RLock()
        self._line: deque[tuple[_JobFuture, Callable[[], Any]]] = deque()
        self._running: set[_JobFuture] = set()
        self._abandoned: set[_JobFuture] = set()
        self._serving = 0
        """Threads that take from the line; abandoned threads are not among them."""
        self._ended: Future[None] | None = None

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run ``fn(...)`` of a job in a thread beside the event loop's. Raises RuntimeError."""
        future = _JobFuture(self)
        with self._changing:
            if self._ended is not None:
                raise RuntimeError("the event loop of this executor has ended; it runs nothing")
            self._line.append((future, lambda: fn(*args, **kwargs)))
        self._start_thread()
        return future

    def _start_thread(self) -> None:
        with self._changing:
            if not self._line or self._serving == self._max_workers:
                return
            self._serving += 1
        try:
            run_queue.run(self._serve)
        except RuntimeError:
            with self._changing:
                self._serving -= 1
                if self._serving == 0:
                    self._line.clear()
                    raise

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - as it is
        """Refuse blocking calls of jobs; *wait* for running ones, or list their threads."""
        ended = self.end()
        with self._changing:
            if cancel_futures or not wait:
                while self._line:
                    self._line.popleft()[0].cancel()
            if not wait:
                for future in self._running:
                    _abandon(future)
        if wait:
            ended.result()

    def end(self) -> Future[None]:
        """Refuse calls of jobs for its threads; return a future, done when those before are."""
        with self._changing:
            if self._ended is None:
                self._ended = Future()
                self._end_if_idle()
            return self._ended

    def _end_if_idle(self) -> None:
        if self._ended is not None and not (self._serving or self._abandoned):
            self._ended.set_result(None)

    def abandon(self, future: _JobFuture) -> None:
        """List the thread of the cancelled *future* as an orphan, and start one in its place."""
        with self._changing:
            if future not in self._running or future in self._abandoned:
                return
            if len(self._abandoned) == _MOST_ABANDONED:
                return
            self._abandoned.add(future)
            self._serving -= 1
            _abandon(future)
        with suppress(RuntimeError):  # no thread is left: those that serve come to it
            self._start_thread()

    def _serve(self) -> None:
        thread = threading.current_thread()
        thread.name = _NAME
        while (taken := self._take(thread)) is not None:
            future, fn = taken
            if future.set_running_or_notify_cancel():
                Context().run(_run, future, fn)
            if not self._note_done(future):
                return
            del future, fn, taken

    def _take(self, thread: threading.Thread) -> tuple[_JobFuture, Callable[[], Any]] | None:
        with self._changing:
            if not self._line:
                self._serving -= 1
                self._end_if_idle()
                return None
            taken = self._line.popleft()
            taken[0].thread = thread
            self._running.add(taken[0])
            return taken

    def _note_done(self, future: _JobFuture) -> bool:
        """Note that the call of *future* is done; return whether its thread may take another."""
        with self._changing:
            self._running.discard(future)
            discard_abandoned(future)
            if future in self._abandoned:
                self._abandoned.discard(future)
                if self._serving == self._max_workers:
                    self._end_if_idle()
                    return False
                self._serving += 1
            return True


def _abandon(future: _JobFuture) -> None:
    if future.thread is not None:
        add_abandoned(future, future.thread)


def _run(future: Future[Any], fn: Callable[[], Any]) -> None:
    since = forked_child.generation
    try:
        value = fn()
    except BaseException as error:  # noqa: BLE001 - raised where it is awaited
        forked_child.end_if_forked(since, error)
        future.set_exception(error)
    else:
        forked_child.end_if_forked(since)
        future.set_result(value)


def run_coroutine(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a job's coroutine in this thread as ``asyncio.run`` does; its threads hold up no exit."""
    with asyncio.Runner(loop_factory=_new_loop) as runner:
        loop = runner.get_loop()
        places.enter_coroutine(coroutine, loop)
        try:
            return woken_by(lambda: _wake(loop), lambda: runner.run(coroutine))
        finally:
            places.leave_coroutine()


def _wake(loop: asyncio.AbstractEventLoop) -> None:
    """Wake the thread of an event *loop*, so that an interruption set in that thread is raised."""
    with suppress(RuntimeError):  # closed in the meantime
        loop.call_soon_threadsafe(int)


def _new_loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    executor = JobThreads()
    loop.set_default_executor(executor)

    async def shutdown_default_executor(_timeout: float | None = None) -> None:
        # asyncio's own waits in a thread that Python joins.
        await asyncio.wrap_future(executor.end())

    loop.shutdown_default_executor = shutdown_default_executor  # type: ignore[method-assign]
    return loop
