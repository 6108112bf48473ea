"""Monitors: one-way, each on its own, exactly one Down (otp rule 67)."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, cast

from antq_actors.checks import check_flag, timeout_seconds
from antq_actors.otp.kernel import current
from antq_actors.otp.kernel.messages import Down, Promise
from antq_actors.otp.kernel.reasons import ExitReason, NoProc
from antq_actors.otp.messaging.destinations import find
from antq_actors.otp.messaging.via import Via

if TYPE_CHECKING:
    from datetime import timedelta

    from antq_actors.otp.kernel.cell import ActorCell
    from antq_actors.otp.kernel.ref import ServerRef
    from antq_actors.otp.messaging.destinations import Destination


class Monitor:
    """A watch on one actor's end.

    In an actor, Down arrives in ``handle_info``. In a plain thread, ``wait`` answers it.
    """

    __slots__ = ("_cancelled", "_cell", "_down", "_owner", "_telling", "ref")

    def __init__(self, target: ActorCell | str | Via, owner: ActorCell | None) -> None:
        cell = None if isinstance(target, str | Via) else target
        self.ref = cast("ServerRef", target) if cell is None else cell.ref
        self._cell = cell
        self._owner = owner
        self._down = Promise() if owner is None else None
        self._telling = threading.RLock()
        self._cancelled = False

    def __repr__(self) -> str:
        return f"<Monitor of {self.ref}>"

    def start(self) -> None:
        """Begin to watch; of a dead actor Down comes at once, with NoProc."""
        if self._cell is None or not self._cell.watch(self, self._tell):
            self._tell(self.ref, NoProc())
        elif self._owner is not None and not self._owner.add_cleanup(self):
            self._cell.unwatch(self)

    def on_exit(self, _owner: ActorCell, /) -> None:
        """Stop watching: the actor that would be told has ended."""
        if self._cell is not None:
            self._cell.unwatch(self)

    def wait(self, timeout: float | timedelta | None = None) -> Down:
        """Answer the Down, in a plain thread.

        Raises TimeoutError if it does not come within *timeout* seconds (None: no limit), and
        RuntimeError in an actor, which gets it in ``handle_info``, and after ``demonitor``.
        """
        if self._down is None:
            raise RuntimeError("this monitor belongs to an actor: its Down arrives in handle_info")
        limit = timeout_seconds(timeout)
        if not self._down.wait(limit):
            raise TimeoutError(f"{self.ref} did not end within {limit} s")
        down: Down | None = self._down.value
        if down is None:
            raise RuntimeError("this monitor was taken back with demonitor(): no Down will come")
        return down

    def cancel(self, *, flush: bool) -> None:
        """Stop watching; with *flush*, a Down that waits in the mailbox is dropped too."""
        if self._cell is not None:
            self._cell.unwatch(self)
        if self._owner is not None:
            self._owner.remove_cleanup(self)
        with self._telling:
            # It may be ending at this moment, and tell a list of watchers from before.
            self._cancelled = True
        if self._down is not None:
            self._down.answer(None)  # who waits in another thread would wait for ever
        if flush and self._owner is not None:
            self._owner.mailbox.discard(self)

    def _tell(self, ref: ServerRef, reason: ExitReason, /) -> None:
        down = Down(self, ref, reason)
        with self._telling:
            if self._cancelled:
                return
            if self._owner is not None:
                self._owner.remove_cleanup(self)
                self._owner.ref.deliver(down)
            elif self._down is not None:
                self._down.answer(down)


def monitor(dest: Destination) -> Monitor:
    """Watch *dest*; its end is told exactly once, also if it lies behind (``NoProc``).

    When nobody has the name *dest*, that name stands in place of the ref, as in OTP.
    """
    cell = find(dest)
    made = Monitor(cast("str", dest) if cell is None else cell, current.cell())
    made.start()
    return made


def demonitor(monitor: Monitor, flush: bool = True) -> None:  # noqa: FBT001, FBT002 - as in OTP
    """Stop watching; with *flush*, a Down that already waits in the mailbox is dropped.

    Raises TypeError for what is no Monitor.
    """
    if not isinstance(monitor, Monitor):
        raise TypeError(f"demonitor() takes what monitor() returned, got {monitor!r}")
    check_flag(flush, "flush")
    monitor.cancel(flush=flush)
