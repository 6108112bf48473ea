import logging
import threading
import time

import pytest
from supervised import BOOM, DOWN, UP, Child, Stubborn, crash, eventually, kill, lines

from antq_actors.otp import (
    BRUTAL_KILL,
    IGNORE,
    RESTARTING,
    CallExit,
    ChildInfo,
    ChildSpec,
    Counts,
    Crash,
    DynamicSupervisor,
    GenServer,
    Killed,
    MaxChildren,
    NotFound,
    Restart,
    Shutdown,
    StartError,
    Stop,
    Supervisor,
    call,
    monitor,
    stop,
)


@pytest.fixture
def dynamic(supervisors):
    """Start dynamic supervisors; afterwards they stop."""

    def start(*args, **options):
        supervisors.append(DynamicSupervisor.start(*args, **options))
        return supervisors[-1]

    return start


def refs(sup):
    return [c.ref for c in DynamicSupervisor.which_children(sup)]


@pytest.mark.rule(4, 27, 56, 57)
def test_it_starts_with_no_child_and_starts_what_it_is_asked_for(dynamic, child):
    sup = dynamic()

    a = DynamicSupervisor.start_child(sup, child("a"))
    also_a = DynamicSupervisor.start_child(sup, child("a"))
    boss = DynamicSupervisor.start_child(sup, Supervisor.child_spec([]))

    assert DynamicSupervisor.which_children(sup) == [
        ChildInfo(None, a, "worker"),
        ChildInfo(None, also_a, "worker"),
        ChildInfo(None, boss, "supervisor"),
    ]
    assert DynamicSupervisor.count_children(sup) == Counts(3, 3, 1, 2)


@pytest.mark.table_row("permanent", "transient", "temporary")
@pytest.mark.parametrize(
    ("restart", "error", "comes_back"),
    [
        (Restart.PERMANENT, Stop(), True),
        (Restart.PERMANENT, BOOM, True),
        (Restart.TRANSIENT, Stop(Shutdown()), False),
        (Restart.TRANSIENT, BOOM, True),
        (Restart.TEMPORARY, BOOM, False),
    ],
)
def test_a_child_comes_back_by_its_restart_type_or_is_forgotten(  # noqa: PLR0917 - a table
    dynamic, child, log, restart, error, comes_back
):
    sup = dynamic()
    ref = DynamicSupervisor.start_child(sup, child("a", restart=restart))
    log.take(1)

    with pytest.raises(CallExit):
        call(ref, error)

    log.take(2 if comes_back else 1)
    eventually(lambda: refs(sup) != [ref])
    assert len(refs(sup)) == comes_back


@pytest.mark.rule(58)
def test_rule_58_max_children_counts_also_those_that_are_restarting(dynamic, child):
    sup = dynamic(max_children=1, max_restarts=10**9)
    ref = DynamicSupervisor.start_child(sup, child("a"))
    child.plan["a"] = "fail"
    crash(ref)
    eventually(lambda: refs(sup) == [RESTARTING])

    with pytest.raises(MaxChildren, match="1"):
        DynamicSupervisor.start_child(sup, child("b"))
    DynamicSupervisor.terminate_child(sup, ref)
    DynamicSupervisor.start_child(sup, child("b"))

    with pytest.raises(MaxChildren):
        DynamicSupervisor.start_child(dynamic(max_children=0), child("c"))


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"max_children": -1}, ValueError),
        ({"max_children": "3"}, TypeError),
        ({"max_children": True}, TypeError),
        ({"max_restarts": -1}, ValueError),
        ({"max_seconds": 0}, ValueError),
        ({"extra_args": "abc"}, TypeError),
        ({"strategy": 1}, TypeError),
    ],
)
def test_an_option_that_makes_no_sense_is_named(options, error):
    with pytest.raises(error, match=next(iter(options))):
        DynamicSupervisor.start(**options)


@pytest.mark.rule(27, 59)
def test_rule_59_extra_args_come_first_also_on_a_restart(dynamic, log):
    sup = dynamic(extra_args=("a", log))
    ref = DynamicSupervisor.start_child(sup, ChildSpec("x", Child.start_link, ({},)))

    crash(ref)

    assert log.take(3) == [(UP, "a"), (DOWN, "a", Crash(BOOM)), (UP, "a")]


@pytest.mark.rule(38)
def test_rule_38_ignore_is_answered_and_the_child_dropped_also_on_a_restart(dynamic, child):
    sup = dynamic()
    ref = DynamicSupervisor.start_child(sup, child("a"))
    child.plan["a"] = "ignore"

    assert DynamicSupervisor.start_child(sup, child("a")) is IGNORE
    crash(ref)

    eventually(lambda: refs(sup) == [])


def test_a_child_that_does_not_start_is_told_and_forgotten(dynamic, child):
    sup = dynamic()
    child.plan["a"] = "fail"

    with pytest.raises(StartError, match="a fails"):
        DynamicSupervisor.start_child(sup, child("a"))

    assert refs(sup) == []


def test_start_children_answers_for_each(dynamic, child):
    sup = dynamic(max_children=2)
    child.plan.update(bad="fail", none="ignore")

    answers = DynamicSupervisor.start_children(
        sup, [child("a"), child("bad"), child("none"), child("b"), child("too many")]
    )

    assert [answers[0], answers[3]] == refs(sup)
    assert isinstance(answers[1], StartError)
    assert answers[2] is IGNORE
    assert isinstance(answers[4], MaxChildren)


def test_start_copies_starts_one_spec_with_each_of_the_arguments(dynamic, log):
    sup = dynamic()
    spec = ChildSpec("copy", Child.start_link, restart=Restart.TEMPORARY)

    answers = DynamicSupervisor.start_copies(sup, spec, [("a", log), ("b", log)])

    assert answers == refs(sup)
    assert log.take(2) == [(UP, "a"), (UP, "b")]


def test_the_arguments_of_a_copy_follow_those_of_its_spec_also_at_its_restart(dynamic, log):
    sup = dynamic()
    spec = ChildSpec("copy", Child.start_link, ("a",))
    [ref] = DynamicSupervisor.start_copies(sup, spec, [(log,)])

    kill(ref)

    assert log.take(2) == [(UP, "a"), (UP, "a")]


def test_one_spec_that_is_none_starts_nothing(dynamic, child, log):
    sup = dynamic()

    with pytest.raises(TypeError, match="ChildSpec"):
        DynamicSupervisor.start_children(sup, [child("a"), "no spec"])

    assert log.is_empty()


@pytest.mark.rule(55)
def test_rule_55_no_child_may_be_significant(dynamic, child):
    with pytest.raises(ValueError, match="significant"):
        DynamicSupervisor.start_child(
            dynamic(), child("a", restart=Restart.TRANSIENT, significant=True)
        )


@pytest.mark.parametrize("restart", Restart)
def test_terminate_child_takes_the_ref_and_a_dead_one_is_not_found(dynamic, child, log, restart):
    sup = dynamic()
    ref = DynamicSupervisor.start_child(sup, child("a", restart=restart))

    DynamicSupervisor.terminate_child(sup, ref)

    assert log.take(2) == [(UP, "a"), (DOWN, "a", Shutdown())]
    with pytest.raises(NotFound):
        DynamicSupervisor.terminate_child(sup, ref)


@pytest.mark.rule(57)
def test_a_restarting_child_is_terminated_by_its_last_ref(dynamic, child, log):
    sup = dynamic(max_restarts=10**9)
    ref = DynamicSupervisor.start_child(sup, child("a"))
    child.plan["a"] = "fail"
    crash(ref)
    eventually(lambda: refs(sup) == [RESTARTING])

    assert DynamicSupervisor.count_children(sup) == Counts(1, 0, 0, 1)
    DynamicSupervisor.terminate_child(sup, ref)

    assert refs(sup) == []


def test_a_restarting_child_runs_as_soon_as_it_can(dynamic, child):
    sup = dynamic(max_restarts=10**9)
    ref = DynamicSupervisor.start_child(sup, child("a"))
    child.plan["a"] = "fail"
    crash(ref)
    eventually(lambda: refs(sup) == [RESTARTING])

    del child.plan["a"]

    eventually(lambda: refs(sup) not in ([], [RESTARTING]))


@pytest.mark.rule(30, 32)
def test_too_many_restarts_end_it_with_shutdown(child, caplog):
    sup = DynamicSupervisor.start(max_restarts=1)
    end = monitor(sup)
    a, b = (DynamicSupervisor.start_child(sup, child(each)) for each in "ab")

    crash(a)
    kill(b)

    assert end.wait(30).reason == Shutdown()
    last = lines(caplog, logging.ERROR)[-1]
    assert all(each in last for each in (str(sup), "'b'", "Killed", "gives up"))


@pytest.mark.rule(42)
def test_rule_42_children_end_together_and_not_one_after_another(log):
    sup = DynamicSupervisor.start()
    everyone = threading.Barrier(5)

    class Waiting(Child):
        def terminate(self, reason):
            everyone.wait(30)
            super().terminate(reason)

    for i in range(5):
        DynamicSupervisor.start_child(sup, Waiting.child_spec(i, log))

    stop(sup)

    assert [entry[0] for entry in log.take(10)] == [UP] * 5 + [DOWN] * 5


@pytest.mark.rule(42)
def test_rule_42_each_child_has_its_own_time(log, caplog):
    release = threading.Event()
    sup = DynamicSupervisor.start()
    times = {"soon": 0.01, "later": 0.2, "at once": BRUTAL_KILL}
    ends = {}
    for child_id, shutdown in times.items():
        spec = Stubborn.child_spec(child_id, log, release, id=child_id, shutdown=shutdown)
        ends[child_id] = monitor(DynamicSupervisor.start_child(sup, spec))
    began = time.monotonic()

    stop(sup)

    assert time.monotonic() - began >= 0.2
    assert all(end.wait(30).reason == Killed() for end in ends.values())
    told = lines(caplog, logging.ERROR)
    assert sorted("'soon'" in line or "'later'" in line for line in told) == [True, True]
    release.set()


class Brief(GenServer):
    """Ends as soon as it is told anything."""

    in_actor_registry = False

    def handle_info(self, message):
        raise Stop


def test_a_thousand_children_come_and_go(dynamic):
    sup = dynamic()
    spec = ChildSpec("job", Brief.spawn_link, restart=Restart.TEMPORARY)

    for _ in range(10):
        for ref in DynamicSupervisor.start_children(sup, [spec] * 100):
            ref.tell("go")

    eventually(lambda: DynamicSupervisor.count_children(sup).specs == 0)


@pytest.mark.parametrize("plan", ["fail", "ignore"])
def test_a_spawned_child_whose_init_comes_to_nothing_is_forgotten(dynamic, log, plan):
    sup = dynamic()
    spec = ChildSpec("a", Child.spawn_link, ("a", log, {"a": plan}), restart=Restart.TEMPORARY)

    DynamicSupervisor.start_child(sup, spec)

    eventually(lambda: refs(sup) == [])
