"""What a worker actor is given to do, and how a queue writes down what came of it."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, TypeAlias

from antq_actors.jobs import executor
from antq_actors.jobs.outcome import Failed
from antq_actors.jobs.worker import RETRY_DELAY
from antq_actors.otp.errors import Interrupt
from antq_actors.storage.encoding import as_job, load_args
from antq_actors.storage.records import Settlement, StoredJob

if TYPE_CHECKING:
    from collections.abc import Callable

    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.outcome import Outcome

Task: TypeAlias = "Callable[[], Outcome]"
"""Run in a worker actor's thread; raises nothing but otp's Interrupt."""


def perform(job: StoredJob, clock: Callable[[], Instant]) -> Task:
    """Answer the task to perform *job* once."""
    return functools.partial(executor.execute, _attempt(job), clock=clock, let_through=(Interrupt,))


def report(job: StoredJob, error: str, clock: Callable[[], Instant]) -> Task:
    """Answer the task to fail an attempt that was ended from outside.

    When the next attempt is due is for the worker class to say: user code, so it is a task too.
    """
    return functools.partial(
        executor.fail, _attempt(job), error, clock=clock, let_through=(Interrupt,)
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


def _attempt(job: StoredJob) -> executor.Attempt:
    return executor.Attempt(
        job_id=job.id,
        worker=job.spec.worker,
        number=job.state.attempts,
        max_attempts=job.state.max_attempts,
        load=lambda: as_job(job, load_args(job.spec.args)),
    )
