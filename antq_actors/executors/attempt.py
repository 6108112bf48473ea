"""An assignment performed: the one way from a claimed job to its outcome, for every executor."""

from __future__ import annotations

import functools
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from antq_actors.jobs import control
from antq_actors.jobs import perform as performing
from antq_actors.jobs.late_errors import LateErrors
from antq_actors.storage.format.encoding import as_job, errors_for_display, load_args

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from antq_actors.executors.base import Assignment
    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.job import Job
    from antq_actors.jobs.outcome import Outcome
    from antq_actors.jobs.perform import Propagate


def _never() -> bool:
    return False


def perform(
    assignment: Assignment,
    clock: Callable[[], Instant],
    propagate: Propagate,
    is_abandoned: Callable[[], bool] = _never,
) -> Outcome:
    """Perform it in this thread, in a context of its own, and answer the outcome.

    Raises nothing but *propagate*. What it sets there (context variables, the precision of
    decimal) is not seen by what this thread does next. What it comes to is not logged once it
    *is_abandoned*.
    """
    return copy_context().run(_perform, assignment, clock, propagate, is_abandoned)


def _perform(
    assignment: Assignment,
    clock: Callable[[], Instant],
    propagate: Propagate,
    is_abandoned: Callable[[], bool],
) -> Outcome:
    attempt = _attempt(assignment, is_abandoned)
    if assignment.failure is not None:
        return performing.fail(
            attempt,
            assignment.failure,
            assignment.stack_trace,
            assignment.error_type,
            exception=assignment.exception,
            clock=clock,
            propagate=propagate,
        )
    return performing.execute(attempt, clock=clock, propagate=propagate, run=_run_coroutine)


def _run_coroutine(coroutine: Coroutine[Any, Any, Any]) -> Any:
    from antq_actors.executors import job_threads  # noqa: PLC0415 - asyncio takes long to import

    return job_threads.run_coroutine(coroutine)


def perform_async(
    assignment: Assignment,
    clock: Callable[[], Instant],
    propagate: Propagate,
    is_abandoned: Callable[[], bool] = _never,
) -> Coroutine[Any, Any, Outcome]:
    """Answer what performs it on an event loop, and answers the outcome.

    Raises nothing but *propagate*. *is_abandoned*: as of `perform`.
    """
    if assignment.failure is not None:
        return _at_once(assignment, clock, propagate, is_abandoned)
    attempt = _attempt(assignment, is_abandoned)
    return performing.execute_async(attempt, clock=clock, propagate=propagate)


async def _at_once(
    assignment: Assignment,
    clock: Callable[[], Instant],
    propagate: Propagate,
    is_abandoned: Callable[[], bool],
) -> Outcome:
    return _perform(assignment, clock, propagate, is_abandoned)


def _attempt(assignment: Assignment, is_abandoned: Callable[[], bool]) -> performing.Attempt:
    id_, state, spec, _ = assignment.job
    load = functools.partial(_load, assignment)
    return performing.Attempt(
        id_,
        spec.worker,
        state.attempts,
        state.max_attempts,
        load,
        is_abandoned,
        state.queue_name,
    )


def _load(assignment: Assignment) -> Job:
    job, read = assignment.job, assignment.read_errors
    errors = None if read is None else LateErrors(lambda: errors_for_display(read()))
    return control.attach(as_job(job, load_args(job.spec.args), errors), assignment.control)
