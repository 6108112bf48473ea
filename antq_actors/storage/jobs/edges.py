"""The rows that say which job waits for which, in one transaction.

    edges      upstream, downstream    condition, and whether it is cut
    waits      downstream, upstream    the same

A row is deleted when its condition is met; so no edge counts twice. An upstream is a job or a
group. What follows from its end is in :mod:`~antq_actors.storage.jobs.dependents`.
"""

from __future__ import annotations

from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from antq_actors.jobs.state import Status
from antq_actors.storage.jobs.table import put_all
from antq_actors.storage.lmdb import keys
from antq_actors.storage.lmdb.scan import delete_range, items_from
from antq_actors.workflows.edges import Condition, Edge

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import lmdb
    from lmdb import _Database

    from antq_actors.storage.lmdb.tables import Tables

_EDGES: Final = {
    bytes((condition, is_cut)): Edge(condition, bool(is_cut))
    for condition in Condition
    for is_cut in range(2)
}
_ROWS: Final = {edge: row for row, edge in _EDGES.items()}
_UNREADABLE: Final = Edge(Condition.SUCCESS)
_key: Final = keys.job_key


class EdgeTable:
    """Reads and writes edges. LMDB opens their tables with the first that is read or written."""

    def __init__(self, txn: lmdb.Transaction, tables: Tables) -> None:
        self._txn: Any = txn
        self._tables = tables

    @cached_property
    def _edges(self) -> _Database:
        return self._tables.further(self._txn, "edges")

    @cached_property
    def _waits(self) -> _Database:
        return self._tables.further(self._txn, "waits")

    def add(self, edges: Sequence[tuple[int, int, Condition]]) -> None:
        """Write new edges: upstream, downstream, condition."""
        rows = [(_key(up), _key(down), _ROWS[Edge(condition)]) for up, down, condition in edges]
        put_all(self._txn, self._edges, [(up + down, row) for up, down, row in rows])
        put_all(self._txn, self._waits, [(down + up, row) for up, down, row in rows])

    def put(self, upstream: int, downstream: int, edge: Edge) -> None:
        """Write an edge."""
        up, down = _key(upstream), _key(downstream)
        self._txn.put(up + down, _ROWS[edge], db=self._edges)
        self._txn.put(down + up, _ROWS[edge], db=self._waits)

    def remove(self, upstream: int, downstream: int) -> None:
        """Delete an edge."""
        up, down = _key(upstream), _key(downstream)
        self._txn.delete(up + down, db=self._edges)
        self._txn.delete(down + up, db=self._waits)

    def remove_to(self, downstream: int) -> None:
        """Delete all edges to a job."""
        down = _key(downstream)
        for upstream, _ in list(self.to(downstream)):
            self._txn.delete(_key(upstream) + down, db=self._edges)
        delete_range(self._txn, self._waits, down, _key(downstream + 1))

    def come_from(self, upstream: int, after: int, limit: int) -> list[tuple[int, Edge]]:
        """Read the first *limit* downstream jobs of a job or group behind the id *after*."""
        start = _key(upstream) + _key(after + 1)
        return list(islice(self._items(self._edges, _key(upstream), start), limit))

    def to(self, downstream: int) -> Iterator[tuple[int, Edge]]:
        """Yield what a job waits for, and how. Do not change the table meanwhile."""
        prefix = _key(downstream)
        return self._items(self._waits, prefix, prefix)

    def has_any(self, upstream: int) -> bool:
        """Read whether any edge comes from a job or group."""
        return bool(self.come_from(upstream, 0, 1))

    def _items(self, table: _Database, prefix: bytes, start: bytes) -> Iterator[tuple[int, Edge]]:
        for key, row in items_from(self._txn, table, start):
            if not key.startswith(prefix):
                return
            yield keys.id_at_end(key), _EDGES.get(row, _UNREADABLE)

    def all(self) -> Iterator[tuple[int, int, Edge, bool]]:
        """Yield all edges by downstream: that, upstream, edge, whether both tables have it."""
        for key, row in items_from(self._txn, self._waits, b""):
            down, up = key[:8], key[8:]
            is_there = self._txn.get(up + down, db=self._edges) == row
            yield int.from_bytes(down), int.from_bytes(up), _EDGES.get(row, _UNREADABLE), is_there

    def counts(self) -> tuple[int, int]:
        """Read how many rows ``edges`` and ``waits`` have."""
        stat = self._txn.stat
        return stat(self._edges)["entries"], stat(self._waits)["entries"]


MAY_HAVE_EDGES: Final = frozenset({Status.SUSPENDED, Status.CANCELLED})
"""Statuses of jobs that may have edges to them: those that were never released."""
