from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antq_actors.otp.kernel.child_spec import AutoShutdown, ChildSpec, Restart, Strategy
from antq_actors.otp.kernel.reasons import Crash, Killed, NoProc, Normal, Shutdown
from antq_actors.otp.supervision import restart
from antq_actors.otp.supervision.restart import (
    Child,
    ChildState,
    GiveUp,
    Leave,
    RestartIntensity,
    ShutDown,
    StartAgain,
    State,
)

CRASH = Crash(ValueError("boom"))
PERMANENT, TRANSIENT, TEMPORARY = Restart.PERMANENT, Restart.TRANSIENT, Restart.TEMPORARY
RUNNING, STOPPED, RESTARTING = ChildState.RUNNING, ChildState.STOPPED, ChildState.RESTARTING


def a_child(child_id, restart_type=PERMANENT, state=RUNNING, *, significant=False):
    spec = ChildSpec(child_id, print, restart=restart_type, significant=significant)
    return Child(spec, state, ref=f"ref {child_id}", incarnation=1)


def exited(children, child_id, reason, **settings):
    now = settings.pop("now", 0.0)
    return restart.exited(State(children, **settings), child_id, reason, now)


def run(state, plan, fails=()):
    """Do what a plan says; the children in *fails* do not start."""
    children = state.children
    for child_id in plan.stop:
        children = restart.stopped(children, child_id, Shutdown())
    for child_id in plan.start:
        if child_id in fails:
            return state.having(restart.start_failed(children, plan, child_id))
        children = restart.started(children, child_id, "new ref", now=0.0, by_itself=True)
    return state.having(children)


def states(children):
    return {child.spec.id: child.state for child in children}


# ---- the table of rules 1.3 -------------------------------------------------------------------


@pytest.mark.table_row("permanent", "transient", "temporary")
@pytest.mark.parametrize(
    ("restart_type", "reason", "comes_back"),
    [
        (PERMANENT, Normal(), True),
        (PERMANENT, Shutdown(), True),
        (PERMANENT, Shutdown("detail"), True),
        (PERMANENT, CRASH, True),
        (PERMANENT, Killed(), True),
        (PERMANENT, NoProc(), True),
        (TRANSIENT, Normal(), False),
        (TRANSIENT, Shutdown(), False),
        (TRANSIENT, Shutdown("detail"), False),
        (TRANSIENT, CRASH, True),
        (TRANSIENT, Killed(), True),
        (TRANSIENT, NoProc(), True),
        (TEMPORARY, Normal(), False),
        (TEMPORARY, Shutdown(), False),
        (TEMPORARY, CRASH, False),
        (TEMPORARY, Killed(), False),
    ],
)
def test_restart_type_and_reason_decide_whether_a_child_comes_back(
    restart_type, reason, comes_back
):
    assert restart.comes_back(restart_type, reason) is comes_back


@pytest.mark.table_row("transient", "temporary")
def test_a_transient_child_that_ends_normally_keeps_its_place_and_a_temporary_one_does_not():
    children = (a_child("t", TRANSIENT), a_child("x", TEMPORARY), a_child("p"))

    after = exited(children, "t", Normal())[0].children
    after = exited(after, "x", CRASH)[0].children

    assert states(after) == {"t": STOPPED, "p": RUNNING}
    assert after[0].last_exit == Normal()


@pytest.mark.rule(16)
@pytest.mark.parametrize("strategy", list(Strategy))
def test_rule_16_siblings_are_left_alone_unless_the_child_comes_back(strategy):
    children = (a_child("a"), a_child("t", TRANSIENT), a_child("b"))

    state, action = exited(children, "t", Normal(), strategy=strategy)

    assert action == Leave()
    assert states(state.children) == {"a": RUNNING, "t": STOPPED, "b": RUNNING}


# ---- strategies, 1.4 --------------------------------------------------------------------------


@pytest.mark.rule(20, 21, 22, 23)
@pytest.mark.parametrize(
    ("strategy", "stop", "start"),
    [
        (Strategy.ONE_FOR_ONE, (), ("b",)),
        (Strategy.ONE_FOR_ALL, ("d", "c", "a"), ("a", "b", "c", "d")),
        (Strategy.REST_FOR_ONE, ("d", "c"), ("b", "c", "d")),
    ],
)
def test_rules_20_to_23_a_group_stops_in_reverse_and_starts_in_order(strategy, stop, start):
    children = tuple(a_child(child_id) for child_id in "abcd")

    _, action = exited(children, "b", CRASH, strategy=strategy)

    assert action == StartAgain(stop, start)


@pytest.mark.rule(22)
def test_rule_22_temporary_siblings_are_stopped_and_not_started():
    children = (a_child("a"), a_child("x", TEMPORARY), a_child("b"))

    _, action = exited(children, "a", CRASH, strategy=Strategy.ONE_FOR_ALL)

    assert action == StartAgain(("b", "x"), ("a", "b"))


@pytest.mark.rule(24)
def test_rule_24_a_group_also_starts_children_that_did_not_run():
    children = (a_child("a"), a_child("ended", TRANSIENT, STOPPED), a_child("b"))

    _, action = exited(children, "a", CRASH, strategy=Strategy.ONE_FOR_ALL)

    assert action == StartAgain(("b",), ("a", "ended", "b"))


@pytest.mark.rule(26)
def test_rule_26_a_group_spends_one_unit_of_intensity():
    intensity = RestartIntensity(max_restarts=1)
    children = tuple(a_child(child_id) for child_id in "abcdef")

    state, action = exited(children, "a", CRASH, strategy=Strategy.ONE_FOR_ALL, intensity=intensity)

    assert isinstance(action, StartAgain)
    assert state.intensity.left(now=0.0) == 0


# ---- intensity, 1.5 ---------------------------------------------------------------------------


@pytest.mark.rule(28)
@pytest.mark.deviation(3)
def test_rule_28_the_boundary_of_the_window_is_inclusive():
    once = RestartIntensity(max_restarts=1, max_seconds=5.0).record(0.0)

    assert once.record(5.0).is_exceeded
    assert not once.record(5.001).is_exceeded
    assert (once.left(5.0), once.left(5.001)) == (0, 1)


@pytest.mark.rule(29)
def test_rule_29_intensity_0_gives_up_at_the_first_restart():
    children = (a_child("a"), a_child("b"))

    state, action = exited(children, "a", CRASH, intensity=RestartIntensity(max_restarts=0))

    assert isinstance(action, GiveUp)
    assert action.child.spec.id == "a"
    assert states(state.children) == {"a": STOPPED, "b": RUNNING}


@pytest.mark.rule(28)
@pytest.mark.deviation(3)
@given(
    max_restarts=st.integers(0, 5),
    max_seconds=st.integers(1, 10),
    steps=st.lists(st.integers(0, 12), max_size=30),
)
def test_the_window_agrees_with_a_plain_count_of_the_recent(max_restarts, max_seconds, steps):
    intensity = RestartIntensity(max_restarts, max_seconds)
    times = [sum(steps[: i + 1]) for i in range(len(steps))]

    for i, now in enumerate(times):
        recent = [t for t in times[: i + 1] if t >= now - max_seconds]
        intensity = intensity.record(now)
        assert intensity.is_exceeded is (len(recent) > max_restarts)
        assert intensity.left(now) == max(0, max_restarts - len(recent))


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"max_restarts": -1}, ValueError),
        ({"max_restarts": 1.5}, TypeError),
        ({"max_restarts": True}, TypeError),
        ({"max_seconds": 0}, ValueError),
        ({"max_seconds": float("nan")}, ValueError),
        ({"max_seconds": "5"}, TypeError),
        ({"max_seconds": True}, TypeError),
    ],
)
def test_an_intensity_that_makes_no_sense_names_the_setting(settings, error):
    with pytest.raises(error, match=f"^{next(iter(settings))} must"):
        RestartIntensity(**settings)


def test_the_window_may_be_a_timedelta():
    assert RestartIntensity(max_seconds=timedelta(minutes=1)) == RestartIntensity(max_seconds=60.0)


# ---- failing restarts, 1.6 --------------------------------------------------------------------


@pytest.mark.rule(36)
def test_rule_36_a_failed_start_leaves_the_earlier_up_and_the_later_down():
    children = tuple(a_child(child_id) for child_id in "abc")
    state, plan = exited(children, "a", CRASH, strategy=Strategy.REST_FOR_ONE)
    state = run(state, plan, fails={"b"})

    _, again = restart.retry(state, "b", now=0.0)

    assert states(state.children) == {"a": RUNNING, "b": RESTARTING, "c": STOPPED}
    assert (again.stop, again.start) == ((), ("b", "c"))


@pytest.mark.rule(37)
def test_rule_37_one_for_all_begins_again_from_the_first():
    children = tuple(a_child(child_id) for child_id in "abc")
    state, plan = exited(children, "c", CRASH, strategy=Strategy.ONE_FOR_ALL)
    state = run(state, plan, fails={"b"})

    _, again = restart.retry(state, "b", now=0.0)

    assert states(state.children) == {"a": RUNNING, "b": RESTARTING, "c": STOPPED}
    assert (again.stop, again.start) == (("a",), ("a", "b", "c"))


def test_a_child_that_comes_back_is_restarting_until_it_has_started():
    children = (a_child("a"), a_child("b"))

    state, plan = exited(children, "a", CRASH)

    assert states(state.children) == {"a": RESTARTING, "b": RUNNING}
    assert states(run(state, plan).children) == {"a": RUNNING, "b": RUNNING}


def test_a_child_that_is_given_up_while_it_is_retried_is_stopped():
    children = (a_child("a", state=RESTARTING), a_child("b"))
    state = State(children, intensity=RestartIntensity(max_restarts=0))

    state, action = restart.retry(state, "a", now=0.0)

    assert states(state.children) == {"a": STOPPED, "b": RUNNING}
    assert action == GiveUp(state.children[0])


@pytest.mark.rule(31)
def test_rule_31_every_retry_counts():
    state, action = exited((a_child("a"),), "a", CRASH, intensity=RestartIntensity(max_restarts=2))
    actions = []

    while isinstance(action, StartAgain):
        state = run(state, action, fails={"a"})
        state, action = restart.retry(state, "a", now=0.0)
        actions.append(type(action))

    assert actions == [StartAgain, GiveUp]


def test_failed_starts_in_a_row_are_counted_until_one_succeeds():
    state, plan = exited((a_child("a"),), "a", CRASH, intensity=RestartIntensity(max_restarts=9))
    counts = []

    for fails in ({"a"}, {"a"}, (), {"a"}):
        state = run(state, plan, fails)
        counts.append(state.children[0].failed_starts)
        if fails:
            state, plan = restart.retry(state, "a", now=0.0)
        else:
            state, plan = restart.exited(state, "a", CRASH, now=0.0)

    assert counts == [1, 2, 0, 1]


@pytest.mark.rule(39)
def test_rule_39_a_retry_of_a_child_that_was_terminated_meanwhile_does_nothing():
    state = State((a_child("a", state=STOPPED),), intensity=RestartIntensity(max_restarts=0))

    assert restart.retry(state, "a", now=0.0) == (state, Leave())


def test_a_retry_of_a_child_that_is_gone_does_nothing():
    assert restart.retry(State(()), "a", now=0.0) == (State(()), Leave())


@pytest.mark.table_row("permanent", "transient", "temporary")
@pytest.mark.parametrize(
    ("restart_type", "reason", "follows"),
    [
        (PERMANENT, Normal(), StartAgain(stop=(), start=("ref a",))),
        (TRANSIENT, CRASH, StartAgain(stop=(), start=("ref a",))),
        (TRANSIENT, Shutdown(), Leave()),
        (TEMPORARY, CRASH, Leave()),
    ],
)
def test_a_child_without_a_place_among_others_follows_the_same_table(restart_type, reason, follows):
    child = a_child("a", restart_type)
    twice = RestartIntensity(max_restarts=2)

    intensity, action = restart.exited_alone(child, reason, twice, now=0.0)

    assert action == follows
    assert intensity.left(0.0) == (1 if isinstance(follows, StartAgain) else 2)


def test_a_child_without_a_place_is_given_up_after_too_many_retries():
    child, intensity = a_child("a"), RestartIntensity(max_restarts=1)

    intensity, first = restart.exited_alone(child, CRASH, intensity, now=0.0)
    _, second = restart.retry_alone(child, intensity, now=0.0)

    assert isinstance(first, StartAgain)
    assert second == GiveUp(child)


@pytest.mark.rule(12, 38)
def test_rule_38_ignore_keeps_a_permanent_child_and_drops_a_temporary_one():
    children = (a_child("p", state=STOPPED), a_child("x", TEMPORARY, STOPPED))

    children = restart.ignored(children, "p")
    children = restart.ignored(children, "x")

    assert states(children) == {"p": STOPPED}


def test_a_child_counts_its_starts_and_those_that_were_not_its_supervisors_idea():
    children = restart.added((), ChildSpec("a", print))
    children = restart.started(children, "a", "ref 1", now=1.0, by_itself=False)
    children = restart.stopped(children, "a", Shutdown())
    children = restart.started(children, "a", "ref 2", now=2.0, by_itself=False)
    children = restart.stopped(children, "a", CRASH)
    children = restart.started(children, "a", "ref 3", now=3.0, by_itself=True)

    (child,) = children
    assert (child.incarnation, child.restarts, child.last_exit) == (3, 1, CRASH)
    assert (child.ref, child.started_at) == ("ref 3", 3.0)


def test_a_stopped_child_has_no_actor_and_no_failed_starts():
    child = a_child("a")._replace(failed_starts=2)

    (stopped,) = restart.stopped((child,), "a", CRASH)

    assert stopped == child._replace(state=STOPPED, ref=None, last_exit=CRASH, failed_starts=0)


def test_a_retry_that_is_called_off_keeps_the_reason_of_the_last_exit():
    child = a_child("a", state=RESTARTING)._replace(last_exit=CRASH)

    (stopped,) = restart.stopped((child,), "a", None)

    assert (stopped.state, stopped.last_exit) == (STOPPED, CRASH)


def test_a_child_that_is_not_there_is_a_lookup_error_with_its_id():
    with pytest.raises(LookupError) as missing:
        restart.find((a_child("a"),), "b")

    assert missing.value.args == ("b",)


# ---- auto_shutdown, 1.8 -----------------------------------------------------------------------

ANY, ALL = AutoShutdown.ANY_SIGNIFICANT, AutoShutdown.ALL_SIGNIFICANT


@pytest.mark.rule(51)
@pytest.mark.parametrize(
    ("restart_type", "reason", "follows"),
    [
        (TRANSIENT, Normal(), ShutDown),
        (TRANSIENT, Shutdown(), ShutDown),
        (TRANSIENT, CRASH, StartAgain),
        (TEMPORARY, Normal(), ShutDown),
        (TEMPORARY, CRASH, ShutDown),
    ],
)
def test_rule_51_only_an_end_for_good_of_a_significant_child_counts(restart_type, reason, follows):
    children = (a_child("s", restart_type, significant=True), a_child("p"))

    assert type(exited(children, "s", reason, auto_shutdown=ANY)[1]) is follows


@pytest.mark.rule(52)
def test_rule_52_all_significant_waits_for_the_last_and_a_restarting_child_is_not_gone():
    two = (
        a_child("s", TRANSIENT, significant=True),
        a_child("t", TRANSIENT, significant=True),
        a_child("p"),
    )
    one_restarting = (two[0], a_child("t", TRANSIENT, RESTARTING, significant=True))

    state, first = exited(two, "s", Normal(), auto_shutdown=ALL)
    _, last = restart.exited(state, "t", Normal(), now=0.0)
    _, not_yet = exited(one_restarting, "s", Normal(), auto_shutdown=ALL)

    assert (first, last, not_yet) == (Leave(), ShutDown(), Leave())


def test_without_auto_shutdown_a_significant_child_ends_nothing():
    children = (a_child("s", TRANSIENT, significant=True), a_child("p"))

    assert exited(children, "s", Normal(), auto_shutdown=AutoShutdown.NEVER)[1] == Leave()


def test_an_insignificant_child_never_ends_its_supervisor():
    children = (a_child("s", TRANSIENT, significant=True), a_child("x", TEMPORARY))

    assert exited(children, "x", CRASH, auto_shutdown=ANY)[1] == Leave()
