"""A transaction whose changes stay in memory, to find out what verbs of a store would do.

It reads from a transaction of LMDB, and never writes there. So it needs no write lock, and it works
where LMDB has no nested transactions, as in a store in memory. It is slow: each step of a cursor is
Python code. It has what claims use of LMDB's interface, and no more.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from antq_actors.storage.lmdb.tables import opened_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import lmdb

    from antq_actors.storage.lmdb.tables import Tables


class _Changes:
    """What is changed of one table: values, and None for what is deleted."""

    def __init__(self) -> None:
        self.keys: list[bytes] = []
        self.values: dict[bytes, bytes | None] = {}

    def set(self, key: bytes, value: bytes | None) -> None:
        if key not in self.values:
            insort(self.keys, key)
        self.values[key] = value

    def next_put(self, start: bytes) -> bytes | None:
        """Return the first key from *start* on that has a value."""
        at = bisect_left(self.keys, start)
        return next((key for key in self.keys[at:] if self.values[key] is not None), None)

    def last_put(self, end: bytes | None) -> bytes | None:
        """Return the last key before *end* that has a value; None: of all."""
        at = len(self.keys) if end is None else bisect_left(self.keys, end)
        found = (key for key in reversed(self.keys[:at]) if self.values[key] is not None)
        return next(found, None)


class Overlay:
    """A transaction over *txn*, for the verbs of a JobStore."""

    def __init__(self, txn: lmdb.Transaction) -> None:
        self._txn: Any = txn
        self._changes: dict[Any, _Changes] = {}
        self._opened: dict[bytes, Any] = {}

    def over(self, tables: Tables) -> Tables:
        """Return the tables of a store for verbs in this transaction."""
        environment: Any = _Opener(self, tables.environment)
        return replace(tables, environment=environment)

    def changes(self, db: Any) -> _Changes:
        """Return what is changed of a table."""
        return self._changes.setdefault(db, _Changes())

    def opened(self, name: bytes, environment: lmdb.Environment) -> Any:
        """Return the handle of a further table, the same each time."""
        if name not in self._opened:
            self._opened[name] = opened_in(self._txn, environment, name)
        return self._opened[name]

    def id(self) -> int:
        """Return the number of the transaction below. Raises lmdb.Error if that is over."""
        return int(self._txn.id())

    def get(self, key: bytes, default: Any = None, db: Any = None) -> Any:
        """Return the value of a key, as LMDB's transactions do."""
        values = self.changes(db).values
        if key in values:
            value = values[key]
            return default if value is None else value
        return self._txn.get(key, default, **({} if db is None else {"db": db}))

    def put(self, key: bytes, value: bytes, db: Any = None, *, append: bool = False) -> bool:  # noqa: ARG002 - LMDB's
        """Change the value of a key here."""
        self.changes(db).set(key, value)
        return True

    def delete(self, key: bytes, db: Any = None) -> bool:
        """Delete a key here; return whether it was there."""
        was_there = self.get(key, db=db) is not None
        self.changes(db).set(key, None)
        return was_there

    def cursor(self, db: Any) -> OverlayCursor:
        """Return a cursor on a table."""
        return OverlayCursor(self, self._txn.cursor(db), db)


class OverlayCursor:
    """A cursor on a table of an Overlay, with the methods of LMDB's."""

    def __init__(self, txn: Overlay, stored: Any, db: Any) -> None:
        self._overlay = txn
        self._stored = stored
        self._changes = txn.changes(db)
        self._db = db
        self._key: bytes | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stored.close()

    def key(self) -> bytes:
        """Return the key at which it stands."""
        return self._key or b""

    def value(self) -> bytes:
        """Return the value of that."""
        return self.get(self._key or b"") or b""

    def get(self, key: bytes, default: Any = None) -> Any:
        """Return the value of a key."""
        return self._overlay.get(key, default, self._db)

    def getmulti(self, wanted: Iterable[bytes]) -> list[tuple[bytes, bytes]]:
        """Return the keys of *wanted* that are there, with their values."""
        found = ((key, self.get(key)) for key in wanted)
        return [(key, value) for key, value in found if value is not None]

    def put(self, key: bytes, value: bytes) -> bool:
        """Change the value of a key."""
        return self._overlay.put(key, value, self._db)

    def putmulti(self, items: Iterable[tuple[bytes, bytes]], *, append: bool = False) -> None:  # noqa: ARG002 - LMDB's
        """Change the values of keys."""
        for key, value in items:
            self.put(key, value)

    def pop(self, key: bytes) -> bytes | None:
        """Delete a key; return its value."""
        value: bytes | None = self.get(key)
        self._overlay.delete(key, self._db)
        return value

    def delete(self) -> bool:
        """Delete the key at which it stands, and go to the next; return whether there is one."""
        key = self._key or b""
        self._overlay.delete(key, self._db)
        return self.set_range(key)

    def first(self) -> bool:
        """Go to the first key."""
        return self.set_range(b"")

    def set_range(self, start: bytes) -> bool:
        """Go to the first key from *start* on; return whether there is one."""
        # LMDB refuses an empty key to look for.
        is_there = self._stored.set_range(start) if start else self._stored.first()
        while is_there and self._stored.key() in self._changes.values:
            is_there = self._stored.next()
        stored = self._stored.key() if is_there else None
        changed = self._changes.next_put(start)
        self._key = min((key for key in (stored, changed) if key is not None), default=None)
        return self._key is not None

    def next(self) -> bool:
        """Go to the next key."""
        return self._key is not None and self.set_range(self._key + b"\0")

    def prev(self) -> bool:
        """Go to the key before."""
        return self._key is not None and self._go_before(self._key)

    def last(self) -> bool:
        """Go to the last key."""
        return self._go_before(None)

    def _go_before(self, end: bytes | None) -> bool:
        if end is not None and self._stored.set_range(end):
            is_there = self._stored.prev()
        else:
            is_there = self._stored.last()
        while is_there and self._stored.key() in self._changes.values:
            is_there = self._stored.prev()
        stored = self._stored.key() if is_there else None
        changed = self._changes.last_put(end)
        self._key = max((key for key in (stored, changed) if key is not None), default=None)
        return self._key is not None

    def iternext(self, *, keys: bool = True, values: bool = True) -> Iterator[Any]:
        """Yield keys, values or both from where it stands on."""
        is_there = self._key is not None or self.first()
        while is_there:
            yield self._item(keys=keys, values=values)
            is_there = self.next()

    def iterprev(self, *, keys: bool = True, values: bool = True) -> Iterator[Any]:
        """Yield keys, values or both from where it stands down to the first."""
        is_there = self._key is not None or self.last()
        while is_there:
            yield self._item(keys=keys, values=values)
            is_there = self.prev()

    def _item(self, *, keys: bool, values: bool) -> Any:
        if keys and values:
            return self.key(), self.value()
        return self.key() if keys else self.value()


class _Opener:
    """Opens further tables for an Overlay, in place of the environment."""

    def __init__(self, overlay: Overlay, environment: lmdb.Environment) -> None:
        self._overlay = overlay
        self._environment = environment

    def open_db(self, name: bytes, *, txn: object, create: bool) -> Any:  # noqa: ARG002 - LMDB's
        return self._overlay.opened(name, self._environment)
