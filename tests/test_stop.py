"""Stop: claim no more, wait, interrupt, give back without counting, close; and nothing is left."""

import threading
import time

import pytest
from support.apps import settled, until
from support.controlled_jobs import ControlledJob, ControlledJobs

from antq_actors import AntQ, NotStarted, Status
from antq_actors.otp import orphans
from antq_actors.storage.lmdb.open_stores import open_environment


def ours():
    """Threads of this library that are neither kept for reuse nor given up."""
    given_up = set(orphans())
    return [
        thread
        for thread in threading.enumerate()
        if thread is not threading.main_thread()
        and not thread.name.startswith("otp-service")
        and thread not in given_up
    ]


@pytest.fixture
def running(run, controlled, tmp_path):
    """A durable application, and its job "a", which has begun."""
    app = controlled.app = run(tmp_path / "store")
    job = controlled.job("a")
    controlled.begun()
    return app, job


def stored(app, job):
    """Return *job* as it is in the store of *app*, which has stopped."""
    with AntQ(app.path, start_queues=False) as look:
        return look.get_worker(job.id)


def stop_in_background(app, **options):
    thread = threading.Thread(target=app.stop, kwargs=options, name="the test's own")
    thread.start()
    return thread


def test_stop_waits_for_running_jobs_and_claims_no_more(run, controlled, tmp_path):
    app = controlled.app = run(tmp_path / "store", concurrency=1)
    running, waiting = controlled.jobs(["a", "b"])
    controlled.begun()

    stopping = stop_in_background(app)
    until(lambda: is_draining(app), "the drain")
    controlled.release("a")
    stopping.join(30)

    assert not stopping.is_alive()
    assert not controlled.has_begun_more()
    with AntQ(tmp_path / "store", start_queues=False) as look:
        assert look.get_worker(running.id).status is Status.COMPLETED
        assert look.get_worker(waiting.id).status is Status.ENQUEUED
        assert look.get_worker(waiting.id).attempts == 0


def is_draining(app):
    actor = app.queue("default").ref._actor_weakref()
    return actor is not None and actor._state.draining


def test_what_outlasts_the_timeout_is_interrupted_and_given_back_without_a_trace(
    running, controlled
):
    app, job = running

    app.stop(timeout=0.1)

    assert controlled.running() == []
    given_back = stored(app, job)
    assert given_back.status is Status.ENQUEUED
    assert (given_back.attempts, given_back.interruptions, given_back.errors) == (0, 0, ())
    assert given_back.id == job.id


def test_stop_without_waiting_interrupts_and_gives_back(run, controlled, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "antq_actors.queues.queue_actor.INTERRUPTION_TIMEOUT_SECONDS", 3600
    )  # given up: never
    app = controlled.app = run(tmp_path / "store", concurrency=20)
    jobs = controlled.jobs(range(20))
    controlled.begun(20)

    app.stop(timeout=0)

    with AntQ(tmp_path / "store", start_queues=False) as look:
        assert look.count_workers(status="enqueued") == len(jobs)


def test_a_thread_that_no_interruption_reaches_is_given_up_and_its_job_given_back(
    run, controlled, tmp_path, monkeypatch
):
    monkeypatch.setattr("antq_actors.queues.queue_actor.INTERRUPTION_TIMEOUT_SECONDS", 0.2)
    before = set(orphans())
    app = controlled.app = run(tmp_path / "store")
    job = controlled.job("a", wait="deaf")
    controlled.begun()

    app.stop(timeout=0)

    assert len(set(orphans()) - before) == 1
    given_back = stored(app, job)
    assert (given_back.status, given_back.attempts, given_back.errors) == (Status.ENQUEUED, 0, ())
    controlled.release("a")
    until(lambda: not set(orphans()) - before, "the end of the abandoned thread")


def test_a_job_that_ends_by_itself_when_interrupted_keeps_its_outcome(run, controlled, tmp_path):
    app = controlled.app = run(tmp_path / "store")

    def tidy_up(job):
        try:
            while True:
                time.sleep(0.005)
        except BaseException:  # noqa: BLE001 - what such a job does
            return "tidy"

    job = controlled.job("a")
    controlled.release("a", then=tidy_up)
    controlled.begun()

    app.stop(timeout=0.1)

    assert stored(app, job).status is Status.COMPLETED


def test_a_job_given_back_runs_again_after_the_next_start(running, controlled):
    app, job = running
    app.stop(timeout=0)

    app.start()

    controlled.begun()
    controlled.release("a")
    done = settled(app, job)
    assert (done.status, done.attempts, done.errors) == (Status.COMPLETED, 1, ())


def test_jobs_that_end_during_a_stop_may_still_enqueue(running, controlled, tmp_path):
    app, job = running

    stopping = stop_in_background(app)
    until(lambda: is_draining(app), "the drain")
    controlled.release(
        "a", then=lambda job: ControlledJob.perform_async({**job.args, "name": "next"})
    )
    stopping.join(30)

    with AntQ(tmp_path / "store", start_queues=False) as look:
        assert look.get_worker(job.id).status is Status.COMPLETED
        assert [j.args["name"] for j in look.list_workers(status="enqueued")] == ["next"]


def test_after_a_stop_no_thread_of_ours_lives_and_the_store_is_closed(controlled, tmp_path):
    before = set(ours())
    app = controlled.app = AntQ(tmp_path / "store", queues={"default": 3, "mail": 3}).start()
    controlled.jobs(range(5))
    controlled.begun(3)

    app.stop(timeout=0)

    until(lambda: not set(ours()) - before, f"the end of {ours()}")
    open_environment(tmp_path / "store").close()


def test_a_volatile_store_is_gone_after_a_stop(controlled):
    app = controlled.app = AntQ().start()
    path = app.path
    assert path.is_dir()

    app.stop()

    assert not path.exists()


def test_stop_twice_and_stop_before_start_do_nothing(run):
    app = AntQ()
    app.stop()
    app.start()
    app.stop()
    app.stop()

    with pytest.raises(NotStarted):
        app.count_workers()


def test_start_twice_is_one_start_and_start_after_stop_works(controlled):
    app = controlled.app = AntQ()
    try:
        assert app.start() is app
        root = app.root
        assert app.start() is app
        assert app.root is root
        app.stop()
        app.start()
        job = controlled.job("a")
        controlled.release("a")
        assert settled(app, job).status is Status.COMPLETED
    finally:
        app.stop()


def test_two_threads_may_stop_at_once(run, controlled):
    app = controlled.app = run()
    controlled.job("a")
    controlled.begun()

    stopping = [stop_in_background(app, timeout=0.1) for _ in range(2)]

    for thread in stopping:
        thread.join(30)
        assert not thread.is_alive()
    assert controlled.running() == []


def test_a_job_may_not_stop_its_own_application(run, controlled):
    app = controlled.app = run()
    job = controlled.job("a")

    controlled.release("a", then=lambda job: app.stop())

    failed = settled(app, job)
    assert failed.status is Status.FAILED
    assert "stop() was called by a job" in failed.errors[0].error


def test_a_job_that_stops_its_application_while_it_is_stopping_is_refused_at_once(
    running, controlled
):
    app, job = running

    stopping = stop_in_background(app)
    until(lambda: is_draining(app), "the drain")
    controlled.release("a", then=lambda job: app.stop())
    stopping.join(30)

    assert not stopping.is_alive()
    assert "stop() was called by a job" in stored(app, job).errors[0].error


def test_a_job_may_stop_another_application(run, controlled):
    app, other = run(), AntQ(start_queues=False).start()
    controlled.app = app
    job = controlled.job("a")

    controlled.release("a", then=lambda job: other.stop())

    assert settled(app, job).status is Status.COMPLETED
    with pytest.raises(NotStarted):
        other.count_workers()


def test_perform_async_falls_back_to_the_application_started_before(run):
    first, second = run(), run()
    controlled = ControlledJobs()

    second.stop()
    job = ControlledJob.perform_async(
        {"controller": controlled._name, "name": "a", "wait": "interruptible"}
    )
    controlled.release_all()

    assert settled(first, job).status is Status.COMPLETED


def test_a_paused_queue_stops_like_any_other(run, controlled):
    app = controlled.app = run()
    app.queue("default").pause()
    controlled.job("a")

    app.stop()

    assert not controlled.has_begun_more()


@pytest.mark.parametrize("timeout", [-1, float("nan"), "soon", None])
def test_a_timeout_that_is_none_is_refused_and_nothing_stops(run, timeout):
    app = run()

    with pytest.raises((TypeError, ValueError)):
        app.stop(timeout=timeout)

    assert app.count_workers() == 0
