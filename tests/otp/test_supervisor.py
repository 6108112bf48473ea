"""Rules of otp 1.2 to 1.6 on real actors: boot, restarts, strategies, giving up."""

import logging
import threading
import traceback

import pytest
from supervised import (
    BOOM,
    DOWN,
    UP,
    Child,
    crash,
    end_with,
    eventually,
    is_empty,
    kill,
    lines,
    raise_anew,
    running,
)

from antq_actors.otp import (
    IGNORE,
    RESTARTING,
    AutoShutdown,
    ChildSpec,
    Crash,
    DuplicateChildId,
    GenServer,
    NotFound,
    Restart,
    Restarting,
    Shutdown,
    StartError,
    Stop,
    Strategy,
    Supervisor,
    call,
    cast,
    exit,  # noqa: A004 - OTP's name
    monitor,
    stop,
    whereis,
)


def ref_of(sup, child_id):
    return next(c.ref for c in Supervisor.which_children(sup) if c.id == child_id)


# ---- boot, 1.2 --------------------------------------------------------------------------------


@pytest.mark.rule(10)
def test_rule_10_children_start_in_order_before_start_returns(supervise, child, log):
    sup = supervise(child("a"), child("b"), child("c"))

    assert log.take(3) == [(UP, "a"), (UP, "b"), (UP, "c")]
    assert running(sup) == ["a", "b", "c"]


@pytest.mark.rule(11)
def test_rule_11_a_child_that_fails_at_boot_takes_those_before_it_down_in_reverse(
    supervise, child, log
):
    child.plan["c"] = "fail"

    with pytest.raises(StartError, match="'c' did not start: ValueError: c fails") as caught:
        supervise(child("a"), child("b"), child("c"), child("d"))

    assert log.take(5) == [
        (UP, "a"),
        (UP, "b"),
        ("fails", "c"),
        (DOWN, "b", Shutdown()),
        (DOWN, "a", Shutdown()),
    ]
    assert log.is_empty()
    assert caught.value.child_id == "c"
    assert isinstance(caught.value.reason, Shutdown)
    assert isinstance(caught.value.__cause__, ValueError)


def test_a_failed_boot_names_every_id_on_the_path(child):
    child.plan["deep"] = "fail"
    inner = Supervisor.child_spec([child("deep")], id="inner")

    with pytest.raises(StartError) as caught:
        Supervisor.start([Supervisor.child_spec([inner], id="middle")], name="outer")

    chain = [caught.value, caught.value.__cause__, caught.value.__cause__.__cause__]
    assert [error.child_id for error in chain] == ["middle", "inner", "deep"]
    assert isinstance(chain[-1].__cause__, ValueError)
    assert all(each in str(caught.value) for each in ("middle", "inner", "deep", "deep fails"))
    assert whereis("outer") is None


@pytest.mark.rule(12)
def test_rule_12_ignore_keeps_the_spec_unless_the_child_is_temporary(supervise, child):
    child.plan.update(a="ignore", b="ignore")

    sup = supervise(child("a"), child("b", restart=Restart.TEMPORARY), child("c"))

    assert [(c.id, c.ref is None) for c in Supervisor.which_children(sup)] == [
        ("a", True),
        ("c", False),
    ]


@pytest.mark.rule(13)
def test_rule_13_a_supervisor_whose_init_answers_ignore_is_ignored():
    class Absent(Supervisor):
        def init_children(self):
            return IGNORE

    assert Absent.start() is IGNORE


@pytest.mark.rule(15)
def test_rule_15_a_child_that_dies_during_boot_is_restarted_after_it(supervise, child, log):
    child.plan["b"] = threading.Event()
    a_died = threading.Event()

    def crash_a():
        log.take(2)  # a is up, b waits
        crash(whereis("a"))
        a_died.set()
        child.plan["b"].set()

    threading.Thread(target=crash_a).start()
    sup = supervise(child("a", name="a"), child("b"))

    assert a_died.wait(30)
    assert log.take(3) == [(DOWN, "a", Crash(BOOM)), (UP, "b"), (UP, "a")]
    assert running(sup) == ["a", "b"]


@pytest.mark.rule(4)
def test_rule_4_two_children_with_one_id_are_refused_before_anything_starts(child, log):
    with pytest.raises(DuplicateChildId, match="'a'") as caught:
        Supervisor.start([child("a"), child("a")])

    assert caught.value.child_id == "a"
    assert log.is_empty()


@pytest.mark.rule(2, 6)
@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"strategy": "one_for_one"}, TypeError),
        ({"max_restarts": -1}, ValueError),
        ({"max_restarts": "3"}, TypeError),
        ({"max_seconds": 0}, ValueError),
        ({"auto_shutdown": True}, TypeError),
        ({"max_restart": 1}, TypeError),
    ],
)
def test_rule_6_an_option_that_makes_no_sense_is_named_and_nothing_starts(
    child, log, options, error
):
    with pytest.raises(error, match=next(iter(options))):
        Supervisor.start([child("a")], **options)

    assert log.is_empty()


@pytest.mark.parametrize("children", ["abc", 1, [1], [None], [object]])
def test_children_that_are_none_are_a_type_error_in_the_caller(children):
    with pytest.raises(TypeError):
        Supervisor.start(children)


@pytest.mark.rule(8)
@pytest.mark.parametrize("answer", [None, 4, "ok"])
def test_rule_8_a_start_function_has_to_answer_a_ref(answer):
    with pytest.raises(StartError, match="ServerRef") as caught:
        Supervisor.start([ChildSpec("odd", lambda: answer)])

    assert isinstance(caught.value.__cause__, TypeError)


@pytest.mark.rule(8)
@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(1), KeyboardInterrupt()])
def test_rule_8_whatever_a_start_function_raises_is_that_childs_failure(error):
    def start():
        raise_anew(error)

    with pytest.raises(StartError) as caught:
        Supervisor.start([ChildSpec("odd", start)])

    assert caught.value.__cause__ is error


@pytest.mark.rule(8)
def test_rule_8_the_start_function_runs_in_the_supervisors_thread(supervise, log):
    threads = []

    def start():
        threads.append(threading.current_thread().name)
        return Child.start("a", log)

    sup = supervise(ChildSpec("a", start), name="the supervisor")

    assert threads == ["the supervisor"]
    assert running(sup) == ["a"]


@pytest.mark.rule(8)
def test_a_start_function_that_forgot_to_link_is_supervised_all_the_same(supervise, log):
    sup = supervise(ChildSpec("a", lambda: Child.start("a", log)))
    log.take(1)

    crash(ref_of(sup, "a"))

    assert log.take(2) == [(DOWN, "a", Crash(BOOM)), (UP, "a")]


# ---- restarts, 1.3 and 1.4 --------------------------------------------------------------------


@pytest.mark.rule(21)
@pytest.mark.parametrize("error", [BOOM, Stop(), Stop(Shutdown()), SystemExit(1)])
def test_rule_21_a_permanent_child_comes_back_alone_in_its_place(supervise, child, log, error):
    sup = supervise(child("a"), child("b"), child("c"))
    before = Supervisor.which_children(sup)
    log.take(3)

    end_with(before[1].ref, error)

    assert log.take(2)[1] == (UP, "b")
    after = Supervisor.which_children(sup)
    assert [c.id for c in after] == ["a", "b", "c"]
    assert (after[0], after[2]) == (before[0], before[2])
    assert after[1].ref is not before[1].ref


@pytest.mark.rule(62)
def test_a_killed_child_comes_back(supervise, child, log):
    sup = supervise(child("a", name="a"))
    killed = ref_of(sup, "a")

    kill(killed)

    assert log.take(2) == [(UP, "a"), (UP, "a")]
    assert ref_of(sup, "a") is whereis("a") is not killed


@pytest.mark.table_row("transient", "temporary")
def test_a_temporary_child_is_forgotten_and_a_transient_one_kept(supervise, child, log):
    sup = supervise(
        child("temporary", restart=Restart.TEMPORARY), child("transient", restart=Restart.TRANSIENT)
    )
    crash(ref_of(sup, "temporary"))
    stop(ref_of(sup, "transient"))

    eventually(lambda: running(sup) == [])
    assert [c.id for c in Supervisor.which_children(sup)] == ["transient"]
    log.take(4)
    assert log.is_empty()


@pytest.mark.rule(20, 22)
def test_rules_20_and_22_one_for_all_stops_in_reverse_and_starts_in_order(supervise, child, log):
    sup = supervise(child("a"), child("b"), child("c"), strategy=Strategy.ONE_FOR_ALL)
    log.take(3)

    crash(ref_of(sup, "b"))

    assert log.take(6) == [
        (DOWN, "b", Crash(BOOM)),
        (DOWN, "c", Shutdown()),
        (DOWN, "a", Shutdown()),
        (UP, "a"),
        (UP, "b"),
        (UP, "c"),
    ]


@pytest.mark.rule(20, 23, 25)
def test_rules_23_and_25_rest_for_one_leaves_the_earlier_and_takes_the_later(supervise, child, log):
    sup = supervise(child("a"), child("b"), strategy=Strategy.REST_FOR_ONE)
    Supervisor.start_child(sup, child("added"))
    log.take(3)
    a = ref_of(sup, "a")

    crash(ref_of(sup, "b"))

    assert log.take(4) == [
        (DOWN, "b", Crash(BOOM)),
        (DOWN, "added", Shutdown()),
        (UP, "b"),
        (UP, "added"),
    ]
    assert ref_of(sup, "a") is a


@pytest.mark.rule(24)
def test_rule_24_a_group_restart_also_starts_what_was_terminated_by_hand(supervise, child, log):
    sup = supervise(child("a"), child("b"), strategy=Strategy.ONE_FOR_ALL)
    Supervisor.terminate_child(sup, "b")
    log.take(3)

    crash(ref_of(sup, "a"))

    assert log.take(3) == [(DOWN, "a", Crash(BOOM)), (UP, "a"), (UP, "b")]


@pytest.mark.rule(26)
def test_two_children_that_die_together_are_one_incident(supervise, child, log):
    sup = supervise(
        child("a", name="a"),
        child("b"),
        strategy=Strategy.ONE_FOR_ALL,
        max_restarts=1,
    )
    log.take(2)
    a = ref_of(sup, "a")
    hold = threading.Event()
    child.plan["holder"] = hold
    holder = threading.Thread(target=Supervisor.start_child, args=(sup, child("holder")))
    b = ref_of(sup, "b")

    holder.start()
    log.take(1)  # the supervisor is busy
    crash(a)
    crash(b)
    hold.set()
    holder.join(30)

    entries = log.take(7)
    assert sorted(entries[:3]) == sorted(
        [(DOWN, "a", Crash(BOOM)), (DOWN, "b", Crash(BOOM)), (UP, "holder")]
    )
    assert entries[3:] == [(DOWN, "holder", Shutdown()), (UP, "a"), (UP, "b"), ("waits", "holder")]


# ---- intensity, 1.5 ---------------------------------------------------------------------------


@pytest.mark.rule(28, 32)
def test_rules_28_and_32_one_restart_too_many_stops_all_and_ends_with_shutdown(
    supervise, child, log, caplog
):
    sup = supervise(child("a"), child("b"), child("c"), max_restarts=1, max_seconds=60)
    end = monitor(sup)
    log.take(3)

    crash(ref_of(sup, "b"))
    log.take(2)
    crash(ref_of(sup, "b"))

    assert end.wait(30).reason == Shutdown()
    assert log.take(3) == [
        (DOWN, "b", Crash(BOOM)),
        (DOWN, "c", Shutdown()),
        (DOWN, "a", Shutdown()),
    ]
    last = lines(caplog, logging.ERROR)[-1]
    assert all(each in last for each in (str(sup), "'b'", "ValueError: boom", "gives up"))


@pytest.mark.table_row("permanent")
def test_a_restart_is_a_warning_that_names_supervisor_child_and_reason(
    supervise, child, log, caplog
):
    sup = supervise(child("a"), name="the supervisor")
    crash(ref_of(sup, "a"))
    log.take(3)

    (warning,) = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert warning.name == "antq_actors.otp"
    for each in ("the supervisor", "'a'", "ValueError", "boom"):
        assert each in warning.getMessage()


def test_a_start_that_fails_is_for_its_caller_to_report_and_a_restart_for_the_supervisor(
    supervise, child, caplog
):
    child.plan["a"] = "fail"
    with pytest.raises(StartError):
        supervise(child("a"))
    (refused,) = caplog.records
    assert (refused.levelno, refused.exc_info) == (logging.ERROR, None)
    assert "cannot start" in refused.getMessage()

    child.plan.clear()
    caplog.clear()
    sup = supervise(child("a"), max_restarts=1)
    end = monitor(sup)
    child.plan["a"] = "fail"
    crash(ref_of(sup, "a"))

    assert end.wait(30).reason == Shutdown()
    (again,) = [r for r in caplog.records if "again" in r.getMessage()]
    trace = "".join(traceback.format_exception(again.exc_info[1]))
    assert "in init" in trace
    assert "ValueError: a fails" in trace


@pytest.mark.rule(18, 19, 76)
def test_rules_18_and_19_a_permanent_supervisor_comes_back_as_it_was_specified(
    supervise, child, log
):
    inner = Supervisor.child_spec([child("a"), child("b")], id="inner", name="in", max_restarts=0)
    supervise(inner)
    Supervisor.start_child("in", child("added"))
    Supervisor.terminate_child("in", "b")
    Supervisor.delete_child("in", "b")
    log.take(4)

    crash(ref_of("in", "a"))

    assert log.take(4) == [
        (DOWN, "a", Crash(BOOM)),
        (DOWN, "added", Shutdown()),
        (UP, "a"),
        (UP, "b"),
    ]
    eventually(lambda: whereis("in"))
    assert running("in") == ["a", "b"]


@pytest.mark.rule(18)
def test_rule_18_a_transient_supervisor_that_gives_up_does_not_come_back(supervise, child, log):
    inner = Supervisor.child_spec(
        [child("a")], id="inner", name="in", max_restarts=0, restart=Restart.TRANSIENT
    )
    sup = supervise(inner)

    crash(ref_of("in", "a"))

    eventually(lambda: running(sup) == [])
    assert whereis("in") is None


@pytest.mark.rule(33)
def test_rule_33_budgets_of_nested_supervisors_multiply(child, log):
    inner = Supervisor.child_spec([child("a", name="a")], id="inner", max_restarts=1)
    sup = Supervisor.start([inner], max_restarts=1)
    end = monitor(sup)
    starts = 0
    while sup.cell.reason is None:
        entry = log.take(1)[0]
        if entry == (UP, "a"):
            starts += 1
            crash(eventually(lambda: whereis("a")))
            if starts == 4:
                break

    assert end.wait(30).reason == Shutdown()
    assert starts == 4


# ---- failing restarts, 1.6 --------------------------------------------------------------------


@pytest.mark.rule(31, 32)
def test_rule_31_a_child_that_cannot_start_again_uses_up_the_budget_at_once(supervise, child, log):
    sup = supervise(child("a"), child("b"), max_restarts=3)
    end = monitor(sup)
    log.take(2)
    child.plan["a"] = "fail"

    crash(ref_of(sup, "a"))

    assert end.wait(30).reason == Shutdown()
    assert log.take(5) == [
        (DOWN, "a", Crash(BOOM)),
        *[("fails", "a")] * 3,
        (DOWN, "b", Shutdown()),
    ]


@pytest.mark.rule(35, 39, 57)
def test_rules_35_and_39_requests_are_served_while_a_child_keeps_failing(supervise, child, log):
    sup = supervise(child("a"), child("b"), max_restarts=10**9)
    child.plan["a"] = "fail"
    crash(ref_of(sup, "a"))
    eventually(lambda: ref_of(sup, "a") is RESTARTING)

    assert Supervisor.count_children(sup) == (2, 1, 0, 2)
    with pytest.raises(Restarting, match="'a'"):
        Supervisor.restart_child(sup, "a")
    Supervisor.terminate_child(sup, "a")
    assert ref_of(sup, "a") is None
    del child.plan["a"]
    assert Supervisor.restart_child(sup, "a") is ref_of(sup, "a")


@pytest.mark.rule(35)
def test_a_supervisor_with_a_child_that_keeps_failing_can_be_stopped(child, log):
    sup = Supervisor.start([child("a"), child("b")], max_restarts=10**9)
    child.plan["a"] = "fail"
    crash(ref_of(sup, "a"))
    eventually(lambda: ref_of(sup, "a") is RESTARTING)

    stop(sup, timeout=30)

    assert sup.cell.reason is not None


@pytest.mark.rule(36)
def test_rule_36_rest_for_one_retries_from_the_one_that_failed(supervise, child, log):
    sup = supervise(
        child("a"), child("b"), child("c"), strategy=Strategy.REST_FOR_ONE, max_restarts=10**9
    )
    child.plan["b"] = "fail"
    crash(ref_of(sup, "a"))
    eventually(lambda: ref_of(sup, "b") is RESTARTING)
    a = ref_of(sup, "a")

    assert ref_of(sup, "c") is None
    del child.plan["b"]
    eventually(lambda: running(sup) == ["a", "b", "c"])
    assert ref_of(sup, "a") is a


@pytest.mark.rule(36, 39)
@pytest.mark.parametrize("strategy", [Strategy.REST_FOR_ONE, Strategy.ONE_FOR_ALL])
def test_rules_36_and_39_those_after_a_failed_one_stay_down_when_it_is_terminated(
    supervise, child, strategy
):
    sup = supervise(child("a"), child("b"), child("c"), strategy=strategy, max_restarts=10**9)
    child.plan["b"] = "fail"
    crash(ref_of(sup, "a"))
    eventually(lambda: ref_of(sup, "b") is RESTARTING)

    Supervisor.terminate_child(sup, "b")
    del child.plan["b"]
    Supervisor.restart_child(sup, "b")

    assert running(sup) == ["a", "b"]
    Supervisor.restart_child(sup, "c")
    assert running(sup) == ["a", "b", "c"]


@pytest.mark.rule(37)
def test_rule_37_one_for_all_terminates_again_what_was_started_meanwhile(supervise, child, log):
    sup = supervise(
        child("a"), child("b"), child("c"), strategy=Strategy.ONE_FOR_ALL, max_restarts=10**9
    )
    log.take(3)
    child.plan["b"] = "fail"

    crash(ref_of(sup, "c"))

    assert log.take(7) == [
        (DOWN, "c", Crash(BOOM)),
        (DOWN, "b", Shutdown()),
        (DOWN, "a", Shutdown()),
        (UP, "a"),
        ("fails", "b"),
        (DOWN, "a", Shutdown()),
        (UP, "a"),
    ]
    del child.plan["b"]
    eventually(lambda: running(sup) == ["a", "b", "c"])


@pytest.mark.rule(38)
def test_rule_38_ignore_on_restart_keeps_the_child_without_an_actor(supervise, child, log):
    sup = supervise(child("a"))
    child.plan["a"] = "ignore"

    crash(ref_of(sup, "a"))

    eventually(lambda: running(sup) == [])
    assert ref_of(sup, "a") is None


# ---- auto_shutdown, 1.8 -----------------------------------------------------------------------


@pytest.mark.rule(52, 54)
def test_rules_52_and_54_auto_shutdown_ends_with_shutdown(child, log):
    sup = Supervisor.start(
        [child("s", restart=Restart.TRANSIENT, significant=True), child("p")],
        auto_shutdown=AutoShutdown.ANY_SIGNIFICANT,
    )
    end = monitor(sup)

    stop(ref_of(sup, "s"))

    assert end.wait(30).reason == Shutdown()
    assert log.take(4)[-1] == (DOWN, "p", Shutdown())


@pytest.mark.rule(53)
def test_rule_53_terminating_a_significant_child_by_hand_ends_nothing(supervise, child):
    sup = supervise(
        child("s", restart=Restart.TRANSIENT, significant=True),
        auto_shutdown=AutoShutdown.ANY_SIGNIFICANT,
    )

    Supervisor.terminate_child(sup, "s")

    assert running(sup) == []


@pytest.mark.rule(50)
def test_rule_50_a_significant_child_is_refused_where_it_has_no_meaning(supervise, child):
    significant = child("s", restart=Restart.TRANSIENT, significant=True)
    sup = supervise()

    with pytest.raises(ValueError, match="significant"):
        Supervisor.start([significant])
    with pytest.raises(ValueError, match="significant"):
        Supervisor.start_child(sup, significant)
    assert is_empty(sup)


@pytest.mark.rule(54)
def test_rule_54_shutdowns_escalate_through_significant_supervisors(child):
    inner = Supervisor.child_spec(
        [child("s", name="s", restart=Restart.TEMPORARY, significant=True)],
        id="inner",
        auto_shutdown=AutoShutdown.ALL_SIGNIFICANT,
        restart=Restart.TRANSIENT,
        significant=True,
    )
    sup = Supervisor.start([inner], auto_shutdown=AutoShutdown.ANY_SIGNIFICANT)
    end = monitor(sup)

    crash(whereis("s"))

    assert end.wait(30).reason == Shutdown()


# ---- a supervisor of one's own ----------------------------------------------------------------


class Shop(Supervisor):
    """Module-based: its children are asked for at every start."""

    def __init__(self, log, **options):
        super().__init__()
        self.log, self.given = log, options

    def init_children(self):
        self.log.add("asked")
        return [Child.child_spec("a", self.log, id="a")], self.given


@pytest.mark.rule(19)
def test_a_module_based_supervisor_is_asked_again_when_it_comes_back(supervise, log):
    supervise(Shop.child_spec(log, max_restarts=0, name="shop"))
    assert log.take(2) == [("asked",), (UP, "a")]

    crash(ref_of("shop", "a"))

    assert log.take(3) == [(DOWN, "a", Crash(BOOM)), ("asked",), (UP, "a")]


@pytest.mark.parametrize(
    ("options", "error"), [({"max_restart": 1}, "max_restarts"), ({"strategy": 1}, "strategy")]
)
def test_wrong_options_of_a_module_based_supervisor_fail_its_start(log, options, error):
    with pytest.raises(StartError, match=error) as caught:
        Shop.start(log, **options)

    assert isinstance(caught.value.__cause__, TypeError)


@pytest.mark.rule(19)
def test_children_given_as_an_iterator_are_still_there_after_a_restart(supervise, child, log):
    inner = Supervisor.child_spec((child(each) for each in "ab"), name="in", max_restarts=0)
    supervise(inner)

    crash(ref_of("in", "a"))

    assert log.take(6)[-2:] == [(UP, "a"), (UP, "b")]


def test_a_supervisor_as_a_child_is_checked_when_it_is_described():
    with pytest.raises(TypeError, match="ChildSpec"):
        Supervisor.child_spec(["no spec"])


# ---- what else may come in --------------------------------------------------------------------


@pytest.mark.rule(14)
def test_a_supervisor_survives_what_it_does_not_understand(supervise, child):
    sup = supervise(child("a"))

    with pytest.raises(TypeError, match="does not handle"):
        call(sup, "what?")
    with pytest.raises(TypeError, match="does not handle"):
        sup.ask("what?")
    cast(sup, "what?")
    sup.tell("what?")
    exit(sup, Shutdown("from a stranger"))

    assert running(sup) == ["a"]


def test_a_supervisor_is_a_context_manager(child, log):
    with Supervisor.start([child("a"), child("b")]) as sup:
        assert running(sup) == ["a", "b"]

    assert log.take(4)[2:] == [(DOWN, "b", Shutdown()), (DOWN, "a", Shutdown())]
    assert sup.cell.reason is not None


def test_an_actor_class_alone_is_a_child(supervise):
    class Clock(GenServer):
        pass

    sup = supervise(Clock)

    assert running(sup) == ["Clock"]
    with pytest.raises(NotFound, match="Clock"):
        Supervisor.get_childspec(sup, "clock")
