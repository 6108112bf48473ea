"""Which actor has which key, as a table that any thread may read and change.

    key -> entries -> (cell, value)        an entry goes when its actor ends, before anyone
    cell -> entries                        hears of that end (otp rule 62)

It asks no actor, so a lookup costs a lock and a dict, also while the registry is busy.
"""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from antq_actors.otp.kernel.cell import current_cell, fence
from antq_actors.otp.kernel.errors import CallExit, NotFound, UnknownRegistry
from antq_actors.otp.kernel.messages import Promise
from antq_actors.otp.messaging.deadlock import waiting_for
from antq_actors.otp.messaging.names import AlreadyRegistered

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

    from antq_actors.otp.kernel.cell import ActorCell, ServerRef
    from antq_actors.otp.messaging.names import Via

Keys: TypeAlias = Literal["unique", "duplicate"]

Pair: TypeAlias = "tuple[ServerRef, Any]"
"""Who is registered, with which value."""


class Entry:
    """One registration."""

    __slots__ = ("cell", "key", "value")

    def __init__(self, key: Hashable, cell: ActorCell, value: Any) -> None:
        self.key = key
        self.cell = cell
        self.value = value

    @property
    def lives(self) -> bool:
        """Whether the registered actor is alive: not if it has just ended (otp rule 63)."""
        return self.cell.reason is None

    @property
    def pair(self) -> Pair:
        """The actor's ref and its value, as ``lookup`` of the registry returns them."""
        return self.cell.ref, self.value


class RegistryTable:
    """The entries of one registry."""

    def __init__(self, keys: Keys, owner: ActorCell) -> None:
        self.is_unique: Final = keys == "unique"
        self._owner = owner
        # A finalizer may come here in the middle of anything here, in the same thread. So what is
        # gone through is a copy, made in one step.
        self._lock = threading.RLock()
        self._by_key: dict[Hashable, dict[Entry, None]] = {}
        self._by_cell: dict[ActorCell, dict[Entry, None]] = {}

    # ---- as the directory behind a Via ----------------------------------------------------

    def find(self, via: Via) -> ActorCell | None:
        """Return the actor registered under the key of *via*. Raises ValueError if many may be."""
        self._check_unique(via)
        with self._lock:
            entry = self._holder(via.key)
        return None if entry is None else entry.cell

    def take(self, via: Via, cell: ActorCell) -> ActorCell | None:
        """Register the actor *cell* under the key of *via*, or return the actor that has it."""
        self._check_unique(via)
        try:
            self.add(via.key, cell, via.value)
        except AlreadyRegistered as taken:
            return taken.ref.cell
        return None

    def _check_unique(self, via: Via) -> None:
        if not self.is_unique:
            raise ValueError(
                f"a Via needs a registry of unique keys, and {via.registry!r} has duplicate ones;"
                " look its actors up with Registry.lookup or Registry.dispatch"
            )

    # ---- changing -------------------------------------------------------------------------

    def add(self, key: Hashable, cell: ActorCell, value: Any) -> None:
        """Register the actor *cell* under *key*, and link the registry to it.

        Raises AlreadyRegistered if the key is unique and taken, UnknownRegistry if the registry
        ends in the meantime, CallExit if *cell* does.
        """
        cell.add_cleanup(self)
        entry = Entry(key, cell, value)
        with self._lock:
            holder = self._holder(key) if self.is_unique else None
            if holder is None:
                of_key = self._by_key.setdefault(key, {})
                self._by_cell.setdefault(cell, {})[entry] = None
                of_key[entry] = None
        if holder is not None:
            if cell not in self._by_cell:
                cell.remove_cleanup(self)
            ref = holder.cell.ref
            raise AlreadyRegistered(ref, f"the key {key!r} of {self._owner} is taken by {ref}")
        # One way: who loses its registrations by the end of the registry ends with it, to come
        # back and register anew. Otherwise the registry would get every end.
        is_linked = self._owner.link(cell)
        if cell.reason is not None:
            # Killed in the meantime, perhaps before there was anything to release.
            self.on_exit(cell)
            raise CallExit(cell.reason, f"{cell} has ended")
        if not is_linked:
            self.on_exit(cell)
            cell.remove_cleanup(self)
            raise UnknownRegistry(f"the registry {self._owner} has ended")

    def remove(self, key: Hashable, cell: ActorCell) -> None:
        """Remove the actor *cell* from *key*; unlink the registry after its last key."""
        with self._lock:
            mine = self._by_cell.get(cell, {})
            gone = [entry for entry in list(mine) if entry.key == key]
            self._drop(gone)
            is_last = cell not in self._by_cell
        if is_last:
            cell.remove_cleanup(self)
        # A link that it has made itself, or was started with, is no business of its keys.
        if is_last and not cell.is_linked_to(self._owner):
            self._owner.unlink(cell)

    def update(self, key: Hashable, cell: ActorCell, fn: Callable[[Any], Any]) -> Any:
        """Store ``fn(value)`` under the actor's *key*, and return it. Raises NotFound."""
        with self._lock:
            entry = self._holder(key)
        if entry is None or entry.cell is not cell:
            raise NotFound(f"{cell} has not registered the key {key!r}")
        # Without the lock: only its own actor changes a value, and fn may look things up here.
        entry.value = fn(entry.value)
        return entry.value

    def on_exit(self, cell: ActorCell) -> None:
        """Remove the actor *cell*, which has ended, from all its keys."""
        with self._lock:
            gone = list(self._by_cell.get(cell, ()))
            self._drop(gone)
        self._owner.unlink(cell)

    def close(self) -> None:
        """Remove all registrations and their actors' cleanup hooks: the registry has ended."""
        with self._lock:
            by_key, self._by_key = self._by_key, {}
            by_cell, self._by_cell = self._by_cell, {}
        for cell in by_cell:
            cell.remove_cleanup(self)
        del by_key  # without the lock, as values may have a __del__

    def _drop(self, gone: list[Entry]) -> None:
        # The caller keeps *gone* until it has left the lock: a value may have a __del__, and that
        # may come here. Tolerant, because an Interrupt may have hit who was here before.
        for entry in gone:
            of_key = self._by_key.get(entry.key, {})
            of_key.pop(entry, None)
            if not of_key:
                self._by_key.pop(entry.key, None)
            of_cell = self._by_cell.get(entry.cell, {})
            of_cell.pop(entry, None)
            if not of_cell:
                self._by_cell.pop(entry.cell, None)

    # ---- reading --------------------------------------------------------------------------

    def of_key(self, key: Hashable) -> list[Entry]:
        """Return the living actors' registrations under *key*, the oldest first."""
        with self._lock:
            return [entry for entry in list(self._by_key.get(key, ())) if entry.lives]

    def of_cell(self, cell: ActorCell) -> list[Entry]:
        """Return the registrations of the actor *cell*, the oldest first; none if it has ended."""
        with self._lock:
            return [entry for entry in list(self._by_cell.get(cell, ())) if entry.lives]

    def all(self) -> list[Entry]:
        """Return all registrations of living actors."""
        with self._lock:
            of_keys = list(self._by_key.values())
            return [entry for of_key in of_keys for entry in list(of_key) if entry.lives]

    def _holder(self, key: Hashable) -> Entry | None:
        return next((entry for entry in list(self._by_key.get(key, ())) if entry.lives), None)


class _Place:
    """One place in a line."""

    __slots__ = ("left", "owner")

    def __init__(self, owner: ActorCell | threading.Thread) -> None:
        self.owner = owner
        self.left = Promise()


class RegistryLocks:
    """The lines before the keys of one registry."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._lines: dict[Hashable, list[_Place]] = {}
        self._places: Counter[ActorCell | threading.Thread] = Counter()
        """How many places each has in all lines."""
        self._closed = False

    @contextmanager
    def held(self, key: Hashable) -> Iterator[None]:
        """Wait for the registry's lock *key*, and hold it during the ``with`` block.

        Raises RuntimeError if this actor (or plain thread) has it already, CallCycle if waiting
        for it would close a cycle of actors, UnknownRegistry if the registry ends in the meantime.
        """
        fence()
        place = _Place(current_cell() or threading.current_thread())
        try:
            try:
                self._queue_up(key, place)
                self._wait(key, place)
                yield
            finally:
                self._leave(key, place)
        except BaseException:
            self._leave(key, place)  # Ctrl-C, say, kept it from that: others wait for it
            raise

    def _wait(self, key: Hashable, place: _Place) -> None:
        """Wait until *place* is the first in the line before the registry's lock *key*."""
        while (before := self._before(key, place)) is not None:
            ahead = before.owner
            is_thread = isinstance(ahead, threading.Thread)
            with nullcontext() if is_thread else waiting_for(ahead, before.left):  # type: ignore[arg-type]
                before.left.wait(None)
            fence()

    def on_exit(self, cell: ActorCell) -> None:
        """Release the registry's locks of the actor *cell*, which has ended, and drop its waits."""
        with self._lock:
            lines = [
                (key, place) for key, line in list(self._lines.items()) for place in list(line)
            ]
        for key, place in lines:
            if place.owner is cell:
                self._leave(key, place)

    def close(self) -> None:
        """Wake all waiters for locks, which then raise: the registry has ended."""
        with self._lock:
            self._closed = True
            places = [place for line in self._lines.values() for place in line]
            self._lines.clear()
            self._places.clear()
        for place in places:
            self._forget(place.owner)
            place.left.answer(None)

    def _queue_up(self, key: Hashable, place: _Place) -> None:
        owner = place.owner
        with self._lock:
            has_it = any(other.owner is owner for other in self._lines.get(key, ()))
            if not has_it and not self._closed:
                self._lines.setdefault(key, []).append(place)
                self._places[owner] += 1
        if has_it:
            raise RuntimeError(f"the lock {key!r} is held by {owner} already")
        if not isinstance(owner, threading.Thread) and not owner.add_cleanup(self):
            fence()

    def _before(self, key: Hashable, place: _Place) -> _Place | None:
        with self._lock:
            line = self._lines.get(key, [])
            if place in line:
                index = line.index(place)
                return line[index - 1] if index else None
        fence()
        raise UnknownRegistry(f"the registry ended while the lock {key!r} was waited for")

    def _leave(self, key: Hashable, place: _Place) -> None:
        owner = place.owner
        with self._lock:
            line = self._lines.get(key, [])
            if place in line:
                line.remove(place)
                self._places[owner] -= 1
            if not line:
                self._lines.pop(key, None)
            is_gone = self._places[owner] <= 0
            if is_gone:
                del self._places[owner]
        if is_gone:
            self._forget(owner)
        place.left.answer(None)

    def _forget(self, owner: ActorCell | threading.Thread) -> None:
        if not isinstance(owner, threading.Thread):
            owner.remove_cleanup(self)
