"""Who waits until a store has nothing to do, and how often the storage actor looks for them.

The storage actor looks after commits, its own and those of other processes, and only while somebody
waits: one transaction for all who wait, however many. What is waited for holds within one
transaction, so at one moment. A waiter is settled by looks that began after it was added: an
earlier one knows nothing of the jobs that its thread has just enqueued.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from antq_actors.errors import NotStarted
from antq_actors.otp.kernel.messages import Promise

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SHORTEST_PAUSE_SECONDS: Final = 0.005
"""Seconds between two looks, at least. The first after a pause is at once."""
LONGEST_PAUSE_SECONDS: Final = 0.05
SECONDS_PER_JOB: Final = 0.000_02
"""No machine performs a job in less: while many are left, looking often tells nothing."""
PAUSE_PER_LOOK: Final = 4.0
"""So many times longer than the look is the pause: to look at thousands of queues takes a while,
and the store has more to do.
"""


class LookForIdle:
    """Look whether what is waited for has come; a cast to the storage actor."""


class IdleWaiter(Promise):
    """Somebody who waits until nothing of a queue is left to do; None: of all queues.

    It is answered True then, or with the error of an application that stopped.
    """

    __slots__ = ("queue_name",)

    def __init__(self, queue_name: str | None) -> None:
        super().__init__()
        self.queue_name = queue_name


class IdleWaiters:
    """All who wait for one store. From any thread: each step is a single one of the interpreter."""

    def __init__(self) -> None:
        self._waiters: set[IdleWaiter] = set()
        self._is_closed = False

    def __bool__(self) -> bool:
        return bool(self._waiters)

    def add(self, waiter: IdleWaiter) -> None:
        """Have it answered; whoever waits removes it in a ``finally``."""
        self._waiters.add(waiter)
        if self._is_closed:
            _refuse([waiter])

    def discard(self, waiter: IdleWaiter) -> None:
        """Forget a waiter."""
        self._waiters.discard(waiter)

    def now(self) -> list[IdleWaiter]:
        """Return those who wait now."""
        return list(self._waiters)

    def settle(self, waiters: Iterable[IdleWaiter], unfinished: Mapping[str | None, int]) -> None:
        """Wake those whose queue had nothing left, in a look that began with *waiters*."""
        for waiter in waiters:
            if not unfinished[waiter.queue_name]:
                self._waiters.discard(waiter)
                waiter.answer(value=True)

    def close(self) -> None:
        """Let nobody wait any more: the application has stopped."""
        self._is_closed = True
        _refuse(self.now())


def pause_after(unfinished: Mapping[str | None, int], seconds: float) -> float:
    """Return the seconds until the next look, after one that found so many jobs unfinished.

    *seconds*: how long that one took.

    >>> [pause_after({None: jobs}, 0.0) for jobs in (3, 1_000, 10**6)]
    [0.005, 0.02, 0.05]
    >>> pause_after({"mail": 3, "web": 1}, 0.1)
    0.4
    """
    fewest = min(unfinished.values(), default=0)
    shortest = max(SHORTEST_PAUSE_SECONDS, PAUSE_PER_LOOK * seconds)
    return max(shortest, min(LONGEST_PAUSE_SECONDS, fewest * SECONDS_PER_JOB))


def _refuse(waiters: Iterable[IdleWaiter]) -> None:
    for waiter in waiters:
        waiter.answer(
            None, NotStarted("the application was stopped while this waited for its jobs to end")
        )
