"""Traces and metrics of OpenTelemetry: a span where jobs are enqueued, and one for each attempt.

The names are those of its conventions for messaging, and below ``antq.`` what they have no name
for. The context of a job's ``send`` span is kept in its meta, and read where it is performed.
"""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from antq_actors.checks import short_repr
from antq_actors.jobs import everywhere
from antq_actors.jobs.attempt_error import describe
from antq_actors.jobs.attempt_error import trace as stack_trace
from antq_actors.telemetry.attempts import (
    COMPLETED,
    AroundAttempts,
    Ending,
    add_to_meta,
    executor_of,
    queue_time_of,
)

try:
    from opentelemetry import context, metrics, propagate, trace
    from opentelemetry.instrumentation import instrumentor
    from opentelemetry.trace import Link, Span, SpanKind, StatusCode
except ImportError:
    raise ImportError("this module needs OpenTelemetry: pip install 'antq-actors[otel]'") from None

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from opentelemetry.context import Context

    from antq_actors.jobs.job import Job
    from antq_actors.jobs.middleware import JobDraft

log: Final = logging.getLogger("antq_actors.telemetry.otel")

_SCOPE: Final = "antq_actors"


class _Metrics:
    """The instruments of one provider."""

    def __init__(self, provider: metrics.MeterProvider) -> None:
        meter = provider.get_meter(_SCOPE)
        self.operation_duration = meter.create_histogram(
            "messaging.client.operation.duration", "s", "Duration of storing jobs"
        )
        self.sent = meter.create_counter(
            "messaging.client.sent.messages", "{message}", "Jobs that were to be stored"
        )
        self.consumed = meter.create_counter(
            "messaging.client.consumed.messages", "{message}", "Attempts that have begun"
        )
        self.process_duration = meter.create_histogram(
            "messaging.process.duration", "s", "Duration of attempts"
        )
        self.queue_time = meter.create_histogram(
            "antq.job.queue_time", "s", "Time from when a job was due until its attempt began"
        )


class OtelMiddleware(AroundAttempts):
    """Makes spans and metrics of OpenTelemetry, of what is enqueued and of each attempt.

    *propagation*: with ``"link"`` an attempt is a trace of its own, linked to the ``send`` span of
    its job; with ``"child"`` it is a child of that. The providers are those of the process where no
    others are given; given ones are not taken along into other processes.
    """

    def __init__(
        self,
        propagation: str = "link",
        *,
        tracer_provider: trace.TracerProvider | None = None,
        meter_provider: metrics.MeterProvider | None = None,
    ) -> None:
        if not isinstance(propagation, str):
            raise TypeError(
                f"propagation must be 'link' or 'child', a str, got {short_repr(propagation)}"
            )
        if propagation not in ("link", "child"):
            raise ValueError(f"propagation must be 'link' or 'child', got {propagation!r}")
        self.propagation = propagation
        self._providers = tracer_provider, meter_provider
        self._tracer: tuple[trace.TracerProvider, trace.Tracer] | None = None
        self._metrics: tuple[metrics.MeterProvider, _Metrics] | None = None

    def __getstate__(self) -> dict[str, Any]:
        nothing = {"_providers": (None, None), "_tracer": None, "_metrics": None}
        return {**self.__dict__, **nothing}

    # ---- where a job is enqueued ----------------------------------------------------------------

    def on_enqueue(self, draft: JobDraft) -> None:
        """Make the span of a job that is stored later, with the job that is performed."""
        later = _stored_later.get()
        if draft.antq_is_stored_later and later is not None:
            span = self._start_send([draft], _attributes(draft.queue_name, "send", [draft]))
            later[span.get_span_context().span_id] = draft, span

    def around_enqueue(self, draft: JobDraft, call: Callable[[], Job]) -> Job:
        """Make a span of the storing of a job."""
        with self._send([draft]) as span:
            job = call()
            span.set_attribute("messaging.message.id", str(job.id))
        return job

    def around_enqueue_many(
        self, drafts: Sequence[JobDraft], call: Callable[[], list[int]]
    ) -> list[int]:
        """Make a span of the storing of a batch."""
        with self._send(drafts, len(drafts)) as span:
            ids = call()
            span.set_attribute("messaging.batch.message_count", len(ids))
        return ids

    @contextmanager
    def _send(self, drafts: Sequence[JobDraft], count: int | None = None) -> Iterator[Span]:
        attributes = _attributes(drafts[0].queue_name, "send", drafts)
        span, began = _taken_back(drafts), time.perf_counter()
        if span is None:
            span = self._start_send(drafts, attributes)
        if count is not None:
            span.set_attribute("messaging.batch.message_count", count)
        try:
            yield span
        except BaseException as error:
            attributes["error.type"] = type(error).__qualname__
            _fail(span, type(error).__qualname__, describe(error), error)
            raise
        finally:
            span.end()
            metrics_ = self._metrics_now()
            metrics_.operation_duration.record(time.perf_counter() - began, attributes)
            metrics_.sent.add(len(drafts), attributes)

    def _start_send(self, drafts: Sequence[JobDraft], attributes: Mapping[str, str]) -> Span:
        """Start a span, as a child of the current one, and put its context into the meta."""
        name = f"send {drafts[0].queue_name}"
        span = self._tracer_now().start_span(name, kind=SpanKind.PRODUCER, attributes=attributes)
        carrier: dict[str, str] = {}
        try:
            propagate.inject(carrier, trace.set_span_in_context(span))
        except Exception:
            log.exception("the context of a trace cannot be kept in the meta of jobs")
        for draft in drafts:
            add_to_meta(draft.meta, carrier)
        return span

    # ---- where a job is performed ---------------------------------------------------------------

    @contextmanager
    def antq_around(self, job: Job) -> Iterator[list[Ending]]:
        """Make a span of an attempt, and have it current in it."""
        attributes: dict[str, Any] = _attributes(job.queue_name, "process", [job])
        span, inside = self._start_process(job, attributes)
        began, token = time.perf_counter(), context.attach(inside)
        sent_token = _stored_later.set({})
        endings: list[Ending] = []
        try:
            yield endings
        finally:
            took, ending = time.perf_counter() - began, endings[0]
            _end_stored_later(completed=ending is COMPLETED)
            _stored_later.reset(sent_token)
            context.detach(token)
            span.set_attribute("antq.outcome", ending.outcome)
            if ending.error_type is not None:
                attributes["error.type"] = ending.error_type
                _fail(span, ending.error_type, ending.text, ending.exception)
            span.end()
            self._measure(job, attributes, took)
            del ending
            endings.clear()  # the traceback of an exception in them refers to this frame

    def _start_process(self, job: Job, attributes: Mapping[str, str]) -> tuple[Span, Context]:
        """Start the span of an attempt; return it, and the context for the job."""
        sender: Span = trace.INVALID_SPAN
        inside = context.get_current()
        try:
            sender = trace.get_current_span(propagate.extract(job.meta, context.Context()))
            inside = propagate.extract(job.meta, inside)
        except Exception:
            log.exception("the context of a trace in the meta of job #%d cannot be read", job.id)
        is_known = sender.get_span_context().is_valid
        is_child = is_known and self.propagation == "child"
        links = [Link(sender.get_span_context())] if is_known and not is_child else []
        span = self._tracer_now().start_span(
            f"process {job.queue_name}",
            trace.set_span_in_context(sender if is_child else trace.INVALID_SPAN, inside),
            SpanKind.CONSUMER,
            {
                **attributes,
                "messaging.message.id": str(job.id),
                "antq.attempt": job.attempts,
                "antq.executor": executor_of(job),
            },
            links,
        )
        return span, trace.set_span_in_context(span, inside)

    def _measure(self, job: Job, attributes: Mapping[str, str], took: float) -> None:
        metrics_ = self._metrics_now()
        metrics_.consumed.add(1, attributes)
        metrics_.process_duration.record(took, attributes)
        waited = queue_time_of(job)
        if waited is not None:
            metrics_.queue_time.record(waited, attributes)

    # ---- what is there now ----------------------------------------------------------------------

    def _tracer_now(self) -> trace.Tracer:
        """Return the tracer of the provider, which may be set after the application has begun."""
        provider = self._providers[0] or trace.get_tracer_provider()
        known = self._tracer
        if known is None or known[0] is not provider:
            known = self._tracer = provider, provider.get_tracer(_SCOPE)
        return known[1]

    def _metrics_now(self) -> _Metrics:
        provider = self._providers[1] or metrics.get_meter_provider()
        known = self._metrics
        if known is None or known[0] is not provider:
            known = self._metrics = provider, _Metrics(provider)
        return known[1]


_stored_later: Final[ContextVar[dict[int, tuple[JobDraft, Span]] | None]] = ContextVar(
    "antq_actors.telemetry.otel.stored_later", default=None
)
"""What the attempt that is performed here has asked for, by the number of its span: it is stored
with the completion."""


def _taken_back(drafts: Sequence[JobDraft]) -> Span | None:
    """Return the span of a job that is stored at once after all; None: it has none yet."""
    later, found = _stored_later.get(), None
    for draft in drafts if later else ():
        sender = trace.get_current_span(propagate.extract(draft.meta, context.Context()))
        known = later.pop(sender.get_span_context().span_id, None) if later else None
        if known is not None and len(drafts) == 1:
            found = known[1]
    return found


def _end_stored_later(*, completed: bool) -> None:
    for draft, span in (_stored_later.get() or {}).values():
        if not completed or draft.antq_is_refused:
            _fail(span, "not_stored", "it was refused, or the job that asked for it not completed")
        span.end()


def _attributes(queue: str, operation: str, jobs: Sequence[JobDraft | Job]) -> dict[str, str]:
    attributes = {
        "messaging.system": "antq",
        "messaging.destination.name": queue,
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
    }
    workers = {job.worker for job in jobs}
    if len(workers) == 1:
        attributes["antq.worker"] = workers.pop()
    return attributes


def _fail(
    span: Span, error_type: str, text: str | None, exception: BaseException | None = None
) -> None:
    span.set_attribute("error.type", error_type)
    span.set_status(StatusCode.ERROR, text)
    if exception is None:
        return
    try:
        span.record_exception(exception, {"exception.stacktrace": stack_trace(exception)})
    except Exception:  # noqa: BLE001 - it calls `str`, which the user's class may have raise
        kind = type(exception)
        name = f"{kind.__module__}.{kind.__qualname__}"
        span.add_event("exception", {"exception.type": name, "exception.message": text or ""})


# ---- of the whole process ------------------------------------------------------------------------


class AntqInstrumentor(instrumentor.BaseInstrumentor):  # type: ignore[misc, name-defined]  # it is not typed
    """Traces every application of the process, from ``instrument()`` to ``uninstrument()``.

    ``opentelemetry-instrument`` finds it. An application that was given an ``OtelMiddleware`` keeps
    that. ``instrument`` takes what an ``OtelMiddleware`` does, all of it by keyword.
    """

    _middleware: OtelMiddleware | None = None

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return nothing that may be missing: this package is what is instrumented."""
        return ()

    def _instrument(self, **kwargs: Any) -> None:
        known = ("propagation", "tracer_provider", "meter_provider")
        self._middleware = OtelMiddleware(**{k: kwargs[k] for k in known if k in kwargs})
        everywhere.add(self._middleware)

    def _uninstrument(self, **kwargs: Any) -> None:  # noqa: ARG002 - the interface
        if self._middleware is not None:
            everywhere.remove(self._middleware)
            self._middleware = None
