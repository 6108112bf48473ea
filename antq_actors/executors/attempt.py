"""An assignment performed: the one way from a claimed job to its outcome, for every executor."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from antq_actors.jobs import control, performing
from antq_actors.jobs.late_errors import LateErrors
from antq_actors.storage.encoding import as_job, errors_for_display, load_args

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from antq_actors.executors.contract import Assignment
    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.job import Job
    from antq_actors.jobs.outcome import Outcome
    from antq_actors.jobs.performing import LetThrough


def perform(
    assignment: Assignment, clock: Callable[[], Instant], let_through: LetThrough
) -> Outcome:
    """Perform it in this thread and answer the outcome. Raises nothing but *let_through*."""
    failure, trace = assignment.failure, assignment.stack_trace
    attempt = _attempt(assignment)
    if failure is not None:
        return performing.fail(attempt, failure, trace, clock=clock, let_through=let_through)
    return performing.execute(attempt, clock=clock, let_through=let_through)


def perform_async(
    assignment: Assignment, clock: Callable[[], Instant], let_through: LetThrough
) -> Coroutine[Any, Any, Outcome]:
    """Answer what performs it on an event loop, and answers the outcome.

    Raises nothing but *let_through*.
    """
    if assignment.failure is not None:
        return _at_once(assignment, clock, let_through)
    attempt = _attempt(assignment)
    return performing.execute_async(attempt, clock=clock, let_through=let_through)


async def _at_once(
    assignment: Assignment, clock: Callable[[], Instant], let_through: LetThrough
) -> Outcome:
    return perform(assignment, clock, let_through)


def _attempt(assignment: Assignment) -> performing.Attempt:
    id_, state, spec, _ = assignment.job
    load = functools.partial(_load, assignment)
    return performing.Attempt(id_, spec.worker, state.attempts, state.max_attempts, load)


def _load(assignment: Assignment) -> Job:
    job, read = assignment.job, assignment.read_errors
    errors = None if read is None else LateErrors(lambda: errors_for_display(read()))
    return control.attach(as_job(job, load_args(job.spec.args), errors), assignment.control)
