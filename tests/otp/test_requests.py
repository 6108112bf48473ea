"""send_request: a call in two steps, whose answer is waited for later, or never."""

import gc
import threading
import weakref

import pytest
from probe import LONGEST, InThread, answering, in_actor, postponing, raising
from supervised import BOOM, eventually, kill

from antq_actors.otp import (
    CallCycle,
    CallExit,
    CallTimeout,
    Crash,
    Killed,
    NoProc,
    Via,
    call,
    reply,
    send_request,
    stop,
)


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
