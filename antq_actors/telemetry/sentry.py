"""Errors and traces of Sentry: what its error pages and its page of queues read.

``sentry_sdk.init(integrations=[AntqIntegration()])`` is all: it holds for every application of the
process, and for the processes of their jobs.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Final

from antq_actors.jobs import everywhere
from antq_actors.jobs.attempt_error import users_part
from antq_actors.storage import main_objects
from antq_actors.telemetry.attempts import (
    AroundAttempts,
    Ending,
    add_to_meta,
    executor_of,
    queue_time_of,
)

try:
    import sentry_sdk
    from sentry_sdk import consts, utils
    from sentry_sdk.integrations import Integration
    from sentry_sdk.integrations.logging import ignore_logger
    from sentry_sdk.scope import should_send_default_pii
    from sentry_sdk.tracing import TransactionSource
except ImportError:
    raise ImportError("this module needs Sentry's SDK: pip install 'antq-actors[sentry]'") from None

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from sentry_sdk.tracing import Span
    from sentry_sdk.types import Event, Hint

    from antq_actors.jobs.job import Job
    from antq_actors.jobs.middleware import JobDraft
    from antq_actors.jobs.state import StoredJob

log: Final = logging.getLogger("antq_actors.telemetry.sentry")

_MECHANISM: Final = {"type": "antq", "handled": False}


class AntqIntegration(Integration):
    """Sends failed attempts to Sentry, and traces jobs with it."""

    identifier = "antq"
    origin = "auto.queue.antq"

    @staticmethod
    def setup_once() -> None:
        """Have every application of the process send to the client that is active then."""
        everywhere.add(SentryMiddleware())
        ignore_logger("antq_actors.jobs")  # else what it says of a failure is a second event


class SentryMiddleware(AroundAttempts):
    """What the integration has called around jobs, in job processes with a client of their own."""

    def __init__(self) -> None:
        self._options: dict[str, Any] | None = None
        """Of the client in the process that this one was sent from."""

    def __getstate__(self) -> dict[str, Any]:
        return {"_options": _options_to_send() if _is_active() else None}

    def setup(self) -> None:
        """Start a client in a job process, unless the module of its jobs has started one."""
        if self._options is not None and not sentry_sdk.get_client().is_active():
            sentry_sdk.init(**self._options)

    # ---- where a job is enqueued ----------------------------------------------------------------

    def on_enqueue(self, draft: JobDraft) -> None:
        """Keep the trace of an attempt with a job that is stored with its completion."""
        if draft.antq_is_stored_later and _is_active():
            _keep_trace([draft])

    def around_enqueue(self, draft: JobDraft, call: Callable[[], Job]) -> Job:
        """Keep the current trace with a job; make a span of its storing."""
        with _published([draft]) as span:
            job = call()
            if span is not None:
                span.set_data("messaging.message.id", str(job.id))
        return job

    def around_enqueue_many(
        self, drafts: Sequence[JobDraft], call: Callable[[], list[int]]
    ) -> list[int]:
        """Do the same for a batch, with one span, which has the id of the first job."""
        with _published(drafts) as span:
            ids = call()
            if span is not None and ids:
                span.set_data("messaging.message.id", str(ids[0]))
        return ids

    # ---- where a job is performed ---------------------------------------------------------------

    def antq_around(self, job: Job) -> AbstractContextManager[list[Ending]]:
        """Make a transaction of an attempt, with a scope of its own; send what it raises."""
        return _processed(job) if _is_active() else nullcontext([])

    def antq_on_failure(
        self, job: StoredJob, error: str, error_type: str | None, raised: BaseException | None
    ) -> None:
        """Send an attempt that has failed where no middleware sees it, such as by its timeout."""
        if not _is_active():
            return
        with sentry_sdk.isolation_scope() as scope:
            sentry_sdk.continue_trace(dict(job.spec.meta or ()))
            _describe(scope, job.id, job.spec.worker, job.state.queue_name, job.state.attempts)
            if raised is not None:
                _capture(raised)
                return
            value = {"type": error_type or "Error", "value": error, "mechanism": _MECHANISM}
            sentry_sdk.capture_event({"level": "error", "exception": {"values": [value]}})


@contextmanager
def _processed(job: Job) -> Iterator[list[Ending]]:
    endings: list[Ending] = []
    with sentry_sdk.isolation_scope() as scope:
        scope.clear_breadcrumbs()
        _describe(scope, job.id, job.worker, job.queue_name, job.attempts)
        if _sends_arguments():
            scope.set_context("antq arguments", dict(job.args))
        transaction = sentry_sdk.continue_trace(
            dict(job.meta),
            op=consts.OP.QUEUE_PROCESS,
            name=job.worker,
            source=TransactionSource.TASK,
            origin=AntqIntegration.origin,
        )
        span = sentry_sdk.start_transaction(transaction)
        span.__enter__()  # left without what is raised: a stop is no error
        try:
            _set_data(span, job)
            yield endings
        finally:
            ending = endings[0] if endings else Ending("interrupted")
            is_error = ending.error_type not in (None, "Fail")
            status = consts.SPANSTATUS.INTERNAL_ERROR if is_error else consts.SPANSTATUS.OK
            span.set_status(status)
            if ending.exception is not None and not _is_told_later(job, ending.exception):
                _capture(ending.exception)
            span.__exit__(None, None, None)
            del ending
            endings.clear()  # the traceback of an exception in them refers to this frame


def _set_data(span: Span, job: Job) -> None:
    span.set_data("messaging.system", "antq")
    span.set_data("messaging.message.id", str(job.id))
    span.set_data("messaging.destination.name", job.queue_name)
    span.set_data("messaging.message.retry.count", job.attempts - 1)
    waited = queue_time_of(job)
    if waited is not None:
        span.set_data("messaging.message.receive.latency", waited * 1_000)


def _is_told_later(job: Job, error: BaseException) -> bool:
    """Return whether the queue finds that the attempt has failed, and tells that."""
    return isinstance(error, asyncio.CancelledError) and executor_of(job) == "async"


@contextmanager
def _published(drafts: Sequence[JobDraft]) -> Iterator[Span | None]:
    if not _is_active():
        yield None
        return
    if sentry_sdk.get_current_span() is None:
        _keep_trace(drafts)
        yield None
        return
    first = drafts[0]
    with sentry_sdk.start_span(
        op=consts.OP.QUEUE_PUBLISH, name=first.worker, origin=AntqIntegration.origin
    ) as span:
        span.set_data("messaging.system", "antq")
        span.set_data("messaging.destination.name", first.queue_name)
        span.set_data("messaging.message.body.size", sum(each.antq_size for each in drafts))
        if len(drafts) > 1:
            span.set_data("messaging.batch.message_count", len(drafts))
        _keep_trace(drafts)
        yield span


def _keep_trace(drafts: Sequence[JobDraft]) -> None:
    headers = {"sentry-trace": sentry_sdk.get_traceparent(), "baggage": sentry_sdk.get_baggage()}
    carrier = {name: value for name, value in headers.items() if value}
    for draft in drafts:
        add_to_meta(draft.meta, carrier)


def _describe(scope: sentry_sdk.Scope, id_: int, worker: str, queue: str, attempt: int) -> None:
    """Have events of a scope say of which job they are, and not what its arguments are."""
    scope.set_tag("antq.worker", worker)
    scope.set_tag("antq.job_id", str(id_))
    context = {"job_id": id_, "worker": worker, "queue": queue, "attempt": attempt}
    scope.set_context("antq", context)
    if not _sends_arguments():
        scope.add_event_processor(_without_variables)


def _without_variables(event: Event, hint: Hint) -> Event:  # noqa: ARG001 - the interface
    """Remove the variables of frames, as the arguments of jobs are among them."""
    exception: Any = event.get("exception") or {}
    for value in exception.get("values") or ():
        for frame in (value.get("stacktrace") or {}).get("frames") or ():
            frame.pop("vars", None)
    return event


def _capture(error: BaseException) -> None:
    options = sentry_sdk.get_client().options
    event, hint = utils.event_from_exception(
        (type(error), error, users_part(error)),
        client_options=options,
        mechanism=_MECHANISM.copy(),
    )
    sentry_sdk.capture_event(event, hint=hint)


def _is_active() -> bool:
    return sentry_sdk.get_client().get_integration(AntqIntegration) is not None


def _sends_arguments() -> bool:
    collected = sentry_sdk.get_client().options.get("data_collection")
    if collected is not None and collected.get("provided_by_user"):
        return bool(collected.get("queues"))
    return should_send_default_pii()


def _options_to_send() -> dict[str, Any] | None:
    """Return the options of the client for another process; None: they cannot be pickled."""
    options: Mapping[str, Any] = sentry_sdk.get_client().options
    defaults: Mapping[str, Any] = consts.DEFAULT_OPTIONS or {}
    given = {name: value for name, value in options.items() if value is not defaults.get(name)}
    collected = given.pop("data_collection", None)  # made of other options, or without this mark
    if collected is not None and collected.get("provided_by_user"):
        given["data_collection"] = {k: v for k, v in collected.items() if k != "provided_by_user"}
    try:
        main_objects.dumps_by_value(given)
    except Exception:  # noqa: BLE001 - pickling may raise any
        log.warning("the options of Sentry cannot be pickled; call init() where jobs are defined")
        return None
    return given
