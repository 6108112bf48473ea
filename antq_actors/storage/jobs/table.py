"""A job's records in all tables, kept in agreement.

Every change of a job goes through :meth:`JobEntries.add`, :meth:`JobEntries.move`,
:meth:`JobEntries.remove` or, of many together, :class:`~.bulk_update.BulkUpdate`; nothing else
writes to these tables. What they promise is a check in :mod:`~antq_actors.storage.admin.verify`.
"""

from __future__ import annotations

from collections import defaultdict
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

from antq_actors.errors import DamagedRecord
from antq_actors.jobs import history, lifecycle
from antq_actors.jobs.state import ENDED, Status
from antq_actors.storage.format import encoding
from antq_actors.storage.format.cipher import is_encrypted, sealed_spec
from antq_actors.storage.format.job_cipher import sealed_errors
from antq_actors.storage.jobs.chart_counts import note_change
from antq_actors.storage.jobs.entry_reader import EntryReader, cipher_of
from antq_actors.storage.jobs.history_table import TABLE as HISTORY
from antq_actors.storage.jobs.history_table import HistoryTable
from antq_actors.storage.jobs.results import ResultTable
from antq_actors.storage.jobs.step_table import StepTable, has_steps
from antq_actors.storage.lmdb import keys
from antq_actors.storage.lmdb.scan import (
    delete_range,
    items_before,
    items_from,
    items_with,
    keys_from,
    keys_with,
    value_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import lmdb
    from lmdb import _Database

    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.state import ErrorEntry, JobSpec, JobState, Limited
    from antq_actors.storage.format.encoding import JobRecord, Signer
    from antq_actors.storage.jobs.chart_counts import Note
    from antq_actors.storage.jobs.journal import Journal
    from antq_actors.storage.lmdb.tables import Tables

    Items = list[tuple[bytes, bytes]]
    """Keys and values."""


MOST_STEPS_DELETED: Final = 20_000
"""Rows of steps after which a transaction deletes no further job: that many take some 10 ms."""


class JobEntries(EntryReader):
    """Reads and writes what the LMDB tables have of each job, in one transaction.

    Counts are collected and written once, by :meth:`flush`: without it the transaction must not be
    committed.
    """

    __slots__ = (
        "_history_table",
        "_tables",
        "_txn",
        "chart_notes",
        "deltas",
        "ended",
        "has_changed",
        "journal",
        "notes_due",
        "steps_deleted",
    )

    def __init__(self, txn: lmdb.Transaction, tables: Tables) -> None:
        self._txn = txn
        self._tables = tables
        self._history_table: HistoryTable | None = None
        self.deltas: defaultdict[bytes, int] = defaultdict(int)
        """By how much the counts of lanes change."""
        self.has_changed = False
        """Whether rows of ended jobs changed that no count tells of."""
        self.ended: list[int] | None = None
        """The jobs that end or go in this transaction; None: they are not collected."""
        self.journal: Journal | None = None
        """What the transaction does, as events; None: nobody listens."""
        self.chart_notes: list[Note] | None = None
        """What the transaction does, for charts; None: it is not counted."""
        self.notes_due = False
        """Whether what is claimed has to know when it was due."""
        self.steps_deleted = 0
        """Rows of steps that were deleted with jobs in this transaction."""

    @property
    def _history(self) -> HistoryTable:
        """What is noted of jobs; opened once, as that takes as long as writing a row."""
        if self._history_table is None:
            self._history_table = HistoryTable(self._txn, self._tables)
        return self._history_table

    @property
    def has_deleted_enough(self) -> bool:
        """Whether so many rows of steps were deleted that others go in a later transaction."""
        return self.steps_deleted >= MOST_STEPS_DELETED

    def add(
        self,
        id_: int,
        state: JobState,
        spec: JobSpec,
        signer: Signer,
        errors: Sequence[ErrorEntry] = (),
    ) -> None:
        """Write a new job and its *errors*, newest first, to all tables; *id_* is the largest."""
        if spec.encrypted:
            stored = sealed_spec(spec, self._tables.cipher)
            if errors and not is_encrypted(spec):  # else they were encrypted before
                errors = sealed_errors(stored, errors, self._tables.cipher)
            spec = stored
        signed = signer.sign(encoding.encode_spec(spec))
        self.add_signed(id_, state, spec.unique_digest, signed, errors)

    def add_signed(
        self,
        id_: int,
        state: JobState,
        digest: bytes | None,
        signed: bytes,
        errors: Sequence[ErrorEntry] = (),
    ) -> None:
        """Write a new job, as :meth:`add` does, whose spec's bytes are *signed* already."""
        tables, put = self._tables, self._txn.put
        places = places_of(state)  # refuses a queue's name that no key can hold
        key = keys.job_key(id_)
        record, payload = encoding.split_new(state, digest, signed)
        put(key, record, db=tables.jobs, append=True)
        if payload:
            put(key, payload, db=tables.payloads, append=True)
        if errors:
            for number, entry in enumerate(reversed(errors)):
                put(keys.error_key(id_, number), encoding.encode_error(entry), db=tables.errors)
        self._enter(key, state, places, digest)

    def add_many(
        self, first: int, news: Sequence[tuple[JobState, JobSpec, object]], signer: Signer
    ) -> None:
        """Write new jobs that are not unique to all tables; *first* is the first of their ids.

        All their ids are larger than before.
        """
        records: Items = []
        payloads: Items = []
        entries: Items = []
        last: JobState | None = None
        for id_, (state, spec, _) in enumerate(news, first):
            if state is not last:  # jobs that were enqueued together mostly share theirs
                last = state
                places = places_of(state)
                head = encoding.encode_job(state, None)
            key = keys.job_key(id_)
            if spec.encrypted:
                spec = sealed_spec(spec, self._tables.cipher)  # noqa: PLW2901 - as it is stored
            signed = signer.sign(encoding.encode_spec(spec))
            if len(signed) <= encoding.MOST_INLINE_BYTES:
                records.append((key, head + signed))
            else:
                records.append((key, head))
                payloads.append((key, signed))
            entries.append((places.place + key, b""))
            if places.listing is not None:
                entries.append((places.listing + key, b""))
            self.deltas[places.lane] += 1
        put_all(self._txn, self._tables.jobs, records, append=True)
        put_all(self._txn, self._tables.payloads, payloads, append=True)
        self._enter_many(entries)

    def move(
        self,
        id_: int,
        old: JobRecord,
        new: JobState,
        error: ErrorEntry | None = None,
        cause: str | None = None,
    ) -> None:
        """Write a job's *new* state to all tables, and add *error* to its errors.

        What its state counts in its history is noted, with the *cause* if no error tells it.

        Raises DamagedRecord, having changed nothing, when the index knows nothing of *old*, or the
        number of errors or changes is too large to be true.
        """
        put = self._txn.put
        if error is not None and old.state.errors >= keys.LARGEST_NUMBER:
            raise DamagedRecord(f"the state of job {id_} counts {old.state.errors} errors")
        is_noted = new.history != old.state.history
        if is_noted and not 0 <= old.state.history < keys.LARGEST_NUMBER:
            raise DamagedRecord(f"the state of job {id_} counts {old.state.history} changes")
        self._leave(id_, old.state, old.digest)
        record = encoding.encode_job(new, old.digest, old.spec)
        put(keys.job_key(id_), record, db=self._tables.jobs)
        self._enter(keys.job_key(id_), new, places_of(new), old.digest)
        if self.chart_notes is not None and new.status is not old.state.status:
            note_change(self.chart_notes, old.state, new, old.spec or self.large_spec(id_))
        if error is not None:
            self._add_error(id_, old.state.errors, error)
        if is_noted:
            number = None if error is None else old.state.errors
            change = history.change(old.state, new, number, cause)
            self._history.add(id_, old.state.history, change)
        if self.ended is not None and new.status in ENDED:
            self.ended.append(id_)

    def rewrite(self, id_: int, record: JobRecord) -> None:
        """Write the record of a job of which nothing has changed that the index tells of."""
        self._txn.put(keys.job_key(id_), encoding.encode_job(*record), db=self._tables.jobs)
        self.has_changed = True

    def relocate(self, id_: int, old: JobRecord, new: JobState) -> None:
        """Write a job's *new* state, of which only its place in its lane differs, to all tables.

        Raises DamagedRecord as :meth:`move` does.
        """
        key, index = keys.job_key(id_), self._tables.index
        if not self._txn.delete(places_of(old.state).place + key, db=index):
            raise _not_in_index(id_, old.state)
        self._txn.put(key, encoding.encode_job(new, old.digest, old.spec), db=self._tables.jobs)
        self._txn.put(places_of(new).place + key, b"", db=index)
        self.has_changed = True

    def remove(self, id_: int, record: JobRecord, *, is_in_row: bool = True) -> None:
        """Delete a job from every table. Raises DamagedRecord as :meth:`move` does.

        *is_in_row*: it has not been taken out of its row of ended jobs.
        """
        tables, delete = self._tables, self._txn.delete
        key = keys.job_key(id_)
        self._leave(id_, record.state, record.digest, is_in_row=is_in_row)
        delete(key, db=tables.jobs)
        if not record.spec:
            delete(key, db=tables.payloads)
        if record.state.errors:
            end = keys.error_key(id_, keys.LARGEST_NUMBER)
            delete_range(self._txn, tables.errors, key, end)
        if record.state.history:
            self._history.delete(id_)
        if record.state.composed is not None and record.state.composed.has_result_row:
            self.delete_result(id_)
        if has_steps(record.state):
            self.forget_steps(id_)
        if self.journal is not None:
            self.journal.changed += 1
        if self.ended is not None:
            self.ended.append(id_)

    def delete_result(self, id_: int) -> None:
        """Delete the row of a job's result, if it still has one."""
        ResultTable(self._txn, self._tables).delete(id_)

    def mark(self, id_: int, record: JobRecord, state: JobState) -> None:
        """Write a job's new *state*, which has the same place in every order."""
        if state is not record.state:
            encoded = encoding.encode_job(state, record.digest, record.spec)
            self._txn.put(keys.job_key(id_), encoded, db=self._tables.jobs)
        self.has_changed = True  # the caller has written more

    def forget_steps(self, id_: int) -> None:
        """Delete the steps and the checkpoint of a job."""
        self.steps_deleted += StepTable(self._txn, self._tables).delete(id_)
        self.has_changed = True

    def forget_history(self, id_: int) -> None:
        """Delete what is noted of a job of which nothing else is left."""
        if self._tables.has_rows(self._txn, HISTORY):
            self._history.delete(id_)
            self.has_changed = True

    def next_change(self, id_: int) -> int:
        """Read the number that the next change of a damaged job gets in its history."""
        if not self._tables.has_rows(self._txn, HISTORY):
            return 0
        return self._history.next_number(id_)

    def forget(self, id_: int) -> tuple[list[bytes], bytes | None]:
        """Delete the index entries of a job whose own record cannot be trusted.

        Return the lanes it stood in, and its digest if it had one. It reads these tables whole:
        its record is what says where in them it stands.
        """
        index, end = self._tables.index, keys.job_key(id_)
        lanes = []
        for key, row in list(items_from(self._txn, index, b"")):
            if key.startswith(keys.ENDS):
                if end in keys.ids_in(row):
                    drop_from_row(self._txn, index, key, row, {end})
                continue
            if not key.endswith(end):
                continue
            self._txn.delete(key, db=index)
            lane = keys.counted_lane(key)
            if lane is not None:
                lanes.append(lane)
                self.deltas[lane] -= 1
        digest = None
        for key in self._keys_of(id_, self._tables.unique):
            self._txn.delete(key, db=self._tables.unique)
            digest = keys.split_unique_key(key).digest
        return lanes, digest

    def erase(self, id_: int) -> None:
        """Delete an empty record."""
        if 0 < id_ <= keys.LARGEST_ID:
            self._txn.delete(keys.job_key(id_), db=self._tables.jobs)

    def replace(self, id_: int, record: JobRecord, error: ErrorEntry) -> None:
        """Write a new record and an *error* of a damaged job whose index entries were deleted."""
        state = record.state
        self._txn.put(keys.job_key(id_), encoding.encode_job(*record), db=self._tables.jobs)
        self._add_error(id_, state.errors - 1, error)
        self._enter(keys.job_key(id_), state, places_of(state), record.digest)
        self.delete_result(id_)
        if self.ended is not None:
            self.ended.append(id_)

    def _add_error(self, id_: int, number: int, error: ErrorEntry) -> None:
        """Write an error of a job to the ``errors`` table, and delete those that are too many.

        That is one error, except where an earlier release had kept all of them.
        """
        table = self._tables.errors
        if self._tables.cipher is not None:
            cipher = cipher_of(self._txn, self._tables, id_)
            if cipher is not None:
                error = cipher.seal_error(encoding.escaped_error(error))
        self._txn.put(keys.error_key(id_, number), encoding.encode_error(error), db=table)
        dropped = lifecycle.dropped_errors(number + 1)
        if dropped:
            start, end = keys.error_key(id_, dropped.start), keys.error_key(id_, dropped.stop)
            delete_range(self._txn, table, start, end)

    def _keys_of(self, id_: int, table: _Database) -> list[bytes]:
        end = keys.job_key(id_)
        return [key for key in keys_from(self._txn, table) if key.endswith(end)]

    def count(self, lane: bytes) -> int:
        """Read how many jobs a lane, a status of a queue, has after this transaction."""
        stored = value_of(self._txn, self._tables.meta, keys.COUNT + lane)
        return int.from_bytes(stored or b"", "big") + self.deltas.get(lane, 0)

    def lanes(self) -> list[tuple[Status, str]]:
        """Read the pairs of status and queue that have jobs: at most seven of a queue."""
        size = len(keys.COUNT)
        known = {key[size:] for key in keys_with(self._txn, self._tables.meta, keys.COUNT)}
        known.update(self.deltas)
        return [keys.split_lane(lane) for lane in sorted(known) if self.count(lane)]

    def flush(self) -> bool:
        """Write changed counts to the ``meta`` table; return whether any job changed."""
        if not self.deltas:
            return self.has_changed
        meta = self._txn.cursor(self._tables.meta)
        for lane, delta in self.deltas.items():
            if delta == 0:
                continue
            key = keys.COUNT + lane
            stored = cast("bytes | None", meta.get(key))
            count = int.from_bytes(stored or b"") + delta
            if count > 0:  # less, if it was damaged
                meta.put(key, count.to_bytes(8))
            else:
                meta.pop(key)
        self.deltas.clear()
        return True

    def enter_row(self, id_: int, ended_at: Instant) -> None:
        """Write that a group of jobs ended at an instant: all of it is pruned by this row."""
        with self._txn.cursor(self._tables.index) as index:
            add_row(index, keys.ends_prefix(ended_at), [keys.job_key(id_)])
        self.has_changed = True

    def leave_row(self, id_: int, ended_at: Instant) -> None:
        """Delete that a group of jobs ended."""
        self._leave_row(keys.ends_prefix(ended_at), keys.job_key(id_))
        self.has_changed = True

    def take_ended(self, before: Instant, limit: int) -> list[int]:
        """Delete the first *limit* ids of jobs that ended before an instant from their rows.

        Return them.
        """
        taken = take_ended(self._txn, self._tables.index, before, limit)
        self.has_changed |= bool(taken)
        return list(map(int.from_bytes, taken))

    def _enter(self, key: bytes, state: JobState, places: Places, digest: bytes | None) -> None:
        """Write the entries of a job, by its *key* in ``jobs``, to the indexes."""
        tables, put = self._tables, self._txn.put
        if places.is_ended:
            if places.place:
                with self._txn.cursor(tables.index) as index:
                    add_row(index, places.place, [key])
        else:
            put(places.place + key, b"", db=tables.index)
        if places.listing is not None:
            put(places.listing + key, b"", db=tables.index)
        if digest is not None:
            put(keys.unique_prefix(digest, state.status) + key, b"", db=tables.unique)
        self.deltas[places.lane] += 1

    def _enter_many(self, entries: Items) -> None:
        """Write the index entries of new jobs."""
        put_all(self._txn, self._tables.index, entries)

    def _leave(
        self, id_: int, state: JobState, digest: bytes | None, *, is_in_row: bool = True
    ) -> None:
        index, delete = self._tables.index, self._txn.delete
        places, key = places_of(state), keys.job_key(id_)
        # An ended job has no entry but that in its listing lane and that in the row of its time.
        entry = places.listing if places.is_ended else places.place
        if entry is None or not delete(entry + key, db=index):
            raise _not_in_index(id_, state)
        if not places.is_ended:
            if places.listing is not None:
                delete(places.listing + key, db=index)
        elif is_in_row and places.place:
            self._leave_row(places.place, key)
        if digest is not None:
            delete(keys.unique_key(digest, state.status, id_), db=self._tables.unique)
        self.deltas[places.lane] -= 1

    def _leave_row(self, prefix: bytes, key: bytes) -> None:
        """Delete a job, by its *key* in ``jobs``, from the row of the time at which it ended."""
        index, own = self._tables.index, prefix + key
        if value_of(self._txn, index, own) == key:  # a row of its own: it ended by itself
            self._txn.delete(own, db=index)
        elif (found := row_of(self._txn, index, prefix, key)) is not None:
            drop_from_row(self._txn, index, *found, {key})


def _not_in_index(id_: int, state: JobState) -> DamagedRecord:
    return DamagedRecord(
        f"the state of job {id_} says {state.status} in queue {state.queue_name!r}, and"
        " the index does not"
    )


def put_all(
    txn: lmdb.Transaction,
    table: _Database,
    items: Items,
    *,
    append: bool = False,
) -> None:
    """Write all *items* to an LMDB table, and empty their list.

    *append*: they come after all other keys.
    In order, LMDB mostly finds the next place beside the last one.
    """
    if not items:
        return
    items.sort()
    with txn.cursor(table) as cursor:
        cursor.putmulti(items, append=append)
    items.clear()


class Places(msgspec.Struct, frozen=True, gc=False):
    """Where the jobs of a lane with one order are: their keys up to their ids."""

    lane: bytes
    place: bytes
    """In ``index``; of an ended job, of the row of its time: none if it is pruned with its group.
    """
    listing: bytes | None
    """In ``index``, in the listing lane; None for a job without one."""
    is_ended: bool


# An attribute of an Enum takes longer to look up than all the rest of a comparison.
_ENQUEUED: Final = Status.ENQUEUED
_RUNNING: Final = Status.RUNNING
_SCHEDULED: Final = Status.SCHEDULED
_RETRYING: Final = Status.RETRYING
_SUSPENDED: Final = Status.SUSPENDED


def places_of(state: JobState) -> Places:
    """Return a job's lane, and its keys in ``index`` up to its id."""
    status = state.status
    if status is _ENQUEUED:
        if state.limited is not None:
            return _places_of_limited(state, state.limited)
        return _kept_places(status, state.queue_name, -state.priority)
    if status is _RUNNING:
        return _kept_places(status, state.queue_name, state.node)
    if status is _SCHEDULED or status is _RETRYING:
        return _places(status, state.queue_name, state.scheduled_at or 0)
    if status is _SUSPENDED:
        return _kept_places(status, state.queue_name, 0)
    lane, listing = _lanes_of_ended(status, state.queue_name)
    is_grouped = state.composed is not None and state.composed.group
    # As `keys.ends_prefix`, without another call on the path of each job.
    row = b"" if is_grouped else keys.ENDS + keys.packed_order(state.updated_at + keys.BIAS)
    return Places(lane, row, listing, is_ended=True)


@lru_cache(maxsize=1024)
def _lanes_of_ended(status: Status, queue_name: str) -> tuple[bytes, bytes]:
    lane = keys.lane(status, queue_name)
    return lane, keys.listing_lane(lane)


def _places(status: Status, queue_name: str, order: int) -> Places:
    lane = keys.lane(status, queue_name)
    place = lane + keys.packed_order(order + keys.BIAS)
    listing = keys.listing_lane(lane) if status in keys.LISTED else None
    return Places(lane, place, listing, is_ended=False)


def _places_of_limited(state: JobState, limited: Limited) -> Places:
    """Return where an enqueued job with limits is: in front of them, or in a room."""
    lane, listing, heads = _lanes_of_limited(state.queue_name)
    order, gate = -state.priority, limited.gate
    if gate is None:
        ticket = limited.ticket or (0, 0)  # 0 only in a damaged record
        place = keys.ticket_key(heads, order, ticket)
    else:
        of_gate = keys.gate_place(gate, limited.number)
        place = keys.room_key(of_gate, lane, order, is_front=limited.is_front)
    return Places(lane, place, listing, False)  # noqa: FBT003 - by name it takes twice as long


@lru_cache(maxsize=1024)
def _lanes_of_limited(queue_name: str) -> tuple[bytes, bytes, bytes]:
    lane = keys.lane(_ENQUEUED, queue_name)
    return lane, keys.listing_lane(lane), keys.heads_lane(queue_name)


def chain_places(id_: int, state: JobState, limited: Limited) -> list[bytes]:
    """Return the ``index`` keys of a job's places in the strict orders of its limits."""
    key, order = keys.job_key(id_), -state.priority
    return [
        keys.chain_key(gate, order, has_begun=limited.has_begun) + key for gate in limited.chains
    ]


_kept_places: Final = lru_cache(maxsize=1024)(_places)
"""For orders of which there are few."""


# ---- rows of ended jobs ---------------------------------------------------------------------


def add_row(index: lmdb.Cursor[Any], prefix: bytes, ids: list[bytes]) -> None:
    """Write that jobs with these *ids* ended, at the time whose rows begin with *prefix*."""
    key = prefix + ids[0]
    row = ids[0] if len(ids) == 1 else b"".join(ids)
    if not index.put(key, row, overwrite=False):  # it ended at this time before, and was retried
        index.put(key, cast("bytes", index.get(key)) + row)


def row_of(
    txn: lmdb.Transaction, index: _Database, prefix: bytes, key: bytes
) -> tuple[bytes, bytes] | None:
    """Read the row of ended jobs with this *prefix*, so time, that names a job by its *key*.

    Mostly it is the one that begins with this job, or the last with an earlier one.
    """
    behind = prefix + key + b"\0"
    for row in items_before(txn, index, prefix, behind):
        if keys.is_in_row(key, row[1]):
            return row
    for row in items_from(txn, index, behind):
        if not row[0].startswith(prefix):
            return None
        if keys.is_in_row(key, row[1]):
            return row
    return None


def take_ended(txn: lmdb.Transaction, index: _Database, before: Instant, limit: int) -> list[bytes]:
    """Delete the first *limit* ids of jobs that ended before an instant from their rows.

    Return them, as keys of ``jobs``.
    """
    taken: list[bytes] = []
    rows: list[tuple[bytes, bytes, set[bytes]]] = []
    for key, row in items_with(txn, index, keys.ENDS):
        if len(taken) >= limit or keys.order_in(key) >= before:
            break
        ids = keys.ids_in(row)[: limit - len(taken)]
        taken += ids
        rows.append((key, row, set(ids)))
    for each in rows:
        drop_from_row(txn, index, *each)
    return taken


def drop_from_row(
    txn: lmdb.Transaction, index: _Database, key: bytes, row: bytes, ids: set[bytes]
) -> None:
    """Delete *ids* from a row of ended jobs, and the row if none is left."""
    left = b"".join(id_ for id_ in keys.ids_in(row) if id_ not in ids)
    if left:
        txn.put(key, left, db=index)
    else:
        txn.delete(key, db=index)
