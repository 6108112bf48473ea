"""The tree as it was before each event that is kept."""

import pytest
from support.apps import until

from antq_actors import AntQ
from antq_actors.insights import Insights, replay
from antq_actors.insights.as_json import as_json
from antq_actors.otp import (
    DynamicSupervisor,
    GenServer,
    Restart,
    Strategy,
    Supervisor,
    chaos,
    stop,
    wait_until_restarted,
    whereis,
)


class Leaf(GenServer):
    """Does nothing but live."""


@pytest.fixture
def app():
    """An application in memory, as a page beside it sees it."""
    with AntQ() as app:
        yield app


@pytest.fixture
def shop():
    """A supervisor of two that are restarted together, and of a dynamic one."""
    pair = [Leaf.child_spec(id=name, name=f"shop.{name}") for name in ("till", "stock")]
    root = Supervisor.start(
        [
            Supervisor.child_spec(pair, id="pair", strategy=Strategy.ONE_FOR_ALL, max_restarts=1),
            DynamicSupervisor.child_spec(id="visitors", name="shop.visitors"),
        ],
        name="shop",
    )
    yield root
    if root.is_alive():
        stop(root)


def crash(name):
    old = whereis(name)
    chaos.crash(name)
    return wait_until_restarted(name, old)


def tree_of(app):
    return Insights(app).tree(trees=["shop"])


def actors(view):
    """The actors of the shop, by the last part of their ids."""
    return {each.id.rpartition("/")[2]: each for each in view.trees[1].walk()}


def facts(actor):
    return actor.incarnation, actor.restarts, actor.state, actor.last_exit is not None


def test_the_last_stop_is_now_and_the_first_before_all_events(app, shop):
    before = actors(tree_of(app))
    crash("shop.till")
    now = tree_of(app)

    first = replay(now, 0)

    assert replay(now, len(now.events)) == now
    then = actors(first)
    assert {name: facts(each) for name, each in then.items()} == {
        name: facts(each) for name, each in before.items()
    }
    assert then["pair"].budget.used == 0
    assert actors(now)["pair"].budget.used == 1
    assert then["till"].urn == before["till"].urn
    assert first.events == ()
    assert first.at == now.events[0].at


def test_each_stop_has_what_the_events_before_it_have_done(app, shop):
    crash("shop.till")
    until(lambda: whereis("shop.stock"))
    crash("shop.stock")  # one too many: their supervisor gives up, and is started again
    until(lambda: actors(tree_of(app))["pair"].incarnation == 2)
    now = tree_of(app)

    stops = [actors(replay(now, stop)) for stop in range(len(now.events) + 1)]

    assert [each.kind for each in now.events] == ["exited", "exited", "gave up", "exited"]
    assert [each["pair"].incarnation for each in stops] == [1, 1, 1, 1, 2]
    assert [each["till"].incarnation for each in stops] == [
        1,
        2,
        2,
        1,
        1,
    ]  # the last are its successor's
    assert [each["till"].last_exit is not None for each in stops[:3]] == [False, True, True]
    assert [each["stock"].state for each in stops[:3]] == ["running", "running", "stopped"]
    assert [each["pair"].budget.used for each in stops[:3]] == [0, 1, 2]
    assert all(each["pair"].strategy == "one_for_all" for each in stops)


def test_what_has_ended_since_is_there_and_what_started_since_is_not(app, shop):
    gone = DynamicSupervisor.start_child(
        "shop.visitors", Leaf.child_spec(restart=Restart.TEMPORARY)
    )
    chaos.crash(gone)
    until(lambda: tree_of(app).events)
    DynamicSupervisor.start_child("shop.visitors", Leaf.child_spec(name="shop.late"))
    now = tree_of(app)

    then = actors(replay(now, 0))

    assert "shop.late" in actors(now)
    assert str(gone.cell) not in actors(now)
    assert "shop.late" not in then
    assert facts(then[str(gone.cell)]) == (1, 0, "running", False)
    assert then[str(gone.cell)].restart == "temporary"


def test_a_dynamic_child_that_was_restarted_has_its_old_id_before(app, shop):
    old = DynamicSupervisor.start_child("shop.visitors", Leaf.child_spec())
    chaos.crash(old)
    until(lambda: any(each.incarnation == 2 for each in actors(tree_of(app)).values()))
    now = tree_of(app)

    (then,) = actors(replay(now, 0))["visitors"].children

    assert then.id.endswith(str(old.cell))
    assert then.incarnation == 1


def test_a_stop_that_is_none_is_refused(app, shop):
    now = tree_of(app)

    with pytest.raises(LookupError, match="0 is now"):
        replay(now, 1)
    with pytest.raises(LookupError):
        replay(now, -1)
    with pytest.raises(TypeError):
        replay(now, "1")


def test_the_json_has_the_keys_of_the_api_and_no_others(app, shop):
    crash("shop.till")

    shown = as_json(tree_of(app))

    assert set(shown) == {"node", "trees", "cycles", "orphans", "events", "missing"}
    assert set(shown["trees"][0]) == {
        *("id", "name", "kind", "state", "mailbox", "uptime", "restarts", "incarnation"),
        *("last_exit", "handling", "waits_for", "strategy", "budget", "children", "folded"),
    }
    assert set(shown["trees"][0]["budget"]) == {"max", "seconds", "used", "left", "full_in"}
    assert shown["events"][0]["at"].endswith("+00:00")
