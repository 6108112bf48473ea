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
from antq_actors.executors.process.output import StderrReader
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


class ProcessSlot(Protocol):
    """The actor of a slot, as its pool knows it."""

    is_busy: bool

    @property
    def ref(self) -> ServerRef:
        """The actor of the slot."""

    @property
    def pid(self) -> int | None:
        """The number of the slot's OS process; None: it has none."""


class ProcessHandle:
    """One attempt: waiting for a slot, or with the process of one."""

    __slots__ = ("_done", "_lock", "_pool", "_process", "_stop_requested", "attempt")

    def __init__(self, attempt: Attempt, done: Done, pool: ProcessPool) -> None:
        self.attempt = attempt
        self._done = done
        self._pool = pool
        # A process is terminated only while the attempt is in it: the signal must not hit the
        # next attempt there.
        self._lock = threading.Lock()
        self._process: OsProcess | None = None
        self._stop_requested = False

    def interrupt(self) -> None:
        """Terminate the attempt's OS process, or end the attempt if it waits for one."""
        with self._lock:
            self._stop_requested = True
            if self._process is not None:
                self._process.terminate()
                return
        if self._pool.withdraw(self):
            self.end(None)

    def kill(self) -> bool:
        """Kill the attempt's OS process; return whether its end will be reported, once dead."""
        with self._lock:
            self._stop_requested = True
            if self._process is not None:
                self._process.kill()
                return True
        return not self._pool.withdraw(self)

    def begin(self, process: OsProcess) -> bool:
        """Note that the attempt is in *process*; return False instead after a request to stop."""
        with self._lock:
            if not self._stop_requested:
                self._process = process
            return not self._stop_requested

    def leave(self) -> bool:
        """Note that the attempt is in no process any more; return whether a stop was requested."""
        with self._lock:
            self._process = None
            return self._stop_requested

    def end(self, end: Outcome | NotRun | None) -> None:
        """Report to the queue how the attempt in an OS process ended."""
        self._done(end)


class _Here(threading.local):
    takes_next = False


class ProcessPool:
    """The attempts and slots of one queue: never more processes than the queue has slots."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._lock = threading.Lock()
        self._here = _Here()
        self._size = settings.concurrency
        self._waiting: deque[ProcessHandle] = deque()
        self._idle: list[ServerRef] = []
        self._slots: dict[ServerRef, ProcessSlot] = {}
        self._pool: ServerRef | None = None
        self.modules: set[str] = set()
        """Of the workers that were seen: a new process imports them before its first attempt."""
        self.stderr: StderrReader | None = None

    # ---- the contract -----------------------------------------------------------------------

    def start(self, attempt: Attempt, done: Done) -> ProcessHandle:
        """Give an attempt to an idle slot's process, or to the next idle one. Raises NotReady."""
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
        """Set the limit of the pool's OS processes; surplus ones end after their jobs."""
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
        """Return how many OS processes the pool has, their numbers, and how many attempts."""
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

    def next_attempt(self, slot: ProcessSlot) -> ProcessHandle | None:
        """Return the attempt for *slot*; None: it is idle. Raises Stop if it is one too many."""
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
        """Remove an attempt that waits for a slot's process; return False if it does not wait."""
        with self._lock:
            try:
                self._waiting.remove(handle)
            except ValueError:
                return False
            return True

    def add_slot(self, slot: ProcessSlot) -> None:
        """Add a new slot's actor to the process pool, so that it is given attempts."""
        with self._lock:
            self._slots[slot.ref] = slot

    def remove_slot(self, slot: ServerRef) -> None:
        """Remove a slot's actor that has ended from the process pool, and dispatch what waits."""
        with self._lock:
            self._slots.pop(slot, None)
            if slot in self._idle:
                self._idle.remove(slot)
        self.dispatch()

    def dispatch(self) -> None:
        """Wake an idle slot's actor for the attempt that waits, or have another one started."""
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
        """Accept attempts, start the thread for standard error; return how many slots to start."""
        self.stderr = StderrReader(self.settings.queue)
        with self._lock:
            self._pool = pool
            self._slots.clear()  # those of an earlier pool are on their way out
            self._idle.clear()
            return min(self._size, os.cpu_count() or 1)

    def needs_slot(self) -> bool:
        """Return whether an attempt waits for a slot that the limit still allows to start."""
        with self._lock:
            return bool(self._waiting) and not self._idle and len(self._slots) < self._size

    def close(self) -> None:
        """Accept no attempts for processes, give waiting ones back to the queue; never waits."""
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
