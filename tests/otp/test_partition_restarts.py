"""Partitions that end and come back, while they are addressed."""

import threading

import pytest
from partitioned import a_numbered_child, at, numbered, refs
from probe import LONGEST, InThread, Probe, answering
from supervised import BOOM, eventually, kill, raise_anew

from antq_actors.otp import (
    IGNORE,
    CallExit,
    NoProc,
    PartitionSupervisor,
    Shutdown,
    Strategy,
    Supervisor,
    Via,
    call,
    monitor,
    stop,
    tree,
    whereis,
)


def crash_by_key(key):
    def boom(_me):
        raise_anew(BOOM)

    with pytest.raises(CallExit):
        call(Via("parts", key), boom)


def test_one_that_crashed_is_another_actor_at_the_same_keys_and_the_others_stay(partitions):
    sup = partitions()
    before = refs(sup)

    crash_by_key(1)
    eventually(lambda: at(1) not in (None, before[1]))

    assert [at(0), at(2)] == [before[0], before[2]]
    assert at(4) is at(1) is refs(sup)[1]


def test_one_that_is_being_restarted_is_nobody(partitions, log):
    hold = threading.Event()
    plan = {}
    partitions(a_numbered_child(log, plan), with_arguments=numbered)
    log.take(3)
    old = at(1)
    plan[1] = hold

    kill(old)
    assert log.take(1) == [("waits", 1)]

    assert at(1) is None
    with pytest.raises(CallExit) as gone:
        call(Via("parts", 1), "hello")
    assert gone.value.reason == NoProc()
    assert monitor(Via("parts", 1)).wait(0).reason == NoProc()
    assert call(Via("parts", 2), "hello") == "hello"
    hold.set()
    eventually(lambda: at(1) not in (None, old))


def test_one_that_ended_is_nobody_before_its_supervisor_knows(partitions, log):
    hold = threading.Event()
    plan = {}
    partitions(a_numbered_child(log, plan), with_arguments=numbered)
    log.take(3)
    plan[1] = hold
    kill(at(1))
    log.take(1)  # the supervisor waits for it, and sees nothing else

    kill(at(2))

    assert at(2) is None
    hold.set()
    eventually(lambda: at(2))


def test_calls_to_one_that_dies_again_and_again_all_end_and_the_others_feel_nothing(partitions):
    partitions(max_restarts=10**6)
    stopping = threading.Event()

    def ask(key):
        answers = {"here": 0}
        while not stopping.is_set():
            try:
                answers[call(Via("parts", key), answering("here"), timeout=LONGEST)] += 1
            except CallExit as gone:
                answers.setdefault(type(gone.reason).__name__, 0)
        return answers

    asking = [InThread(ask, key) for key in (1, 1, 2)]
    for _ in range(50):
        old = eventually(lambda: at(1))
        kill(old)
        eventually(lambda old=old: at(1) not in (None, old))
    stopping.set()
    dying, also_dying, other = [each.result() for each in asking]

    assert set(dying) | set(also_dying) <= {"here", "Killed", "NoProc"}
    assert set(other) == {"here"}
    assert other["here"] > 0
    assert call(Via("parts", 1), answering("here")) == "here"


def test_under_one_for_all_they_are_started_again_together(partitions):
    sup = partitions(strategy=Strategy.ONE_FOR_ALL)
    before = refs(sup)

    crash_by_key(1)

    eventually(lambda: not {None, *before} & {at(number) for number in range(3)})


def test_too_many_restarts_end_them_all(partitions):
    sup = partitions(max_restarts=1, max_seconds=100.0)
    watch = monitor(sup)
    old = at(0)

    crash_by_key(0)
    eventually(lambda: at(0) not in (None, old))
    crash_by_key(0)

    assert watch.wait(LONGEST).reason == Shutdown()
    assert at(1) is None


def test_one_that_was_terminated_is_nobody_until_it_is_restarted(partitions):
    sup = partitions()

    Supervisor.terminate_child(sup, 1)
    assert at(1) is None
    ref = Supervisor.restart_child(sup, 1)

    assert at(1) is ref


def test_one_that_ignores_is_nobody(partitions):
    partitions(Probe.child_spec(init=lambda _me: IGNORE))

    assert [at(number) for number in range(3)] == [None] * 3


def test_keys_find_the_partitions_that_are_up_while_the_others_still_start(partitions):
    seen = []

    def look(me):
        seen.append([at(number) is not None for number in range(3)])

    partitions(Probe.child_spec(init=look))

    assert seen == [[False] * 3, [True, False, False], [True, True, False]]


def test_it_is_a_child_like_any_supervisor_and_comes_back(supervise):
    sup = supervise(PartitionSupervisor.child_spec(Probe, partitions=2, name="parts"))
    before = at(0)

    assert Supervisor.get_childspec(sup, "parts").type == "supervisor"
    kill(whereis("parts"))
    eventually(lambda: at(0) not in (None, before))

    assert PartitionSupervisor.partitions("parts") == 2


def test_a_key_of_one_that_has_ended_leads_to_nobody(partitions):
    sup = partitions()
    stop(sup)

    assert at(1) is None
    assert at(1, parts=sup) is None


def test_the_tree_shows_them_by_their_numbers(partitions):
    sup = partitions(number=2)
    old = at(1)
    crash_by_key(1)
    eventually(lambda: at(1) not in (None, old))

    node = tree(sup)

    assert (node.name, node.kind) == ("parts", "supervisor")
    assert [(each.name, each.kind, each.state) for each in node.children] == [
        ("0", "worker", "running"),
        ("1", "worker", "running"),
    ]
    assert [each.restarts for each in node.children] == [0, 1]
    assert tree(Via("parts", 1)).incarnation == 2
