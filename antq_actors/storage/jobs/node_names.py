"""The names of a workflow's nodes, so that one is found without reading all nodes.

They are noted when a workflow is added to for the first time, some at a time, and then with each
addition; a workflow to which nothing is added pays nothing for them.

    groups    id, 2            the last member whose name is noted, or that has none
              id, 2, digest    of a name: the number of the node that has it, and ``g`` for a part
"""

from __future__ import annotations

from hashlib import blake2b
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from antq_actors.storage.jobs.groups import GROUP, JOB
from antq_actors.storage.lmdb import keys

if TYPE_CHECKING:
    from collections.abc import Callable

    import lmdb

    from antq_actors.storage.jobs.groups import GroupTable
    from antq_actors.storage.lmdb.tables import Tables

MOST_NOTED: Final = 500
"""Names that are noted in one transaction, unless more have come since it was asked for."""


class NodeNames:
    """Reads and writes the names of workflows' nodes in one transaction."""

    def __init__(
        self,
        txn: lmdb.Transaction,
        tables: Tables,
        groups: GroupTable,
        node_name: Callable[[int], str | None],
    ) -> None:
        self._txn: Any = txn
        self._table = tables.further(txn, "groups")
        self._groups = groups
        self._node_name = node_name
        """Reads the name of a job; None: it has none, or is gone."""

    def find(self, workflow: int, name: str) -> tuple[int, bool] | None:
        """Read the number of the node of a name, and whether it is a part; None: none is known."""
        row = self._txn.get(_name_key(workflow, name), db=self._table)
        if row is None:
            return None
        number, kind = int.from_bytes(row[:8]), row[8:]
        if self._groups.kind_of_member(workflow, number) != kind:  # it was deleted
            return None
        return number, kind == GROUP

    def free_name(self, workflow: int, default: str) -> str:
        """Return a name that no node has: *default*, with a number if that is taken.

        The numbers before it are nearly always taken; they are not looked up one by one.
        """
        if self.find(workflow, default) is None:
            return default
        taken, free = 1, 2
        while self.find(workflow, f"{default}-{free}") is not None:
            taken, free = free, 2 * free
        while free - taken > 1:
            between = (taken + free) // 2
            if self.find(workflow, f"{default}-{between}") is None:
                free = between
            else:
                taken = between
        return f"{default}-{free}"

    def are_behind(self, workflow: int, by: int = 1) -> bool:
        """Read whether the names of *by* members, or more, are not noted yet."""
        behind = self._groups.members(workflow, self._noted(workflow))
        return sum(1 for _ in islice(behind, by)) == by

    def note(self, workflow: int, most: int | None = None) -> None:
        """Write the names of the members that have come since; *most* of them, None: all."""
        last = 0
        for number, kind in list(
            islice(self._groups.members(workflow, self._noted(workflow)), most)
        ):
            last = number
            name = self._node_name(number) if kind == JOB else self._name_of_part(number, kind)
            if name is not None and self.find(workflow, name) is None:
                row = keys.job_key(number) + kind
                self._txn.put(_name_key(workflow, name), row, db=self._table)
        if last:
            self._txn.put(_key(workflow), keys.job_key(last), db=self._table)

    def _name_of_part(self, number: int, kind: bytes) -> str | None:
        spec = self._groups.spec(number) if kind == GROUP else None
        return None if spec is None else spec.name

    def _noted(self, workflow: int) -> int:
        row = self._txn.get(_key(workflow), db=self._table)
        return 0 if row is None else int.from_bytes(row)


def _key(workflow: int) -> bytes:
    return keys.job_key(workflow) + b"\2"


def _name_key(workflow: int, name: str) -> bytes:
    digest = blake2b(name.encode(errors="surrogatepass"), digest_size=16).digest()
    return _key(workflow) + digest
