"""Where the actors of a tree are drawn."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from antq_actors.insights.layout import layout
from antq_actors.otp.inspect.snapshot import ActorView


def actor(id_, *children):
    return ActorView(
        id=id_, name=id_, kind="worker", state="running", mailbox=0, uptime=0.0, restarts=0,
        incarnation=1, last_exit=None, handling=None, waits_for=None, strategy=None,
        budget=None, children=children, folded=None,
    )  # fmt: skip


shapes = st.recursive(st.just([]), lambda below: st.lists(below, max_size=4), max_leaves=40)


def tree_of(shape, id_="r"):
    return actor(id_, *(tree_of(each, f"{id_}/{n}") for n, each in enumerate(shape)))


def rows(drawing):
    return {place.actor.id: (place.column, place.row) for place in drawing.places}


def test_parents_are_in_the_middle_and_subtrees_as_close_as_they_can_be():
    tree = actor("r", actor("a", actor("a1"), actor("a2"), actor("a3")), actor("b"), actor("c"))

    assert rows(layout([tree])) == {
        "r": (0, 2.0),
        "a": (1, 1.0),
        "b": (1, 2.0),
        "c": (1, 3.0),
        "a1": (2, 0.0),
        "a2": (2, 1.0),
        "a3": (2, 2.0),
    }


@given(st.lists(shapes, max_size=3))
def test_no_two_actors_of_a_column_are_closer_than_a_row(forest):
    trees = [tree_of(shape, f"t{n}") for n, shape in enumerate(forest)]

    drawing = layout(trees)

    for _, column in itertools.groupby(
        sorted(drawing.places, key=lambda place: place.column), lambda place: place.column
    ):
        at = [place.row for place in column]  # in the order of the trees
        assert all(after - before >= 1 - 1e-9 for before, after in itertools.pairwise(at))
    for place in drawing.places:
        below = [each.row for each in drawing.places if each.parent is place]
        assert [each.actor for each in drawing.places if each.parent is place] == [
            *place.actor.children
        ]
        assert not below or abs(place.row - (below[0] + below[-1]) / 2) < 1e-9
        assert -1e-9 <= place.row <= drawing.rows - 1 + 1e-9
        assert place.column < drawing.columns


def test_a_tree_of_any_depth_and_width_is_drawn():
    deep = actor("0")
    for number in range(1, 400):
        deep = actor(str(number), deep)
    wide = actor("wide", *(actor(f"w{number}") for number in range(5_000)))

    assert layout([deep]).columns == 400
    assert layout([deep]).rows == 1
    assert layout([wide]).rows == 5_000
    assert layout([]).rows == layout([]).columns == 0
