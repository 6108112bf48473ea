"""Cancel, retry, delete: what is allowed from which status, and what it leaves."""

import pytest
from support.apps import Fails, Plain, settled

from antq_actors import Cancel, JobNotFound, NotCancellable, NotRetryable, Status, Worker


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


@pytest.mark.parametrize("verb", ["cancel_worker", "retry_worker", "delete_worker"])
def test_a_job_that_does_not_exist_is_not_found(light, verb):
    for nothing in (0, -1, 1, 2**70, Plain.build()):
        with pytest.raises(JobNotFound):
            getattr(light, verb)(nothing)


def test_cancelled_by_itself_a_job_shows_the_reason(app):
    job = settled(app, Gives.perform_async())

    assert (job.status, job.attempts) == (Status.CANCELLED, 1)
    assert (job.errors[0].error, job.errors[0].stack_trace) == ("not needed", None)
