"""The pruner deletes what ended long enough ago, by a clock that the test turns."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antq_actors.jobs import lifecycle
from antq_actors.jobs.instant import SECOND
from antq_actors.jobs.outcome import Cancelled, Completed, Failed
from antq_actors.jobs.state import JobSpec, NewJob, Status
from antq_actors.otp import call
from antq_actors.queues.services.periodic import RunOnce
from antq_actors.queues.services.pruner import Pruner, PrunerConfig
from antq_actors.storage.format.records import Settlement
from antq_actors.storage.jobs.job_store import JobStore


@pytest.fixture(autouse=True)
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
    outcome = OUTCOMES[status]
    settlement = Settlement(id_, claimed.state.execution, outcome)
    store.work("default", [settlement], node=1, limit=0, now=at)
    return id_


def a_job(store, *, at, due=None):
    state = lifecycle.create(queue_name="default", now=at, due=due)
    return store.write(JobStore.insert, NewJob(state, JobSpec("w", b"", at)))


def ids(store):
    return [job.id for job in store.list()]


@pytest.mark.parametrize("status", OUTCOMES)
def test_an_ended_job_is_deleted_only_after_its_retention(store, clock, start, status):
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


def test_a_job_that_has_not_ended_is_never_deleted(store, clock, start):
    running = a_job(store, at=clock.now)
    store.work("default", [], node=1, limit=1, now=clock.now)
    enqueued = a_job(store, at=clock.now)
    overdue = a_job(store, at=clock.now, due=clock.now + SECOND)
    clock.advance(10**9)
    pruner = start(Pruner, store, PrunerConfig(retention=1), clock)

    assert call(pruner, RunOnce()) == 0

    assert ids(store) == [running, enqueued, overdue]


def test_one_transaction_deletes_no_more_than_a_batch(store, clock, start):
    pruner = start(Pruner, store, PrunerConfig(retention=60, batch=2), clock)
    for _ in range(5):
        a_job_that_ended(store, Status.COMPLETED, at=clock.now)
    clock.advance(61)

    assert [call(pruner, RunOnce()) for _ in range(4)] == [2, 2, 1, 0]


def test_a_starting_pruner_deletes_batches_until_no_old_job_is_left(store, clock, start):
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


def test_an_unknown_message_does_not_change_the_pruner(store, clock, start):
    a_job_that_ended(store, Status.COMPLETED, at=clock.now)
    pruner = start(Pruner, store, PrunerConfig(retention=60), clock)

    pruner.tell("prune")

    assert call(pruner, RunOnce()) == 0
    assert len(ids(store)) == 1
