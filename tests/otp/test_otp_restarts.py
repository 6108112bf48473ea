"""Who comes back and who is left alone, on real actors: otp 1.3 to 1.5, and 1.8."""

import gc
import logging
import math
import weakref
from datetime import timedelta

import pytest
from supervised import (
    BOOM,
    DOWN,
    UP,
    Child,
    crash,
    end_with,
    eventually,
    kill,
    lines,
    refs,
    running,
)

from antq_actors.otp import (
    RESTARTING,
    AutoShutdown,
    Backoff,
    ChildSpec,
    Crash,
    DynamicSupervisor,
    EventStream,
    NotFound,
    Restart,
    Shutdown,
    Stop,
    Strategy,
    Supervisor,
    call,
    monitor,
    stop,
    tree,
    whereis,
)
from antq_actors.otp.events import RestartFailed

PERMANENT, TRANSIENT, TEMPORARY = Restart.PERMANENT, Restart.TRANSIENT, Restart.TEMPORARY

ENDS = {
    "normal": lambda ref: end_with(ref, Stop()),
    "shutdown": lambda ref: end_with(ref, Stop(Shutdown())),
    "shutdown with a detail": lambda ref: end_with(ref, Stop(Shutdown("detail"))),
    "crash": crash,
    "killed": kill,
}


def restarts_left(sup):
    return sup._actor_weakref().restarts_left


# ---- the table of 1.3 -------------------------------------------------------------------------


def rows(restart, *facts):
    """Rows of one restart type: (its ends, whether it comes back, is kept, is reported)."""
    return [
        pytest.param(restart, end, *rest, id=f"{restart.value}, {end}")
        for ends, *rest in facts
        for end in ends
    ]


ORDERLY = ["normal", "shutdown", "shutdown with a detail"]
NOT_ORDERLY = ["crash", "killed"]

TABLE = [
    *rows(PERMANENT, (ORDERLY + NOT_ORDERLY, True, True, True)),
    *rows(TRANSIENT, (ORDERLY, False, True, False), (NOT_ORDERLY, True, True, True)),
    *rows(TEMPORARY, (ORDERLY, False, False, False), (NOT_ORDERLY, False, False, True)),
]


@pytest.mark.table_row("permanent", "transient", "temporary")
@pytest.mark.parametrize(("restart", "end", "comes_back", "is_kept", "is_reported"), TABLE)
def test_restart_type_and_end_decide_return_place_count_and_report(  # noqa: PLR0917 - a table
    supervise, child, caplog, restart, end, comes_back, is_kept, is_reported
):
    sup = supervise(child("a", restart=restart))
    ref = refs(sup)["a"]

    ENDS[end](ref)

    eventually(lambda: refs(sup).get("a") is not ref)
    assert running(sup) == (["a"] if comes_back else [])
    assert list(refs(sup)) == (["a"] if is_kept else [])
    assert restarts_left(sup) == (2 if comes_back else 3)
    assert len(lines(caplog, logging.WARNING)) == is_reported
    assert all("'a'" in line for line in lines(caplog, logging.WARNING))


@pytest.mark.table_row("permanent", "transient", "temporary")
@pytest.mark.parametrize(("restart", "end", "comes_back", "_is_kept", "is_reported"), TABLE)
def test_under_a_dynamic_supervisor_the_same_holds_and_who_does_not_come_back_is_dropped(  # noqa: PLR0917 - a table
    child, caplog, restart, end, comes_back, _is_kept, is_reported
):
    sup = DynamicSupervisor.start()
    ref = DynamicSupervisor.start_child(sup, child("a", restart=restart))

    ENDS[end](ref)

    eventually(lambda: [c.ref for c in DynamicSupervisor.which_children(sup)] != [ref])
    assert DynamicSupervisor.count_children(sup).active == comes_back
    assert DynamicSupervisor.count_children(sup).specs == comes_back
    assert restarts_left(sup) == (2 if comes_back else 3)
    assert len(lines(caplog, logging.WARNING)) == is_reported
    stop(sup, Shutdown(), 30)


@pytest.mark.rule(16)
@pytest.mark.parametrize("strategy", Strategy)
def test_siblings_never_notice_the_end_of_one_that_does_not_come_back(supervise, child, strategy):
    sup = supervise(
        child("before"),
        child("transient", restart=TRANSIENT),
        child("temporary", restart=TEMPORARY),
        child("after"),
        strategy=strategy,
    )
    first = refs(sup)

    stop(first["transient"])
    crash(first["temporary"])

    eventually(lambda: running(sup) == ["before", "after"])
    assert refs(sup) == {"before": first["before"], "transient": None, "after": first["after"]}


class Plan(dict):
    """A dict that can be referred to weakly."""


@pytest.mark.rule(17)
def test_of_a_temporary_child_that_ended_nothing_is_kept_not_even_its_arguments(supervise, log):
    sup = supervise()
    plan = Plan()
    argument = weakref.ref(plan)
    spec = Child.child_spec("a", log, plan, id="a", restart=TEMPORARY)
    ref = Supervisor.start_child(sup, spec)
    del plan, spec

    kill(ref)

    eventually(lambda: running(sup) == [] and (gc.collect(), argument())[1] is None)
    with pytest.raises(NotFound):
        Supervisor.restart_child(sup, "a")


# ---- groups -----------------------------------------------------------------------------------


@pytest.mark.rule(22, 23)
@pytest.mark.parametrize("strategy", [Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE])
def test_a_temporary_sibling_is_terminated_with_its_group_and_dropped(
    supervise, child, log, strategy
):
    sup = supervise(child("a"), child("t", restart=TEMPORARY), child("b"), strategy=strategy)
    log.take(3)

    crash(refs(sup)["a"])

    assert log.take(5) == [
        (DOWN, "a", Crash(BOOM)),
        (DOWN, "b", Shutdown()),
        (DOWN, "t", Shutdown()),
        (UP, "a"),
        (UP, "b"),
    ]
    assert running(sup) == list(refs(sup)) == ["a", "b"]


@pytest.mark.rule(24)
@pytest.mark.parametrize("strategy", [Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE])
def test_a_group_restart_also_starts_what_had_ended_and_what_was_not_needed(
    supervise, child, log, strategy
):
    child.plan["not needed"] = "ignore"
    sup = supervise(
        child("a"), child("ended", restart=TRANSIENT), child("not needed"), strategy=strategy
    )
    stop(refs(sup)["ended"])
    eventually(lambda: running(sup) == ["a"])
    child.plan.clear()
    log.take(3)

    crash(refs(sup)["a"])

    assert log.take(4) == [
        (DOWN, "a", Crash(BOOM)),
        (UP, "a"),
        (UP, "ended"),
        (UP, "not needed"),
    ]


@pytest.mark.rule(26, 34)
@pytest.mark.parametrize("strategy", Strategy)
def test_one_crash_is_one_restart_however_many_are_started_again(supervise, child, strategy):
    sup = supervise(*map(child, "abcde"), strategy=strategy, max_restarts=3)

    crash(refs(sup)["a"])

    eventually(lambda: running(sup) == list("abcde"))
    assert restarts_left(sup) == 2


@pytest.mark.rule(30)
def test_the_budget_is_the_supervisors_and_not_each_childs(child):
    sup = Supervisor.start([child("a"), child("b")], max_restarts=1)
    end = monitor(sup)
    first = refs(sup)

    crash(first["a"])
    crash(first["b"])

    assert end.wait(30).reason == Shutdown()


@pytest.mark.rule(29)
def test_with_no_restarts_to_spend_the_first_death_ends_the_supervisor(child, log):
    sup = Supervisor.start([child("a"), child("b")], max_restarts=0)
    end = monitor(sup)

    kill(refs(sup)["a"])

    assert end.wait(30).reason == Shutdown()
    assert log.take(3)[2:] == [(DOWN, "b", Shutdown())]
    assert log.is_empty()


# ---- auto_shutdown ----------------------------------------------------------------------------


@pytest.mark.rule(53)
def test_a_significant_child_that_is_stopped_for_a_siblings_restart_ends_nothing(
    supervise, child, log
):
    sup = supervise(
        child("p"),
        child("kept", restart=TRANSIENT, significant=True),
        child("dropped", restart=TEMPORARY, significant=True),
        strategy=Strategy.ONE_FOR_ALL,
        auto_shutdown=AutoShutdown.ANY_SIGNIFICANT,
    )
    log.take(3)

    crash(refs(sup)["p"])

    assert [entry[0] for entry in log.take(5)] == [DOWN, DOWN, DOWN, UP, UP]
    assert running(sup) == ["p", "kept"]


@pytest.mark.rule(51, 52)
def test_all_significant_waits_for_the_last_and_a_crash_is_no_end(child, log):
    sup = Supervisor.start(
        [
            child("s", restart=TRANSIENT, significant=True),
            child("t", restart=TEMPORARY, significant=True),
            child("p"),
        ],
        auto_shutdown=AutoShutdown.ALL_SIGNIFICANT,
    )
    end = monitor(sup)
    log.take(3)

    crash(refs(sup)["t"])
    crash(refs(sup)["s"])
    eventually(lambda: running(sup) == ["s", "p"])
    stop(refs(sup)["s"])

    assert end.wait(30).reason == Shutdown()
    assert log.take(5)[-1] == (DOWN, "p", Shutdown())


@pytest.mark.rule(54)
def test_a_permanent_supervisor_that_shuts_itself_down_comes_back(supervise, child):
    inner = Supervisor.child_spec(
        [child("s", name="s", restart=TRANSIENT, significant=True)],
        name="inner",
        auto_shutdown=AutoShutdown.ANY_SIGNIFICANT,
    )
    sup = supervise(inner)
    first = whereis("inner")

    stop(whereis("s"))

    eventually(lambda: whereis("s") and whereis("inner") not in (None, first))
    assert call("s", "hello") == "hello"
    assert restarts_left(sup) == 2


# ---- backoff ------------------------------------------------------------------------------------


def test_the_delay_grows_from_the_first_to_the_longest():
    backoff = Backoff(first=timedelta(seconds=1), longest=5, factor=2)

    assert [backoff.delay(failures) for failures in (1, 2, 3, 4, 5000)] == [1, 2, 4, 5, 5]


def test_jitter_moves_a_delay_either_way_by_up_to_its_share():
    backoff = Backoff(first=2, longest=10, factor=3, jitter=0.5)

    assert [backoff.delay(1, chance=chance) for chance in (0, 0.25, 0.5, 1)] == [1, 1.5, 2, 3]
    assert [backoff.delay(9, chance=chance) for chance in (0, 1)] == [5, 15]
    assert backoff.delay(2) == 6
    assert Backoff(first=2, longest=2, jitter=1).delay(1, chance=0) == 0


def test_no_delay_is_infinite():
    backoff = Backoff(first=1e308, longest=1e308, factor=1e308, jitter=1)

    assert math.isfinite(backoff.delay(5000, chance=1))


def test_the_restarts_of_two_supervisors_with_jitter_wait_differently(log):
    delays = set()
    for _ in range(20):
        plan = {}
        backoff = Backoff(first=3600, longest=3600, jitter=0.5)
        sup = Supervisor.start([a_failing(log, plan)], backoff=backoff)
        with EventStream(below=sup) as events:
            plan["a"] = "fail"
            crash(Supervisor.which_children(sup)[0].ref)
            while not isinstance(event := events.take(60), RestartFailed):
                pass
            delays.add(event.retry_in)
        log.take(3)
        stop(sup, Shutdown(), timeout=30)

    assert len(delays) > 1
    assert all(1800 <= delay <= 5400 for delay in delays)


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"first": -1}, ValueError),
        ({"first": "1"}, TypeError),
        ({"longest": math.inf}, ValueError),
        ({"longest": math.nan}, ValueError),
        ({"factor": 0.5}, ValueError),
        ({"factor": True}, TypeError),
        ({"factor": timedelta(seconds=2)}, TypeError),
        ({"jitter": -0.1}, ValueError),
        ({"jitter": 1.1}, ValueError),
        ({"jitter": math.nan}, ValueError),
        ({"jitter": "0.1"}, TypeError),
        ({"jitter": False}, TypeError),
    ],
)
def test_a_backoff_that_makes_no_sense_names_the_setting(settings, error):
    with pytest.raises(error, match=next(iter(settings))):
        Backoff(**settings)


@pytest.mark.parametrize(
    "supervisor", [lambda **options: Supervisor.start([], **options), DynamicSupervisor.start]
)
def test_a_supervisor_takes_nothing_else_for_a_backoff(supervisor):
    with pytest.raises(TypeError, match="backoff must be a Backoff"):
        supervisor(backoff=0.1)


def a_failing(log, plan):
    return ChildSpec("a", Child.start_link, ("a", log, plan))


@pytest.mark.deviation(8)
def test_a_restart_that_fails_waits_before_the_next_and_requests_are_answered(supervise, log):
    plan = {}
    long = Backoff(first=3600, longest=3600)
    sup = supervise(a_failing(log, plan), backoff=long)
    (child,) = Supervisor.which_children(sup)
    plan["a"] = "fail"

    crash(child.ref)
    seen = log.take(3)[-1]

    assert seen == ("fails", "a")
    assert Supervisor.which_children(sup)[0].ref is RESTARTING
    Supervisor.terminate_child(sup, "a")
    plan.clear()
    assert Supervisor.restart_child(sup, "a") is not None
    assert log.take(1) == [("up", "a")]


def test_a_supervisor_that_waits_for_a_retry_stops_at_once(log):
    plan = {}
    sup = Supervisor.start([a_failing(log, plan)], backoff=Backoff(first=3600, longest=3600))
    plan["a"] = "fail"
    crash(Supervisor.which_children(sup)[0].ref)
    log.take(3)

    stop(sup, Shutdown(), timeout=30)


@pytest.mark.rule(76)
@pytest.mark.deviation(8)
@pytest.mark.parametrize("kind", ["static", "dynamic"])
def test_with_a_backoff_a_child_outlives_more_failures_than_its_supervisor_bears(log, kind):
    """Ten failures within a few milliseconds would be the end without it."""
    plan, backoff = {}, Backoff(first=0.02, longest=0.02)
    limits = {"max_restarts": 2, "max_seconds": 0.03, "backoff": backoff}
    if kind == "static":
        sup = Supervisor.start([a_failing(log, plan)], **limits)
        ref = Supervisor.which_children(sup)[0].ref
    else:
        sup = DynamicSupervisor.start(**limits)
        ref = DynamicSupervisor.start_child(sup, a_failing(log, plan))
    plan["a"] = "fail"
    crash(ref)
    assert log.take(12)[2:] == [("fails", "a")] * 10

    plan.clear()

    eventually(lambda: tree(sup).children[0].state == "running")
    stop(sup, Shutdown(), timeout=30)


def test_the_retry_of_a_dynamic_child_that_was_terminated_meanwhile_is_called_off(log):
    plan = {}
    sup = DynamicSupervisor.start(backoff=Backoff(first=3600, longest=3600))
    ref = DynamicSupervisor.start_child(sup, a_failing(log, plan))
    plan["a"] = "fail"
    crash(ref)
    log.take(3)

    DynamicSupervisor.terminate_child(sup, ref)

    assert DynamicSupervisor.count_children(sup).specs == 0
    stop(sup, Shutdown(), timeout=30)
