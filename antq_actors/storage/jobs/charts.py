"""The table of charts: what happened to jobs, by the minute and by the hour.

    charts   MINUTE, minute, node   of each queue and worker: counts, and the times of jobs
             HOUR, hour, node       the same
             MARK, instant, number  what happened beside jobs, such as the pause of a queue
             FILE, minute           a sample of the data file, see `file_samples`

What is counted is added to the row of its minute and to that of its hour, so nothing has to be
summed up later. Rows of minutes are kept for a day, marks for 14 days, and rows of hours for a week
more, as windows are compared with those of a week before: what is older goes when counts are
written. A damaged row counts for nothing, and is replaced by the next
that is written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from antq_actors.checks import escaped
from antq_actors.storage.format.encoding import DAMAGES
from antq_actors.storage.jobs.chart_counts import MINUTE, Kind, Mark, kind_in
from antq_actors.storage.jobs.file_samples import FILE, add_sample, is_sample, samples
from antq_actors.storage.lmdb.scan import delete_range, first_keys, items_from, keys_with, value_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    import lmdb

    from antq_actors.jobs.instant import Instant
    from antq_actors.storage.jobs.chart_counts import ChartCounts, Rows
    from antq_actors.storage.jobs.file_samples import FileSample
    from antq_actors.storage.lmdb.tables import Tables

TABLE: Final = "charts"

HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
KEPT_MINUTES: Final = DAY
"""How long rows of minutes are kept."""
KEPT_HOURS: Final = 21 * DAY
"""How long rows of hours are kept: the longest window, and a week before it."""
KEPT_MARKS: Final = 14 * DAY
"""How long marks are kept."""
MOST_MARKS: Final = 1_000
"""Marks that are kept."""

NODE_UP: Final = "node_up"
NODE_DOWN: Final = "node_down"
DEPLOYED: Final = "deployed"
GAVE_UP: Final = "gave_up"
PAUSED: Final = "paused"
RESUMED: Final = "resumed"
AUDIT: Final = "audit"
"""The kinds of marks."""

_MINUTE: Final = b"m"
_HOUR: Final = b"h"
_MARK: Final = b"x"
_TIME_BYTES: Final = 8
_NUMBER_BYTES: Final = 8


class ChartRow(NamedTuple):
    """What one node has counted in a minute or an hour."""

    at: Instant
    """Its begin."""
    node: int
    kinds: list[Kind]


class Charted(NamedTuple):
    """What the table has of a span of time."""

    rows: list[ChartRow]
    marks: list[Mark]
    since: Instant | None
    """The first hour of which it has a row, whatever the span; None: it has none."""


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(list[Kind]).decode
_decode_mark: Final[Callable[[bytes], tuple[str, str]]] = msgspec.msgpack.Decoder(
    tuple[str, str]
).decode


class ChartTable:
    """Reads and writes the table of charts in one LMDB transaction."""

    def __init__(self, txn: lmdb.Transaction, tables: Tables) -> None:
        self._txn = txn
        self._table = tables.further(txn, TABLE)

    def add(self, rows: Rows) -> None:
        """Add the *rows* that were counted, and delete what is too old."""
        at = 0
        for minute, node in sorted(rows):
            at, kinds = minute * MINUTE, rows[minute, node].values()
            self._merge(_key(_MINUTE, at, node), kinds)
            self._merge(_key(_HOUR, at - at % HOUR, node), kinds)
        self._delete_old(at)

    def _merge(self, key: bytes, kinds: Iterable[Kind]) -> None:
        known = {(each.queue, each.worker): each for each in self._row(key)}
        for kind in kinds:
            kind_in(known, kind.queue, kind.worker).add(kind)
        self._txn.put(key, _encode(list(known.values())), db=self._table)

    def _row(self, key: bytes) -> list[Kind]:
        found = value_of(self._txn, self._table, key)
        try:
            return [] if found is None else _decode(found)
        except DAMAGES:
            return []

    def _delete_old(self, at: Instant) -> None:
        for prefix, kept in ((_MINUTE, KEPT_MINUTES), (_HOUR, KEPT_HOURS), (_MARK, KEPT_MARKS)):
            delete_range(self._txn, self._table, prefix, _key(prefix, at - kept, 0))

    def mark(self, at: Instant, kind: str, text: str) -> None:
        """Write that something happened; of too many marks the oldest goes."""
        marks = list(keys_with(self._txn, self._table, _MARK))
        for key in marks[: len(marks) + 1 - MOST_MARKS]:
            self._txn.delete(key, db=self._table)
        same = [key for key in marks if _split(key)[0] == max(0, at)]
        number = _split(same[-1])[1] + 1 if same else 0
        self._txn.put(_key(_MARK, at, number), _encode((kind, escaped(text))), db=self._table)

    def mark_all(self, marks: Iterable[Mark]) -> None:
        """Write all *marks*."""
        for each in marks:
            self.mark(each.at, each.kind, each.text)

    def sample_file(self, at: Instant, took: Collection[float]) -> None:
        """Write a sample of the data file; *took* is how long the last commits have taken."""
        add_sample(self._txn, self._table, at, took)

    def file_samples(self) -> list[FileSample]:
        """Return the samples of the data file that are kept, the oldest first."""
        return list(samples(self._txn, self._table))

    def rows(self, start: Instant, end: Instant, *, by_hour: bool) -> Iterator[ChartRow]:
        """Yield the rows of minutes, or of hours, that begin from *start* to before *end*."""
        prefix = _HOUR if by_hour else _MINUTE
        for key, found in self._between(prefix, start, end):
            try:
                kinds = _decode(found)
            except DAMAGES:
                continue
            yield ChartRow(*_split(key), kinds)

    def marks(self, start: Instant, end: Instant) -> Iterator[Mark]:
        """Yield what happened from *start* to before *end*."""
        for key, found in self._between(_MARK, start, end):
            try:
                kind, text = _decode_mark(found)
            except DAMAGES:
                continue
            yield Mark(_split(key)[0], kind, text)

    def first_hour(self) -> Instant | None:
        """Return the first hour that has a row; None: none has."""
        keys = first_keys(self._txn, self._table, _HOUR, 1, _MINUTE)
        return _split(keys[0])[0] if keys else None

    def _between(
        self, prefix: bytes, start: Instant, end: Instant
    ) -> Iterator[tuple[bytes, bytes]]:
        last = _key(prefix, end, 0)
        for key, found in items_from(self._txn, self._table, _key(prefix, start, 0)):
            if key >= last:
                return
            yield key, found

    def findings(self) -> Iterator[str]:
        """Yield what is wrong with the rows."""
        for key, found in items_from(self._txn, self._table, b""):
            if key.startswith(FILE):
                if not is_sample(key, found):
                    yield f"charts: the row {key!r} is damaged on disk, and is not shown"
                continue
            if key[:1] not in (_MINUTE, _HOUR, _MARK) or len(key) != len(_key(_MARK, 0, 0)):
                yield f"charts: {key!r} is no key of a row"
                continue
            try:
                _decode_mark(found) if key.startswith(_MARK) else _decode(found)
            except DAMAGES:
                yield f"charts: the row {key!r} is damaged on disk, and is not shown"


def pending_rows(counts: ChartCounts) -> list[ChartRow]:
    """Return as rows of minutes what was counted and is not written yet."""
    rows = counts.rows()
    return [
        ChartRow(minute * MINUTE, node, list(rows[minute, node].values()))
        for minute, node in sorted(rows)
    ]


def pending_marks(counts: ChartCounts) -> list[Mark]:
    """Return the marks of this process that are not written yet."""
    return list(counts.marks)


def _key(prefix: bytes, at: Instant, number: int) -> bytes:
    return prefix + max(0, at).to_bytes(_TIME_BYTES) + number.to_bytes(_NUMBER_BYTES)


def _split(key: bytes) -> tuple[Instant, int]:
    at = int.from_bytes(key[1 : 1 + _TIME_BYTES])
    return at, int.from_bytes(key[1 + _TIME_BYTES :])


def verify_charts(txn: lmdb.Transaction, tables: Tables) -> Iterator[str]:
    """Yield what is wrong with the table of charts."""
    if tables.has_rows(txn, TABLE):
        yield from ChartTable(txn, tables).findings()
