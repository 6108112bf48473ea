"""What a suspended job waits for, as explanations name it."""

import pytest
from support.stored_base import Timed
from support.stored_jobs import a_new_job

from antq_actors import explain
from antq_actors.jobs.outcome import COMPLETED
from antq_actors.storage.format.records import Settlement
from antq_actors.storage.jobs.graph import GraphNode
from antq_actors.storage.jobs.group_verbs import NewGroup
from antq_actors.storage.jobs.groups import BATCH, PART, WORKFLOW
from antq_actors.storage.jobs.job_store import JobStore
from antq_actors.workflows.edges import Condition

SUCCESS = Condition.SUCCESS


@pytest.fixture
def app(stored):
    """An application on the store that holds many jobs, of which none is due."""
    with Timed(stored, start_queues=False) as app:
        yield app


def write(app, verb, *args, **options):
    return app._runtime().store.write(verb, *args, **options)


def a_group(app, kind=WORKFLOW):
    return write(app, JobStore.create_group, NewGroup(kind, "flow", 0))


def add(app, group, *nodes):
    graph = [GraphNode(a_new_job(queue="default"), tuple(after)) for after in nodes]
    return write(app, JobStore.insert_graph, group, graph, now=1)


def close(app, group):
    def verb(store):
        store.composition.groups.get(group).is_closed = True
        store.composition.touch(group, 5)

    write(app, verb)


def complete_first(app, part=0):
    """Complete the first job that is due, which may expand into a group; return its id."""

    def verb(store):
        store.add_node(7)
        (job,) = store.work("default", [], node=7, limit=1, now=2).jobs
        store.settle(Settlement(job.id, job.state.execution, COMPLETED), now=3)
        if part:
            store.expand(job.id, part, now=3)
        return job.id

    return write(app, verb)


def waits(app, id_):
    kinds = (explain.WaitsFor, explain.BatchOpen)
    return [reason for reason in app.explain(id_).reasons if isinstance(reason, kinds)]


def test_a_suspended_job_names_those_that_it_waits_for_until_they_have_ended(app):
    first, second, last = add(app, a_group(app), [], [], [(~0, SUCCESS), (~1, SUCCESS)])

    assert app.explain(last).reasons[0] == explain.WaitsFor((first, second), None, 2)
    assert "waits for 2 jobs that have not ended" in app.explain(last).text

    assert complete_first(app) == first
    assert waits(app, last) == [explain.WaitsFor((second,), None, 1)]
    assert "1 job that has not ended" in app.explain(last).text

    complete_first(app)
    assert waits(app, last) == []


def test_a_join_names_some_members_of_its_group_and_how_many_are_left(app):
    part = a_group(app, PART)
    members = add(app, part, *[[]] * 150)
    (join,) = add(app, a_group(app), [(part, SUCCESS)])

    assert waits(app, join) == [
        explain.WaitsFor(tuple(members[:100]), None, 150),
        explain.BatchOpen(part),
    ]
    close(app, part)
    complete_first(app)
    assert waits(app, join) == [explain.WaitsFor(tuple(members[1:101]), None, 149)]


def test_one_that_waits_for_a_batch_names_it(app):
    batch = a_group(app, BATCH)
    members = add(app, batch, [], [])
    (join,) = add(app, a_group(app), [(batch, SUCCESS)])

    assert waits(app, join) == [
        explain.WaitsFor(tuple(members), batch, 2),
        explain.BatchOpen(batch),
    ]
    complete_first(app)
    complete_first(app)
    assert waits(app, join) == [explain.BatchOpen(batch)]
    close(app, batch)
    assert waits(app, join) == []


def test_one_that_waits_for_what_a_job_expanded_into_names_that(app):
    first, last = add(app, a_group(app), [], [(~0, SUCCESS)])
    part = a_group(app, PART)
    members = add(app, part, [], [])
    close(app, part)

    assert complete_first(app, part) == first

    assert waits(app, last) == [explain.WaitsFor(tuple(members), None, 2)]
    complete_first(app)
    complete_first(app)
    assert waits(app, last) == []
