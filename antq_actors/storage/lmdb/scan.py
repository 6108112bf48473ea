"""Reading LMDB's keys in order, as typed as its own interface is not.

Without ``buffers=True`` LMDB answers ``bytes``; its annotations allow for both.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Iterator

    import lmdb
    from lmdb import _Database


def keys_from(txn: lmdb.Transaction, table: _Database, start: bytes = b"") -> Iterator[bytes]:
    """Return the keys of a table from *start* on. Do not change the table in the meantime."""
    with txn.cursor(table) as cursor:
        if cursor.set_range(start):
            yield from cast("Iterator[bytes]", cursor.iternext(keys=True, values=False))


def keys_down_from(txn: lmdb.Transaction, table: _Database, start: bytes) -> Iterator[bytes]:
    """Return the keys of a table up to and including *start*, the last first."""
    with txn.cursor(table) as cursor:
        if not cursor.set_range(start):
            is_there = cursor.last()
        else:
            is_there = cursor.key() == start or cursor.prev()
        if is_there:
            yield from cast("Iterator[bytes]", cursor.iterprev(keys=True, values=False))


def first_keys(
    txn: lmdb.Transaction, table: _Database, start: bytes, limit: int, end: bytes
) -> list[bytes]:
    """Return *limit* keys of a table from *start* on, if the first of them is before *end*."""
    with txn.cursor(table) as cursor:
        if not cursor.set_range(start) or cast("bytes", cursor.key()) >= end:
            return []
        return list(islice(cast("Iterator[bytes]", cursor.iternext(values=False)), limit))


def keys_with(txn: lmdb.Transaction, table: _Database, prefix: bytes) -> Iterator[bytes]:
    """Return the keys that begin with *prefix*. Do not change the table in the meantime."""
    for key in keys_from(txn, table, prefix):
        if not key.startswith(prefix):
            return
        yield key


def items_with(
    txn: lmdb.Transaction, table: _Database, prefix: bytes
) -> Iterator[tuple[bytes, bytes]]:
    """Return the keys that begin with *prefix*, with their values."""
    with txn.cursor(table) as cursor:
        if cursor.set_range(prefix):
            for key, value in cast("Iterator[tuple[bytes, bytes]]", cursor.iternext()):
                if not key.startswith(prefix):
                    return
                yield key, value


def items_before(
    txn: lmdb.Transaction, table: _Database, prefix: bytes, end: bytes
) -> Iterator[tuple[bytes, bytes]]:
    """Return the keys before *end* that begin with *prefix*, with their values, the last first."""
    with txn.cursor(table) as cursor:
        if cursor.prev() if cursor.set_range(end) else cursor.last():
            for key, value in cast("Iterator[tuple[bytes, bytes]]", cursor.iterprev()):
                if not key.startswith(prefix):
                    return
                yield key, value


def delete_range(txn: lmdb.Transaction, table: _Database, start: bytes, end: bytes) -> None:
    """Delete the keys from *start* to before *end*."""
    with txn.cursor(table) as cursor:
        is_there = cursor.set_range(start)
        while is_there and cast("bytes", cursor.key()) < end:
            is_there = cursor.delete()


def items_from(
    txn: lmdb.Transaction, table: _Database, start: bytes
) -> Iterator[tuple[bytes, bytes]]:
    """Return the keys of a table from *start* on, with their values."""
    with txn.cursor(table) as cursor:
        if cursor.set_range(start):
            yield from cast("Iterator[tuple[bytes, bytes]]", cursor.iternext())


def value_of(txn: lmdb.Transaction, table: _Database, key: bytes) -> bytes | None:
    """Return the value of a key; None if there is none."""
    return cast("bytes | None", txn.get(key, db=table))
