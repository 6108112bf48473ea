"""What a worker actor is given to do, and how a queue writes down what came of it."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Final, TypeAlias

from antq_actors.jobs import executor
from antq_actors.jobs.outcome import Failed
from antq_actors.jobs.worker import RETRY_DELAY
from antq_actors.otp.errors import Interrupt
from antq_actors.storage.encoding import as_job, load_args
from antq_actors.storage.records import Settlement, StoredJob

if TYPE_CHECKING:
    from collections.abc import Callable

    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.job import Job
    from antq_actors.jobs.outcome import Outcome

_INTERRUPT: Final = (Interrupt,)

Task: TypeAlias = "Callable[[], Outcome]"
"""Run in a worker actor's thread; raises nothing but otp's Interrupt."""


def perform(job: StoredJob, clock: Callable[[], Instant]) -> Task:
    """Answer the task to perform *job* once."""
    return functools.partial(_perform, job, clock)


def report(job: StoredJob, error: str, clock: Callable[[], Instant]) -> Task:
    """Answer the task to fail an attempt that was ended from outside.

    When the next attempt is due is for the worker class to say: user code, so it is a task too.
    """
    return functools.partial(
        executor.fail, _attempt(job), error, clock=clock, let_through=_INTERRUPT
    )


def has_attempts_left(job: StoredJob) -> bool:
    """Say whether a failure of the running attempt leads to another one."""
    return job.state.attempts < job.state.max_attempts


def failed(job: StoredJob, error: str) -> Failed:
    """Answer a failure when there is nobody to ask for the delay."""
    return Failed(error, retry_in=RETRY_DELAY * job.state.attempts)


def settlement(job: StoredJob, outcome: Outcome) -> Settlement:
    """Answer what the store is told when the execution of *job* came to *outcome*."""
    return Settlement(job.id, job.state.execution, outcome)


def _perform(job: StoredJob, clock: Callable[[], Instant]) -> Outcome:
    return executor.execute(_attempt(job), clock=clock, let_through=_INTERRUPT)


def _attempt(job: StoredJob) -> executor.Attempt:
    id_, state, spec, _ = job
    load = functools.partial(_load, job)
    return executor.Attempt(id_, spec.worker, state.attempts, state.max_attempts, load)


def _load(job: StoredJob) -> Job:
    return as_job(job, load_args(job.spec.args))
