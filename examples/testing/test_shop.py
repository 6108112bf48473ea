"""The tests of the shop."""

from datetime import UTC, datetime, timedelta

import pytest
import shop
from fastapi.testclient import TestClient
from shop import Remind, send_receipt


def test_a_receipt_is_sent():
    send_receipt("jane@example.com")  # a function worker is an ordinary function

    assert shop.sent[-1] == "jane@example.com"


def test_a_reminder_needs_the_server():
    job = Remind.build({"email": "jane@example.com"})  # a job that is not stored

    with pytest.raises(ConnectionError, match=r"jane@example\.com"):
        Remind().perform(job)


def test_a_job_is_performed(app):
    job = send_receipt.perform_async(email="joe@example.com")

    assert app.wait_idle(timeout=10)
    assert app.get_job(job.id).status == "completed"
    assert shop.sent[-1] == "joe@example.com"


def test_a_wrong_address_fails_the_job(app):
    job = send_receipt.options(max_attempts=1).perform_async(email="jane")

    assert app.wait_idle(timeout=10)
    job = app.get_job(job.id)
    assert job.status == "failed"
    assert job.errors[0].error == "not an address: jane"


def test_a_reminder_is_tried_twice(app, monkeypatch):
    monkeypatch.setattr(Remind, "calculate_delay", lambda *_: 0.0)  # do not wait 600 s
    job = Remind.perform_async({"email": "jane@example.com"})

    assert app.wait_idle(timeout=10)
    job = app.get_job(job.id)
    assert (job.status, job.attempts) == ("failed", 2)


def test_a_request_enqueues_a_receipt_and_a_reminder_for_tomorrow():
    with TestClient(shop.web) as client:  # runs the lifespan, which starts the application
        before = datetime.now(UTC)
        answer = client.post("/receipts", params={"email": "jane@example.com"})

        receipt = shop.app.get_job(answer.json())
        (reminder,) = shop.app.list_jobs(worker=Remind)

    assert receipt.args == {"email": "jane@example.com"}
    assert timedelta(0) <= reminder.scheduled_at - before - timedelta(days=1) < timedelta(minutes=1)


def test_a_receipt_waits_in_an_empty_store(enqueued):
    send_receipt.perform_async(email="jane@example.com")

    assert enqueued.count_jobs() == 1  # the jobs of other tests are gone
    assert enqueued.list_jobs(worker=send_receipt, args={"email": "jane@example.com"})
