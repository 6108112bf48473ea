"""Queues, nodes and the store as values, read from a real application."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from support.apps import Plain, settled, until
from support.programs import Program
from test_foreign_workers import stored_as

from antq_actors import AntQ, Status, UnknownQueue, Worker
from antq_actors.insights import Insights
from antq_actors.insights.as_json import as_json
from antq_actors.insights.nodes import differences
from antq_actors.insights.store import age_of, growth_of
from antq_actors.storage.jobs.file_samples import FileSample
from antq_actors.storage.locks.node_lock import NodeInfo, QueueInfo
from antq_actors.testing import TestClock

gate = threading.Event()


class Waits(Worker, name="overview:Waits"):
    def perform(self, job):
        gate.wait(60)


class Fails(Worker, name="overview:Fails", max_attempts=1):
    def perform(self, job):
        raise ValueError("no")


@pytest.fixture
def running(tmp_path):
    gate.clear()
    with AntQ(tmp_path / "jobs", queues={"default": 2, "mail": 1}) as app:
        yield app
        gate.set()


def unknown_workers(app):
    found = Insights(app).overview().attention
    return [row.text for row in found if row.rule == "worker_unknown"]


def test_an_idle_application_is_well(running):
    found = Insights(running).overview()

    assert found.attention == ()
    assert (found.waiting, found.running, found.slots) == (0, 0, 3)
    assert found.store == "jobs"
    assert found.last_ended_at is None
    assert 0 < found.store_fill < 1


def test_a_worker_that_a_node_cannot_import_needs_attention_for_an_hour(tmp_path):
    clock = TestClock()
    with AntQ(tmp_path / "jobs", clock=clock) as app:
        settled(app, Fails.perform_async())
        settled(app, stored_as(app, "gone.module:Send"))

        now = unknown_workers(app)
        clock.advance(3_601)
        later = unknown_workers(app)

    assert now == [
        "Jobs of queue 'default' name the worker 'gone.module:Send', which could not be imported."
    ]
    assert later == []


def test_the_numbers_of_a_queue_are_those_of_its_jobs(running):
    insights = Insights(running)
    ended = Fails.perform_async()
    settled(running, ended)
    jobs = [Waits.perform_async() for _ in range(3)]
    Waits.perform_async(schedule_in=3600)
    until(lambda: running.count_jobs(status=Status.RUNNING) == 2)

    queue = insights.queue("default")

    assert (queue.running, queue.slots, queue.waiting, queue.due) == (2, 2, 2, 1)
    assert [cell.state for cell in queue.cells] == ["running", "running"]
    assert {cell.job for cell in queue.cells} < {job.id for job in jobs}
    assert queue.nodes == (running.node,)
    assert queue.paused is None
    assert queue.per_minute.in_ > 0
    assert queue.per_minute.failed > 0
    assert insights.counts().failed == 1
    assert insights.overview().last_ended_at == running.get_job(ended.id).ended_at


def test_a_pause_says_who_why_and_when(running):
    before = datetime.now(UTC)
    running.queue("mail").pause(by="ada", reason="deploy")

    by_name = {queue.name: queue for queue in Insights(running).queues()}

    pause = by_name["mail"].paused
    assert (pause.by, pause.reason) == ("ada", "deploy")
    assert pause.at >= before
    assert by_name["default"].paused is None


def test_a_queue_that_another_process_runs_is_seen_as_well(running, tmp_path):
    Plain.perform_async()
    settled_count = until(lambda: running.count_jobs(status=Status.COMPLETED))

    with pytest.raises(UnknownQueue, match="there is no queue 'nosuch'"):
        Insights(running).queue("nosuch")
    with pytest.raises(TypeError, match="queue must be a name"):
        Insights(running).queue(5)

    assert settled_count == 1


def test_the_store_says_when_it_was_looked_after(running, tmp_path):
    Plain.perform_async()
    running.verify()
    running.backup(tmp_path / "copy")

    store = Insights(running).store()

    assert store.verify.count == 0
    assert store.backups[0].target == str(tmp_path / "copy")
    assert store.pruned is None
    assert store.pages.used["jobs"] > 0
    assert store.bytes > 0
    assert store.last_txn > 0


def write_counts(app):
    """Have what is counted for charts written now."""
    store = app.antq_here().store
    store.counts.due = 0.0
    store.write(lambda _: None)


def test_the_store_says_how_long_commits_take_also_to_a_process_that_only_looks(running, tmp_path):
    for _ in range(30):
        Plain.perform_async()
    write_counts(running)

    own = Insights(running).store()
    assert 0 < own.commit <= own.commit_p95 < 60

    seen = AntQ(tmp_path / "copy")
    running.backup(tmp_path / "copy")
    with seen:
        assert 0 < Insights(seen).store().commit < 60
    assert "growth" not in as_json(own)


def test_the_store_says_when_it_will_be_full_at_its_pace(tmp_path):
    clock = TestClock()
    with AntQ(tmp_path / "jobs", start_queues=False, clock=clock) as app:
        write_counts(app)
        assert Insights(app).store().growth is None
        for minutes in (9, 3):
            clock.advance(timedelta(minutes=minutes))
            app.enqueue_many(Plain, [{"text": "x" * 900}] * 500)
            write_counts(app)

        store = Insights(app).store()

    assert store.growth.seconds == pytest.approx(720, abs=120)
    assert store.growth.bytes_per_second > 500 * 900 / 720
    assert 0 < store.growth.full_in < 1e12


def test_a_store_that_becomes_less_is_never_full():
    samples = [FileSample(0, 90, 1, None, None), FileSample(3_600_000_000, 60, 9, None, None)]

    growth = growth_of(samples, 4096, 100_000)

    assert (growth.full_in, growth.bytes_per_second < 0) == (None, True)


def test_a_reader_is_as_old_as_the_first_sample_after_what_it_sees():
    samples = [FileSample(60_000_000 * n, 9, 10 * n, None, None) for n in range(1, 4)]

    ages = [age_of(txn, 35, samples, 200_000_000) for txn in (None, 5, 10, 25, 30, 35)]

    assert ages == [None, 140, 80, 20, None, None]


HOLDS_ON = """
import sys
import lmdb
with lmdb.open(sys.argv[1], readonly=True, max_dbs=1) as env, env.begin():
    print("reads", flush=True)
    sys.stdin.read()
"""


def test_a_reader_that_holds_on_to_an_old_state_is_shown_with_its_age(running, tmp_path):
    Plain.perform_async()
    assert running.wait_idle(timeout=30)
    reader = Program(["-c", HOLDS_ON, tmp_path / "jobs"], tmp_path)
    try:
        assert reader.line() == "reads"
        Plain.perform_async()
        write_counts(running)
        Plain.perform_async()
        (seen,) = (each for each in Insights(running).store().readers if each.age is not None)
    finally:
        reader.end()

    assert seen.pid == reader.process.pid
    assert 0 <= seen.age < 120


def test_keys_are_those_of_the_api(running):
    queue = as_json(Insights(running).queue("mail"))

    assert queue["per_minute"] == {"in": 0.0, "out": 0.0, "failed": 0.0}
    assert set(queue) >= {
        *("name", "paused", "running", "slots", "waiting", "due", "oldest_due", "per_minute"),
        *("forecast", "nodes", "limits", "cells", "executors"),
    }


def test_a_batch_is_shown_flat(running):
    with running.batch(name="b") as members:
        members.enqueue(Plain)

    (found,) = Insights(running).batches()

    assert (found.name, found.total, found.closed) == ("b", 1, True)


def test_a_node_that_differs_says_in_what():
    old = NodeInfo(number=1, version="1", queues={"mail": QueueInfo(5)})
    new = NodeInfo(number=2, version="2", queues={"mail": QueueInfo(9, "process")})
    others = [old, NodeInfo(number=3, version="1", queues={"mail": QueueInfo(5)}), new]

    assert differences(old, others) == []
    assert differences(new, others) == [
        "It runs antq-actors 2, and others run 1.",
        "Its concurrency of 'mail' is 9, and 5 elsewhere.",
        "Its executor of 'mail' is process, and thread elsewhere.",
    ]
