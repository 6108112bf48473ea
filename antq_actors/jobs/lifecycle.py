"""Every way a job may change, and nothing else.

    ENQUEUED  --claim--> RUNNING --complete----> COMPLETED
    SCHEDULED --claim-->         --cancel------> CANCELLED
    RETRYING  --claim-->         --fail--------> RETRYING    while attempts are left
                                 --fail--------> FAILED      after the last one
                                 --refuse------> FAILED      what it names is no worker
                                 --snooze------> SCHEDULED   attempts start again
                                 --give back---> ENQUEUED    a graceful stop; nothing counts
                                 --give back---> SCHEDULED   its worker is yet to be defined
                                 --interrupt---> ENQUEUED    its node died; not an attempt
                                 --interrupt---> FAILED      the last interruption it may have

    SCHEDULED, RETRYING --come due--> ENQUEUED               a limit is in its way
    ENQUEUED, SCHEDULED, RETRYING, SUSPENDED --cancel--> CANCELLED
    RUNNING --cancel--> RUNNING, cancelling: its executor is told to end it; then CANCELLED by
                        whatever but --complete--> and --refuse-->
    ENQUEUED  --reschedule--> SCHEDULED
    SCHEDULED, RETRYING --reschedule, run now--> the same, due at another time
    COMPLETED, FAILED, CANCELLED  --retry---> ENQUEUED       attempts and interruptions start again
                                  --retry---> SCHEDULED      the same, due later
    SUSPENDED --release--> ENQUEUED, SCHEDULED    what it waited for has ended as it had to
    SUSPENDED --cut------> CANCELLED              that cannot come any more
    CANCELLED --resume---> SUSPENDED              it was cut off, and it can come again
    COMPLETED, FAILED, CANCELLED --retry---> SUSPENDED     if it waits for others
    any, unreadable on disk       --mark_damaged-> FAILED         what is known of it is kept

A snooze ends a run of failures: ``max_attempts`` limits those in a row, so that a job which
snoozes as its schedule is not failed by what went wrong weeks apart.

Rule: no other file decides a ``status``, nor which errors are kept. Functions from value to value;
the time is passed in.

A state counts the changes that its record does not show afterwards (``history``): all but to be
claimed, to complete, and to be told to end. Each is noted: :mod:`antq_actors.jobs.history`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from msgspec.structs import replace

from antq_actors.errors import NotCancellable, NotRetryable
from antq_actors.jobs import instant
from antq_actors.jobs.attempt_error import TEXT_LIMIT, TRACE_LIMIT, cut
from antq_actors.jobs.outcome import (
    RETRY_DELAY_SECONDS,
    Cancelled,
    Completed,
    Failed,
    GivenBack,
    Interrupted,
    Outcome,
    Refused,
    Snoozed,
)
from antq_actors.jobs.state import (
    CLAIMABLE,
    ENDED,
    NOT_COMPOSED,
    WAITING,
    ErrorEntry,
    JobState,
    Status,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.outcome import Produced
    from antq_actors.jobs.state import Composed

T = TypeVar("T")

_ENQUEUED: Final = Status.ENQUEUED
"""Each new job is: looking a member up in its Enum takes longer than all else about its state."""

NEWEST_ERRORS: Final = 24
"""How many errors of a job are kept besides the first: the first says how it began, the newest how
it is now. A job that fails for years is no larger, and no slower, than one that failed 25 times."""


def error_entry(
    attempt: int,
    error: str,
    stack_trace: str | None,
    attempted_at: Instant,
    error_type: str | None = None,
) -> ErrorEntry:
    """Return an entry of a job's errors. Texts that are too long are cut, and say so."""
    if stack_trace is not None:
        stack_trace = cut(stack_trace, TRACE_LIMIT, keep_end=True)
    if error_type is not None:
        error_type = cut(error_type, TEXT_LIMIT)
    return ErrorEntry(attempt, cut(error, TEXT_LIMIT), stack_trace, attempted_at, error_type)


def dropped_errors(count: int) -> range:
    """Return the numbers, from 0, of those of a job's *count* errors that are not kept.

    >>> dropped_errors(25), dropped_errors(30)
    (range(1, 1), range(1, 6))
    """
    return range(1, max(1, count - NEWEST_ERRORS))


def kept_errors(errors: Sequence[T]) -> tuple[T, ...]:
    """Return those of a job's *errors* that are kept. Both are newest first."""
    if not dropped_errors(len(errors)):
        return tuple(errors)
    return (*errors[:NEWEST_ERRORS], errors[-1])


def create(
    *,
    queue_name: str,
    now: Instant,
    due: Instant | None = None,
    priority: int = 0,
    max_attempts: int = 1,
) -> JobState:
    """Return the state of a new job: scheduled when *due* lies ahead, else enqueued now."""
    if due is None or due <= now:
        return JobState(_ENQUEUED, queue_name, priority, max_attempts, now, now)
    return JobState(Status.SCHEDULED, queue_name, priority, max_attempts, now, due)


def made_later(state: JobState, *, now: Instant, delay: int | None = None) -> JobState:
    """Return the state of a new job that is stored only *now*, some time after it was built.

    *delay*: microseconds from now until it is due; None: it is due when it was to be.
    """
    due = state.scheduled_at if delay is None else now + delay
    is_ahead = due is not None and due > now
    return replace(
        state,
        status=Status.SCHEDULED if is_ahead else Status.ENQUEUED,
        updated_at=now,
        scheduled_at=due if is_ahead else now,
    )


def suspend(state: JobState) -> JobState:
    """Return the state of a new job that waits for others to end."""
    return replace(state, status=Status.SUSPENDED, scheduled_at=None)


def release(
    state: JobState, *, now: Instant, delay: int | None = None, not_before: Instant | None = None
) -> JobState:
    """Return the state of a job that waits for no others any more.

    *delay*: microseconds from now until it is due.
    """
    due = max(now if delay is None else now + delay, not_before or now)
    return replace(
        state,
        status=Status.SCHEDULED if due > now else Status.ENQUEUED,
        scheduled_at=due,
        updated_at=now,
        history=state.history + 1,
    )


def cut_off(state: JobState, why: str, *, now: Instant) -> tuple[JobState, ErrorEntry]:
    """Return the state of a job that is cancelled, as what it waited for cannot come; its error."""
    entry = error_entry(state.attempts, why, None, now)
    after = _ended(state, Status.CANCELLED, now)
    return replace(after, errors=state.errors + 1, history=state.history + 1), entry


def resume(state: JobState, *, now: Instant) -> JobState:
    """Return the state of an ended job that waits for others to end, again or still.

    It has all its attempts before it; its errors stay.
    """
    return suspend(retry(state, now=now))


def claim(state: JobState, *, node: int, now: Instant) -> JobState:
    """Return a waiting job's state, running on *node*: counted as an attempt until that ends."""
    return replace(
        state,
        status=Status.RUNNING,
        node=node,
        attempts=state.attempts + 1,
        execution=state.execution + 1,
        scheduled_at=None,
        updated_at=now,
        cancelling=False,
        started_at=now,
    )


def replaced(state: JobState, by: int, limit: str, *, now: Instant) -> tuple[JobState, ErrorEntry]:
    """Return the state of a waiting job that is cancelled for a newer one, *by*, and its error."""
    text = f"replaced by job {by}, which came while the limit {limit!r} was full"
    entry = error_entry(state.attempts, text, None, now)
    after = _ended(state, Status.CANCELLED, now)
    return replace(after, errors=state.errors + 1, history=state.history + 1), entry


def come_due(state: JobState, *, now: Instant) -> JobState:
    """Return the state of a scheduled or retrying job that is due and has to wait for a limit."""
    return replace(state, status=Status.ENQUEUED, updated_at=now, history=state.history + 1)


def settle(
    state: JobState, outcome: Outcome, *, now: Instant
) -> tuple[JobState, ErrorEntry | None]:
    """Return the state of a running job after the *outcome* of its execution, and its new error."""
    if isinstance(outcome, Completed):
        return _completed(state, outcome.produced, now), None
    entry: ErrorEntry | None = None
    match outcome:
        case Failed(error, stack_trace, retry_in, error_type):
            entry = error_entry(state.attempts, error, stack_trace, now, error_type)
            after = _failed(state, now, retry_in)
        case Refused(error, error_type, is_attempt):
            entry = error_entry(state.attempts, error, None, now, error_type)
            counted = state if is_attempt else replace(state, attempts=state.attempts - 1)
            after = _ended(counted, Status.FAILED, now)
        case Cancelled(reason):
            entry = error_entry(state.attempts, reason, None, now)
            after = _ended(state, Status.CANCELLED, now)
        case Snoozed(seconds):
            after = _snoozed(state, now, instant.after(now, seconds))
        case GivenBack(seconds):
            after = _waits_again(state, now, instant.after(now, seconds))
        case Interrupted():
            entry = error_entry(state.attempts, _interruption(state, outcome), None, now)
            after = _interrupted(state, outcome, now)

    if state.cancelling and not isinstance(outcome, Refused):
        after = _ended(state, Status.CANCELLED, now)
    after = replace(after, history=state.history + 1)
    if entry is None:
        return after, None
    entry = entry._replace(started_at=state.started_at, node=state.node)
    return replace(after, errors=state.errors + 1), entry


def cancel(state: JobState, *, now: Instant) -> JobState:
    """Return a job's state once cancelled: at once if it waits, when its execution ends if it runs.

    Cancelling a cancelled one changes nothing. Raises NotCancellable for one that has ended
    otherwise.
    """
    if state.status is Status.CANCELLED or (state.status is Status.RUNNING and state.cancelling):
        return state
    if state.status is Status.RUNNING:
        return replace(state, cancelling=True, updated_at=now)
    if state.status not in WAITING:
        raise NotCancellable(
            f"a job that has ended cannot be cancelled; this one is {state.status}", state.status
        )
    return replace(_ended(state, Status.CANCELLED, now), history=state.history + 1)


def retry(state: JobState, *, now: Instant, due: Instant | None = None) -> JobState:
    """Return an ended job's state, enqueued again with all its attempts before it; errors stay.

    With *due* it is scheduled. Raises NotRetryable for a job that has not ended.
    """
    if state.status not in ENDED:
        raise NotRetryable(
            f"only failed, cancelled and completed jobs can be retried; this one is {state.status}",
            state.status,
        )
    return replace(
        state,
        status=Status.ENQUEUED if due is None else Status.SCHEDULED,
        node=0,
        attempts=0,
        interruptions=0,
        isolated=False,
        scheduled_at=now if due is None else due,
        updated_at=now,
        composed=_without_result(state.composed),
        history=state.history + 1,
    )


def _without_result(composed: Composed | None) -> Composed | None:
    """Return how far a job is with others once its result is gone; None: it has none of these."""
    if composed is None or not composed.has_result:
        return composed
    rest = replace(composed, has_result=False, is_none=False, node=0)
    return None if rest == NOT_COMPOSED else rest


def run_now(state: JobState, *, now: Instant) -> JobState:
    """Return the state of a job that waits for its time, due now; a due one is left as it is.

    Raises NotRetryable for a job that does not wait for its time.
    """
    _refuse_unless_claimable(state, "can be made due")
    due = state.scheduled_at
    if state.status is Status.ENQUEUED or (due is not None and due <= now):
        return state
    return replace(state, scheduled_at=now, updated_at=now, history=state.history + 1)


def reschedule(state: JobState, *, due: Instant, now: Instant) -> JobState:
    """Return the state of a job that waits for its time or its turn, due at another time.

    An enqueued one is scheduled then. Raises NotRetryable for others.
    """
    _refuse_unless_claimable(state, "can be rescheduled")
    status = Status.SCHEDULED if state.status is Status.ENQUEUED else state.status
    return replace(
        state, status=status, scheduled_at=due, updated_at=now, history=state.history + 1
    )


def _refuse_unless_claimable(state: JobState, what: str) -> None:
    if state.status not in CLAIMABLE:
        raise NotRetryable(
            f"only scheduled, retrying and enqueued jobs {what}; this one is {state.status}",
            state.status,
        )


def mark_damaged(
    *, queue_name: str, why: str, errors: int, now: Instant
) -> tuple[JobState, ErrorEntry]:
    """Return a state for a job whose own is lost: failed, so that nothing of it is ever run.

    *errors*: how many it has had, as far as those that are left tell.
    """
    state = JobState(
        status=Status.FAILED,
        queue_name=queue_name,
        priority=0,
        max_attempts=1,
        updated_at=now,
        scheduled_at=None,
        errors=errors + 1,
    )
    return state, error_entry(0, why, None, now)


def _completed(state: JobState, produced: Produced | None, now: Instant) -> JobState:
    after = _ended(state, Status.COMPLETED, now)
    if produced is None or produced.result is None:
        return after
    composed = replace(
        after.composed or NOT_COMPOSED,
        has_result=True,
        is_none=not produced.result.payload,
        node=state.node,
    )
    return replace(after, composed=composed)


def _failed(state: JobState, now: Instant, retry_in: float | None) -> JobState:
    if state.attempts < state.max_attempts:
        if retry_in is None:
            retry_in = RETRY_DELAY_SECONDS * state.attempts
        due = instant.after(now, retry_in)
        return replace(state, status=Status.RETRYING, node=0, scheduled_at=due, updated_at=now)
    return _ended(state, Status.FAILED, now)


def _interrupted(state: JobState, outcome: Interrupted, now: Instant) -> JobState:
    counted = replace(state, interruptions=state.interruptions + 1)
    if counted.interruptions < outcome.max_interruptions:
        # The next one would fail it, so next time it must not pay for another job's doing.
        isolated = counted.interruptions == outcome.max_interruptions - 1
        return replace(_waits_again(counted, now), isolated=isolated)

    # A job that takes its node down with it must not do so for ever.
    return _ended(replace(counted, attempts=state.attempts - 1), Status.FAILED, now)


def _interruption(state: JobState, outcome: Interrupted) -> str:
    text = f"interrupted: {outcome.reason}"
    times = state.interruptions + 1
    if times < outcome.max_interruptions:
        return text
    return f"{text}; that was interruption {times} of at most {outcome.max_interruptions}"


def _ended(state: JobState, status: Status, now: Instant) -> JobState:
    # Nothing but a retry changes an ended job, so this is when it ended: JobState.ended_at. It did
    # not before it began, though the clock was turned back, or was read before another change.
    ended_at = max(now, state.updated_at)
    return replace(state, status=status, scheduled_at=None, updated_at=ended_at)


def _snoozed(state: JobState, now: Instant, due: Instant) -> JobState:
    """Return the state of a job that waits after a full execution: what failed before it is over.

    Its interruptions are not: they protect others from a job that kills its node now and then.
    """
    return _waits_again(replace(state, attempts=1), now, due)


def _waits_again(state: JobState, now: Instant, due: Instant | None = None) -> JobState:
    """Return a running job's state, given back to its queue; the execution was no attempt."""
    ahead = due is not None and due > now
    return replace(
        state,
        status=Status.SCHEDULED if ahead else Status.ENQUEUED,
        node=0,
        attempts=state.attempts - 1,
        scheduled_at=due if ahead else now,
        updated_at=now,
    )
