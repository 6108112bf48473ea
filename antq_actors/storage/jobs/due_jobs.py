"""How many jobs of a queue could begin now, and since when the first of them could."""

from __future__ import annotations

from itertools import count, islice, takewhile
from typing import TYPE_CHECKING, Final, NamedTuple

from antq_actors.errors import DamagedRecord
from antq_actors.jobs.status import Status
from antq_actors.storage.format import encoding
from antq_actors.storage.lmdb import keys
from antq_actors.storage.lmdb.scan import keys_down_from, keys_from

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import lmdb

    from antq_actors.jobs.instant import Instant
    from antq_actors.storage.jobs.table import JobTable
    from antq_actors.storage.lmdb.tables import Tables

MOST_READ: Final = 10_000
"""Jobs that are read, at most, to find since when the first enqueued one is due."""

_STEP: Final = 500
_TIMED: Final = (Status.SCHEDULED, Status.RETRYING)


class QueueFacts(NamedTuple):
    """What a store knows of a queue, at one moment."""

    is_paused: bool
    counts: Mapping[Status, int]
    due: int
    """Jobs that could begin: enqueued, and scheduled or retrying whose time has come."""
    oldest_due: Instant | None
    """Since when the first of them could."""


class DueJobs:
    """The jobs of a queue that could begin at an instant, in one transaction."""

    def __init__(
        self, txn: lmdb.Transaction, tables: Tables, jobs: JobTable, queue_name: str, now: Instant
    ) -> None:
        self._txn = txn
        self._tables = tables
        self._jobs = jobs
        self._lanes = {
            status: keys.lane(status, queue_name) for status in (*_TIMED, Status.ENQUEUED)
        }
        self._now = now

    def count(self) -> int:
        """Return how many there are.

        Enqueued ones are a counter. Scheduled and retrying ones are stepped through from both
        ends of the order of work, until one of the two comes to this instant: it takes as long as
        twice the smaller number of those that are due and those that are not.
        """
        enqueued = self._jobs.count(self._lanes[Status.ENQUEUED])
        return enqueued + sum(self._count_timed(self._lanes[status]) for status in _TIMED)

    def oldest(self) -> Instant | None:
        """Return since when the first of them is due.

        Of scheduled and retrying ones that is the first in their order of work. Enqueued ones are
        ordered by id, mostly that of their being due, too; but one that was retried by hand or
        given back is due since then. So they are read from the smallest id on until one was
        inserted after the oldest that was found: all after it are due later.
        """
        heads = [
            keys.order_in(key)
            for status in _TIMED
            for key in self._jobs.head(self._lanes[status], 1, self._end(self._lanes[status]))
        ]
        oldest = min(heads, default=None)
        for prefix in self._jobs.orders(self._lanes[Status.ENQUEUED]):
            for inserted, due in self._enqueued(prefix):
                if oldest is not None and inserted >= oldest:
                    break
                oldest = due if oldest is None else min(oldest, due)
        return oldest

    def _end(self, lane: bytes) -> bytes:
        """Return the smallest key of a lane that is not due."""
        return keys.work_key(lane, self._now + 1)

    def _count_timed(self, lane: bytes) -> int:
        total, end = self._jobs.count(lane), self._end(lane)
        if not total:
            return 0
        index = self._tables.index
        up = takewhile(end.__gt__, keys_from(self._txn, index, lane))
        down = takewhile(end.__le__, keys_down_from(self._txn, index, keys.lane_end(lane)))
        for steps in count(0, _STEP):
            due = sum(1 for _ in islice(up, _STEP))
            if due < _STEP:
                return steps + due
            later = sum(1 for _ in islice(down, _STEP))
            if later < _STEP:
                return total - steps - later
        raise AssertionError  # it counts for ever

    def _enqueued(self, prefix: bytes) -> Iterator[tuple[Instant, Instant]]:
        """Return when each job of a priority was inserted, and since when it is due, by id."""
        for key in islice(keys_from(self._txn, self._tables.index, prefix), MOST_READ):
            if not key.startswith(prefix):
                return
            id_ = keys.id_at_end(key)
            try:
                record = self._jobs.record(id_)
            except DamagedRecord:
                continue
            if record is not None and record.state.scheduled_at is not None:
                spec = encoding.spec_for_display(self._jobs.payload(id_), record.state)
                yield spec.inserted_at, record.state.scheduled_at
