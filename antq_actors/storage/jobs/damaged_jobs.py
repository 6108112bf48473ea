"""Jobs whose records are damaged, found as they are read or changed.

Such a job must neither run nor stand in the way of others, and it must not vanish. A write
transaction that meets it marks it as damaged: it is failed, its arguments stay as they are, and its
error says what was found.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from antq_actors.errors import DamagedRecord, JobNotFound
from antq_actors.jobs import instant, lifecycle
from antq_actors.jobs.state import Composed, Status
from antq_actors.storage.format import encoding
from antq_actors.storage.jobs.limited_jobs import LimitedJobs
from antq_actors.storage.jobs.reader import JobReader
from antq_actors.storage.jobs.waiting_jobs import NOWHERE
from antq_actors.storage.lmdb import keys

if TYPE_CHECKING:
    from collections.abc import Callable

    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.state import ErrorEntry, JobState, Limited
    from antq_actors.storage.format.encoding import JobRecord
    from antq_actors.storage.jobs.composition import Composition

_QUOTED_BYTES: Final = 256
"""Bytes of a damaged record that its error quotes: more than a whole one has."""
_ENQUEUED: Final = frozenset({Status.ENQUEUED})


class DamagedJobs(JobReader):
    """Reads jobs and writes their states, and fails those whose records are damaged.

    What is in these fields, JobWriter says.
    """

    due: set[str]
    findings: list[tuple[object, ...]]
    _limited: LimitedJobs | None
    _first_free_id: Callable[[], int]

    @property
    def limited(self) -> LimitedJobs:
        """What changes jobs with limits in this transaction."""
        if self._limited is None:
            self._limited = LimitedJobs(
                *(self._txn, self._tables, self._jobs, self._meta),
                due=self.due,
                move=self._move,
                read_waiting=self._read_waiting,
                mark_damaged=self._mark_damaged,
                next_id=self._first_free_id,
            )
        return self._limited

    @property
    def composition(self) -> Composition:
        """What follows from a change of a job for others: a part of what can store new jobs."""
        raise NotImplementedError

    def _read_waiting(self, id_: int, now: Instant) -> JobRecord | None:
        return self._read_named(id_, _ENQUEUED, "enqueued", now)

    def _note(self, text: str, *values: object) -> None:
        self.findings.append((text, *values))

    def _read_or_fail(self, id_: int, now: Instant) -> JobRecord:
        """Read a job's state and digest; a damaged job is failed first. Raises JobNotFound."""
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
        cause: str | None = None,
    ) -> bool:
        """Write a job's new state; if the job is damaged, fail it instead and return False.

        *cause*: what has done it, where no *error* tells it.
        """
        old = record.state
        if old.composed is not None:
            state = self.composition.before(id_, old, state)
        try:
            if old.limited is None:
                self._jobs.move(id_, record, state, error, cause)
            elif state.status is old.status is Status.RUNNING:
                self._jobs.move(id_, record, state, error)  # it is to be cancelled
            else:
                self.limited.move(id_, record, state, error, now=now, cause=cause)
        except DamagedRecord as damage:
            self._mark_damaged(id_, str(damage), now)
            return False
        if self._jobs.journal is not None:
            self._jobs.journal.moved(id_, old, state, error)
        if old.composed is not None:
            self.composition.after(id_, old, state, now)
        return True

    def _read_named(
        self, id_: int, statuses: frozenset[Status], what: str, now: Instant
    ) -> JobRecord | None:
        """Read the record of a job that the index names with one of these *statuses*.

        None: the job was damaged and has been failed, or there is none, and the index was mended.
        """
        try:
            record = self._existing(id_)
        except DamagedRecord as error:
            why = str(error)
        except JobNotFound:
            why = "its record is missing"
        else:
            if record.state.status in statuses:
                return record
            why = f"the index calls it {what}, and its record {record.state.status}"
        with suppress(JobNotFound):
            self._mark_damaged(id_, why, now)
        return None

    def _mark_damaged(self, id_: int, why: str, now: Instant) -> JobRecord:
        """Write that a job with damaged records has failed; return its new state and digest.

        Raises JobNotFound when there is nothing left of it but a place in the index.
        """
        found = self._jobs.raw(id_)
        is_there = bool(found or self._jobs.payload(id_))
        lanes, digest = self._jobs.forget(id_)
        if not is_there:
            self._jobs.erase(id_)
            self.composition.lost(id_, now or instant.now())
            self._jobs.forget_steps(id_)
            self._jobs.forget_history(id_)
            self._note("the index named a job %d that does not exist; it does so no more", id_)
            raise JobNotFound(f"no job has the id {id_}, though the index named one")
        self._note("job %d is damaged and was failed: %s", id_, why)
        _, queue_name = keys.split_lane(lanes[0]) if lanes else (None, encoding.UNREADABLE)
        head = encoding.head_in(found)
        state, error = lifecycle.mark_damaged(
            queue_name=queue_name,
            why=f"{why} (its record was {head[:_QUOTED_BYTES].hex() or 'missing'})",
            errors=self._jobs.next_error_number(id_),
            now=now,
        )
        # What a damaged record seems to hold behind its head is no spec if that is in `payloads`.
        spec = b"" if self._jobs.large_spec(id_) else encoding.spec_in(found)
        if self._meta.limited():
            state = replace(state, limited=self._found_limits(spec or self._jobs.large_spec(id_)))
        was = _status_before(lanes, found)
        composed = self.composition.damaged(id_, was, now or instant.now())
        if self.steps().has_any(id_):
            composed = replace(composed or Composed(), has_steps=True)
        state = replace(state, composed=composed, history=self._jobs.next_change(id_))
        record = encoding.JobRecord(state, digest, spec)
        self._jobs.replace(id_, record, error)
        if self._jobs.journal is not None:
            self._jobs.journal.refused(id_, queue_name, why, spec or self._jobs.large_spec(id_))
        if self._meta.limited():
            self.limited.count_anew(now or instant.now())
        return record

    @staticmethod
    def _found_limits(spec: bytes) -> Limited | None:
        """Return what the state of a damaged job says of limits, given its spec's bytes."""
        try:
            flow = encoding.decode_spec(encoding.contents(spec)).flow
        except DamagedRecord:
            return None
        return NOWHERE if flow is not None and flow.gates else None


def _status_before(lanes: list[bytes], found: bytes) -> Status | None:
    """Return the status that a damaged job had, by the lanes and the record that it was found in.

    None: these do not agree, or do not say it.
    """
    if len(lanes) != 1:
        return None
    status, _ = keys.split_lane(lanes[0])
    try:
        return status if encoding.decode_job(found).state.status is status else None
    except DamagedRecord:
        return status
