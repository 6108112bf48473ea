"""How the data file fills, and how long commits take: sampled once a minute, kept for a day.

    charts   FILE, minute   the pages that hold something, the transaction, how long commits took

A sample is taken by the commit that writes what was counted for charts, the first of its minute by
whichever process; so it costs no commit, and none is taken while nothing happens. The numbers of
transactions tell how old a state is: LMDB knows of a reader which one it sees, and not since when.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from antq_actors.jobs.instant import Instant  # msgspec reads annotations
from antq_actors.storage.format.encoding import DAMAGES
from antq_actors.storage.jobs.chart_counts import MINUTE
from antq_actors.storage.lmdb.file_facts import pages_of
from antq_actors.storage.lmdb.scan import delete_range, items_with
from antq_actors.storage.lmdb.tables import FURTHER_TABLES, TABLE_NAMES

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    import lmdb


FILE: Final = b"f"
"""In front of the keys of samples, in the table of charts."""
KEPT_SAMPLES: Final = 24 * 60 * MINUTE
"""How long samples are kept."""
_TIME_BYTES: Final = 8


class FileSample(msgspec.Struct, frozen=True, array_like=True):
    """What was measured of a store."""

    at: Instant
    pages: int
    """Of the data file, that hold something."""
    txn: int
    """The transaction that notes it: no earlier state is any younger."""
    commit: float | None
    """Seconds that half of the last commits of a process took, at most; None: there were none."""
    commit_p95: float | None


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final[Callable[[bytes], FileSample]] = msgspec.msgpack.Decoder(FileSample).decode


def add_sample(
    txn: lmdb.Transaction, table: lmdb._Database, at: Instant, took: Collection[float]
) -> None:
    """Write a sample, unless its minute has one, and delete those that are too old.

    *took*: how long the last commits of this process have taken.
    """
    key = _key(at - at % MINUTE)
    if txn.get(key, db=table) is not None:
        return
    pages = sum(pages_of(txn, name) for name in (*TABLE_NAMES, *FURTHER_TABLES))
    sample = FileSample(at, pages, txn.id(), share_of(took, 0.5), share_of(took, 0.95))
    delete_range(txn, table, FILE, _key(at - KEPT_SAMPLES))
    txn.put(key, _encode(sample), db=table)


def samples(txn: lmdb.Transaction, table: lmdb._Database) -> Iterator[FileSample]:
    """Yield the samples that are kept, the oldest first."""
    for _, found in items_with(txn, table, FILE):
        try:
            yield _decode(found)
        except DAMAGES:
            continue


def is_sample(key: bytes, found: bytes) -> bool:
    """Return whether a row is one of a sample, and is not damaged."""
    try:
        _decode(found)
    except DAMAGES:
        return False
    return key.startswith(FILE) and len(key) == len(_key(0))


def share_of(took: Collection[float], share: float) -> float | None:
    """Return what a *share* of some durations is no longer than; None: there are none.

    >>> share_of([0.3, 0.1, 0.2], 0.5), share_of([], 0.95)
    (0.2, None)
    """
    return sorted(took)[int(share * (len(took) - 1) + 0.5)] if took else None


def _key(at: Instant) -> bytes:
    return FILE + max(0, at).to_bytes(_TIME_BYTES)
