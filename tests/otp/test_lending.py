"""A turn of a sleeping actor in another thread: still one at a time, in order, with one end."""

import subprocess
import sys
import threading
from operator import attrgetter

import pytest
from probe import LONGEST, InThread, Probe, answering, raising
from pykka._envelope import Envelope
from supervised import eventually, raise_anew

from antq_actors.otp import (
    NOREPLY,
    CallCycle,
    CallExit,
    CallTimeout,
    Crash,
    Killed,
    Normal,
    Shutdown,
    Stop,
    call,
    monitor,
    reply,
    trace,
)
from antq_actors.otp.kernel.errors import Interrupt
from antq_actors.otp.kernel.mailbox import Turn
from antq_actors.otp.kernel.messages import Call
from antq_actors.otp.messaging import inline, links


class Lender(Probe):
    """A Probe that lends its place, unless *willing* says no."""

    lends_its_place = True
    willing = True

    def lends(self):
        return self.willing


def the_thread(_me):
    return threading.current_thread()


def own_thread(ref):
    return ref.process.thread


@pytest.fixture
def lender(start, notes):
    ref = start(notes, of=Lender)
    eventually(lambda: ref.process.mailbox.asleep)
    return ref


def asleep(ref):
    eventually(lambda: ref.process.mailbox.asleep)


# ---- calls ----------------------------------------------------------------------------------


def test_a_turn_is_run_by_the_thread_that_calls_while_the_actor_sleeps(lender):
    def call_it():
        return inline.call(lender, the_thread), threading.current_thread()

    who, caller = InThread(call_it).result()

    assert who is caller
    assert inline.call(lender, attrgetter("ref")) is lender


def a_program(code):
    """Run a program of its own: here, the test runner's handlers are at work."""
    lines = [
        "import signal, threading",
        "from antq_actors.otp import GenServer",
        "from antq_actors.otp.messaging import inline",
        "class Lender(GenServer):",
        "    lends_its_place = True",
        "    def handle_call(self, request): return threading.current_thread()",
        "ref = Lender.start()",
        "def ran_here():",
        "    while not ref.process.mailbox.asleep: pass",
        "    return inline.call(ref, None) is threading.current_thread()",
        *code,
    ]
    return subprocess.run(  # noqa: S603 - its own code
        [sys.executable, "-c", "\n".join(lines)],
        check=False,
        capture_output=True,
        text=True,
        timeout=LONGEST,
    )


def test_the_main_thread_runs_a_turn_itself_while_only_ctrl_c_can_come_between():
    done = a_program(["print(ran_here())"])

    assert (done.stdout, done.stderr) == ("True\n", "")


def test_the_main_thread_runs_no_turn_while_a_handler_of_a_signal_may_come_between():
    done = a_program(
        [
            "signal.signal(signal.SIGUSR1, lambda *_: None)",
            "print(ran_here())",
            "signal.signal(signal.SIGUSR1, signal.SIG_IGN)",
            "print(ran_here())",
        ]
    )

    assert (done.stdout, done.stderr) == ("False\nTrue\n", "")


def test_an_actor_that_does_not_lend_runs_its_turn_itself(start, notes):
    ref = start(notes)
    asleep(ref)

    assert inline.call(ref, the_thread) is own_thread(ref)


def test_so_does_one_that_does_not_want_to_now(lender):
    call(lender, lambda me: setattr(me, "willing", False))
    asleep(lender)

    assert inline.call(lender, the_thread) is own_thread(lender)


def test_so_does_one_that_is_looked_at(lender, notes):
    with trace(lender, notes.add):
        assert inline.call(lender, the_thread) is own_thread(lender)


def test_so_does_one_that_waits_for_its_idle_timeout(start, notes):
    ref = start(notes, of=Lender, init=lambda me: setattr(me, "idle_timeout", 3600.0))
    asleep(ref)

    assert inline.call(ref, the_thread) is own_thread(ref)


def test_a_turn_speaks_for_its_actor_and_the_thread_for_itself_afterwards(start, lender):
    def whom(_me):
        return inline.call(lender, lambda me: me.ref is lender and monitor(asker)._owner)

    asker = start(of=Probe)

    assert call(asker, whom) is lender.process
    assert call(asker, lambda me: monitor(lender)._owner is me.ref.process)


def test_whoever_calls_in_the_meantime_is_answered_by_the_own_thread(lender, gate):
    borrowing = InThread(inline.call, lender, lambda _me: gate())
    gate.wait_entered()
    others = [InThread(inline.call, lender, the_thread) for _ in range(2)]
    eventually(lambda: len(lender.process.mailbox) == 2)

    gate.open()

    assert [other.result() for other in others] == [own_thread(lender)] * 2
    borrowing.result()


@pytest.mark.parametrize("error", [KeyboardInterrupt, Interrupt])
def test_a_turn_that_is_cut_short_has_taken_nothing_from_others(lender, gate, error):
    def be_cut_short(me):
        gate()
        assert me.take_requests(2) == []
        raise_anew(error)

    borrowing = InThread(inline.call, lender, be_cut_short)
    gate.wait_entered()
    others = []
    for number in range(3):
        others.append(InThread(inline.call, lender, lambda me, n=number: (n, the_thread(me))))
        eventually(lambda n=number: len(lender.process.mailbox) == n + 1)
    gate.open()

    with pytest.raises(error):
        borrowing.result()
    assert [other.result() for other in others] == [(n, own_thread(lender)) for n in range(3)]
    assert not lender.process.mailbox.calls


def test_a_thread_that_left_its_turn_without_a_word_keeps_nobody_from_the_actor(lender):
    mailbox = lender.process.mailbox

    def leave_without_a_word():
        turn = Turn(leave_without_a_word.__code__, takes_messages=False)
        assert mailbox.begin(turn, Call("left"))

    InThread(leave_without_a_word).result()

    assert mailbox.turn is not None
    assert InThread(inline.call, lender, answering("alive")).result() == "alive"
    eventually(lambda: mailbox.turn is None)


def test_a_thread_that_is_at_its_turn_is_waited_for_however_long_it_takes(lender, gate):
    borrowing = InThread(inline.call, lender, lambda _me: gate())
    gate.wait_entered()
    turn = lender.process.mailbox.turn
    with pytest.raises(CallTimeout):
        call(lender, answering("never"), timeout=0.2)

    assert lender.process.mailbox.turn is turn
    gate.open()
    borrowing.result()


class Reentrant(Lender):
    """May be called in the middle of its own turns."""

    is_reentrant = True


def test_a_reentrant_actor_answers_a_call_out_of_its_own_turn(start, notes):
    ref = start(notes, of=Reentrant)
    asleep(ref)

    def outer(me):
        before = me.from_
        inner = inline.call(ref, answering("inner"))
        return inner, me.from_ is before

    assert InThread(inline.call, ref, outer).result() == ("inner", True)
    assert call(ref, outer) == ("inner", True)
    assert call(ref, answering("alive")) == "alive"


def test_a_late_answer_is_waited_for_as_long_as_the_caller_says(lender):
    owed = []

    def owe(me):
        owed.append(me.from_)
        return NOREPLY

    with pytest.raises(CallTimeout):
        inline.call(lender, owe, timeout=0.01)
    waiting = InThread(inline.call, lender, owe, LONGEST)
    eventually(lambda: len(owed) == 2)
    call(lender, lambda _me: reply(owed[1], "late"))

    assert waiting.result() == "late"


def test_nobody_has_it_is_what_a_caller_hears_of_a_name_that_nobody_has():
    with pytest.raises(CallExit, match="no actor is registered"):
        inline.call("nobody", the_thread)


def test_an_actor_that_calls_itself_hears_of_the_cycle(lender):
    def self_call(_me):
        try:
            inline.call(lender, the_thread)
        except CallCycle as error:
            return error

    assert isinstance(call(lender, self_call), CallCycle)


def test_no_two_turns_are_run_at_once_and_none_is_lost(lender):
    counted = []

    def count(_me):
        before = len(counted)
        counted.append(before)
        return before

    def many():
        return [inline.call(lender, count, LONGEST) for _ in range(200)]

    threads = [InThread(many) for _ in range(8)]
    answers = [answer for thread in threads for answer in thread.result()]

    assert sorted(answers) == counted == list(range(1600))


# ---- ends -----------------------------------------------------------------------------------


def test_what_a_turn_raises_ends_the_actor_and_the_caller_hears_of_it(lender, notes):
    error = ValueError("broken")
    watch = monitor(lender)

    with pytest.raises(CallExit) as caught:
        inline.call(lender, raising(error))

    assert caught.value.reason == watch.wait(LONGEST).reason == Crash(error)
    assert notes.take(1) == [("terminate", Crash(error))]


def test_a_turn_may_stop_its_actor(lender):
    watch = monitor(lender)

    with pytest.raises(CallExit):
        inline.call(lender, raising(Stop(Shutdown("enough"))))

    assert watch.wait(LONGEST).reason == Shutdown("enough")


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, Interrupt])
def test_what_is_raised_in_the_foreign_thread_alone_harms_that_thread_alone(lender, error):
    with pytest.raises(error):
        InThread(inline.call, lender, raising(error())).result()

    assert inline.call(lender, answering("alive")) == "alive"
    assert call(lender, the_thread) is own_thread(lender)
    assert not lender.process.mailbox.calls


def test_an_exit_signal_waits_for_the_end_of_the_turn_and_then_overtakes_what_waits(
    lender, gate, notes
):
    borrowing = InThread(inline.call, lender, lambda _me: (gate(), "done")[1])
    gate.wait_entered()
    lender.tell("never handled")
    links.exit(lender, Shutdown())
    assert lender.is_alive()

    gate.open()

    assert borrowing.result() == "done"
    assert notes.take(1) == [("terminate", Shutdown())]


def test_a_kill_meanwhile_is_what_the_caller_hears_and_its_thread_goes_on(lender, gate):
    borrowing = InThread(inline.call, lender, lambda _me: gate())
    gate.wait_entered()
    links.exit(lender, Killed())
    assert not lender.is_alive()

    gate.open()

    with pytest.raises(CallExit) as caught:
        borrowing.result()
    assert caught.value.reason == Killed()


def test_what_a_turn_of_a_killed_actor_still_sends_reaches_nobody(lender, start, notes, gate):
    other = start(notes)

    def send(_me):
        gate()
        other.tell("from the dead")

    borrowing = InThread(inline.call, lender, send)
    gate.wait_entered()
    links.exit(lender, Killed())
    gate.open()

    with pytest.raises(CallExit):
        borrowing.result()
    other.tell("first")
    assert notes.take(1) == ["first"]


# ---- requests -------------------------------------------------------------------------------


def test_a_request_is_answered_at_once_by_one_that_sleeps(start, lender):
    asker = start(of=Probe)

    response = call(asker, lambda _me: inline.request(lender, answering(7), tag="t"))

    assert (response.tag, response.value, response.error) == ("t", 7, None)


def test_a_request_to_one_that_is_busy_is_answered_by_a_message(start, notes, gate):
    busy, asker = start(of=Lender), start(notes)
    borrowing = InThread(inline.call, busy, lambda _me: gate())
    gate.wait_entered()

    assert call(asker, lambda _me: inline.request(busy, answering(7), tag="t")) is None
    gate.open()

    borrowing.result()
    [response] = notes.take(1)
    assert (response.tag, response.value) == ("t", 7)


def test_a_request_to_one_that_has_ended_is_answered_by_a_message(start, notes, lender):
    links.exit(lender, Killed())
    asker = start(notes)

    assert call(asker, lambda _me: inline.request(lender, answering(7), tag="t")) is None

    [response] = notes.take(1)
    assert isinstance(response.error, CallExit)


# ---- what waits -----------------------------------------------------------------------------


def let_wait(ref, *messages):
    for message in messages:
        assert ref.process.mailbox.deliver(Envelope(message), wake=False)


def test_what_waits_is_handled_in_order_in_the_thread_that_offers_it(lender, notes):
    def note(_me):
        notes.add(threading.current_thread())

    let_wait(lender, "first", note, "last")

    inline.run_what_waits(lender.process)

    assert notes.take(3) == ["first", threading.current_thread(), "last"]


def test_one_that_does_not_lend_is_woken_for_what_waits(start, notes):
    ref = start(notes)
    asleep(ref)
    let_wait(ref, "message")

    inline.run_what_waits(ref.process)

    assert notes.take(1) == ["message"]


def test_what_fails_there_ends_the_actor_and_not_the_thread(lender, notes):
    watch = monitor(lender)
    error = ValueError("broken")
    let_wait(lender, raising(error), "never handled")

    inline.run_what_waits(lender.process)

    assert watch.wait(LONGEST).reason == Crash(error)
    assert notes.take(1) == [("terminate", Crash(error))]


def test_a_stop_among_what_waits_ends_the_actor(lender, notes):
    watch = monitor(lender)
    let_wait(lender, "first", raising(Stop(Normal())))

    inline.run_what_waits(lender.process)

    assert watch.wait(LONGEST).reason == Normal()
    assert notes.take(2) == ["first", ("terminate", Normal())]


def test_nothing_that_waits_is_nothing_to_do(lender):
    inline.run_what_waits(lender.process)

    assert lender.process.mailbox.asleep


# ---- many at once ---------------------------------------------------------------------------


class Batching(Probe):
    """Takes what waits together with each request."""

    def handle_call(self, request):
        others = self.take_requests(100)
        for asker in others:
            reply(asker, [1 + len(others)])
        request(self)
        return [1 + len(others)]


def test_requests_that_wait_are_taken_together_and_each_is_answered(start, gate):
    ref = start(of=Batching)
    first = InThread(call, ref, lambda _me: gate(), LONGEST)
    gate.wait_entered()
    askers = [InThread(call, ref, answering(None), LONGEST) for _ in range(3)]
    eventually(lambda: len(ref.process.mailbox) == 3)

    gate.open()

    assert first.result() == [1]
    assert [asker.result() for asker in askers] == [[3]] * 3
    assert not ref.process.mailbox.calls


def test_requests_behind_a_message_wait_for_their_turn(start, notes, gate):
    ref = start(notes, of=Batching)
    first = InThread(call, ref, lambda _me: gate(), LONGEST)
    gate.wait_entered()
    ref.tell("message")
    behind = InThread(call, ref, answering(None), LONGEST)
    eventually(lambda: len(ref.process.mailbox) == 2)

    gate.open()

    assert first.result() == behind.result() == [1]
    assert notes.take(1) == ["message"]


def test_requests_that_were_taken_and_not_answered_hear_of_the_end(start, gate):
    class Taking(Probe):
        def handle_call(self, request):
            self.take_requests(100)
            return request(self)

    ref = start(of=Taking)
    first = InThread(call, ref, lambda _me: gate(), LONGEST)
    gate.wait_entered()
    askers = [
        InThread(call, ref, raising(ValueError("broken")), LONGEST),
        InThread(call, ref, answering(None), LONGEST),
    ]
    eventually(lambda: len(ref.process.mailbox) == 2)
    gate.open()
    first.result()

    for asker in askers:
        with pytest.raises(CallExit):
            asker.result()
