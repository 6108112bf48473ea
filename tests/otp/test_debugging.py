"""get_state, suspend and resume: an actor is looked into, and held still, as it is."""

import signal
import threading

import pykka
import pytest
from probe import LONGEST, InThread, Probe, answering, in_actor, raising
from pykka._envelope import Envelope
from supervised import BOOM, eventually, kill

from antq_actors.otp import (
    Agent,
    CallCycle,
    CallExit,
    CallTimeout,
    Crash,
    DynamicSupervisor,
    Exited,
    GenServer,
    IdleTimeout,
    Killed,
    NoProc,
    Normal,
    Shutdown,
    Supervisor,
    call,
    cast,
    exit,  # noqa: A004 - OTP's name
    get_state,
    link,
    monitor,
    resume,
    send_after,
    send_request,
    stop,
    supervised,
    suspend,
    trap_exit,
    tree,
    whereis,
)
from antq_actors.otp.inspect.debugging import _SetSuspended
from antq_actors.otp.kernel.messages import Call
from antq_actors.otp.messaging.calls import run_pending


def state_of(ref):
    return tree(ref).state


# ---- get_state --------------------------------------------------------------------------------


class Till(GenServer):
    crash_on_ask = True

    def __init__(self, first):
        super().__init__()
        self.sums = [first]
        self._open = False

    def init(self):
        self._open = True

    def handle_call(self, request):
        self.sums.append(request)
        return len(self.sums)


@pytest.mark.rule(81)
def test_the_state_is_what_the_class_gave_its_actor_and_nothing_of_ours(start):
    till = start(7, of=Till, name="till")
    call(till, 3)

    assert get_state(till) == {"sums": [7, 3], "_open": True}
    assert get_state("till") == get_state(till)
    assert get_state(start(of=GenServer)) == {}


def test_the_state_is_a_shallow_copy(start):
    till = start(7, of=Till)
    state = get_state(till)

    state["_open"] = "mine"
    state["sums"].append("shared")

    assert get_state(till) == {"sums": [7, "shared"], "_open": True}


def test_the_state_of_a_pykka_actor_and_of_an_agent_is_had_likewise(start):
    class Printer(pykka.ThreadingActor):
        def on_start(self):
            self.pages = 3

    assert get_state(start(of=supervised(Printer))) == {"pages": 3}
    assert [1, 2] in get_state(start(lambda: [1, 2], of=Agent)).values()


@pytest.mark.rule(81)
def test_the_state_of_a_suspended_actor_is_had_and_of_a_busy_one_awaited(start, gate):
    till, busy = start(7, of=Till), start()
    suspend(till)
    cast(till, "waits")
    cast(busy, gate)

    assert get_state(till) == {"sums": [7], "_open": True}
    with pytest.raises(CallTimeout, match=r"within 0\.01 s"):
        get_state(busy, 0.01)
    gate.open()
    assert "on_init" in get_state(busy, LONGEST)


def test_the_state_is_read_between_two_messages(start, gate):
    till = start(7, of=Till)
    requests = [send_request(till, number) for number in range(100)]

    state = get_state(till)

    assert state["sums"] == [7, *range(100)]
    assert [request.wait() for request in requests] == list(range(2, 102))


@pytest.mark.parametrize("look", [get_state, suspend, resume])
def test_an_actor_that_is_not_there_is_noproc_and_oneself_a_cycle(start, look):
    ended, ref = start(), start()
    stop(ended)

    for dest in (ended, "nobody"):
        with pytest.raises(CallExit) as failed:
            look(dest)
        assert failed.value.reason == NoProc()
    with pytest.raises(CallCycle):
        in_actor(ref, look, ref)
    assert state_of(ref) == "running"


# ---- suspend and resume -----------------------------------------------------------------------


@pytest.mark.rule(80)
def test_messages_wait_in_order_while_an_actor_is_suspended(start, notes):
    ref = start(notes, name="counter")
    suspend("counter")

    cast(ref, 1)
    ref.tell(2)
    send_after(ref, 3, 0)
    asked = InThread(call, ref, answering("answered"), LONGEST)
    eventually(lambda: tree(ref).mailbox_length == 4)

    assert tree(ref).to_text() == "counter  [worker, suspended, mailbox 4]"
    assert "counter<br/>suspended" in tree(ref).to_mermaid()
    assert notes.is_empty()
    assert not asked.done
    resume("counter")
    assert asked.result() == "answered"
    assert notes.take(3) == [1, 2, 3]
    assert state_of(ref) == "running"


def test_what_a_suspended_actor_does_not_take_does_not_wake_it(start):
    ref = start()
    suspend(ref)
    mailbox = ref.cell.mailbox
    eventually(lambda: mailbox.asleep)

    woken = 0
    for number in range(200):
        cast(ref, number)
        woken += not mailbox.asleep

    assert woken == 0
    assert len(mailbox) == 200


def test_suspended_twice_is_once_and_so_is_resumed(start, notes):
    ref = start(notes)

    suspend(ref)
    suspend(ref)
    assert state_of(ref) == "suspended"
    resume(ref)
    resume(ref)

    assert call(ref, answering("lives")) == "lives"
    assert state_of(ref) == "running"


ENDS = {
    "stop": (lambda ref: stop(ref, timeout=LONGEST), Normal()),
    "stop with a reason": (lambda ref: stop(ref, Shutdown("x"), LONGEST), Shutdown("x")),
    "pykka's stop": (lambda ref: ref.stop(timeout=LONGEST), Normal()),
    "exit": (lambda ref: exit(ref, Shutdown()), Shutdown()),
    "exit with a crash": (lambda ref: exit(ref, Crash(BOOM)), Crash(BOOM)),
    "kill": (kill, Killed()),
}


@pytest.mark.rule(80)
@pytest.mark.parametrize(("end", "reason"), ENDS.values(), ids=ENDS)
def test_a_suspended_actor_obeys_exits_and_stop(start, notes, end, reason):
    ref = start(notes)
    suspend(ref)
    cast(ref, "waits")
    asked = send_request(ref, answering("never"))
    watch = monitor(ref)

    end(ref)

    assert watch.wait(LONGEST).reason == reason
    assert notes.is_empty() if end is kill else notes.take(1) == [("terminate", reason)]
    assert notes.is_empty()
    with pytest.raises(CallExit) as failed:
        asked.wait(LONGEST)
    assert failed.value.reason == reason


def test_a_stop_that_came_before_the_suspension_is_obeyed_in_its_turn(start, notes, gate):
    ref = start(notes)
    gate.hold(ref)
    cast(ref, "before")
    stopping = InThread(stop, ref, timeout=LONGEST)
    eventually(lambda: len(ref.cell.mailbox) == 2)
    suspending = InThread(suspend, ref, LONGEST)
    eventually(lambda: len(ref.cell.mailbox) == 3)

    gate.open()

    stopping.result()
    with pytest.raises(CallExit):
        suspending.result()
    assert notes.take(2) == ["before", ("terminate", Normal())]


def test_a_suspended_actor_ends_with_what_it_is_linked_to(start):
    ref, other = start(), start()
    in_actor(ref, link, other)
    suspend(ref)
    watch = monitor(ref)

    other.tell(raising(BOOM))

    assert watch.wait(LONGEST).reason == Crash(BOOM)


def test_of_one_that_traps_exits_they_wait_like_messages(start, notes):
    ref, other = start(notes), start()
    in_actor(ref, trap_exit, on=True)
    in_actor(ref, link, other)
    suspend(ref)

    stop(other)

    assert notes.is_empty()
    assert state_of(ref) == "suspended"
    resume(ref)
    assert notes.take(1) == [Exited(other, Normal())]


def test_a_suspended_child_is_shut_down_in_its_time_also_when_it_drains(supervise, notes):
    sup = supervise(
        Probe.child_spec(notes, id="first"), Probe.child_spec(notes, id="second", drain=True)
    )
    for child in Supervisor.which_children(sup):
        suspend(child.ref)
        cast(child.ref, "waits")

    stop(sup, timeout=LONGEST)

    assert notes.take(2) == [("terminate", Shutdown())] * 2
    assert notes.is_empty()


@pytest.mark.rule(80)
def test_an_idle_timeout_waits_for_the_end_of_the_suspension(start, notes):
    ref = start(notes)
    suspend(ref)
    ref.cell.ref._actor_weakref().idle_timeout = 0
    for _ in range(20):
        get_state(ref)

    assert notes.is_empty()
    resume(ref)
    assert notes.take(1) == [IdleTimeout()]


def test_an_actor_that_is_restarted_is_not_suspended(supervise):
    supervise(Probe.child_spec(name="child"))
    first = whereis("child")
    suspend(first)

    kill(first)

    eventually(lambda: whereis("child") not in (None, first))
    assert call("child", answering("fresh")) == "fresh"
    assert state_of("child") == "running"


# ---- a busy one -------------------------------------------------------------------------------


def test_a_busy_actor_is_suspended_when_its_handler_returns(start, notes, gate):
    ref = start(notes)
    gate.hold(ref)
    suspending = InThread(suspend, ref, LONGEST)
    eventually(lambda: len(ref.cell.mailbox) == 1)
    cast(ref, "waits")

    gate.open()
    suspending.result()

    assert state_of(ref) == "suspended"
    assert notes.is_empty()


@pytest.mark.rule(80)
def test_a_suspension_that_came_too_late_for_who_wanted_it_does_not_come(start, gate):
    ref = start()
    gate.hold(ref)

    with pytest.raises(CallTimeout, match=r"within 0\.01 s"):
        suspend(ref, 0.01)
    gate.open()

    assert call(ref, answering("lives"), LONGEST) == "lives"
    assert state_of(ref) == "running"


def test_a_suspension_that_ctrl_c_cut_short_does_not_come(start, gate):
    ref = start()
    gate.hold(ref)

    def press_ctrl_c():
        eventually(lambda: len(ref.cell.mailbox) == 1)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    pressing = InThread(press_ctrl_c)
    with pytest.raises(KeyboardInterrupt):
        suspend(ref, LONGEST)
    pressing.result()
    gate.open()

    assert call(ref, answering("lives"), LONGEST) == "lives"
    assert state_of(ref) == "running"


def test_a_suspension_at_the_last_moment_has_come_or_does_not(start):
    ref = start()
    for _ in range(200):
        try:
            suspend(ref, 0)
        except CallTimeout:
            assert call(ref, answering("lives"), LONGEST) == "lives"
            assert state_of(ref) == "running"
        else:
            assert state_of(ref) == "suspended"
            resume(ref)


def test_nothing_is_lost_of_what_comes_while_an_actor_is_suspended_and_resumed(start):
    ref = start()
    got = []
    is_over = threading.Event()

    def hold():
        while not is_over.is_set():
            suspend(ref, LONGEST)
            resume(ref, LONGEST)

    def send(sender):
        for number in range(500):
            cast(ref, lambda _me, entry=(sender, number): got.append(entry))
            if number % 50 == 0:
                assert call(ref, answering(number), LONGEST) == number

    holding = InThread(hold)
    sending = [InThread(send, sender) for sender in range(3)]
    for each in sending:
        each.result()
    is_over.set()
    holding.result()
    call(ref, answering(None), LONGEST)

    for sender in range(3):
        assert [n for s, n in got if s == sender] == list(range(500))


# ---- supervisors ------------------------------------------------------------------------------


@pytest.mark.rule(80)
@pytest.mark.parametrize("kind", [Supervisor, DynamicSupervisor])
def test_a_suspended_supervisor_restarts_nobody_until_it_is_resumed(start, kind):
    sup = start(of=kind)
    child = kind.start_child(sup, Probe)
    suspend(sup)

    child.tell(raising(BOOM))
    monitor(child).wait(LONGEST)

    starting = InThread(kind.start_child, sup, Probe.child_spec(id="another"))
    eventually(lambda: len(sup.cell.mailbox) == 2)
    assert [node.state for node in tree(sup).children] == ["stopped"]
    assert not starting.done
    resume(sup)
    starting.result()
    assert [node.state for node in tree(sup).children] == ["running", "running"]
    assert kind.count_children(sup).active == 2


@pytest.mark.parametrize("kind", [Supervisor, DynamicSupervisor])
def test_a_suspended_supervisor_stops_its_children_when_it_is_stopped(start, notes, kind):
    sup = start(of=kind)
    kind.start_child(sup, Probe.child_spec(notes))
    suspend(sup)

    stop(sup, Shutdown(), LONGEST)

    assert notes.take(1) == [("terminate", Shutdown())]


def test_a_supervisor_stops_one_below_it_that_is_suspended(supervise, notes):
    inner = Supervisor.child_spec([Probe.child_spec(notes)], name="inner")
    sup = supervise(inner)
    suspend("inner")

    Supervisor.terminate_child(sup, "inner")

    assert notes.take(1) == [("terminate", Shutdown())]


# ---- an actor that runs inline ----------------------------------------------------------------


class Inline(GenServer):
    runs_inline = True

    def handle_call(self, request):
        return request


def test_no_foreign_thread_runs_a_turn_of_a_suspended_actor(start):
    ref = start(of=Inline)
    suspend(ref)
    eventually(lambda: ref.cell.mailbox.asleep)

    with pytest.raises(CallTimeout):
        InThread(call, ref, "waits", 0.01).result()  # no handler of a signal runs there
    assert state_of(ref) == "suspended"
    resume(ref)
    assert InThread(call, ref, "fine").result() == "fine"


def test_what_waits_for_a_suspended_actor_is_not_handled_by_others_either(start):
    ref = start(of=Inline)
    suspend(ref)
    asked = send_request(ref, "waits")

    run_pending(ref.cell)

    with pytest.raises(CallTimeout):
        asked.wait(0.01)
    resume(ref)
    assert asked.wait(LONGEST) == "waits"


def test_a_foreign_thread_that_comes_to_the_suspension_handles_nothing_behind_it(start):
    ref = start(of=Inline)
    eventually(lambda: ref.cell.mailbox.asleep)
    suspension, behind = _SetSuspended(ref.cell, value=True), Call("waits")
    for message in (suspension, behind):
        ref.cell.mailbox.deliver(Envelope(message), wake=False)

    run_pending(ref.cell)

    assert suspension.is_settled
    assert state_of(ref) == "suspended"
    assert not behind.is_settled
    resume(ref)
    assert behind.wait(LONGEST)
    assert behind.value == "waits"
