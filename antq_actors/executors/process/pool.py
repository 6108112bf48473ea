"""The attempts and slots of one queue, and which slot takes which attempt.

A slot that is done takes the next attempt itself, so that no thread is woken for it. An attempt
that finds no idle slot waits here for the moment a process takes to start or to be replaced.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple, Protocol

from antq_actors.executors.base import PROCESS, Health, NotReady
from antq_actors.executors.process.output import Stderr
from antq_actors.jobs.outcome import GivenBack
from antq_actors.otp.kernel.errors import Stop

if TYPE_CHECKING:
    from collections.abc import Iterator

    from antq_actors.executors.base import Done, Settings
    from antq_actors.executors.process.os_process import OsProcess
    from antq_actors.jobs.outcome import NotRun, Outcome
    from antq_actors.jobs.perform import Attempt
    from antq_actors.otp.kernel.cell import ServerRef


class Work(NamedTuple):
    """There may be an attempt to perform."""


class Grow(NamedTuple):
    """There is something to do, and no slot for it."""


class Slot(Protocol):
    """The actor of a slot, as its pool knows it."""

    is_busy: bool

    @property
    def ref(self) -> ServerRef:
        """Its actor."""

    @property
    def pid(self) -> int | None:
        """The number of its process."""


class ProcessHandle:
    """One attempt: waiting for a slot, or with the process of one."""

    __slots__ = ("_done", "_lock", "_pool", "_process", "_stop_requested", "attempt")

    def __init__(self, attempt: Attempt, done: Done, pool: Pool) -> None:
        self.attempt = attempt
        self._done = done
        self._pool = pool
        # A process is terminated only while the attempt is in it: the signal must not hit the
        # next attempt there.
        self._lock = threading.Lock()
        self._process: OsProcess | None = None
        self._stop_requested = False

    def interrupt(self) -> None:
        """Terminate its process, and have it killed if it does not end."""
        with self._lock:
            self._stop_requested = True
            if self._process is not None:
                self._process.terminate()
                return
        if self._pool.withdraw(self):
            self.end(None)

    def kill(self) -> bool:
        """Kill its process; return whether its end will be reported, once that is dead."""
        with self._lock:
            self._stop_requested = True
            if self._process is not None:
                self._process.kill()
                return True
        return not self._pool.withdraw(self)

    def begin(self, process: OsProcess) -> bool:
        """Enter *process*; return False when a stop was requested: then it must not begin."""
        with self._lock:
            if not self._stop_requested:
                self._process = process
            return not self._stop_requested

    def leave(self) -> bool:
        """Leave the process; return whether a stop was requested."""
        with self._lock:
            self._process = None
            return self._stop_requested

    def end(self, end: Outcome | NotRun | None) -> None:
        """Report how it ended."""
        self._done(end)


class _Here(threading.local):
    takes_next = False


class Pool:
    """The attempts and slots of one queue: never more processes than the queue has slots."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._lock = threading.Lock()
        self._here = _Here()
        self._size = settings.concurrency
        self._waiting: deque[ProcessHandle] = deque()
        self._idle: list[ServerRef] = []
        self._slots: dict[ServerRef, Slot] = {}
        self._pool: ServerRef | None = None
        self.modules: set[str] = set()
        """Of the workers that were seen: a new process imports them before its first attempt."""
        self.stderr: Stderr | None = None

    # ---- the contract -----------------------------------------------------------------------

    def start(self, attempt: Attempt, done: Done) -> ProcessHandle:
        """Give an attempt to an idle slot, or to the next that becomes idle. Raises NotReady."""
        handle = ProcessHandle(attempt, done, self)
        attempt.control.pause()
        with self._lock:
            if self._pool is None:
                raise NotReady("the pool of processes is being restarted")
            self._waiting.append(handle)
            if self._here.takes_next:
                self._here.takes_next = False
                return handle
        self.dispatch()
        return handle

    def resize(self, concurrency: int) -> None:
        """Have no more processes than that from now on; those that run a job end after it."""
        with self._lock:
            self._size = concurrency
            idle, self._idle = self._idle, []
            pool, waiting = self._pool, len(self._waiting)
        for slot in idle:
            slot.deliver(Work())  # it sees that it is one too many, or is idle again
        if pool is not None:
            for _ in range(waiting):
                pool.deliver(Grow())

    def health(self) -> Health:
        """Return how many processes there are, and which."""
        with self._lock:
            slots = list(self._slots.values())
            waiting = len(self._waiting)
        pids = [slot.pid for slot in slots if slot.pid is not None]
        busy = sum(slot.is_busy for slot in slots)
        detail = f"{len(pids)} processes ({', '.join(map(str, sorted(pids)))})"
        return Health(PROCESS, busy + waiting, detail)

    @contextmanager
    def taking_next(self) -> Iterator[None]:
        """Wake no slot for the first attempt that this thread starts: its own slot takes it."""
        self._here.takes_next = True
        try:
            yield
        finally:
            self._here.takes_next = False

    # ---- for slots --------------------------------------------------------------------------

    def next(self, slot: Slot) -> ProcessHandle | None:
        """Return what *slot* has to do; None: it is idle. Raises Stop when it is one too many."""
        with self._lock:
            if slot.ref not in self._slots:  # killed a moment ago
                raise Stop
            if len(self._slots) > self._size:
                del self._slots[slot.ref]
                raise Stop
            if self._waiting:
                return self._waiting.popleft()
            if slot.ref not in self._idle:  # it may get Work twice
                self._idle.append(slot.ref)
            return None

    def withdraw(self, handle: ProcessHandle) -> bool:
        """Take back an attempt that waits; False: it does not."""
        with self._lock:
            try:
                self._waiting.remove(handle)
            except ValueError:
                return False
            return True

    def enter(self, slot: Slot) -> None:
        """Let a new slot take attempts."""
        with self._lock:
            self._slots[slot.ref] = slot

    def leave(self, slot: ServerRef) -> None:
        """Forget a slot that has ended."""
        with self._lock:
            self._slots.pop(slot, None)
            if slot in self._idle:
                self._idle.remove(slot)
        self.dispatch()

    def dispatch(self) -> None:
        """Have an idle slot take what waits, or another one started for it."""
        with self._lock:
            pool = self._pool
            if pool is None or not self._waiting:
                return
            slot = self._idle.pop() if self._idle else None
            grows = slot is None and len(self._slots) < self._size
        if slot is not None:
            slot.deliver(Work())
        elif grows:
            pool.deliver(Grow())

    # ---- for its actor ----------------------------------------------------------------------

    def open(self, pool: ServerRef) -> int:
        """Take attempts from now on; return how many slots to begin with."""
        self.stderr = Stderr(self.settings.queue)
        with self._lock:
            self._pool = pool
            self._slots.clear()  # those of an earlier pool are on their way out
            self._idle.clear()
            return min(self._size, os.cpu_count() or 1)

    def needs_slot(self) -> bool:
        """Return whether there is something to do for another slot."""
        with self._lock:
            return bool(self._waiting) and not self._idle and len(self._slots) < self._size

    def close(self) -> None:
        """Take nothing more; what waits goes back to the queue. It waits for nothing."""
        with self._lock:
            self._pool = None
            waiting = list(self._waiting)
            self._waiting.clear()
            self._idle.clear()
            stderr, self.stderr = self.stderr, None
        for handle in waiting:
            handle.end(GivenBack())
        if stderr is not None:
            stderr.close()
