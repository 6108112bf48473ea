"""The tree is what the docs draw: every actor has its place, its name and its end."""

import pytest
from support.apps import settled, until
from support.controlled_jobs import ControlledJob

from antq_actors import AntQ, Status
from antq_actors.otp import (
    DynamicSupervisor,
    Killed,
    ServerRef,
    Supervisor,
    exit,  # noqa: A004 - OTP's name
    tree,
    whereis,
)

CHILDREN = ["storage", "queues", "rescuer", "pruner", "cron", "flow"]


def ids(sup):
    return [info.id for info in Supervisor.which_children(sup)]


def child(sup, *path):
    for id_ in path:
        sup = next(info.ref for info in Supervisor.which_children(sup) if info.id == id_)
    return sup


def test_the_tree_is_as_it_is_drawn(run, controlled):
    app = controlled.app = run(queues=("default", "mail"))
    controlled.jobs(["a", "b"])
    controlled.begun(2)

    assert ids(app.root) == CHILDREN
    assert ids(child(app.root, "queues")) == ["default", "mail"]
    for queue in ("default", "mail"):
        assert ids(child(app.root, "queues", queue)) == ["workers", "queue"]
    workers = DynamicSupervisor.which_children(child(app.root, "queues", "default", "workers"))
    assert len(workers) == 2
    assert app.queue("mail").ref == child(app.root, "queues", "mail", "queue")


def test_the_tree_can_be_looked_at_while_jobs_run(run, controlled):
    app = controlled.app = run()
    controlled.job("a")
    controlled.begun()

    node = tree(app.root)

    assert [child.name.rpartition(".")[2] for child in node.children] == CHILDREN
    assert all(child.state == "running" for child in node.children)
    (queue,) = node.children[1].children
    workers, actor = queue.children
    assert (workers.kind, actor.kind) == ("supervisor", "worker")
    assert [len(workers.children), actor.restarts, actor.incarnation] == [1, 0, 1]


@pytest.mark.parametrize(
    ("options", "children"),
    [
        ({"retention": None}, [*CHILDREN[:3], *CHILDREN[4:]]),
        ({"start_queues": False}, CHILDREN[:1]),
    ],
    ids=["kept for ever, nothing prunes", "only enqueues and looks"],
)
def test_what_has_nothing_to_do_is_not_started(run, options, children):
    assert ids(run(**options).root) == children


def test_several_applications_run_side_by_side_without_meeting(run, controlled):
    first, second = run(), run()
    here, there = controlled.job("here", app=first), controlled.job("there", app=second)

    assert sorted(controlled.begun(2)) == ["here", "there"]
    controlled.release("here", "there")
    settled(first, here)
    settled(second, there)
    assert first.count_workers() == second.count_workers() == 1
    assert first.root != second.root


def test_perform_async_goes_to_the_application_started_last(run, controlled):
    first, second = run(), run()

    job = ControlledJob.perform_async({"controller": controlled._name, "name": "a", "wait": ""})

    controlled.release_all()
    assert settled(second, job).status is Status.COMPLETED
    assert first.count_workers() == 0


def test_all_names_are_free_again_after_a_stop(run):
    app = run(queues=("default", "mail"))
    names = [app.root.cell.name, app.queue("mail").ref.cell.name]
    assert all(whereis(name) is not None for name in names)

    app.stop()

    assert [whereis(name) for name in names] == [None, None]


def test_a_tree_that_cannot_start_leaves_nothing_behind(tmp_path):
    place = tmp_path / "a file"
    place.write_text("no directory")
    app = AntQ(place)

    with pytest.raises(Exception, match="a file"):
        app.start()

    app.stop()
    place.unlink()
    with app:
        assert app.count_workers() == 0


def test_a_cron_service_that_is_killed_comes_back(run):
    app = run()
    old = child(app.root, "cron")

    exit(old, Killed())

    until(lambda: is_new(child(app.root, "cron"), old), "a new cron service")
    assert child(app.root, "cron").cell.name == old.cell.name


def is_new(ref, old):
    return isinstance(ref, ServerRef) and ref != old


def test_a_restarted_actor_has_the_place_and_the_name_of_the_old_one(run):
    app = run()
    old = {id_: child(app.root, id_) for id_ in ("storage", "rescuer", "pruner")}

    for ref in old.values():
        exit(ref, Killed())

    for id_, ref in old.items():
        until(lambda id_=id_, ref=ref: is_new(child(app.root, id_), ref), f"a new {id_}")
        assert child(app.root, id_).cell.name == ref.cell.name
    assert ids(app.root) == CHILDREN
    assert app.count_workers() == 0
