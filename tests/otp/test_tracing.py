import pykka
import pytest
from probe import Probe, raising
from supervised import BOOM, kill

from antq_actors.otp import (
    NOREPLY,
    CallExit,
    Continue,
    Crash,
    Killed,
    NoProc,
    Normal,
    Shutdown,
    call,
    cast,
    monitor,
    reply,
    stop,
    supervised,
    trace,
)
from antq_actors.otp.inspect.tracing import Answered, Ended, Got, Sent


class Echo(Probe):
    """Replies with what it is asked, and calls what is a function."""

    def handle_call(self, request):
        return request(self) if callable(request) else request


@pytest.fixture
def echo(start):
    return start(of=Echo)


@pytest.fixture
def lines(echo):
    """What a trace of `echo` was told, as it comes."""
    lines = []
    with trace(echo, lines.append):
        yield lines


def test_a_call_is_seen_when_it_is_taken_up_and_when_it_is_answered(echo, lines):
    call(echo, "hello")

    assert lines == [Got(echo, "handle_call", "hello"), Answered(echo, "hello", "hello")]


def test_casts_messages_and_asks_are_seen_with_their_callback(echo, lines):
    cast(echo, "a cast")
    echo.tell("a message")
    echo.ask("an ask")

    assert lines == [
        Got(echo, "handle_cast", "a cast"),
        Got(echo, "handle_info", "a message"),
        Got(echo, "handle_call", "an ask"),
        Answered(echo, "an ask", "an ask"),
    ]


def test_a_reply_that_comes_later_is_seen_when_it_comes(echo, lines):
    def keep(actor):
        actor.kept = actor.from_
        actor.ref.tell(lambda actor: reply(actor.kept, "late"))
        return NOREPLY

    call(echo, keep)

    assert [entry for entry in lines if isinstance(entry, Answered)] == [
        Answered(echo, keep, "late")
    ]


def test_what_it_sends_is_seen(start, echo, lines):
    other = start(of=Echo)

    def send(actor):
        cast(other, "a cast")
        other.tell("a message")
        call(other, "a call")

    call(echo, send)

    assert [entry for entry in lines if isinstance(entry, Sent)] == [
        Sent(echo, "cast", "a cast", other),
        Sent(echo, "message", "a message", other),
        Sent(echo, "call", "a call", other),
    ]


@pytest.mark.parametrize(
    ("end", "last_callback", "reason"),
    [
        (lambda ref: stop(ref, Shutdown("x")), ["stop", "terminate"], Shutdown("x")),
        (lambda ref: ref.stop(), ["stop", "terminate"], Normal()),
        (lambda ref: ref.tell(raising(BOOM)), ["handle_info", "terminate"], Crash(BOOM)),
        (kill, [], Killed()),
    ],
)
def test_the_end_is_seen_with_its_reason(echo, lines, end, last_callback, reason):
    watch = monitor(echo)

    end(echo)
    watch.wait(30)

    *got, ended = lines
    assert [entry.callback for entry in got] == last_callback
    assert ended == Ended(echo, reason)


def test_a_line_reads_as_what_happened(start):
    lines = []
    echo = start(of=Echo, name="echo")
    with trace("echo", lambda entry: lines.append(str(entry))):
        call(echo, "hello")
        call("echo", lambda actor: cast(actor.ref, "psst"))
        stop(echo)

    assert lines[:2] == ["echo → handle_call('hello')", "echo answers 'hello' with 'hello'"]
    assert lines[3] == "echo sends echo the cast 'psst'"
    assert lines[5:] == [
        "echo → handle_cast('psst')",
        "echo → stop(Normal())",
        "echo → terminate(Normal())",
        "echo ended: Normal()",
    ]


def test_without_a_listener_it_is_printed(start, capsys):
    echo = start(of=Echo, name="echo")

    with trace(echo):
        call(echo, 1)

    assert capsys.readouterr().out == "echo → handle_call(1)\necho answers 1 with 1\n"


def test_nothing_is_seen_before_it_begins_and_after_it_stops(echo):
    lines = []
    call(echo, "before")
    with trace(echo, lines.append) as seen:
        call(echo, "traced")
    seen.stop()
    call(echo, "after")
    stop(echo)

    assert {entry.message for entry in lines if isinstance(entry, Got)} == {"traced"}
    assert not any(isinstance(entry, Ended) for entry in lines)


def test_two_traces_of_one_actor_know_nothing_of_each_other(echo, lines):
    more = []
    with trace(echo, more.append):
        call(echo, 1)
    call(echo, 2)

    assert [len(lines), len(more)] == [4, 2]


def test_a_listener_that_raises_is_logged_once_and_the_actor_goes_on(echo, caplog):
    trace(echo, lambda entry: 1 / 0)

    assert [call(echo, 1), call(echo, 2)] == [1, 2]
    assert ["the trace is over" in record.message for record in caplog.records] == [True]


def test_a_continue_is_seen_by_who_looks_in_time(start, notes):
    lines = []

    def init(actor):
        trace(actor.ref, lines.append)
        return Continue("go")

    echo = start(notes, of=Echo, init=init)
    notes.take(1)

    assert lines == [Got(echo, "handle_continue", "go")]


def test_a_trace_of_nobody_is_refused(echo):
    stop(echo)

    for dest in (echo, "nobody"):
        with pytest.raises(CallExit) as caught:
            trace(dest)
        assert caught.value.reason == NoProc()


def test_the_listener_of_a_trace_is_a_function(echo):
    with pytest.raises(TypeError, match="the listener of a trace is a function, got 'loud'"):
        trace(echo, "loud")


def test_pykkas_proxies_are_seen_too(echo, lines):
    assert echo.proxy().use_daemon_thread.get() is True

    (got, answered) = lines
    assert (got.callback, type(got.message)) == ("proxy", pykka.messages.ProxyGetAttr)
    assert answered.value is True


def test_an_actor_written_for_pykka_is_seen_to_receive():
    class Upper(pykka.ThreadingActor):
        def on_receive(self, message):
            return message.upper()

    lines = []
    ref = supervised(Upper).start()
    with trace(ref, lines.append):
        ref.ask("hello")
    ref.stop()

    assert lines == [Got(ref, "on_receive", "hello"), Answered(ref, "hello", "HELLO")]
