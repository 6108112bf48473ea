"""The actor of one process: when either of them ends, so does the other."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from pykka import ActorDeadError

from antq_actors.otp.actors.gen_server import GenServer
from antq_actors.otp.kernel.errors import Stop
from antq_actors.otp.kernel.messages import IGNORE
from antq_actors.otp.kernel.reasons import ExitReason, Shutdown

if TYPE_CHECKING:
    from antq_actors.multiprocess.os_process import OsProcess
    from antq_actors.multiprocess.process_group import LivingProcesses


class NotUpError(Exception):
    """The first process ended before it was up."""

    def __init__(self, process: OsProcess) -> None:
        super().__init__(f"its process {process.end} before it was up")
        self.process = process


class _Ended(NamedTuple):
    """The process has ended."""


class ProcessActor(GenServer):
    """Owns the process of one number, and ends with how that ended; then both start again.

    Until a process has come up, a start lasts until it has, and fails when it ends before: a module
    that cannot be imported is said once, and by one. Those that start later are not waited for,
    so that they start side by side.
    """

    _process: OsProcess

    def __init__(self, number: int, living: LivingProcesses) -> None:
        super().__init__()
        self._number = number
        self._living = living

    def init(self) -> Any:
        """Start the process."""
        process = self._living.start(self._number, self._hear_of_the_end)
        if process is None:
            return IGNORE
        self._process = process
        # Also when this actor is killed, and so does not come to its terminate().
        self.ref.process.watch(process, lambda _ref, _reason: process.stop())
        if self._living.proven or process.comes_up():
            self._living.proven = True
            return None
        process.stop()
        process.wait()
        if self._living.stopping.is_set():
            return IGNORE
        raise NotUpError(process)

    def handle_info(self, message: Any) -> None:
        """End with the process, if that was not told to; else the supervisor is about to come."""
        if not isinstance(message, _Ended):
            super().handle_info(message)
        elif not self._living.stopping.is_set():
            raise Stop(Shutdown(f"its process, {self._process.pid}, {self._process.end}"))

    def terminate(self, reason: ExitReason) -> None:
        """Have the process stop, and wait for that."""
        if reason == Shutdown():
            # From the supervisor, which is ending, and will come to the other ones after this.
            self._living.stop()
        self._process.stop()
        self._process.wait()

    def _hear_of_the_end(self) -> None:
        with suppress(ActorDeadError):
            self.ref.tell(_Ended())
