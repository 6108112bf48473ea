"""Reading the tables of a store in the order of their keys.

As typed as LMDB's own interface is not: without ``buffers=True`` it returns ``bytes``, and its
annotations allow for both.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Iterator

    import lmdb
    from lmdb import _Database


def keys_from(txn: lmdb.Transaction, table: _Database, start: bytes = b"") -> Iterator[bytes]:
    """Yield the keys of an LMDB table from *start* on. Do not change the table meanwhile."""
    with txn.cursor(table) as cursor:
        if cursor.set_range(start):
            yield from cast("Iterator[bytes]", cursor.iternext(keys=True, values=False))


def keys_down_from(txn: lmdb.Transaction, table: _Database, start: bytes) -> Iterator[bytes]:
    """Yield the keys of an LMDB table from *start* down to the first."""
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
    """Read *limit* keys of an LMDB table from *start* on, if the first is before *end*."""
    with txn.cursor(table) as cursor:
        if not cursor.set_range(start) or cast("bytes", cursor.key()) >= end:
            return []
        return list(islice(cast("Iterator[bytes]", cursor.iternext(values=False)), limit))


def keys_with(txn: lmdb.Transaction, table: _Database, prefix: bytes) -> Iterator[bytes]:
    """Yield the LMDB keys that begin with *prefix*. Do not change the table meanwhile."""
    # No generator within another one: what is raised while the inner one is thrown away unfinished,
    # such as Ctrl-C, is lost.
    with txn.cursor(table) as cursor:
        if cursor.set_range(prefix):
            for key in cast("Iterator[bytes]", cursor.iternext(keys=True, values=False)):
                if not key.startswith(prefix):
                    return
                yield key


def items_with(
    txn: lmdb.Transaction, table: _Database, prefix: bytes
) -> Iterator[tuple[bytes, bytes]]:
    """Yield the LMDB keys that begin with *prefix*, with their values."""
    with txn.cursor(table) as cursor:
        if cursor.set_range(prefix):
            for key, value in cast("Iterator[tuple[bytes, bytes]]", cursor.iternext()):
                if not key.startswith(prefix):
                    return
                yield key, value


def items_before(
    txn: lmdb.Transaction, table: _Database, prefix: bytes, end: bytes
) -> Iterator[tuple[bytes, bytes]]:
    """Yield the LMDB keys before *end* that begin with *prefix*, with values, the last first."""
    with txn.cursor(table) as cursor:
        if cursor.prev() if cursor.set_range(end) else cursor.last():
            for key, value in cast("Iterator[tuple[bytes, bytes]]", cursor.iterprev()):
                if not key.startswith(prefix):
                    return
                yield key, value


def delete_range(txn: lmdb.Transaction, table: _Database, start: bytes, end: bytes) -> int:
    """Delete the keys of an LMDB table from *start* to before *end*; return how many."""
    deleted = 0
    with txn.cursor(table) as cursor:
        is_there = cursor.set_range(start)
        while is_there and cast("bytes", cursor.key()) < end:
            is_there = cursor.delete()
            deleted += 1
    return deleted


def items_from(
    txn: lmdb.Transaction, table: _Database, start: bytes
) -> Iterator[tuple[bytes, bytes]]:
    """Yield the keys of an LMDB table from *start* on, with their values."""
    with txn.cursor(table) as cursor:
        if cursor.set_range(start):
            yield from cast("Iterator[tuple[bytes, bytes]]", cursor.iternext())


def value_of(txn: lmdb.Transaction, table: _Database, key: bytes) -> bytes | None:
    """Read the value of a key in an LMDB table; None if the table has no such key."""
    return cast("bytes | None", txn.get(key, db=table))
