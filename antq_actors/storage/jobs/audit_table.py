"""What was done by hand: the table ``audit``.

    a, number    an entry, from 0; the newest are kept
    u, v         what undoes it: see `undo_table`

What an action was about, and why it was done, is encrypted where there is a key: a filter may hold
the arguments of jobs.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Final

import msgspec

from antq_actors.errors import DamagedRecord
from antq_actors.jobs.audit import UNREADABLE, Action, AuditEntry
from antq_actors.jobs.instant import Instant, datetime_for_display  # msgspec reads annotations
from antq_actors.storage.format.cipher import is_sealed
from antq_actors.storage.format.encoding import DAMAGES
from antq_actors.storage.jobs.undo_table import TABLE, UndoTable, is_key_of_undo
from antq_actors.storage.lmdb.scan import (
    delete_range,
    items_before,
    items_from,
    items_with,
    value_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import lmdb

    from antq_actors.storage.format.cipher import Cipher
    from antq_actors.storage.lmdb.tables import Tables

MOST_ENTRIES: Final = 10_000
"""Entries that are kept, the newest."""

_ENTRY: Final = b"a"
_END: Final = b"b"
"""Behind all keys of entries."""
_NUMBER_BYTES: Final = 8
_ABOUT_OF_ENTRY: Final = b"audit"
"""What the target and the reason of an entry are encrypted for."""
_OF_NO_JOB: Final = b""
"""What is authenticated with them: they belong to no job."""


class StoredEntry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An entry as it is stored."""

    at: Instant
    name: str | None
    verb: str
    count: int
    about: bytes
    """The target and the reason, encoded, and encrypted where there is a key."""


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(StoredEntry).decode
_decode_about: Final = msgspec.msgpack.Decoder(tuple[str, str | None]).decode


class AuditTable:
    """Reads and writes what was done by hand, in one LMDB transaction."""

    def __init__(self, txn: lmdb.Transaction, tables: Tables) -> None:
        self._txn = txn
        self._table = tables.further(txn, TABLE)
        self._cipher = tables.cipher

    def add(self, action: Action, count: int, at: Instant) -> int:
        """Write a new entry, and delete what is too much; return its number."""
        number = self._next_number()
        about = self._sealed(_encode((action.target, action.reason)))
        self._put(number, StoredEntry(at, action.name, action.verb, count, about))
        if number >= MOST_ENTRIES:
            delete_range(self._txn, self._table, _ENTRY, _key(number + 1 - MOST_ENTRIES))
        return number

    def add_count(self, number: int, count: int) -> None:
        """Write that what an entry tells has changed more; one that is gone stays so."""
        stored = value_of(self._txn, self._table, _key(number))
        entry = None if stored is None else _decoded(stored)
        if entry is not None:
            self._put(number, msgspec.structs.replace(entry, count=entry.count + count))

    def get(self, number: int) -> AuditEntry | None:
        """Read an entry; None: it is not kept any more, or is damaged."""
        stored = value_of(self._txn, self._table, _key(number))
        entry = None if stored is None else _decoded(stored)
        return None if entry is None else self._shown(entry)

    def newest(self, limit: int) -> list[AuditEntry]:
        """Read up to *limit* entries, the newest first; damaged ones are left out."""
        return [entry for _, entry in islice(self.below(None), limit)]

    def below(self, number: int | None) -> Iterator[tuple[int, AuditEntry]]:
        """Yield the entries below a number, with their own, the newest first; None: all."""
        end = _END if number is None else _key(number)
        yield from self._readable(items_before(self._txn, self._table, _ENTRY, end))

    def above(self, number: int) -> Iterator[tuple[int, AuditEntry]]:
        """Yield the entries above a number, with their own, the oldest first."""
        yield from self._readable(items_from(self._txn, self._table, _key(number + 1)))

    def _readable(self, rows: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[int, AuditEntry]]:
        for key, row in rows:
            if not key.startswith(_ENTRY):
                return
            entry = _decoded(row)
            if entry is not None:
                yield _number(key), self._shown(entry)

    def reseal(self, cipher: Cipher) -> None:
        """Encrypt what all entries are about anew; what no key fits stays as it is."""
        for key, row in list(items_with(self._txn, self._table, _ENTRY)):
            entry = _decoded(row)
            about = None if entry is None else self._opened(entry.about)
            if entry is not None and about is not None:
                sealed = cipher.seal(about, _ABOUT_OF_ENTRY, _OF_NO_JOB)
                renewed = msgspec.structs.replace(entry, about=sealed)
                self._txn.put(key, _encode(renewed), db=self._table)

    def findings(self) -> Iterator[str]:
        """Yield what is wrong with the rows."""
        for key, row in items_with(self._txn, self._table, b""):
            if is_key_of_undo(key):
                continue
            if key[:1] != _ENTRY or len(key) != len(_key(0)):
                yield f"audit: {key!r} is no key of an entry"
            elif _decoded(row) is None:
                yield f"audit: entry {_number(key)} is damaged on disk, and is not shown"

    def _next_number(self) -> int:
        for key, _ in items_before(self._txn, self._table, _ENTRY, _END):
            return _number(key) + 1
        return 0

    def _put(self, number: int, entry: StoredEntry) -> None:
        self._txn.put(_key(number), _encode(entry), db=self._table)

    def _shown(self, entry: StoredEntry) -> AuditEntry:
        about = self._opened(entry.about)
        target, reason = (UNREADABLE, None) if about is None else _decode_about(about)
        at = datetime_for_display(entry.at)
        return AuditEntry(at, entry.name, entry.verb, target, entry.count, reason)

    def _sealed(self, about: bytes) -> bytes:
        if self._cipher is None:
            return about
        return self._cipher.seal(about, _ABOUT_OF_ENTRY, _OF_NO_JOB)

    def _opened(self, about: bytes) -> bytes | None:
        """Return what an entry is about, encoded; None: no key decrypts it."""
        if not is_sealed(about):
            return about
        if self._cipher is None:
            return None
        try:
            return self._cipher.open(about, _ABOUT_OF_ENTRY, _OF_NO_JOB)
        except DamagedRecord:
            return None


def _decoded(row: bytes) -> StoredEntry | None:
    """Decode a row; None: it is damaged."""
    try:
        entry = _decode(row)
        if not is_sealed(entry.about):
            _decode_about(entry.about)
    except DAMAGES:
        return None
    return entry


def _key(number: int) -> bytes:
    return _ENTRY + number.to_bytes(_NUMBER_BYTES)


def _number(key: bytes) -> int:
    return int.from_bytes(key[1 : 1 + _NUMBER_BYTES])


def verify_audit(txn: lmdb.Transaction, tables: Tables) -> Iterator[str]:
    """Yield what is wrong with the table of the audit."""
    if tables.has_rows(txn, TABLE):
        yield from AuditTable(txn, tables).findings()
        yield from UndoTable(txn, tables).findings()


def reseal_audit(tables: Tables, cipher: Cipher, txn: lmdb.Transaction) -> None:
    """Encrypt what all entries are about anew."""
    if tables.has_rows(txn, TABLE):
        AuditTable(txn, replace(tables, cipher=cipher)).reseal(cipher)
