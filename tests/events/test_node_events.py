"""Queues, nodes, executors and the store tell what becomes of them."""

import os
import signal

import pytest
from support.controlled_jobs import ControlledJobs
from support.heard import Heard
from support.programs import Program

from antq_actors import AntQ, Status, Worker, maintenance, otp, worker
from antq_actors.errors import StorageError
from antq_actors.storage.lmdb.open_stores import open_environment, opened
from antq_actors.telemetry import (
    BackedUp,
    Committed,
    Compacted,
    ConcurrencyChanged,
    ExecutorDied,
    ExecutorStarted,
    JobEnded,
    JobInterrupted,
    JobStarted,
    MapGrown,
    NodeDied,
    NodeStarted,
    NodeStopped,
    OutageBegan,
    OutageEnded,
    Pruned,
    QueuePaused,
    QueueResumed,
    QueueStarted,
    QueueStopped,
    Rescued,
)


class InChild(Worker, executor="process", max_attempts=1):
    def perform(self, job):
        if job.args.get("dies"):
            os.kill(os.getpid(), signal.SIGKILL)


@worker
async def on_loop():
    pass


class Large(Worker):
    def perform(self, job):
        pass


@pytest.fixture
def heard():
    return Heard()


@pytest.fixture
def app(heard, tmp_path):
    app = AntQ(tmp_path / "jobs", queues={"default": 2})
    with app.subscribe(heard):
        app.start()
        yield app
        app.stop()


def test_a_queue_tells_of_its_life(app, heard):
    queue = app.queue("default")
    queue.pause(by="ops", reason="a deploy")
    queue.pause()
    queue.resume()
    queue.resume()
    queue.set_concurrency(3)
    node = app.node
    app.stop()

    told = [NodeStarted, QueueStarted, QueuePaused, QueueResumed, ConcurrencyChanged]
    told += [QueueStopped, NodeStopped]
    assert [type(each) for each in heard.of(*told)] == told
    assert {each.node for each in heard.events} == {node}
    paused = heard.wait_one(QueuePaused)
    assert (paused.queue, paused.by, paused.reason) == ("default", "ops", "a deploy")
    assert heard.wait_one(ConcurrencyChanged).concurrency == 3
    assert heard.wait_one(QueueStopped).orphans == 0


@pytest.mark.parametrize("given", [{"by": 7}, {"reason": b"why"}])
def test_who_pauses_a_queue_and_why_is_text(app, given):
    with pytest.raises(TypeError, match=next(iter(given))):
        app.queue("default").pause(**given)


def test_processes_tell_when_they_start_and_die(app, heard):
    job = app.enqueue(InChild, {"dies": True})

    assert heard.wait_one(JobEnded, id=job.id).outcome == "failed"
    died = heard.wait_one(ExecutorDied)
    assert (died.kind, died.node) == ("process", app.node)
    assert "SIGKILL" in died.reason
    assert died.pid in {each.pid for each in heard.of(ExecutorStarted)}
    app.enqueue(InChild)
    app.wait_idle(timeout=60)
    app.stop()
    assert heard.of(ExecutorDied) == [died]


def test_an_event_loop_tells_when_it_starts(app, heard):
    app.enqueue(on_loop)

    started = heard.wait_one(ExecutorStarted)
    assert (started.kind, started.pid) == ("async", os.getpid())


def test_a_commit_says_how_many_jobs_it_changed(app, heard):
    app.enqueue_many(Large, [{}] * 5, schedule_in=3_600)

    commit = heard.wait_one(Committed, jobs=5)
    assert commit.waited >= 0
    assert commit.took > 0


def test_a_backup_and_a_compaction_are_told(app, heard, tmp_path):
    app.backup(tmp_path / "copy")
    app.stop()
    maintenance.compact(app.path)

    assert heard.wait_one(BackedUp).path == str(tmp_path / "copy")
    heard.wait_one(Compacted)


def test_a_store_that_is_given_more_room_says_how_much(heard, tmp_path, monkeypatch):
    monkeypatch.setitem(open_environment.__kwdefaults__, "map_size", 2**20)
    app = AntQ(tmp_path / "small")
    with app.subscribe(heard), app:
        app.enqueue(Large, {"text": "x" * 2**21}, schedule_in=3_600)

        assert heard.wait_one(MapGrown).size >= 2**21


def test_jobs_that_are_deleted_for_their_age_are_counted(heard):
    app = AntQ(retention=0.2)
    with app.subscribe(heard), app:
        app.enqueue(Large)
        app.enqueue(Large)
        heard.wait(JobEnded, 2)

        assert heard.wait_one(Pruned).count >= 1


NODE = """
import sys
from antq_actors import AntQ
from support.controlled_jobs import ControlledJobs

with AntQ(sys.argv[1]) as app:
    jobs = ControlledJobs(app)
    jobs.job("a")
    jobs.begun()
    print(app.node, flush=True)
    sys.stdin.read()
"""


def test_of_another_process_its_death_and_the_rescue_alone_are_heard(app, heard, tmp_path):
    app.queue("default").pause()
    app.queue("default").resume()
    app.stop()
    program = Program(["-c", NODE, app.path], tmp_path)
    try:
        peer = int(program.line())
        heard.events.clear()
        app.start(queues=True)
        app.queue("default").pause()
        program.send(signal.SIGKILL)
        died = heard.wait_one(NodeDied)
        rescued = heard.wait_one(Rescued)
    finally:
        program.kill()
        program.end()

    assert (died.peer, died.jobs, died.node) == (peer, 1, app.node)
    assert rescued.count == 1
    assert heard.of(JobStarted, JobEnded, JobInterrupted) == []


def test_the_interruption_that_fails_a_job_is_told_with_its_end(heard, tmp_path):
    app = AntQ(tmp_path / "jobs", max_interruptions=1)
    with app.subscribe(heard), app:
        jobs = ControlledJobs(app)
        job = jobs.job("a")
        jobs.begun()
        otp.exit(app.queue("default").ref, otp.Killed())

        interrupted = heard.wait_one(JobInterrupted, id=job.id)
        ended = heard.wait_one(JobEnded, id=job.id)
        assert app.get_job(job.id).status is Status.FAILED
    assert interrupted.reason
    assert (ended.outcome, ended.error_type) == ("failed", None)


def test_a_store_that_refuses_for_a_while_says_so_once(app, heard, monkeypatch):
    env = opened(app.path)
    write = env.write

    def refuse(*_arguments, **_options):
        raise StorageError("the disk is full")

    monkeypatch.setattr(env, "write", refuse)
    for _ in range(2):
        with pytest.raises(StorageError, match="is full"):
            app.enqueue(Large)
    monkeypatch.setattr(env, "write", write)
    app.enqueue(Large)

    assert heard.wait_one(OutageBegan).error == "the disk is full"
    assert heard.wait_one(OutageEnded).lasted >= 0
    assert len(heard.of(OutageBegan, OutageEnded)) == 2
