"""Performs one attempt of a job and answers what came of it. Never raises, whatever a worker does.

Only the exceptions a caller asks for in *propagate* leave this file: the layer above ends an
attempt by raising one inside the performing thread, and it can arrive between any two lines here.
So every place that contains exceptions lets those pass first. And a child that a worker has forked
ends where it leaves the worker's code: its parent alone has an outcome.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, TypeAlias, cast, get_args

from msgspec.structs import replace

from antq_actors import forked_child
from antq_actors.errors import NotAWorker
from antq_actors.jobs import attempt_log, current_job, instant, lifecycle, worker_registry
from antq_actors.jobs.attempt_error import TEXT_LIMIT, cut, describe, trace
from antq_actors.jobs.duration import to_seconds
from antq_actors.jobs.function_worker import FunctionWorker
from antq_actors.jobs.job import AttemptError, Job
from antq_actors.jobs.late_errors import LateErrors
from antq_actors.jobs.outcome import (
    Cancel,
    Cancelled,
    Completed,
    Fail,
    Failed,
    Outcome,
    Refused,
    Snooze,
    Snoozed,
)
from antq_actors.jobs.retry_delay import RETRY_DELAY
from antq_actors.jobs.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.worker_registry import AnyWorker

_COMPLETED: Final = Completed()
_OUTCOMES: Final = (Fail, Cancel, Snooze, *get_args(Outcome))

Propagate: TypeAlias = tuple[type[BaseException], ...]


def _never() -> bool:
    return False


class Attempt(NamedTuple):
    """One execution of a claimed job, as far as it is known before anything of the user's runs."""

    job_id: int
    worker: str
    """The stored name of the worker."""
    number: int
    """Which attempt this is, from 1."""
    max_attempts: int
    load: Callable[[], Job]
    """Answers the job with its arguments; decoding them may run, and raise, anything."""
    is_void: Callable[[], bool] = _never
    """Whether nothing that it comes to counts any more, because it was given up."""
    queue: str = ""
    """The name of the queue, for the log."""


class _Performer(Protocol):
    def perform(self, job: Job, /) -> Any: ...
    def calculate_delay(self, job: Job, /) -> object: ...


class _Ready(NamedTuple):
    """All that ``perform`` and ``calculate_delay`` need."""

    performer: _Performer
    job: Job


def _asyncio_run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    import asyncio  # noqa: PLC0415 - as long as all else that a new process imports

    return asyncio.run(coroutine)


def execute(
    attempt: Attempt,
    *,
    clock: Callable[[], Instant] = instant.now,
    propagate: Propagate = (),
    run: Callable[[Coroutine[Any, Any, Any]], Any] = _asyncio_run,
) -> Outcome:
    """Perform *attempt* and answer its outcome; a failure is logged.

    Never raises but *propagate*. *clock* dates the failure that ``calculate_delay`` sees. *run*
    runs what turns out to be a coroutine.
    """
    outer = current_job.get()
    try:
        return _execute(attempt, clock, propagate, run)
    except propagate:
        raise
    except BaseException as error:  # noqa: BLE001 - no memory left to describe the failure, say
        name = type(error).__name__
        return Failed(name, None, RETRY_DELAY * attempt.number, name)
    finally:
        current_job.enter(outer)


async def execute_async(
    attempt: Attempt, *, clock: Callable[[], Instant] = instant.now, propagate: Propagate = ()
) -> Outcome:
    """Do what `execute` does, on the event loop that awaits it."""
    since = forked_child.generation()
    ready: _Ready | None = None
    try:
        begun = _begin(attempt, propagate)
        if isinstance(begun, Refused):
            return begun
        ready = begun
        answer = ready.performer.perform(ready.job)
        if inspect.isawaitable(answer):
            answer = await answer
        forked_child.end_if_forked(since)
        outcome = _outcome(answer, propagate)
    except propagate:
        raise
    except BaseException as error:  # noqa: BLE001 - as in _execute; a loop, too, ends with it
        forked_child.end_if_forked(since, error)
        outcome = _failure(error, propagate)
        return _finish(attempt, outcome, ready, clock, propagate, error=error)
    return _finish(attempt, outcome, ready, clock, propagate)


def fail(
    attempt: Attempt,
    error: str,
    stack_trace: str | None = None,
    error_type: str | None = None,
    *,
    exception: BaseException | None = None,
    clock: Callable[[], Instant] = instant.now,
    propagate: Propagate = (),
) -> Failed:
    """Return the failure of an *attempt* that was ended from outside, such as by its timeout.

    The worker is asked for the delay as after any other failure, so its code runs here. *exception*
    is what ended it, for the log. Never raises but *propagate*.
    """
    outer = current_job.get()
    retry_in = RETRY_DELAY * attempt.number
    failed = Failed(cut(error, TEXT_LIMIT), stack_trace, retry_in, error_type)
    try:
        if attempt.number < attempt.max_attempts:
            worker = worker_registry.resolve(
                attempt.worker, job_id=attempt.job_id, propagate=propagate
            )
            job = attempt.load()
            current_job.enter(job)
            ready = _Ready(_performer(worker), job)
            failed = _with_delay(attempt, failed, ready, clock, propagate)
    except propagate:
        raise
    except BaseException as error_there:  # noqa: BLE001 - then the default delay will do
        attempt_log.nobody_to_ask(attempt, error_there, propagate)
    finally:
        current_job.enter(outer)
    attempt_log.failed(attempt, failed, exception, propagate)
    return failed


def _execute(
    attempt: Attempt,
    clock: Callable[[], Instant],
    propagate: Propagate,
    run: Callable[[Coroutine[Any, Any, Any]], Any],
) -> Outcome:
    since = forked_child.generation()
    ready: _Ready | None = None
    try:
        begun = _begin(attempt, propagate)
        if isinstance(begun, Refused):
            return begun
        ready = begun
        answer = ready.performer.perform(ready.job)
        if answer is not None and inspect.iscoroutine(answer):
            answer = run(_awaited(answer, since))
        forked_child.end_if_forked(since)
        outcome = _outcome(answer, propagate)
    except propagate:
        raise
    except BaseException as error:  # noqa: BLE001
        forked_child.end_if_forked(since, error)
        # Not only Exception: pykka answers a SystemExit by stopping every actor in the process,
        # and one job's sys.exit() must not end all the others.
        outcome = _failure(error, propagate)
        # Before the exception is let go: what is logged has it.
        return _finish(attempt, outcome, ready, clock, propagate, error=error)
    return _finish(attempt, outcome, ready, clock, propagate)


async def _awaited(answer: Coroutine[Any, Any, Any], since: int) -> Any:
    """Return what *answer* does. A forked child ends here: it shares the selector of the loop."""
    try:
        value = await answer
    except BaseException as error:
        forked_child.end_if_forked(since, error)
        raise
    forked_child.end_if_forked(since)
    return value


def _begin(attempt: Attempt, propagate: Propagate) -> _Ready | Refused:
    since = forked_child.generation()
    try:
        worker = worker_registry.resolve(attempt.worker, job_id=attempt.job_id, propagate=propagate)
    except NotAWorker as refusal:
        forked_child.end_if_forked(since)
        refused = Refused(describe(refusal, propagate=propagate), type(refusal).__name__)
        attempt_log.refused(attempt, refused, refusal, propagate)
        return refused
    forked_child.end_if_forked(since)
    job = _load(attempt, propagate)
    current_job.enter(job)
    ready = _Ready(_performer(worker), job)
    forked_child.end_if_forked(since)
    return ready


def _failure(error: BaseException, propagate: Propagate) -> Failed:
    return Failed(
        describe(error, propagate=propagate),
        trace(error, propagate=propagate),
        error_type=type(error).__name__,
    )


def _finish(
    attempt: Attempt,
    outcome: Outcome,
    ready: _Ready | None,
    clock: Callable[[], Instant],
    propagate: Propagate,
    *,
    error: BaseException | None = None,
) -> Outcome:
    if isinstance(outcome, Failed) and not attempt.is_void():
        outcome = _with_delay(attempt, outcome, ready, clock, propagate)
        attempt_log.failed(attempt, outcome, error, propagate)
    return outcome


def _performer(worker: AnyWorker) -> _Performer:
    """Answer what performs this one attempt: a new instance, or the function worker itself."""
    return worker() if isinstance(worker, type) else worker


def _load(attempt: Attempt, propagate: Propagate) -> Job:
    try:
        return attempt.load()
    except propagate:
        raise
    except BaseException as error:
        reason = describe(error, propagate=propagate)
        raise UnreadableArgs(
            f"the arguments of job {attempt.job_id} cannot be read:"
            f" {type(error).__name__}: {reason}"
        ) from error


class UnreadableArgs(Exception):
    """The stored arguments do not decode in this process; its name is shown to users."""


def _outcome(answer: object, propagate: Propagate) -> Outcome:
    """Answer what *answer* of ``perform`` means."""
    if answer is None:  # as most answer
        return _COMPLETED
    match answer:
        case Fail(reason):
            return Failed(describe(reason, propagate=propagate))
        case Cancel(reason):
            return Cancelled(describe(reason, propagate=propagate))
        case Snooze(seconds):
            return Snoozed(seconds)
    # type() and issubclass() run no code of the answer's; its __class__ might.
    if issubclass(type(answer), type) and issubclass(cast("type", answer), _OUTCOMES):
        return Failed(_class_returned(cast("type", answer)))
    return _COMPLETED


def _class_returned(outcome: type) -> str:
    name = outcome.__name__
    given = "seconds" if issubclass(outcome, Snooze) else "reason"
    return f"perform returned the class {name} and no instance of it; write: return {name}({given})"


def _with_delay(
    attempt: Attempt,
    failed: Failed,
    ready: _Ready | None,
    clock: Callable[[], Instant],
    propagate: Propagate,
) -> Failed:
    """Answer *failed* with the seconds to the next attempt, if there is one."""
    if attempt.number >= attempt.max_attempts:
        return failed
    if ready is None:
        return replace(failed, retry_in=RETRY_DELAY * attempt.number)

    since = forked_child.generation()
    try:
        entry = AttemptError(
            attempt.number,
            failed.error,
            failed.stack_trace,
            instant.to_datetime(clock()),
            failed.error_type,
        )
        answer = ready.performer.calculate_delay(_with_error(ready.job, entry))
        forked_child.end_if_forked(since)
        if inspect.iscoroutine(answer):
            answer.close()  # else Python warns, later and elsewhere, that nobody awaited it
        return replace(failed, retry_in=to_seconds(answer, _delay_source(ready.performer)))
    except propagate:
        raise
    except BaseException as error:  # noqa: BLE001 - the failure of an attempt must not be lost by it
        forked_child.end_if_forked(since, error)
        retry_in = RETRY_DELAY * attempt.number
        instead = retry_in, _delay_source(ready.performer)
        attempt_log.no_delay(attempt, instead, error, propagate)
        return replace(failed, retry_in=retry_in)


def _delay_source(performer: _Performer) -> str:
    """Return what says the delay of *performer*: its option, or a method of its own."""
    own = getattr(type(performer), "calculate_delay", None)
    is_ours = own in (Worker.calculate_delay, FunctionWorker.calculate_delay)
    options = getattr(performer, "antq_options", None)
    has_option = is_ours and getattr(options, "retry_delay", None) is not None
    return "retry_delay" if has_option else "calculate_delay"


def _with_error(job: Job, entry: AttemptError) -> Job:
    """Return *job* as it will be stored with this error."""
    errors = LateErrors(lambda: lifecycle.kept_errors((entry, *job.errors)))
    return replace(job, errors=errors, error_count=job.error_count + 1)
