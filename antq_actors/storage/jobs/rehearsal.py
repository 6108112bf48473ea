"""What verbs of the store would do, found out by doing them in a transaction that is not written.

Which jobs of a queue would start next if it were not paused: the claims are those of a queue that
runs, with all that follows at limits when a job starts, so the order that it shows is the order in
which jobs start. And which jobs a retry would refuse.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from antq_actors.errors import AntqError, JobNotFound
from antq_actors.jobs import lifecycle
from antq_actors.jobs.state import StoredJob
from antq_actors.storage.jobs.bulk_update import BulkUpdate
from antq_actors.storage.jobs.job_store import JobStore
from antq_actors.storage.jobs.meta import LETS_THROUGH
from antq_actors.storage.lmdb import keys
from antq_actors.storage.lmdb.overlay import Overlay

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import lmdb

    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.state import JobState
    from antq_actors.storage.format.encoding import JobRecord
    from antq_actors.storage.jobs.reader import JobReader
    from antq_actors.storage.lmdb.tables import Tables

_NODE: Final = 1
"""Where jobs are claimed for: none is, so any will do."""
_NOT_READ: Final[Any] = None
"""In place of the specs of claimed jobs: these are not run."""
_MOST_ROUNDS: Final = 16
"""Claims that find no job, as all that they have looked at wait for limits, before it gives up."""


class Rehearsal(JobStore):
    """Changes the jobs of a store in memory alone, whatever keys they are signed or encrypted with.

    What is about whole queues does not count, nor do breakpoints: how many may run at once on all
    nodes, how fast they may start.
    """

    def __init__(self, txn: lmdb.Transaction, tables: Tables) -> None:
        overlay: Any = Overlay(txn)
        super().__init__(overlay, overlay.over(tables))
        self._taken: list[tuple[int, JobState]] = []
        self._started: set[int] = set()
        """What steps have let through. Some may start only after others that they have not."""

    def run(self, queue_name: str, *, most: int, now: Instant) -> Sequence[tuple[int, JobState]]:
        """Return the first jobs that could start now, at most so many, and their states.

        What steps have let through starts before them, and is not among them.
        """
        txn: Any = self._txn
        bulk = BulkUpdate(txn, self._tables, self._jobs.deltas)
        if LETS_THROUGH in self._meta.stepping(queue_name):
            self._started = set(self._breakpoints().through(queue_name))
            most_claimed = len(self._started)
            self._claim_stepped(bulk, queue_name, node=_NODE, limit=most_claimed, now=now)
        empty = 0
        while len(self._taken) < most and empty < _MOST_ROUNDS:
            # One by one: of several the first ones may let others come before the rest.
            claimed, look_at = self._claim_limited(bulk, queue_name, node=_NODE, limit=1, now=now)
            if not claimed and look_at != now:
                break
            empty += not claimed
        return self._taken

    def refused_retries(self, ids: Iterable[int], now: Instant) -> list[AntqError]:
        """Return why jobs could not be retried, one after the other, for each that could not."""
        refused = []
        for id_ in ids:
            try:
                self.retry(id_, now=now)
            except JobNotFound:
                continue
            except AntqError as error:
                refused.append(error)
        return refused

    def _take_due(
        self,
        bulk: BulkUpdate,  # noqa: ARG002 - as a claim has it
        claimed: list[StoredJob],
        due: list[bytes],
        node: int,
        now: Instant,
    ) -> Instant | None:
        for id_ in map(keys.id_at_end, due):
            look_at = self._claim_one(claimed, id_, node, now)
            if look_at is not None:
                return look_at
        return None

    def _take(
        self, claimed: list[StoredJob], id_: int, record: JobRecord, node: int, now: Instant
    ) -> bool:
        state = lifecycle.claim(record.state, node=node, now=now)
        if not self._move(id_, record, state, now=now):
            return False
        claimed.append(StoredJob(id_, state, _NOT_READ, ()))
        if id_ not in self._started:
            self._taken.append((id_, record.state))
        return True


def refused_retries(reader: JobReader, ids: Iterable[int], now: Instant) -> list[AntqError]:
    """Read why jobs could not be retried, one after the other, for each that could not."""
    return Rehearsal(reader._txn, reader._tables).refused_retries(ids, now)
