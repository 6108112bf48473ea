"""Waiting until jobs have ended: who waits, and how each learns of it.

A commit of this process ends those waits at once: while somebody waits, it notes which jobs ended
in it. What other processes commit is noticed by a timer, at the number of the last transaction;
then the jobs that are waited for are looked at, all in one transaction. No thread belongs to a
caller that waits, and nothing is read while nothing is committed.

Callers are added in any thread, and each of these steps is a single one of the interpreter; what
is indexed by job is the storage actor's alone.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Final

from antq_actors.errors import NotStarted
from antq_actors.otp.kernel.messages import Promise
from antq_actors.otp.messaging import timers
from antq_actors.storage.jobs.reader import JobReader

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from antq_actors.otp.kernel.cell import ServerRef
    from antq_actors.storage.lmdb.environment import Environment

WATCH_SECONDS: Final = 0.04
"""Seconds between two looks for commits of other processes, while somebody waits."""
_VOLATILE_WATCH_SECONDS: Final = 1.0
"""The same where there are none."""
_LONGEST_SECONDS: Final = 10.0
"""So many pass at most without a look: the thread that runs a turn may be cut short behind its
commit, before it has woken anybody."""
_PAUSE_PER_LOOK: Final = 4.0
"""So many times longer than a look is the pause after it: thousands of jobs may be waited for."""
_MOST_LOOKED_AT: Final = 8
"""Callers of which it is looked for which jobs they wait for."""


class WatchForJobs:
    """It is time to see whether other processes ended jobs that are waited for."""


class JobWaiter(Promise):
    """A caller that waits until all jobs with these numbers have ended, or the *first* of them.

    It is answered True then, or with the error of an application that stopped. *wake* is called
    then, in any thread; None: the caller waits for the answer itself.
    """

    __slots__ = ("first", "left", "wake")

    def __init__(
        self,
        ids: Iterable[int],
        *,
        first: bool = False,
        wake: Callable[[], object] | None = None,
    ) -> None:
        super().__init__()
        self.left = set(ids)
        """Those that have not ended, as far as the storage actor has found."""
        self.first = first
        self.wake = wake

    def deliver(self) -> None:
        """Wake the caller, in the thread that has answered."""
        super().deliver()
        if self.wake is not None:
            self.wake()

    def ended(self, id_: int) -> bool:
        """Note that a job has ended; answer, and return True, if nothing more is waited for."""
        self.left.discard(id_)
        if self.left and not self.first:
            return False
        self.answer(value=True)
        return True


class JobWaiters:
    """All who wait for jobs of one store."""

    def __init__(self) -> None:
        self.waiters: set[JobWaiter] = set()
        self.is_watched = False
        """Whether the storage actor has a timer for them."""
        self._news: deque[JobWaiter] = deque()
        """Callers that came or went, and are not indexed so yet."""
        self._by_id: dict[int, set[JobWaiter]] = {}
        self._is_closed = False

    def add(self, waiter: JobWaiter) -> None:
        """Add a caller that waits. Look at its jobs after that, and not before."""
        self.waiters.add(waiter)
        self._news.append(waiter)
        if self._is_closed:
            _refuse([waiter])

    def discard(self, waiter: JobWaiter) -> None:
        """Remove a caller that does not wait any more."""
        self.waiters.discard(waiter)
        self._news.append(waiter)

    def are_awaited(self, ids: Iterable[int]) -> bool:
        """Return whether a caller may wait for one of these jobs; in any thread.

        With more than a few callers it is not looked for which, so that it costs little.
        """
        waiters = list(self.waiters)
        if len(waiters) > _MOST_LOOKED_AT:
            return True
        wanted = list(ids)
        return any(not waiter.left.isdisjoint(wanted) for waiter in waiters)

    def close(self) -> None:
        """Wake all callers with an error: the application stopped."""
        self._is_closed = True
        _refuse(list(self.waiters))

    # ---- by the storage actor ---------------------------------------------------------------

    def index(self) -> None:
        """Bring the index by job up to date."""
        while self._news:
            waiter = self._news.popleft()
            if waiter in self.waiters:
                for id_ in list(waiter.left):
                    self._by_id.setdefault(id_, set()).add(waiter)
            else:
                self._forget(waiter)

    def ended(self, ids: Iterable[int]) -> None:
        """Wake the callers that wait for these jobs and for no others."""
        self.index()
        for id_ in ids:
            for waiter in self._by_id.pop(id_, ()):
                if waiter.ended(id_):
                    self._forget(waiter)

    def ids(self) -> Collection[int]:
        """Return the numbers of all jobs that are waited for."""
        self.index()
        return {id_ for waiter in list(self.waiters) for id_ in list(waiter.left)}

    def _forget(self, waiter: JobWaiter) -> None:
        for id_ in list(waiter.left):
            others = self._by_id.get(id_)
            if others is not None:
                others.discard(waiter)
                if not others:
                    del self._by_id[id_]


class JobLooks:
    """What the storage actor *actor* does at its store *env* for those who wait for jobs.

    It sends this actor `WatchForJobs`, on which :meth:`watch` follows.
    """

    def __init__(
        self, waiters: JobWaiters, env: Environment, actor: ServerRef, *, durable: bool
    ) -> None:
        self._waiters = waiters
        self._env = env
        self._actor = actor
        self._watch_seconds = WATCH_SECONDS if durable else _VOLATILE_WATCH_SECONDS
        self._seen = 0
        """The last transaction of which those who wait know."""
        self._next = self._latest = 0.0
        """When, on the monotonic clock, the next look may be, and when it must be."""
        waiters.is_watched = False

    def committed(self, transaction: int, ended: Iterable[int]) -> None:
        """Wake those who wait for the jobs that a transaction of this process has *ended*."""
        self._waiters.ended(ended)
        if transaction == self._seen + 1:
            self._seen = transaction

    def watch_later(self) -> None:
        """Set a timer to see what other processes commit, if a caller waits and there is none."""
        if self._waiters.waiters and not self._waiters.is_watched:
            timers.send_soon(self._actor, WatchForJobs(), self._watch_seconds)
            self._waiters.is_watched = True

    def watch(self) -> None:
        """Look at the jobs that are waited for, if anything was committed that is not known of.

        Raises StorageError; then the next look finds it again.
        """
        self._waiters.is_watched = False  # first: whoever comes now sees that, or is seen
        self._waiters.index()
        self.watch_later()
        if not self._waiters.waiters:
            return
        now = time.monotonic()
        if now < self._next or (now < self._latest and self._env.last_transaction() == self._seen):
            return
        ids, tables = self._waiters.ids(), self._env.tables
        ended, seen = self._env.read(
            lambda txn: (JobReader(txn, tables).ended_among(ids), txn.id())
        )
        self._env.flush(seen)
        self._seen = seen
        self._waiters.ended(ended)
        done = time.monotonic()
        self._next = done + _PAUSE_PER_LOOK * (done - now)
        self._latest = done + _LONGEST_SECONDS


def _refuse(waiters: Iterable[JobWaiter]) -> None:
    for waiter in waiters:
        waiter.answer(
            None, NotStarted("the application was stopped while this waited for a job to end")
        )
