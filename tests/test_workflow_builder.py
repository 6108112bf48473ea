"""A workflow as it is described: what is refused where, and what is in it."""

import pickle
import threading
from collections import deque
from typing import NamedTuple

import pytest

from antq_actors import (
    InvalidSchedule,
    Job,
    Unique,
    UnknownNode,
    Worker,
    Workflow,
    WorkflowError,
    chain,
    group,
    worker,
)
from antq_actors.app.workflow_plan import Planner
from antq_actors.jobs import instant
from antq_actors.jobs.new_job import JobTemplate
from antq_actors.storage.jobs.plan_items import NewNode
from antq_actors.workflows.outputs import holder_in, outputs_in


class Fetch(Worker):
    def perform(self, job): ...


class Parse(Worker, name="shop:Parser"):
    def perform(self, job): ...


@worker
def store(page): ...


class Counted(set):
    """A set that counts how often it is asked for a member."""

    asked = 0

    def __contains__(self, what):
        self.asked += 1
        return super().__contains__(what)


def names(flow):
    return [vertex.name for vertex in flow.graph.vertices]


def after(flow, name):
    position = flow.graph.positions[name]
    found = flow.graph.upstream(position)
    return {flow.graph.vertices[which].name: on for which, on in found.items()}


def test_nodes_have_the_names_of_their_workers_made_unique():
    flow = Workflow("pages")

    nodes = [flow.add(Fetch), flow.add(Fetch), flow.add(Parse), flow.add(store, {"page": 1})]

    assert [node.name for node in nodes] == ["Fetch", "Fetch-2", "Parser", "store"]
    assert flow.add(Fetch, name="last").name == "last"


def test_an_output_implies_after_with_the_condition_of_the_node():
    flow = Workflow("pages")
    fetch = flow.add(Fetch)
    other = flow.add(Fetch)

    flow.add(store, {"page": [fetch.output]}, name="a", after=other)
    flow.add(store, {"page": fetch.output}, name="b", on="end")
    flow.add(store, {"page": fetch.output}, name="c", after={fetch: "end"})

    assert after(flow, "a") == {"Fetch-2": "success", "Fetch": "success"}
    assert after(flow, "b") == {"Fetch": "end"}
    assert after(flow, "c") == {"Fetch": "end"}


@pytest.mark.parametrize("nothing", [None, [], (), {}, iter(())])
def test_an_empty_after_is_none(nothing):
    flow = Workflow("pages")

    flow.add(Fetch, after=nothing)

    assert after(flow, "Fetch") == {}


def test_a_mapping_gives_each_edge_its_own_condition():
    flow = Workflow("pages")
    first, pages = flow.add(Fetch), flow.add_many(Parse, [{}, {}])

    flow.add(store, {"page": 1}, after={first: "end", pages: "failure", "Later": "success"})
    flow.add(Fetch, name="Later")

    assert after(flow, "store") == {"Fetch": "end", "Parser": "failure", "Later": "success"}


def test_arguments_are_taken_as_they_are_then():
    flow = Workflow("pages")
    args = {"urls": ["a"]}
    items = [{"n": [1]}]
    flow.add(Fetch, args)
    flow.add_many(Fetch, items)

    args["urls"].append("b")
    items[0]["n"].append(2)
    items.append({})

    node, many = flow.vertices
    assert node.job.args == {"urls": ["a"]}
    assert [item.args for item in many.items] == [{"n": [1]}]


REFUSED = [
    (lambda flow: flow.add(object()), TypeError, "worker"),
    (lambda flow: flow.add(store, {"side": 1}), TypeError, "side"),
    (lambda flow: flow.add(Fetch, {"page": threading.Lock()}), TypeError, "page"),
    (lambda flow: flow.add(Fetch, colour="red"), TypeError, "colour"),
    (lambda flow: flow.add(Fetch, max_attempts=0), ValueError, "max_attempts"),
    (lambda flow: flow.add(Fetch, schedule_in=-1), InvalidSchedule, "schedule_in"),
    (lambda flow: flow.add(Fetch, on="always"), ValueError, "always"),
    (lambda flow: flow.add(Fetch, on=1), TypeError, "on must be"),
    (lambda flow: flow.add(Fetch, after=7), TypeError, "after must be"),
    (lambda flow: flow.add(Fetch, after=[7]), TypeError, "after must be"),
    (lambda flow: flow.add(Fetch, after={"a": "never"}), ValueError, "never"),
    (lambda flow: flow.add(Fetch, name=""), ValueError, "name"),
    (lambda flow: flow.add(Fetch, name=7), TypeError, "name"),
    (lambda flow: flow.add_many(Fetch, 7), TypeError, "add_many"),
    (lambda flow: flow.add_many(Fetch, {"a": 1}), TypeError, "add_many"),
    (lambda flow: flow.add_many(store, [{"side": 1}]), TypeError, "side"),
    (lambda flow: flow.add_many(Fetch, [], colour="red"), TypeError, "colour"),
]


@pytest.mark.parametrize(("add", "error", "names_it"), REFUSED)
def test_what_is_wrong_with_a_node_is_refused_where_it_is_added(add, error, names_it):
    flow = Workflow("pages")

    with pytest.raises(error, match=names_it):
        add(flow)

    assert names(flow) == []


class Page(NamedTuple):
    text: object


def nested(output, levels):
    for _ in range(levels):
        output = [output]
    return output


@pytest.mark.parametrize("hide", [Page, lambda output: nested(output, 40)])
def test_an_output_that_would_not_be_replaced_is_refused_where_it_is_added(hide):
    flow = Workflow("pages")
    page = flow.add(Fetch)

    with pytest.raises(TypeError, match="argument 'page' has the output of a node within a"):
        flow.add(store, {"page": [hide(page.output)]})
    with pytest.raises(TypeError, match="within a"):
        flow.add_many(store, [{"page": hide(page.output)}])

    assert names(flow) == ["Fetch"]


def test_an_output_is_found_wherever_it_is_replaced():
    output = Workflow("pages").add(Fetch).output
    held = [{1: output}, {output: 1}, {output}, frozenset([(output,)]), deque([output])]

    assert outputs_in(held) == [output] * 5
    assert holder_in([held, Page(1), b"antq_actors.workflows.outputs"]) is None


def test_a_node_of_another_workflow_is_refused():
    flow, other = Workflow("pages"), Workflow("others")
    theirs = other.add(Fetch)

    with pytest.raises(WorkflowError, match="another workflow"):
        flow.add(Fetch, after=theirs)
    with pytest.raises(WorkflowError, match="another workflow"):
        flow.add(Fetch, {"page": theirs.output})


def test_a_node_or_group_is_found_by_its_name():
    flow = Workflow("pages")
    node = flow.add(Fetch, name="first")

    assert flow.handle("first").name == node.name
    with pytest.raises(UnknownNode, match=r"the workflow 'pages' has no node 'frist'.*'first'"):
        flow.handle("frist")
    for wrong in (node, ["first"], None):
        with pytest.raises(TypeError, match="the name of a node must be a str, got "):
            flow.handle(wrong)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"name": 7}, TypeError),
        ({"name": ""}, ValueError),
        ({"name": "x", "key": 7}, TypeError),
        ({"name": "x", "on_failure": Fetch}, TypeError),
        ({"name": "x", "abandoned": "forget"}, ValueError),
        ({"name": "x", "abandoned": None}, TypeError),
    ],
)
def test_a_workflow_that_makes_no_sense_is_refused(options, error):
    with pytest.raises(error):
        Workflow(**options)


def test_each_link_of_a_chain_waits_for_the_one_before_it():
    flow = chain(Fetch.build({"n": 1}), Fetch.build(queue="mail"), store.build(page=1))

    assert names(flow) == ["Fetch", "Fetch-2", "store"]
    assert after(flow, "store") == {"Fetch-2": "success"}
    assert after(flow, "Fetch-2") == {"Fetch": "success"}
    assert flow.output.name == "store"


@pytest.mark.parametrize("jobs", [[], [Fetch.build()]])
def test_chains_and_groups_of_no_job_or_one_are_no_special_case(jobs):
    assert len(chain(*jobs).vertices) == len(jobs)
    assert len(group(*jobs).vertices) == len(group(jobs).vertices) == 1


def test_what_is_no_job_from_build_is_refused():
    built = Fetch.build()
    for make in (chain, group):
        with pytest.raises(TypeError, match="build"):
            make(Fetch.build(), Fetch)
    with pytest.raises(TypeError, match="build"):
        group(7)
    with pytest.raises(TypeError, match="build"):
        group(Fetch.build(), then=Fetch)
    stored = Job(**{name: getattr(built, name) for name in built.__struct_fields__} | {"id": 7})
    for make in (chain, group):
        with pytest.raises(ValueError, match="job 7"):
            make(stored)


def test_a_copy_of_a_built_job_is_as_good():
    copy = pickle.loads(pickle.dumps(Fetch.build({"n": 1}, priority=3, unique=Unique(args=["n"]))))  # noqa: S301

    made = chain(copy).vertices[0].job

    assert (made.worker, made.args, made.options["priority"]) == (Fetch, {"n": 1}, 3)


def test_a_workflow_outlives_a_pickle():
    flow = group((Fetch.build({"n": n}) for n in range(3)), then=store.build(page=1))

    again = pickle.loads(pickle.dumps(flow))  # noqa: S301

    assert names(again) == ["group", "store"]
    assert [item.args["n"] for item in again.vertices[0].items] == [0, 1, 2]
    assert again.output.owner is again


def test_the_jobs_of_a_group_have_the_same_names_after_a_pickle():
    flow = Workflow("pages")
    flow.add_many(Fetch, ({"n": n} for n in range(2)), name="many")
    copy = pickle.loads(pickle.dumps(flow))  # noqa: S301

    def prepared(job):
        template = JobTemplate(Fetch, {}, default_queue="default")
        return template.new_job(template.state(instant.now()), job.args, job.encoded), {}

    _, *jobs, _ = Planner(copy, None, prepared, {}).items()

    assert [job.new.spec.flow.node for job in jobs] == ["many[0]", "many[1]"]


def test_the_names_of_many_built_jobs_are_looked_up_once_each():
    jobs = [store.build(page=page) for page in range(500)]
    prepare = JobTemplate(store, {}, default_queue="default")

    def prepared(job):
        state = prepare.state(instant.now())
        return prepare.new_job(state, job.args, job.encoded), job.options

    planner = Planner(group(jobs), None, prepared, {})
    planner._names = taken = Counted(planner._names)
    nodes = [item.new.spec.flow.node for item in planner.items() if isinstance(item, NewNode)]

    assert nodes == ["store", *(f"store-{number}" for number in range(2, 501))]
    assert taken.asked <= 2 * len(jobs)
