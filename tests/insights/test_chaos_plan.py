"""A chaos run as plain values: which leaf is next, and what the report makes of crashes."""

from dataclasses import replace
from datetime import UTC, datetime
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antq_actors.insights.chaos_plan import (
    BudgetUsed,
    ChaosHit,
    ChaosPlan,
    Recovery,
    budgets_of,
    gave_up,
    jobs_of,
    leaves,
    next_due,
    pick,
    recovery_of,
)
from antq_actors.insights.prediction import JobsHit, Prediction, predict
from antq_actors.insights.trees import TreeView
from antq_actors.otp.inspect.predict import ENDS
from antq_actors.otp.inspect.snapshot import ActorView, Budget, Handled

AT = datetime(2030, 1, 1, tzinfo=UTC)


def chance(seed=1):
    """What picks leaves, the same for each seed."""
    return Random(seed)  # noqa: S311 - repeatable


def actor(id_, *children, used=None, most=3, **more):
    """An actor, a supervisor if it has children or *used* restarts."""
    is_supervisor = bool(children) or used is not None
    used = used or 0
    budget = Budget(most, 5.0, used, most - used, 0.0, (1.0,) * used) if is_supervisor else None
    known = {
        "name": id_.rpartition("/")[2],
        "kind": "supervisor" if is_supervisor else "worker",
        "state": "running",
        "mailbox": 0,
        "uptime": 1.0,
        "restarts": 0,
        "incarnation": 1,
        "last_exit": None,
        "handling": None,
        "waits_for": None,
        "strategy": "one_for_one" if is_supervisor else None,
        "budget": budget,
        "children": children,
        "folded": None,
        "urn": f"urn:{id_}",
    }
    return ActorView(id=id_, **{**known, **more})


def a_tree(*trees):
    return TreeView(node=1, trees=trees, cycles=(), orphans=(), events=(), jobs={}, missing=None)


def an_application(*children, used=0, most=3):
    return actor("antq", actor("antq/storage"), *children, used=used, most=most)


def a_hit(of="antq/queues/a", *, agrees=True, recovered_in=None, gives_up=False, **more):
    """A crash; *more*: how much of the budget is used, and jobs by what became of them."""
    used = more.pop("used", 1)
    budget = Budget(3, 5.0, used, 3 - used, 0.0)
    came = Prediction(
        restarted=(of,),
        stopped=(),
        budget=budget,
        gives_up=gives_up,
        parent="stays",
        jobs=JobsHit(**more),
    )
    return ChaosHit(
        at=AT,
        actor=of,
        name=of,
        verb="crash",
        prediction=came,
        actual=came,
        agrees=agrees,
        recovered_in=recovered_in,
    )


def test_leaves_are_workers_that_run_but_the_stores_and_roots():
    shelf = actor("library", actor("library/storage"), actor("library/empty", used=0))
    gone = actor("antq/gone", urn=None, state="restarting")
    tree = a_tree(an_application(actor("antq/cron"), gone), shelf, actor("alone"))

    # A user's tree may have a storage of its own.
    assert [each.id for each in leaves(tree)] == ["antq/cron", "library/storage"]


def test_a_busy_leaf_is_killed_and_an_idle_one_crashes():
    busy = actor("antq/cron", handling=Handled("handle_info", "Wake", 1.0))

    idle = pick(a_tree(an_application(actor("antq/cron"))), chance(), 7)
    at_work = pick(a_tree(an_application(busy)), chance())

    assert (idle.verb, idle.actor, idle.node) == ("crash", "antq/cron", 7)
    assert at_work.verb == "kill"


def test_no_leaf_is_picked_whose_end_would_end_the_tree():
    spent = an_application(actor("antq/cron"), used=3)
    group = actor("antq/queues", actor("antq/queues/a"), used=3)

    assert pick(a_tree(spent), chance()) is None
    # That supervisor gives up, and the root starts it again.
    assert pick(a_tree(an_application(group)), chance()).actor == "antq/queues/a"


@st.composite
def trees(draw):
    """Trees of two levels below a root, with restarts used."""
    budgets = st.integers(0, 3)
    groups = []
    for number in range(draw(st.integers(0, 3))):
        place = f"antq/g{number}"
        ids = range(draw(st.integers(0, 3)))
        groups.append(actor(place, *(actor(f"{place}/{id_}") for id_ in ids), used=draw(budgets)))
    workers = [actor(f"antq/w{number}") for number in range(draw(st.integers(0, 3)))]
    return a_tree(an_application(*groups, *workers, used=draw(budgets)))


@given(trees(), st.integers())
def test_what_is_picked_is_a_leaf_that_ends_no_tree_and_chance_decides_alone(tree, seed):
    found = pick(tree, chance(seed))

    assert found == pick(tree, chance(seed))
    harmless = [each.id for each in leaves(tree) if predict(tree, each.id, "crash").parent != ENDS]
    assert (found is None) is (not harmless)
    assert found is None or found.actor in harmless
    assert found is None or found.actor not in ("antq", "antq/storage")


@given(st.floats(-1e6, 1e6), st.floats(1, 3_600), st.floats(0, 1e5, allow_nan=False))
def test_the_next_crash_is_due_after_now_and_within_one_interval(due, every, late):
    now = due + late

    found = next_due(due, every, now)

    assert found > due
    assert now <= found <= max(now, due) + every + 1e-3


@pytest.mark.parametrize(
    ("every", "duration", "text"),
    [
        (0.5, 60, "every must be at least 1 s and at most the duration of 60 s, got 0.5 s"),
        (61, 60, "at most the duration of 60 s, got 61 s"),
        (1, 3_601, "duration must be at most 60 minutes, got 3601 s"),
        (float("nan"), 60, "every must be"),
        (1, float("inf"), "duration must be"),
        ("1", 60, "every must be a number of seconds, got '1'"),
        (1, True, "duration must be a number of seconds, got True"),
    ],
)
def test_a_plan_out_of_bounds_is_refused(every, duration, text):
    with pytest.raises(ValueError, match=text):
        ChaosPlan(every=every, duration=duration)


def test_a_plan_may_be_as_long_as_an_hour():
    assert ChaosPlan(every=1, duration=3_600).duration == 3_600


def test_recovery_is_of_the_crashes_after_which_something_started_again():
    hits = [a_hit(recovered_in=each) for each in (0.3, None, 0.1, 0.2)]

    assert recovery_of(hits) == Recovery(p50=0.2, max=0.3)
    assert recovery_of([a_hit()]) is None


def test_the_budget_is_that_of_the_worst_moment_and_the_closest_to_giving_up_is_first():
    hits = [a_hit(used=1), a_hit(used=3), a_hit(used=2), a_hit("antq/cron", used=1)]

    assert budgets_of(hits) == (BudgetUsed("antq/queues", 3, 3), BudgetUsed("antq", 1, 3))


def test_of_a_supervisor_that_gave_up_the_budget_was_used_and_it_is_named_once():
    hit = a_hit(used=3, gives_up=True)
    begun_anew = replace(hit, actual=replace(hit.actual, budget=Budget(3, 5.0, 0, 3, 0.0)))

    assert budgets_of([begun_anew]) == (BudgetUsed("antq/queues", 3, 3),)
    assert gave_up([a_hit(), begun_anew, begun_anew]) == ("antq/queues",)


def test_jobs_are_counted_once_by_what_became_of_them():
    hits = [a_hit(retried=(2, 1)), a_hit(retried=(2,), lost=(5,)), a_hit(interrupted=(4,))]

    assert jobs_of(hits) == JobsHit(retried=(1, 2), interrupted=(4,), lost=(5,))
