"""The tests of the shop."""

from datetime import UTC, datetime, timedelta

import pytest
import shop
from fastapi.testclient import TestClient
from shop import Remind, send_receipt

from antq_actors.testing import assert_enqueued, drain, perform_job, recorded, refute_enqueued


def test_a_receipt_is_sent():
    send_receipt("jane@example.com")  # a function worker is an ordinary function

    assert shop.sent[-1] == "jane@example.com"


def test_a_reminder_needs_the_server():
    attempt = perform_job(Remind, {"email": "jane@example.com"})

    assert attempt.outcome == "retrying"
    assert attempt.error.error == "cannot reach the server of jane@example.com"
    assert perform_job(Remind, {"email": "jane@example.com"}, attempt=2).outcome == "failed"


def test_a_receipt_waits(antq):
    send_receipt.perform_async(email="jane@example.com")

    assert_enqueued(send_receipt, {"email": "jane@example.com"}, count=1)
    refute_enqueued(Remind)
    assert antq.count_jobs() == 1  # the jobs of other tests are gone


def test_a_job_is_performed(antq):
    send_receipt.perform_async(email="joe@example.com")

    assert drain(antq).completed == 1
    assert shop.sent[-1] == "joe@example.com"


def test_a_wrong_address_fails_the_job(antq):
    job = send_receipt.perform_async(email="jane")

    with pytest.raises(ValueError, match="not an address: jane"):
        drain(antq)

    assert antq.get_job(job.id).status == "retrying"


def test_a_reminder_is_tried_twice(antq, antq_clock):
    antq_clock.freeze()
    job = Remind.perform_async({"email": "jane@example.com"})

    assert drain(antq, raise_errors=False).retrying == 1
    antq_clock.advance(600)
    assert drain(antq, raise_errors=False).failed == 1

    assert antq.get_job(job.id).attempts == 2


@pytest.mark.antq(mode="inline")
@pytest.mark.usefixtures("antq")
def test_a_receipt_is_sent_where_it_is_enqueued():
    with recorded() as jobs:
        send_receipt.perform_async(email="ann@example.com")

    assert shop.sent[-1] == "ann@example.com"
    assert [job.worker for job in jobs] == ["shop:send_receipt"]


@pytest.mark.antq(queues={"default": 2})
def test_queues_perform_a_job(antq_running):
    job = send_receipt.perform_async(email="joe@example.com")

    assert antq_running.wait_idle(timeout=10)
    assert antq_running.get_job(job.id).status == "completed"


def test_a_request_enqueues_a_receipt_and_a_reminder_for_tomorrow():
    with TestClient(shop.web) as client:  # runs the lifespan, which starts the application
        tomorrow = datetime.now(UTC) + timedelta(days=1)
        client.post("/receipts", params={"email": "jane@example.com"})

        assert_enqueued(send_receipt, {"email": "jane@example.com"})
        assert_enqueued(Remind, scheduled_at=tomorrow, delta=60)
