"""One write transaction: what it has to remember to its end, and what becomes of damaged jobs.

A job whose records are damaged must neither run nor stand in the way of others, and it must not
vanish. A write transaction that meets it marks it as damaged: it is failed, its arguments stay as
they are, and its error says what was found.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from antq_actors.errors import DamagedRecord, JobNotFound
from antq_actors.jobs import lifecycle
from antq_actors.storage.format import encoding
from antq_actors.storage.format.encoding import Signer
from antq_actors.storage.jobs.meta import NEXT_ID
from antq_actors.storage.jobs.reader import JobReader
from antq_actors.storage.lmdb import keys

if TYPE_CHECKING:
    from collections.abc import Sequence

    import lmdb

    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.state import ErrorEntry, JobState
    from antq_actors.storage.format.encoding import JobRecord
    from antq_actors.storage.lmdb.tables import Tables

log: Final = logging.getLogger("antq_actors.storage")

_QUOTED_BYTES: Final = 256
"""Bytes of a damaged record that its error quotes: more than a whole one has."""


def log_findings(findings: Sequence[tuple[object, ...]]) -> None:
    """Log what a transaction found, now that it is committed."""
    for text, *values in findings:
        log.error(text, *values)


class JobWriter(JobReader):
    """What every verb that changes something stands on.

    Commit only after :meth:`flush`; then tell the queues in :attr:`due` that they have new work,
    and those in :attr:`commanded` that there are commands for them.
    """

    def __init__(self, txn: lmdb.Transaction, tables: Tables, signer: Signer | None = None) -> None:
        super().__init__(txn, tables)
        self._signer = signer or Signer()
        self._next_id: int | None = None
        """The id of the next job, once one was asked for."""
        self.due: set[str] = set()
        """Queues that got a job, or were resumed, in this transaction."""
        self.commanded: set[str] = set()
        """Queues for whose nodes a command was stored in this transaction."""
        self.findings: list[tuple[object, ...]] = []
        """What is to be logged once it is committed, as arguments of ``log.error``. Not before: a
        handler of log records may enqueue a job, which would wait for this very transaction."""
        self._has_changed = False

    def flush(self) -> None:
        """Write what was collected: counts, and the next id."""
        if self._jobs.flush():
            self._has_changed = True
        if self._next_id is not None:
            self._meta.set_counter(NEXT_ID, self._next_id)
            self._next_id = None

    def _new_id(self, wanted: int = 0) -> int:
        """Return an id that no job had, *wanted* if that is one. Raises DamagedRecord."""
        id_ = max(self._first_free_id(), wanted)
        self._next_id = id_ + 1
        return id_

    def _first_free_id(self) -> int:
        # Only now, so that a damaged counter stops those alone who need it.
        return self._meta.counter(NEXT_ID) if self._next_id is None else self._next_id

    def _note(self, text: str, *values: object) -> None:
        self.findings.append((text, *values))

    @property
    def has_changed(self) -> bool:
        """Whether the flushed transaction changes anything: LMDB gives an empty one no number."""
        return self._has_changed or self._meta.has_changed

    def _readable(self, id_: int, now: Instant) -> JobRecord:
        """Return a job's record; a damaged one is failed first. Raises JobNotFound."""
        try:
            return self._existing(id_)
        except DamagedRecord as error:
            return self._mark_damaged(id_, str(error), now)

    def _move(
        self,
        id_: int,
        record: JobRecord,
        state: JobState,
        error: ErrorEntry | None = None,
        *,
        now: Instant,
    ) -> bool:
        """Change a job's state; a damaged job is failed instead, which is False."""
        try:
            self._jobs.move(id_, record, state, error)
        except DamagedRecord as damage:
            self._mark_damaged(id_, str(damage), now)
            return False
        return True

    def _mark_damaged(self, id_: int, why: str, now: Instant) -> JobRecord:
        """Fail a job whose records are damaged; return its record as it is then.

        Raises JobNotFound when there is nothing left of it but a place in the index.
        """
        found = self._jobs.raw(id_)
        lanes, digest = self._jobs.forget(id_)
        if not found and not self._jobs.payload(id_):
            self._note("the index named a job %d that does not exist; it does so no more", id_)
            raise JobNotFound(f"no job has the id {id_}, though the index named one")
        self._note("job %d is damaged and was failed: %s", id_, why)
        _, queue_name = keys.split_lane(lanes[0]) if lanes else (None, encoding.UNREADABLE)
        state, error = lifecycle.mark_damaged(
            queue_name=queue_name,
            why=f"{why} (its record was {found[:_QUOTED_BYTES].hex() or 'missing'})",
            errors=self._jobs.next_error_number(id_),
            now=now,
        )
        self._jobs.replace(id_, state, digest, error)
        return encoding.JobRecord(state, digest)
