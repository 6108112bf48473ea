"""The small facts of a store: counters that never go back, paused queues, nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from antq_actors.storage.scan import keys_with, value_of

if TYPE_CHECKING:
    from collections.abc import Collection

    import lmdb

    from antq_actors.storage.tables import Tables

NEXT_ID: Final = b"next:id"
NEXT_NODE: Final = b"next:node"
_PAUSED: Final = b"paused:"
_NODE: Final = b"node:"


class Meta:
    """The table of these facts, in one transaction."""

    def __init__(self, txn: lmdb.Transaction, tables: Tables) -> None:
        self._txn = txn
        self._db = tables.meta
        self.has_changed = False
        """Whether anything was written here in this transaction."""

    def counter(self, name: bytes) -> int:
        """Answer the next number of a counter, from 1."""
        return int(value_of(self._txn, self._db, name) or 1)

    def set_counter(self, name: bytes, number: int) -> None:
        """Let *number* be the next of a counter."""
        self._put(name, b"%d" % number)

    def is_paused(self, queue_name: str) -> bool:
        """Tell whether a queue is paused, on every node."""
        return self._txn.get(_PAUSED + queue_name.encode(), db=self._db) is not None

    def paused(self) -> list[str]:
        """Answer the paused queues."""
        keys = keys_with(self._txn, self._db, _PAUSED)
        return [key[len(_PAUSED) :].decode() for key in keys]

    def set_paused(self, queue_name: str, *, paused: bool) -> None:
        """Pause or resume a queue."""
        key = _PAUSED + queue_name.encode()
        if paused:
            self._put(key, b"")
        else:
            self._delete(key)

    def nodes(self) -> list[int]:
        """Answer the nodes that were opened and not closed."""
        return [int(key[len(_NODE) :]) for key in keys_with(self._txn, self._db, _NODE)]

    def served(self) -> set[str]:
        """Answer the queues that these nodes run."""
        keys = keys_with(self._txn, self._db, _NODE)
        served = [value_of(self._txn, self._db, key) or b"" for key in keys]
        return {name for queues in served for name in queues.decode().split("\0") if name}

    def add_node(self, node: int, queues: Collection[str]) -> None:
        """Record a node and the queues it runs."""
        self._put(b"%b%020d" % (_NODE, node), "\0".join(queues).encode())

    def remove_node(self, node: int) -> None:
        """Forget a node; an unknown one is no error."""
        self._delete(b"%b%020d" % (_NODE, node))

    def _put(self, key: bytes, value: bytes) -> None:
        self._txn.put(key, value, db=self._db)
        self.has_changed = True

    def _delete(self, key: bytes) -> None:
        if self._txn.delete(key, db=self._db):
            self.has_changed = True
