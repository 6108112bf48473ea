"""The mailbox: two lanes, each in order, and an end that hands over what is owed."""

import pykka
import pytest
from hypothesis import given
from hypothesis import strategies as st
from probe import LONGEST, Gate, InThread, Notes, Probe
from pykka._envelope import Envelope
from supervised import eventually

from antq_actors.otp import (
    BRUTAL_KILL,
    ChildSpec,
    DynamicSupervisor,
    Shutdown,
    Supervisor,
    cast,
    stop,
)
from antq_actors.otp.kernel.mailbox import Mailbox
from antq_actors.otp.kernel.messages import Call, ExitSignal


def a_signal(number=0):
    return ExitSignal(Shutdown(number))


@pytest.mark.rule(68)
@pytest.mark.deviation(7)
@given(st.lists(st.tuples(st.booleans(), st.integers())))
def test_signals_come_first_and_each_lane_keeps_its_order(sent):
    box = Mailbox()
    for is_signal, number in sent:
        if is_signal:
            box.signal(a_signal(number))
        else:
            box.deliver(Envelope(number))
    assert len(box) == len(sent)

    taken = [box.get() for _ in sent]

    signals = [each.reason.detail for each in taken if isinstance(each, ExitSignal)]
    messages = [each.message for each in taken[len(signals) :]]
    assert signals == [number for is_signal, number in sent if is_signal]
    assert messages == [number for is_signal, number in sent if not is_signal]
    assert box.empty()


def test_get_waits_for_a_message():
    box = Mailbox()
    waiting = InThread(box.get)
    eventually(lambda: box.asleep)

    box.put(Envelope("hello"))

    assert waiting.result().message == "hello"


def test_get_answers_none_when_its_time_is_over_or_the_mailbox_is_closed():
    box = Mailbox()
    assert box.get(0.001) is None

    waiting = InThread(box.get)
    eventually(lambda: box.asleep)
    box.close()

    assert waiting.result() is None
    assert box.get() is None


def test_a_wait_that_is_nearly_over_loses_no_message():
    box = Mailbox()
    total = 300

    def take_all():
        taken = []
        while len(taken) < total:
            envelope = box.get(0.0001)
            if envelope is not None:
                taken.append(envelope.message)
        return taken

    taking = InThread(take_all)
    for number in range(total):
        if number % 3 == 0:
            eventually(lambda: box.empty() and box.asleep)
        box.deliver(Envelope(number))

    assert taking.result() == list(range(total))


def test_a_closed_mailbox_lets_nothing_in():
    box = Mailbox()
    future = pykka.ThreadingFuture()
    box.close()

    assert not box.deliver(Envelope("message"))
    assert not box.signal(a_signal())
    box.put(Envelope("question", reply_to=future))

    with pytest.raises(pykka.ActorDeadError):
        future.get(timeout=LONGEST)
    with pytest.raises(pykka.ActorDeadError):
        box.put(Envelope("message"))
    assert box.empty()


def test_close_hands_over_what_waits_what_is_handled_and_what_is_open():
    box = Mailbox()
    calls = [Call("handled"), Call("waits")]
    asks = [Envelope(each, reply_to=pykka.ThreadingFuture()) for each in ("open", "handled")]
    for envelope in (Envelope(calls[0]), asks[0], asks[1], Envelope(calls[1])):
        box.deliver(envelope)
    box.get()
    box.get()
    box.keep_ask_open(asks[0])
    box.get()

    unanswered = box.close()

    assert set(unanswered) >= set(asks)
    assert [each for each in unanswered if each not in asks] == [calls[1], calls[0]]
    assert not box.was_idle


def test_an_ask_that_is_kept_open_while_it_is_handled_is_handed_over_once():
    box = Mailbox()
    envelope = Envelope("question", reply_to=pykka.ThreadingFuture())
    box.deliver(envelope)
    box.get()
    box.keep_ask_open(envelope)

    assert box.close() == [envelope]


def test_close_knows_whether_the_actor_was_idle():
    box = Mailbox()
    waiting = InThread(box.get)
    eventually(lambda: box.asleep)

    box.close()
    waiting.result()
    assert box.was_idle

    busy = Mailbox()
    busy.close()
    assert not busy.was_idle


# ---- drain: Δ7 ----------------------------------------------------------------------------------
# Δ7: the order to stop overtakes the messages that wait, unless the child's spec says drain.


@pytest.mark.rule(44)
@pytest.mark.deviation(7)
@pytest.mark.parametrize("drain", [False, True])
def test_a_child_that_drains_handles_what_it_has_before_it_stops(drain, notes, gate):
    sup = Supervisor.start([Probe.child_spec(notes, drain=drain)])
    child = Supervisor.which_children(sup)[0].ref
    gate.hold(child)
    for number in range(3):
        cast(child, number)

    stopper = InThread(stop, sup, Shutdown(), 30)
    # It has its order: in the first lane, or behind the three.
    eventually(lambda: len(child.cell.mailbox) == 4)
    gate.open()
    stopper.result()

    drained = [0, 1, 2] if drain else []
    assert notes.take(len(drained) + 1) == [*drained, ("terminate", Shutdown())]
    assert notes.is_empty()


def test_a_child_that_does_not_get_through_is_killed_after_its_time():
    gate = Gate()
    notes = Notes()
    sup = DynamicSupervisor.start()
    child = DynamicSupervisor.start_child(sup, Probe.child_spec(notes, drain=True, shutdown=0.05))
    gate.hold(child)
    cast(child, "never handled")

    stop(sup, Shutdown(), 30)
    gate.open()

    assert notes.is_empty()


@pytest.mark.parametrize("value", [1, None, "yes"])
def test_drain_is_true_or_false(value):
    with pytest.raises(TypeError, match="drain of child 'a'"):
        ChildSpec("a", print, drain=value)


def test_drain_and_brutal_kill_contradict_each_other():
    with pytest.raises(ValueError, match="drain of child 'a' must be False"):
        ChildSpec("a", print, drain=True, shutdown=BRUTAL_KILL)
