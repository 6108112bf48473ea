"""The running processes as a group, for signals to all of them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from antq_actors.multiprocess.node_process import STACKS, STOP, STOP_NOW, NodeProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


_CLEAN: Final = (0, -STOP, -STACKS)
"""The last two are of a process that got the signal before it could handle it."""


class ProcessGroup:
    """Starts processes and stops all that are running.

    A supervisor terminates its children one by one, waits for each, and handles no messages in the
    meantime. The processes must stop side by side, and a signal must reach them at any time. So
    signals do not go through the tree but through this object, from any thread.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._living: set[NodeProcess] = set()
        self._changing = threading.Lock()
        self.stopping = threading.Event()
        """Set when all are being stopped and no more are started."""
        self.has_booted = False
        """Whether a process has come up: a process that fails now may succeed the next time."""
        self._failed_to_boot = False
        """Whether the process that ended last had not come up, and has printed the reason."""
        self.unclean: list[str] = []
        """How processes ended that were stopped and did not end as they should."""

    def start(self, number: int, ended: Callable[[], None]) -> NodeProcess | None:
        """Start the process of this *number*; None when all are being stopped.

        *ended* is called in another thread when it has ended.
        """

        def note(process: NodeProcess) -> None:
            with self._changing:
                self._living.discard(process)
                self._failed_to_boot = not process.was_up
                if self.stopping.is_set() and process.returncode not in _CLEAN:
                    self.unclean.append(f"process {number} {process.end}")
            ended()

        # A stop in the meantime waits for the lock, and then stops this process, too.
        with self._changing:
            if self.stopping.is_set():
                return None
            command = [*self._command, "--number", str(number)]
            if self._failed_to_boot:
                command.append("--without-traceback")
            process = NodeProcess(command, note)
            self._living.add(process)
        return process

    def stop(self) -> bool:
        """Stop all, and start no more. Return False when they were being stopped already."""
        with self._changing:
            if self.stopping.is_set():
                return False
            self.stopping.set()
            for process in self._living:
                process.stop()
        return True

    def print_stacks(self) -> None:
        """Make all print the stacks of their threads."""
        with self._changing:
            for process in self._living:
                process.send(STACKS)

    def stop_now(self) -> None:
        """Make all stop without waiting for their jobs."""
        with self._changing:
            for process in self._living:
                process.send(STOP_NOW)
