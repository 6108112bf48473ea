"""What happened to a job: the changes that are noted, and the whole told from them and its record.

The record of a job that was inserted, claimed and completed says all of that itself, so nothing is
noted of it. Of any other change there is a :class:`Change`, with what the record says no more from
then on. Nothing here reads a clock or the disk; no text of a user is in a change: that of an error
is where the job's errors are.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
from msgspec.structs import replace

from antq_actors.introspection import explain_fields
from antq_actors.jobs import attempt_error, lifecycle
from antq_actors.jobs.instant import Instant, datetime_for_display
from antq_actors.jobs.outcome import GivenBack, Snoozed
from antq_actors.jobs.state import ENDED, WAITING, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from antq_actors.jobs.outcome import Outcome
    from antq_actors.jobs.state import ErrorEntry, JobSpec, JobState, NewJob, StoredJob

NEWEST_CHANGES: Final = 200
"""How many noted changes of a job are kept besides the first."""

CANCEL: Final = "cancel"
RETRY: Final = "retry"
RUN_NOW: Final = "run-now"
RESCHEDULE: Final = "reschedule"
UNDO: Final = "undo"
SNOOZED: Final = "snoozed"
GIVEN_BACK: Final = "given back"
_NOT_KEPT: Final = "an error that is not kept any more"
_INTERRUPTED: Final = "interrupted"
CAUSES: Final = frozenset(
    {CANCEL, RETRY, RUN_NOW, RESCHEDULE, UNDO, SNOOZED, GIVEN_BACK, _NOT_KEPT, _INTERRUPTED}
)
"""What may have caused a change, besides an error that is kept."""


@explain_fields
class Transition(msgspec.Struct, frozen=True):
    """A change in the life of a job: it came into a status, or its time was changed by hand."""

    at: datetime
    """When, in UTC."""
    status: Status
    """The status that it has had from then on."""
    attempt: int
    """The attempt that began or ended with it; else how many it had had."""
    node: int
    """The node on which that attempt ran; 0: none did, or it is not known."""
    cause: str | None
    """The error; the verb that was done by hand: ``cancel``, ``retry``, ``run-now``,
    ``reschedule``, or ``undo`` of a cancel; ``snoozed`` or ``given back``; None: the ordinary
    course of things."""


class Change(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A change of a job that is noted, as it is stored."""

    at: Instant
    was: Status
    status: Status
    since: Instant
    """When the status that it leaves was written."""
    attempts: int
    """That it has from now on."""
    attempt: int = 0
    """That it leaves, or had before."""
    node: int = 0
    """On which that ran."""
    started_at: Instant | None = None
    """When that began."""
    due: Instant | None = None
    """When it comes due from now on."""
    error: int | None = None
    """The number of the error that came with it."""
    cause: str | None = None
    """What has done it, where no error says so."""


class Stage(NamedTuple):
    """A change in the life of a job, as it is told."""

    at: Instant
    status: Status
    attempt: int
    node: int
    cause: str | None
    due: Instant | None = None
    """When it comes due in that status; None: at once, or it does not wait."""
    error: ErrorEntry | None = None
    """The error that came with it, if it is kept."""


class Story(NamedTuple):
    """What is known of the life of a job."""

    job: StoredJob
    """As it stands."""
    changes: tuple[Change, ...]
    """Those that are noted and kept, oldest first."""
    errors: Mapping[int, ErrorEntry]
    """Those that are kept, by their numbers."""


def change(old: JobState, new: JobState, error: int | None, cause: str | None) -> Change:
    """Return what is noted of the change from *old* to *new*; *error*: the number of its error."""
    due = new.scheduled_at
    return Change(
        at=new.updated_at,
        was=old.status,
        status=new.status,
        since=old.updated_at,
        attempts=new.attempts,
        attempt=old.attempts,
        node=old.node,
        started_at=old.started_at,
        due=None if due is None or due <= new.updated_at else due,
        error=error,
        cause=cause,
    )


def cause_of(old: JobState, outcome: Outcome, new: JobState) -> str | None:
    """Return what ended an execution, where no error tells it: by its *outcome*, or by hand."""
    if old.cancelling and new.status is Status.CANCELLED:
        return CANCEL
    if isinstance(outcome, Snoozed):
        return SNOOZED
    return GIVEN_BACK if isinstance(outcome, GivenBack) else None


def without_error(change: Change) -> Change:
    """Return a change as it is told once its error is not kept any more."""
    is_failure = change.status in (Status.FAILED, Status.RETRYING, Status.CANCELLED)
    lost = _NOT_KEPT if is_failure else _INTERRUPTED
    return replace(change, error=None, cause=change.cause or lost)


def dropped_changes(count: int) -> range:
    """Return the numbers, from 0, of those of a job's *count* noted changes that are not kept.

    >>> dropped_changes(201), dropped_changes(203)
    (range(1, 1), range(1, 3))
    """
    return range(1, max(1, count - NEWEST_CHANGES))


def kept_changes(changes: Sequence[Change]) -> tuple[Change, ...]:
    """Return those of a job's *changes*, oldest first, that are kept."""
    dropped = dropped_changes(len(changes))
    return (*changes[: dropped.start], *changes[dropped.stop :])


def check_changes(changes: Iterable[Change], *, latest: Instant, largest: int) -> None:
    """Raise ValueError for changes that no job can have had."""
    for each in changes:
        times = each.at, each.since, each.started_at or 0, each.due or 0
        if not 0 <= min(times) <= max(times) <= latest:
            raise ValueError("the times in history lie from 1970 to the year 5000")
        numbers = each.attempts, each.attempt, each.node, each.error or 0
        if not 0 <= min(numbers) <= max(numbers) <= largest:
            raise ValueError(f"the numbers in history are from 0 to {largest}")
        if each.cause is not None and each.cause not in CAUSES:
            raise ValueError(f"a cause in history is one of {', '.join(sorted(CAUSES))}")


def made_later(new: NewJob, now: Instant, delay: int | None = None) -> NewJob:
    """Return a new job that is stored only *now*, some time after it was built.

    *delay*: microseconds from now until it is due; None: it is due when it was to be.
    """
    state = lifecycle.made_later(new.state, now=now, delay=delay)
    return new._replace(state=state, spec=inserted(new.spec, state))


def inserted(spec: JobSpec, state: JobState) -> JobSpec:
    """Return the spec of a job that comes into the store with this *state*."""
    due = state.scheduled_at if state.status is Status.SCHEDULED else None
    return replace(spec, inserted_at=state.updated_at, due=due)


def stages(story: Story) -> list[Stage]:
    """Return the life of a job: its insertion first, and last how it stands; times ascend."""
    return _Life(story).stages()


def transitions(found: Iterable[Stage]) -> list[Transition]:
    """Return stages of a job's life as users see them."""
    return [
        Transition(datetime_for_display(each.at), each.status, each.attempt, each.node, each.cause)
        for each in found
    ]


class _Life:
    """Puts the stages of one job together."""

    def __init__(self, story: Story) -> None:
        self._story = story
        self._stages: list[Stage] = []

    def stages(self) -> list[Stage]:
        (_, state, spec, _), changes, errors = self._story
        first = changes[0].was if changes else state.status
        if first not in (Status.ENQUEUED, Status.SUSPENDED):
            first = Status.ENQUEUED if spec.due is None else Status.SCHEDULED
        due = spec.due if first is Status.SCHEDULED else None
        self._stages.append(Stage(spec.inserted_at, first, 0, 0, None, due))
        for each in changes:
            self._add_what_was(each)
            self._add_change(each)
        # Of a damaged job it is not noted that it has failed; and of one that completed, nothing.
        newest = errors.get(state.errors - 1) if state.status is Status.FAILED else None
        self._add_what_was(change(state, state, None, None), newest)
        return self._stages

    def _add_change(self, change: Change) -> None:
        """Add a change that was noted."""
        has_run = change.was is Status.RUNNING
        error = None if change.error is None else self._story.errors.get(change.error)
        if error is None and change.error is not None:
            change = without_error(change)
        cause = change.cause or _cause(error)
        attempt, node = (change.attempt, change.node) if has_run else (change.attempts, 0)
        self._add(Stage(change.at, change.status, attempt, node, cause, change.due, error))

    def _add_what_was(self, change: Change, error: ErrorEntry | None = None) -> None:
        """Add what has led to the status that a job leaves, as far as that is not there yet."""
        status, attempt, node = change.was, change.attempt, change.node
        if self._stages[-1].status is status:
            return
        if change.started_at is not None and status not in WAITING:
            self._add(Stage(change.started_at, Status.RUNNING, attempt, node, None))
        if status is not Status.RUNNING:
            node = node if status in ENDED else 0
            self._add(Stage(change.since, status, attempt, node, _cause(error), None, error))

    def _add(self, stage: Stage) -> None:
        # The clock may have been set back in between.
        self._stages.append(stage._replace(at=max(stage.at, self._stages[-1].at)))


def _cause(error: ErrorEntry | None) -> str | None:
    return None if error is None else attempt_error.summary(error.error, error.error_type)
