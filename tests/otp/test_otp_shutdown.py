"""How supervisors wait, stop and are stopped, on real actors: otp 1.2, 1.7 and rule 61."""

import logging
import math

import pytest
from probe import LONGEST, InThread, Probe, raising
from supervised import BOOM, DOWN, UP, Child, eventually, kill, lines, refs

from antq_actors.otp import (
    BRUTAL_KILL,
    IGNORE,
    AlreadyStarted,
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
