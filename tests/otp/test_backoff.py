import math
from datetime import timedelta

import pytest
from supervised import Child, crash, eventually

from antq_actors.otp import (
    RESTARTING,
    Backoff,
    ChildSpec,
    DynamicSupervisor,
    EventStream,
    Shutdown,
    Supervisor,
    stop,
    tree,
)
from antq_actors.otp.events import RestartFailed


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
