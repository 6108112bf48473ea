"""One attempt of this executor: waiting for a slot, or with the process of one."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from antq_actors.executors.base import Done
    from antq_actors.executors.process.os_process import OsProcess
    from antq_actors.executors.process.pool import ProcessExecutor
    from antq_actors.jobs.outcome import NotRun, Outcome
    from antq_actors.jobs.perform import Attempt


class ProcessHandle:
    """One attempt: waiting for a slot, or with the process of one."""

    __slots__ = ("_done", "_lock", "_pool", "_process", "_stop_requested", "attempt")

    def __init__(self, attempt: Attempt, done: Done, pool: ProcessExecutor) -> None:
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


class SlotRemoved(Exception):
    """There are more slots than the queue has."""
