"""Waiting until there is nothing to do: who waits, and the looks at the store that end it.

The storage actor looks for idle queues after commits, its own and those of other processes, and
only while somebody waits: one transaction for all waiters, however many. What is waited for holds
within one transaction, so at one moment. A waiter is settled by looks that began after it was
added: an earlier one knows nothing of the jobs that its thread has just enqueued.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from antq_actors.errors import NotStarted
from antq_actors.otp.kernel.messages import Promise
from antq_actors.otp.messaging import timers
from antq_actors.storage.jobs.reader import JobReader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from antq_actors.jobs.instant import Instant
    from antq_actors.otp.kernel.cell import ServerRef
    from antq_actors.storage.lmdb.environment import Environment

SHORTEST_PAUSE_SECONDS: Final = 0.005
"""Seconds between two looks, at least. The first after a pause is at once."""
LONGEST_PAUSE_SECONDS: Final = 0.05
SECONDS_PER_JOB: Final = 0.000_02
"""No machine performs a job in less: while many are left, looking often tells nothing."""
PAUSE_PER_LOOK: Final = 4.0
"""So many times longer than the look is the pause: to look at thousands of queues takes a while,
and the store has more to do.
"""
_WATCH_SECONDS: Final = 0.05
"""Seconds between two looks for commits of other processes, while somebody waits."""
_VOLATILE_WATCH_SECONDS: Final = 1.0
"""The same where there are none; a turn may have been cut short behind its commit."""
_OLDEST_LOOK_SECONDS: Final = 1.0
"""So old is a look at most that left somebody waiting: the clock may have been set back, so that
nothing is due any more, and no commit tells of that.
"""


class LookForIdle:
    """Look whether what is waited for has come; a cast to the storage actor."""


class WatchForIdle:
    """It is time to see whether something was committed unnoticed, while somebody waits."""


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
        self.waiters: set[IdleWaiter] = set()
        self._is_closed = False

    def add(self, waiter: IdleWaiter) -> None:
        """Add a caller that waits until the storage actor finds its queue idle."""
        self.waiters.add(waiter)
        if self._is_closed:
            _refuse([waiter])

    def discard(self, waiter: IdleWaiter) -> None:
        """Remove a caller that does not wait for a queue to be idle any more."""
        self.waiters.discard(waiter)

    def current(self) -> list[IdleWaiter]:
        """Return the callers that wait for a queue or an application to be idle."""
        return list(self.waiters)

    def settle(self, waiters: Iterable[IdleWaiter], unfinished: Mapping[str | None, int]) -> None:
        """Wake those of *waiters* whose queue had no unfinished jobs in a look at the store."""
        for waiter in waiters:
            if not unfinished[waiter.queue_name]:
                self.waiters.discard(waiter)
                waiter.answer(value=True)

    def close(self) -> None:
        """Wake all callers that wait for idle queues with an error: the application stopped."""
        self._is_closed = True
        _refuse(self.current())


class IdleLooks:
    """The looks of the storage actor *actor* at its store *env* for those who wait for idleness.

    It sends this actor `LookForIdle` and `WatchForIdle`, on which :meth:`look` and :meth:`watch`
    follow.
    """

    def __init__(
        self,
        waiters: IdleWaiters,
        env: Environment,
        actor: ServerRef,
        *,
        durable: bool,
        clock: Callable[[], Instant],
    ) -> None:
        self._waiters = waiters
        self._env = env
        self._actor = actor
        self._watch_seconds = _WATCH_SECONDS if durable else _VOLATILE_WATCH_SECONDS
        self._clock = clock
        self._is_due = False
        """Whether a `LookForIdle` is on its way."""
        self._is_watched = False
        """Whether a `WatchForIdle` is on its way."""
        self._looked_at = 0
        """The last transaction that a look for idle queues has seen."""
        self._next = 0.0
        """When, on the monotonic clock, the next look may be."""

    def look_soon(self) -> None:
        """Set a timer for the next look for idle queues, if a caller waits for that."""
        if not self._waiters.waiters or self._is_due:
            return
        # The message first: a turn that is cut short in between only makes a look too many.
        timers.send_soon(self._actor, LookForIdle(), max(0.0, self._next - time.monotonic()))
        self._is_due = True

    def look(self) -> None:
        """Count unfinished jobs in the store, and wake the callers whose queue has none left.

        Raises StorageError; then :meth:`watch_later` brings another look.
        """
        self._is_due = False
        waiters = self._waiters.current()
        if not waiters:
            return
        began = time.monotonic()
        unfinished, self._looked_at = self._unfinished({each.queue_name for each in waiters})
        if not all(unfinished.values()):
            self._env.flush(self._looked_at)
        ended = time.monotonic()
        self._next = ended + pause_after(unfinished, ended - began)
        self._waiters.settle(waiters, unfinished)

    def _unfinished(self, queues: set[str | None]) -> tuple[dict[str | None, int], int]:
        now, tables = self._clock(), self._env.tables
        return self._env.read(
            lambda txn: (JobReader(txn, tables).unfinished(queues, now), txn.id())
        )

    def watch_later(self) -> None:
        """Set a timer to see whether other processes made queues idle, while a caller waits."""
        if self._waiters.waiters and not self._is_watched:
            timers.send_soon(self._actor, WatchForIdle(), self._watch_seconds)
            self._is_watched = True

    def watch(self) -> None:
        """Look again soon if anything was committed since the last look, or that was long ago."""
        self._is_watched = False
        if not self._waiters.waiters:
            return
        is_old = time.monotonic() > self._next + _OLDEST_LOOK_SECONDS
        if is_old or self._env.last_transaction() != self._looked_at:
            self.look_soon()
        self.watch_later()


def pause_after(unfinished: Mapping[str | None, int], seconds: float) -> float:
    """Return the seconds to wait until the next look for idle queues, by the unfinished jobs.

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
