"""Monitors: one-way, each on its own, exactly one Down (otp rule 67)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from antq_actors.otp import current
from antq_actors.otp.destinations import find
from antq_actors.otp.messages import Down, Promise
from antq_actors.otp.reasons import ExitReason, NoProc

if TYPE_CHECKING:
    from antq_actors.otp.destinations import Destination
    from antq_actors.otp.process import Process
    from antq_actors.otp.ref import ServerRef


class Monitor:
    """A watch on one actor's end.

    In an actor, Down arrives in ``handle_info``. In a plain thread, ``wait`` answers it.
    """

    __slots__ = ("_down", "_owner", "_process", "ref")

    def __init__(self, process: Process, owner: Process | None) -> None:
        self.ref = process.ref
        self._process = process
        self._owner = owner
        self._down = Promise() if owner is None else None

    def __repr__(self) -> str:
        return f"<Monitor of {self.ref}>"

    def start(self) -> None:
        """Begin to watch; of a dead actor Down comes at once, with NoProc."""
        if not self._process.watch(self, self._tell):
            self._tell(self.ref, NoProc())

    def wait(self, timeout: float | None = None) -> Down:
        """Answer the Down, in a plain thread.

        Raises TimeoutError if it does not come within *timeout* seconds (None: no limit), and
        RuntimeError in an actor, which gets it in ``handle_info``.
        """
        if self._down is None:
            raise RuntimeError("this monitor belongs to an actor: its Down arrives in handle_info")
        if not self._down.wait(timeout):
            raise TimeoutError(f"{self.ref} did not end within {timeout} s")
        down: Down = self._down.value
        return down

    def cancel(self, *, flush: bool) -> None:
        """Stop watching; with *flush*, a Down that waits in the mailbox is dropped too."""
        self._process.unwatch(self)
        if flush and self._owner is not None:
            self._owner.mailbox.discard(self)

    def _tell(self, ref: ServerRef, reason: ExitReason, /) -> None:
        down = Down(self, ref, reason)
        if self._owner is None:
            if self._down is not None:
                self._down.answer(down)
        else:
            self._owner.ref.deliver(down)


def monitor(dest: Destination) -> Monitor:
    """Watch *dest*; its end is told exactly once, also if it lies behind (``NoProc``)."""
    process = find(dest)
    if process is None:
        raise LookupError(f"no actor is registered as {dest!r}, so there is nothing to monitor")
    made = Monitor(process, current.process())
    made.start()
    return made


def demonitor(monitor: Monitor, flush: bool = True) -> None:  # noqa: FBT001, FBT002 - as in OTP
    """Stop watching; with *flush*, a Down that already waits in the mailbox is dropped."""
    monitor.cancel(flush=flush)
