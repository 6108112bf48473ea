"""The names of a workflow's nodes are found without reading all nodes, also those added later."""

import pytest
from msgspec.structs import replace
from support.stored_jobs import a_new_job

from antq_actors.jobs.state import JobFlow
from antq_actors.storage.jobs import job_store
from antq_actors.storage.jobs.group_verbs import NewGroup
from antq_actors.storage.jobs.groups import WORKFLOW
from antq_actors.storage.jobs.job_store import JobStore
from antq_actors.storage.jobs.node_names import MOST_NOTED, NodeNames
from antq_actors.storage.jobs.plan_items import NewNode, NewPart, PartEnd
from antq_actors.workflows.graph import NameTakenError


def node(name, part=0):
    new = a_new_job()
    return NewNode(new._replace(spec=replace(new.spec, flow=JobFlow(node=name))), (), part)


def start(store, *names):
    plan = [node(name) for name in names]
    new = NewGroup(WORKFLOW, "flow", 0)
    return write(store, JobStore.start_workflow, new, plan, is_whole=True, now=1)


def write(store, verb, *args, **options):
    return job_store.write(store.env, lambda verbs: verb(verbs, *args, **options))


def add(store, id_, name, *plan, is_given=False):
    plan = plan or [node(name)]
    return write(store, JobStore.add_to_workflow, id_, name, plan, is_given=is_given, now=2)


def find(store, id_, name):
    return job_store.read(store.env, lambda verbs: verbs.find_node(id_, name))


def node_of(store, id_):
    return store.get(id_).spec.flow.node


def test_nodes_that_are_added_get_free_names_and_are_found(store):
    id_, (first, _) = start(store, "ok", "other")

    added = [add(store, id_, "ok") for _ in range(9)]

    assert [name for name, _ in added] == [f"ok-{n}" for n in range(2, 11)]
    assert [node_of(store, number) for _, (number,) in added] == [name for name, _ in added]
    assert find(store, id_, "ok") == ((first, False), False)
    assert find(store, id_, "ok-9") == ((added[7][1][0], False), False)
    assert find(store, id_, "ok-11") == (None, False)
    assert store.findings() == []


def test_a_name_that_is_given_is_refused_if_it_is_taken(store):
    id_, _ = start(store, "ok")

    with pytest.raises(NameTakenError, match="'ok'"):
        add(store, id_, "ok", is_given=True)
    assert add(store, id_, "new", is_given=True)[0] == "new"


def test_a_part_and_its_jobs_are_named_apart_from_what_there_is(store):
    id_, _ = start(store, "ok")

    name, (part, *jobs, _) = add(store, id_, "ok", NewPart("ok"), node("ok[0]", ~0), PartEnd(~0))

    assert (name, [node_of(store, job) for job in jobs]) == ("ok-2", ["ok-2[0]"])
    assert find(store, id_, "ok-2") == ((part, True), False)
    assert find(store, id_, "ok-2[0]") == (None, False)


def test_a_name_is_free_again_once_its_job_was_deleted(store):
    id_, (first, _) = start(store, "ok", "other")
    add(store, id_, "more")

    store.delete(first)

    assert find(store, id_, "ok") == (None, False)
    assert add(store, id_, "ok", is_given=True)[0] == "ok"
    assert find(store, id_, "ok")[0] is not None


def test_the_names_of_a_large_workflow_are_noted_some_at_a_time(store):
    id_, numbers = start(store, *(f"n{n}" for n in range(MOST_NOTED + 10)))

    assert find(store, id_, "n0") == (None, True)
    assert write(store, JobStore.note_names, id_)
    assert find(store, id_, "n0") == ((numbers[0], False), False)
    assert find(store, id_, f"n{MOST_NOTED}") == (None, True)
    assert not write(store, JobStore.note_names, id_)
    assert find(store, id_, f"n{MOST_NOTED}") == ((numbers[MOST_NOTED], False), False)


def test_an_addition_reads_no_node_but_its_own(store, monkeypatch):
    id_, _ = start(store, *["ok", *(f"ok-{n}" for n in range(2, 300))])
    add(store, id_, "ok")
    read, find_one = [], NodeNames.find

    def counted(self, workflow, name):
        read.append(name)
        return find_one(self, workflow, name)

    monkeypatch.setattr(NodeNames, "find", counted)
    name, _ = add(store, id_, "ok")

    assert name == "ok-301"
    assert len(read) < 25


def test_nothing_is_left_of_the_names_of_a_workflow_that_is_pruned(store):
    id_, numbers = start(store, "ok")
    _, added = add(store, id_, "ok")
    for number in (*numbers, *added):
        store.cancel(number, now=3)

    write(store, JobStore.prune, finished_before=9, limit=100)

    assert (
        store.env.read(lambda txn: txn.stat(store.env.tables.further(txn, "groups"))["entries"])
        <= 1
    )
