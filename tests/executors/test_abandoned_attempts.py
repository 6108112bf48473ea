"""The late end of an abandoned attempt, and of a fork that a job left: neither is logged."""

import asyncio
import logging
import os

import pytest
import recording_workers
from support.apps import settled, until
from support.trees import kill

from antq_actors import NotStarted, Status, Worker
from antq_actors.executors.base import attempt_runner
from antq_actors.executors.process import parent_connection, session, wire
from antq_actors.jobs import instant, lifecycle
from antq_actors.jobs.control import Control
from antq_actors.jobs.perform import Attempt
from antq_actors.jobs.state import JobSpec, StoredJob
from antq_actors.otp import orphans
from antq_actors.storage.format.values import encode_args


class AwaitedSwallowing(Worker):
    async def perform(self, job):
        recording_workers.note(job, "begun")
        try:
            await asyncio.sleep(60)
        except BaseException:  # noqa: BLE001 - what such a job does
            raise ValueError("something else") from None
        finally:
            recording_workers.note(job, "ended")

    def calculate_delay(self, job):
        return recording_workers.delay(job)


@pytest.mark.parametrize("kind", ["thread", "async"])
def test_an_abandoned_job_does_not_log_its_late_failure(harness, caplog):
    app = harness.start()
    worker = AwaitedSwallowing if harness.kind == "async" else recording_workers.Swallowing
    job = app.enqueue(worker, {"place": str(harness.place), "label": "a"}, max_attempts=1)
    harness.begun()

    kill(harness.worker_actors()[0])

    assert settled(app, job).status is Status.FAILED
    until(lambda: harness.notes("ended"), "the end of what it does")
    until(lambda: not orphans(), "the end of its thread")
    app.stop()
    said = [record.getMessage() for record in caplog.records if "failed perm" in record.msg]
    assert [text.rpartition(": ")[2] for text in said] == ["worker actor was killed"]
    assert harness.notes("asks after something else") == []


class Forking(Worker):
    def perform(self, job):
        if os.fork() == 0:
            raise ValueError("in a fork")


def test_a_fork_of_a_job_does_not_log_its_failure():
    reads, writes = os.pipe()
    handler = logging.StreamHandler(os.fdopen(writes, "w"))
    log = logging.getLogger("antq_actors.jobs")
    log.addHandler(handler)
    me = os.getpid()
    try:
        attempt_runner(an_attempt_of(Forking)).run()
    finally:
        if os.getpid() != me:
            handler.flush()
            os._exit(0)
        log.removeHandler(handler)
        handler.stream.close()
        os.wait()

    with os.fdopen(reads) as said:
        assert said.read() == ""


def test_a_thread_left_by_a_job_reads_no_errors_of_the_next():
    attempt = an_attempt_of(Forking)

    theirs = session.read_errors(wire.ReadErrors(1, attempt.job.id), attempt)
    others = session.read_errors(wire.ReadErrors(2, attempt.job.id + 1), attempt)

    assert parent_connection.unpack_reply(theirs) == ()
    with pytest.raises(NotStarted, match="job 2 has ended"):
        parent_connection.unpack_reply(others)


def an_attempt_of(worker):
    now = instant.now()
    state = lifecycle.claim(lifecycle.create(queue_name="default", now=now), node=1, now=now)
    spec = JobSpec(worker.antq_name, encode_args({}), now, None)
    return Attempt(StoredJob(1, state, spec, ()), Control())


def test_a_fork_that_leaves_a_job_in_a_process_logs_nothing(pool, capfd):
    pool.start()

    job = pool.does("fork_and_leave")

    assert job.errors == ()
    pool.app.stop()
    assert "failed permanently" not in "".join(capfd.readouterr())
