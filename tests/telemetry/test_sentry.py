"""What Sentry's SDK sends of jobs."""

import json
import os
import warnings

import pytest
import sentry_sdk
from sentry_jobs import Awaited, Brief, FileTransport, Sync, Unmade, in_process
from support.apps import settled, until
from traced_jobs import hangs

from antq_actors import AntQ, Status
from antq_actors.telemetry.sentry import AntqIntegration


@pytest.fixture
def sent(tmp_path):
    """Start a client, and return what it and those of job processes have sent, by type."""
    file = tmp_path / "sent"
    file.touch()

    def start(**options):
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
            sentry_sdk.init(
                transport=FileTransport(str(file)),
                integrations=[AntqIntegration()],
                **{"traces_sample_rate": 1.0, **options},
            )

    def of(kind):
        lines = map(json.loads, file.read_text(encoding="utf-8").splitlines())
        return [each for each in lines if (each.get("type") or "event") == kind]

    of.start = start
    of.text = lambda: file.read_text(encoding="utf-8")
    start()
    yield of
    sentry_sdk.get_client().close()
    sentry_sdk.get_global_scope().set_client(None)


@pytest.fixture
def running(sent):
    with AntQ(queues={"default": 2}) as app:
        yield app


def only(found):
    (one,) = found
    return one


def until_sent(sent, kind, count):
    return until(lambda: len(found := sent(kind)) >= count and found, f"{count} {kind}")


@pytest.mark.parametrize("worker", [Sync, Awaited])
def test_an_attempt_is_a_transaction_in_the_trace_of_its_enqueue(running, sent, worker):
    with sentry_sdk.start_transaction(name="POST /orders"):
        job = worker.perform_async({"does": "cancel"}, meta={"mine": "a"})
    settled(running, job)

    request, performed = sorted(
        until_sent(sent, "transaction", 2), key=lambda each: each["transaction"] != "POST /orders"
    )
    assert job.meta.keys() == {"mine", "sentry-trace", "baggage"}
    published = only(request["spans"])
    assert published["op"] == "queue.publish"
    assert published["data"]["messaging.message.id"] == str(job.id)
    assert published["data"]["messaging.destination.name"] == "default"
    assert published["data"]["messaging.message.body.size"] > 0
    trace = performed["contexts"]["trace"]
    assert performed["transaction"] == job.worker
    assert (trace["op"], trace["status"]) == ("queue.process", "ok")
    assert trace["trace_id"] == request["contexts"]["trace"]["trace_id"]
    assert trace["parent_span_id"] == published["span_id"]
    assert trace["data"]["messaging.system"] == "antq"
    assert trace["data"]["messaging.message.id"] == str(job.id)
    assert trace["data"]["messaging.destination.name"] == "default"
    assert trace["data"]["messaging.message.retry.count"] == 0
    assert trace["data"]["messaging.message.receive.latency"] >= 0
    assert sent("event") == []


@pytest.mark.parametrize("worker", [Sync, Awaited])
def test_each_failed_attempt_is_sent_once(running, sent, worker):
    job = settled(running, worker.perform_async({"does": "raise"}))

    first, second = until_sent(sent, "event", 2)
    for attempt, event in enumerate((first, second), 1):
        error = only(event["exception"]["values"])
        assert (error["type"], error["value"]) == ("ValueError", "of the job")
        assert error["mechanism"]["handled"] is False
        assert error["stacktrace"]["frames"][0]["function"] == "perform", "the user's first frame"
        assert event["tags"]["antq.worker"] == job.worker
        assert event["contexts"]["antq"]["attempt"] == attempt
        assert event["transaction"] == job.worker
    statuses = [each["contexts"]["trace"]["status"] for each in sent("transaction")]
    assert statuses == ["internal_error", "internal_error"]
    retries = [
        each["contexts"]["trace"]["data"]["messaging.message.retry.count"]
        for each in sent("transaction")
    ]
    assert retries == [0, 1]


@pytest.mark.parametrize("worker", [Sync, Awaited])
@pytest.mark.parametrize(
    ("does", "status"), [("fail", "failed"), ("cancel", "cancelled"), ("snooze", "scheduled")]
)
def test_what_perform_returns_is_no_error(running, sent, worker, does, status):
    settled(running, worker.perform_async({"does": does}), Status(status))

    assert until_sent(sent, "transaction", 1)[0]["contexts"]["trace"]["status"] == "ok"
    assert sent("event") == []


def test_a_timeout_is_an_error_and_a_stop_is_none(running, sent):
    settled(running, Brief.perform_async({"does": "hang"}))

    error = only(only(until_sent(sent, "event", 1))["exception"]["values"])
    assert error["type"] == "TimeoutError"
    assert error["mechanism"]["handled"] is False
    assert only(sent("transaction"))["contexts"]["trace"]["status"] == "internal_error"

    hangs.clear()
    Sync.perform_async({"does": "hang"})
    assert hangs.wait(60)
    running.stop(timeout=0)
    until_sent(sent, "transaction", 2)
    assert sent("transaction")[1]["contexts"]["trace"]["status"] == "ok"
    only(sent("event"))


def test_an_attempt_that_fails_before_its_job_is_performed_is_sent(running, sent):
    job = settled(running, Unmade.perform_async())

    event = only(until_sent(sent, "event", 1))
    error = only(event["exception"]["values"])
    assert (error["type"], error["mechanism"]["handled"]) == ("LookupError", False)
    assert event["tags"]["antq.job_id"] == str(job.id)


@pytest.mark.parametrize(
    ("options", "are_sent"),
    [
        ({}, False),
        ({"send_default_pii": False}, False),
        ({"send_default_pii": True}, True),
        ({"data_collection": {"queues": True}}, True),
        ({"data_collection": {"queues": False}}, False),
    ],
)
def test_arguments_are_sent_where_that_is_allowed_alone(sent, options, are_sent):
    sent.start(**options)
    with AntQ(queues={"default": 1}) as app:
        settled(app, Sync.perform_async({"does": "raise", "card": "4111-1111"}))
        until_sent(sent, "event", 2)

    assert ("4111-1111" in sent.text()) is are_sent


def test_the_span_of_a_batch_has_the_id_of_its_first_job(running, sent):
    with sentry_sdk.start_transaction(name="POST /orders"):
        ids = running.enqueue_many(Sync, [{"does": "cancel"}] * 3)
    running.wait_idle()

    request = only(
        each for each in until_sent(sent, "transaction", 4) if each["transaction"] == "POST /orders"
    )
    published = only(request["spans"])["data"]
    assert published["messaging.message.id"] == str(ids[0])
    assert published["messaging.batch.message_count"] == 3


def test_without_a_transaction_there_is_no_span_of_an_enqueue(running, sent):
    job = Sync.perform_async({"does": "cancel"})
    settled(running, job)

    performed = only(until_sent(sent, "transaction", 1))
    assert performed["contexts"]["trace"]["trace_id"] in job.meta["sentry-trace"]


def test_without_an_active_client_nothing_is_added(sent):
    sentry_sdk.get_client().close()
    sentry_sdk.get_global_scope().set_client(None)

    with AntQ(queues={"default": 1}) as app:
        job = Sync.perform_async({"does": "raise"})
        settled(app, job)

    assert job.meta == {}
    assert sent.text() == ""


def test_jobs_have_scopes_of_their_own(running, sent):
    settled(running, Awaited.perform_async({"does": "cancel"}))
    settled(running, Sync.perform_async({"does": "raise"}))

    until_sent(sent, "event", 2)
    tags = {each["transaction"]: each["tags"].get("inside") for each in sent("transaction")}
    assert tags == {"sentry:Awaited": "yes", "sentry:Sync": None}


def test_a_job_process_has_a_client_of_its_own(running, sent):
    settled(running, in_process.perform_async(does="raise"))

    event = only(until_sent(sent, "event", 1))
    assert event["pid"] != os.getpid()
    assert only(event["exception"]["values"])["type"] == "ValueError"
    performed = only(until_sent(sent, "transaction", 1))
    assert performed["pid"] == event["pid"]


def test_a_job_whose_process_dies_is_an_error(running, sent):
    job = in_process.perform_async(does="die")
    until(lambda: running.get_job(job.id).status in (Status.FAILED, Status.RETRYING))

    event = only(until_sent(sent, "event", 1))
    assert event["pid"] == os.getpid()
    assert event["contexts"]["antq"]["job_id"] == job.id
