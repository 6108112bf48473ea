"""One claimed job on its way through a worker actor, and what its end means.

This file decides and never acts: what a worker actor's exit reason says about the job, as plain
values.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from antq_actors.jobs.outcome import Failed, GivenBack, Outcome
from antq_actors.jobs.worker import RETRY_DELAY
from antq_actors.otp.reasons import Crash, ExitReason, Killed, Shutdown

if TYPE_CHECKING:
    from antq_actors.otp.ref import ServerRef
    from antq_actors.otp.timers import Timer
    from antq_actors.storage.records import StoredJob


class Finished(NamedTuple):
    """A worker actor's last word, as the detail of its exit reason."""

    outcome: Outcome


class Ended(Enum):
    """Why a queue told a worker actor to end."""

    BY_TIMEOUT = "timeout"
    BY_STOP = "stop"


@dataclass(slots=True)
class Execution:
    """A claimed job and the worker actor that performs it."""

    job: StoredJob
    ref: ServerRef
    timer: Timer | None = None
    ended: Ended | None = None
    """Set when the queue has told the worker actor to end."""
    failure: str | None = None
    """Set when the attempt has failed already, and only the delay before the next is worked out."""


@dataclass(frozen=True, slots=True)
class Unreported:
    """The attempt failed with *error*, and its worker actor is not there to say more.

    Its worker class still has a say in when the next attempt is due.
    """

    error: str


def verdict(  # noqa: PLR0911 - a table, one row a return
    execution: Execution, reason: ExitReason
) -> Outcome | Unreported:
    """Answer what became of the job when its worker actor ended with *reason*."""
    detail = reason.detail if type(reason) is Shutdown else None
    if type(detail) is Finished and execution.ended is None and execution.failure is None:
        return detail.outcome  # as nearly all end
    if execution.failure is not None:
        return _failure(execution, execution.failure, reason)
    match reason, execution.ended:
        case _, Ended.BY_TIMEOUT:
            return Unreported(f"timed out after {_seconds(execution.job.spec.timeout)} s")
        case Shutdown(Finished(outcome)), _:
            return outcome
        case _, Ended.BY_STOP:
            return GivenBack()
        case Killed(), _:
            return Unreported("worker actor was killed")
        case Crash(exception), _:
            return Unreported(f"worker actor crashed: {type(exception).__name__}: {exception}")
        case _:
            return Unreported(f"worker actor ended: {reason}")


def _failure(execution: Execution, error: str, reason: ExitReason) -> Outcome:
    if isinstance(reason, Shutdown) and isinstance(reason.detail, Finished):
        return reason.detail.outcome
    # Working out the delay went wrong as well: the default will do.
    return Failed(error, retry_in=RETRY_DELAY * execution.job.state.attempts)


def _seconds(timeout: float | None) -> str:
    return f"{timeout:g}"
