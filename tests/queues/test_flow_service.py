"""What is too much for one transaction goes on, whatever happens to the process that began it."""

from textwrap import dedent

import pytest
from support.apps import until
from support.programs import TESTS, run_python
from support.stored_jobs import a_new_job

from antq_actors import AntQ, QueueConfig, Status
from antq_actors.jobs.outcome import Failed
from antq_actors.queues.services.flow import FlowService
from antq_actors.storage.format.records import Settlement
from antq_actors.storage.jobs import dependents
from antq_actors.storage.jobs.graph import GraphNode
from antq_actors.storage.jobs.group_verbs import NewGroup
from antq_actors.storage.jobs.groups import WORKFLOW
from antq_actors.storage.jobs.job_store import JobStore
from antq_actors.storage.jobs.reader import JobReader
from antq_actors.workflows.edges import Condition

DEPENDENTS = 5


@pytest.fixture
def cascade(store, monkeypatch):
    """A store in which a job has failed; of those that waited for it one is cut off so far."""
    monkeypatch.setattr(dependents, "MOST_CHANGED", 1)
    assert store.open_node() == 1
    group = store.write(JobStore.create_group, NewGroup(WORKFLOW, "flow", 0))
    new = a_new_job(queue="default")
    nodes = [GraphNode(new), *[GraphNode(new, ((~0, Condition.SUCCESS),))] * DEPENDENTS]
    store.write(JobStore.insert_graph, group, nodes, now=1)
    (job,) = store.work("default", [], node=1, limit=1, now=2).jobs
    failed = Settlement(job.id, job.state.execution, Failed("no"))
    store.work("default", [failed], node=1, limit=0, now=2)
    yield store
    store.lose_node(1)


def cancelled(store):
    return sum(job.state.status is Status.CANCELLED for job in store.list())


def test_a_service_goes_on_until_no_task_is_left(cascade, start, clock):
    assert cascade.read(JobReader.has_task)

    start(FlowService, cascade, clock)

    until(lambda: not cascade.read(JobReader.has_task), "the end of the cascade")
    assert cancelled(cascade) == DEPENDENTS


def test_an_application_goes_on_with_a_cascade_that_it_has_begun(tmp_path, monkeypatch):
    monkeypatch.setattr(dependents, "MOST_CHANGED", 1)
    monkeypatch.setattr("antq_actors.queues.services.flow.LOOK_SECONDS", 3_600.0)
    with AntQ(tmp_path, queues={"default": QueueConfig(concurrency=1)}) as app:
        group = app._runtime().store.write(JobStore.create_group, NewGroup(WORKFLOW, "flow", 0))
        new = a_new_job(worker="no.such:worker", queue="default")
        nodes = [GraphNode(new), *[GraphNode(new, ((~0, Condition.SUCCESS),))] * DEPENDENTS]
        app._runtime().store.write(JobStore.insert_graph, group, nodes, now=1)

        until(lambda: app.count_workers(status="cancelled") == DEPENDENTS, "the cascade")


BEGIN = """
    import os, signal, sys
    from pathlib import Path
    from antq_actors.jobs.outcome import Failed
    from antq_actors.storage.format.records import Settlement
    from antq_actors.storage.jobs import job_store
    from antq_actors.storage.jobs.graph import GraphNode
    from antq_actors.storage.jobs.group_verbs import NewGroup
    from antq_actors.storage.lmdb.open_stores import open_environment
    from antq_actors.workflows.edges import Condition
    from support.stored_jobs import a_new_job

    env = open_environment(Path(sys.argv[1]), durable=True)
    new = a_new_job(queue="default")
    nodes = [GraphNode(new), *[GraphNode(new, ((~0, Condition.SUCCESS),))] * 2_500]

    def begin(store):
        store.add_node(1)
        group = store.create_group(NewGroup(1, "flow", 0))
        store.insert_graph(group, nodes, now=1)
        (job,) = store.work("default", [], node=1, limit=1, now=2).jobs
        store.settle(Settlement(job.id, job.state.execution, Failed("no")), now=2)

    job_store.write(env, begin)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_cascade_survives_the_death_of_the_process_that_began_it(tmp_path):
    path = tmp_path / "store"
    run_python("-c", dedent(BEGIN), path, cwd=TESTS)

    with AntQ(path, start_queues=False) as look:
        assert 0 < look.count_workers(status="cancelled") <= 1_000
    with AntQ(path) as app:
        until(lambda: app.count_workers(status="cancelled") == 2_500, "the cascade")
        assert app.count_workers(status="suspended") == 0
