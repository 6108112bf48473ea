"""Cancel, retry, delete: what is allowed from which status, and what it leaves."""

from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from support.apps import Fails, Plain, settled

from antq_actors import (
    Cancel,
    InvalidSchedule,
    JobNotFound,
    NotCancellable,
    NotRetryable,
    Status,
    Worker,
)


class FailsSlowly(Worker, max_attempts=2):
    def perform(self, job):
        raise ValueError("no")

    def calculate_delay(self, job):
        return 3600


class Gives(Worker):
    def perform(self, job):
        return Cancel("not needed")


@pytest.fixture(params=["job", "id"])
def handle(request):
    """Jobs may be named by themselves or by their ids."""
    return (lambda job: job) if request.param == "job" else (lambda job: job.id)


def test_a_waiting_job_can_be_cancelled_and_stays_as_it_was(app, handle):
    app.queue("default").pause()
    enqueued = Plain.perform_async()
    scheduled = Plain.perform_async(schedule_in=3600)
    app.queue("default").resume()
    retrying = settled(app, FailsSlowly.perform_async(), Status.RETRYING)
    app.queue("default").pause()
    waiting = [app.enqueue(Plain), scheduled, retrying]
    settled(app, enqueued)

    for job in waiting:
        cancelled = app.cancel_worker(handle(job))

        assert cancelled.status is Status.CANCELLED
        assert cancelled == app.get_worker(job.id)
        assert (cancelled.attempts, cancelled.errors) == (job.attempts, job.errors)
        assert cancelled.scheduled_at is None
        assert cancelled.updated_at >= job.updated_at
        assert app.cancel_worker(handle(job)) == cancelled


def test_an_ended_job_cannot_be_cancelled_and_the_error_tells_its_status(app, handle):
    for worker, status in ((Plain, Status.COMPLETED), (Fails, Status.FAILED)):
        job = settled(app, worker.perform_async())

        with pytest.raises(NotCancellable, match=status) as refused:
            app.cancel_worker(handle(job))

        assert refused.value.status is status
        assert app.get_worker(job.id) == job


@pytest.mark.parametrize("worker", [Plain, Fails, Gives])
def test_an_ended_job_can_be_retried_with_all_its_attempts_and_keeps_its_errors(
    app, handle, worker
):
    job = settled(app, worker.perform_async())
    app.queue("default").pause()

    again = app.retry_worker(handle(job))

    assert again == app.get_worker(job.id)
    assert (again.id, again.status, again.attempts) == (job.id, Status.ENQUEUED, 0)
    assert again.errors == job.errors
    assert again.scheduled_at == again.updated_at > job.updated_at
    app.queue("default").resume()
    ended = settled(app, job)
    assert (ended.status, ended.attempts) == (job.status, 1)
    assert len(ended.errors) == 2 * len(job.errors)


def test_a_job_that_has_not_ended_cannot_be_retried(app, handle):
    retrying = settled(app, FailsSlowly.perform_async(), Status.RETRYING)
    app.queue("default").pause()
    for job in (Plain.perform_async(), Plain.perform_async(schedule_in=3600), retrying):
        with pytest.raises(NotRetryable, match=job.status) as refused:
            app.retry_worker(handle(job))

        assert refused.value.status is job.status
        assert app.get_worker(job.id) == job


def test_a_job_of_any_status_can_be_deleted_once(app, handle):
    ended = [settled(app, each.perform_async()) for each in (Plain, Fails, Gives)]
    retrying = settled(app, FailsSlowly.perform_async(), Status.RETRYING)
    app.queue("default").pause()
    waiting = [Plain.perform_async(), Plain.perform_async(schedule_in=3600), retrying]

    for job in ended + waiting:
        assert app.delete_worker(handle(job)) is None
        with pytest.raises(JobNotFound, match=str(job.id)):
            app.delete_worker(handle(job))

    assert app.list_workers() == []
    assert app.count_workers() == 0


@pytest.mark.parametrize("verb", ["cancel_worker", "retry_worker", "delete_worker", "run_now"])
def test_a_job_that_does_not_exist_is_not_found(light, verb):
    for nothing in (0, -1, 1, 2**70, Plain.build()):
        with pytest.raises(JobNotFound):
            getattr(light, verb)(nothing)


# ---- due at another time ----------------------------------------------------------------------


def test_a_scheduled_job_that_is_run_now_runs_at_once(app, handle):
    job = Plain.perform_async(schedule_in=3600)

    due = app.run_now(handle(job))

    assert (due.id, due.status, due.attempts) == (job.id, Status.SCHEDULED, 0)
    assert job.inserted_at <= due.scheduled_at < job.scheduled_at
    assert settled(app, job).status is Status.COMPLETED


def test_a_retrying_job_that_is_run_now_keeps_its_attempts(app, handle):
    job = settled(app, FailsSlowly.perform_async(), Status.RETRYING)

    app.run_now(handle(job))

    ended = settled(app, job)
    assert (ended.status, ended.attempts, len(ended.errors)) == (Status.FAILED, 2, 2)


def test_a_job_that_is_run_now_in_a_paused_queue_waits_for_it(paused, handle):
    job = Plain.perform_async(schedule_in=3600)

    due = paused.run_now(handle(job))

    assert paused.get_job(job.id) == due
    assert paused.queue("default").status().due == 1
    paused.queue("default").resume()
    assert settled(paused, job).status is Status.COMPLETED


def test_an_enqueued_job_is_not_changed_by_running_it_now(paused, handle):
    job = Plain.perform_async()

    assert paused.run_now(handle(job)) == paused.get_job(job.id) == job


def test_a_rescheduled_job_is_due_at_its_new_time(paused, handle):
    enqueued, scheduled = Plain.perform_async(), Plain.perform_async(schedule_in=3600)
    at = datetime.now(UTC) + timedelta(days=2)

    for job in (enqueued, scheduled):
        for when in ({"schedule_at": at}, {"schedule_in": timedelta(days=1)}):
            later = paused.reschedule(handle(job), **when)

            assert later == paused.get_job(job.id)
            assert (later.status, later.attempts) == (Status.SCHEDULED, 0)
    assert paused.reschedule(handle(enqueued), schedule_at=at).scheduled_at == at


def test_a_job_that_is_rescheduled_into_the_past_runs_at_once(app, handle):
    job = Plain.perform_async(schedule_in=3600)

    due = app.reschedule(handle(job), schedule_at=datetime(2000, 1, 1, tzinfo=UTC))

    assert due.scheduled_at >= job.inserted_at
    assert settled(app, job).status is Status.COMPLETED


def test_a_retrying_job_that_is_rescheduled_is_still_retrying(app, handle):
    job = settled(app, FailsSlowly.perform_async(), Status.RETRYING)

    later = app.reschedule(handle(job), schedule_in=86_400)

    assert (later.status, later.attempts, later.errors) == (job.status, 1, job.errors)
    assert later.scheduled_at > job.scheduled_at


def test_a_job_that_has_ended_cannot_be_made_due(app, handle):
    for worker in (Plain, Fails, Gives):
        job = settled(app, worker.perform_async())
        for change in (app.run_now, partial(app.reschedule, schedule_in=5)):
            with pytest.raises(NotRetryable, match=job.status) as refused:
                change(handle(job))

            assert refused.value.status is job.status
            assert app.get_job(job.id) == job


@pytest.mark.parametrize(
    ("when", "says"),
    [
        ({}, "give schedule_at=… or schedule_in=…"),
        ({"schedule_in": None, "schedule_at": None}, "give schedule_at=… or schedule_in=…"),
        ({"schedule_in": 5, "schedule_at": datetime.now(UTC)}, "give one of them"),
        ({"schedule_in": -1}, "must not be negative"),
        ({"schedule_at": datetime(2030, 1, 1)}, "no time zone"),  # noqa: DTZ001 - refused
    ],
)
def test_a_job_is_rescheduled_to_one_instant(light, when, says):
    job = light.enqueue(Plain)

    with pytest.raises(InvalidSchedule, match=says):
        light.reschedule(job, **when)

    assert light.get_job(job.id) == job


def test_cancelled_by_itself_a_job_shows_the_reason(app):
    job = settled(app, Gives.perform_async())

    assert (job.status, job.attempts) == (Status.CANCELLED, 1)
    assert (job.errors[0].error, job.errors[0].stack_trace) == ("not needed", None)
