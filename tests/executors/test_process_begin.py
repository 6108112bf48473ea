"""The moment between a process and its first job: its modules, however long they take."""

import os
import sys

import pytest
from job_actions import ActionJob
from recording_workers import Nothing
from support.apps import settled, until

from antq_actors import AntQ, QueueConfig, Status
from antq_actors.executors.process import session

MODULE = """
import os
import time
from pathlib import Path

from antq_actors import Worker

place = Path(__file__).parent
if os.getpid() != {parent}:
    (place / "importing").touch()
    time.sleep({seconds})

class Slow(Worker):
    def perform(self, job): ...

class Strict(Worker):
    def perform(self, job):
        assert 0 < job.remaining() <= {timeout}
"""
TIMEOUT = 1.5


@pytest.fixture
def app():
    with AntQ(queues={"default": QueueConfig(1, executor="process", max_jobs=1)}) as app:
        yield app


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Make a module with workers, which takes so many seconds in every process but this."""
    monkeypatch.syspath_prepend(tmp_path)

    def make(seconds):
        name = f"takes_{seconds}_seconds"
        text = MODULE.format(parent=os.getpid(), seconds=seconds, timeout=TIMEOUT)
        (tmp_path / f"{name}.py").write_text(text)
        return __import__(name)

    yield make
    for name in list(sys.modules):
        if name.startswith("takes_"):
            del sys.modules[name]


def test_the_time_of_a_job_begins_when_its_module_is_there(module, app):
    strict = module(2).Strict

    # The first process is told of the module, the second imports it before it has a job.
    for _ in range(2):
        job = app.enqueue(strict, {}, timeout=TIMEOUT, max_attempts=1)
        assert (settled(app, job).status, settled(app, job).errors) == (Status.COMPLETED, ())


def test_the_time_of_a_job_stands_still_when_its_process_ends_before_it(module, tmp_path):
    strict = module(2).Strict
    with AntQ(queues={"default": QueueConfig(1, executor="process")}) as app:
        settled(app, app.enqueue(strict, {}, timeout=TIMEOUT))
        app.queue("default").pause()
        app.enqueue(ActionJob, {"place": str(tmp_path), "action": "hear_no_more"})
        job = app.enqueue(strict, {}, timeout=TIMEOUT, max_attempts=1)

        app.queue("default").resume()

        assert settled(app, job).errors == ()


def test_a_job_whose_module_does_not_come_to_an_end_can_be_cancelled(module, app, tmp_path):
    job = app.enqueue(module(3600).Slow, {})
    until((tmp_path / "importing").exists, "its import")

    app.cancel_worker(job)

    assert settled(app, job).status is Status.CANCELLED
    assert settled(app, app.enqueue(Nothing, {})).status is Status.COMPLETED


def test_a_module_that_does_not_come_to_an_end_fails_its_jobs_alone(module, app, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(session, "START_TIMEOUT_SECONDS", 3.0)
        (error,) = settled(app, app.enqueue(module(3600).Slow, {}, max_attempts=1)).errors

    expected = "no process was ready for the job, which needs the module 'takes_3600_seconds'"
    assert error.error == f"{expected} within 3 s"
    assert settled(app, app.enqueue(Nothing, {})).status is Status.COMPLETED
