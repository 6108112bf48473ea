"""One claimed job on its way through a worker actor, and what its end means.

This file decides and never acts: what a worker actor's exit reason says about the job, as plain
values.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from antq_actors.executors import places
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
from antq_actors.otp.kernel.reasons import Crash, ExitReason, Killed, Shutdown
from antq_actors.storage.format.records import Settlement

if TYPE_CHECKING:
    from antq_actors.jobs.perform import Attempt
    from antq_actors.jobs.state import StoredJob
    from antq_actors.otp.kernel.ref import ServerRef
    from antq_actors.otp.messaging.timers import Timer


_ENDS: Final = OUTCOMES | {NotRun}


class StopCause(Enum):
    """Why a queue told a worker actor to end."""

    TIMEOUT = "timeout"
    CANCEL = "cancel"
    STOP = "stop"


@dataclass(slots=True)
class RunningAttempt:
    """A claimed job and the worker actor that performs it."""

    attempt: Attempt
    ref: ServerRef
    timer: Timer | None = None
    stop_cause: StopCause | None = None
    """Set when the queue has told the worker actor to end."""

    @property
    def job(self) -> StoredJob:
        """The job."""
        return self.attempt.job


def verdict(  # noqa: PLR0911 - a table, one row a return
    execution: RunningAttempt, reason: ExitReason
) -> Outcome | NotRun:
    """Return how the attempt ended whose worker actor exited with *reason*.

    A failure without a delay (``retry_in=None``) is one whose worker has yet to be asked for it.
    """
    detail = reason.detail if type(reason) is Shutdown else None
    end: Outcome | NotRun | None = detail if type(detail) in _ENDS else None
    if (failed := execution.attempt.failed) is not None:
        if type(end) is Failed and end.retry_in is not None:
            return end
        # Working out the delay went wrong as well: the default will do.
        return replace(failed, retry_in=RETRY_DELAY_SECONDS * execution.job.state.attempts)
    if type(end) is Completed and execution.stop_cause is None:
        return end  # as nearly all end
    match end, execution.stop_cause:
        case _, StopCause.TIMEOUT:
            text = f"timed out after {execution.job.spec.timeout:g} s"
            place = places.of_timeout(execution.attempt.control.place, text)
            return Failed(text, place, None, "TimeoutError")
        case ((None | Failed(retry_in=None) | Interrupted() | NotRun()), StopCause.CANCEL):
            return Cancelled("cancelled while it was running")
        case ((None | Failed(retry_in=None) | Interrupted() | NotRun()), StopCause.STOP):
            return GivenBack()
        case _ if end is not None:
            return end
    match reason:
        case Killed():
            return Failed("worker actor was killed", retry_in=None)
        case Crash(exception):
            text = f"worker actor crashed: {type(exception).__name__}: {exception}"
            return Failed(text, retry_in=None)
        case _:
            return Failed(f"worker actor ended: {reason}", retry_in=None)


def has_attempts_left(job: StoredJob) -> bool:
    """Say whether a failure of the running attempt leads to another one."""
    return job.state.attempts < job.state.max_attempts


def settlement(job: StoredJob, outcome: Outcome) -> Settlement:
    """Answer what the store is told when the execution of *job* came to *outcome*."""
    return Settlement(job.id, job.state.execution, outcome)
