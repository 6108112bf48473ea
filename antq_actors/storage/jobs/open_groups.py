"""Which groups have not ended: rows beside those of the groups, in their table.

    groups    255, NUL        nothing; with it, each group that has not ended has a row
              255, NUL, id    nothing: a group that has not ended

So who looks for these does not read all that have ended. A store has no such rows before its first
change of a group by a release that knows them: that writes all of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from antq_actors.storage.lmdb import keys
from antq_actors.storage.lmdb.scan import keys_from

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import lmdb
    from lmdb import _Database

_PREFIX: Final = b"\xff\0"
_KEY_SIZE: Final = len(_PREFIX + keys.job_key(0))
"""No other key of the table has as many bytes."""


class OpenGroups:
    """Reads and writes the rows of groups that have not ended, in one transaction."""

    def __init__(self, txn: lmdb.Transaction, table: _Database) -> None:
        self._txn: Any = txn
        self._table = table

    def has_all(self) -> bool:
        """Read whether each group that has not ended has a row."""
        return self._txn.get(_PREFIX, db=self._table) is not None

    def ids(self, after: int = 0) -> Iterator[int]:
        """Yield the ids of the groups that have a row, behind the id *after*, in order."""
        for key in keys_from(self._txn, self._table, _PREFIX + keys.job_key(after + 1)):
            if not key.startswith(_PREFIX):
                return
            if len(key) == _KEY_SIZE:
                yield keys.id_at_end(key)

    def put_all(self, ids: Iterable[int]) -> None:
        """Write that the groups with these *ids*, and no others, have not ended."""
        for id_ in list(self.ids()):
            self.delete(id_)
        for id_ in ids:
            self.put(id_)
        self._txn.put(_PREFIX, b"", db=self._table)

    def put(self, id_: int) -> None:
        """Write that a group has not ended."""
        self._txn.put(_PREFIX + keys.job_key(id_), b"", db=self._table)

    def delete(self, id_: int) -> None:
        """Delete the row of a group, if it has one: it has ended, or is deleted."""
        self._txn.delete(_PREFIX + keys.job_key(id_), db=self._table)
