"""Interruption: it hits the stretch it is meant for, and nothing after it."""

import itertools
import threading

import pytest
from probe import LONGEST, InThread, Probe, raising
from supervised import DONE, eventually, kill
from support.programs import run_python

from antq_actors.otp import (
    CallExit,
    Continue,
    Crash,
    Killed,
    NoProc,
    Shutdown,
    StartError,
    call,
    exit,  # noqa: A004 - OTP's name
    monitor,
    orphans,
    send_after,
    whereis,
)
from antq_actors.otp.kernel.errors import Interrupt
from antq_actors.otp.kernel.stopping import Interruptible


def never():
    return False


def spin_forever():
    for _ in itertools.count():
        pass


# ---- the stretch itself -----------------------------------------------------------------------


def test_a_stretch_answers_what_its_function_does_and_raises_what_it_raises():
    stretch = Interruptible()

    assert stretch.run(never, lambda a, b: (a, b), 1, b=2) == (1, 2)
    with pytest.raises(KeyError):
        stretch.run(never, raising(KeyError()))
    assert stretch.run(never, lambda: "again") == "again"


def test_without_a_stretch_there_is_nothing_to_interrupt():
    stretch = Interruptible()

    assert not stretch.interrupt()
    stretch.run(never, lambda: None)
    assert not stretch.interrupt()


def test_one_who_is_ending_does_not_begin():
    ran = []

    with pytest.raises(Interrupt):
        Interruptible().run(lambda: True, ran.append, 1)

    assert ran == []


def test_an_interrupt_ends_a_stretch_and_comes_only_once():
    stretch = Interruptible()
    begun = threading.Event()

    def spin():
        begun.set()
        try:
            spin_forever()
        except Interrupt:
            assert not stretch.interrupt()
            raise

    spinning = InThread(stretch.run, never, spin)
    assert begun.wait(LONGEST)

    assert stretch.interrupt()

    with pytest.raises(Interrupt):
        spinning.result()


def test_an_interrupt_that_races_the_end_of_its_stretch_never_gets_out():
    # Whatever happens, it happens inside run(): the code after it, in the same thread, is another
    # actor's, and here it does enough for a late interrupt to hit it.
    for turn in range(3000):
        stretch = Interruptible()
        begun = threading.Event()

        def work(length=turn % 50, begun=begun):
            begun.set()
            for _ in range(length):
                pass
            return "done"

        def live(stretch=stretch, work=work):
            try:
                outcome = stretch.run(never, work)
            except Interrupt:
                outcome = "interrupted"
            after = 0
            for step in range(100):
                after += step
            return outcome, after

        living = InThread(live)
        begun.wait(LONGEST)
        hit = stretch.interrupt()

        outcome, after = living.result()
        assert after == 4950
        assert outcome == "done" or hit


# ---- in actors --------------------------------------------------------------------------------


def test_an_exit_signal_interrupts_the_stretch_and_ends_with_its_reason(start, notes, gate):
    def work(me):
        me.interruptible(lambda: (gate(), spin_forever()))
        notes.add("went on")

    ref = start(notes)
    down = monitor(ref)
    ref.tell(work)
    gate.wait_entered()

    exit(ref, DONE)
    gate.open()

    assert down.wait(LONGEST).reason == DONE
    assert notes.take(1) == [("terminate", DONE)]


def test_a_kill_interrupts_the_stretch_so_that_no_orphan_stays(start, gate):
    ref = start()
    ref.tell(lambda me: me.interruptible(lambda: (gate(), spin_forever())))
    gate.wait_entered()
    down = monitor(ref)

    kill(ref)
    assert down.wait(LONGEST).reason == Killed()
    gate.open()

    eventually(lambda: not orphans())


@pytest.mark.deviation(2)
def test_code_outside_of_a_stretch_is_never_interrupted(start, notes, gate):
    def work(me):
        me.interruptible(lambda: None)
        gate()
        notes.add("went on")

    ref = start(notes)
    ref.tell(work)
    gate.wait_entered()

    exit(ref, DONE)
    gate.open()

    assert notes.take(2) == ["went on", ("terminate", DONE)]


def spinning(gate):
    """A function of an actor that enters *gate* in an interruptible stretch, and then spins."""
    return lambda me: me.interruptible(lambda: (gate(), spin_forever()))


@pytest.mark.parametrize("how", ["call", "ask", "timer", "continue"])
def test_an_interrupted_handler_of_any_kind_ends_with_the_reason_of_the_signal(
    start, notes, gate, how
):
    if how == "continue":
        ref = start(notes, init=lambda _me: Continue(spinning(gate)))
    else:
        ref = start(notes)
    waiting = None
    if how == "call":
        waiting = InThread(call, ref, spinning(gate), None)
    elif how == "ask":
        waiting = InThread(ref.ask, spinning(gate))
    elif how == "timer":
        send_after(ref, spinning(gate), 0)
    gate.wait_entered()

    exit(ref, DONE)
    gate.open()

    assert notes.take(1) == [("terminate", DONE)]
    if waiting is not None:
        with pytest.raises(Exception) as error:  # noqa: PT011 - CallExit or ActorDeadError
            waiting.result()
        assert "Interrupt" not in repr(error.value)


def test_an_interrupted_init_fails_with_the_reason_of_the_signal(start, gate):
    starting = InThread(start, init=spinning(gate), name="begins")
    gate.wait_entered()

    exit("begins", DONE)
    gate.open()

    with pytest.raises(StartError) as failed:
        starting.result()
    assert failed.value.reason == DONE


def test_an_interrupted_terminate_keeps_the_reason(start, gate):
    ref = start(at_end=spinning(gate))
    down = monitor(ref)
    exit(ref, DONE)
    gate.wait_entered()

    exit(ref, Shutdown("hurry"))
    gate.open()

    assert down.wait(LONGEST).reason == DONE


def test_an_interrupt_that_someone_throws_by_hand_does_no_harm(start):
    ref = start()

    ref.tell(raising(Interrupt()))

    assert call(ref, lambda _me: "lives") == "lives"


def test_kills_that_race_the_end_of_a_stretch_leave_the_next_actor_of_the_thread_alone(start):
    # The same few threads take one actor after the other; an Interrupt that escaped would hit the
    # next one and be its crash.
    for turn in range(400):
        begun = threading.Event()

        def work(me, begun=begun, length=turn % 40):
            me.interruptible(lambda: (begun.set(), sum(range(length))))

        ref = Probe.start()
        ref.tell(work)
        begun.wait(LONGEST)
        kill(ref)

        following = Probe.start()
        assert call(following, lambda _me: sum(range(500)), LONGEST) == 124750
        down = monitor(following)
        exit(following, DONE)
        assert down.wait(LONGEST).reason == DONE
    assert monitor(ref).wait(LONGEST).reason == NoProc()


def test_one_that_swallows_its_interrupt_is_left_to_a_kill(start, gate, notes):
    def stubborn(me):
        try:
            me.interruptible(spin_forever)
        except BaseException:  # noqa: BLE001 - as careless code does
            notes.add("swallowed")
        gate()

    ref = start(notes)
    ref.tell(stubborn)
    eventually(lambda: ref.cell.interruptible._threads)
    exit(ref, DONE)
    gate.wait_entered()

    kill(ref)

    assert [thread.name for thread in orphans()] == [str(ref)]
    assert notes.take(1) == ["swallowed"]
    gate.open()
    eventually(lambda: not orphans())


def test_a_crash_within_a_stretch_is_a_crash(start):
    ref = start()
    error = ValueError("boom")

    with pytest.raises(CallExit) as ended:
        call(ref, lambda me: me.interruptible(raising(error)))

    assert ended.value.reason == Crash(error)
    assert whereis("begins") is None


AFTER_AN_INTERRUPT = """
import sys, threading
from antq_actors.otp.kernel.errors import Interrupt
from antq_actors.otp.kernel.stopping import Interruptible

class FromTrace(Exception):
    pass

def trace(frame, event, arg):
    if frame.f_code.co_name == "traced" and event == "line":
        raise FromTrace
    return trace

def traced():
    try:
        return len("")
    except KeyError:
        raise

stretch = Interruptible()
try:
    stretch.run(lambda: False, lambda: (stretch.interrupt(), [None for _ in range(1000)]))
except Interrupt:
    print("interrupted")
sys.settrace(trace)
try:
    traced()
except FromTrace:
    sys.settrace(None)
    print("traced")
"""


def test_an_interrupt_leaves_nothing_behind_in_the_interpreter():
    # On CPython 3.11 it did, and a trace function that raised was called for ever.
    done = run_python("-c", AFTER_AN_INTERRUPT, timeout=30, check=True)

    assert done.stdout.splitlines() == ["interrupted", "traced"]
