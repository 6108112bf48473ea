"""What becomes of a batch whose process dies before it is closed."""

import pytest
from support.stored_jobs import a_new_job

from antq_actors.otp import call
from antq_actors.queues.services.housekeeping import Rescuer, RescuerConfig
from antq_actors.queues.services.periodic import RunOnce
from antq_actors.storage.jobs.group_verbs import NewGroup
from antq_actors.storage.jobs.groups import BATCH
from antq_actors.storage.jobs.job_store import JobStore
from antq_actors.storage.jobs.reader import JobReader
from antq_actors.workflows.counters import Ends

DEAD = 7


@pytest.fixture
def rescuer(store, start, clock):
    return start(Rescuer, store, RescuerConfig(max_interruptions=5), clock)


def rescue(store, rescuer):
    """Record a node whose lock nobody holds, and look for such nodes."""
    store.write(JobStore.add_node, DEAD, ["default"])
    call(rescuer, RunOnce())


def a_batch(store, *, cancel_abandoned, node=DEAD):
    new = NewGroup(BATCH, "import", 0, cancel_abandoned=cancel_abandoned)
    batch = store.write(JobStore.create_group, new, node=node)
    store.write(JobStore.insert_members, batch, [a_new_job(queue="default") for _ in range(3)])
    return batch


def group(store, batch):
    return store.read(JobReader.batch, batch).group


def test_a_batch_that_is_kept_stays_open_with_its_dead_node(store, rescuer):
    batch = a_batch(store, cancel_abandoned=False)

    rescue(store, rescuer)

    assert not group(store, batch).is_closed
    assert group(store, batch).node == DEAD
    assert store.living_of([DEAD]) == ()


def test_a_batch_that_is_to_be_cancelled_is(store, rescuer):
    batch = a_batch(store, cancel_abandoned=True)

    rescue(store, rescuer)

    assert group(store, batch).is_closed
    assert group(store, batch).ends == Ends(cancelled=3)


def test_a_batch_that_was_closed_or_is_of_another_node_is_left(store, rescuer):
    closed = a_batch(store, cancel_abandoned=True)
    store.write(JobStore.close_group, closed, now=1)
    others = a_batch(store, cancel_abandoned=True, node=1)

    rescue(store, rescuer)

    assert group(store, closed).ends == group(store, others).ends == Ends()
