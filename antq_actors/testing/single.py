"""One attempt of a worker is performed, as if it had been enqueued, with nothing stored."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec.structs import replace

from antq_actors.checks import short_repr, whole
from antq_actors.jobs import current_app, everywhere, instant, lifecycle
from antq_actors.jobs.control import Control
from antq_actors.jobs.new_job import DEFAULT_QUEUE, JobTemplate
from antq_actors.jobs.perform import Attempt
from antq_actors.jobs.resolver import check_worker
from antq_actors.jobs.state import StoredJob
from antq_actors.jobs.worker import refuse_unrunnable
from antq_actors.storage.format import encoding
from antq_actors.storage.format.encoding import errors_for_display
from antq_actors.storage.format.kept_values import KeptValues
from antq_actors.storage.format.values import encode_args
from antq_actors.testing.performing import WORDS, run_in_time

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.job import AttemptError
    from antq_actors.jobs.resolver import AnyWorker
    from antq_actors.jobs.state import NewJob


class Outcome(NamedTuple):
    """What an attempt came to."""

    outcome: str
    """As in the event JobEnded: completed, retrying, snoozed, cancelled or failed."""
    value: Any
    """What ``perform`` returned."""
    error: AttemptError | None
    """What would be stored in the job's errors; None: nothing."""


def perform_job(
    worker: AnyWorker,
    args: Mapping[str, Any] | None = None,
    *,
    attempt: int = 1,
    meta: Mapping[str, str] | None = None,
) -> Outcome:
    """Perform one attempt of a job of *worker* in this thread, and store nothing.

    It is checked as a job that is enqueued, and raises the same; its arguments are encoded and
    decoded as in a store. No application need run. *attempt* is the number of the attempt, which
    says with ``max_attempts`` whether a failure is the last.
    """
    number = whole(attempt)
    if number is None:
        raise TypeError(f"attempt must be a whole number, got {short_repr(attempt)}")
    if number < 1:
        raise ValueError(f"attempt must be at least 1, got {number}")
    application: Any = current_app.latest()
    clock = instant.now if application is None else application.antq_clock
    pipeline = everywhere.current(None if application is None else application._config.middleware)
    options = {} if meta is None else {"meta": meta}
    new = _checked(_template(worker, options, application), args, pipeline, clock)
    spec = encoding.decode_spec(encoding.encode_spec(new.spec))
    state = lifecycle.claim(new.state, node=1, now=clock())
    state = replace(state, attempts=number, execution=number)
    control = Control(None if spec.timeout is None else time.monotonic() + spec.timeout)
    control.middleware = pipeline
    control.clock = clock
    stand_in = _NothingStored(application)
    control.application = lambda: stand_in
    attempted = Attempt(StoredJob(0, state, spec, ()), control)
    runner, ended, _ = run_in_time(attempted, clock)
    after, entry = lifecycle.settle(state, ended, now=clock())
    error = None if entry is None else errors_for_display([entry])[0]
    return Outcome(WORDS.get(after.status, "snoozed"), runner.returned, error)


def _template(worker: Any, options: Mapping[str, Any], application: Any) -> JobTemplate:
    """Return the template of the job; refuse the worker as an enqueue does."""
    if application is not None:
        template: JobTemplate = application.antq_here().enqueuer._checked_template(worker, options)
        return template
    check_worker(worker)
    template = JobTemplate(worker, options, default_queue=DEFAULT_QUEUE)
    if isinstance(worker, type):
        refuse_unrunnable(worker)
    return template


class _NothingStored(KeptValues):
    """The application of an attempt that is no stored job: it keeps nothing of it."""

    def __init__(self, application: Any) -> None:
        self._application = application

    def __getattr__(self, name: str) -> Any:
        return getattr(self._application or current_app.current(), name)

    def antq_prepare(
        self, worker: AnyWorker, args: Mapping[str, Any] | None, options: Mapping[str, Any], /
    ) -> NewJob:
        """Check a job that the attempt wants stored with its completion."""
        if self._application is not None:
            prepared: NewJob = self._application.antq_prepare(worker, args, options)
            return prepared
        return _checked(_template(worker, options, None), args, None)

    def antq_steps(self, _request: Any, /) -> None:
        """Keep no step and no checkpoint: no later attempt reads them."""


def _checked(
    template: JobTemplate,
    args: Mapping[str, Any] | None,
    pipeline: Any,
    clock: Callable[[], Instant] = instant.now,
) -> NewJob:
    """Return the job, checked as one that is enqueued; raise the same."""
    state = template.state_at(clock())
    checked = template.check(args)
    new = template.new_job(state, checked, encode_args(checked))
    if pipeline is not None:
        new = pipeline.draft(new, checked).antq_job()
    return new
