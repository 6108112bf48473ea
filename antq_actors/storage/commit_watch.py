"""What other processes commit to a store, and the readers of those that were killed.

A commit elsewhere is noticed by the number of the last transaction, which a timer looks at: so
nothing is read, and the storage actor is not woken, while there is no news.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

import lmdb

from antq_actors.errors import StorageError
from antq_actors.otp.messaging import timers
from antq_actors.storage.jobs.reader import JobReader

if TYPE_CHECKING:
    from collections.abc import Collection

    from antq_actors.otp.kernel.cell import ServerRef
    from antq_actors.storage.lmdb.environment import Environment

_LOOKS_PER_SWEEP: Final = 100
"""Every so many, readers that were killed are forgotten: they keep pages from being used again."""


class Committed:
    """Another process has committed something."""


class Sweep(NamedTuple):
    """It is time to forget readers that were killed."""

    watch_interval: float


class CommitWatch:
    """What the storage actor *actor* knows of other processes' commits to its store, *env*.

    It sends this actor `Committed` and `Sweep`, on which :meth:`news` and :meth:`sweep` follow.
    """

    def __init__(self, env: Environment, actor: ServerRef) -> None:
        self._env = env
        self._actor = actor
        self.seen = env.last_transaction()
        """The last transaction that all queues know of."""
        self._is_reported = False
        """Whether a `Committed` is on its way."""

    def begin(self, interval: float) -> None:
        """Start to look for commits, every *interval* seconds, and to forget dead readers."""
        every = partial(self._until_next_look, interval)
        timers.send_when(self._actor, Committed(), self._is_news, every=every)
        self._sweep_later(interval)

    def news(self) -> Collection[str] | None:
        """Return all queues if another process has committed since they were last woken.

        Raises StorageError when the store cannot be read; then a later look finds it again.
        """
        self._is_reported = False
        if self._env.last_transaction() == self.seen:
            return None
        # A commit has its number a moment before those who read see it: what was seen is what
        # this very look could see, and the rest is for the next.
        queues, self.seen = self._env.read(
            lambda txn: (JobReader(txn, self._env.tables).known_queues(), txn.id())
        )
        return queues

    def sweep(self, interval: float) -> None:
        """Have LMDB forget readers whose process was killed, and do so again later."""
        self._env.clear_dead_readers()
        self._sweep_later(interval)

    def _sweep_later(self, interval: float) -> None:
        timers.send_soon(self._actor, Sweep(interval), _LOOKS_PER_SWEEP * interval)

    def _until_next_look(self, interval: float) -> float:
        """Return the seconds until the next look for commits of other processes.

        They are doubled while no other process has the store open; the next look sees it.
        """
        return interval if self._env.is_shared else 2 * interval

    def _is_news(self) -> bool:
        """Return whether another process has committed and no message about it is on its way."""
        if self._is_reported:
            return False
        try:
            self._is_reported = self._env.last_transaction() != self.seen
        except (StorageError, lmdb.Error):  # it is being closed
            return False
        return self._is_reported
