"""One claimed job on its way through a worker actor, and what its end means.

This file decides and never acts: what a worker actor's exit reason says about the job, as plain
values.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from antq_actors.executors import places
from antq_actors.executors.base import Died, Elsewhere, Finished, Lost, Unready
from antq_actors.jobs.outcome import Cancelled, Completed, Failed, GivenBack, Outcome
from antq_actors.jobs.retry_delay import RETRY_DELAY
from antq_actors.otp.kernel.reasons import Crash, ExitReason, Killed, Shutdown
from antq_actors.storage.format.records import Settlement

if TYPE_CHECKING:
    from antq_actors.executors.base import Assignment
    from antq_actors.jobs.state import StoredJob
    from antq_actors.otp.kernel.ref import ServerRef
    from antq_actors.otp.messaging.timers import Timer


class StopCause(Enum):
    """Why a queue told a worker actor to end."""

    TIMEOUT = "timeout"
    CANCEL = "cancel"
    STOP = "stop"


@dataclass(slots=True)
class RunningAttempt:
    """A claimed job and the worker actor that performs it."""

    assignment: Assignment
    ref: ServerRef
    timer: Timer | None = None
    stop_cause: StopCause | None = None
    """Set when the queue has told the worker actor to end."""

    @property
    def job(self) -> StoredJob:
        """The job."""
        return self.assignment.job

    @property
    def failure(self) -> str | None:
        """Set when the attempt has failed already, and only the delay is worked out."""
        return self.assignment.failure


@dataclass(frozen=True, slots=True)
class Unreported:
    """The attempt failed with *error*, and its worker actor is not there to say more.

    Its worker class still has a say in when the next attempt is due.
    """

    error: str
    stack_trace: str | None = None
    error_type: str | None = None


def verdict(  # noqa: PLR0911 - a table, one row a return
    execution: RunningAttempt, reason: ExitReason
) -> Outcome | Unreported | Lost | Unready | Elsewhere:
    """Answer what became of the job when its worker actor ended with *reason*."""
    detail = reason.detail if type(reason) is Shutdown else None
    end = detail.end if type(detail) is Finished else None
    if type(end) is Completed and execution.stop_cause is None and execution.failure is None:
        return end  # as nearly all end
    if execution.failure is not None:
        return _failure(execution, execution.failure, end)
    match end, execution.stop_cause:
        case _, StopCause.TIMEOUT:
            text = f"timed out after {_seconds(execution.job.spec.timeout)} s"
            place = places.of_timeout(execution.assignment.control.place, text)
            return Unreported(text, place, "TimeoutError")
        case ((None | Died() | Lost() | Unready() | Elsewhere()), StopCause.CANCEL):
            return Cancelled("cancelled while it was running")
        case ((None | Died() | Lost() | Unready() | Elsewhere()), StopCause.STOP):
            return GivenBack()
        case Died(error, stack_trace, error_type), _:
            return Unreported(error, stack_trace, error_type)
        case _ if end is not None:
            return end
    match reason:
        case Killed():
            return Unreported("worker actor was killed")
        case Crash(exception):
            return Unreported(f"worker actor crashed: {type(exception).__name__}: {exception}")
        case _:
            return Unreported(f"worker actor ended: {reason}")


def _failure(execution: RunningAttempt, error: str, end: object) -> Outcome:
    if isinstance(end, Failed):
        return end
    # Working out the delay went wrong as well: the default will do.
    assignment = execution.assignment
    return failed(execution.job, error, assignment.stack_trace, assignment.error_type)


def failed(
    job: StoredJob, error: str, stack_trace: str | None = None, error_type: str | None = None
) -> Failed:
    """Return a failure when there is nobody to ask for the delay."""
    return Failed(error, stack_trace, RETRY_DELAY * job.state.attempts, error_type)


def has_attempts_left(job: StoredJob) -> bool:
    """Say whether a failure of the running attempt leads to another one."""
    return job.state.attempts < job.state.max_attempts


def settlement(job: StoredJob, outcome: Outcome) -> Settlement:
    """Answer what the store is told when the execution of *job* came to *outcome*."""
    return Settlement(job.id, job.state.execution, outcome)


def _seconds(timeout: float | None) -> str:
    return f"{timeout:g}"
