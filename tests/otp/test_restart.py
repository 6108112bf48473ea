import pytest
from hypothesis import given
from hypothesis import strategies as st

from antq_actors.otp import restart
from antq_actors.otp.child_spec import AutoShutdown, ChildSpec, Restart, Strategy
from antq_actors.otp.reasons import Crash, Killed, NoProc, Normal, Shutdown
from antq_actors.otp.restart import (
    Child,
    ChildState,
    GiveUp,
    Leave,
    RestartIntensity,
    ShutDown,
    StartAgain,
)

CRASH = Crash(ValueError("boom"))
PERMANENT, TRANSIENT, TEMPORARY = Restart.PERMANENT, Restart.TRANSIENT, Restart.TEMPORARY
RUNNING, STOPPED, RESTARTING = ChildState.RUNNING, ChildState.STOPPED, ChildState.RESTARTING


def a_child(child_id, restart_type=PERMANENT, state=RUNNING, *, significant=False):
    spec = ChildSpec(child_id, print, restart=restart_type, significant=significant)
    return Child(spec, state, ref=f"ref {child_id}", incarnation=1)


def exited(children, child_id, reason, **settings):
    defaults = {
        "strategy": Strategy.ONE_FOR_ONE,
        "auto_shutdown": AutoShutdown.NEVER,
        "intensity": RestartIntensity(),
        "now": 0.0,
    }
    return restart.exited(children, child_id, reason, **(defaults | settings))


def ids(children):
    return [child.spec.id for child in children]


def states(children):
    return {child.spec.id: child.state for child in children}


# ---- the table of rules 1.3 -------------------------------------------------------------------


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


def test_a_transient_child_that_ends_normally_keeps_its_place_and_a_temporary_one_does_not():
    children = (a_child("t", TRANSIENT), a_child("x", TEMPORARY), a_child("p"))

    after = exited(children, "t", Normal()).children
    after = exited(after, "x", CRASH).children

    assert states(after) == {"t": STOPPED, "p": RUNNING}
    assert after[0].last_exit == Normal()


@pytest.mark.parametrize("strategy", list(Strategy))
def test_rule_16_siblings_are_left_alone_unless_the_child_comes_back(strategy):
    children = (a_child("a"), a_child("t", TRANSIENT), a_child("b"))

    decision = exited(children, "t", Normal(), strategy=strategy)

    assert isinstance(decision, Leave)
    assert states(decision.children) == {"a": RUNNING, "t": STOPPED, "b": RUNNING}


# ---- strategies, 1.4 --------------------------------------------------------------------------


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

    decision = exited(children, "b", CRASH, strategy=strategy)

    assert isinstance(decision, StartAgain)
    assert decision.stop == stop
    assert decision.start == start


def test_rule_22_temporary_siblings_are_stopped_and_not_started():
    children = (a_child("a"), a_child("x", TEMPORARY), a_child("b"))

    decision = exited(children, "a", CRASH, strategy=Strategy.ONE_FOR_ALL)

    assert decision.stop == ("b", "x")
    assert decision.start == ("a", "b")


def test_rule_24_a_group_also_starts_children_that_did_not_run():
    children = (a_child("a"), a_child("ended", TRANSIENT, STOPPED), a_child("b"))

    decision = exited(children, "a", CRASH, strategy=Strategy.ONE_FOR_ALL)

    assert decision.stop == ("b",)
    assert decision.start == ("a", "ended", "b")


def test_rule_26_a_group_spends_one_unit_of_intensity():
    intensity = RestartIntensity(max_restarts=1)
    children = tuple(a_child(child_id) for child_id in "abcdef")

    decision = exited(children, "a", CRASH, strategy=Strategy.ONE_FOR_ALL, intensity=intensity)

    assert isinstance(decision, StartAgain)


# ---- intensity, 1.5 ---------------------------------------------------------------------------


def test_rule_28_the_boundary_of_the_window_is_inclusive():
    just_inside = RestartIntensity(max_restarts=1, max_seconds=5.0)
    just_outside = RestartIntensity(max_restarts=1, max_seconds=5.0)

    assert [just_inside.record(now) for now in (0.0, 5.0)] == [True, False]
    assert [just_outside.record(now) for now in (0.0, 5.001)] == [True, True]


def test_rule_29_intensity_0_gives_up_at_the_first_restart():
    children = (a_child("a"), a_child("b"))

    decision = exited(children, "a", CRASH, intensity=RestartIntensity(max_restarts=0))

    assert isinstance(decision, GiveUp)
    assert decision.child.spec.id == "a"
    assert states(decision.children) == {"a": STOPPED, "b": RUNNING}


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
        assert intensity.record(now) is (len(recent) <= max_restarts)


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
    with pytest.raises(error, match=next(iter(settings))):
        RestartIntensity(**settings)


# ---- failing restarts, 1.6 --------------------------------------------------------------------


def test_rule_36_a_failed_start_leaves_the_earlier_up_and_the_later_down():
    children = tuple(a_child(child_id) for child_id in "abc")
    plan = exited(children, "a", CRASH, strategy=Strategy.REST_FOR_ONE)
    now = run(plan, fails={"b"})

    decision = restart.retry(
        now, "b", strategy=Strategy.REST_FOR_ONE, intensity=RestartIntensity(), now=0.0
    )

    assert states(now) == {"a": RUNNING, "b": RESTARTING, "c": STOPPED}
    assert (decision.stop, decision.start) == ((), ("b", "c"))


def test_rule_37_one_for_all_begins_again_from_the_first():
    children = tuple(a_child(child_id) for child_id in "abc")
    plan = exited(children, "c", CRASH, strategy=Strategy.ONE_FOR_ALL)
    now = run(plan, fails={"b"})

    decision = restart.retry(
        now, "b", strategy=Strategy.ONE_FOR_ALL, intensity=RestartIntensity(), now=0.0
    )

    assert states(now) == {"a": RUNNING, "b": RESTARTING, "c": STOPPED}
    assert (decision.stop, decision.start) == (("a",), ("a", "b", "c"))


def test_rule_31_every_retry_counts():
    intensity = RestartIntensity(max_restarts=2)
    plan = exited((a_child("a"),), "a", CRASH, intensity=intensity)
    decisions = []

    while isinstance(plan, StartAgain):
        now = run(plan, fails={"a"})
        plan = restart.retry(now, "a", strategy=Strategy.ONE_FOR_ONE, intensity=intensity, now=0.0)
        decisions.append(type(plan))

    assert decisions == [StartAgain, GiveUp]


def test_rule_39_a_retry_of_a_child_that_was_terminated_meanwhile_does_nothing():
    children = (a_child("a", state=STOPPED),)

    decision = restart.retry(
        children,
        "a",
        strategy=Strategy.ONE_FOR_ONE,
        intensity=RestartIntensity(max_restarts=0),
        now=0.0,
    )

    assert decision == Leave(children)


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


# ---- auto_shutdown, 1.8 -----------------------------------------------------------------------

ANY, ALL = AutoShutdown.ANY_SIGNIFICANT, AutoShutdown.ALL_SIGNIFICANT


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

    assert type(exited(children, "s", reason, auto_shutdown=ANY)) is follows


def test_rule_52_all_significant_waits_for_the_last_and_a_restarting_child_is_not_gone():
    two = (
        a_child("s", TRANSIENT, significant=True),
        a_child("t", TRANSIENT, significant=True),
        a_child("p"),
    )
    one_restarting = (two[0], a_child("t", TRANSIENT, RESTARTING, significant=True))

    first = exited(two, "s", Normal(), auto_shutdown=ALL)
    last = exited(first.children, "t", Normal(), auto_shutdown=ALL)

    assert isinstance(first, Leave)
    assert isinstance(last, ShutDown)
    assert isinstance(exited(one_restarting, "s", Normal(), auto_shutdown=ALL), Leave)


def test_an_insignificant_child_never_ends_its_supervisor():
    children = (a_child("s", TRANSIENT, significant=True), a_child("x", TEMPORARY))

    assert isinstance(exited(children, "x", CRASH, auto_shutdown=ANY), Leave)


# ---- against a model --------------------------------------------------------------------------


def run(plan, fails=()):
    """Do what a plan says; the children in *fails* do not start."""
    children = plan.children
    for child_id in plan.stop:
        children = restart.stopped(children, child_id, Shutdown())
    for child_id in plan.start:
        if child_id in fails:
            return restart.start_failed(children, plan, child_id)
        children = restart.started(children, child_id, "new ref", now=0.0, by_itself=True)
    return children


class Model:
    """OTP's rules once more, on a list of [id, restart type, runs] and a list of times."""

    def __init__(self, restart_types, strategy, max_restarts):
        self.rows = [[str(i), each, True] for i, each in enumerate(restart_types)]
        self.strategy, self.max_restarts = strategy, max_restarts
        self.times, self.gave_up = [], False

    def exit(self, child_id, reason, now):
        place = [row[0] for row in self.rows].index(child_id)
        row = self.rows[place]
        row[2] = False
        orderly = isinstance(reason, Normal | Shutdown)
        if row[1] is TEMPORARY:
            self.rows.remove(row)
        if row[1] is TEMPORARY or (row[1] is TRANSIENT and orderly):
            return
        self.times.append(now)
        if sum(t >= now - 5 for t in self.times) > self.max_restarts:
            self.gave_up = True
            return
        first = 0 if self.strategy is Strategy.ONE_FOR_ALL else place
        last = place + 1 if self.strategy is Strategy.ONE_FOR_ONE else len(self.rows)
        group = [each for each in self.rows[first:last] if each[1] is not TEMPORARY]
        self.rows[first:last] = [[child_id, kind, True] for child_id, kind, _ in group]


@given(
    restart_types=st.lists(st.sampled_from(list(Restart)), min_size=1, max_size=5),
    strategy=st.sampled_from(list(Strategy)),
    max_restarts=st.integers(0, 6),
    data=st.data(),
)
def test_any_row_of_exits_leads_where_otps_rules_lead(restart_types, strategy, max_restarts, data):
    children = tuple(a_child(str(i), each) for i, each in enumerate(restart_types))
    intensity = RestartIntensity(max_restarts, 5.0)
    model = Model(restart_types, strategy, max_restarts)
    now = 0

    for _ in range(data.draw(st.integers(0, 12))):
        running = [child.spec.id for child in children if child.is_running]
        if not running:
            break
        child_id = data.draw(st.sampled_from(running))
        reason = data.draw(st.sampled_from([Normal(), Shutdown(), Shutdown(1), CRASH, Killed()]))
        now += data.draw(st.integers(0, 3))
        model.exit(child_id, reason, now)
        decision = exited(
            children, child_id, reason, strategy=strategy, intensity=intensity, now=now
        )
        assert isinstance(decision, GiveUp) is model.gave_up
        if model.gave_up:
            break
        children = run(decision) if isinstance(decision, StartAgain) else decision.children

        assert [(c.spec.id, c.is_running) for c in children] == [
            (child_id, runs) for child_id, _, runs in model.rows
        ]


@given(
    restart_types=st.lists(st.sampled_from([PERMANENT, TRANSIENT]), min_size=1, max_size=5),
    strategy=st.sampled_from(list(Strategy)),
    data=st.data(),
)
def test_whatever_fails_to_start_all_run_in_the_end_or_the_supervisor_gives_up(
    restart_types, strategy, data
):
    children = tuple(a_child(str(i), each) for i, each in enumerate(restart_types))
    intensity = RestartIntensity(max_restarts=4)
    decision = exited(
        children,
        data.draw(st.sampled_from(ids(children))),
        CRASH,
        strategy=strategy,
        intensity=intensity,
    )

    while isinstance(decision, StartAgain):
        fails = data.draw(st.sets(st.sampled_from(ids(children)), max_size=2))
        children = run(decision, fails)
        restarting = [c.spec.id for c in children if c.state is RESTARTING]
        assert len(restarting) <= 1
        if not restarting:
            break
        decision = restart.retry(
            children, restarting[0], strategy=strategy, intensity=intensity, now=0.0
        )

    if isinstance(decision, StartAgain):
        assert set(states(children).values()) == {RUNNING}
    else:
        assert isinstance(decision, GiveUp)
