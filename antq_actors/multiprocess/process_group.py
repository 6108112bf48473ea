"""The processes that live now, for signals that are for all of them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from antq_actors.multiprocess.lifeline import HURRY, STACKS, STOP
from antq_actors.multiprocess.os_process import OsProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


_CLEAN: Final = (0, -STOP, -STACKS)
"""The last two are of a process that was told before it could handle that."""


class LivingProcesses:
    """Starts processes, and tells all that live to stop.

    A supervisor ends its children one by one, waits for each, and hears nothing meanwhile. The
    processes shall end side by side, and a signal shall reach them at any time. So signals do not
    go through the tree but through here, from any thread.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._living: set[OsProcess] = set()
        self._changing = threading.Lock()
        self.stopping = threading.Event()
        """Set: all are told to stop, and none is started any more."""
        self.proven = False
        """Whether one has come up: what ends now need not end the next time."""
        self._said_why = False
        """Whether the process that ended last had not come up, and has said why."""
        self.unclean: list[str] = []
        """How processes ended that were told to stop and did not end as they should."""

    def start(self, number: int, ended: Callable[[], None]) -> OsProcess | None:
        """Start the process of this *number*; None when all are being stopped.

        *ended* is called in another thread when it has ended.
        """

        def note(process: OsProcess) -> None:
            with self._changing:
                self._living.discard(process)
                self._said_why = not process.was_up
                if self.stopping.is_set() and process.returncode not in _CLEAN:
                    self.unclean.append(f"process {number} {process.end}")
            ended()

        # A stop that comes meanwhile waits, and then finds it among those that live.
        with self._changing:
            if self.stopping.is_set():
                return None
            command = [*self._command, "--number", str(number)]
            if self._said_why:
                command.append("--without-traceback")
            process = OsProcess(command, note)
            self._living.add(process)
        return process

    def stop(self) -> bool:
        """Tell all to stop, and start no more; False when they were told before."""
        with self._changing:
            if self.stopping.is_set():
                return False
            self.stopping.set()
            for process in self._living:
                process.stop()
        return True

    def print_stacks(self) -> None:
        """Have all print where their threads are."""
        with self._changing:
            for process in self._living:
                process.send(STACKS)

    def hurry(self) -> None:
        """Tell all to wait no longer for their jobs."""
        with self._changing:
            for process in self._living:
                process.send(HURRY)
