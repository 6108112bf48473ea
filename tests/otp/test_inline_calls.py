"""A turn of a sleeping actor in another thread: still one at a time, in order, with one end."""

import threading
from operator import attrgetter
from types import SimpleNamespace

import pytest
from probe import LONGEST, InThread, Probe, answering, raising
from pykka._envelope import Envelope
from supervised import eventually, raise_anew
from support.programs import run_python

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
    send_request,
    trace,
    tree,
)
from antq_actors.otp.kernel.errors import Interrupt
from antq_actors.otp.kernel.messages import Call, Turn
from antq_actors.otp.messaging import calls, links
from antq_actors.otp.messaging.calls import _MOST_YIELDS, call_or_message, run_pending


class Inline(Probe):
    """A Probe that runs inline, unless *willing* says no."""

    runs_inline = True
    willing = True

    def can_run_inline(self):
        return self.willing


class InlineShort(Inline):
    has_short_turns = True


def the_thread(_me):
    return threading.current_thread()


def own_thread(ref):
    return ref.cell.thread


@pytest.fixture
def inline_ref(start, notes):
    ref = start(notes, of=Inline)
    eventually(lambda: ref.cell.mailbox.asleep)
    return ref


def asleep(ref):
    eventually(lambda: ref.cell.mailbox.asleep)


def call_own_thread(ref, request, timeout=LONGEST):
    """Have the actor answer in its own thread, as a message that waits for it."""
    return send_request(ref, request).wait(timeout)


# ---- calls ----------------------------------------------------------------------------------


def test_a_turn_is_run_by_the_thread_that_calls_while_the_actor_sleeps(inline_ref):
    def call_it():
        return call(inline_ref, the_thread), threading.current_thread()

    who, caller = InThread(call_it).result()

    assert who is caller
    assert call(inline_ref, attrgetter("ref")) is inline_ref


def a_program(code):
    """Run a program of its own: here, the test runner's handlers are at work."""
    lines = [
        "import signal, threading",
        "from antq_actors.otp import GenServer",
        "from antq_actors.otp import call",
        "class Inline(GenServer):",
        "    runs_inline = True",
        "    def handle_call(self, request): return threading.current_thread()",
        "ref = Inline.start()",
        "def ran_here():",
        "    while not ref.cell.mailbox.asleep: pass",
        "    return call(ref, None) is threading.current_thread()",
        *code,
    ]
    return run_python("-c", "\n".join(lines), timeout=LONGEST)


HANDLE = "signal.signal(signal.SIGUSR1, lambda *_: None); print(ran_here())"
IGNORE = "signal.signal(signal.SIGUSR1, signal.SIG_IGN); print(ran_here())"


@pytest.mark.parametrize(
    ("code", "printed"),
    [(["print(ran_here())"], "True\n"), ([HANDLE, IGNORE], "False\nTrue\n")],
    ids=["only Ctrl-C can come between", "a handler of a signal may come between"],
)
def test_the_main_thread_runs_a_turn_itself_unless_a_handler_may_come_between(code, printed):
    done = a_program(code)

    assert (done.stdout, done.stderr) == (printed, "")


def test_an_actor_that_does_not_run_inline_runs_its_turn_itself(start, notes):
    ref = start(notes)
    asleep(ref)

    assert call(ref, the_thread) is own_thread(ref)


def test_so_does_one_that_does_not_want_to_now(inline_ref):
    call_own_thread(inline_ref, lambda me: setattr(me, "willing", False))
    asleep(inline_ref)

    assert call(inline_ref, the_thread) is own_thread(inline_ref)


def test_so_does_one_that_is_looked_at(inline_ref, notes):
    with trace(inline_ref, notes.add):
        assert call(inline_ref, the_thread) is own_thread(inline_ref)


def test_so_does_one_that_waits_for_its_idle_timeout(start, notes):
    ref = start(notes, of=Inline, init=lambda me: setattr(me, "idle_timeout", 3600.0))
    asleep(ref)

    assert call(ref, the_thread) is own_thread(ref)


def test_a_turn_speaks_for_its_actor_and_the_thread_for_itself_afterwards(start, inline_ref):
    def whom(_me):
        return call(inline_ref, lambda me: me.ref is inline_ref and monitor(asker)._owner)

    asker = start(of=Probe)

    assert call(asker, whom) is inline_ref.cell
    assert call(asker, lambda me: monitor(inline_ref)._owner is me.ref.cell)


def test_whoever_calls_in_the_meantime_is_answered_by_the_own_thread(inline_ref, gate):
    running = InThread(call, inline_ref, lambda _me: gate())
    gate.wait_entered()
    others = [InThread(call, inline_ref, the_thread) for _ in range(2)]
    eventually(lambda: len(inline_ref.cell.mailbox) == 2)

    gate.open()

    assert [other.result() for other in others] == [own_thread(inline_ref)] * 2
    running.result()


@pytest.mark.parametrize("error", [KeyboardInterrupt, Interrupt])
def test_a_turn_that_is_cut_short_has_taken_nothing_from_others(inline_ref, gate, error):
    def be_cut_short(me):
        gate()
        assert me.take_requests(2) == []
        raise_anew(error)

    running = InThread(call, inline_ref, be_cut_short)
    gate.wait_entered()
    others = []
    for number in range(3):
        others.append(InThread(call, inline_ref, lambda me, n=number: (n, the_thread(me))))
        eventually(lambda n=number: len(inline_ref.cell.mailbox) == n + 1)
    gate.open()

    with pytest.raises(error):
        running.result()
    assert [other.result() for other in others] == [(n, own_thread(inline_ref)) for n in range(3)]
    assert not inline_ref.cell.mailbox.calls


def test_a_thread_that_left_its_turn_without_a_word_keeps_nobody_from_the_actor(inline_ref):
    mailbox = inline_ref.cell.mailbox

    def leave_without_a_word():
        turn = Turn(leave_without_a_word.__code__, takes_messages=False)
        assert mailbox.begin_turn(turn, Call("left"))

    InThread(leave_without_a_word).result()

    assert mailbox.turn is not None
    assert InThread(call, inline_ref, answering("alive")).result() == "alive"
    eventually(lambda: mailbox.turn is None)


def test_a_thread_that_is_at_its_turn_is_waited_for_however_long_it_takes(inline_ref, gate):
    running = InThread(call, inline_ref, lambda _me: gate())
    gate.wait_entered()
    turn = inline_ref.cell.mailbox.turn
    with pytest.raises(CallTimeout):
        call_own_thread(inline_ref, answering("never"), timeout=0.2)

    assert inline_ref.cell.mailbox.turn is turn
    gate.open()
    running.result()


class Reentrant(Inline):
    """May be called in the middle of its own turns."""

    is_reentrant = True


def test_a_reentrant_actor_answers_a_call_out_of_its_own_turn(start, notes):
    ref = start(notes, of=Reentrant)
    asleep(ref)

    def outer(me):
        before = me.from_
        inner = call(ref, answering("inner"))
        return inner, me.from_ is before

    assert InThread(call, ref, outer).result() == ("inner", True)
    assert call_own_thread(ref, outer) == ("inner", True)
    assert call_own_thread(ref, answering("alive")) == "alive"


def test_a_late_answer_is_waited_for_as_long_as_the_caller_says(inline_ref):
    owed = []

    def owe(me):
        owed.append(me.from_)
        return NOREPLY

    with pytest.raises(CallTimeout):
        call(inline_ref, owe, timeout=0.01)
    waiting = InThread(call, inline_ref, owe, LONGEST)
    eventually(lambda: len(owed) == 2)
    call_own_thread(inline_ref, lambda _me: reply(owed[1], "late"))

    assert waiting.result() == "late"


def test_nobody_has_it_is_what_a_caller_hears_of_a_name_that_nobody_has():
    with pytest.raises(CallExit, match="no actor is registered"):
        call("nobody", the_thread)


def test_an_actor_that_calls_itself_hears_of_the_cycle(inline_ref):
    def self_call(_me):
        try:
            call(inline_ref, the_thread)
        except CallCycle as error:
            return error

    assert isinstance(call_own_thread(inline_ref, self_call), CallCycle)


def test_no_two_turns_are_run_at_once_and_none_is_lost(inline_ref):
    counted = []

    def count(_me):
        before = len(counted)
        counted.append(before)
        return before

    def many():
        return [call(inline_ref, count, LONGEST) for _ in range(200)]

    threads = [InThread(many) for _ in range(8)]
    answers = [answer for thread in threads for answer in thread.result()]

    assert sorted(answers) == counted == list(range(1600))


# ---- ends -----------------------------------------------------------------------------------


def test_what_a_turn_raises_ends_the_actor_and_the_caller_hears_of_it(inline_ref, notes):
    error = ValueError("broken")
    watch = monitor(inline_ref)

    with pytest.raises(CallExit) as caught:
        call(inline_ref, raising(error))

    assert caught.value.reason == watch.wait(LONGEST).reason == Crash(error)
    assert notes.take(1) == [("terminate", Crash(error))]


def test_a_turn_may_stop_its_actor(inline_ref):
    watch = monitor(inline_ref)

    with pytest.raises(CallExit):
        call(inline_ref, raising(Stop(Shutdown("enough"))))

    assert watch.wait(LONGEST).reason == Shutdown("enough")


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, Interrupt])
def test_what_is_raised_in_the_foreign_thread_alone_harms_that_thread_alone(inline_ref, error):
    with pytest.raises(error):
        InThread(call, inline_ref, raising(error())).result()

    assert call(inline_ref, answering("alive")) == "alive"
    assert call_own_thread(inline_ref, the_thread) is own_thread(inline_ref)
    assert not inline_ref.cell.mailbox.calls


def test_an_exit_signal_waits_for_the_end_of_the_turn_and_then_overtakes_what_waits(
    inline_ref, gate, notes
):
    running = InThread(call, inline_ref, lambda _me: (gate(), "done")[1])
    gate.wait_entered()
    inline_ref.tell("never handled")
    links.exit(inline_ref, Shutdown())
    assert inline_ref.is_alive()

    gate.open()

    assert running.result() == "done"
    assert notes.take(1) == [("terminate", Shutdown())]


def test_a_kill_meanwhile_is_what_the_caller_hears_and_its_thread_goes_on(inline_ref, gate):
    running = InThread(call, inline_ref, lambda _me: gate())
    gate.wait_entered()
    links.exit(inline_ref, Killed())
    assert not inline_ref.is_alive()

    gate.open()

    with pytest.raises(CallExit) as caught:
        running.result()
    assert caught.value.reason == Killed()


def test_what_a_turn_of_a_killed_actor_still_sends_reaches_nobody(inline_ref, start, notes, gate):
    other = start(notes)

    def send(_me):
        gate()
        other.tell("from the dead")

    running = InThread(call, inline_ref, send)
    gate.wait_entered()
    links.exit(inline_ref, Killed())
    gate.open()

    with pytest.raises(CallExit):
        running.result()
    other.tell("first")
    assert notes.take(1) == ["first"]


def test_the_tree_shows_the_request_whose_turn_runs_inline(inline_ref, gate):
    def wait(_me):
        gate()

    running = InThread(call, inline_ref, wait, None)
    gate.wait_entered()

    handling = tree(inline_ref).handling

    assert (handling.callback, handling.message) == ("handle_call", wait)
    gate.open()
    running.result()
    assert tree(inline_ref).handling is None


# ---- requests -------------------------------------------------------------------------------


def test_a_request_is_answered_at_once_by_one_that_sleeps(start, inline_ref):
    asker = start(of=Probe)

    answered = call(asker, lambda _me: call_or_message(inline_ref, answering(7), tag="t"))

    assert (answered.is_settled, answered.value, answered.error) == (True, 7, None)


def test_a_request_to_one_that_is_busy_is_answered_by_a_message(start, notes, gate):
    busy, asker = start(of=Inline), start(notes)
    running = InThread(call, busy, lambda _me: gate())
    gate.wait_entered()

    assert call(asker, lambda _me: call_or_message(busy, answering(7), tag="t")) is None
    gate.open()

    running.result()
    [response] = notes.take(1)
    assert (response.tag, response.value) == ("t", 7)


@pytest.mark.parametrize("yields", [1, _MOST_YIELDS])
def test_a_request_lets_a_turn_that_ends_soon_end(start, gate, monkeypatch, yields):
    busy, asker = start(of=InlineShort), start(of=Probe)
    running = InThread(call, busy, lambda _me: gate())
    gate.wait_entered()
    left = list(range(yields))

    def give_up_the_interpreter(seconds):
        assert seconds == 0
        left.pop()
        if not left:
            gate.open()
            running.result()

    monkeypatch.setattr(calls, "time", SimpleNamespace(sleep=give_up_the_interpreter))
    answered = call(asker, lambda _me: call_or_message(busy, answering(7), tag="t"))

    assert answered.value == 7
    assert left == []


def test_a_request_lets_no_turn_end_that_may_take_long(start, notes, gate, monkeypatch):
    busy, asker = start(of=Inline), start(notes)
    running = InThread(call, busy, lambda _me: gate())
    gate.wait_entered()
    monkeypatch.setattr(calls, "time", SimpleNamespace(sleep=notes.add))

    assert call(asker, lambda _me: call_or_message(busy, answering(7), tag="t")) is None

    gate.open()
    running.result()
    [response] = notes.take(1)
    assert response.value == 7


def test_a_request_to_one_that_has_ended_is_answered_by_a_message(start, notes, inline_ref):
    links.exit(inline_ref, Killed())
    asker = start(notes)

    assert call(asker, lambda _me: call_or_message(inline_ref, answering(7), tag="t")) is None

    [response] = notes.take(1)
    assert isinstance(response.error, CallExit)


# ---- what waits -----------------------------------------------------------------------------


def let_wait(ref, *messages):
    for message in messages:
        assert ref.cell.mailbox.deliver(Envelope(message), wake=False)


def test_what_waits_is_handled_in_order_in_the_thread_that_offers_it(inline_ref, notes):
    def note(_me):
        notes.add(threading.current_thread())

    let_wait(inline_ref, "first", note, "last")

    run_pending(inline_ref.cell)

    assert notes.take(3) == ["first", threading.current_thread(), "last"]


def test_one_that_does_not_run_inline_is_woken_for_what_waits(start, notes):
    ref = start(notes)
    asleep(ref)
    let_wait(ref, "message")

    run_pending(ref.cell)

    assert notes.take(1) == ["message"]


def test_what_fails_there_ends_the_actor_and_not_the_thread(inline_ref, notes):
    watch = monitor(inline_ref)
    error = ValueError("broken")
    let_wait(inline_ref, raising(error), "never handled")

    run_pending(inline_ref.cell)

    assert watch.wait(LONGEST).reason == Crash(error)
    assert notes.take(1) == [("terminate", Crash(error))]


def test_a_stop_among_what_waits_ends_the_actor(inline_ref, notes):
    watch = monitor(inline_ref)
    let_wait(inline_ref, "first", raising(Stop(Normal())))

    run_pending(inline_ref.cell)

    assert watch.wait(LONGEST).reason == Normal()
    assert notes.take(2) == ["first", ("terminate", Normal())]


def test_nothing_that_waits_is_nothing_to_do(inline_ref):
    run_pending(inline_ref.cell)

    assert inline_ref.cell.mailbox.asleep


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
    eventually(lambda: len(ref.cell.mailbox) == 3)

    gate.open()

    assert first.result() == [1]
    assert [asker.result() for asker in askers] == [[3]] * 3
    assert not ref.cell.mailbox.calls


def test_requests_behind_a_message_wait_for_their_turn(start, notes, gate):
    ref = start(notes, of=Batching)
    first = InThread(call, ref, lambda _me: gate(), LONGEST)
    gate.wait_entered()
    ref.tell("message")
    behind = InThread(call, ref, answering(None), LONGEST)
    eventually(lambda: len(ref.cell.mailbox) == 2)

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
    eventually(lambda: len(ref.cell.mailbox) == 2)
    gate.open()
    first.result()

    for asker in askers:
        with pytest.raises(CallExit):
            asker.result()
