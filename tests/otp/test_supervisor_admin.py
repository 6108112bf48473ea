"""Rules of otp 1.9: what can be asked of a supervisor, state by state."""

import pytest
from supervised import crash, eventually, kill

from antq_actors.otp import (
    RESTARTING,
    AlreadyPresent,
    AlreadyStarted,
    CallExit,
    ChildInfo,
    ChildSpec,
    Counts,
    NoProc,
    NotFound,
    Restart,
    Restarting,
    Running,
    StartError,
    Supervisor,
    stop,
    whereis,
)


def info(sup, child_id):
    return next(c for c in Supervisor.which_children(sup) if c.id == child_id)


@pytest.fixture
def sup(supervise, child):
    """A supervisor whose child "up" runs, "down" does not, and "trying" is restarting."""
    sup = supervise(child("up"), child("down"), child("trying"), max_restarts=10**9)
    Supervisor.terminate_child(sup, "down")
    child.plan["trying"] = "fail"
    crash(info(sup, "trying").ref)
    eventually(lambda: info(sup, "trying").ref is RESTARTING)
    return sup


@pytest.mark.rule(25)
@pytest.mark.table_row("start_child")
def test_start_child_adds_at_the_end_and_answers_the_ref(sup, child):
    ref = Supervisor.start_child(sup, child("new"))

    assert Supervisor.which_children(sup)[-1] == ChildInfo("new", ref, "worker")


@pytest.mark.table_row("start_child")
def test_start_child_refuses_an_id_that_runs_with_the_one_that_has_it(sup, child):
    with pytest.raises(AlreadyStarted) as caught:
        Supervisor.start_child(sup, child("up"))

    assert caught.value.ref is info(sup, "up").ref


@pytest.mark.rule(39)
@pytest.mark.table_row("start_child")
@pytest.mark.parametrize("child_id", ["down", "trying"])
def test_start_child_refuses_an_id_that_is_known(sup, child, child_id):
    with pytest.raises(AlreadyPresent, match=child_id):
        Supervisor.start_child(sup, child(child_id))


@pytest.mark.table_row("start_child")
def test_start_child_that_fails_leaves_no_trace(sup, child):
    child.plan["new"] = "fail"

    with pytest.raises(StartError, match="new fails") as caught:
        Supervisor.start_child(sup, child("new"))

    assert caught.value.child_id == "new"
    assert isinstance(caught.value.__cause__, ValueError)
    assert Supervisor.count_children(sup).specs == 3


@pytest.mark.rule(61)
def test_rule_61_start_child_passes_on_that_the_name_is_taken(sup, child):
    first = Supervisor.start_child(sup, child("first", name="one"))

    with pytest.raises(AlreadyStarted) as caught:
        Supervisor.start_child(sup, child("second", name="one"))

    assert caught.value.ref is first is whereis("one")
    assert Supervisor.count_children(sup).specs == 4


def test_start_child_checks_in_the_caller(sup):
    with pytest.raises(TypeError, match="ChildSpec"):
        Supervisor.start_child(sup, "no spec")


@pytest.mark.table_row("terminate_child")
def test_terminate_child_keeps_the_spec_and_drops_a_temporary_one(sup, child):
    Supervisor.start_child(sup, child("temporary", restart=Restart.TEMPORARY))

    Supervisor.terminate_child(sup, "up")
    Supervisor.terminate_child(sup, "temporary")

    assert info(sup, "up") == ChildInfo("up", None, "worker")
    with pytest.raises(NotFound):
        Supervisor.terminate_child(sup, "temporary")


@pytest.mark.rule(39)
@pytest.mark.table_row("terminate_child")
def test_terminate_child_may_be_repeated_and_calls_off_a_retry(sup, child):
    Supervisor.terminate_child(sup, "down")
    Supervisor.terminate_child(sup, "trying")
    del child.plan["trying"]

    assert info(sup, "down").ref is None
    assert info(sup, "trying").ref is None


@pytest.mark.table_row("restart_child")
def test_restart_child_starts_what_does_not_run(sup):
    ref = Supervisor.restart_child(sup, "down")

    assert info(sup, "down").ref is ref


@pytest.mark.table_row("restart_child")
def test_restart_child_that_fails_leaves_it_down(sup, child):
    child.plan["down"] = "fail"

    with pytest.raises(StartError, match="down fails"):
        Supervisor.restart_child(sup, "down")

    assert info(sup, "down").ref is None


@pytest.mark.table_row("delete_child")
def test_delete_child_forgets_what_does_not_run(sup):
    Supervisor.delete_child(sup, "down")

    assert [c.id for c in Supervisor.which_children(sup)] == ["up", "trying"]


@pytest.mark.rule(39)
@pytest.mark.table_row("restart_child", "delete_child")
@pytest.mark.parametrize("ask", [Supervisor.restart_child, Supervisor.delete_child])
def test_restart_child_and_delete_child_refuse_what_runs_or_restarts(sup, ask):
    with pytest.raises(Running, match="'up'"):
        ask(sup, "up")
    with pytest.raises(Restarting, match="'trying'"):
        ask(sup, "trying")


@pytest.mark.table_row("terminate_child", "restart_child", "delete_child", "get_childspec")
@pytest.mark.parametrize(
    "ask",
    [
        Supervisor.terminate_child,
        Supervisor.restart_child,
        Supervisor.delete_child,
        Supervisor.get_childspec,
    ],
)
def test_an_unknown_id_is_not_found_and_those_that_exist_are_named(sup, ask):
    with pytest.raises(NotFound, match="'up', 'down', 'trying'"):
        ask(sup, "nobody")


@pytest.mark.table_row("get_childspec")
@pytest.mark.parametrize("child_id", ["up", "down", "trying"])
def test_get_childspec_answers_the_spec_in_every_state(sup, child_id):
    spec = Supervisor.get_childspec(sup, child_id)

    assert isinstance(spec, ChildSpec)
    assert (spec.id, spec.shutdown, spec.type) == (child_id, 5.0, "worker")


@pytest.mark.rule(56, 57)
@pytest.mark.deviation(4)
def test_rules_56_and_57_children_are_listed_in_start_order_and_counted(sup, child):
    Supervisor.start_child(sup, Supervisor.child_spec([], id="inner"))

    assert [(c.id, c.type) for c in Supervisor.which_children(sup)] == [
        ("up", "worker"),
        ("down", "worker"),
        ("trying", "worker"),
        ("inner", "supervisor"),
    ]
    assert Supervisor.count_children(sup) == Counts(specs=4, active=2, supervisors=1, workers=3)


@pytest.mark.rule(34)
def test_rule_34_what_is_done_by_hand_spends_no_intensity(supervise, child):
    sup = supervise(child("a"), max_restarts=0)

    for _ in range(3):
        Supervisor.terminate_child(sup, "a")
        Supervisor.restart_child(sup, "a")

    assert Supervisor.count_children(sup).active == 1


@pytest.mark.parametrize(
    "ask", [Supervisor.which_children, Supervisor.count_children, lambda s: s.ask("x")]
)
def test_asking_a_supervisor_that_has_ended_hangs_nobody(child, ask):
    sup = Supervisor.start([child("a")])
    stop(sup)

    with pytest.raises(Exception, match=r"ended|not found|stopped") as caught:
        ask(sup)

    if isinstance(caught.value, CallExit):
        assert caught.value.reason == NoProc()


def test_a_supervisor_can_be_asked_by_name(supervise, child):
    supervise(child("a"), name="named")

    assert [c.id for c in Supervisor.which_children("named")] == ["a"]
    kill(whereis("named"))
    with pytest.raises(CallExit):
        Supervisor.which_children("named")
