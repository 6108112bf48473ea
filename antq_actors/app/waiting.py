"""Waiting until there is nothing left to do: ``wait_idle``, and its twin for coroutines.

Nobody asks again and again. The storage actor answers those who wait, after the commit that left
nothing to do, whichever process made it (`idle.py`); a coroutine needs no thread for it.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from antq_actors.checks import list_known
from antq_actors.errors import NotStarted, StorageError, UnknownQueue
from antq_actors.storage.idle_waiters import IdleWaiter

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Collection

    from antq_actors.jobs.instant import Instant
    from antq_actors.storage.client import StorageClient

_SLICE_SECONDS: Final = 0.25
"""Seconds that a thread waits at a time: in between it hears Ctrl-C, and that its job is to end."""


class IdleWait:
    """Waits for the jobs of one store; *queues*: those that its application was described with."""

    def __init__(
        self, store: StorageClient, queues: Collection[str], clock: Callable[[], Instant]
    ) -> None:
        self._store = store
        self._queues = queues
        self._clock = clock

    def wait(self, queue: str | None, seconds: float | None) -> bool:
        """Wait in this thread for idle queues. Raises UnknownQueue, NotStarted, StorageError."""
        deadline = None if seconds is None else time.monotonic() + seconds
        if self._is_idle(queue, seconds):
            return True
        waiter = IdleWaiter(queue)
        try:
            self._store.idle.add(waiter)
            self._store.look_for_idle()
            while not waiter.wait(left := _left(deadline)):
                if left == 0.0:
                    return False
        finally:
            self._store.idle.discard(waiter)
        return self._answer_of(waiter)

    async def wait_async(self, queue: str | None, seconds: float | None) -> bool:
        """Wait in an event loop for idle queues. Raises the same as `wait`."""
        import asyncio  # noqa: PLC0415 - it takes long, and most programs wait in no event loop

        deadline = None if seconds is None else time.monotonic() + seconds
        if await asyncio.to_thread(self._is_idle, queue, seconds):
            return True
        loop = asyncio.get_running_loop()
        answered = loop.create_future()
        waiter = _AsyncWaiter(queue, loop, answered)
        try:
            self._store.idle.add(waiter)
            self._store.look_for_idle()
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            done, _ = await asyncio.wait([answered], timeout=left)
        finally:
            self._store.idle.discard(waiter)
        return self._answer_of(waiter) if done else False

    def _is_idle(self, queue: str | None, seconds: float | None) -> bool:
        """Return whether the store has no job left; also False without a reply in *seconds*."""
        if queue is not None and queue not in self._queues:
            known = {*self._queues, *self._store.known_queues()}
            if queue not in known:
                raise UnknownQueue(f"there is no queue {queue!r}{list_known(queue, known)}")
        began = time.monotonic()
        try:
            return not self._store.unfinished(queue, self._clock(), timeout=seconds or None)
        except StorageError as error:
            if seconds and time.monotonic() - began >= seconds:
                return False
            if self._store.closed.is_settled and self._store.removal() is None:
                raise NotStarted(str(error)) from error
            raise

    def _answer_of(self, waiter: IdleWaiter) -> bool:
        if waiter.error is None:
            return True
        raise self._store.removal() or waiter.error


class _AsyncWaiter(IdleWaiter):
    """Somebody who waits in an event loop."""

    __slots__ = ("_future", "_loop")

    def __init__(
        self,
        queue_name: str | None,
        loop: asyncio.AbstractEventLoop,
        future: asyncio.Future[None],
    ) -> None:
        super().__init__(queue_name)
        self._loop = loop
        self._future = future

    def deliver(self) -> None:
        with suppress(RuntimeError):  # the loop was closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        if not self._future.done():
            self._future.set_result(None)


def _left(deadline: float | None) -> float:
    if deadline is None:
        return _SLICE_SECONDS
    return max(0.0, min(_SLICE_SECONDS, deadline - time.monotonic()))
