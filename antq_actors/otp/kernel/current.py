"""Which actor does this thread belong to? And may it still speak?"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from antq_actors.otp.kernel.errors import CallExit

if TYPE_CHECKING:
    from antq_actors.otp.kernel.cell import ActorCell


class _Local(threading.local):
    cell: ActorCell | None = None


local = _Local()
"""This thread's actor; `enter` and `cell` are the ways to it where speed is no matter."""


def cell() -> ActorCell | None:
    """Answer the cell of the actor that runs in this thread; None in a plain thread."""
    return local.cell


def enter(cell: ActorCell | None) -> None:
    """Let this thread speak for *cell* from now on."""
    local.cell = cell


def on_send(how: str, message: Any, dest: object) -> None:
    """Let those who look at this thread's actor see that it sends *message*."""
    cell = local.cell
    if cell is not None:
        for observer in cell.observers:
            observer.on_send(how, message, dest)


def fence() -> None:
    """Raise CallExit in the thread of an actor that was declared dead.

    A thread cannot be killed. It can be kept from telling anyone anything: OTP's own rule for
    a process stuck in native code (otp rule 74).
    """
    cell = local.cell
    if cell is not None and cell.reason is not None:
        raise CallExit(
            cell.reason,
            f"{cell.ref} was declared dead ({cell.reason}); what its thread still does"
            " reaches nobody",
        )
