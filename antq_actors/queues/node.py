"""What the queues of a process share: its number as a node of the path, and its switch interval."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from antq_actors.storage.client import StorageClient

SLOT_SECONDS: Final = 25e-6
"""Seconds of switch interval for each slot: 200 slots are the default's 5 ms."""

MAX_INTERVAL_SECONDS: Final = 0.05
"""Seconds beyond which a longer interval is no gain."""


class QueueNode:
    """Becomes a node when it is first asked for its number, and stops being one by ``close``."""

    def __init__(
        self, store: StorageClient, queues: Collection[str], metadata: bytes = b""
    ) -> None:
        self._store = store
        self._queues = tuple(queues)
        self._metadata = metadata
        self._lock = threading.RLock()
        self._number: int | None = None

    def number(self, before: Callable[[], object] = lambda: None) -> int:
        """Return this process's number as a node that runs queues; become one, after *before*.

        Raises StorageError, and what *before* raises.
        """
        with self._lock:
            if self._number is None:
                before()
                self._number = self._store.open_node(self._queues, self._metadata)
            return self._number

    def lost(self, number: int) -> None:
        """Note that this node of queues was declared dead under *number*: it needs a new one."""
        with self._lock:
            if self._number == number:
                self._number = None
                self._store.lose_node(number)

    def close(self) -> None:
        """Stop being a node that runs queues; jobs were given back before. Raises StorageError."""
        with self._lock:
            if self._number is not None:
                self._store.close_node(self._number)
                self._number = None


class SwitchInterval:
    """How long a thread of this process may keep the interpreter when hundreds of others want it.

    A thread that waits for the interpreter wakes up once in every switch interval, 5 ms by default,
    to ask for it. When two thousand wait, that is four hundred thousand wake-ups a second: the
    processors do little else, and so the line gets no shorter. 40,000 jobs of 0.2 s with 2,000
    slots took 37 s like that, and 13 s with an interval of 50 ms. So it is raised with the number
    of slots, beyond what the default is good for, and put back when the queues have ended.

    The price: beside a job that computes, other threads wait up to that long for their turn.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._slots: dict[str, int] = {}
        self._before: float | None = None
        self._ours: float | None = None

    def set_slots(self, queue: str, slots: int) -> None:
        """Set the interpreter's switch interval for a *queue* of so many slots; 0: it ends."""
        with self._lock:
            self._slots.pop(queue, None)
            if slots:
                self._slots[queue] = slots
            self._apply()

    def _apply(self) -> None:
        now = sys.getswitchinterval()
        if self._before is None or self._ours is None or abs(now - self._ours) > SLOT_SECONDS:
            self._before = now  # nothing of ours is in force; it is the program's own setting
        wanted = min(MAX_INTERVAL_SECONDS, SLOT_SECONDS * sum(self._slots.values()))
        self._ours = max(self._before, wanted)
        if self._ours != now:
            sys.setswitchinterval(self._ours)


switch_interval: Final = SwitchInterval()
