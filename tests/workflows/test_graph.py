"""Names of a workflow, what waits for what, and in which order that is stored."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antq_actors.errors import CycleError, UnknownNode, WorkflowError
from antq_actors.workflows.graph import Graph
from antq_actors.workflows.outputs import Output, outputs_in, with_results


def a_graph(**after):
    """Return a graph of these names, each after those that it lists."""
    graph = Graph()
    for name, upstream in after.items():
        graph.add(name, name, dict.fromkeys(upstream, "success"))
    return graph


def test_default_names_are_made_unique_with_a_number():
    graph = Graph()
    graph.add("Fetch-2", "Fetch", {})

    for _ in range(3):
        graph.add(None, "Fetch", {})

    assert [vertex.name for vertex in graph.vertices] == ["Fetch-2", "Fetch", "Fetch-3", "Fetch-4"]


def test_a_name_that_is_taken_is_refused_and_nothing_is_added():
    graph = a_graph(a="")

    with pytest.raises(WorkflowError, match="'a'") as refused:
        graph.add("a", "a", {})

    assert isinstance(refused.value, ValueError)
    assert len(graph.vertices) == 1


def test_a_name_may_be_used_before_it_is_added():
    graph = a_graph(last=["first"], first=[])

    assert graph.in_order() == [1, 0]


def test_a_ring_is_refused_with_the_names_of_all_in_it_and_of_no_other():
    graph = a_graph(before=[], a=["before", "c"], b=["a"], c=["b"], behind=["c"])

    with pytest.raises(CycleError) as refused:
        graph.in_order()

    assert set(refused.value.nodes) == {"a", "b", "c"}
    assert all(repr(name) in str(refused.value) for name in "abc")
    again = pickle.loads(pickle.dumps(refused.value))  # noqa: S301
    assert (again.nodes, str(again)) == (refused.value.nodes, str(refused.value))


def test_a_node_that_waits_for_itself_is_a_ring_of_one():
    with pytest.raises(CycleError) as refused:
        a_graph(a=["a"]).in_order()

    assert refused.value.nodes == ("a",)


def test_a_name_that_no_node_has_is_named_with_those_that_there_are():
    with pytest.raises(UnknownNode, match=r"'fetsch'.*'fetch'"):
        a_graph(fetch=[], parse=["fetsch"]).in_order()


@given(st.lists(st.lists(st.integers(0, 30), max_size=4), max_size=30))
def test_each_is_behind_what_it_waits_for_and_otherwise_as_added(after):
    graph = Graph()
    for position, upstream in enumerate(after):
        earlier = {each % position: "end" for each in upstream} if position else {}
        graph.add(None, "node", earlier)

    assert graph.in_order() == list(range(len(after)))


@given(st.permutations(range(8)), st.sets(st.tuples(st.integers(0, 7), st.integers(0, 7))))
def test_any_order_of_adding_is_put_right_by_names(order, pairs):
    graph = Graph()
    edges = {(min(pair), max(pair)) for pair in pairs if pair[0] != pair[1]}
    for number in order:
        after = {str(first): "success" for first, second in edges if second == number}
        graph.add(str(number), "", after)

    ordered = [int(graph.vertices[position].name) for position in graph.in_order()]

    assert sorted(ordered) == list(range(8))
    assert all(ordered.index(first) < ordered.index(second) for first, second in edges)


def test_outputs_are_found_and_replaced_within_lists_tuples_and_dicts():
    value = {"a": [Output("x"), 1], "b": (Output("y", is_group=True), "z"), "c": {"d": Output("x")}}

    assert [output.name for output in outputs_in(value)] == ["x", "y", "x"]
    replaced = with_results(value, lambda output: output.name * 2)
    assert replaced == {"a": ["xx", 1], "b": ("yy", "z"), "c": {"d": "xx"}}


def test_an_output_outlives_a_pickle_without_its_workflow():
    output = pickle.loads(pickle.dumps(Output("x", is_group=True, owner=object())))  # noqa: S301

    assert (output.name, output.is_group, output.owner) == ("x", True, None)
    assert output == Output("x", is_group=True)
    assert output != Output("x")
