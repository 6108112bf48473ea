"""Spans and metrics of OpenTelemetry, as its SDK exports them."""

import json

import pytest
import traced_jobs
from opentelemetry import baggage, context, trace
from opentelemetry.trace import SpanKind, StatusCode
from support.apps import settled, until
from traced_jobs import Awaited, Brief, Sync, exporter

from antq_actors import AntQ, Status
from antq_actors.executors.process import os_process
from antq_actors.telemetry.otel import OtelMiddleware


@pytest.fixture(autouse=True)
def spans():
    """Return what was exported, by kind."""
    traced_jobs.trace_here()
    exporter.clear()

    def of(kind=None, **attributes):
        found = [each for each in exporter.get_finished_spans() if kind in (None, each.kind)]
        return [
            each
            for each in found
            if all(each.attributes.get(name) == value for name, value in attributes.items())
        ]

    return of


@pytest.fixture
def running():
    with AntQ(
        queues={"default": 2},
        middleware=[OtelMiddleware(), traced_jobs.Refuses(), traced_jobs.RefusesLate()],
    ) as app:
        yield app


SENT, PROCESSED = SpanKind.PRODUCER, SpanKind.CONSUMER


def only(found):
    (one,) = found
    return one


def messaging(span, operation, job):
    """Whether a span has the attributes of the conventions."""
    expected = {
        "messaging.system": "antq",
        "messaging.destination.name": "default",
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
        "messaging.message.id": str(job.id),
        "antq.worker": job.worker,
    }
    return expected.items() <= span.attributes.items()


@pytest.mark.parametrize("worker", [Sync, Awaited])
def test_an_attempt_is_a_trace_linked_to_where_its_job_was_enqueued(running, spans, worker):
    tracer = trace.get_tracer("shop")

    with tracer.start_as_current_span("request") as request:
        job = worker.perform_async({"does": "pass"}, meta={"mine": "a"})
    settled(running, job)

    sent, processed = only(spans(SENT)), only(spans(PROCESSED))
    assert (sent.name, processed.name) == ("send default", "process default")
    assert sent.parent.span_id == request.get_span_context().span_id
    assert processed.parent is None
    assert processed.context.trace_id != sent.context.trace_id
    assert only(processed.links).context.span_id == sent.context.span_id
    assert messaging(sent, "send", job)
    assert messaging(processed, "process", job)
    assert processed.attributes["antq.attempt"] == 1
    assert processed.attributes["antq.outcome"] == "completed"
    assert processed.attributes["antq.executor"] == ("thread" if worker is Sync else "async")
    assert processed.attributes["seen"] == "pass", "it is current for perform"
    assert job.meta.keys() == {"mine", "traceparent"}
    assert f"{sent.context.span_id:016x}" in job.meta["traceparent"]


def test_as_a_child_an_attempt_is_in_the_trace_of_its_send(spans):
    with AntQ(queues={"default": 1}, middleware=[OtelMiddleware("child")]) as app:
        job = app.enqueue(Sync, {"does": "pass"})
        settled(app, job)

    sent, processed = only(spans(SENT)), only(spans(PROCESSED))
    assert processed.parent.span_id == sent.context.span_id
    assert processed.context.trace_id == sent.context.trace_id
    assert list(processed.links) == []


@pytest.mark.parametrize("propagation", ["link", "child"])
@pytest.mark.parametrize("meta", [{}, {"traceparent": "broken", "tracestate": "=,="}])
def test_without_a_context_there_is_no_link(tmp_path, spans, propagation, meta):
    with AntQ(tmp_path / "store", queues={"default": 1}, start_queues=False) as untraced:
        job = untraced.enqueue(Sync, {"does": "pass"}, meta=meta)

    with AntQ(
        tmp_path / "store", queues={"default": 1}, middleware=[OtelMiddleware(propagation)]
    ) as app:
        assert settled(app, job).status is Status.COMPLETED

    processed = only(spans(PROCESSED))
    assert list(processed.links) == []
    assert processed.parent is None


@pytest.mark.parametrize("worker", [Sync, Awaited])
def test_each_attempt_has_a_span_of_its_own(running, spans, worker):
    job = worker.perform_async({"does": "raise"})
    settled(running, job)

    attempts = spans(PROCESSED)
    assert [each.attributes["antq.attempt"] for each in attempts] == [1, 2]
    assert [each.attributes["antq.outcome"] for each in attempts] == ["retrying", "failed"]
    sent = only(spans(SENT)).context.span_id
    for each in attempts:
        assert only(each.links).context.span_id == sent
        assert each.status.status_code is StatusCode.ERROR
        assert each.attributes["error.type"] == "ValueError"
        assert only(each.events).name == "exception"
        assert only(each.events).attributes["exception.message"] == "of the job"
        assert "telemetry/otel.py" not in only(each.events).attributes["exception.stacktrace"]


@pytest.mark.parametrize("worker", [Sync, Awaited])
def test_an_exception_whose_text_raises_is_the_failure_of_the_job(running, spans, worker):
    ended = settled(running, worker.perform_async({"does": "raise without text"}))

    assert {error.error_type for error in ended.errors} == {"Textless"}
    for each in spans(PROCESSED):
        assert each.status.status_code is StatusCode.ERROR
        assert only(each.events).name == "exception"
        assert only(each.events).attributes["exception.type"] == "traced_jobs.Textless"


@pytest.mark.parametrize("worker", [Sync, Awaited])
@pytest.mark.parametrize(
    ("does", "outcomes"), [("fail", ["retrying", "failed"]), ("cancel", ["cancelled"])]
)
def test_what_perform_returns_decides_the_status(running, spans, worker, does, outcomes):
    settled(running, worker.perform_async({"does": does}))

    is_error, attempts = does == "fail", spans(PROCESSED)
    assert [each.attributes["antq.outcome"] for each in attempts] == outcomes
    for each in attempts:
        assert (each.status.status_code is StatusCode.ERROR) is is_error
        assert ("error.type" in each.attributes) is is_error
        assert list(each.events) == []


def test_a_snooze_is_no_error(running, spans):
    settled(running, Sync.perform_async({"does": "snooze"}), Status.SCHEDULED)

    attempt = only(spans(PROCESSED))
    assert attempt.attributes["antq.outcome"] == "snoozed"
    assert attempt.status.status_code is StatusCode.UNSET


def test_a_timeout_is_an_error_without_an_exception(running, spans):
    job = settled(running, Brief.perform_async({"does": "hang"}))

    assert job.errors[0].error_type == "TimeoutError"
    attempt = only(spans(PROCESSED))
    assert attempt.status.status_code is StatusCode.ERROR
    assert attempt.attributes["error.type"] == "TimeoutError"
    assert attempt.attributes["antq.outcome"] == "failed"
    assert list(attempt.events) == []


def test_a_cancelled_attempt_is_no_error(running, spans):
    traced_jobs.hangs.clear()
    job = Sync.perform_async({"does": "hang"})
    assert traced_jobs.hangs.wait(60)
    running.cancel_job(job.id)
    settled(running, job)

    attempt = only(spans(PROCESSED))
    assert attempt.attributes["antq.outcome"] == "cancelled"
    assert attempt.status.status_code is StatusCode.UNSET


def test_a_cancelled_attempt_in_a_process_is_no_error(tmp_path, monkeypatch):
    monkeypatch.setattr(os_process, "TERM_GRACE_SECONDS", 30.0)  # a killed one ends no span
    file, begun = tmp_path / "spans", tmp_path / "begun"
    middleware = [OtelMiddleware(), traced_jobs.ExportsToFile(file)]
    with AntQ(queues={"default": 1}, middleware=middleware) as app:
        job = traced_jobs.hang_in_process.perform_async(begun=str(begun))
        until(begun.exists, "the job to begin")
        app.cancel_job(job.id)
        assert settled(app, job).status is Status.CANCELLED

    attempt = json.loads(file.read_text(encoding="utf-8"))
    assert attempt["attributes"]["antq.outcome"] == "cancelled"
    assert attempt["status"]["status_code"] == "UNSET"


def test_a_batch_is_one_send(running, spans):
    ids = running.enqueue_many(Sync, [{"does": "pass"}] * 3)
    running.wait(ids)

    sent = only(spans(SENT))
    assert sent.attributes["messaging.batch.message_count"] == 3
    assert "messaging.message.id" not in sent.attributes
    links = {only(each.links).context.span_id for each in spans(PROCESSED)}
    assert links == {sent.context.span_id}


@pytest.mark.parametrize("does", ["refuse", "refuse late"])
def test_a_refused_enqueue_leaves_no_span_that_says_sent(running, spans, does):
    with pytest.raises(PermissionError):
        Sync.perform_async({"does": does})

    for each in spans():
        assert each.status.status_code is StatusCode.ERROR
        assert each.attributes["error.type"] == "PermissionError"
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_a_follow_up_is_sent_by_the_attempt_that_asks_for_it(running, spans):
    settled(running, Sync.perform_async({"does": "follow"}))
    running.wait_idle()

    asking, following = spans(PROCESSED)
    sent = only([each for each in spans(SENT) if each.parent is not None])
    assert sent.parent.span_id == asking.context.span_id
    assert only(following.links).context.span_id == sent.context.span_id
    assert sent.status.status_code is StatusCode.UNSET


def test_a_follow_up_that_is_not_stored_was_not_sent(running, spans):
    settled(running, Sync.perform_async({"does": "follow and raise"}, max_attempts=1))
    settled(running, Sync.perform_async({"does": "follow in vain"}))
    running.wait_idle()

    of_follow_ups = [each for each in spans(SENT) if each.parent is not None]
    assert [each.status.status_code.name for each in of_follow_ups] == ["ERROR", "ERROR", "UNSET"]


def test_baggage_comes_along(running):
    token = context.attach(baggage.set_baggage("tenant", "acme"))
    try:
        job = Sync.perform_async({"does": "say"})
    finally:
        context.detach(token)

    assert job.result(timeout=30) == {"tenant": "acme"}


def test_what_does_not_fit_into_the_meta_is_left_out(running):
    token = context.attach(baggage.set_baggage("tenant", "a" * 2_000))
    try:
        fits = Sync.perform_async({"does": "say"}, meta={"m": "x" * 1_000})
        none = Sync.perform_async({"does": "say"}, meta={"m": "x" * 4_000})
    finally:
        context.detach(token)

    assert fits.meta.keys() == {"m", "traceparent", "baggage"}
    assert none.meta.keys() == {"m", "traceparent"}
    assert none.result(timeout=30) == {}


def test_no_argument_is_in_a_span(running, spans):
    settled(running, Sync.perform_async({"does": "pass", "card": "4111-1111"}))

    assert all("4111-1111" not in each.to_json() for each in spans())


def test_metrics_have_the_names_of_the_conventions(running):
    job = Sync.perform_async({"does": "raise"})
    settled(running, job)
    measured = {}
    for resource in traced_jobs.reader.get_metrics_data().resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                measured[metric.name] = metric.unit, metric.data.data_points

    assert measured.keys() == {
        "messaging.client.operation.duration",
        "messaging.client.sent.messages",
        "messaging.client.consumed.messages",
        "messaging.process.duration",
        "antq.job.queue_time",
    }
    unit, points = measured["antq.job.queue_time"]
    assert unit == "s"
    assert {each.attributes["antq.worker"] for each in points} >= {job.worker}
    assert all(each.min >= 0 for each in points)
    _, points = measured["messaging.process.duration"]
    failures = [each for each in points if each.attributes.get("error.type") == "ValueError"]
    assert sum(each.count for each in failures) >= 2


@pytest.mark.parametrize("wrong", ["parent", "", "LINK"])
def test_another_propagation_is_a_value_error(wrong):
    with pytest.raises(ValueError, match="propagation"):
        OtelMiddleware(propagation=wrong)


@pytest.mark.parametrize("wrong", [None, 1, b"link"])
def test_a_propagation_that_is_no_text_is_a_type_error(wrong):
    with pytest.raises(TypeError, match="propagation"):
        OtelMiddleware(wrong)
