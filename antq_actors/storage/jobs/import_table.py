"""The table of imports under way, so that one that was killed can go on where it was.

    imports    key              which process imports, and how far the end of it is
               key, position    what became of some lines: the numbers of what they describe here

A part is written in the transaction that stores the jobs of these lines. It has the digest of all
lines up to its last one: so an import of the same lines finds it, and takes the numbers from it in
place of storing the jobs again. The rows are deleted at the end of the import.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

import msgspec

from antq_actors.jobs.instant import SECOND, Instant  # msgspec reads annotations
from antq_actors.storage.format.encoding import DAMAGES
from antq_actors.storage.format.records import WaitsFor  # msgspec reads annotations
from antq_actors.storage.lmdb import keys
from antq_actors.storage.lmdb.scan import delete_range, items_from, value_of

if TYPE_CHECKING:
    import lmdb

    from antq_actors.storage.lmdb.tables import Tables

TABLE: Final = "imports"
KEY_BYTES: Final = 8
KEPT_TIME: Final = 7 * 86_400 * SECOND
"""How long an import that was killed can go on."""

LooseTuple: TypeAlias = tuple[int, int, tuple[WaitsFor, ...], int, int]
"""The fields of an ``imports.Loose``."""


class ImportHead(msgspec.Struct, frozen=True, array_like=True):
    """An import, from its first part on."""

    holder: int
    """The node whose process imports, or has; 0: it is not known, and taken for dead."""
    at: Instant
    """When it began, or went on."""
    tied: int = 0
    """Of what its jobs name that came later, how many are tied; see ``imports.tie_loose``."""
    ended: int = 0
    """How many of its groups were ended; see ``imports.end_groups``."""


class ImportPart(msgspec.Struct, frozen=True, array_like=True):
    """What became of some lines of an import."""

    lines: int
    """The number of the last one."""
    digest: bytes
    """Of all lines up to that one."""
    keep_ids: bool
    node: int
    ids: list[int | None]
    loose: list[LooseTuple]


class ImportMark(NamedTuple):
    """Which part of an import a transaction stores."""

    key: bytes
    position: int
    holder: int
    lines: int
    digest: bytes


class KilledImport(NamedTuple):
    """An import as it is found."""

    key: bytes
    head: ImportHead
    parts: list[ImportPart]


_encode: Final = msgspec.msgpack.Encoder().encode
_decode_head: Final = msgspec.msgpack.Decoder(ImportHead).decode
_decode_part: Final = msgspec.msgpack.Decoder(ImportPart).decode


class ImportTable:
    """The table of imports under way, within a transaction."""

    def __init__(self, txn: lmdb.Transaction, tables: Tables) -> None:
        self._txn = txn
        self._table = tables.further(txn, TABLE)

    def head(self, key: bytes) -> ImportHead | None:
        """Read an import; None: there is none, or its row is damaged."""
        found = value_of(self._txn, self._table, key)
        with suppress(*DAMAGES):
            return None if found is None else _decode_head(found)
        return None

    def put_head(self, key: bytes, head: ImportHead) -> None:
        """Write how far an import is."""
        self._txn.put(key, _encode(head), db=self._table)

    def put_part(self, key: bytes, position: int, part: ImportPart) -> None:
        """Write what became of some lines."""
        self._txn.put(key + keys.job_key(position), _encode(part), db=self._table)

    def all(self) -> list[KilledImport]:
        """Read all imports with their parts; of a damaged row, and behind it, there is none."""
        found: dict[bytes, KilledImport] = {}
        for row, value in items_from(self._txn, self._table, b""):
            key, position = row[:KEY_BYTES], row[KEY_BYTES:]
            with suppress(*DAMAGES):
                if not position:
                    found[key] = KilledImport(key, _decode_head(value), [])
                elif key in found and position == keys.job_key(len(found[key].parts)):
                    found[key].parts.append(_decode_part(value))
        return list(found.values())

    def delete(self, key: bytes) -> None:
        """Delete all rows of an import."""
        delete_range(self._txn, self._table, key, key + b"\xff" * (KEY_BYTES + 1))
