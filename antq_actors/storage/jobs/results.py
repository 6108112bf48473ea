"""The results of jobs: rows that are stored with a completion and go with their job.

    results    id                        when it is deleted, or zeros; its payload, sealed
               EXPIRY, time, id          those that are deleted before their job

A payload is sealed as a job's spec is, by a checksum or a signature, together with its job's id:
so it is no other job's result, and nothing of it is loaded before that was verified.
"""

from __future__ import annotations

from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from antq_actors.errors import DamagedRecord, ResultNotKept, ResultTooLarge
from antq_actors.jobs.result import NOT_KEPT, TOO_LARGE
from antq_actors.storage.format import encoding
from antq_actors.storage.format.job_cipher import RESULT
from antq_actors.storage.format.values import load_value
from antq_actors.storage.jobs.entry_reader import cipher_of, opener_of
from antq_actors.storage.lmdb import keys
from antq_actors.storage.lmdb.scan import items_from, keys_with, value_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import lmdb

    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.outcome import KeptResult
    from antq_actors.storage.format.encoding import Signer
    from antq_actors.storage.format.job_cipher import JobCipher
    from antq_actors.storage.lmdb.tables import Tables

EXPIRY: Final = b"\xff"
"""What the keys of rows that are deleted before their job begin with, behind all ids: those are
no larger than a counter of jobs comes to."""
_RESEALED_BYTES: Final = 8 * 2**20
"""Signed again in one transaction, with one result more."""
_DELETED_PER_PUT: Final = 2
_NEVER: Final = bytes(8)
_TIME_BYTES: Final = 8
_ID_BYTES: Final = 8
_EXPIRY_KEY_BYTES: Final = len(EXPIRY) + _TIME_BYTES + _ID_BYTES
_PURPOSE: Final = b"result\0"
"""Sealed along: a spec begins with another byte."""


def unseal(id_: int, row: bytes, signer: Signer, cipher: JobCipher | None = None) -> bytes:
    """Return the payload in the row of a job's result, decrypted by the *cipher* of the job.

    Raises DamagedRecord for another one's, and where no key fits.
    """
    payload = verified(id_, row, signer)
    return payload if cipher is None else cipher.open(payload, RESULT)


def verified(id_: int, row: bytes, signer: Signer) -> bytes:
    """Return the payload in the row of a job's result. Raises DamagedRecord for another one's."""
    return _payload(id_, signer.verify(row[_TIME_BYTES:]))


def contents(id_: int, row: bytes) -> bytes:
    """Return the payload in the row of a job's result, as :func:`unseal`; no signature is verified.

    Raises DamagedRecord.
    """
    return _payload(id_, encoding.contents(row[_TIME_BYTES:]))


def _payload(id_: int, sealed: bytes) -> bytes:
    head = _PURPOSE + keys.job_key(id_)
    if not sealed.startswith(head):
        raise DamagedRecord(f"the result of job {id_} is damaged on disk: it is of no such job")
    return sealed[len(head) :]


def load_result(payload: bytes) -> Any:
    """Return the value in the payload of a result, which executes what its pickles name.

    Raises ResultTooLarge, ResultNotKept, and whatever loading it raises.
    """
    why = why_not_kept(payload)
    if why is None:
        return load_value(payload)
    raise (ResultTooLarge if payload.startswith(TOO_LARGE) else ResultNotKept)(why)


def why_not_kept(payload: bytes) -> str | None:
    """Return why what a job returned was not kept, given the payload; None: it was."""
    return payload[1:].decode() if payload.startswith((TOO_LARGE, NOT_KEPT)) else None


def expires_at(row: bytes) -> Instant | None:
    """Return when a result is deleted, given its row; None: with its job."""
    return int.from_bytes(row[:_TIME_BYTES]) or None


class ResultTable:
    """The rows of results, to write them in one LMDB transaction."""

    def __init__(self, txn: lmdb.Transaction, tables: Tables) -> None:
        self._txn = txn
        self._tables = tables
        self._table = tables.further(txn, "results")

    def put(
        self, results: Iterable[tuple[bytes, KeptResult]], signer: Signer, now: Instant
    ) -> None:
        """Write the results of jobs, given with their keys in ``jobs``, that complete *now*."""
        expiring = 0
        with self._txn.cursor(self._table) as cursor:
            for key, (payload, ttl) in results:
                expiry = _NEVER
                if ttl is not None:
                    expiry = (now + ttl).to_bytes(_TIME_BYTES)
                    cursor.put(EXPIRY + expiry + key, b"")
                    expiring += 1
                if self._tables.cipher is not None:
                    payload = self._sealed(key, payload)  # noqa: PLW2901 - as it is stored
                cursor.put(key, expiry + signer.sign(_PURPOSE + key + payload))
        if expiring:
            # So their number does not grow, whether a pruner runs or not.
            self.delete_expired(now, _DELETED_PER_PUT * expiring)

    def _sealed(self, key: bytes, payload: bytes) -> bytes:
        """Return the payload of a result as it is stored: encrypted if its job is."""
        cipher = cipher_of(self._txn, self._tables, keys.id_at_end(key))
        return payload if cipher is None else cipher.seal(payload, RESULT)

    def delete(self, id_: int) -> None:
        """Delete the result of a job, if it still has one."""
        key = keys.job_key(id_)
        row = value_of(self._txn, self._table, key)
        if row is None:
            return
        self._txn.delete(key, db=self._table)
        if expires_at(row) is not None:
            self._txn.delete(EXPIRY + row[:_TIME_BYTES] + key, db=self._table)

    def delete_expired(self, now: Instant, limit: int) -> int:
        """Delete up to *limit* results whose time has come by *now*; return how many."""
        end = EXPIRY + (now + 1).to_bytes(_TIME_BYTES)
        found = [
            key
            for key in islice(keys_with(self._txn, self._table, EXPIRY), limit)
            if key < end and len(key) == _EXPIRY_KEY_BYTES
        ]
        for key in found:
            self._txn.delete(key, db=self._table)
            self._txn.delete(key[len(EXPIRY) + _TIME_BYTES :], db=self._table)
        return len(found)

    def reseal(self, signer: Signer, start: bytes) -> bytes | None:
        """Sign some results again, from a key on, and return the key to go on from.

        Damaged ones stay as they are.
        """
        size = 0
        batch: list[tuple[bytes, bytes]] = []
        following = None
        for key, row in items_from(self._txn, self._table, start):
            if size > _RESEALED_BYTES or key.startswith(EXPIRY):
                following = None if key.startswith(EXPIRY) else key
                break
            batch.append((key, row))
            size += len(row)
        for key, row in batch:
            with suppress(DamagedRecord):
                id_ = keys.id_at_end(key)
                payload = _payload(id_, encoding.contents(row[_TIME_BYTES:]))
                if signer.cipher is not None:
                    cipher = opener_of(self._txn, self._tables, id_)._replace(cipher=signer.cipher)
                    payload = cipher.renewed(payload, RESULT)
                signed = signer.sign(_PURPOSE + key + payload)
                self._txn.put(key, row[:_TIME_BYTES] + signed, db=self._table)
        return following


def verify_results(txn: lmdb.Transaction, tables: Tables, signer: Signer) -> Iterator[str]:
    """Yield what is wrong with the table of results; each job that has one is checked elsewhere."""
    table = tables.further(txn, "results")
    for key, row in items_from(txn, table, b""):
        if len(key) == _EXPIRY_KEY_BYTES and key.startswith(EXPIRY):
            named = value_of(txn, table, key[-_ID_BYTES:]) or b""
            if named[:_TIME_BYTES] != key[len(EXPIRY) : -_ID_BYTES]:
                yield f"results: {key!r} is the time of no result"
            continue
        if len(key) != _ID_BYTES:
            yield f"results: {key!r} is no key of a result"
            continue
        id_ = int.from_bytes(key)
        try:
            record = value_of(txn, tables.jobs, key)
            composed = None if record is None else encoding.decode_job(record).state.composed
            if composed is None or not composed.has_result_row:
                yield f"results: {key!r} belongs to no job that has a result"
            verified(id_, row, signer)
        except DamagedRecord as error:
            yield f"result of job {id_}: {error}"
        expiry = row[:_TIME_BYTES]
        if expiry != _NEVER and value_of(txn, table, EXPIRY + expiry + key) is None:
            yield f"results: the time of the result of job {id_} is missing"


def read_row(txn: lmdb.Transaction, tables: Tables, id_: int) -> bytes | None:
    """Read the row of a job's result; None: it has none."""
    return value_of(txn, tables.further(txn, "results"), keys.job_key(id_))
