"""How an environment's data file is used: its pages by table, and who reads from it."""

from __future__ import annotations

import re
from struct import Struct
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    import lmdb

_RECORD: Final = Struct("=IHHQQQQQ")
"""What LMDB keeps of a table in its main one: padding, flags, depth, the numbers of its branch,
leaf and overflow pages, of its entries, and its root."""
_READER: Final = re.compile(r"^\s*(\d+)\s+\S+\s+(\d+|-)\s*$", re.MULTILINE)


class Reader(NamedTuple):
    """A slot of LMDB for someone who reads."""

    pid: int
    txn: int | None
    """The transaction that it sees, whose pages cannot be used again; None: it reads nothing."""


class FileFacts(NamedTuple):
    """How a data file is used."""

    page_size: int
    map_bytes: int
    """How large the file may become before the map is enlarged."""
    pages: int
    """From its begin to the last one that was ever used."""
    used: Mapping[str, int]
    """Pages that hold something, by table; the rest are free."""
    last_txn: int
    readers: tuple[Reader, ...]


def pages_of(txn: lmdb.Transaction, table: str) -> int:
    """Read how many pages a table has, without opening it."""
    record = txn.get(table.encode())
    if record is None or len(record) != _RECORD.size:
        return 0
    _, _, _, branch, leaf, overflow, _, _ = _RECORD.unpack(bytes(record))
    return int(branch + leaf + overflow)


def readers_in(text: str) -> tuple[Reader, ...]:
    r"""Return the readers of LMDB's own list of them.

    >>> readers_in("    pid     thread     txnid\n  41 7f3b2ffff640 17\n  42 7f3b2ffff640 -\n")
    (Reader(pid=41, txn=17), Reader(pid=42, txn=None))
    """
    return tuple(
        Reader(int(pid), None if txn == "-" else int(txn)) for pid, txn in _READER.findall(text)
    )
