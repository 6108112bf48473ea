"""The pruner, the rescuer, and how they take a store that refuses."""

import logging
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.stored_jobs import a_new_job

from antq_actors import StorageError
from antq_actors.jobs.instant import SECOND
from antq_actors.jobs.outcome import Cancelled, Completed, Failed
from antq_actors.jobs.state import Status
from antq_actors.otp import call, stop
from antq_actors.queues.node import QueueNode
from antq_actors.queues.services.housekeeping import Pruner, PrunerConfig, Rescuer, RescuerConfig
from antq_actors.queues.services.periodic import RunOnce
from antq_actors.storage.actor import StorageActor
from antq_actors.storage.client import StorageClient
from antq_actors.storage.format.records import Settlement
from antq_actors.storage.jobs.job_store import JobStore
from antq_actors.storage.jobs.reader import JobReader
from antq_actors.storage.locks import node_lock

# ---- the pruner deletes what ended long enough ago --------------------------------------------


@pytest.fixture
def node(store):
    assert store.open_node() == 1
    yield
    store.lose_node(1)


OUTCOMES = {
    Status.COMPLETED: Completed(),
    Status.FAILED: Failed("no"),
    Status.CANCELLED: Cancelled("no more"),
}


def a_job_that_ended(store, status, *, at):
    id_ = a_job(store, at=at)
    (claimed,) = store.work("default", [], node=1, limit=1, now=at).jobs
    assert claimed.id == id_
    settlement = Settlement(id_, claimed.state.execution, OUTCOMES[status])
    store.work("default", [settlement], node=1, limit=0, now=at)
    return id_


def a_job(store, *, at, due=None):
    return store.write(JobStore.insert, a_new_job(now=at, due=due, queue="default"))


def ids(store):
    return [job.id for job in store.list()]


@pytest.mark.parametrize("status", OUTCOMES)
def test_an_ended_job_is_deleted_only_after_its_retention(store, node, clock, start, status):
    old = a_job_that_ended(store, status, at=clock.now)
    clock.advance(1)
    young = a_job_that_ended(store, status, at=clock.now)
    pruner = start(Pruner, store, PrunerConfig(retention=60), clock)

    clock.advance(59)
    assert call(pruner, RunOnce()) == 0
    assert ids(store) == [old, young]
    clock.advance(0.5)

    assert call(pruner, RunOnce()) == 1
    assert ids(store) == [young]


def test_a_job_that_has_not_ended_is_never_deleted(store, node, clock, start):
    running = a_job(store, at=clock.now)
    store.work("default", [], node=1, limit=1, now=clock.now)
    enqueued = a_job(store, at=clock.now)
    overdue = a_job(store, at=clock.now, due=clock.now + SECOND)
    clock.advance(10**9)
    pruner = start(Pruner, store, PrunerConfig(retention=1), clock)

    assert call(pruner, RunOnce()) == 0

    assert ids(store) == [running, enqueued, overdue]


def test_one_transaction_deletes_no_more_than_a_batch(store, node, clock, start):
    pruner = start(Pruner, store, PrunerConfig(retention=60, batch=2), clock)
    for _ in range(5):
        a_job_that_ended(store, Status.COMPLETED, at=clock.now)
    clock.advance(61)

    assert [call(pruner, RunOnce()) for _ in range(4)] == [2, 2, 1, 0]


def test_a_starting_pruner_deletes_batches_until_no_old_job_is_left(store, node, clock, start):
    for _ in range(5):
        a_job_that_ended(store, Status.COMPLETED, at=clock.now)
    clock.advance(61)

    pruner = start(Pruner, store, PrunerConfig(retention=60, batch=2), clock)

    # Each round sends the next one to itself before it answers us, so a few calls see the end.
    for _ in range(20):
        call(pruner, RunOnce())
    assert ids(store) == []


@given(retention=st.floats(0.001, 10**9))
def test_the_pruning_interval_is_an_hour_or_a_shorter_retention(retention):
    assert PrunerConfig(retention=retention).interval == min(retention, 3600)


def test_an_unknown_message_does_not_change_the_pruner(store, node, clock, start):
    a_job_that_ended(store, Status.COMPLETED, at=clock.now)
    pruner = start(Pruner, store, PrunerConfig(retention=60), clock)

    pruner.tell("prune")

    assert call(pruner, RunOnce()) == 0
    assert len(ids(store)) == 1


# ---- the rescuer gives back the jobs of nodes that died, and of no others ---------------------

ASLEEP = RescuerConfig(max_interruptions=3, interval=3600.0)


def running_jobs(store, clock, node, count=1, queue="default"):
    """Jobs that run on a node; answers their ids."""
    for _ in range(count):
        store.write(JobStore.insert, a_new_job(now=clock.now, queue=queue))
    claim = store.work(queue, [], node=node, limit=count, now=clock.now)
    return [job.id for job in claim.jobs]


def die(store, node):
    """What the death of its process does to a node: the lock is free, the record stays."""
    node_lock.release(store._path, node)


def test_only_the_jobs_of_dead_nodes_are_interrupted(store, clock, start):
    dead, living = store.open_node(), store.open_node()
    lost = running_jobs(store, clock, dead, 2) + running_jobs(store, clock, dead, 1, "mail")
    (kept,) = running_jobs(store, clock, living)
    rescuer = start(Rescuer, store, ASLEEP, clock)
    assert call(rescuer, RunOnce()) == 0

    die(store, dead)

    assert call(rescuer, RunOnce()) == 3
    for id_ in lost:
        job = store.read(JobReader.get, id_)
        assert (job.state.status, job.state.attempts) == (Status.ENQUEUED, 0)
        assert job.state.interruptions == 1
        assert job.errors[0].error == f"interrupted: its node {dead} died"
    assert store.read(JobReader.get, kept).state.status is Status.RUNNING
    assert call(rescuer, RunOnce()) == 0


def test_a_starting_rescuer_runs_at_once(store, clock, start):
    dead = store.open_node()
    (lost,) = running_jobs(store, clock, dead)
    die(store, dead)

    rescuer = start(Rescuer, store, ASLEEP, clock)

    assert call(rescuer, RunOnce()) == 0  # behind the first look
    assert store.read(JobReader.get, lost).state.status is Status.ENQUEUED


def test_a_job_with_too_many_interruptions_fails(store, clock, start):
    rescuer = start(Rescuer, store, ASLEEP, clock)
    assert call(rescuer, RunOnce()) == 0  # behind its own first look

    for _ in range(3):
        node = store.open_node()
        (id_,) = running_jobs(store, clock, node, 1) if not store.list() else [again(store, node)]
        die(store, node)
        assert call(rescuer, RunOnce()) == 1

    job = store.read(JobReader.get, id_)
    assert (job.state.status, job.state.interruptions) == (Status.FAILED, 3)
    assert job.state.attempts == 0


def again(store, node):
    (job,) = store.work("default", [], node=node, limit=1, now=10**15).jobs
    return job.id


def test_a_dead_node_without_jobs_is_removed(store, clock, start):
    die(store, store.open_node())
    rescuer = start(Rescuer, store, ASLEEP, clock)

    assert call(rescuer, RunOnce()) == 0

    assert store.dead_nodes() == []


def test_a_node_that_closes_with_running_jobs_is_rescued_as_a_dead_one(store, clock, start):
    node = QueueNode(store, ["default"])
    (left,) = running_jobs(store, clock, node.number())
    rescuer = start(Rescuer, store, ASLEEP, clock)
    assert call(rescuer, RunOnce()) == 0

    node.close()

    assert call(rescuer, RunOnce()) == 1
    assert store.read(JobReader.get, left).state.status is Status.ENQUEUED


def test_a_node_has_one_number_until_it_closes_and_a_new_one_afterwards(store):
    node = QueueNode(store, ["default"])
    first = node.number()
    assert node.number() == first

    node.close()
    node.close()

    assert node.number() != first
    node.close()
    assert store.dead_nodes() == []


def test_a_node_stores_what_it_declares_once_and_before_it_has_a_number(store):
    declared = []
    node = QueueNode(store, ["default"], declare=lambda: declared.append(store.node_infos()))

    first = node.number()
    node.lost(first)
    second = node.number()

    assert first != second
    assert declared == [[]]
    node.close()


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_a_killed_process_is_a_dead_node(store, clock, start, program):
    code = (
        "import sys; from pathlib import Path; from antq_actors.storage.locks import node_lock;"
        "node_lock.hold(Path(sys.argv[1]), int(sys.argv[2])); print('held', flush=True); input()"
    )
    node = store.open_node()
    (lost,) = running_jobs(store, clock, node)
    die(store, node)
    other = program("-c", code, store._path, node)
    assert other.line() == "held"
    rescuer = start(Rescuer, store, ASLEEP, clock)
    assert call(rescuer, RunOnce()) == 0
    assert store.read(JobReader.get, lost).state.status is Status.RUNNING

    other.kill()

    assert call(rescuer, RunOnce()) == 1
    assert store.read(JobReader.get, lost).state.status is Status.ENQUEUED


# ---- while a store refuses, they keep what they have, say so now and then, and ask again ------

NAME = "storage-that-comes-and-goes"
SOON = 0.02


@pytest.fixture
def refused(tmp_path):
    """The client of a store that is not there."""
    stop(StorageActor.start(tmp_path / "store", wake=lambda _: None, name=NAME))
    return StorageClient(NAME, tmp_path / "store", timeout=SOON)


RESCUER = Rescuer, RescuerConfig(max_interruptions=3, interval=SOON), RunOnce()
PRUNER = Pruner, PrunerConfig(retention=SOON), RunOnce()


@pytest.mark.parametrize("part", [RESCUER, PRUNER], ids=lambda part: part[0].__name__)
def test_a_service_logs_a_refusing_store_once_and_recovers(refused, start, caplog, part):
    actor, config, question = part
    ref = start(actor, refused, config)

    for _ in range(3):
        with pytest.raises(StorageError, match="is gone"):
            call(ref, question)
    said = [record for record in caplog.records if record.name == "antq_actors.queues"]
    start(StorageActor, refused._path, wake=lambda _: None, name=NAME)

    assert call(ref, question) == 0
    assert len(said) == 1
    assert said[0].levelno == logging.WARNING
    assert "until the store can be used" in said[0].message
    assert ref.is_alive()


def test_a_pruner_retries_within_a_minute_whatever_its_interval(refused, clock):
    pruner = Pruner(refused, PrunerConfig(retention=14 * 86_400.0), clock)

    assert pruner._run() == 60.0
    assert PrunerConfig(retention=14 * 86_400.0).interval == 3_600.0
