"""What the queues of a process share: its number as a node, and settings of the interpreter.

Those grow with the slots of all queues, beyond what the defaults are good for, and are put back
when the queues have ended.
"""

from __future__ import annotations

import gc
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Protocol

from antq_actors.events import NodeStarted, NodeStopped
from antq_actors.jobs import instant
from antq_actors.queues.services.housekeeping import cancel_abandoned
from antq_actors.storage.locks import node_lock

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from antq_actors.jobs.instant import Instant
    from antq_actors.storage.client import StorageClient
    from antq_actors.storage.format.records import QueueReport

SLOT_SECONDS: Final = 25e-6
"""Seconds of switch interval for each slot: 200 slots are the default's 5 ms."""

MAX_INTERVAL_SECONDS: Final = 0.05
"""Seconds beyond which a longer interval is no gain."""

FEW_SLOTS: Final = 200
"""Slots up to which the collector's threshold is left alone."""

SLOT_OBJECTS: Final = 10
"""New objects for each slot beyond, before the collector looks for garbage among them."""

MAX_OBJECTS: Final = 50_000
"""New objects beyond which a higher threshold is no gain."""


class NodeListener(Protocol):
    """Serves questions of other processes about a node."""

    def open(self, number: int, /) -> None:
        """Begin to answer, as the node of this number."""

    def close(self) -> None:
        """Stop listening."""


class QueueNode:
    """Becomes a node when it is first asked for its number, and stops being one by ``close``."""

    def __init__(
        self,
        store: StorageClient,
        queues: Collection[str],
        metadata: bytes = b"",
        *,
        declare: Callable[[], object] = lambda: None,
        clock: Callable[[], Instant] = instant.now,
        listener: NodeListener | None = None,
    ) -> None:
        """Describe a node of *queues*.

        *declare* is called once, before it becomes one: it stores what the process says of limits.
        *listener* answers questions of other processes while it is one.
        """
        self._listener = listener
        self._store = store
        self._clock = clock
        self._declare: Callable[[], object] | None = declare
        self._queues = tuple(queues)
        self._metadata = metadata
        self._reports: dict[str, QueueReport] = {}
        self._lock = threading.RLock()
        self._number: int | None = None

    def number(self, before: Callable[[], object] = lambda: None) -> int:
        """Return this process's number as a node that runs queues; become one, after *before*.

        Raises StorageError, and what *before* raises.
        """
        with self._lock:
            if self._number is None:
                before()
                if self._declare is not None:
                    self._declare()
                    self._declare = None  # a node that was lost and comes back started long ago
                self._number = self._store.open_node(self._queues, self._described())
                if self._queues:
                    self._store.hub.set_number(self._number)
                    self._store.hub.tell(NodeStarted)
                    if self._listener is not None:
                        self._listener.open(self._number)
            return self._number

    @property
    def opened_number(self) -> int | None:
        """The number of this process as a node that runs queues; None: it is none."""
        return self._number

    def report(self, queue: str, report: QueueReport) -> None:
        """Write into this node's lock file how its *queue* does, for other processes.

        It is for explanations alone, so a file that cannot be written is no error.
        """
        with self._lock:
            if self._reports.get(queue) == report:
                return
            self._reports[queue] = report
            if self._number is not None:
                with suppress(OSError):
                    self._store.describe_node(self._number, self._described())

    def _described(self) -> bytes:
        return node_lock.with_reports(self._metadata, self._reports)

    def lost(self, number: int) -> None:
        """Note that this node of queues was declared dead under *number*: it needs a new one."""
        with self._lock:
            if self._number == number:
                self._number = None
                self._store.lose_node(number)
                if self._listener is not None:
                    self._listener.close()

    def cancel_abandoned(self) -> None:
        """Cancel the batches of this process that are not closed, if they want that.

        Raises StorageError.
        """
        number = self._number
        if number is not None:
            cancel_abandoned(self._store, number, self._clock())

    def close(self) -> None:
        """Stop being a node that runs queues; jobs were given back before. Raises StorageError."""
        with self._lock:
            if self._listener is not None:
                self._listener.close()
            if self._number is not None:
                self._store.close_node(self._number)
                self._number = None
                if self._queues:
                    self._store.hub.tell(NodeStopped)
                    self._store.hub.set_number(0)


class InterpreterSetting:
    """A setting of the interpreter that the queues of this process raise with their slots.

    It is never lowered, and what the program sets in the meantime is kept when the queues end.
    """

    tolerance: float = 0
    """What is read back may differ by so much from what was set."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._slots: dict[str, int] = {}
        self._before: float | None = None
        self._ours: float | None = None

    def set_slots(self, queue: str, slots: int) -> None:
        """Set the interpreter up for a *queue* of so many slots; 0: it ends."""
        with self._lock:
            self._slots.pop(queue, None)
            if slots:
                self._slots[queue] = slots
            self._apply()

    def _apply(self) -> None:
        now = self.read()
        if self._before is None or self._ours is None or abs(now - self._ours) > self.tolerance:
            self._before = now  # nothing of ours is in force; it is the program's own setting
        self._ours = max(self._before, self.wanted(sum(self._slots.values())))
        if self._ours != now:
            self.write(self._ours)

    def wanted(self, slots: int) -> float:
        """Return the value that is good for so many slots, however few."""
        raise NotImplementedError

    def read(self) -> float:
        """Return the interpreter's setting as it is now."""
        raise NotImplementedError

    def write(self, value: float) -> None:
        """Change the interpreter's setting."""
        raise NotImplementedError


class SwitchInterval(InterpreterSetting):
    """How long a thread of this process may keep the interpreter when hundreds of others want it.

    A thread that waits for the interpreter wakes up once in every switch interval, 5 ms by default,
    to ask for it. When two thousand wait, that is four hundred thousand wake-ups a second: the
    processors do little else, and so the line gets no shorter. 40,000 jobs of 0.2 s with 2,000
    slots took 37 s like that, and 13 s with an interval of 50 ms.

    The price: beside a job that computes, other threads wait up to that long for their turn.
    """

    tolerance = SLOT_SECONDS

    def wanted(self, slots: int) -> float:
        """Return the switch interval that is good for so many slots."""
        return min(MAX_INTERVAL_SECONDS, SLOT_SECONDS * slots)

    def read(self) -> float:
        """Return the switch interval of the interpreter."""
        return sys.getswitchinterval()

    def write(self, value: float) -> None:
        """Set the switch interval of the interpreter."""
        sys.setswitchinterval(value)


class CollectorThreshold(InterpreterSetting):
    """How many objects are made before the collector looks for garbage among the new ones.

    Jobs that run have some twenty objects each. By default it looks after 700 new ones: so it went
    through what runs, never garbage, a thousand times for 40,000 jobs, and through all objects of
    the process each time that their number had grown by a quarter.

    The price: garbage of the program's own code that only the collector finds is kept until so many
    objects were made.
    """

    def wanted(self, slots: int) -> float:
        """Return the threshold of the collector that is good for so many slots."""
        return min(MAX_OBJECTS, SLOT_OBJECTS * (slots - FEW_SLOTS))

    def read(self) -> float:
        """Return the threshold of the collector's first generation."""
        return gc.get_threshold()[0]

    def write(self, value: float) -> None:
        """Set the threshold of the collector's first generation, unless 0 has switched it off."""
        first, *others = gc.get_threshold()
        if first:
            gc.set_threshold(int(value), *others)


_settings: Final = (SwitchInterval(), CollectorThreshold())


def set_slots(queue: str, slots: int) -> None:
    """Set the interpreter up for a *queue* of so many slots beside the others; 0: it ends."""
    for setting in _settings:
        setting.set_slots(queue, slots)
