"""Cancelling a job that runs: its executor ends it, and it is cancelled, once."""

import pytest
from support.apps import settled, until
from support.controlled_jobs import ControlledJobs

from antq_actors import AntQ, Fail, NotCancellable, QueueConfig, Status
from antq_actors.otp import orphans


@pytest.fixture
def staged(app):
    controlled = ControlledJobs(app)
    yield controlled
    controlled.release_all()


def test_a_running_job_is_answered_running_and_ends_cancelled(app, staged):
    job = staged.job("a", max_attempts=5)
    staged.begun()

    answered = app.cancel_worker(job)

    assert answered.status is Status.RUNNING
    cancelled = settled(app, job)
    assert cancelled.status is Status.CANCELLED
    assert (cancelled.attempts, cancelled.interruptions) == (1, 0)
    assert [error.error for error in cancelled.errors] == ["cancelled while it was running"]
    assert app.cancel_worker(job) == cancelled


def test_its_slot_is_free_and_it_does_not_run_again(app, staged):
    first = staged.jobs("ab", max_attempts=5)
    staged.begun(2)
    waiting = staged.job("c")

    app.cancel_worker(first[0])

    assert staged.begun() == ["c"]
    staged.release("b", "c")
    settled(app, waiting)
    assert settled(app, first[0]).status is Status.CANCELLED
    assert not staged.has_begun_more()


def test_cancelled_twice_it_is_ended_once(app, staged):
    job = staged.job("a")
    staged.begun()

    app.cancel_worker(job)
    app.cancel_worker(job)

    assert [error.error for error in settled(app, job).errors] == ["cancelled while it was running"]


def test_one_that_completes_all_the_same_is_completed(app, staged):
    job = staged.job("a", wait="stubborn")
    staged.begun()

    app.cancel_worker(job)
    staged.release("a")

    completed = settled(app, job)
    assert completed.status is Status.COMPLETED
    with pytest.raises(NotCancellable, match="completed"):
        app.cancel_worker(job)


def test_one_that_fails_meanwhile_has_no_other_attempt(app, staged):
    job = staged.job("a", wait="stubborn", max_attempts=5)
    staged.begun()

    app.cancel_worker(job)
    staged.release("a", then=lambda _job: Fail("no"))

    cancelled = settled(app, job)
    assert cancelled.status is Status.CANCELLED
    assert len(cancelled.errors) == 1


def test_one_that_cannot_be_interrupted_is_given_up(app, staged, monkeypatch):
    monkeypatch.setattr("antq_actors.queues.running_attempts.INTERRUPTION_TIMEOUT_SECONDS", 0.05)
    job = staged.job("a", wait="deaf")
    staged.begun()

    app.cancel_worker(job)

    assert settled(app, job).status is Status.CANCELLED
    assert app.queue("default").status().abandoned == (job.id,)
    assert orphans()
    staged.release("a")
    until(lambda: not app.queue("default").status().abandoned, "the end of its thread")


def test_one_of_a_queue_without_a_free_slot_is_cancelled_too(tmp_path):
    queues = {"default": QueueConfig(1, check_interval=3600)}
    with AntQ(tmp_path / "store", queues=queues) as app:
        controlled = ControlledJobs(app)
        job = controlled.job("a")
        controlled.begun()

        app.cancel_worker(job)

        assert settled(app, job).status is Status.CANCELLED


def test_a_cancelled_job_whose_queue_crashes_is_cancelled(app, staged):
    job = staged.job("a", wait="stubborn", max_attempts=5)
    staged.begun()
    app.cancel_worker(job)

    app.queue("default").ref.tell(_Bomb())

    assert settled(app, job).status is Status.CANCELLED


class _Bomb:
    """Ends the actor that compares it."""

    @property
    def __class__(self):
        raise ValueError("a bomb")
