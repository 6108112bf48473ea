"""What an actor and its tree are, and what they are doing: `tree()` and `trace()`."""

import threading

import pykka
import pytest
from probe import InThread, Probe, raising
from supervised import BOOM, crash, eventually, kill

from antq_actors.otp import (
    NOREPLY,
    CallExit,
    Continue,
    Crash,
    DynamicSupervisor,
    GenServer,
    Killed,
    NoProc,
    Normal,
    Restart,
    Shutdown,
    Supervisor,
    call,
    cast,
    monitor,
    reply,
    stop,
    supervised,
    trace,
    tree,
    whereis,
)
from antq_actors.otp.inspect.tracing import Answered, Ended, Got, Sent

# ---- tree() -------------------------------------------------------------------------------------


def names(node):
    return [each.name for each in node.walk()]


def test_a_node_for_each_actor_in_start_order(supervise, child):
    inner = Supervisor.child_spec([child("b"), child("c", name="called c")], id="inner")
    sup = supervise(child("a"), inner, DynamicSupervisor.child_spec(id="pool"), name="root")

    node = tree(sup)

    assert names(node) == ["root", "a", "inner", "b", "called c", "pool"]
    kinds = "supervisor worker supervisor worker worker supervisor"
    assert [each.kind for each in node.walk()] == kinds.split()
    for each in node.walk():
        assert (each.state, each.incarnation, each.restarts) == ("running", 1, 0)
        assert (each.mailbox_length, each.last_exit) == (0, None)
        assert each.uptime >= 0


def test_a_restart_shows_as_the_next_incarnation_with_the_reason(supervise, child, log):
    sup = supervise(child("a", name="a"), child("b"))
    crash(whereis("a"))
    log.take(4)
    eventually(lambda: tree(sup).children[0].incarnation == 2)

    node = tree(sup).children[0]

    assert (node.state, node.restarts, node.last_exit) == ("running", 1, Crash(BOOM))
    assert "ValueError: boom" in tree(sup).to_text()


def test_a_stopped_child_stays_and_one_restarted_by_hand_is_no_restart(supervise, child):
    sup = supervise(child("a"), child("b"))
    Supervisor.terminate_child(sup, "a")
    Supervisor.terminate_child(sup, "b")
    Supervisor.restart_child(sup, "b")

    a, b = tree(sup).children

    assert (a.name, a.state, a.uptime) == ("a", "stopped", 0.0)
    assert (b.state, b.incarnation, b.restarts) == ("running", 2, 0)


def test_a_child_that_cannot_start_again_shows_as_restarting(supervise, child):
    sup = supervise(child("a"), max_restarts=10**9)
    child.plan["a"] = "fail"
    crash(Supervisor.which_children(sup)[0].ref)

    eventually(lambda: tree(sup).children[0].state == "restarting")


@pytest.mark.rule(46)
def test_it_waits_for_no_busy_supervisor_and_counts_the_mail(supervise, child, log):
    hold = threading.Event()
    child.plan["slow"] = hold
    sup = supervise(child("a"))
    log.take(1)
    starting = threading.Thread(target=Supervisor.start_child, args=(sup, child("slow")))
    starting.start()
    log.take(1)
    sup.tell("one")
    sup.tell("two")

    node = tree(sup)

    assert [(each.name, each.state) for each in node.children] == [
        ("a", "running"),
        ("slow", "stopped"),
    ]
    assert node.mailbox_length == 2
    hold.set()
    starting.join(30)


def test_children_of_a_dynamic_supervisor_come_and_go(supervise, child):
    sup = supervise(DynamicSupervisor.child_spec(name="pool"))
    ref = DynamicSupervisor.start_child("pool", child("job", restart=Restart.TEMPORARY))

    assert names(tree(sup))[1:] == ["pool", "job"]
    stop(ref)
    eventually(lambda: names(tree(sup))[1:] == ["pool"])


def test_the_tree_of_a_child_knows_its_place(supervise, child, log):
    supervise(child("a", name="a"))
    crash(whereis("a"))
    log.take(3)

    eventually(lambda: whereis("a") and tree("a").incarnation == 2)


def test_it_tells_what_an_actor_is_at_and_for_how_long(start, gate):
    ref = start()
    idle = tree(ref).handling
    cast(ref, gate)
    gate.wait_entered()

    first, second = tree(ref).handling, tree(ref).handling

    assert idle is None
    assert (first.callback, first.message) == ("handle_cast", gate)
    assert 0 <= first.seconds <= second.seconds
    gate.open()
    eventually(lambda: tree(ref).handling is None)


def stop_into(ref, gate):
    call(ref, lambda actor: setattr(actor, "at_end", gate))
    return InThread(stop, ref, Shutdown("end"))


@pytest.mark.parametrize(
    ("enter", "callback", "message"),
    [
        (lambda ref, gate: InThread(call, ref, gate, None), "handle_call", "gate"),
        (lambda ref, gate: InThread(ref.ask, gate), "handle_call", "gate"),
        (lambda ref, gate: ref.tell(gate), "handle_info", "gate"),
        (stop_into, "terminate", Shutdown("end")),
    ],
    ids=["call", "ask", "tell", "stop"],
)
def test_what_it_is_at_is_named_as_its_author_named_it(start, gate, enter, callback, message):
    ref = start()
    entered = enter(ref, gate)
    gate.wait_entered()

    handling = tree(ref).handling

    assert handling.callback == callback
    assert handling.message == (gate if message == "gate" else message)
    gate.open()
    assert entered is None or entered.result() in ("through", None)


def test_a_boot_that_hangs_shows_where_and_whom_it_waits_for(gate):
    booting = InThread(
        Supervisor.start, [Probe.child_spec(init=gate.pass_through, name="slow")], name="boot"
    )
    gate.wait_entered()

    node = eventually(lambda: whereis("boot") and tree("boot").waits_for and tree("boot"))

    assert (node.handling.callback, node.waits_for) == ("init", "slow")
    assert tree("slow").handling.callback == "init"
    gate.open()
    stop(booting.result())


def test_what_takes_long_is_told_in_the_text(start, gate):
    start(name="busy")
    cast("busy", gate)
    gate.wait_entered()

    line = eventually(lambda: "in handle_cast for 0." in tree("busy").to_text())

    assert line
    gate.open()


def test_it_tells_how_many_restarts_are_left(supervise, child, log):
    sup = supervise(child("a"), DynamicSupervisor.child_spec(name="pool"), max_seconds=3600)
    crash(Supervisor.which_children(sup)[0].ref)
    log.take(3)

    eventually(lambda: tree(sup).children[0].incarnation == 2)
    node = tree(sup)

    assert (node.max_restarts, node.restarts_left) == (3, 2)
    assert (node.children[1].max_restarts, node.children[1].restarts_left) == (3, 3)
    assert (node.children[0].max_restarts, node.children[0].restarts_left) == (None, None)
    assert "[supervisor, running, 2 of 3 restarts left]" in node.to_text()
    assert "[worker, running, incarnation 2, restarts 1" in node.to_text()


def test_a_lone_actor_is_a_tree(supervise):
    class Alone(GenServer):
        def handle_call(self, request):
            return tree(self.ref).name

    ref = Alone.start(name="alone")

    assert call(ref, "who am I?") == "alone"
    stop(ref)


def test_of_a_dead_actor_there_is_no_tree(child):
    sup = Supervisor.start([child("a")])
    stop(sup)

    for dest in (sup, "nobody"):
        with pytest.raises(CallExit) as caught:
            tree(dest)
        assert caught.value.reason == NoProc()


def test_it_draws_lines(supervise, child):
    inner = Supervisor.child_spec([child("b"), child("c")], id="inner")
    sup = supervise(inner, child("a"), name="root")
    Supervisor.terminate_child(sup, "a")

    lines = [
        "root  [supervisor, running]",
        "├── inner  [supervisor, running]",
        "│   ├── b  [worker, running]",
        "│   └── c  [worker, running]",
        "└── a  [worker, stopped, last exit Shutdown]",
    ]
    # The signal of the child's end may be in the mailbox still, and then it is counted.
    eventually(lambda: tree(sup).to_text().splitlines() == lines, what=lambda: tree(sup).to_text())


def test_it_draws_a_mermaid_flowchart(supervise, child):
    sup = supervise(child('say "a"'), child("b"), name="root")

    assert tree(sup).to_mermaid().splitlines() == [
        "graph TD",
        '    n0["root"]',
        '    n0_0(["say #quot;a#quot;"])',
        "    n0 --> n0_0",
        '    n0_1(["b"])',
        "    n0 --> n0_1",
    ]


# ---- trace() ------------------------------------------------------------------------------------


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
