"""Which actor has which key, as a table that any thread may read and change.

    key -> entries -> (process, value)        an entry goes when its process ends, before anyone
    process -> entries                        hears of that end (otp rule 62)

It asks no actor, so a lookup costs a lock and a dict, also while the registry is busy.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from antq_actors.otp.kernel.errors import AlreadyRegistered, CallExit, NotFound, UnknownRegistry

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from antq_actors.otp.kernel.cell import Process
    from antq_actors.otp.kernel.ref import ServerRef
    from antq_actors.otp.messaging.via import Via

Keys: TypeAlias = Literal["unique", "duplicate"]

Pair: TypeAlias = "tuple[ServerRef, Any]"
"""Who is registered, with which value."""


class Entry:
    """One registration."""

    __slots__ = ("key", "process", "value")

    def __init__(self, key: Hashable, process: Process, value: Any) -> None:
        self.key = key
        self.process = process
        self.value = value

    @property
    def lives(self) -> bool:
        """Whether its actor is alive; an actor that has just ended does not count (otp rule 63)."""
        return self.process.reason is None

    @property
    def pair(self) -> Pair:
        """What ``lookup`` returns of it."""
        return self.process.ref, self.value


class RegistryTable:
    """The entries of one registry."""

    def __init__(self, keys: Keys, owner: Process) -> None:
        self.is_unique: Final = keys == "unique"
        self._owner = owner
        self._lock = threading.Lock()
        self._by_key: dict[Hashable, dict[Entry, None]] = {}
        self._by_process: dict[Process, dict[Entry, None]] = {}

    # ---- as the directory behind a Via ----------------------------------------------------

    def find(self, via: Via) -> Process | None:
        """Return the actor that has the key of *via*. Raises ValueError if several might."""
        self._check_unique(via)
        with self._lock:
            entry = self._holder(via.key)
        return None if entry is None else entry.process

    def take(self, via: Via, process: Process) -> Process | None:
        """Give the key of *via* to *process*, or return the actor that has it."""
        self._check_unique(via)
        try:
            self.add(via.key, process, via.value)
        except AlreadyRegistered as taken:
            return taken.ref.process
        return None

    def _check_unique(self, via: Via) -> None:
        if not self.is_unique:
            raise ValueError(
                f"a Via needs a registry of unique keys, and {via.registry!r} has duplicate ones;"
                " look its actors up with Registry.lookup or Registry.dispatch"
            )

    # ---- changing -------------------------------------------------------------------------

    def add(self, key: Hashable, process: Process, value: Any) -> None:
        """Register *process*.

        Raises AlreadyRegistered if the key is unique and taken, UnknownRegistry if the registry
        ends in the meantime, CallExit if *process* does.
        """
        process.hold(self)
        entry = Entry(key, process, value)
        with self._lock:
            holder = self._holder(key) if self.is_unique else None
            if holder is None:
                of_key = self._by_key.setdefault(key, {})
                self._by_process.setdefault(process, {})[entry] = None
                of_key[entry] = None
        if holder is not None:
            if process not in self._by_process:
                process.unhold(self)
            ref = holder.process.ref
            raise AlreadyRegistered(ref, f"the key {key!r} of {self._owner} is taken by {ref}")
        # One way: who loses its registrations by the end of the registry ends with it, to come
        # back and register anew. Otherwise the registry would get every end.
        is_linked = self._owner.link(process)
        if process.reason is not None:
            # Killed in the meantime, perhaps before there was anything to release.
            self.let_go(process)
            raise CallExit(process.reason, f"{process} has ended")
        if not is_linked:
            self.let_go(process)
            process.unhold(self)
            raise UnknownRegistry(f"the registry {self._owner} has ended")

    def remove(self, key: Hashable, process: Process) -> None:
        """Take *process* off *key*; nothing if it is not there."""
        with self._lock:
            mine = self._by_process.get(process, {})
            gone = [entry for entry in mine if entry.key == key]
            self._drop(gone)
            is_last = process not in self._by_process
        if is_last:
            process.unhold(self)
        # A link that it has made itself, or was started with, is no business of its keys.
        if is_last and not process.is_linked_to(self._owner):
            self._owner.unlink(process)

    def update(self, key: Hashable, process: Process, fn: Callable[[Any], Any]) -> Any:
        """Return the new value of *key*, ``fn(value)``. Raises NotFound if *process* has it not."""
        with self._lock:
            entry = self._holder(key)
        if entry is None or entry.process is not process:
            raise NotFound(f"{process} has not registered the key {key!r}")
        # Without the lock: only its own actor changes a value, and fn may look things up here.
        entry.value = fn(entry.value)
        return entry.value

    def let_go(self, process: Process) -> None:
        """Take *process*, which has ended, off all its keys."""
        with self._lock:
            gone = list(self._by_process.get(process, ()))
            self._drop(gone)
        self._owner.unlink(process)

    def close(self) -> None:
        """Forget all, and be forgotten by all: the registry has ended."""
        with self._lock:
            by_key, self._by_key = self._by_key, {}
            by_process, self._by_process = self._by_process, {}
        for process in by_process:
            process.unhold(self)
        del by_key  # without the lock, as values may have a __del__

    def _drop(self, gone: list[Entry]) -> None:
        # The caller keeps *gone* until it has left the lock: a value may have a __del__, and that
        # may come here. Tolerant, because an Interrupt may have hit who was here before.
        for entry in gone:
            of_key = self._by_key.get(entry.key, {})
            of_key.pop(entry, None)
            if not of_key:
                self._by_key.pop(entry.key, None)
            of_process = self._by_process.get(entry.process, {})
            of_process.pop(entry, None)
            if not of_process:
                self._by_process.pop(entry.process, None)

    # ---- reading --------------------------------------------------------------------------

    def of_key(self, key: Hashable) -> list[Entry]:
        """Return the entries of *key*, the oldest first."""
        with self._lock:
            return [entry for entry in self._by_key.get(key, ()) if entry.lives]

    def of_process(self, process: Process) -> list[Entry]:
        """Return the entries of *process*, the oldest first."""
        with self._lock:
            return [entry for entry in self._by_process.get(process, ()) if entry.lives]

    def all(self) -> list[Entry]:
        """Return all entries."""
        with self._lock:
            return [e for entries in self._by_key.values() for e in entries if e.lives]

    def _holder(self, key: Hashable) -> Entry | None:
        return next((entry for entry in self._by_key.get(key, ()) if entry.lives), None)
