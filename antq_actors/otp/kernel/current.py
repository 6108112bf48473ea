"""Which actor does this thread belong to? And may it still speak?"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from antq_actors.otp.kernel.errors import CallExit

if TYPE_CHECKING:
    from antq_actors.otp.kernel.cell import Process


class _Local(threading.local):
    process: Process | None = None


local = _Local()
"""This thread's actor; `enter` and `process` are the ways to it where speed is no matter."""


def process() -> Process | None:
    """Answer the process of the actor that runs in this thread; None in a plain thread."""
    return local.process


def enter(process: Process | None) -> None:
    """Let this thread speak for *process* from now on."""
    local.process = process


def sends(how: str, message: Any, dest: object) -> None:
    """Let those who look at this thread's actor see that it sends *message*."""
    process = local.process
    if process is not None:
        for onlooker in process.onlookers:
            onlooker.sends(how, message, dest)


def fence() -> None:
    """Raise CallExit in the thread of an actor that was declared dead.

    A thread cannot be killed. It can be kept from telling anyone anything: OTP's own rule for
    a process stuck in native code (otp rule 74).
    """
    process = local.process
    if process is not None and process.reason is not None:
        raise CallExit(
            process.reason,
            f"{process.ref} was declared dead ({process.reason}); what its thread still does"
            " reaches nobody",
        )
