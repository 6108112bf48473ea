"""Rules of otp 1.2, 1.7 and 61: how children are told to end, and what a supervisor's end does."""

import logging
import math
import threading

import pykka
import pytest
from probe import LONGEST, InThread, Probe, raising
from supervised import (
    BOOM,
    DOWN,
    UP,
    Child,
    Deserter,
    Stubborn,
    crash,
    eventually,
    kill,
    lines,
    raise_anew,
    refs,
)

from antq_actors.otp import (
    BRUTAL_KILL,
    IGNORE,
    AlreadyStarted,
    CallCycle,
    CallExit,
    ChildSpec,
    Crash,
    DynamicSupervisor,
    GenServer,
    Killed,
    Normal,
    PartitionSupervisor,
    Restart,
    Shutdown,
    StartError,
    Stop,
    Supervisor,
    call,
    exit,  # noqa: A004 - OTP's name
    monitor,
    orphans,
    stop,
    whereis,
)
from antq_actors.otp.supervision.children import is_clean


@pytest.fixture
def release():
    """Let stubborn children go, at the latest when the test is over."""
    event = threading.Event()
    yield event
    event.set()


# ---- the protocol, rules 40 to 43 -------------------------------------------------------------


@pytest.mark.rule(40)
def test_rule_40_a_child_that_ends_in_time_is_not_killed(log, release, caplog):
    sup = Supervisor.start([Stubborn.child_spec("a", log, release, shutdown=math.inf)])
    end = monitor(Supervisor.which_children(sup)[0].ref)
    stopping = threading.Thread(target=stop, args=(sup,))

    stopping.start()
    assert log.take(2) == [(UP, "a"), (DOWN, "a", Shutdown())]
    release.set()
    stopping.join(30)

    assert end.wait(30).reason == Shutdown()
    assert lines(caplog, logging.ERROR) == []


@pytest.mark.rule(40)
@pytest.mark.deviation(1)
def test_rule_40_a_child_that_does_not_end_in_time_is_killed_and_reported(log, release, caplog):
    sup = Supervisor.start(
        [
            Child.child_spec("before", log, id="before"),
            Stubborn.child_spec("stubborn", log, release, id="stubborn", shutdown=0.02),
        ],
        name="the supervisor",
    )
    end = monitor(Supervisor.which_children(sup)[1].ref)

    stop(sup)

    assert end.wait(30).reason == Killed()
    assert log.take(4)[2:] == [(DOWN, "stubborn", Shutdown()), (DOWN, "before", Shutdown())]
    (line,) = lines(caplog, logging.ERROR)
    assert all(each in line for each in ("the supervisor", "'stubborn'", "Killed", "not clean"))
    assert len(orphans()) == 1
    release.set()
    eventually(lambda: orphans() == [])


@pytest.mark.rule(40)
def test_rule_40_brutal_kill_runs_no_terminate_and_is_clean(log, caplog):
    sup = Supervisor.start([Child.child_spec("a", log, shutdown=BRUTAL_KILL)])
    end = monitor(Supervisor.which_children(sup)[0].ref)

    stop(sup)

    assert end.wait(30).reason == Killed()
    assert log.take(1) == [(UP, "a")]
    assert log.is_empty()
    assert lines(caplog, logging.ERROR) == []


@pytest.mark.rule(5)
def test_rule_5_shutdown_0_is_no_brutal_kill(log, release, caplog):
    sup = Supervisor.start([Stubborn.child_spec("a", log, release, shutdown=0)])

    stop(sup)

    assert (
        "Killed" in lines(caplog, logging.ERROR)[0]
    )  # it was asked first, and that it did not end in time told


@pytest.mark.rule(41)
def test_rule_41_a_child_that_unlinked_itself_is_stopped_all_the_same(log):
    sup = Supervisor.start([Deserter.child_spec("a", log)])

    stop(sup, timeout=30)

    assert log.take(2) == [(UP, "a"), (DOWN, "a", Shutdown())]


class Sulking(Child):
    """Ends with another reason than it was told."""

    def terminate(self, reason):
        super().terminate(reason)
        raise_anew(BOOM)


@pytest.mark.rule(43)
def test_rule_43_a_crash_in_terminate_is_reported_and_does_not_stop_the_shutdown(log, caplog):
    sup = Supervisor.start(
        [
            Child.child_spec("a", log, id="a"),
            Sulking.child_spec("sulking", log, id="sulking"),
        ]
    )

    stop(sup)

    assert log.take(4)[2:] == [(DOWN, "sulking", Shutdown()), (DOWN, "a", Shutdown())]
    assert any(
        "'sulking'" in line and "ValueError" in line for line in lines(caplog, logging.ERROR)
    )


@pytest.mark.rule(44)
@pytest.mark.deviation(7)
def test_terminating_a_child_overtakes_the_messages_it_still_has(supervise, log):
    hold = threading.Event()
    sup = supervise(Child.child_spec("a", log, id="a"))
    ref = Supervisor.which_children(sup)[0].ref
    busy = threading.Thread(target=call, args=(ref, lambda _: hold.wait(30)))
    busy.start()
    eventually(lambda: ref.cell.mailbox.calls)
    for _ in range(100):
        ref.tell("never read")
    ending = threading.Thread(target=Supervisor.terminate_child, args=(sup, "a"))
    ending.start()
    eventually(ref.cell.mailbox.has_signal)

    hold.set()
    ending.join(30)

    assert log.take(2) == [(UP, "a"), (DOWN, "a", Shutdown())]


# ---- the end of the supervisor, rules 47 to 49 ------------------------------------------------


@pytest.mark.rule(48)
def test_rule_48_a_supervisor_ends_with_the_actor_that_started_it(log):
    class Owner(GenServer):
        def init(self):
            Supervisor.start_link([Child.child_spec("a", log)], name="owned")

    owner = Owner.start()
    end = monitor("owned")

    stop(owner)

    end.wait(30)
    assert log.take(2)[1][:2] == (DOWN, "a")


@pytest.mark.rule(49)
def test_rule_49_killing_a_supervisor_frees_the_names_of_its_children(supervise, log):
    inner = Supervisor.child_spec(
        [Child.child_spec(str(i), log, name=f"child {i}") for i in range(5)], name="inner"
    )
    supervise(inner)
    old = [whereis(f"child {i}") for i in range(5)]

    for _ in range(3):
        end = monitor("inner")
        kill(whereis("inner"))
        end.wait(30)
        eventually(lambda: whereis("inner") and whereis("child 4"))

    eventually(lambda: len(Supervisor.which_children("inner")) == 5)
    assert all(whereis(f"child {i}") not in (None, old[i]) for i in range(5))
    assert all(ref.cell.reason == Killed() for ref in old)


@pytest.mark.rule(49)
def test_rule_49_a_child_that_hangs_does_not_keep_the_next_one_from_its_name(
    supervise, log, release
):
    supervise(Supervisor.child_spec([Child.child_spec("a", log, name="a")], name="inner"))
    log.take(1)
    hanging = whereis("a")
    caller = threading.Thread(target=wait_for_call, args=(hanging, release, log))
    caller.start()
    eventually(lambda: hanging.cell.mailbox.calls)

    kill(whereis("inner"))

    assert sorted(log.take(2)) == sorted([("call ended", Killed()), (UP, "a")])
    assert whereis("a") not in (None, hanging)
    caller.join(30)


@pytest.mark.rule(49)
def test_rule_49_a_name_further_down_is_waited_for_as_well(supervise, log, release, caplog):
    inner = Supervisor.child_spec(
        [Stubborn.child_spec("deep", log, release, name="deep")], id="inner"
    )
    supervise(Supervisor.child_spec([Child.child_spec("flat", log), inner], name="outer"))
    deep = whereis("deep")
    log.take(2)

    kill(whereis("outer"))

    assert sorted(entry[:2] for entry in log.take(3)) == [
        (DOWN, "deep"),
        (DOWN, "flat"),
        (UP, "flat"),
    ]
    # Two wait for its end: the inner supervisor that stops it, and the one in its place.
    eventually(lambda: len(deep.cell._watchers) == 2)
    release.set()
    assert log.take(1) == [(UP, "deep")]
    assert whereis("deep") not in (None, deep)
    assert lines(caplog, logging.ERROR) == []


def wait_for_call(ref, event, log):
    try:
        call(ref, lambda _: event.wait(30), timeout=None)
    except CallExit as error:
        log.add("call ended", error.reason)


def test_a_supervisor_killed_while_a_child_hangs_in_its_init_releases_who_waits(log, release):
    outcome = []

    def boot():
        try:
            Supervisor.start([Child.child_spec("a", log, {"a": release})], name="booting")
        except Exception as error:  # noqa: BLE001 - looked at below
            outcome.append(error)

    booting = threading.Thread(target=boot)
    booting.start()
    assert log.take(1) == [("waits", "a")]

    kill(whereis("booting"))

    booting.join(30)
    assert outcome[0].reason == Killed()
    assert whereis("booting") is None


def test_a_supervisor_killed_during_boot_starts_no_further_child(log, release):
    children = [Child.child_spec("a", log, {"a": release}, id="a"), Child.child_spec("b", log)]
    booting = threading.Thread(target=start_and_ignore_errors, args=(children, "booting"))
    booting.start()
    log.take(1)
    thread = whereis("booting").cell.thread

    kill(whereis("booting"))
    release.set()
    booting.join(30)
    eventually(lambda: thread not in orphans())

    entries = log.take(1) + ([] if log.is_empty() else log.take(1))
    assert (UP, "b") not in entries


class KillsItsParent(Child):
    """Its __init__ runs in the thread of the supervisor that is about to link it."""

    def __init__(self, child_id, log):
        super().__init__(child_id, log)
        killer = threading.Thread(target=kill, args=(whereis("doomed"),))
        killer.start()
        killer.join(30)


def test_a_child_made_while_its_supervisor_is_killed_never_runs(log):
    with pytest.raises(StartError) as caught:
        Supervisor.start([KillsItsParent.child_spec("a", log, name="never")], name="doomed")

    assert caught.value.reason == Killed()
    eventually(lambda: whereis("never") is None)
    assert [r for r in pykka.ActorRegistry.get_all() if r.actor_class is KillsItsParent] == []
    assert log.is_empty()


def start_and_ignore_errors(children, name):
    try:
        Supervisor.start(children, name=name)
    except Exception:  # noqa: BLE001 - not what the test is about
        return


# ---- rings ------------------------------------------------------------------------------------


class Nosy(Child):
    """Asks its supervisor about itself, at the worst moments."""

    def init(self):
        self.ask("init")
        super().init()

    def terminate(self, reason):
        self.ask("terminate")
        super().terminate(reason)

    def ask(self, moment):
        try:
            Supervisor.which_children(self.ref.cell.parent)
        except CallCycle:
            self.log.add("cycle", moment)


@pytest.mark.rule(46)
def test_rule_46_a_child_that_asks_the_supervisor_that_waits_for_it_gets_a_call_cycle(log):
    sup = Supervisor.start([Nosy.child_spec("a", log)])

    stop(sup, timeout=30)

    assert log.take(4) == [
        ("cycle", "init"),
        (UP, "a"),
        ("cycle", "terminate"),
        (DOWN, "a", Shutdown()),
    ]


@pytest.mark.rule(47)
def test_rule_47_a_child_that_stops_its_own_supervisor_hangs_nobody(log):
    children = [
        Child.child_spec("a", log, id="a"),
        Child.child_spec("b", log, id="b", shutdown=math.inf),
        Child.child_spec("c", log, id="c"),
    ]
    sup = Supervisor.start(children, max_restarts=0)
    ref = Supervisor.which_children(sup)[1].ref
    end = monitor(sup)
    log.take(3)

    with pytest.raises(CallExit) as killed:
        call(ref, lambda _: stop(sup), timeout=5)

    assert killed.value.reason == Killed()
    assert end.wait(30).reason == Normal()
    assert log.take(2) == [(DOWN, "c", Shutdown()), (DOWN, "a", Shutdown())]


@pytest.mark.rule(47)
def test_rule_47_a_dynamic_child_that_stops_its_supervisor_hangs_nobody(log):
    sup = DynamicSupervisor.start()
    ref = DynamicSupervisor.start_child(sup, Child.child_spec("a", log, shutdown=math.inf))
    end = monitor(sup)

    with pytest.raises(CallExit) as killed:
        call(ref, lambda _: stop(sup), timeout=5)

    assert killed.value.reason == Killed()
    assert end.wait(30).reason == Normal()


# ---- pykka's own ways -------------------------------------------------------------------------


@pytest.mark.parametrize("block", [True, False])
def test_stop_all_stops_a_tree_without_restarts(log, caplog, block):
    inner = Supervisor.child_spec(
        [Child.child_spec("b", log, id="b"), Child.child_spec("c", log, id="c")], id="inner"
    )
    sup = Supervisor.start([Child.child_spec("a", log, id="a"), inner], max_restarts=0)
    end = monitor(sup)
    log.take(3)

    pykka.ActorRegistry.stop_all(block=block)

    end.wait(30)
    assert sorted(entry[:2] for entry in log.take(3)) == [(DOWN, "a"), (DOWN, "b"), (DOWN, "c")]
    assert log.is_empty()
    assert [r for r in caplog.records if "restart" in r.getMessage()] == []
    assert pykka.ActorRegistry.get_all() == []


def test_a_child_that_is_stopped_by_its_ref_alone_comes_back(supervise, log):
    sup = supervise(Child.child_spec("a", log))

    Supervisor.which_children(sup)[0].ref.stop()

    assert [entry[0] for entry in log.take(3)] == [UP, DOWN, UP]


def test_a_supervisor_stopped_by_pykka_stops_its_children(log):
    sup = Supervisor.start([Child.child_spec("a", log), Child.child_spec("b", log, id="b")])

    sup.stop()

    assert log.take(4)[2:] == [(DOWN, "b", Shutdown()), (DOWN, "a", Shutdown())]


@pytest.mark.table_row("transient", "temporary")
def test_an_orderly_end_of_children_is_not_worth_a_line(log, caplog):
    sup = Supervisor.start(
        [
            Child.child_spec("t", log, id="t", restart=Restart.TRANSIENT),
            Child.child_spec("x", log, id="x", restart=Restart.TEMPORARY),
        ]
    )
    for child in Supervisor.which_children(sup):
        stop(child.ref)
    eventually(lambda: Supervisor.count_children(sup).active == 0)
    stop(sup)

    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []


@pytest.mark.table_row("temporary")
def test_a_crash_is_no_shutdown_and_is_reported_once(supervise, log, caplog):
    sup = supervise(Child.child_spec("x", log, restart=Restart.TEMPORARY))
    crash(Supervisor.which_children(sup)[0].ref)
    eventually(lambda: Supervisor.which_children(sup) == [])

    (line,) = lines(caplog, logging.WARNING)
    assert all(each in line for each in (str(sup), "'Child'", "ValueError"))


# ---- those above it, boot and the order to end --------------------------------------------------


def reports(caplog):
    """What supervisors said of shutdowns."""
    return [line for line in lines(caplog, logging.ERROR) if "not clean" in line]


# ---- a supervisor and those above it, rules 13, 14 and 48 -------------------------------------


@pytest.mark.rule(13)
def test_a_supervisor_that_is_not_needed_ends_normally_and_its_own_one_keeps_its_spec(supervise):
    ends = []

    class Absent(Supervisor):
        def init_children(self):
            self.ref.cell.watch("test", lambda _ref, reason: ends.append(reason))
            return IGNORE

    assert Absent.start(name="absent") is IGNORE
    sup = supervise(Absent)

    eventually(lambda: ends == [Normal(), Normal()], what=lambda: ends)
    assert whereis("absent") is None
    assert refs(sup) == {"Absent": None}


@pytest.mark.rule(14)
@pytest.mark.parametrize("kind", [Supervisor, DynamicSupervisor, PartitionSupervisor])
@pytest.mark.parametrize("reason", [Normal(), Shutdown(), Crash(BOOM)], ids=str)
def test_an_exit_signal_of_a_stranger_ends_no_supervisor(kind, reason, log):
    args = (Child.child_spec("a", log), 1) if kind is PartitionSupervisor else ()
    sup = kind.start(*args)

    exit(sup, reason)

    kind.count_children(sup)  # answered after the signal was handled
    assert sup.is_alive()
    stop(sup, Shutdown(), LONGEST)


@pytest.mark.rule(48)
@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (stop, Normal()),
        (lambda owner: stop(owner, Shutdown("done")), Shutdown("done")),
        (lambda owner: owner.tell(raising(BOOM)), Crash(BOOM)),
        (kill, Killed()),
    ],
    ids=["normal", "shutdown", "crash", "killed"],
)
def test_a_linked_supervisor_ends_with_its_owner_and_for_the_same_reason(start, log, end, reason):
    owner = start()
    sup = call(owner, lambda _me: Supervisor.start_link([Child.child_spec("a", log)]))
    downs = monitor(sup), monitor(refs(sup)["Child"])

    end(owner)

    assert downs[0].wait(LONGEST).reason == reason
    assert downs[1].wait(LONGEST).reason in (Shutdown(), Killed())


# ---- boot, rules 11 and 61 --------------------------------------------------------------------


@pytest.mark.rule(11, 61)
def test_a_name_that_is_taken_fails_a_boot_like_any_other_start(start, log):
    holder = start(name="taken")

    with pytest.raises(StartError, match="'second' did not start") as failed:
        Supervisor.start(
            [
                Child.child_spec("first", log, id="first"),
                Child.child_spec("second", log, id="second", name="taken"),
            ]
        )

    assert failed.value.__cause__.ref is holder
    assert isinstance(failed.value.__cause__, AlreadyStarted)
    assert log.take(2) == [(UP, "first"), (DOWN, "first", Shutdown())]
    assert log.is_empty()
    assert whereis("taken") is holder


# ---- the order to end, rules 42 to 45 ---------------------------------------------------------


@pytest.mark.rule(42)
def test_static_children_end_one_after_the_other_and_each_is_told_when_its_turn_comes(gate, notes):
    sup = Supervisor.start(
        [
            Probe.child_spec(notes, id="first"),
            Probe.child_spec(at_end=gate, id="last", shutdown=math.inf),
        ]
    )
    first = refs(sup)["first"]
    stopping = InThread(stop, sup, Shutdown(), LONGEST)

    gate.wait_entered()
    assert call(first, lambda me: me.ref.cell.stop_requested()) is False
    assert notes.is_empty()
    gate.open()
    stopping.result()

    assert notes.take(1) == [("terminate", Shutdown())]


@pytest.mark.rule(43)
@pytest.mark.parametrize(
    ("restart", "reason", "static", "dynamic"),
    [
        (Restart.PERMANENT, Shutdown(), True, True),
        (Restart.PERMANENT, Shutdown("detail"), False, True),
        (Restart.PERMANENT, Normal(), False, False),
        (Restart.TRANSIENT, Shutdown("detail"), True, True),
        (Restart.TRANSIENT, Normal(), True, True),
        (Restart.TEMPORARY, Shutdown("detail"), True, True),
        (Restart.TEMPORARY, Normal(), True, True),
        (Restart.TEMPORARY, Crash(BOOM), False, False),
        (Restart.TEMPORARY, Killed(), False, False),
    ],
    ids=str,
)
def test_what_a_child_that_was_told_to_end_may_answer_without_a_report(
    caplog, restart, reason, static, dynamic
):
    def spec():
        return Probe.child_spec(id="a", restart=restart, at_end=raising(Stop(reason)))

    sup, pool = Supervisor.start([spec()]), DynamicSupervisor.start()
    DynamicSupervisor.start_child(pool, spec())

    stop(sup, Shutdown(), LONGEST)
    stop(pool, Shutdown(), LONGEST)

    told = "".join(reports(caplog))
    assert [f"{each}: the shutdown" in told for each in (sup, pool)] == [not static, not dynamic]


@pytest.mark.rule(43)
@pytest.mark.parametrize(
    ("shutdown", "reason", "is_fine"),
    [(BRUTAL_KILL, Killed(), True), (5.0, Killed(), False), (BRUTAL_KILL, Crash(BOOM), False)],
)
def test_killed_is_a_clean_end_only_of_one_that_was_to_be_killed(shutdown, reason, is_fine):
    assert is_clean(ChildSpec("a", print, shutdown=shutdown), reason) is is_fine


@pytest.mark.rule(45)
def test_a_supervisor_below_another_is_waited_for_as_long_as_its_children_take(log, caplog, gate):
    slow = Probe.child_spec(at_end=gate, id="slow", name="slow", shutdown=math.inf)
    sup = Supervisor.start([Supervisor.child_spec([slow], name="inner")])
    ends = monitor("slow"), monitor("inner")
    stopping = InThread(stop, sup, Shutdown(), LONGEST)
    gate.wait_entered()

    gate.open()
    stopping.result()

    assert [end.wait(LONGEST).reason for end in ends] == [Shutdown(), Shutdown()]
    assert reports(caplog) == []
    assert orphans() == []


# ---- a busy supervisor, rules 46 and 47 -------------------------------------------------------


@pytest.mark.rule(46)
def test_while_a_child_starts_its_supervisor_answers_nothing(supervise, gate):
    sup = supervise()
    starting = InThread(
        Supervisor.start_child, sup, Probe.child_spec(init=gate.pass_through, id="slow")
    )
    gate.wait_entered()
    asking = InThread(Supervisor.which_children, sup)

    eventually(lambda: len(sup.cell.mailbox) == 1)
    assert not asking.done
    gate.open()

    assert [c.ref for c in asking.result()] == [starting.result()]


class Rebel(GenServer):
    """Has its grandparent terminate its parent when it is asked to."""

    def handle_call(self, request):
        Supervisor.terminate_child("top", "middle")


@pytest.mark.rule(47)
def test_a_child_that_has_its_own_ancestor_terminated_is_killed_and_hangs_nobody(supervise):
    rebel = Rebel.child_spec(name="rebel", shutdown=math.inf)
    supervise(Supervisor.child_spec([rebel], id="middle"), name="top")
    ref = whereis("rebel")

    with pytest.raises(CallExit) as ended:
        call(ref, "rise up", LONGEST)

    assert ended.value.reason == Killed()
    assert Supervisor.which_children("top")[0].ref is None
    eventually(lambda: orphans() == [])
