"""From what a caller asks for to a job that can be stored: every check, nothing stored."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from msgspec.structs import replace

from antq_actors.checks import exact_str, example_repr, short_repr, to_seconds
from antq_actors.errors import InvalidSchedule
from antq_actors.jobs import current_app, instant, lifecycle
from antq_actors.jobs.history import inserted
from antq_actors.jobs.job import Job
from antq_actors.jobs.limits import JobLimits, job_limits
from antq_actors.jobs.options import Options, job_options
from antq_actors.jobs.state import JobFlow, JobSpec, JobState, NewJob
from antq_actors.jobs.unique import unique_digest
from antq_actors.jobs.worker_registry import DefinedWorker, check_current, defined

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.limits import JobLimit
    from antq_actors.jobs.options import ScheduleAt, ScheduleIn

DEFAULT_QUEUE: Final = "default"
"""The queue of a worker that names none, where no application says otherwise."""

_SHARED_MICROSECONDS: Final = instant.SECOND // 1_000
"""Jobs of one call share their instant so long: with equal states they are stored in less time."""

_PLAIN_KEYS: Final = frozenset({str})


_RECIPE: Final = "antq_recipe"
"""Where a built job has how it was made, among its attributes."""


class Recipe(NamedTuple):
    """What a job was built of."""

    worker: DefinedWorker
    args: Mapping[str, Any]
    options: Mapping[str, Any]


class JobTemplate:
    """What jobs of a worker with the same options have in common: all but arguments and times.

    Raises TypeError for what is no worker, ValueError for one that was replaced, and what the
    options raise.
    """

    __slots__ = (
        *("_check_args", "_flow", "_opts", "_schedule", "_state", "defined_as"),
        *("encrypted", "limits", "meta", "options", "queue", "worker"),
    )

    def __init__(
        self, worker: DefinedWorker, options: Mapping[str, Any], *, default_queue: str
    ) -> None:
        if worker is None or defined(getattr(worker, "antq_name", "")) is not worker:
            check_current(worker)
        name: str = worker.antq_name
        own: Options = worker.antq_options
        self.defined_as = worker
        """The worker itself."""
        self.worker = name
        """Its stored name."""
        self._check_args: Callable[[Mapping[str, Any]], None] | None = worker.antq_check_args
        self._schedule: tuple[ScheduleIn, ScheduleAt] | None = None
        self.meta: dict[str, str] | None = None
        """What is kept beside the arguments of each; None: nothing."""
        if options:
            wanted = job_options(
                options,
                own,
                owner=f"worker {name}",
                arguments=worker.antq_argument_names(),
                write=partial(_call_with, worker),
            )
            own = wanted.options
            worker.antq_check_unique(own)
            self._schedule = wanted.schedule_in, wanted.schedule_at
            self.meta = wanted.meta
        self.options = own
        self.queue = own.queue or default_queue
        self.limits: JobLimits | None = job_limits(own.limits_of(name))
        """What limits its jobs; None for most of them."""
        self.encrypted = own.encrypted
        """Whether they are encrypted on disk."""
        self._opts = {
            "max_attempts": own.max_attempts,
            "timeout": own.timeout,
            "unique": own.unique,
            "priority": own.priority,
        }
        self._state: JobState | None = None
        self._flow = None if own.result is None else JobFlow(result=own.result.rule)

    def limit_by(self, of_queue: Sequence[JobLimit]) -> None:
        """Have its jobs pass the limits of their queue, too."""
        self.limits = job_limits(self.options.limits_of(self.worker), of_queue)

    def state_at(self, now: Instant) -> JobState:
        """Return the state of a job that is enqueued at *now*. Raises InvalidSchedule."""
        return lifecycle.create(
            queue_name=self.queue,
            now=now,
            due=None if self._schedule is None else due(*self._schedule, now),
            priority=self.options.priority,
            max_attempts=self.options.max_attempts,
        )

    def state(self, now: Instant) -> JobState:
        """Return the state of a job that is enqueued at *now*, or within the millisecond before.

        Those share one. Raises InvalidSchedule.
        """
        state = self._state
        if state is None or not state.updated_at <= now < state.updated_at + _SHARED_MICROSECONDS:
            state = self._state = self.state_at(now)
        return state

    def check(self, args: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return a copy of a job's *args*. Raises TypeError if they do not fit the worker."""
        if type(args) is dict and _PLAIN_KEYS.issuperset(map(type, args)):
            checked = args.copy()
        else:
            checked = check_args(args)
        if self._check_args is not None:
            self._check_args(checked)
        return checked

    def new_job(self, state: JobState, args: Mapping[str, Any], encoded: bytes) -> NewJob:
        """Return a job to be stored, with these *args*, given as bytes, too.

        Raises what :meth:`digest` and its limits raise.
        """
        options = self.options
        unique = options.unique
        if unique is None:
            spec = JobSpec(
                *(self.worker, encoded, state.updated_at, options.timeout), flow=self._flow
            )
        else:
            spec = JobSpec(
                self.worker,
                encoded,
                state.updated_at,
                options.timeout,
                unique.args,
                tuple(unique.statuses),
                self.digest(args),
                self._flow,
            )
        if self.meta is not None or self.encrypted:
            spec = replace(spec, meta=self.meta, encrypted=self.encrypted)
        if self._schedule is not None:
            spec = inserted(spec, state)
        new = NewJob(state, spec)
        return new if self.limits is None else self.limits.added_to(new, args)

    def digest(self, args: Mapping[str, Any]) -> bytes | None:
        """Return the digest that duplicates of a job with *args* share; None: it has none."""
        unique = self.options.unique
        if unique is None:
            return None
        return unique_digest(self.worker, self.queue, args, unique.args)

    def job(self, id: int, args: dict[str, Any], state: JobState) -> Job:  # noqa: A002 - its field
        """Return the new job with these *args* as users see it, stored under *id*."""
        scheduled_at = inserted_at = instant.datetime_for_display(state.updated_at)
        if state.scheduled_at is not None and state.scheduled_at != state.updated_at:
            scheduled_at = instant.datetime_for_display(state.scheduled_at)
        return Job(
            id=id,
            worker=self.worker,
            queue_name=state.queue_name,
            args=args,
            priority=state.priority,
            status=state.status,
            attempts=state.attempts,
            max_attempts=state.max_attempts,
            interruptions=state.interruptions,
            scheduled_at=scheduled_at,
            inserted_at=inserted_at,
            updated_at=inserted_at,
            errors=(),
            opts=self._opts.copy(),
            meta={} if self.meta is None else self.meta.copy(),
        )


def build(worker: DefinedWorker, args: Mapping[str, Any] | None, options: Mapping[str, Any]) -> Job:
    """Return the job as it would be stored now, with id 0; on no application if none runs."""
    application = current_app.latest()
    default_queue = DEFAULT_QUEUE if application is None else application.default_queue
    template = JobTemplate(worker, options, default_queue=default_queue)
    clock = getattr(application, "antq_clock", instant.now)
    state = template.state(clock())
    checked = template.check(args)
    template.new_job(state, checked, b"")  # it raises for arguments that cannot be compared
    job = template.job(0, checked, state)
    job.__dict__[_RECIPE] = Recipe(worker, checked, dict(options))
    return job


def recipe_of(job: object, what: str) -> Recipe:
    """Return how a job was built. Raises TypeError for what ``build`` did not make, naming it."""
    recipe = job.__dict__.get(_RECIPE) if type(job) is Job else None
    if recipe is None:
        raise TypeError(
            f"{what} must be a job that was built, such as {what}=Report.build({{…}}), got"
            f" {short_repr(job)}"
        )
    found: Recipe = recipe
    return found


def _call_with(worker: DefinedWorker, args: Mapping[str, Any]) -> str:
    """Return the call that makes a job of *worker* with *args*, for the error of wrong options."""
    name = worker.__name__
    mapping = f"{{{', '.join(f'{key!r}: {example_repr(value)}' for key, value in args.items())}}}"
    given = worker.antq_as_call(args)
    return (
        f"to give arguments, in one mapping, write app.enqueue({name}, {mapping}), or"
        f" {name}.perform_async({given})"
    )


def check_args(args: object) -> dict[str, Any]:
    """Return a copy of a job's *args*, {} for None. Raises TypeError unless they have str keys."""
    if args is None:
        return {}
    if not isinstance(args, Mapping):
        raise TypeError(
            f"args must be a mapping such as {{'email': …}}, got {short_repr(args)}; give options"
            " by keyword"
        )
    for key in args:
        if not isinstance(key, str):
            raise TypeError(f"the keys of args must be str, got {short_repr(key)}")
    return {exact_str(key): value for key, value in args.items()}


class InvalidScheduleTypeError(InvalidSchedule, TypeError):
    """A schedule of the wrong type: an InvalidSchedule that is a TypeError as well."""


def due(schedule_in: ScheduleIn, schedule_at: ScheduleAt, now: Instant) -> Instant | None:
    """Return when a job asked for at *now* becomes due; None when it is not scheduled.

    Zero seconds and a moment in the past mean now. Raises InvalidSchedule when both are given,
    and for what is negative, not finite, naive, of the wrong type or after the year 9999.
    """
    if schedule_in is not None and schedule_at is not None:
        raise InvalidSchedule(
            f"both schedule_in={schedule_in!r} and schedule_at={schedule_at!r} are given;"
            " give one of them"
        )
    if schedule_in is not None:
        return _due_in(schedule_in, now)
    if schedule_at is not None:
        return max(_due_at(schedule_at), now)
    return None


def _due_in(schedule_in: float | timedelta, now: Instant) -> Instant:
    try:
        seconds = to_seconds(schedule_in, "schedule_in")
    except TypeError as error:
        raise InvalidScheduleTypeError(str(error)) from None
    except ValueError as error:
        raise InvalidSchedule(str(error)) from None

    when = now + round(seconds * instant.SECOND)
    if when > instant.LATEST:
        raise InvalidSchedule(f"schedule_in={short_repr(schedule_in)} ends after the year 9999")
    return when


def _due_at(schedule_at: datetime) -> Instant:
    if not isinstance(schedule_at, datetime):
        raise InvalidScheduleTypeError(
            f"schedule_at must be a datetime with a time zone, got {short_repr(schedule_at)}"
        )
    if schedule_at.utcoffset() is None:
        raise InvalidSchedule(
            f"schedule_at={schedule_at.isoformat()} has no time zone; write for example"
            " datetime.now(UTC) + timedelta(hours=1)"
        )
    when = instant.from_datetime(schedule_at)
    if when > instant.LATEST:
        raise InvalidSchedule(
            f"schedule_at={schedule_at.isoformat()} is after the year 9999 in UTC"
        )
    return when
