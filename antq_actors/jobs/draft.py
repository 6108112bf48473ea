"""From what a caller asks for to a job that can be stored: every check, nothing stored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from antq_actors.jobs import instant, lifecycle, running
from antq_actors.jobs.duration import brief
from antq_actors.jobs.function_worker import FunctionWorker
from antq_actors.jobs.job import Job
from antq_actors.jobs.options import Options, job_options, plain
from antq_actors.jobs.registry import name_of, options_of
from antq_actors.jobs.schedule import due
from antq_actors.jobs.unique import unique_digest

if TYPE_CHECKING:
    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.registry import AnyWorker
    from antq_actors.jobs.state import JobState

DEFAULT_QUEUE: Final = "default"
"""The queue of a worker that names none, where no application says otherwise."""


class Draft(NamedTuple):
    """A job that is checked and not stored."""

    worker: str
    """The stored name of its worker."""
    args: dict[str, Any]
    state: JobState
    options: Options
    digest: bytes | None
    """What its duplicates share; None when it can have none."""
    inserted_at: Instant


def draft(
    worker: AnyWorker,
    args: Mapping[str, Any] | None,
    options: Mapping[str, Any],
    *,
    now: Instant,
    default_queue: str,
) -> Draft:
    """Answer the job that *worker*, *args* and *options* describe at *now*.

    Raises TypeError for what is no worker, for arguments that are no mapping with names or do not
    fit a function worker, and what the options raise.
    """
    name = name_of(worker)
    wanted, when = check_options(worker, options, now=now)
    checked = check_args(args)
    if isinstance(worker, FunctionWorker):
        worker.check_args(checked)
    queue = wanted.queue or default_queue
    unique = wanted.unique
    return Draft(
        worker=name,
        args=checked,
        state=lifecycle.create(
            queue_name=queue,
            now=now,
            due=when,
            priority=wanted.priority,
            max_attempts=wanted.max_attempts,
        ),
        options=wanted,
        digest=None if unique is None else unique_digest(name, queue, checked, unique.args),
        inserted_at=now,
    )


def check_options(
    worker: AnyWorker, options: Mapping[str, Any], *, now: Instant
) -> tuple[Options, Instant | None]:
    """Answer the options of one job of *worker* and when it is due, whatever its arguments.

    Raises TypeError for what is no worker, and what the options raise.
    """
    owner = f"worker {name_of(worker)}"
    wanted, schedule_in, schedule_at = job_options(options, options_of(worker), owner=owner)
    return wanted, due(schedule_in, schedule_at, now)


def build(worker: AnyWorker, args: Mapping[str, Any] | None, options: Mapping[str, Any]) -> Job:
    """Answer the job as it would be stored now, with id 0; on no application if none runs."""
    application = running.latest()
    default_queue = DEFAULT_QUEUE if application is None else application.default_queue
    return as_job(
        draft(worker, args, options, now=instant.now(), default_queue=default_queue), id=0
    )


def as_job(draft: Draft, *, id: int) -> Job:  # noqa: A002 - the name of the field
    """Answer *draft* as users see it, stored under *id*."""
    state = draft.state
    inserted_at = instant.to_datetime(draft.inserted_at)
    return Job(
        id=id,
        worker=draft.worker,
        queue_name=state.queue_name,
        args=draft.args,
        priority=state.priority,
        status=state.status,
        attempts=state.attempts,
        max_attempts=state.max_attempts,
        interruptions=state.interruptions,
        scheduled_at=(
            None if state.scheduled_at is None else instant.to_datetime(state.scheduled_at)
        ),
        inserted_at=inserted_at,
        updated_at=inserted_at,
        errors=(),
        opts=draft.options.effective(),
    )


def check_args(args: object) -> dict[str, Any]:
    """Answer a copy of *args*, empty for None. Raises TypeError for no mapping with str keys."""
    if args is None:
        return {}
    if not isinstance(args, Mapping):
        raise TypeError(
            f"args must be a mapping such as {{'email': …}}, got {brief(args)}; give options by"
            " keyword"
        )
    for key in args:
        if not isinstance(key, str):
            raise TypeError(f"the keys of args must be str, got {brief(key)}")
    return {plain(key): value for key, value in args.items()}
