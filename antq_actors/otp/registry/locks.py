"""Locks of a registry: one holder for each key; the others wait in a queue.

Each waits for the one before it in the queue. So a cycle of actors, each waiting for the next,
is found here as it is in calls (`deadlock.py`), and a killed actor leaves the line like its names.
"""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

from antq_actors.otp.kernel.cell import current_cell, fence
from antq_actors.otp.kernel.errors import UnknownRegistry
from antq_actors.otp.kernel.messages import Promise
from antq_actors.otp.messaging.deadlock import waiting_for

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from antq_actors.otp.kernel.cell import ActorCell


class _Place:
    """One place in a line."""

    __slots__ = ("left", "owner")

    def __init__(self, owner: ActorCell | threading.Thread) -> None:
        self.owner = owner
        self.left = Promise()


class RegistryLocks:
    """The lines before the keys of one registry."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lines: dict[Hashable, list[_Place]] = {}
        self._places: Counter[ActorCell | threading.Thread] = Counter()
        """How many places each has in all lines."""
        self._closed = False

    @contextmanager
    def held(self, key: Hashable) -> Iterator[None]:
        """Hold the lock of *key*.

        Raises RuntimeError if this actor (or plain thread) has it already, CallCycle if waiting
        for it would close a cycle of actors, UnknownRegistry if the registry ends in the meantime.
        """
        fence()
        place = _Place(current_cell() or threading.current_thread())
        try:
            self._queue_up(key, place)
            while (before := self._before(key, place)) is not None:
                ahead = before.owner
                is_thread = isinstance(ahead, threading.Thread)
                with nullcontext() if is_thread else waiting_for(ahead, before.left):  # type: ignore[arg-type]
                    before.left.wait(None)
                fence()
            yield
        finally:
            self._leave(key, place)

    def on_exit(self, cell: ActorCell) -> None:
        """Take *cell*, which has ended, out of all lines."""
        with self._lock:
            lines = [(key, place) for key, line in self._lines.items() for place in line]
        for key, place in lines:
            if place.owner is cell:
                self._leave(key, place)

    def close(self) -> None:
        """Send all away: the registry has ended."""
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
                if not line:
                    del self._lines[key]
                self._places[owner] -= 1
            is_gone = self._places[owner] <= 0
            if is_gone:
                del self._places[owner]
        if is_gone:
            self._forget(owner)
        place.left.answer(None)

    def _forget(self, owner: ActorCell | threading.Thread) -> None:
        if not isinstance(owner, threading.Thread):
            owner.remove_cleanup(self)
