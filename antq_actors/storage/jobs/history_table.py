"""The changes of jobs that their records do not show: the table ``history``.

    id, number    a change, from 0; of very many the first and the newest are kept

A job with such rows says so in its state (``JobState.history``); of all others none is looked for.
Only a process that has something to note opens the table: an open one costs each transaction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from antq_actors.errors import DamagedRecord, StorageError
from antq_actors.jobs.history import Change, dropped_changes
from antq_actors.storage.format.encoding import DAMAGES
from antq_actors.storage.lmdb import keys
from antq_actors.storage.lmdb.scan import delete_range, items_before, items_with, keys_from

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import lmdb

    from antq_actors.storage.lmdb.tables import Tables

TABLE: Final = "history"

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Change).decode


class HistoryTable:
    """Reads and writes what is noted of jobs, in one LMDB transaction."""

    def __init__(self, txn: lmdb.Transaction, tables: Tables) -> None:
        self._txn = txn
        self._table = tables.further(txn, TABLE)

    def add(self, id_: int, number: int, change: Change) -> None:
        """Write a change of a job under its *number*, and delete what is too much."""
        if number >= keys.LARGEST_NUMBER:
            raise DamagedRecord(f"the state of job {id_} counts {number} changes")
        self._txn.put(keys.error_key(id_, number), _encode(change), db=self._table)
        dropped = dropped_changes(number + 1)
        if dropped:
            start, end = keys.error_key(id_, dropped.stop - 1), keys.error_key(id_, dropped.stop)
            delete_range(self._txn, self._table, start, end)

    def put_all(self, id_: int, changes: Sequence[Change]) -> None:
        """Write all changes of a new job, oldest first."""
        for number, change in enumerate(changes):
            self._txn.put(keys.error_key(id_, number), _encode(change), db=self._table)

    def delete(self, id_: int) -> None:
        """Delete all that is noted of a job."""
        end = keys.error_key(id_, keys.LARGEST_NUMBER)
        delete_range(self._txn, self._table, keys.job_key(id_), end)

    def get(self, id_: int) -> tuple[Change, ...]:
        """Read what is noted of a job, oldest first; damaged rows are left out."""
        rows = items_with(self._txn, self._table, keys.job_key(id_))
        found = (_decoded(row) for _, row in rows)
        return tuple(change for change in found if change is not None)

    def next_number(self, id_: int) -> int:
        """Read the number that the next change of a job gets."""
        end = keys.error_key(id_, keys.LARGEST_NUMBER)
        for key, _ in items_before(self._txn, self._table, keys.job_key(id_), end):
            if len(key) == len(end):  # else it is none: the store is damaged
                return keys.split_error_key(key)[1] + 1
        return 0

    def findings_of(self, id_: int, count: int) -> Iterator[str]:
        """Yield what is wrong with the rows of a job of which *count* changes were noted."""
        dropped = dropped_changes(count)
        missing = {*range(min(count, dropped.start)), *range(dropped.stop, count)}
        for key, row in items_with(self._txn, self._table, keys.job_key(id_)):
            number = _number(key)
            if number is None or number not in missing:
                yield f"history: {key!r} is no change of job {id_} that is kept"
                continue
            missing.discard(number)
            if _decoded(row) is None:
                yield f"history: change {number} of job {id_} is damaged on disk"
        for number in sorted(missing):
            yield f"history: change {number} of job {id_} is missing"

    def ids(self) -> Iterator[int]:
        """Yield the ids of the jobs that have rows; 0 for a key of no job."""
        size = len(keys.job_key(0))
        last = None
        for key in keys_from(self._txn, self._table):
            id_ = int.from_bytes(key[:size]) if len(key) >= size else 0
            if id_ != last:
                last = id_
                yield id_


def _decoded(row: bytes) -> Change | None:
    try:
        return _decode(row)
    except DAMAGES:
        return None


def _number(key: bytes) -> int | None:
    try:
        return keys.split_error_key(key)[1]
    except StorageError:
        return None
