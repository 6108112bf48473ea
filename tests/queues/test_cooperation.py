"""A job that looks whether it shall end, ends by itself; threads that do not end are counted."""

import threading
from datetime import UTC, datetime
from typing import ClassVar

import pytest
from support.apps import settled, until
from support.controlled_jobs import LONGEST, ControlledJobs

from antq_actors import AntQ, Cancel, Job, QueueConfig, Status, Worker
from antq_actors.queues import running_attempts


class Loops(Worker):
    """Looks until it is told to end, and notes what it saw."""

    began = threading.Event()
    saw: ClassVar[list] = []

    def perform(self, job):
        self.began.set()
        while not job.cancelled():
            pass
        self.saw.append(job.remaining())
        return Cancel("tidied up") if job.args.get("tidy") else None


@pytest.fixture(autouse=True)
def _afresh():
    for event in (Loops.began, Tells.reported, Tells.go_on):
        event.clear()
    Loops.saw.clear()
    Tells.remaining.clear()


def test_a_job_that_checks_cancelled_ends_itself_at_its_timeout(app):
    job = settled(app, Loops.perform_async(timeout=0.05))

    assert job.status is Status.FAILED
    assert job.errors[0].error == "timed out after 0.05 s"
    assert Loops.saw == [0.0]


def test_a_job_that_checks_cancelled_ends_itself_when_cancelled(app):
    job = Loops.perform_async({"tidy": True})
    assert Loops.began.wait(LONGEST)

    app.cancel_worker(job)

    cancelled = settled(app, job)
    assert cancelled.status is Status.CANCELLED
    assert [error.error for error in cancelled.errors] == ["tidied up"]
    assert Loops.saw == [None]


def test_a_job_that_checks_cancelled_ends_itself_when_its_queue_stops(tmp_path):
    with AntQ(tmp_path / "store") as app:
        job = Loops.perform_async()
        assert Loops.began.wait(LONGEST)
        app.stop(timeout=0)

    with AntQ(tmp_path / "store", start_queues=False) as app:
        assert app.get_worker(job.id).status is Status.COMPLETED


class Deaf(Worker):
    """Looks once, and then no more."""

    def perform(self, job):
        job.cancelled()
        while True:
            pass


def test_a_job_that_checked_and_goes_on_is_interrupted_later(app, monkeypatch):
    monkeypatch.setattr(running_attempts, "COOPERATION_TIMEOUT_SECONDS", 0.05)

    job = settled(app, Deaf.perform_async(timeout=0.02))

    assert job.errors[0].error == "timed out after 0.02 s"
    assert app.queue("default").status().abandoned == ()


class Tells(Worker):
    """Reports how far it is, and how much time it has."""

    reported = threading.Event()
    go_on = threading.Event()
    remaining: ClassVar[list] = []

    def perform(self, job):
        self.remaining.append(job.remaining())
        job.progress(0.25, "read")
        self.reported.set()
        self.go_on.wait(LONGEST)


def test_queue_status_shows_the_progress_of_running_jobs(app):
    job = Tells.perform_async(timeout=30)
    assert Tells.reported.wait(LONGEST)

    progress = app.queue("default").status().progress
    assert progress == {job.id: (0.25, "read", progress[job.id].at)}
    assert job.inserted_at <= progress[job.id].at <= datetime.now(UTC)
    Tells.go_on.set()
    settled(app, job)
    assert app.queue("default").status().progress == {}
    assert 0 < Tells.remaining[0] <= 30


@pytest.mark.parametrize(
    ("progress", "error"),
    [
        ((2,), ValueError),
        (("half",), TypeError),
        ((float("nan"),), ValueError),
        ((0.5, 1), TypeError),
    ],
)
def test_wrong_progress_is_refused_where_it_is_reported(progress, error):
    with pytest.raises(error):
        a_job().progress(*progress)


def test_a_job_that_is_not_running_has_no_progress():
    job = a_job()
    job.progress(0.5)

    assert not job.cancelled()
    assert job.remaining() is None


def a_job() -> Job:
    return Tells.build()


def with_two_orphans(app):
    """Have two threads abandoned, of jobs that go on until they are released."""
    controlled = ControlledJobs(app)
    stuck = controlled.jobs("ab", wait="deaf")
    controlled.begun(2)
    for job in stuck:
        app.cancel_worker(job)
        settled(app, job)
    until(lambda: len(app.queue("default").status().abandoned) == 2, "giving up")
    return controlled


def test_a_queue_with_too_many_orphans_claims_nothing_and_logs_it(monkeypatch, caplog):
    monkeypatch.setattr(running_attempts, "INTERRUPTION_TIMEOUT_SECONDS", 0.02)
    queues = {"default": QueueConfig(2, check_interval=0.05, max_abandoned=2)}
    with AntQ(queues=queues) as app:
        controlled = with_two_orphans(app)

        waiting = controlled.job("c")
        until(lambda: "claims nothing more: 2 threads" in caplog.text, "the word")
        app.queue("default").status()  # answered after it would have claimed
        assert app.get_worker(waiting.id).status is Status.ENQUEUED

        controlled.release("a", "b")
        controlled.release("c")
        assert settled(app, waiting).status is Status.COMPLETED
        assert app.queue("default").status().abandoned == ()


def test_a_queue_whose_orphans_have_ended_claims_what_is_enqueued_then(monkeypatch):
    monkeypatch.setattr(running_attempts, "INTERRUPTION_TIMEOUT_SECONDS", 0.02)
    queues = {"default": QueueConfig(2, check_interval=600, max_abandoned=2)}
    with AntQ(queues=queues) as app:
        controlled = with_two_orphans(app)
        controlled.job("c")
        app.queue("default").status()  # answered after it has looked
        assert not controlled.has_begun_more()

        controlled.release("a", "b")
        until(lambda: not app.queue("default").status().abandoned, "their end")
        controlled.job("d")

        assert sorted(controlled.begun(2)) == ["c", "d"]
        controlled.release_all()
