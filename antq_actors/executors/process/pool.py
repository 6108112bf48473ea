"""Gives attempts to slots, and starts as many slots as are needed.

A slot that is done takes the next attempt itself, so that no thread is woken for it. An attempt
that finds no idle slot waits here for the moment a process takes to start or to be replaced.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from antq_actors.executors.base import PROCESS, Health, NotReady
from antq_actors.executors.process.attempt import ProcessHandle, SlotRemoved
from antq_actors.executors.process.slot import RETRY_INTERVAL_SECONDS, SlotActor, Work
from antq_actors.executors.process.stderr import Stderr
from antq_actors.jobs.outcome import GivenBack
from antq_actors.otp.actors.gen_server import GenServer
from antq_actors.otp.kernel.child_spec import Restart, Strategy
from antq_actors.otp.kernel.errors import OtpError
from antq_actors.otp.supervision.dynamic import DynamicSupervisor
from antq_actors.otp.supervision.supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from antq_actors.executors.base import Done, Settings
    from antq_actors.jobs.perform import Attempt
    from antq_actors.otp.kernel.cell import ServerRef
    from antq_actors.otp.kernel.child_spec import ChildSpec
    from antq_actors.otp.kernel.reasons import ExitReason

log: Final = logging.getLogger("antq_actors.executors")

SHUTDOWN_TIMEOUT_SECONDS: Final = 3.0
"""Seconds that a slot has to end its process."""

_JOIN_TIMEOUT_SECONDS: Final = 1.0


class _Here(threading.local):
    takes_next = False


class ProcessExecutor:
    """The pool of one queue: never more processes than the queue has slots."""

    kind = PROCESS

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._lock = threading.Lock()
        self._here = _Here()
        self._size = settings.concurrency
        self._waiting: deque[ProcessHandle] = deque()
        self._idle: list[ServerRef] = []
        self._slots: dict[ServerRef, SlotActor] = {}
        self._pool: ServerRef | None = None
        self.modules: set[str] = set()
        """Of the workers that were seen: a new process imports them before its first attempt."""
        self.stderr: Stderr | None = None

    # ---- the contract -----------------------------------------------------------------------

    def child(self) -> ChildSpec:
        """Describe the actor that starts slots, and their supervisor."""
        slots = f"{self.settings.name}.slots"
        return Supervisor.child_spec(
            [
                DynamicSupervisor.child_spec(id="slots", name=slots),
                PoolActor.child_spec(self, slots, id="pool"),
            ],
            strategy=Strategy.ONE_FOR_ALL,
            name=self.settings.name,
        )

    def start(self, attempt: Attempt, done: Done) -> ProcessHandle:
        """Give an attempt to an idle slot, or to the next one. Raises NotReady."""
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
                pool.deliver(_Grow())

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

    def next(self, slot: SlotActor) -> ProcessHandle | None:
        """Return what *slot* has to do; None: it is idle. Raises SlotRemoved."""
        with self._lock:
            if slot.ref not in self._slots:  # killed a moment ago
                raise SlotRemoved
            if len(self._slots) > self._size:
                del self._slots[slot.ref]
                raise SlotRemoved
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

    def enter(self, slot: SlotActor) -> None:
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
            pool.deliver(_Grow())

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


class _Grow(NamedTuple):
    """There is something to do, and no slot for it."""


class PoolActor(GenServer):
    """Starts the slots of a pool, under the supervisor called *slots*."""

    def __init__(self, executor: ProcessExecutor, slots: str) -> None:
        super().__init__()
        self._executor = executor
        self._slots = slots

    def init(self) -> None:
        """Start the first slots, so that their processes are warm when the jobs come."""
        number = self._executor.open(self.ref)
        if not self._otp_cell.watch(self, lambda _ref, _reason: self._executor.close()):
            self._executor.close()
        for _ in range(number):
            self._start()

    def handle_info(self, message: Any) -> None:
        """Start another slot, if it is still wanted."""
        if isinstance(message, _Grow):
            if self._executor.needs_slot():
                self._start()
        else:
            super().handle_info(message)

    def terminate(self, reason: ExitReason) -> None:  # noqa: ARG002 - every end is the same
        """Wait a little for the thread that reads what the processes wrote."""
        stderr = self._executor.stderr
        self._executor.close()
        if stderr is not None:
            stderr.join(_JOIN_TIMEOUT_SECONDS)

    def _start(self) -> None:
        spec = SlotActor.child_spec(
            self._executor, id="slot", restart=Restart.TRANSIENT, shutdown=SHUTDOWN_TIMEOUT_SECONDS
        )
        try:
            DynamicSupervisor.start_child(self._slots, spec)
        except OtpError as error:
            log.error("no process can be started: %s", error)  # noqa: TRY400 - the message has the reason
            self.send_after(RETRY_INTERVAL_SECONDS, _Grow())
