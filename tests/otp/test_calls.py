"""call, cast, reply and stop: each waits for an answer that always comes.

send_request is a call in two steps, whose answer is waited for later, or never."""

import gc
import threading
import weakref
from datetime import timedelta

import pytest
from probe import LONGEST, InThread, Probe, answering, in_actor, postponing, raising
from supervised import BOOM, eventually, kill

from antq_actors.otp import (
    NOREPLY,
    CallCycle,
    CallExit,
    CallTimeout,
    Crash,
    GenServer,
    Killed,
    NoProc,
    Normal,
    Shutdown,
    Stop,
    Via,
    call,
    cast,
    exit,  # noqa: A004 - OTP's name
    link,
    monitor,
    orphans,
    reply,
    send_after,
    send_request,
    stop,
    trap_exit,
    unlink,
)
from antq_actors.otp.kernel.messages import Response
from antq_actors.otp.messaging.calls import call_by_message, reply_error


def asking(ref, request, timeout=None):
    """A function that calls *ref*, for an actor to run."""
    return lambda _me: call(ref, request, timeout)


# ---- call -------------------------------------------------------------------------------------


def test_a_call_is_answered_by_ref_and_by_name(start):
    ref = start(name="answers")

    assert call(ref, answering(1)) == 1
    assert call("answers", answering(2)) == 2


@pytest.mark.rule(69)
@pytest.mark.deviation(5)
def test_a_handler_that_raises_ends_the_server_and_its_caller_hears_why(start):
    ref = start()

    with pytest.raises(CallExit) as ended:
        call(ref, raising(BOOM))

    assert ended.value.reason == Crash(BOOM)
    assert ended.value.__cause__ is BOOM
    assert not ref.is_alive()


@pytest.mark.rule(69)
def test_a_call_of_a_name_that_nobody_has_is_noproc():
    with pytest.raises(CallExit) as ended:
        call("nobody", "hello")

    assert ended.value.reason == NoProc()


@pytest.mark.parametrize("dest", [None, 7, object(), Probe])
def test_a_destination_that_is_none_is_a_type_error(dest):
    for talk in (
        lambda: call(dest, 1),
        lambda: cast(dest, 1),
        lambda: stop(dest),
        lambda: monitor(dest),
    ):
        with pytest.raises(TypeError, match="destination"):
            talk()


@pytest.mark.parametrize(
    ("timeout", "error"),
    [
        (-1, ValueError),
        (-0.5, ValueError),
        (float("nan"), ValueError),
        (timedelta(seconds=-1), ValueError),
        ("5", TypeError),
        (True, TypeError),
    ],
)
def test_an_impossible_timeout_is_refused_before_anything_is_sent(start, notes, timeout, error):
    ref = start(notes)

    for wait in (
        lambda: call(ref, lambda me: me.notes.add("called"), timeout),
        lambda: stop(ref, timeout=timeout),
        lambda: monitor(ref).wait(timeout),
    ):
        with pytest.raises(error, match="timeout"):
            wait()

    assert call(ref, answering("lives")) == "lives"
    assert notes.is_empty()


def test_a_timeout_may_be_a_timedelta_or_endless(start):
    ref = start()

    assert call(ref, answering(1), timedelta(seconds=LONGEST)) == 1
    assert call(ref, answering(2), float("inf")) == 2
    assert call(ref, answering(3), None) == 3


@pytest.mark.rule(69)
def test_a_late_reply_is_dropped_and_the_server_goes_on(start, gate):
    ref = start()

    with pytest.raises(CallTimeout) as late:
        call(ref, gate, 0.01)
    gate.open()

    assert call(ref, answering("next")) == "next"
    assert isinstance(late.value, TimeoutError)
    assert len(ref.cell.mailbox.calls) == 0


# ---- replies ----------------------------------------------------------------------------------


def test_an_open_call_is_answered_from_another_message(start):
    ref, owed = start(), []
    asked = InThread(call, ref, postponing(owed))
    eventually(lambda: owed)

    cast(ref, lambda _me: reply(owed[0], "later"))

    assert asked.result() == "later"


def test_an_open_ask_is_answered_from_another_message(start):
    ref, owed = start(), []
    asked = ref.ask(postponing(owed), block=False)
    eventually(lambda: owed)

    cast(ref, lambda _me: reply(owed[0], "later"))

    assert asked.get(timeout=LONGEST) == "later"


def test_an_answer_from_elsewhere_leaves_nothing_behind_in_the_server(start):
    ref, other, owed = start(), start(), []
    asked = [InThread(call, ref, postponing(owed)) for _ in range(2)]
    futures = [ref.ask(postponing(owed), block=False) for _ in range(2)]
    eventually(lambda: len(owed) == 4)

    for from_ in owed[::2]:
        reply(from_, "by a plain thread")
    for from_ in owed[1::2]:
        call(other, lambda _me, from_=from_: reply(from_, "by another actor"))

    assert {each.result() for each in asked} <= {"by a plain thread", "by another actor"}
    assert {each.get(timeout=LONGEST) for each in futures} <= {
        "by a plain thread",
        "by another actor",
    }
    assert not ref.cell.mailbox.calls
    assert not ref.cell.mailbox._open_asks


def test_an_open_ask_that_was_answered_before_its_handler_returned_leaves_nothing(start):
    def answer_at_once(me):
        reply(me.from_, "early")
        return NOREPLY

    ref = start()

    assert ref.ask(answer_at_once, timeout=LONGEST) == "early"
    assert call(ref, answer_at_once) == "early"
    assert call(ref, answering(None)) is None
    assert not ref.cell.mailbox.calls
    assert not ref.cell.mailbox._open_asks


def test_only_the_first_answer_counts(start):
    def answer_twice(me):
        reply(me.from_, "first")
        reply(me.from_, "second")
        return "third"

    ref = start()

    assert call(ref, answer_twice) == "first"
    assert ref.ask(answer_twice, timeout=LONGEST) == "first"
    assert call(ref, answering("lives")) == "lives"


def test_an_answer_may_be_an_error_and_the_server_lives(start):
    def refuse(me):
        reply_error(me.from_, KeyError("no such thing"))
        return NOREPLY

    ref = start()

    with pytest.raises(KeyError):
        call(ref, refuse)
    with pytest.raises(KeyError):
        ref.ask(refuse, timeout=LONGEST)
    assert call(ref, answering("lives")) == "lives"


@pytest.mark.rule(70)
def test_cast_is_always_fine(start, notes):
    ref = start(notes, name="casts")

    cast(ref, "by ref")
    cast("casts", "by name")
    cast("nobody", "lost")

    assert notes.take(2) == ["by ref", "by name"]


# ---- stop -------------------------------------------------------------------------------------


@pytest.mark.rule(71)
def test_stop_returns_when_terminate_is_through(start, notes):
    ref = start(notes)

    stop(ref, Shutdown("enough"))

    assert not notes.is_empty()
    assert notes.take(1) == [("terminate", Shutdown("enough"))]


@pytest.mark.rule(71)
def test_stop_says_so_when_the_actor_ended_for_another_reason(start):
    ref = start(at_end=raising(BOOM))

    with pytest.raises(CallExit) as ended:
        stop(ref)

    assert ended.value.reason == Crash(BOOM)


@pytest.mark.rule(71)
def test_stop_leaves_one_that_takes_too_long_ending(start, gate):
    ref = start(at_end=gate)
    down = monitor(ref)

    with pytest.raises(CallTimeout):
        stop(ref, timeout=0.01)
    gate.open()

    assert down.wait(LONGEST).reason == Normal()


def test_stop_of_oneself_is_a_cycle(start):
    def stop_myself(me):
        with pytest.raises(CallCycle):
            stop(me.ref)

    ref = start()

    assert call(ref, stop_myself) is None


@pytest.mark.parametrize("reason", ["normal", Killed, 5.0])
def test_what_is_no_reason_is_refused(start, reason):
    ref = start()

    for end in (lambda: stop(ref, reason), lambda: exit(ref, reason), lambda: Stop(reason)):
        with pytest.raises(TypeError, match="reason"):
            end()
    assert call(ref, answering("lives")) == "lives"


# ---- cycles -----------------------------------------------------------------------------------


@pytest.mark.rule(69)
def test_a_call_to_oneself_is_a_cycle(start):
    def call_myself(me):
        with pytest.raises(CallCycle) as cycle:
            call(me.ref, answering(1), None)
        return cycle.value.path

    ref = start()

    assert call(ref, call_myself) == [ref, ref]


@pytest.mark.deviation(10)
@pytest.mark.parametrize("length", [2, 3, 5])
def test_a_ring_of_calls_fails_in_the_one_that_closes_it(start, length):
    refs = [start() for _ in range(length)]

    def close_it(_me):
        with pytest.raises(CallCycle) as cycle:
            call(refs[0], answering("never"), None)
        return cycle.value.path

    request = close_it
    for ref in reversed(refs[1:]):
        request = asking(ref, request)

    path = call(refs[0], request, LONGEST)

    assert path == [refs[-1], *refs]


def test_a_ring_closed_by_a_child_in_init_fails_there(start):
    parent = start()

    def call_parent(_me):
        with pytest.raises(CallCycle):
            call(parent, answering("never"), None)

    child = call(parent, lambda _me: Probe.start_link(init=call_parent), LONGEST)

    assert call(child, answering("lives")) == "lives"


def test_two_that_call_each_other_for_ever_get_an_answer_or_a_cycle_each_time(start):
    one, two = start(), start()

    def call_often(other):
        def run(_me):
            cycles = 0
            for _ in range(100):
                try:
                    call(other, answering(1), None)
                except CallCycle:
                    cycles += 1
            return cycles

        return run

    first = InThread(call, one, call_often(two), None)
    second = InThread(call, two, call_often(one), None)

    first.result(60)
    second.result(60)


def test_calls_that_form_no_ring_are_never_taken_for_one(start):
    bottom = start()
    middle = [start() for _ in range(3)]
    tops = [start() for _ in range(4)]

    def through_the_middle(_me):
        for turn in range(150):
            through = middle[turn % len(middle)]
            assert call(through, asking(bottom, answering(turn)), None) == turn
            assert call(bottom, answering(turn), None) == turn
        return "through"

    busy = [InThread(call, top, through_the_middle, None) for top in tops]

    assert [each.result(60) for each in busy] == ["through"] * len(tops)


def test_an_actor_may_be_called_back_once_it_has_its_answer(start):
    # one asks two and, answered, is asked by two at once: there the old wait is none any more.
    one, two = start(), start()

    def call_back(_me):
        for _ in range(150):
            call(one, answering(None), None)

    def answer_then_call_back(me):
        reply(me.from_, "answered")
        call(one, answering(None), None)
        return NOREPLY

    for _ in range(150):
        assert call(one, asking(two, answer_then_call_back), LONGEST) == "answered"


# ---- calls by message -------------------------------------------------------------------------


def test_a_request_answers_into_the_mailbox_exactly_once(start, notes):
    asker, server = start(notes), start()
    dead = start()
    stop(dead)

    call(asker, lambda _me: call_by_message(server, answering("fine"), "a"))
    assert notes.take(1) == [Response("a", "fine", None)]

    call(asker, lambda _me: call_by_message(server, raising(BOOM), "b"))
    [crashed] = notes.take(1)
    assert crashed.error.reason == Crash(BOOM)

    call(asker, lambda _me: [call_by_message(dead, 1, "c"), call_by_message("nobody", 1, "d")])
    assert [each.error.reason for each in notes.take(2)] == [NoProc(), NoProc()]

    call(asker, answering(None))
    assert notes.is_empty()


def test_a_call_by_message_is_for_actors(start):
    with pytest.raises(RuntimeError):
        call_by_message(start(), 1, "tag")


# ---- the fence --------------------------------------------------------------------------------


@pytest.mark.rule(74)
@pytest.mark.deviation(1)
def test_what_a_killed_actor_still_sends_raises_there_and_reaches_nobody(start, notes, gate):
    bystander = start(notes)
    owed = []
    asked = InThread(call, bystander, postponing(owed))
    eventually(lambda: owed)
    attempts = {
        "call": lambda: call(bystander, lambda me: me.notes.add("called")),
        "cast": lambda: cast(bystander, "cast"),
        "tell": lambda: bystander.tell("told"),
        "ask": lambda: bystander.ask(lambda me: me.notes.add("asked"), timeout=LONGEST),
        "reply": lambda: reply(owed[0], "from the dead"),
        "stop": lambda: stop(bystander),
        "send_after": lambda: send_after(bystander, "timer", 0),
        "monitor": lambda: monitor(bystander),
        "link": lambda: link(bystander),
        "unlink": lambda: unlink(bystander),
        "trap_exit": lambda: trap_exit(on=True),
        "start": Probe.start,
        "start_link": Probe.start_link,
    }
    outcomes = {}

    def haunt(_me):
        gate()
        for what, attempt in attempts.items():
            try:
                outcomes[what] = attempt()
            except CallExit as error:
                outcomes[what] = error.reason

    ghost = start()
    ghost.tell(haunt)
    gate.wait_entered()
    kill(ghost)
    assert len(orphans()) == 1
    gate.open()
    eventually(lambda: not orphans())

    assert outcomes == dict.fromkeys(attempts, Killed())
    assert not asked.done
    reply(owed[0], "from the living")
    assert asked.result() == "from the living"
    assert call(bystander, answering("lives")) == "lives"
    assert notes.is_empty()


@pytest.mark.rule(74)
@pytest.mark.deviation(1)
def test_killing_an_idle_actor_leaves_no_orphan_and_a_busy_one_one(start, gate):
    idle, busy = start(), start()
    gate.hold(busy)
    eventually(lambda: idle.cell.mailbox.asleep)

    kill(idle)
    assert orphans() == []
    kill(busy)
    kill(busy)
    assert orphans() == [busy.cell.thread]

    gate.open()
    eventually(lambda: orphans() == [])


class Plain(GenServer):
    def handle_call(self, request):
        return request


def test_many_threads_may_call_one_actor():
    ref = Plain.start()
    try:
        callers = [
            InThread(lambda n=n: [call(ref, (n, i), None) for i in range(50)]) for n in range(20)
        ]
        for number, caller in enumerate(callers):
            assert caller.result(60) == [(number, i) for i in range(50)]
    finally:
        stop(ref)


# ---- send_request -------------------------------------------------------------------------------


@pytest.mark.rule(79)
def test_requests_are_all_sent_before_the_first_answer_is_waited_for(start):
    refs = [start() for _ in range(3)]
    together = threading.Barrier(3)

    requests = [send_request(ref, lambda _me: together.wait(LONGEST)) for ref in refs]

    assert sorted(request.wait(LONGEST) for request in requests) == [0, 1, 2]


def test_the_answer_may_be_had_again_and_in_any_thread(start):
    request = send_request(start(), answering("fine"))

    assert request.wait() == "fine"
    assert request.wait(0) == "fine"
    assert InThread(request.wait).result() == "fine"


def test_an_actor_that_sends_a_request_gets_no_message_whatever_becomes_of_it(start, notes, gate):
    asker, server = start(notes), start()

    late = in_actor(asker, send_request, server, gate)
    with pytest.raises(CallTimeout, match=r"did not answer within 0\.01 s"):
        in_actor(asker, late.wait, 0.01)
    gate.open()

    assert in_actor(asker, late.wait, LONGEST) == "through"
    assert notes.is_empty()


@pytest.mark.rule(79)
def test_after_a_timeout_it_is_waited_for_again(start, gate):
    request = send_request(start(), gate)

    for _ in range(2):
        with pytest.raises(CallTimeout):
            request.wait(0.01)
    gate.open()

    assert request.wait(LONGEST) == "through"


# ---- a server that does not answer ------------------------------------------------------------


def test_a_handler_that_raises_is_a_crash_of_the_server_with_its_cause(start):
    request = send_request(start(), raising(BOOM))

    for _ in range(2):
        with pytest.raises(CallExit) as failed:
            request.wait(LONGEST)
        assert failed.value.reason == Crash(BOOM)
        assert failed.value.__cause__ is BOOM


@pytest.mark.parametrize("end", [kill, lambda ref: stop(ref, timeout=LONGEST)])
def test_a_server_that_ends_is_told_to_who_waits(start, gate, end):
    ref = start()
    blocked = send_request(ref, gate)
    gate.wait_entered()
    request = send_request(ref, answering("never" if end is kill else "in its turn"))
    waiting = InThread(request.wait, None)

    ending = InThread(end, ref)
    gate.open()
    ending.result()

    if end is kill:
        for each in (waiting.result, blocked.wait):
            with pytest.raises(CallExit) as failed:
                each()
            assert failed.value.reason == Killed()
    else:
        assert waiting.result() == "in its turn"


@pytest.mark.rule(79)
@pytest.mark.usefixtures("shop")
def test_a_server_that_is_not_there_is_told_where_it_is_waited_for(start):
    ended = start()
    stop(ended)

    for dest, text in [
        (ended, "has ended"),
        ("nobody", "no actor is registered as 'nobody'"),
        (Via("shp", 1), "there is no registry 'shp'; there is 'shop'"),
    ]:
        request = send_request(dest, "hello")
        with pytest.raises(CallExit, match=text) as failed:
            request.wait()
        assert failed.value.reason == NoProc()


def test_a_server_that_ended_after_it_answered_has_answered(start):
    ref = start()
    request = send_request(ref, answering("fine"))
    call(ref, answering(None))
    stop(ref)

    assert request.wait() == "fine"


def test_a_request_to_oneself_may_be_sent_and_cannot_be_waited_for(start):
    ref = start()

    def ask_oneself(me):
        request = send_request(me.ref, answering("later"))
        with pytest.raises(CallCycle):
            request.wait()
        return request

    request = call(ref, ask_oneself)

    assert request.wait(LONGEST) == "later"
    assert in_actor(ref, request.wait) == "later"  # it is there, so that nobody waits


def test_two_that_wait_for_each_others_answer_are_told(start):
    first, second = start(), start()
    together = threading.Barrier(2)

    def ask(other):
        def work(_me):
            request = send_request(other, answering("never"))
            together.wait(LONGEST)
            try:
                return request.wait(None)
            except CallCycle as cycle:
                return cycle

        return work

    answers = [send_request(first, ask(second)), send_request(second, ask(first))]
    outcomes = [request.wait(LONGEST) for request in answers]

    assert sum(isinstance(each, CallCycle) for each in outcomes) == 1
    assert sum(each == "never" for each in outcomes) == 1


def test_a_killed_actor_sends_no_requests(start, gate):
    bystander, ghost = start(), start()
    outcome = []

    def haunt(_me):
        gate()
        try:
            send_request(bystander, outcome.append)
        except CallExit as error:
            outcome.append(error.reason)

    ghost.tell(haunt)
    gate.wait_entered()
    kill(ghost)
    gate.open()

    eventually(lambda: outcome)
    assert outcome == [Killed()]


# ---- cancelled --------------------------------------------------------------------------------


@pytest.mark.rule(79)
@pytest.mark.parametrize("when", ["before it came", "after it came"])
def test_the_answer_of_a_cancelled_request_is_dropped(start, gate, when):
    ref = start()
    request = send_request(ref, gate)
    if when == "after it came":
        gate.open()
        assert request.wait(LONGEST) == "through"

    request.cancel()
    request.cancel()
    gate.open()

    assert call(ref, answering("it has gone on"), LONGEST) == "it has gone on"
    with pytest.raises(RuntimeError, match="cancelled"):
        request.wait()


def test_who_waits_when_it_is_cancelled_is_told(start, gate):
    request = send_request(start(), gate)
    waiting = InThread(request.wait, None)
    gate.wait_entered()

    request.cancel()

    with pytest.raises(RuntimeError, match="cancelled"):
        waiting.result()


def test_a_server_keeps_nothing_of_a_cancelled_request(start):
    ref, owed = start(), []
    request = send_request(ref, postponing(owed))
    call(ref, answering(None))

    request.cancel()

    assert ref.cell.mailbox.calls == set()
    reply(owed[0], "too late")
    assert call(ref, answering("lives")) == "lives"


def test_a_cancel_while_the_answer_arrives_is_a_cancel(start):
    ref = start()
    for number in range(300):
        request = send_request(ref, answering(number))
        request.cancel()
        with pytest.raises(RuntimeError):
            request.wait()

    assert call(ref, answering("lives")) == "lives"
    assert ref.cell.mailbox.calls == set()


def test_a_request_that_nobody_keeps_is_gone(start):
    ref = start()

    class Value:
        pass

    request = send_request(ref, lambda _me: Value())
    gone = weakref.ref(request.wait())
    assert gone() is not None

    del request
    call(ref, answering(None))
    gc.collect()

    assert gone() is None


def test_a_request_says_what_it_is_and_how_it_stands(start, gate):
    start(name="server")
    request = send_request("server", gate)

    assert repr(request) == "<Request to 'server', waiting>"
    gate.open()
    request.wait(LONGEST)
    assert repr(request) == "<Request to 'server', answered>"
    request.cancel()
    assert repr(request) == "<Request to 'server', cancelled>"
