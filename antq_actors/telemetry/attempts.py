"""How an attempt ends, as middleware for traces and errors sees it, where the job is performed.

It is known there before it is stored, but for attempts whose process dies. An attempt that has
timed out has failed, whatever it returns; one that was interrupted otherwise has not.
"""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from antq_actors.checks import MOST_META_BYTES
from antq_actors.jobs.attempt_error import describe
from antq_actors.jobs.control import CONTROL, Terminated
from antq_actors.jobs.instant import SECOND
from antq_actors.jobs.middleware import Middleware
from antq_actors.jobs.outcome import OUTCOMES, Cancel, Fail, RateLimited, Snooze
from antq_actors.jobs.state import DueJob
from antq_actors.otp.kernel.errors import Interrupt

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from contextlib import AbstractContextManager

    from antq_actors.jobs.control import Control
    from antq_actors.jobs.job import Job

T = TypeVar("T")

_RETURNED: Final = (Fail, Cancel, Snooze, RateLimited, *OUTCOMES)

_SLACK_SECONDS: Final = 0.1
"""So much before its deadline may an attempt in another process be interrupted for that."""


class Ending(NamedTuple):
    """How an attempt ends."""

    outcome: str
    """completed, retrying, snoozed, cancelled or failed; interrupted, if it is given back."""
    error_type: str | None = None
    """The kind of its failure; None: it has not failed."""
    text: str | None = None
    """Why it has failed."""
    exception: BaseException | None = None
    """What was raised; None: nothing, or only what has interrupted it."""


COMPLETED: Final = Ending("completed")
CANCELLED: Final = Ending("cancelled")
SNOOZED: Final = Ending("snoozed")
INTERRUPTED: Final = Ending("interrupted")


def executor_of(job: Job) -> str:
    """Return the kind of the executor that performs a job: thread, async, process or ray."""
    control = _control(job)
    return "thread" if control is None else control.executor


def queue_time_of(job: Job) -> float | None:
    """Return the seconds from when a job was due until its attempt began; None: not known."""
    control = _control(job)
    claimed = None if control is None else control.stored
    if not isinstance(claimed, DueJob) or claimed.due is None:
        return None
    begun = claimed.state.started_at or claimed.state.updated_at
    return max(0, begun - claimed.due) / SECOND


def ending_of_return(job: Job, value: object) -> Ending:
    """Return how the attempt of a job ends that has returned this."""
    control = _control(job)
    if control is not None and control.stop_requested and _is_overdue(control):
        return _timed_out(job)
    match value:
        case Fail(reason):
            return Ending(_after_failure(job), "Fail", describe(reason))
        case Cancel():
            return CANCELLED
        case Snooze() | RateLimited():
            return SNOOZED
    if inspect.isclass(value) and issubclass(value, _RETURNED):
        return Ending(_after_failure(job), "Fail", f"perform returned the class {value.__name__}")
    return COMPLETED


def ending_of_raise(job: Job, error: BaseException) -> Ending:
    """Return how the attempt of a job ends that has raised this."""
    control = _control(job)
    if control is not None:
        if isinstance(error, Terminated):
            control.look()  # why its process was told to end it
        is_stopped = control.stop_requested or isinstance(error, Terminated | Interrupt)
        if is_stopped and _is_overdue(control):
            return _timed_out(job)
        if is_stopped and isinstance(error, Terminated | Interrupt | asyncio.CancelledError):
            return CANCELLED if control.is_cancelled else INTERRUPTED
    return Ending(_after_failure(job), type(error).__name__, describe(error), error)


def _control(job: Job) -> Control | None:
    control: Control | None = job.__dict__.get(CONTROL)
    return control


def _is_overdue(control: Control) -> bool:
    return control.deadline is not None and control.overdue_in() <= _SLACK_SECONDS


def _timed_out(job: Job) -> Ending:
    return Ending(_after_failure(job), "TimeoutError", _timeout_text(job))


def _timeout_text(job: Job) -> str:
    timeout = job.opts.get("timeout")
    return "timed out" if timeout is None else f"timed out after {timeout:g} s"


def _after_failure(job: Job) -> str:
    return "retrying" if job.attempts < job.max_attempts else "failed"


class AroundAttempts(Middleware):
    """Middleware that gets to know how each attempt ends, of coroutines and of the others."""

    def antq_around(self, job: Job) -> AbstractContextManager[list[Ending]]:
        """Return what an attempt is performed within.

        It gives a list, which has the ending of the attempt when that has ended.
        """
        raise NotImplementedError

    def around_job(self, job: Job, call: Callable[[], T]) -> T:
        """Perform an attempt, and note how it ends."""
        with self.antq_around(job) as endings:
            try:
                value = call()
            except BaseException as error:
                endings.append(ending_of_raise(job, error))
                raise
            endings.append(ending_of_return(job, value))
        return value

    async def around_job_async(self, job: Job, call: Callable[[], Awaitable[T]]) -> T:
        """Do the same of a coroutine."""
        with self.antq_around(job) as endings:
            try:
                value = await call()
            except BaseException as error:
                endings.append(ending_of_raise(job, error))
                raise
            endings.append(ending_of_return(job, value))
        return value


# ---- meta ----------------------------------------------------------------------------------------


def add_to_meta(meta: dict[str, str], carrier: Mapping[str, str]) -> None:
    """Put the context of a trace into the meta of a job, as far as there is room.

    No job is refused for its trace. Of the baggage of others, what is Sentry's stays beside what is
    not, and the other way round.
    """
    size = sum(_size(name, value) for name, value in meta.items() if name not in carrier)
    for name, value in carrier.items():
        entry = value
        if name == "baggage" and meta.get(name):
            is_sentrys = value.startswith(_SENTRYS)
            others = meta[name].split(",")
            kept = [each for each in others if each.strip().startswith(_SENTRYS) is not is_sentrys]
            entry = ",".join([*kept, value])
        size += _size(name, entry)
        if size > MOST_META_BYTES:
            size -= _size(name, entry)
            meta.pop(name, None)
        else:
            meta[name] = entry


_SENTRYS: Final = "sentry-"
"""With this the members of its baggage begin."""


def _size(name: object, value: object) -> int:
    return sum(len(str(each).encode(errors="replace")) for each in (name, value))
