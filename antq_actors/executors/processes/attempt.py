"""One attempt of this executor: waiting for a slot, or with the process of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from antq_actors.executors.contract import Stopped

if TYPE_CHECKING:
    from antq_actors.executors.contract import Assignment, Done, End
    from antq_actors.executors.processes.os_process import OsProcess
    from antq_actors.executors.processes.pool import ProcessExecutor


class Attempt:
    """One attempt: waiting for a slot, or with the process of one."""

    __slots__ = ("_done", "_pool", "_process", "assignment", "told")

    def __init__(self, assignment: Assignment, done: Done, pool: ProcessExecutor) -> None:
        self.assignment = assignment
        self._done = done
        self._pool = pool
        self._process: OsProcess | None = None
        self.told = False

    def interrupt(self) -> None:
        """Tell its process to end, and have it killed if it does not."""
        self.told = True
        process = self._process
        if process is not None:
            process.end_soon()
        elif self._pool.withdraw(self):
            self.end(Stopped())

    def kill(self) -> None:
        """Kill its process."""
        self.told = True
        process = self._process
        if process is not None:
            process.kill()
        else:
            self._pool.withdraw(self)

    def begin(self, process: OsProcess) -> bool:
        """Be with *process* from now on; False: it was told to end before."""
        self._process = process
        return not self.told

    def end(self, end: End) -> None:
        """Tell what came of it."""
        self._process = None
        self._done(end)


class Superfluous(Exception):
    """There are more slots than the queue has."""
