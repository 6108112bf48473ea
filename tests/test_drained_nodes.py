"""A node is drained from outside: it ends what runs, and its process goes on without queues."""

import os
import signal
import threading

import pytest
from support.apps import Plain, settled

from antq_actors import AntQ, Status
from antq_actors.app import signals
from antq_actors.app.node_socket import ask


def drained(app):
    """Begin to drain the node of this process; return what is set when that is done."""
    done = threading.Event()
    app.antq_when_drained(done.set)
    app.antq_here().node_drain.begin()
    return done


@pytest.fixture
def busy(app, controlled):
    """An application with a job that runs, and controlled jobs of it."""
    controlled.app = app
    controlled.job("first", queue="default")
    controlled.begun()
    return app


def test_drained_node_ends_what_runs_and_claims_nothing_more(busy, controlled):
    done = drained(busy)
    later = busy.enqueue(Plain)

    assert not done.is_set()
    controlled.release_all()

    assert done.wait(60)
    assert busy.count_jobs(status="completed") == 1
    assert busy.get_job(later.id).status is Status.ENQUEUED
    assert busy.nodes() == []
    assert not busy.runs_queues
    assert busy.node == 0


def test_drained_process_still_enqueues_and_looks_at_jobs(app):
    assert drained(app).wait(60)

    job = app.enqueue(Plain)
    app.queue("default").pause(by="ada")
    batch = app.batch("import")

    assert app.get_job(job.id).status is Status.ENQUEUED
    assert app.queue("default").status().paused
    assert batch.id
    assert not [node for node in app.nodes() if node.queues]
    assert [each.code for each in app.explain(job).reasons] == ["no_node", "paused"]


def test_drain_that_is_asked_for_twice_is_one(busy, controlled):
    done = drained(busy)

    assert busy.antq_here().node_drain.begin() == 1
    controlled.release_all()
    assert done.wait(60)


def test_application_that_stops_during_a_drain_interrupts_as_ever(app, controlled):
    controlled.app = app
    job = controlled.job("long", queue="default")
    controlled.begun()
    done = drained(app)

    app.stop(timeout=0)

    assert not app.antq_is_running
    assert not done.is_set()
    if not app.is_volatile:
        with app.start(queues=False):
            assert app.get_job(job.id).status is Status.ENQUEUED


def test_drained_application_may_be_started_anew_with_queues(tmp_path):
    app = AntQ(tmp_path / "store")
    with app:
        assert drained(app).wait(60)
    with app:
        assert settled(app, app.enqueue(Plain)).status is Status.COMPLETED


def test_program_that_runs_an_application_ends_when_its_node_is_drained(tmp_path):
    app = AntQ(tmp_path / "store")
    said = []

    def up():
        said.append(ask(app.path, app.node, "drain", {}))

    assert signals.run(app, when_up=up) is True
    assert said == [0]
    assert not app.antq_is_running


def test_program_that_got_a_signal_was_not_drained(tmp_path):
    app = AntQ(tmp_path / "store")

    was_drained = signals.run(app, when_up=lambda: os.kill(os.getpid(), signal.SIGTERM))

    assert was_drained is False


def test_process_without_queues_has_nothing_to_drain(tmp_path):
    with AntQ(tmp_path / "store").start(queues=False) as app:
        done = drained(app)
        app.queue("default").pause()

        assert not done.is_set()
