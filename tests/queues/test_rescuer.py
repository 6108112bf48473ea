"""The rescuer gives back the jobs of nodes that died, and of no others."""

import subprocess
import sys

import pytest

from antq_actors.jobs import lifecycle
from antq_actors.jobs.state import JobSpec, NewJob, Status
from antq_actors.otp import call
from antq_actors.queues.node import Node
from antq_actors.queues.services.periodic import RunOnce
from antq_actors.queues.services.rescuer import Rescuer, RescuerConfig
from antq_actors.storage.jobs.job_store import JobStore
from antq_actors.storage.jobs.reader import JobReader
from antq_actors.storage.locks import node_lock

ASLEEP = RescuerConfig(max_interruptions=3, interval=3600.0)


def running_jobs(store, clock, node, count=1, queue="default"):
    """Jobs that run on a node; answers their ids."""
    for _ in range(count):
        state = lifecycle.create(queue_name=queue, now=clock.now)
        store.write(JobStore.insert, NewJob(state, JobSpec("w", b"", clock.now)))
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
    node = Node(store, ["default"])
    (left,) = running_jobs(store, clock, node.number())
    rescuer = start(Rescuer, store, ASLEEP, clock)
    assert call(rescuer, RunOnce()) == 0

    node.close()

    assert call(rescuer, RunOnce()) == 1
    assert store.read(JobReader.get, left).state.status is Status.ENQUEUED


def test_a_node_has_one_number_until_it_closes_and_a_new_one_afterwards(store):
    node = Node(store, ["default"])
    first = node.number()
    assert node.number() == first

    node.close()
    node.close()

    assert node.number() != first
    node.close()
    assert store.dead_nodes() == []


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_a_killed_process_is_a_dead_node(store, clock, start):
    code = (
        "import sys; from pathlib import Path; from antq_actors.storage.locks import node_lock;"
        "node_lock.hold(Path(sys.argv[1]), int(sys.argv[2])); print('held', flush=True); input()"
    )
    node = store.open_node()
    (lost,) = running_jobs(store, clock, node)
    die(store, node)
    command = [sys.executable, "-c", code, str(store._path), str(node)]
    with subprocess.Popen(  # noqa: S603 - it runs this test's own code
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "held\n"
        rescuer = start(Rescuer, store, ASLEEP, clock)
        assert call(rescuer, RunOnce()) == 0
        assert store.read(JobReader.get, lost).state.status is Status.RUNNING

        other.kill()

    assert call(rescuer, RunOnce()) == 1
    assert store.read(JobReader.get, lost).state.status is Status.ENQUEUED
