"""Harm that is done to an application on purpose, and what supervision makes of it."""

import asyncio
import logging
import threading
from contextlib import suppress

import pytest
from support.apps import until
from support.heard import Heard

from antq_actors import AntQ, JobNotFound, Middleware, NotStarted, StorageError, otp, worker
from antq_actors.otp.events import (
    ChildExited,
    ChildStarted,
    ChildTerminated,
    GaveUp,
    RestartFailed,
)
from antq_actors.otp.messaging.names import registered
from antq_actors.telemetry import JobEnded, JobInterrupted, JobStarted, JobTimedOut
from antq_actors.testing import chaos, drain, testing

begun = threading.Semaphore(0)
go = threading.Event()
said = []
nodes = []
killed = []


@worker
def note(n=0):
    said.append(n)


@worker
def waits(n=0):
    begun.release()
    go.wait(30)
    with suppress(Exception):
        note.perform_async(n=99)


@worker(timeout=0.2, max_attempts=2, retry_delay=3600)
def in_thread(n=0):
    said.append(n)


@worker(timeout=0.2)
async def in_a_loop(n=0):
    said.append(n)


@worker(timeout=2, executor="process")
def in_a_process(n=0):
    return n


class Tags(Middleware):
    def around_job(self, job, call):
        said.append("around")
        return call()


@pytest.fixture(autouse=True)
def fresh():
    said.clear()
    go.clear()
    yield
    go.set()


def test_a_killed_node_gives_nothing_back_and_its_jobs_count_an_interruption(tmp_path):
    app = AntQ(tmp_path / "jobs", queues={"default": 2}).start()
    job, other = waits.perform_async(n=1), waits.perform_async(n=2)
    assert begun.acquire(timeout=20)
    assert begun.acquire(timeout=20)

    chaos.kill_node(app)

    with pytest.raises(NotStarted):
        note.perform_async()
    with app.start(queues=False):
        assert app.get_job(job.id).status == "running"
    go.set()
    with AntQ(tmp_path / "jobs", queues={"default": 2}) as again:
        assert again.wait_idle(timeout=20)
        for id_ in (job.id, other.id):
            done = again.get_job(id_)
            assert (done.status, done.interruptions, done.attempts) == ("completed", 1, 1)


def test_no_supervisor_restarts_what_is_killed_however_long_the_rest_takes(tmp_path, caplog):
    app = AntQ(tmp_path / "jobs").start()
    heard, app_root = Heard(), app.root
    queue, workers = (otp.whereis(f"{app_root}.{each}.default") for each in ("queue", "workers"))
    workers.cell.watch("slow", lambda *_: heard.wait_one(ChildExited, ref=queue))
    subscription = otp.subscribe(heard, below=app_root)

    chaos.kill_node(app)

    subscription.cancel()
    assert heard.of(ChildStarted, RestartFailed, GaveUp, ChildTerminated) == []
    assert [name for name in registered() if name.startswith(f"{app_root}.")] == []
    assert warnings_in(caplog) == []


def warnings_in(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def is_stopped(app):
    try:
        app.count_jobs()
    except NotStarted:
        return True
    except StorageError:  # its store is closed, and it is about to stop
        return False
    return False


@worker(max_attempts=2)
def kills_its_node():
    killed.pop().set()
    chaos.kill_node(nodes[-1])
    said.append("went on")


@worker(max_attempts=2)
async def kills_its_node_and_waits():
    killed.pop().set()
    chaos.kill_node(nodes[-1])
    await asyncio.sleep(30)
    said.append("went on")


@pytest.mark.parametrize("kills", [kills_its_node, kills_its_node_and_waits])
def test_a_job_that_kills_its_own_node_is_among_those_that_are_killed(tmp_path, kills, caplog):
    app = AntQ(tmp_path / "jobs", queues={"default": 2}).start()
    nodes.append(app)
    is_begun = threading.Event()
    killed.append(is_begun)
    job = kills.perform_async()
    assert is_begun.wait(20)

    until(lambda: is_stopped(app))

    assert said == []
    assert warnings_in(caplog) == []
    with app.start(queues=False):
        left = app.get_job(job.id)
        assert (left.status, left.interruptions) == ("running", 0)


def test_a_killed_application_without_a_path_is_gone_and_can_be_started_anew():
    app = AntQ().start()
    path = app.path
    waits.perform_async()
    assert begun.acquire(timeout=20)

    chaos.kill_node(app)

    assert not path.exists()
    app.stop()
    with app:
        assert app.count_jobs() == 0
        note.perform_async(n=1)
        assert app.wait_idle(timeout=20)


def test_a_crashed_storage_actor_is_restarted_and_nothing_is_lost():
    with AntQ() as app:
        job = note.perform_async(n=1)
        assert app.wait_idle(timeout=20)
        before = {child.id: child.ref for child in children(app)}

        chaos.crash_storage(app)

        after = {child.id: child.ref for child in children(app)}
        assert after["storage"] != before["storage"]
        assert after["queues"] == before["queues"]
        assert app.get_job(job.id).status == "completed"
        note.perform_async(n=2)
        assert app.wait_idle(timeout=20)
        assert said == [1, 2]


def children(app):
    return otp.Supervisor.which_children(app.root)


def test_the_next_commit_fails_and_stores_nothing():
    with testing() as app:
        chaos.fail_next_commit(app)

        with pytest.raises(StorageError, match="on purpose"):
            note.perform_async()

        assert app.count_jobs() == 0
        assert note.perform_async().id == 1


def test_a_queue_repeats_what_it_could_not_store():
    with AntQ() as app:
        job = waits.perform_async()
        assert begun.acquire(timeout=20)

        chaos.fail_next_commit(app)
        go.set()

        assert app.wait_idle(timeout=20)
        assert app.get_job(job.id).status == "completed"


@pytest.mark.parametrize("hanging", [in_thread, in_a_loop, in_a_process])
def test_a_job_hangs_until_its_timeout(hanging):
    heard = Heard()
    with AntQ(middleware=[Tags()]) as app, app.subscribe(heard, JobTimedOut, JobEnded):
        app.queue("default").pause()
        job = hanging.perform_async(n=1)
        chaos.hang_worker(app, job)
        app.queue("default").resume()
        heard.wait_one(JobTimedOut, id=job.id, abandoned=False)
        heard.wait_one(JobEnded, id=job.id)

        assert app.get_job(job.id).errors[0].error.startswith("timed out")
        assert 1 not in said


def test_only_the_next_attempt_hangs_and_a_cancel_ends_it():
    heard = Heard()
    with AntQ() as app, app.subscribe(heard, JobStarted, JobEnded, JobInterrupted):
        app.queue("default").pause()
        job = note.perform_async(n=1)
        chaos.hang_worker(app, job.id)
        app.queue("default").resume()
        heard.wait_one(JobStarted, id=job.id)
        app.cancel_job(job)
        heard.wait_one(JobEnded, id=job.id, outcome="cancelled")
        assert said == []

        app.retry_job(job)
        heard.wait_one(JobEnded, id=job.id, outcome="completed")
        assert said == [1]


def test_a_job_that_a_drain_performs_hangs_as_well():
    with testing() as app:
        job = in_thread.perform_async(n=1)
        chaos.hang_worker(app, job)

        assert drain(app, raise_errors=False).retrying == 1
        assert app.get_job(job.id).errors[0].error == "timed out after 0.2 s"
        assert said == []
        assert drain(app, scheduled=True).completed == 1


def test_a_job_hangs_in_the_next_run_of_its_application(tmp_path):
    heard = Heard()
    app = AntQ(tmp_path / "jobs")
    app.subscribe(heard, JobTimedOut)
    with app.start(queues=False):
        job = in_thread.perform_async(n=1)
        chaos.hang_worker(app, job)
    with app:
        heard.wait_one(JobTimedOut, id=job.id)
    assert said == []


def test_chaos_is_for_applications_that_run():
    for harm in (chaos.kill_node, chaos.crash_storage, chaos.fail_next_commit):
        with pytest.raises(NotStarted):
            harm(AntQ())
        with pytest.raises(TypeError):
            harm("app")
    with AntQ() as app, pytest.raises(JobNotFound):
        chaos.hang_worker(app, 99)
