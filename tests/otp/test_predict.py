"""A prediction is what the supervisors then do, whatever the tree, the actor and the verb."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antq_actors.otp import (
    AutoShutdown,
    DynamicSupervisor,
    GenServer,
    Restart,
    Strategy,
    Supervisor,
    stop,
    trap_exit,
)
from antq_actors.otp.inspect.harm import harm
from antq_actors.otp.inspect.predict import VERBS, predict
from antq_actors.otp.inspect.snapshot import find_by_id, snapshot


class Leaf(GenServer):
    """Does nothing but live."""


class Deaf(GenServer):
    """Lives on when it is sent an exit signal."""

    def init(self):
        trap_exit(on=True)


@st.composite
def supervisors(draw, name, depth):
    """The spec of a supervisor with up to three children, some of which are supervisors."""
    auto_shutdown = draw(st.sampled_from(["never", "never", "any_significant", "all_significant"]))
    children = []
    for number in range(draw(st.integers(1, 3))):
        restart = draw(st.sampled_from(["permanent", "transient", "temporary"]))
        may_be = auto_shutdown != "never" and restart != "permanent"
        options = {
            "id": f"{name}{number}",
            "restart": restart,
            "significant": may_be and draw(st.booleans()),
        }
        kind = draw(st.sampled_from(["leaf", "deaf", "tree", "dynamic"] if depth else ["leaf"]))
        if kind == "tree":
            children.append(draw(supervisors(options["id"], depth - 1)) | options)
        elif kind == "dynamic":
            below = draw(st.lists(st.sampled_from(list(Restart)), max_size=3))
            most = draw(st.sampled_from([0, 1, 3]))
            children.append(options | {"below": below, "max_restarts": most})
        else:
            children.append(options | {"class": Deaf if kind == "deaf" else Leaf})
    return {
        "children": children,
        "strategy": draw(st.sampled_from(["one_for_one", "one_for_all", "rest_for_one"])),
        "auto_shutdown": auto_shutdown,
        "max_restarts": draw(st.sampled_from([0, 1, 3])),
    }


def spec_of(child):
    options = {name: child[name] for name in ("id", "significant")}
    options["restart"] = Restart(child["restart"])
    if "below" in child:
        most = child["max_restarts"]
        return DynamicSupervisor.child_spec(max_restarts=most, max_seconds=3600.0, **options)
    if "children" not in child:
        return child["class"].child_spec(**options)
    return Supervisor.child_spec(
        [spec_of(each) for each in child["children"]], **rules(child), **options
    )


def rules(child):
    return {
        "strategy": Strategy(child["strategy"]),
        "auto_shutdown": AutoShutdown(child["auto_shutdown"]),
        "max_restarts": child["max_restarts"],
        "max_seconds": 3600.0,
    }


def populate(root, place, children):
    """Start the children of dynamic supervisors, at the begin."""
    for child in children:
        id_ = f"{place}/{child['id']}"
        populate(root, id_, child.get("children", ()))
        for restart in child.get("below", ()):
            dynamic = find_by_id(root, id_).ref
            DynamicSupervisor.start_child(dynamic, Leaf.child_spec(restart=restart))


def stop_one(root, data):
    """Terminate a child of the root, as a person does: it stays stopped."""
    ids = [each.id for each in Supervisor.which_children(root) if each.ref is not None]
    if len(ids) > 1 and data.draw(st.booleans(), label="whether one is stopped"):
        Supervisor.terminate_child(root, data.draw(st.sampled_from(ids), label="stopped"))


@given(tree=supervisors("c", 2), data=st.data())
@settings(max_examples=100, deadline=None)
def test_what_is_predicted_comes_to_pass(tree, data):
    root = Supervisor.start([spec_of(each) for each in tree["children"]], **rules(tree))
    try:
        populate(root, str(root), tree["children"])
        stop_one(root, data)
        for _ in range(data.draw(st.integers(1, 3), label="how often")):
            before = snapshot(root)
            living = [view.id for view in before.walk() if view.urn is not None]
            actor = living[data.draw(st.integers(0, 99), label="actor") % len(living)]
            verb = data.draw(st.sampled_from(["crash", "exit", "kill"]), label="verb")

            done = harm(root, actor, verb)

            assert done.agrees, (done.prediction, done.actual)
            if not root.is_alive():
                break
    finally:
        if root.is_alive():
            stop(root)


def test_an_id_outlives_a_restart_and_leads_to_the_actor():
    root = Supervisor.start([Leaf.child_spec(id="a/b"), Leaf.child_spec(id="ä")])
    try:
        first, second = (view.id for view in snapshot(root).children)
        before = find_by_id(root, first)

        harm(root, first, "kill")

        assert [view.id for view in snapshot(root).children] == [first, second]
        assert find_by_id(root, first) not in (None, before)
        assert find_by_id(root, first + "/none") is None
        assert find_by_id(root, "none") is None
    finally:
        stop(root)


def test_a_dynamic_child_is_restarted_under_a_new_name():
    root = Supervisor.start([DynamicSupervisor.child_spec(id="dynamic", max_restarts=1)])
    try:
        dynamic = find_by_id(root, snapshot(root).children[0].id).ref
        DynamicSupervisor.start_child(dynamic, Leaf.child_spec(restart=Restart.PERMANENT))
        (child,) = snapshot(root).children[0].children

        assert harm(root, child.id, "crash").agrees
        (child,) = snapshot(root).children[0].children
        done = harm(root, child.id, "crash")

        assert done.prediction.gives_up
        assert done.prediction.parent == "restarted"
        assert done.agrees, harm
    finally:
        stop(root)


def test_children_beyond_fifty_of_a_dynamic_supervisor_are_folded():
    root = DynamicSupervisor.start()
    try:
        for _ in range(51):
            DynamicSupervisor.start_child(root, Leaf.child_spec(restart=Restart.TEMPORARY))

        view = snapshot(root)

        assert len(view.children) == 20
        assert view.folded.count == sum(view.folded.mailbox) == sum(view.folded.restarts) == 51
    finally:
        stop(root)


@pytest.mark.parametrize("verb", ["hang", "slow"])
def test_harm_that_ends_nothing_restarts_nothing(verb):
    root = Supervisor.start([Leaf.child_spec(id="a")])
    try:
        done = harm(root, snapshot(root).children[0].id, verb, 0.01)

        assert done.agrees
        assert not done.actual.restarted
        assert not done.actual.stopped
    finally:
        stop(root)


def test_wrong_questions_are_refused():
    root = Supervisor.start([Leaf.child_spec(id="a")])
    try:
        tree = snapshot(root)
        with pytest.raises(ValueError, match="crash, exit, kill, hang"):
            predict([tree], tree.id, "explode")
        with pytest.raises(LookupError, match=r"no actor .nobody"):
            predict([tree], "nobody", VERBS[0])
        with pytest.raises(ValueError, match="at most 60"):
            harm(root, tree.children[0].id, "hang", 61)
        with pytest.raises(TypeError, match=r"seconds must be a number, .* got '5'"):
            harm(root, tree.children[0].id, "hang", "5")
    finally:
        stop(root)
