"""How an attempt ended: what its worker actor reported, and why the queue had it stop."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from antq_actors.jobs.outcome import (
    OUTCOMES,
    RETRY_DELAY_SECONDS,
    Cancelled,
    Completed,
    Failed,
    GivenBack,
    Interrupted,
    NotRun,
    Outcome,
)
from antq_actors.otp.kernel.reasons import Crash, Killed, Shutdown

if TYPE_CHECKING:
    from antq_actors.jobs.perform import Attempt
    from antq_actors.otp.kernel.cell import ActorCell
    from antq_actors.otp.kernel.reasons import ExitReason
    from antq_actors.otp.messaging.timers import Timer

_ENDS: Final = OUTCOMES | {NotRun}


class StopCause(Enum):
    """Why a queue requested an attempt to stop."""

    TIMEOUT = "timeout"
    CANCEL = "cancel"
    STOP = "stop"


@dataclass(slots=True, eq=False)
class RunningAttempt:
    """An attempt and the worker actor that performs it."""

    attempt: Attempt
    cell: ActorCell
    """The actor's: most never have a ref."""
    timer: Timer | None = None
    """The queue actor's, for the job's timeout."""
    stop_cause: StopCause | None = None
    """Set when the queue has requested it to stop."""


def verdict(  # noqa: PLR0911 - a table, one row a return
    running: RunningAttempt, reason: ExitReason
) -> Outcome | NotRun:
    """Return how the attempt ended whose worker actor exited with *reason*.

    A failure without a delay (``retry_in=None``) is one whose worker has yet to be asked for it.
    """
    attempt = running.attempt
    detail = reason.detail if type(reason) is Shutdown else None
    end: Outcome | NotRun | None = detail if type(detail) in _ENDS else None
    if attempt.failed is not None:
        if type(end) is Failed and end.retry_in is not None:
            return end
        # Working out the delay went wrong as well: the default will do.
        return replace(attempt.failed, retry_in=RETRY_DELAY_SECONDS * attempt.job.state.attempts)
    if type(end) is Completed and running.stop_cause is None:
        return end  # as nearly all end
    match end, running.stop_cause:
        case _, StopCause.TIMEOUT:
            text = f"timed out after {attempt.job.spec.timeout:g} s"
            place = attempt.control.place
            trace = None if place is None else f"{place}TimeoutError: {text}\n"
            return Failed(text, trace, None, "TimeoutError")
        case ((None | Failed(retry_in=None) | Interrupted() | NotRun()), StopCause.CANCEL):
            return Cancelled("cancelled while it was running")
        case ((None | Failed(retry_in=None) | Interrupted() | NotRun()), StopCause.STOP):
            return GivenBack()
    return _failure_of(reason) if end is None else end


def _failure_of(reason: ExitReason) -> Failed:
    """Return the failure of an attempt whose worker actor reported no end."""
    match reason:
        case Killed():
            text = "worker actor was killed"
        case Crash(exception):
            text = f"worker actor crashed: {type(exception).__name__}: {exception}"
        case _:
            text = f"worker actor ended: {reason}"
    return Failed(text, retry_in=None)
