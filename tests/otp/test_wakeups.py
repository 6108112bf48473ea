"""Many sleeping actors are woken a few at a time, and none of them waits for another's work."""

import threading

import pytest
from probe import LONGEST, InThread
from pykka._envelope import Envelope
from supervised import Child, eventually, kill

from antq_actors.otp import BRUTAL_KILL, DynamicSupervisor, Killed, Shutdown, cast, monitor, stop
from antq_actors.otp.kernel.mailbox import Mailbox
from antq_actors.otp.kernel.messages import ExitSignal
from antq_actors.otp.kernel.stopping import AT_ONCE, wake_in_turn

SIGNAL = ExitSignal(Shutdown())
MANY = 4 * AT_ONCE


def a_sleeper():
    """Return a mailbox in whose ``get`` a thread waits, and that thread."""
    box = Mailbox()
    getting = InThread(box.get)
    eventually(lambda: box.asleep)
    return box, getting


def a_box_that_looks_asleep():
    """Return a mailbox whose thread, once woken, does not get the interpreter."""
    box = Mailbox()
    box._wake = threading.Lock()
    box._wake.acquire()
    box.sleeping = True
    return box


def test_without_wake_a_signal_or_a_message_lets_its_receiver_sleep():
    box, getting = a_sleeper()

    box.signal(SIGNAL, wake=False)
    box.deliver(Envelope("message"), wake=False)
    assert box.asleep
    assert box.wake()

    assert getting.result() is SIGNAL
    assert box.get().message == "message"


def test_a_sleeper_calls_then_once_and_before_it_takes_anything():
    box, getting = a_sleeper()
    box.signal(SIGNAL, wake=False)
    waiting = []

    box.wake(lambda: waiting.append(len(box)))

    assert getting.result() is SIGNAL
    box.deliver(Envelope("next"))
    assert box.get().message == "next"
    assert waiting == [1]


@pytest.mark.parametrize("prepare", [lambda box: None, Mailbox.close], ids=["awake", "closed"])
def test_who_does_not_sleep_is_not_woken_and_calls_nothing(prepare):
    box = Mailbox()
    prepare(box)

    assert not box.wake(lambda: pytest.fail("called"))
    assert box.get(0) is None


def test_not_more_than_a_few_are_woken_before_one_of_them_has_the_interpreter():
    boxes = [a_box_that_looks_asleep() for _ in range(MANY)]

    wake_in_turn(boxes)
    assert [box.asleep for box in boxes] == [False] * AT_ONCE + [True] * (MANY - AT_ONCE)
    boxes[0]._then()

    assert [box.asleep for box in boxes].count(True) == MANY - AT_ONCE - 1


@pytest.mark.parametrize("number", [0, 1, AT_ONCE, AT_ONCE + 1, MANY])
def test_all_sleepers_are_woken_also_past_those_that_do_not_sleep(number):
    sleepers = [a_sleeper() for _ in range(number)]
    boxes = [box for box, _ in sleepers]
    for box in boxes:
        box.signal(SIGNAL, wake=False)

    wake_in_turn(
        [box for pair in zip((Mailbox() for _ in boxes), boxes, strict=True) for box in pair]
    )

    assert [getting.result() for _, getting in sleepers] == [SIGNAL] * number


class Meeting(Child):
    """Ends when all that come to the meeting are ending."""

    def __init__(self, child_id, log, everyone):
        super().__init__(child_id, log)
        self.everyone = everyone

    def handle_cast(self, request):
        self.log.add(request, self.child_id)

    def terminate(self, reason):
        self.everyone.wait(LONGEST)
        super().terminate(reason)


@pytest.mark.rule(42)
@pytest.mark.parametrize("drain", [False, True])
def test_many_children_are_all_told_to_end_while_the_first_of_them_still_ends(log, drain):
    everyone = threading.Barrier(MANY)
    sup = DynamicSupervisor.start()
    for i in range(MANY):
        DynamicSupervisor.start_child(sup, Meeting.child_spec(i, log, everyone, drain=drain))
    log.take(MANY)

    stop(sup)

    assert [entry[::2] for entry in log.take(MANY)] == [("down", Shutdown())] * MANY


@pytest.mark.rule(40)
def test_many_children_that_drain_handle_what_they_have_before_they_end(log):
    everyone = threading.Barrier(MANY)
    sup = DynamicSupervisor.start()
    spec = [Meeting.child_spec(i, log, everyone, drain=True) for i in range(MANY)]
    children = DynamicSupervisor.start_children(sup, spec)
    log.take(MANY)
    for child in children:
        cast(child, "handled")

    stop(sup)

    assert {entry[0] for entry in log.take(MANY)} == {"handled"}
    assert {entry[0] for entry in log.take(MANY)} == {"down"}


@pytest.mark.rule(48, 49)
def test_many_children_of_a_killed_supervisor_end_while_the_first_of_them_still_ends(log):
    everyone = threading.Barrier(MANY)
    sup = DynamicSupervisor.start()
    for i in range(MANY):
        DynamicSupervisor.start_child(sup, Meeting.child_spec(i, log, everyone))
    log.take(MANY)

    kill(sup)

    assert [entry[::2] for entry in log.take(MANY)] == [("down", Killed())] * MANY


@pytest.mark.rule(40)
def test_many_children_are_killed_without_a_word(log):
    sup = DynamicSupervisor.start()
    spec = Meeting.child_spec("x", log, threading.Barrier(MANY), shutdown=BRUTAL_KILL)
    downs = [monitor(DynamicSupervisor.start_child(sup, spec)) for _ in range(MANY)]
    log.take(MANY)

    stop(sup)

    assert {down.wait(LONGEST).reason for down in downs} == {Killed()}
    assert log.is_empty()
