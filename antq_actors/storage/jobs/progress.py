"""What running jobs have reported last: rows of their executions, written at most once a second.

    progress   id    the execution, the fraction, the note, when it was reported

A row says which execution has reported it, so it is gone with that: of a job that does not run, or
runs anew, none is shown. Its queue deletes it a moment later, or who deletes its job or gives it
back. Few jobs report anything, so the table is opened only where it has rows, or is to get one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from antq_actors.checks import escaped
from antq_actors.errors import DamagedRecord
from antq_actors.jobs import attempt_error
from antq_actors.jobs.control import Progress
from antq_actors.jobs.instant import Instant, datetime_for_display, from_datetime
from antq_actors.jobs.state import Status
from antq_actors.storage.format.cipher import SHOWN
from antq_actors.storage.format.encoding import DAMAGES
from antq_actors.storage.format.job_cipher import PROGRESS
from antq_actors.storage.jobs.entry_reader import cipher_of, opener_of
from antq_actors.storage.jobs.table import JobEntries
from antq_actors.storage.lmdb import keys
from antq_actors.storage.lmdb.scan import items_from, value_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    import lmdb

    from antq_actors.storage.format.cipher import Cipher
    from antq_actors.storage.lmdb.tables import Tables


TABLE: Final = "progress"
LONGEST_NOTE: Final = 8_192
"""Bytes of a note that are stored, as of an error's text."""


_KEY_BYTES: Final = len(keys.job_key(1))


class Reported(NamedTuple):
    """What one execution of a job has reported last."""

    id: int
    execution: int
    progress: Progress | None
    """None: the execution is over."""


class _Row(NamedTuple):
    execution: int
    fraction: float
    note: str | None
    at: Instant
    sealed: bytes | None = None
    """The ciphertext of its note, which is not here then."""


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(_Row).decode


class ProgressTable:
    """Reads and writes the progress of running jobs, in one LMDB transaction."""

    def __init__(self, txn: lmdb.Transaction, tables: Tables, jobs: JobEntries) -> None:
        self._txn = txn
        self._tables = tables
        self._table = tables.further(txn, TABLE)
        self._jobs = jobs

    def put(self, reported: Reported) -> None:
        """Write what an execution has reported, if its job still runs it; delete what is over."""
        key = keys.job_key(reported.id)
        progress = reported.progress
        if progress is None:
            row = self._row(key)
            if row is not None and row.execution <= reported.execution:
                self._txn.delete(key, db=self._table)
        elif self._runs(reported.id, reported.execution):
            at = 0 if progress.at is None else from_datetime(progress.at)
            note = progress.note
            if note is not None:
                note = attempt_error.cut(note, LONGEST_NOTE)
            row = _Row(reported.execution, progress.fraction, note, at)
            cipher = None
            if note is not None:
                cipher = cipher_of(self._txn, self._tables, reported.id)
            if cipher is not None:
                sealed = cipher.seal(escaped(note or "").encode(), PROGRESS)
                row = row._replace(note=None, sealed=sealed)
            self._txn.put(key, _encode(row), db=self._table)

    def _shown(self, id_: int, row: _Row) -> Progress:
        note = row.note
        if row.sealed is not None:
            try:
                opener = opener_of(self._txn, self._tables, id_)
                note = opener.open(row.sealed, PROGRESS).decode()
            except DamagedRecord:
                note = SHOWN
        return Progress(row.fraction, note, datetime_for_display(row.at))

    def reseal(self, cipher: Cipher) -> None:
        """Encrypt all notes anew with the first key; one that no key fits stays as it is."""
        for key, _ in list(items_from(self._txn, self._table, b"")):
            row = self._row(key)
            if row is None or (row.note is None and row.sealed is None):
                continue
            opener = opener_of(self._txn, self._tables, keys.id_at_end(key))
            stored = (row.note or "").encode() if row.sealed is None else row.sealed
            sealed = opener._replace(cipher=cipher).renewed(stored, PROGRESS)
            if sealed is stored:
                continue
            self._txn.put(key, _encode(row._replace(note=None, sealed=sealed)), db=self._table)

    def delete(self, id_: int) -> None:
        """Delete what a job has reported, if it has."""
        self._txn.delete(keys.job_key(id_), db=self._table)

    def delete_stale(self) -> bool:
        """Delete what executions reported that do not run any more; return whether any did."""
        has_changed = False
        for key, _ in list(items_from(self._txn, self._table, b"")):
            row = self._row(key)
            if row is None or not self._runs(keys.id_at_end(key), row.execution):
                has_changed |= self._txn.delete(key, db=self._table)
        return has_changed

    def get(self, id_: int, execution: int) -> Progress | None:
        """Read what an execution of a job has reported last; None: nothing."""
        row = self._row(keys.job_key(id_))
        return None if row is None or row.execution != execution else self._shown(id_, row)

    def now(self, id_: int) -> Progress | None:
        """Read what the execution of a job that runs has reported last; None: nothing."""
        row = self._row(keys.job_key(id_))
        return None if row is None or not self._runs(id_, row.execution) else self._shown(id_, row)

    def of_queue(self, queue_name: str) -> Iterator[tuple[int, Progress]]:
        """Yield what the running jobs of a queue have reported, by their ids."""
        for key, _ in list(items_from(self._txn, self._table, b"")):
            id_, row = int.from_bytes(key), self._row(key)
            if row is not None and self._runs(id_, row.execution, queue_name):
                yield id_, self._shown(id_, row)

    def findings(self) -> Iterator[str]:
        """Yield what is wrong with the rows. One of an execution that is over goes with time."""
        for key, _ in items_from(self._txn, self._table, b""):
            row = self._row(key)
            if len(key) != _KEY_BYTES:
                yield f"progress: {key!r} is of no job"
            elif row is None:
                yield f"progress: what job {int.from_bytes(key)} has reported is damaged on disk"
            elif self._is_ahead(int.from_bytes(key), row.execution):
                yield (
                    f"progress: execution {row.execution} of job {int.from_bytes(key)} has"
                    " reported, and there was none"
                )

    def _is_ahead(self, id_: int, execution: int) -> bool:
        try:
            record = self._jobs.record(id_)
        except DamagedRecord:
            return False
        return record is not None and record.state.execution < execution

    def _row(self, key: bytes) -> _Row | None:
        found = value_of(self._txn, self._table, key)
        try:
            return None if found is None else _decode(found)
        except DAMAGES:
            return None

    def _runs(self, id_: int, execution: int, queue_name: str | None = None) -> bool:
        try:
            record = self._jobs.record(id_)
        except DamagedRecord:
            return False
        if record is None or record.state.status is not Status.RUNNING:
            return False
        return record.state.execution == execution and queue_name in (
            None,
            record.state.queue_name,
        )


def reseal_progress(tables: Tables, cipher: Cipher, txn: lmdb.Transaction) -> None:
    """Encrypt the notes of what jobs have reported anew."""
    if tables.has_rows(txn, TABLE):
        ProgressTable(txn, tables, JobEntries(txn, tables)).reseal(cipher)


def verify_progress(txn: lmdb.Transaction, tables: Tables) -> Iterator[str]:
    """Yield what is wrong with what jobs have reported."""
    if tables.has_rows(txn, TABLE):
        yield from ProgressTable(txn, tables, JobEntries(txn, tables)).findings()
