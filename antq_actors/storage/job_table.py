"""A job's records in all tables, kept in agreement.

Every change of a job goes through :meth:`JobTable.add`, :meth:`JobTable.move` or
:meth:`JobTable.remove`; nothing else writes to these tables. What they promise is written down as
a check in :mod:`~antq_actors.storage.verify`.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import islice, takewhile
from typing import TYPE_CHECKING

from antq_actors.storage import encoding, keys
from antq_actors.storage.records import StoredJob
from antq_actors.storage.scan import items_with, keys_from, keys_with, value_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    import lmdb

    from antq_actors.jobs.lifecycle import ErrorEntry
    from antq_actors.jobs.state import JobState
    from antq_actors.jobs.status import Status
    from antq_actors.storage.encoding import JobRecord
    from antq_actors.storage.records import JobSpec
    from antq_actors.storage.tables import Tables


class JobTable:
    """The jobs of a store, in one transaction.

    Counts are collected and written once, by :meth:`flush`: without it the transaction must not be
    committed.
    """

    def __init__(self, txn: lmdb.Transaction, tables: Tables) -> None:
        self._txn = txn
        self._tables = tables
        self._deltas: defaultdict[bytes, int] = defaultdict(int)

    def record(self, id_: int) -> JobRecord | None:
        """Answer the part of a job that changes; None if there is no such job."""
        if not 0 < id_ <= keys.LARGEST_ID:
            return None
        record = value_of(self._txn, self._tables.jobs, keys.job_key(id_))
        return None if record is None else encoding.decode_job(record)

    def whole(self, id_: int, state: JobState) -> StoredJob:
        """Answer a job, given the part that changes."""
        errors = self.error_bytes(id_) if state.errors else ()
        return StoredJob(
            id_,
            state,
            encoding.decode_spec(self.spec_bytes(id_)),
            tuple(encoding.decode_error(entry) for entry in errors),
        )

    def spec_bytes(self, id_: int) -> bytes:
        """Answer the encoded spec of a job that exists."""
        return value_of(self._txn, self._tables.payloads, keys.job_key(id_)) or b""

    def error_bytes(self, id_: int) -> tuple[bytes, ...]:
        """Answer the encoded errors of a job, newest first."""
        entries = items_with(self._txn, self._tables.errors, keys.job_key(id_))
        return tuple(entry for _, entry in entries)[::-1]

    def add(self, id_: int, state: JobState, spec: JobSpec) -> None:
        """Store a new job; *id_* is larger than all before."""
        tables, put = self._tables, self._txn.put
        key = keys.job_key(id_)
        digest = spec.unique_digest
        put(key, encoding.encode_job(state, digest), db=tables.jobs, append=True)
        put(key, encoding.encode_spec(spec), db=tables.payloads, append=True)
        self._enter(id_, state, digest)

    def move(
        self,
        id_: int,
        old: JobRecord,
        new: JobState,
        error: ErrorEntry | None = None,
    ) -> None:
        """Change a job's state, and add *error* to its errors."""
        put = self._txn.put
        self._leave(id_, old.state, old.digest)
        record = encoding.encode_job(new, old.digest)
        put(keys.job_key(id_), record, db=self._tables.jobs)
        self._enter(id_, new, old.digest)
        if error is not None:
            key = keys.error_key(id_, old.state.errors)
            put(key, encoding.encode_error(error), db=self._tables.errors)

    def remove(self, id_: int, record: JobRecord) -> None:
        """Delete a job from every table."""
        tables, delete = self._tables, self._txn.delete
        key = keys.job_key(id_)
        self._leave(id_, record.state, record.digest)
        delete(key, db=tables.jobs)
        delete(key, db=tables.payloads)
        for number in range(record.state.errors):
            delete(keys.error_key(id_, number), db=tables.errors)

    def count(self, lane: bytes) -> int:
        """Answer how many jobs a lane has."""
        stored = value_of(self._txn, self._tables.counts, lane)
        return int.from_bytes(stored or b"", "big") + self._deltas.get(lane, 0)

    def lanes(self) -> list[tuple[Status, str]]:
        """Answer the lanes that hold jobs: at most seven of a queue."""
        known = {*keys_from(self._txn, self._tables.counts), *self._deltas}
        return [keys.split_lane(lane) for lane in sorted(known) if self.count(lane)]

    def flush(self) -> bool:
        """Write the counts that changed; tell whether any job did."""
        has_changed = bool(self._deltas)
        for lane, delta in self._deltas.items():
            if delta == 0:
                continue
            stored = value_of(self._txn, self._tables.counts, lane)
            count = int.from_bytes(stored or b"", "big") + delta
            if count:
                self._txn.put(lane, count.to_bytes(8, "big"), db=self._tables.counts)
            else:
                self._txn.delete(lane, db=self._tables.counts)
        self._deltas.clear()
        return has_changed

    def head(self, lane: bytes, limit: int, end: bytes | None = None) -> list[bytes]:
        """Answer the first *limit* keys of a lane's order of work, before *end* if it is given."""
        if limit <= 0:
            return []
        return list(islice(self.between(lane, end or keys.lane_end(lane)), limit))

    def between(self, start: bytes, end: bytes) -> Iterator[bytes]:
        """Answer the keys of the order of work from *start* to before *end*, as they are now."""
        return takewhile(end.__gt__, keys_from(self._txn, self._tables.index, start))

    def in_the_way(self, digest: bytes, statuses: tuple[Status, ...], but: int = 0) -> int | None:
        """Answer a job with this digest and one of these statuses, other than *but*."""
        for status in statuses:
            prefix = keys.unique_prefix(digest, status)
            for key in keys_with(self._txn, self._tables.unique, prefix):
                id_ = keys.id_at_end(key)
                if id_ != but:
                    return id_
        return None

    def _enter(self, id_: int, state: JobState, digest: bytes | None) -> None:
        tables, put = self._tables, self._txn.put
        lane = keys.lane(state.status, state.queue_name)
        put(keys.work_key(lane, keys.order_of(state), id_), b"", db=tables.index)
        if state.status in keys.LISTED:
            put(keys.listing_key(lane, id_), b"", db=tables.listing)
        if digest is not None:
            put(keys.unique_key(digest, state.status, id_), b"", db=tables.unique)
        self._deltas[lane] += 1

    def _leave(self, id_: int, state: JobState, digest: bytes | None) -> None:
        tables, delete = self._tables, self._txn.delete
        lane = keys.lane(state.status, state.queue_name)
        delete(keys.work_key(lane, keys.order_of(state), id_), db=tables.index)
        if state.status in keys.LISTED:
            delete(keys.listing_key(lane, id_), db=tables.listing)
        if digest is not None:
            delete(keys.unique_key(digest, state.status, id_), db=tables.unique)
        self._deltas[lane] -= 1
