"""The threads of `asyncio.to_thread` and `loop.run_in_executor(None, …)` in jobs."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import Context
from typing import TYPE_CHECKING, Any, Final

from antq_actors import forked_child
from antq_actors.otp import abandoned, threads

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

_NAME: Final = "antq-job-thread"


class JobThreads(ThreadPoolExecutor):
    """The default executor of an event loop that runs jobs. It holds up no exit.

    Python joins the threads of its own executors when a program ends, for as long as it takes.
    These are service threads, and what a job has blocked in there is abandoned with its loop.
    """

    def __init__(self) -> None:
        super().__init__()  # starts no thread; asyncio insists on this class
        self._changing = threading.Lock()
        self._line: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._serving: set[threading.Thread] = set()
        self._wanted = 0
        self._ended: Future[None] | None = None

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Have ``fn(...)`` run. Raises RuntimeError after the end, and without a thread for it."""
        future: Future[Any] = Future()
        with self._changing:
            if self._ended is not None:
                raise RuntimeError("the event loop of this executor has ended; it runs nothing")
            self._line.append((future, lambda: fn(*args, **kwargs)))
            if self._wanted == self._max_workers:
                return future
            self._wanted += 1
        try:
            threads.run(self._serve)
        except RuntimeError:
            with self._changing:
                self._wanted -= 1
                if self._wanted == 0:
                    self._line.clear()
                    raise
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - as it is
        """Run nothing more; what is running may end, and is an orphan if nobody waits."""
        ended = self.end()
        with self._changing:
            if cancel_futures or not wait:
                while self._line:
                    self._line.popleft()[0].cancel()
            if not wait:
                for thread in self._serving:
                    abandoned.add(thread, thread)
        if wait:
            ended.result()

    def end(self) -> Future[None]:
        """Take nothing more; return what is done when all that was taken is."""
        with self._changing:
            if self._ended is None:
                self._ended = Future()
                self._end_if_idle()
            return self._ended

    def _end_if_idle(self) -> None:
        if self._wanted == 0 and self._ended is not None:
            self._ended.set_result(None)

    def _serve(self) -> None:
        thread = threading.current_thread()
        thread.name = _NAME
        with self._changing:
            self._serving.add(thread)
        while True:
            with self._changing:
                if not self._line:
                    self._serving.discard(thread)
                    self._wanted -= 1
                    abandoned.discard(thread)
                    self._end_if_idle()
                    return
                future, fn = self._line.popleft()
            if future.set_running_or_notify_cancel():
                Context().run(_run, future, fn)
            del future, fn


def _run(future: Future[Any], fn: Callable[[], Any]) -> None:
    since = forked_child.generation()
    try:
        value = fn()
    except BaseException as error:  # noqa: BLE001 - whoever awaits it gets it
        forked_child.end_if_forked(since, error)
        future.set_exception(error)
    else:
        forked_child.end_if_forked(since)
        future.set_result(value)


def run_coroutine(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Do what ``asyncio.run`` does, with an executor that holds up no exit."""
    with asyncio.Runner(loop_factory=_new_loop) as runner:
        return runner.run(coroutine)


def _new_loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    executor = JobThreads()
    loop.set_default_executor(executor)

    async def shutdown_default_executor(_timeout: float | None = None) -> None:
        # asyncio's own waits in a thread that Python joins.
        await asyncio.wrap_future(executor.end())

    loop.shutdown_default_executor = shutdown_default_executor  # type: ignore[method-assign]
    return loop
