"""PartitionSupervisor: one child several times, and each key has its own."""

import os
import threading

import pytest
from probe import LONGEST, InThread, Probe, answering
from supervised import BOOM, Child, crash, eventually, kill, raise_anew

from antq_actors.otp import (
    IGNORE,
    RESTARTING,
    AlreadyStarted,
    AutoShutdown,
    Backoff,
    CallExit,
    ChildSpec,
    Crash,
    DynamicSupervisor,
    NoProc,
    PartitionSupervisor,
    Registry,
    Restart,
    Shutdown,
    StartError,
    Strategy,
    Supervisor,
    Via,
    call,
    cast,
    monitor,
    stop,
    tree,
    whereis,
)


def a_numbered_child(log, plan=None, **fields):
    """Spec of a child that writes into *log*; *plan* is by the number of its partition."""
    return ChildSpec("numbered", Child.start_link, (log, plan), **fields)


def numbered(args, number):
    return (number, *args)


def refs(sup):
    return [child.ref for child in Supervisor.which_children(sup)]


def at(key, parts="parts"):
    return whereis(Via(parts, key))


# ---- how many ---------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [1, 2, 5])
def test_there_are_as_many_as_it_is_told(partitions, number):
    sup = partitions(number=number)

    assert PartitionSupervisor.partitions(sup) == number
    assert [info.id for info in Supervisor.which_children(sup)] == list(range(number))
    assert len(set(refs(sup))) == number


def test_there_are_as_many_as_processors_if_it_is_told_nothing(partitions):
    sup = partitions(number=None)

    assert PartitionSupervisor.partitions(sup) == os.cpu_count()
    assert Supervisor.count_children(sup).active == os.cpu_count()


def test_how_many_there_are_is_known_while_the_supervisor_is_busy(partitions, log):
    hold = threading.Event()
    plan = {}
    sup = partitions(a_numbered_child(log, plan), with_arguments=numbered, max_restarts=10)
    log.take(3)
    plan[1] = hold
    kill(at(1))
    assert log.take(1) == [("waits", 1)]

    assert PartitionSupervisor.partitions("parts") == 3
    assert at(0) is not None
    hold.set()
    assert PartitionSupervisor.count_children(sup).active == 3


def test_a_child_that_is_added_by_hand_is_no_partition(partitions):
    sup = partitions()
    before = refs(sup)

    Supervisor.start_child(sup, Probe.child_spec(id="extra"))

    assert PartitionSupervisor.partitions(sup) == 3
    assert {at(number) for number in range(10)} == set(before)


def test_only_a_partition_supervisor_has_partitions(start, partitions):
    ended = partitions(name=None)
    stop(ended)

    for nobody in ("nobody", ended, Via("nobody", 1)):
        with pytest.raises(CallExit) as gone:
            PartitionSupervisor.partitions(nobody)
        assert gone.value.reason == NoProc()
    for other in (start(of=Supervisor), start(of=Registry), start()):
        with pytest.raises(TypeError, match="is no PartitionSupervisor"):
            PartitionSupervisor.partitions(other)


# ---- which one --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "partition"),
    [(0, 0), (1, 1), (2, 2), (3, 0), (-1, 1), (-5, 2), (-3, 0), (True, 1), (False, 0), (10**30, 1)],
)
def test_an_int_leads_to_its_absolute_value_modulo_their_number(partitions, key, partition):
    sup = partitions(number=3)

    assert at(key) is refs(sup)[partition]


@pytest.mark.parametrize("key", ["order", ("order", 7), None, 2.5, frozenset({1}), b"order"])
def test_any_other_key_leads_where_its_hash_says_and_always_there(partitions, key):
    sup = partitions(number=3)

    assert {at(key) for _ in range(10)} == {refs(sup)[hash(key) % 3]}


def test_many_keys_lead_to_all_partitions(partitions):
    sup = partitions(number=4)

    assert {at(("order", number)) for number in range(200)} == set(refs(sup))


def test_a_key_that_cannot_be_hashed_is_refused():
    with pytest.raises(TypeError, match="hashable"):
        Via("parts", ["order"])


def test_messages_with_one_key_stay_in_order(partitions, notes):
    partitions(Probe.child_spec(notes))

    for number in range(100):
        cast(Via("parts", "order"), number)
    call(Via("parts", "order"), answering(None))

    assert notes.take(100) == list(range(100))


def test_a_busy_partition_holds_up_no_other(partitions, gate):
    partitions()
    cast(Via("parts", 0), gate)
    gate.wait_entered()

    assert call(Via("parts", 1), answering("free")) == "free"


def test_it_may_be_given_by_ref_by_name_or_by_via(start, partitions):
    start(of=Registry, name="shop")
    sup = partitions(name=Via("shop", "parts"))

    for parts in (sup, Via("shop", "parts")):
        assert call(Via(parts, 1), lambda me: me.ref) is refs(sup)[1]
    assert str(sup) == "shop/parts"


def test_each_partition_may_be_a_supervisor(partitions):
    partitions(DynamicSupervisor)

    job = DynamicSupervisor.start_child(Via("parts", "order"), Probe)

    assert [info.ref for info in DynamicSupervisor.which_children(Via("parts", "order"))] == [job]
    others = [n for n in range(3) if at(n) is not at("order")]
    assert [DynamicSupervisor.count_children(Via("parts", n)).active for n in others] == [0, 0]


# ---- what each is given -----------------------------------------------------------------------


def test_each_is_started_with_the_arguments_of_the_spec(partitions, notes):
    partitions(Probe.child_spec(notes, init=lambda me: me.notes.add("up")))

    assert notes.take(3) == ["up"] * 3


def test_each_may_be_started_with_its_number(partitions, log):
    partitions(a_numbered_child(log), with_arguments=numbered)

    assert log.take(3) == [("up", 0), ("up", 1), ("up", 2)]


def test_a_restarted_one_gets_the_same_arguments(partitions, log):
    sup = partitions(a_numbered_child(log), with_arguments=numbered)
    log.take(3)

    crash(at(1))

    assert log.take(2) == [("down", 1, Crash(BOOM)), ("up", 1)]
    assert Supervisor.get_childspec(sup, 1).args[0] == 1


def test_fields_of_the_spec_hold_for_each(partitions, log):
    sup = partitions(
        a_numbered_child(log, restart=Restart.TRANSIENT, shutdown=1.5), with_arguments=numbered
    )

    specs = [Supervisor.get_childspec(sup, number) for number in range(3)]

    assert {(spec.restart, spec.shutdown) for spec in specs} == {(Restart.TRANSIENT, 1.5)}


def test_they_start_in_order_and_stop_in_reverse(log):
    sup = PartitionSupervisor.start(a_numbered_child(log), 3, with_arguments=numbered)
    log.take(3)

    stop(sup, Shutdown())

    assert log.take(3) == [("down", number, Shutdown()) for number in (2, 1, 0)]


# ---- misuse -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"partitions": 0}, ValueError, "partitions must be 1 or more, got 0"),
        ({"partitions": -1}, ValueError, "partitions must be 1 or more, got -1"),
        ({"partitions": True}, TypeError, "partitions must be a whole number or None, got True"),
        ({"partitions": 2.0}, TypeError, "partitions must be a whole number or None, got 2.0"),
        ({"partitions": "2"}, TypeError, "partitions must be a whole number or None, got '2'"),
        ({"with_arguments": 7}, TypeError, "with_arguments must be a function, got 7"),
        ({"with_arguments": answering(7)}, TypeError, "args of child 0 must be a tuple, got 7"),
        ({"with_arguments": answering("ab")}, TypeError, "args of child 0 must be a tuple, got"),
        ({"strategy": "one_for_one"}, TypeError, "strategy must be a Strategy"),
        ({"max_restarts": -1}, ValueError, "max_restarts"),
        ({"max_seconds": 0}, ValueError, "max_seconds"),
        ({"child": 7}, TypeError, "a child is a ChildSpec or a GenServer class, got 7"),
        ({"child": [Probe]}, TypeError, "a child is a ChildSpec or a GenServer class"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_starts(notes, options, error, message):
    child = Probe.child_spec(init=lambda _me: notes.add("ran"))
    options = {"child": child, "partitions": 2, **options}

    with pytest.raises(error, match=message):
        PartitionSupervisor.start(**options, name="parts")

    assert whereis("parts") is None
    assert notes.is_empty()


@pytest.mark.rule(55)
def test_it_never_shuts_down_by_itself(partitions):
    with pytest.raises(TypeError, match="auto_shutdown"):
        PartitionSupervisor.start(Probe, 2, auto_shutdown=AutoShutdown.ANY_SIGNIFICANT)
    significant = Probe.child_spec(restart=Restart.TRANSIENT, significant=True)
    with pytest.raises(ValueError, match="significant of child 0 must be False"):
        PartitionSupervisor.start(significant, 2)


def test_a_child_with_a_name_can_have_one_partition_only(partitions):
    clerk = Probe.child_spec(name="clerk")

    with pytest.raises(StartError, match="the name 'clerk' is taken") as failed:
        partitions(clerk)
    assert failed.value.child_id == 1
    assert isinstance(failed.value.__cause__, AlreadyStarted)

    partitions(clerk, number=1)
    assert at(0) is whereis("clerk")


def test_a_partition_cannot_be_taken_as_a_name(partitions, start, notes):
    partitions()

    with pytest.raises(ValueError, match="a name needs a Registry"):
        start(name=Via("parts", 1), init=lambda _me: notes.add("ran"))

    assert notes.is_empty()


def test_a_failing_partition_fails_the_start_and_stops_those_before_it(log):
    with pytest.raises(StartError) as failed:
        PartitionSupervisor.start(a_numbered_child(log, {2: "fail"}), 3, with_arguments=numbered)

    assert failed.value.child_id == 2
    assert log.take(5) == [
        ("up", 0),
        ("up", 1),
        ("fails", 2),
        ("down", 1, Shutdown()),
        ("down", 0, Shutdown()),
    ]


def test_a_child_that_is_none_is_refused_when_its_spec_is_made():
    with pytest.raises(TypeError, match="a child is a ChildSpec or a GenServer class, got 7"):
        PartitionSupervisor.child_spec(7, 2)


def test_a_partition_that_fails_to_start_again_may_wait(partitions, log):
    plan = {}
    long = Backoff(first=3600, longest=3600)
    sup = partitions(a_numbered_child(log, plan), 2, with_arguments=numbered, backoff=long)
    plan[1] = "fail"

    crash(Via(sup, 1))

    eventually(lambda: Supervisor.which_children(sup)[1].ref is RESTARTING)


# ---- partitions that end and come back, while they are addressed --------------------------------


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
