"""The tree of an application, as a value."""

import msgspec

from antq_actors import AntQ
from antq_actors.insights import Insights
from antq_actors.insights.predict import predict
from antq_actors.insights.trees import Cycle, cycles_in
from antq_actors.otp.inspect.snapshot import ActorView


def test_the_tree_of_an_application_has_its_actors_with_their_budgets(app):
    view = Insights(app).tree()

    (root,) = view.trees
    ids = {each.id.partition("/")[2]: each for each in root.walk()}
    assert {"storage", "queues", "queues/default", "queues/default/queue"} <= set(ids)
    assert ids["queues/default"].strategy == "one_for_all"
    assert ids["queues/default"].budget.left == ids["queues/default"].budget.max
    assert ids["storage"].budget is None
    assert view.missing is None


def test_a_tree_survives_being_sent_to_another_process(app):
    (root,) = Insights(app).tree().trees

    sent = msgspec.msgpack.encode(root)

    assert msgspec.msgpack.decode(sent, type=ActorView) == root


def test_a_crashed_queue_actor_takes_its_workers_along(app):
    tree = Insights(app).tree()
    queue = next(
        each.id for each in tree.trees[0].walk() if each.id.endswith("queues/default/queue")
    )

    prediction = predict(tree, queue, "crash")

    assert [each.rpartition("/")[2] for each in prediction.restarted] == ["workers", "queue"]
    assert not prediction.gives_up


def test_a_ring_of_waits_is_found_whatever_waits_for_it():
    def actor(name, waits_for):
        return ActorView(
            id=name, name=name, kind="worker", state="running", mailbox=0, uptime=0.0, restarts=0,
            incarnation=1, last_exit=None, handling=None, waits_for=waits_for, strategy=None,
            budget=None, children=(), folded=None,
        )  # fmt: skip

    waits = {"x": "a", "a": "b", "b": "c", "c": "a", "y": None, "z": "gone"}

    found = list(cycles_in([actor(*each) for each in waits.items()]))

    assert found == [Cycle(("a", "b", "c"))]


def test_an_application_that_runs_no_queues_has_a_tree_as_well(tmp_path):
    with AntQ(tmp_path / "jobs", start_queues=False) as app:
        view = Insights(app).tree()

    assert view.node == 0
    assert len(view.trees[0].children) == 1  # the storage actor
