"""Names, calls, timeouts and incarnations: what is left of otp 1.10 and 1.11, and Δ9 to Δ12.

Registered names have one actor each, and are free before anyone hears of its end."""

import inspect
import logging
import subprocess
import sys
import threading

import pytest
from probe import LONGEST, InThread, Probe, answering, raising
from supervised import BOOM, eventually, kill, raise_anew

from antq_actors.otp import (
    NOREPLY,
    AlreadyRegistered,
    AlreadyStarted,
    CallExit,
    Continue,
    Crash,
    GenServer,
    IdleTimeout,
    Registry,
    Via,
    call,
    cast,
    link,
    monitor,
    reply,
    stop,
    trap_exit,
    unlink,
    whereis,
)

# ---- the registry, rules 63 and 64 ------------------------------------------------------------


@pytest.mark.rule(63)
def test_a_key_is_free_for_the_next_as_soon_as_its_holders_end_is_known(start):
    registry = start(of=Registry)

    for _ in range(50):
        holder = start(name=Via(registry, "key"))
        end = monitor(holder)
        kill(holder)
        end.wait(LONGEST)
        assert Registry.lookup(registry, "key") == []
        assert whereis(Via(registry, "key")) is None


@pytest.mark.rule(64)
def test_an_actor_registers_itself_and_a_unique_key_has_one_holder(start):
    unique, duplicate = start(of=Registry), start("duplicate", of=Registry)
    first, second = start(), start()

    def register(registry):
        return lambda _me: Registry.register(registry, "key")

    def register_in_vain(_me):
        with pytest.raises(AlreadyRegistered) as taken:
            Registry.register(unique, "key")
        return taken.value.ref

    call(first, register(unique))
    assert call(second, register_in_vain) is first
    call(first, register(duplicate))
    call(second, register(duplicate))
    assert [ref for ref, _ in Registry.lookup(duplicate, "key")] == [first, second]
    with pytest.raises(RuntimeError, match="for actors"):
        Registry.register(unique, "of a plain thread")
    with pytest.raises(ValueError, match="unique"):
        start(name=Via(duplicate, "key"))


# ---- messages, rules 68 to 70 -----------------------------------------------------------------


@pytest.mark.rule(68)
@pytest.mark.parametrize("send", [cast, lambda ref, message: ref.tell(message)])
def test_what_one_actor_sends_another_arrives_in_order(start, notes, send):
    receiver, senders = start(notes), [start() for _ in range(3)]

    for number, sender in enumerate(senders):
        cast(sender, lambda _me, n=number: [send(receiver, (n, i)) for i in range(100)])

    arrived = notes.take(300)
    assert [[each for each in arrived if each[0] == n] for n in range(3)] == [
        [(n, i) for i in range(100)] for n in range(3)
    ]


@pytest.mark.rule(69)
def test_a_call_waits_five_seconds_and_a_stop_for_ever_unless_told_otherwise():
    assert inspect.signature(call).parameters["timeout"].default == 5.0
    assert inspect.signature(stop).parameters["timeout"].default is None


@pytest.mark.rule(69)
@pytest.mark.deviation(5)
def test_a_handler_that_crashes_takes_a_caller_with_it_that_does_not_catch_that(start):
    caller, server = start(), start()
    down = monitor(caller)

    cast(caller, lambda _me: call(server, raising(BOOM)))

    error = down.wait(LONGEST).reason.exception
    assert isinstance(error, CallExit)
    assert error.reason == Crash(BOOM)


@pytest.mark.rule(70)
def test_a_cast_to_nobody_to_the_dead_and_to_a_name_is_fine(start, notes):
    dead = start()
    stop(dead)
    start(notes, name="casts")

    for dest in ("nobody", dead, "casts"):
        assert cast(dest, "hello") is None

    assert notes.take(1) == ["hello"]


# ---- timeouts and continue, rule 72 -----------------------------------------------------------


@pytest.mark.rule(72)
def test_an_idle_timeout_of_0_comes_after_what_waits_and_continue_before(start, notes):
    def init(me):
        me.idle_timeout = 0
        for number in range(3):
            me.ref.tell(number)
        return Continue("continue")

    class Waiting(Probe):
        def handle_info(self, message):
            if isinstance(message, IdleTimeout):
                self.idle_timeout = None
            super().handle_info(message)

    start(notes, of=Waiting, init=init)

    assert notes.take(5) == ["continue", 0, 1, 2, IdleTimeout()]


# ---- incarnations and watching, rules 75 and 77 -----------------------------------------------


class Counter(GenServer):
    """Counts its casts; "boom" ends it."""

    def __init__(self, notes):
        super().__init__()
        self.notes, self.total = notes, 0

    def init(self):
        self.notes.add("up")

    def handle_cast(self, request):
        if callable(request):
            request()
        elif request == "boom":
            raise_anew(BOOM)
        self.total += 1

    def handle_call(self, request):
        return self.total


@pytest.mark.rule(75)
def test_a_restart_is_a_new_actor_with_a_new_ref_an_empty_mailbox_and_no_old_state(
    supervise, notes, gate
):
    supervise(Counter.child_spec(notes, name="counter"))
    old = whereis("counter")
    cast(old, "one")
    cast(old, gate)
    gate.wait_entered()
    for message in ("boom", "lost", "lost"):
        cast(old, message)

    gate.open()

    assert notes.take(2) == ["up", "up"]
    new = eventually(lambda: whereis("counter"))
    assert new is not old
    assert call("counter", "how many?") == 0
    with pytest.raises(CallExit):
        call(old, "how many?")


@pytest.mark.rule(77)
def test_a_down_that_nobody_handles_is_logged_and_its_watcher_lives(start, caplog):
    dead = start()
    stop(dead)

    class Careless(GenServer):
        def init(self):
            monitor(dead)

        def handle_call(self, request):
            return request

    watcher = start(of=Careless)

    assert call(watcher, "lives") == "lives"
    assert "ignores an unknown message: Down" in caplog.text


# ---- deviations -------------------------------------------------------------------------------


@pytest.mark.deviation(9)
def test_a_plain_thread_cannot_be_linked_and_watches_instead(start):
    ref = start()

    for act in (lambda: link(ref), lambda: unlink(ref), lambda: trap_exit(on=True)):
        with pytest.raises(RuntimeError, match="watch with monitor"):
            act()
    watch = monitor(ref)
    kill(ref)

    assert watch.wait(LONGEST).ref is ref


@pytest.mark.deviation(10)
def test_an_actor_that_waits_in_a_call_takes_nothing_else_meanwhile(start, notes):
    asker, server, owed = start(notes), start(), []

    def leave_open(me):
        owed.append(me.from_)
        return NOREPLY

    cast(asker, lambda me: me.notes.add(call(server, leave_open, LONGEST)))
    eventually(lambda: owed)
    cast(asker, "waits behind the call")
    assert len(asker.cell.mailbox) == 1
    reply(owed[0], "answer")

    assert notes.take(2) == ["answer", "waits behind the call"]


@pytest.mark.deviation(11)
@pytest.mark.parametrize("crash_on_ask", [False, True])
def test_what_a_plain_ask_raises_ends_the_actor_only_if_it_says_so(start, crash_on_ask):
    ref = start(of=type("Asked", (Probe,), {"crash_on_ask": crash_on_ask}))
    down = monitor(ref)

    with pytest.raises(ValueError, match="boom"):
        ref.ask(raising(BOOM), timeout=LONGEST)

    if crash_on_ask:
        assert down.wait(LONGEST).reason == Crash(BOOM)
    else:
        assert ref.ask(answering("lives"), timeout=LONGEST) == "lives"


SAME_NAME = """
from antq_actors.otp import GenServer, stop, whereis
assert whereis("clerk") is None
ref = GenServer.start(name="clerk")
assert whereis("clerk") is ref
stop(ref)
"""


@pytest.mark.deviation(12)
def test_a_name_is_known_in_its_own_program_only(start):
    ref = start(name="clerk")

    subprocess.run([sys.executable, "-c", SAME_NAME], check=True, timeout=30)  # noqa: S603 - a program of this file

    assert whereis("clerk") is ref


@pytest.mark.deviation(12)
def test_a_running_actor_keeps_the_class_that_its_spec_was_made_with(supervise):
    class Greeter(GenServer):
        def handle_call(self, request):
            return "old"

    supervise(Greeter.child_spec(name="greeter"))
    first = whereis("greeter")

    class Greeter(GenServer):
        def handle_call(self, request):
            return "new"

    kill(first)

    eventually(lambda: whereis("greeter") not in (None, first))
    assert call("greeter", "which?") == "old"


# ---- registered names ---------------------------------------------------------------------------


def test_a_name_leads_to_its_actor_while_that_lives(start):
    assert whereis("clerk") is None

    ref = start(name="clerk")
    assert whereis("clerk") is ref

    stop(ref)
    assert whereis("clerk") is None


@pytest.mark.rule(61)
def test_of_two_with_one_name_the_second_does_not_run(start, notes):
    holder = start(name="clerk")

    with pytest.raises(AlreadyStarted) as taken:
        start(name="clerk", init=lambda _me: notes.add("ran"))

    assert taken.value.ref is holder
    assert "clerk" in str(taken.value)
    assert whereis("clerk") is holder
    assert call("clerk", answering("lives")) == "lives"
    assert notes.is_empty()


@pytest.mark.parametrize("name", [7, b"clerk", ("clerk",), Probe])
def test_what_cannot_be_a_name_is_refused_before_anything_is_made(name):
    made = []

    class Made(Probe):
        def __init__(self):
            made.append(self)
            super().__init__()

    with pytest.raises(TypeError, match="name"):
        Made.start(name=name)
    with pytest.raises(TypeError, match="name"):
        whereis(name)

    assert made == []


@pytest.mark.rule(62)
def test_a_name_goes_from_one_to_the_next_without_a_gap_at_the_down(start):
    ref = start(name="clerk")
    for _ in range(200):
        watch = monitor(ref)
        kill(ref)
        watch.wait(LONGEST)
        ref = start(name="clerk")

    assert whereis("clerk") is ref


@pytest.mark.rule(61)
def test_of_many_who_want_a_name_at_once_one_gets_it(start):
    for _ in range(20):
        together = threading.Barrier(4)

        def want(together=together):
            together.wait(LONGEST)
            try:
                return start(name="clerk")
            except AlreadyStarted as taken:
                return taken.ref

        wanting = [InThread(want) for _ in range(4)]

        assert {each.result() for each in wanting} == {whereis("clerk")}
        kill(whereis("clerk"))


def test_an_actor_is_called_by_its_name_in_texts(start):
    assert str(start(name="clerk")) == "clerk"
    assert str(start()).startswith("Probe-")


@pytest.mark.rule(62)
def test_a_name_is_free_as_soon_as_its_actor_is_dead(start, caplog):
    ref = start(name="clerk")
    found, next_one = [], []

    class Look(logging.Handler):
        """Looks while the actor dies: pykka logs before names are released."""

        def emit(self, record):
            if "Unregistered" in record.getMessage() and not found:
                found.append(whereis("clerk"))
                next_one.append(start(name="clerk"))

    caplog.set_level(logging.DEBUG, "pykka")
    logging.getLogger("pykka").addHandler(look := Look())
    try:
        stop(ref)
    finally:
        logging.getLogger("pykka").removeHandler(look)

    assert found == [None]
    assert whereis("clerk") is next_one[0]
