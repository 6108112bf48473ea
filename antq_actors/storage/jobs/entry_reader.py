"""What the tables of a store have of each job, read within one transaction."""

from __future__ import annotations

from bisect import bisect_left
from itertools import islice, takewhile
from typing import TYPE_CHECKING, NamedTuple, cast

from antq_actors.errors import DamagedRecord
from antq_actors.jobs import lifecycle
from antq_actors.jobs.state import Status, StoredJob
from antq_actors.storage.format import display, encoding
from antq_actors.storage.format.cipher import is_encrypted, opened_spec
from antq_actors.storage.format.job_cipher import job_cipher
from antq_actors.storage.lmdb import keys
from antq_actors.storage.lmdb.scan import (
    first_keys,
    items_before,
    items_with,
    keys_from,
    keys_with,
    value_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    import lmdb
    from lmdb import _Database

    from antq_actors.jobs.state import ErrorEntry, JobState
    from antq_actors.storage.format.cipher import Cipher
    from antq_actors.storage.format.encoding import JobRecord, Signer
    from antq_actors.storage.format.job_cipher import JobCipher
    from antq_actors.storage.lmdb.tables import Tables


class RawJob(NamedTuple):
    """A job as it stands on disk, but for its state; the rest is decoded by who asked for it."""

    id: int
    state: JobState
    payload: bytes
    errors: tuple[bytes, ...]
    cipher: Cipher | None = None
    """What it is decrypted with; None: what is encrypted stays so."""

    @property
    def worker(self) -> str:
        """The name of the job's worker, decoded from the stored bytes without the rest."""
        return display.worker_for_display(self.payload)

    @property
    def opener(self) -> JobCipher:
        """What decrypts what came of the job."""
        return display.cipher_in(self.payload, self.cipher)

    def decode(self) -> StoredJob:
        """Return the job decoded for display: damaged parts show as such."""
        errors = display.errors_for_display(self.errors, self.payload, self.cipher)
        spec = display.spec_for_display(self.payload, self.state, self.cipher)
        return StoredJob(self.id, self.state, spec, errors)


class EntryReader:
    """Reads the records of jobs, their specs and errors, and their places in the index.

    A job's spec is in its record, or by itself in ``payloads`` if it is large.
    """

    __slots__ = ()

    _txn: lmdb.Transaction
    _tables: Tables

    # ---- records, specs and errors --------------------------------------------------------

    def record(self, id_: int) -> JobRecord | None:
        """Read a job's record from the ``jobs`` table; None: no such job.

        Raises DamagedRecord.
        """
        if not 0 < id_ <= keys.LARGEST_ID:
            return None
        record = value_of(self._txn, self._tables.jobs, keys.job_key(id_))
        return None if record is None else encoding.decode_job(record)

    def whole(self, id_: int, state: JobState) -> StoredJob:
        """Read the rest of a job whose *state* is known, for display: damage shows as such."""
        payload, cipher = self.payload(id_), self._tables.cipher
        spec = display.spec_for_display(payload, state, cipher)
        found = self.error_bytes(id_, state.errors)
        return StoredJob(id_, state, spec, display.errors_for_display(found, payload, cipher))

    def verified(self, id_: int, record: JobRecord, state: JobState, signer: Signer) -> StoredJob:
        """Return a job to run, without errors, and verify its signature. Raises DamagedRecord.

        So it does where it is encrypted and no key fits.

        *record*: the one it has, *state*: the one it comes to have.
        """
        spec = record.spec or self.large_spec(id_)
        decoded = encoding.decode_spec(signer.verify(spec))
        if decoded.encrypted:
            decoded = opened_spec(decoded, self._tables.cipher)
        return StoredJob(id_, state, decoded, ())

    def payload(self, id_: int) -> bytes:
        """Read the bytes of a job's spec; none if there are none."""
        return encoding.spec_in(self.raw(id_)) or self.large_spec(id_)

    def large_spec(self, id_: int) -> bytes:
        """Read the bytes of a job's spec that is not in its record; none if there are none."""
        return value_of(self._txn, self._tables.payloads, keys.job_key(id_)) or b""

    def errors(self, id_: int, count: int) -> tuple[ErrorEntry, ...]:
        """Read the kept ones of the first *count* errors of a job, decoded for display."""
        found, cipher = self.error_bytes(id_, count), self._tables.cipher
        payload = b"" if cipher is None or not found else self.payload(id_)
        return display.errors_for_display(found, payload, cipher)

    def error_bytes(self, id_: int, count: int, *, most: int | None = None) -> tuple[bytes, ...]:
        """Read the kept ones of the first *count* errors of a job as bytes, newest first.

        *most*: no more than so many. An earlier release kept all: those of them that are not kept
        any more are not read.
        """
        if not count:
            return ()
        table, prefix = self._tables.errors, keys.job_key(id_)
        end = keys.error_key(id_, min(count, keys.LARGEST_NUMBER))
        limit = lifecycle.NEWEST_ERRORS if most is None else most
        found = list(islice(items_before(self._txn, table, prefix, end), limit))
        if len(found) == lifecycle.NEWEST_ERRORS:
            first = next(items_with(self._txn, table, prefix))
            found += [first] if first[0] < found[-1][0] else []
        return tuple(entry for _, entry in found)

    def numbered_errors(self, id_: int) -> dict[int, ErrorEntry]:
        """Read the kept errors of a job by their numbers, decoded for display."""
        table, prefix = self._tables.errors, keys.job_key(id_)
        end = keys.error_key(id_, keys.LARGEST_NUMBER)
        rows = dict(islice(items_before(self._txn, table, prefix, end), lifecycle.NEWEST_ERRORS))
        rows.update(islice(items_with(self._txn, table, prefix), 1))
        numbers = [key for key in rows if len(key) == len(end)]  # else the store is damaged
        found = [rows[key] for key in numbers]
        shown = display.errors_for_display(found, self.payload(id_), self._tables.cipher)
        return {
            keys.split_error_key(key)[1]: each for key, each in zip(numbers, shown, strict=True)
        }

    def next_error_number(self, id_: int) -> int:
        """Read the number that the next error of a job gets in the ``errors`` table."""
        end = keys.error_key(id_, keys.LARGEST_NUMBER)
        for key, _ in items_before(self._txn, self._tables.errors, keys.job_key(id_), end):
            if len(key) == len(end):  # else it is none: the store is damaged
                return keys.split_error_key(key)[1] + 1
        return 0

    def records(self, ids: list[bytes]) -> dict[bytes, bytes]:
        """Read the record bytes of several jobs, by key; jobs that do not exist are left out."""
        return get_many(self._txn, self._tables.jobs, ids)

    def payloads(self, ids: list[bytes], records: dict[bytes, bytes]) -> dict[bytes, bytes]:
        """Return the bytes of several jobs' specs, by key, given the *records* that they have."""
        found = {key: encoding.spec_in(record) for key, record in records.items()}
        outside = [key for key in ids if not found.get(key)]
        if outside:
            found.update(get_many(self._txn, self._tables.payloads, outside))
        return found

    def raw(self, id_: int) -> bytes:
        """Read the bytes of a job's record, damaged or not; none if it has none."""
        if not 0 < id_ <= keys.LARGEST_ID:
            return b""
        return value_of(self._txn, self._tables.jobs, keys.job_key(id_)) or b""

    # ---- the index ------------------------------------------------------------------------

    def head(self, lane: bytes, limit: int, end: bytes | None = None) -> list[bytes]:
        """Read the first *limit* ``index`` keys of a lane before *end*: its next jobs."""
        if limit <= 0:
            return []
        if end is None:
            end = keys.lane_end(lane)
        found = first_keys(self._txn, self._tables.index, lane, limit, end)
        return found if not found or found[-1] < end else found[: bisect_left(found, end)]

    def orders(self, lane: bytes) -> list[bytes]:
        """Read the distinct beginnings, all but the id, of a lane's keys in ``index``."""
        found: list[bytes] = []
        end = keys.lane_end(lane)
        start = lane
        while (key := next(keys_from(self._txn, self._tables.index, start), end)) < end:
            found.append(keys.without_id(key))
            start = found[-1] + keys.job_key(keys.LARGEST_ID)
        return found

    def between(self, start: bytes, end: bytes) -> Iterator[bytes]:
        """Yield the keys of the ``index`` table from *start* to before *end*."""
        return takewhile(end.__gt__, keys_from(self._txn, self._tables.index, start))

    def find_conflict(
        self, digest: bytes, statuses: tuple[Status, ...], but: int = 0
    ) -> int | None:
        """Read the id of a unique job with this digest in one of these statuses, not *but*."""
        return next((id_ for id_ in self.conflicts(digest, statuses) if id_ != but), None)

    def conflicts(self, digest: bytes, statuses: tuple[Status, ...]) -> Iterator[int]:
        """Yield the ids of the unique jobs with this digest in one of these statuses.

        An encrypted one has an HMAC of it, by whichever key.
        """
        cipher = self._tables.cipher
        for each in (digest,) if cipher is None else cipher.digests(digest):
            for status in statuses:
                prefix = keys.unique_prefix(each, status)
                yield from map(keys.id_at_end, keys_with(self._txn, self._tables.unique, prefix))


def get_many(txn: lmdb.Transaction, table: _Database, wanted: list[bytes]) -> dict[bytes, bytes]:
    """Read the values of many keys of an LMDB table; keys it does not have are left out."""
    with txn.cursor(table) as cursor:
        return dict(cast("list[tuple[bytes, bytes]]", cursor.getmulti(wanted)))


def opener_of(txn: lmdb.Transaction, tables: Tables, id_: int) -> JobCipher:
    """Return what decrypts what came of a job, whether it is encrypted or not."""
    return display.cipher_in(_payload(txn, tables, id_), tables.cipher)


def cipher_of(txn: lmdb.Transaction, tables: Tables, id_: int) -> JobCipher | None:
    """Return what encrypts what comes of a job; None: that is not encrypted, as the job is not.

    Of a job that no key here can decrypt, nothing comes but the error that says so, which has to
    be read without a key.
    """
    cipher = tables.cipher
    if cipher is None:
        return None
    try:
        spec = encoding.decode_spec(encoding.contents(_payload(txn, tables, id_)))
        if not is_encrypted(spec):
            return None
        cipher.open_spec(spec)
    except DamagedRecord:
        return None
    return job_cipher(spec, cipher)


def _payload(txn: lmdb.Transaction, tables: Tables, id_: int) -> bytes:
    """Read the bytes of a job's spec, wherever they are; none if there are none."""
    key = keys.job_key(id_)
    payload = encoding.spec_in(value_of(txn, tables.jobs, key) or b"")
    return payload or value_of(txn, tables.payloads, key) or b""
