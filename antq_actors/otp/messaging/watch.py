"""Waiting for one actor's end, in any thread, without a mailbox."""

from __future__ import annotations

from typing import TYPE_CHECKING

from antq_actors.otp.kernel.messages import Promise
from antq_actors.otp.kernel.reasons import ExitReason, NoProc
from antq_actors.otp.messaging.deadlock import waiting_for

if TYPE_CHECKING:
    from antq_actors.otp.kernel.ref import ServerRef


class DeathWatch:
    """Waits for the end of the actor it was made for; of a dead one the reason is NoProc."""

    def __init__(self, ref: ServerRef) -> None:
        self._cell = ref.cell
        self._end = Promise()
        if not self._cell.watch(self, self._note):
            self._end.answer(NoProc())

    def wait(self, timeout: float | None = None) -> ExitReason | None:
        """Return the reason of the end; None if it does not come within *timeout* seconds."""
        if not self._end.is_settled:  # else there is no wait that could close a ring
            with waiting_for(self._cell, self._end):
                if not self._end.wait(timeout):
                    return None
        reason: ExitReason = self._end.value
        return reason

    def cancel(self) -> None:
        """Stop watching."""
        self._cell.unwatch(self)

    def _note(self, _ref: ServerRef, reason: ExitReason, /) -> None:
        self._end.answer(reason)
