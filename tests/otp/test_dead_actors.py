"""An actor that has ended is garbage, whatever it had to do with others."""

import gc
import itertools
import logging
import sys
import threading
import weakref

import pykka
import pytest
from probe import LONGEST, Probe, in_actor, raising
from supervised import eventually, kill

from antq_actors.otp import (
    CallExit,
    CallTimeout,
    DynamicSupervisor,
    EventStream,
    GenServer,
    Killed,
    Registry,
    Shutdown,
    StartError,
    Supervisor,
    Task,
    TaskSupervisor,
    call,
    cancel_timer,
    cast,
    exit,  # noqa: A004 - OTP's name
    link,
    monitor,
    send_after,
    stop,
    subscribe,
    trace,
    trap_exit,
    whereis,
)
from antq_actors.otp.actors import pykka_registry
from antq_actors.otp.events import stream as event_stream
from antq_actors.otp.kernel.cell import ActorCell, living
from antq_actors.otp.messaging import names, timers

LONG = 3600


class Forgetful(Probe):
    def handle_info(self, message):
        if callable(message):
            message(self)


def crash(ref):
    with pytest.raises(CallExit):
        call(ref, raising(ValueError("crash")))


def shut_down(ref):
    exit(ref, Shutdown())


WAYS_TO_END = [stop, kill, crash, shut_down]


@pytest.fixture(autouse=True)
def no_log():
    """Make no log records: one of a crash has its traceback, and pytest keeps them all."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture
def other(start):
    """An actor that lives on, does not mind when others end, and notes nothing."""
    ref = start(of=Forgetful, init=lambda _me: trap_exit(on=True))
    yield ref
    assert ref.cell.reason is None


def _do(ref, fn):
    call(ref, lambda me: fn(me) and None)


def _call_late(ref, other):
    is_late = threading.Event()
    with pytest.raises(CallTimeout):
        call(other, lambda _me: ref and is_late.wait(LONGEST) and None, timeout=0)
    is_late.set()


def _register(me):
    Registry.register("shop", "key", me)
    Registry.register("topics", "key", me)
    Registry.lock("shop", "lock", lambda: me)


DEALINGS = {
    "a timer to it": lambda ref, _: send_after(ref, "never", LONG),
    "a timer to itself with itself": lambda ref, _: _do(ref, lambda me: me.send_after(LONG, me)),
    "many timers": lambda ref, _: [send_after(ref, ref, LONG + n) for n in range(200)],
    "a timer called back": lambda ref, _: cancel_timer(send_after(ref, ref, LONG)),
    "a timer that fired": lambda ref, _: send_after(ref, "now", 0),
    "a polling_timer": lambda ref, _: timers.send_when(
        ref, ref, lambda: not ref, every=lambda: LONG
    ),
    "is monitored": lambda ref, other: _do(other, lambda _me: monitor(ref)),
    "monitors": lambda ref, other: _do(ref, lambda _me: monitor(other)),
    "is linked": lambda ref, other: _do(ref, lambda _me: link(other)),
    "links": lambda ref, other: _do(other, lambda _me: link(ref)),
    "is subscribed": lambda ref, _: subscribe(ref),
    "is subscribed below": lambda ref, _: subscribe(print, below=ref),
    "is traced": lambda ref, _: trace(ref, lambda _entry: None),
    "calls": lambda ref, other: _do(ref, lambda me: call(other, lambda _me: me)),
    "is in a call nobody waits for": _call_late,
    "casts": lambda ref, other: _do(ref, lambda me: cast(other, lambda _me: me)),
    "has a task": lambda ref, _: _do(ref, lambda me: Task.async_(lambda: me)),
    "is registered": lambda ref, _: _do(ref, _register),
    "waits for nothing": lambda ref, _: _do(ref, lambda me: setattr(me, "idle_timeout", LONG)),
}


@pytest.mark.parametrize("end", WAYS_TO_END)
@pytest.mark.parametrize("dealing", DEALINGS.values(), ids=DEALINGS)
@pytest.mark.usefixtures("shop", "topics")
def test_nothing_keeps_an_actor_that_has_ended(other, dealing, end):
    ref = Probe.start()
    dealing(ref, other)
    actor, process = weakref.ref(ref._actor_weakref()), weakref.ref(ref.cell)

    end(ref)
    del ref

    _are_gone(actor, process)


def test_a_living_actor_keeps_no_registry_that_has_ended(other):
    registries = [Registry.start() for _ in range(5)]
    for registry in registries:
        _do(other, lambda _me, to=registry: Registry.register(to, "key"))
        _do(other, lambda _me, to=registry: Registry.lock(to, "lock", int))
        stop(registry)
    kept = [weakref.ref(registry.cell) for registry in registries]

    del registries, registry

    _are_gone(*kept)


def test_a_living_actor_keeps_no_monitor_of_the_dead(other):
    before = len(other.cell._watchers)

    for _ in range(20):
        ref = Probe.start()
        _do(ref, lambda _me: monitor(other))
        _do(other, lambda _me, ref=ref: monitor(ref))
        kill(ref)

    assert len(other.cell._watchers) == before
    assert not other.cell._cleanups


def test_a_killed_supervisor_of_changing_children_is_garbage():
    sup = DynamicSupervisor.start()
    DynamicSupervisor.start_child(sup, Probe.child_spec())
    actor = weakref.ref(sup._actor_weakref())

    kill(sup)

    _are_gone(actor)  # though its ref is held


def test_restarts_keep_no_more_than_the_last_dead_actor_and_its_reason(supervise):
    actors = []

    def remember(me):
        actors.append(weakref.ref(me))
        send_after(me.ref, "never", LONG)

    supervise(Probe.child_spec(init=remember, name="restarted"), max_restarts=100)
    for times in range(1, 11):
        crash("restarted")
        eventually(lambda times=times: len(actors) == times + 1 and whereis("restarted"))

    def kept():
        gc.collect()
        return [actor for actor in actors[:-1] if actor() is not None]

    eventually(lambda: len(kept()) <= 1, what=kept)


def test_tasks_that_were_mapped_are_garbage(start):
    sup = start(of=TaskSupervisor)
    values = TaskSupervisor.map(sup, lambda item: (item, Thing()), range(20))

    things = [weakref.ref(thing) for _, thing in values]

    _are_gone(*things)


def test_a_subscription_of_an_actor_ends_with_it(start):
    before = len(event_stream.subscriptions)
    ref = start()
    subscribe(ref)

    kill(ref)

    assert len(event_stream.subscriptions) == before


def test_a_stream_that_was_forgotten_is_garbage_at_the_next_event(supervise):
    before = len(event_stream.subscriptions)
    stream = EventStream()
    supervise(Probe.child_spec(name="first"))
    event = weakref.ref(stream.take().ref.cell)
    del stream
    kill(whereis("first"))

    supervise()
    with EventStream() as other:
        supervise(Probe.child_spec(name="second"))
        other.take(LONGEST)
    del other  # the exit of the first may have come late, into this one

    assert len(event_stream.subscriptions) == before
    _are_gone(event)


def test_a_subscription_below_a_tree_that_is_gone_hears_no_more(supervise):
    before = len(event_stream.subscriptions)
    sup = Supervisor.start([Probe])
    process = weakref.ref(sup.cell)
    subscribe(print, below=sup)
    stop(sup)
    del sup
    _are_gone(process)

    supervise(Probe)

    assert len(event_stream.subscriptions) == before


def test_the_timers_to_an_actor_are_dropped_at_its_end(start):
    before = len(timers._timer_thread._heap)
    ref = start()
    made = [send_after(ref, "never", LONG) for _ in range(500)]

    kill(ref)

    assert len(timers._timer_thread._heap) - before < 500
    assert {cancel_timer(timer) for timer in made} == {None}
    assert ref.cell not in timers._timer_thread._by_cell


def test_a_timer_to_an_actor_that_has_ended_keeps_nothing(start):
    ref = start()
    kill(ref)
    thing = Thing()
    gone = weakref.ref(thing)

    timer = send_after(ref, thing, LONG)

    assert cancel_timer(timer) is None
    del thing, timer
    _are_gone(gone)


def test_a_timer_to_a_name_outlives_who_has_it(start, notes):
    first = start(name="heir")
    timer = send_after("heir", "legacy", LONG)

    kill(first)

    assert cancel_timer(timer) > LONG - LONGEST


def test_a_message_that_uses_timers_when_it_is_dropped_is_harmless(start):
    class Late:
        def __del__(self):
            cancel_timer(send_after(keeper, "never", LONG))

    keeper, ref = start(), Probe.start()
    for _ in range(100):
        send_after(ref, Late(), LONG)

    kill(ref)

    assert not timers._timer_thread._by_cell[keeper.cell]


class Thing:
    """Something that can be referred to weakly."""


def _are_gone(*references):
    def left():
        gc.collect()
        return [it for reference in references if (it := reference()) is not None]

    eventually(lambda: not left(), what=left)


STEPS_OF_A_START = {
    function.__code__
    for function in (
        GenServer._otp_launch.__func__,
        GenServer._otp_prepare.__func__,
        GenServer._otp_begin,
        GenServer._otp_join,
        ActorCell.be_child_of,
        names.register,
        names._take,
        pykka.ActorRegistry.register.__func__,
        pykka_registry.stop_at_exit,
    )
}


def is_killed_as_it_starts(number, start):
    """Start an actor named "it", and kill it by its name at the line *number* of its start.

    Return False if there are fewer lines.
    """
    lines, reasons = itertools.count(1), []

    def trace(frame, event, _arg):
        if frame.f_code not in STEPS_OF_A_START:
            return None
        if event == "line" and next(lines) == number and whereis("it"):
            kill(whereis("it"))
        return trace

    tracer = sys.gettrace()
    sys.settrace(trace)
    try:
        start(name="it")
    except StartError as error:
        reasons.append(error.reason)
    finally:
        sys.settrace(tracer)
    assert reasons in ([], [Killed()])
    return next(lines) > number


def by_an_actor(other):
    return lambda number: in_actor(other, is_killed_as_it_starts, number, Probe.start_link)


def by_nobody(_other):
    return lambda number: is_killed_as_it_starts(number, Probe.start)


@pytest.mark.parametrize("begin", [by_an_actor, by_nobody])
def test_one_that_is_killed_as_it_starts_is_listed_nowhere(other, begin):
    def listed():
        links = set(other.cell._links)
        return pykka.ActorRegistry.get_all(), set(living), set(pykka_registry._roots), links

    before, is_killed = listed(), begin(other)

    lines, is_through = 0, False
    while not is_through:
        lines += 1
        is_through = not is_killed(lines)
        if ref := whereis("it"):  # it had no name yet at that line
            stop(ref)
        eventually(lambda: listed() == before, what=listed)

    assert lines > 30
