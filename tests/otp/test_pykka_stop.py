"""pykka's ways to stop an actor, from within its own end, of all actors at once, and of trees.

After ``ActorRegistry.stop_all()`` all of a tree has stopped, and nobody comes back meanwhile."""

import itertools
import logging
import random
import threading

import pykka
import pytest
from probe import LONGEST, InThread, is_interrupted
from supervised import BOOM, Child, all_have_heard, eventually, kill, raise_anew

from antq_actors.otp import (
    IGNORE,
    ChildSpec,
    DynamicSupervisor,
    GenServer,
    Normal,
    OtpError,
    Strategy,
    Supervisor,
    call,
    cast,
    monitor,
    orphans,
    whereis,
)
from antq_actors.otp.actors import pykka_registry

# ---- one actor, and all of them -----------------------------------------------------------------


def stop_itself(me):
    return me.actor_ref.stop()


def stop_all(me):
    return pykka.ActorRegistry.stop_all()


def ask_itself(me):
    with pytest.raises(pykka.ActorDeadError) as dead:
        me.actor_ref.ask("anyone there")
    return str(dead.value)


def ask_itself_later(me):
    with pytest.raises(pykka.ActorDeadError) as dead:
        me.actor_ref.ask("anyone there", block=False).get()
    return str(dead.value)


def use_its_proxy(me):
    with pytest.raises(pykka.ActorDeadError) as dead:
        me._in_future.twice(2).get()
    return str(dead.value)


class Careless(GenServer):
    """Does in its last callback what can only hang."""

    def __init__(self, hook, what):
        super().__init__()
        self.hook, self.what, self.outcome = hook, what, []
        self._in_future = self.actor_ref.proxy()

    def handle_call(self, request):
        return self.outcome

    def handle_info(self, message):
        raise_anew(message)

    def twice(self, number):
        return 2 * number

    def on_stop(self):
        self._do("on_stop")

    def on_failure(self, *_args):
        self._do("on_failure")

    def terminate(self, reason):
        self._do("terminate")

    def _do(self, hook):
        if hook == self.hook:
            self.outcome.append(self.what(self))


@pytest.mark.parametrize(
    ("what", "answer"),
    [
        (stop_itself, False),
        (stop_all, [False]),
        (ask_itself, "{} not found"),
        (ask_itself_later, "{} not found"),
        (use_its_proxy, "{} not found"),
    ],
)
@pytest.mark.parametrize("hook", ["on_stop", "on_failure", "terminate"])
def test_in_its_last_callbacks_an_actor_finds_itself_gone(start, hook, what, answer):
    ref = start(hook, what, of=Careless)
    outcome = call(ref, "outcome")
    down = monitor(ref)

    if hook == "on_failure":
        ref.tell(ValueError("boom"))
    else:
        ref.stop(block=False)

    down.wait(LONGEST)
    assert outcome == [answer.format(ref) if isinstance(answer, str) else answer]


@pytest.mark.parametrize("number", [2, 3])
@pytest.mark.parametrize("hook", ["on_stop", "terminate"])
def test_actors_that_all_stop_all_actors_in_their_ends_do_not_wait_for_each_other(hook, number):
    refs = [Careless.start(hook, stop_all) for _ in range(number)]

    stopping = InThread(refs[0].stop)

    assert stopping.result() is True
    assert pykka.ActorRegistry.get_all() == []


def test_an_actor_that_asks_one_that_stops_it_does_not_wait_for_it(start, gate):
    class Stopping(GenServer):
        def on_stop(self):
            gate()
            other.stop()

    def ask_the_other(me):
        with pytest.raises(pykka.ActorDeadError):
            stopping.ask("anyone there")
        return "lives"

    other, stopping = start(), start(of=Stopping)
    end = stopping.stop(block=False)
    gate.wait_entered()

    asking = InThread(call, other, ask_the_other)

    assert asking.result() == "lives"
    gate.open()
    assert end.get(timeout=LONGEST) is True
    assert not other.is_alive()


def test_others_who_stop_it_meanwhile_wait_for_its_end(start, gate):
    class Slow(GenServer):
        def on_stop(self):
            gate()

    ref = start(of=Slow)
    stopping = [ref.stop(block=False)]
    gate.wait_entered()

    late = InThread(ref.stop)
    stopping.append(ref.stop(block=False))
    assert ref.is_alive()
    gate.open()

    assert late.result() is True
    assert [each.get(timeout=LONGEST) for each in stopping] == [True, True]
    assert not ref.is_alive()


# ---- stop_all() on trees ------------------------------------------------------------------------


UP, DOWN = "up", "down"


class Fragile(Child):
    """Crashes when it is cast anything, and calls what it is told."""

    def handle_cast(self, request):
        raise_anew(BOOM)

    def handle_info(self, message):
        message()


def complaints(caplog):
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]


# ---- a supervisor that hears late of a crash ----------------------------------------------------


class Holding:
    """Holds a supervisor in the start of a child, so that it hears of nothing until its release."""

    def __init__(self, sup, gate):
        self._gate = gate
        spec = ChildSpec("nobody", self._start_nobody)
        self._adding = InThread(sup.actor_class.start_child, sup, spec)
        gate.wait_entered()

    def _start_nobody(self):
        self._gate()
        return IGNORE

    def release(self):
        self._gate.open()
        assert self._adding.result() is IGNORE


@pytest.fixture
def hold(gate):
    return lambda sup: Holding(sup, gate)


@pytest.fixture(params=[*(strategy.name for strategy in Strategy), "dynamic"])
def sup(request, log):
    specs = [Fragile.child_spec(child_id, log, name=child_id) for child_id in "abc"]
    if request.param != "dynamic":
        return Supervisor.start(specs, strategy=Strategy[request.param])
    sup = DynamicSupervisor.start()
    DynamicSupervisor.start_children(sup, specs)
    return sup


@pytest.mark.parametrize("block", [True, False])
def test_what_crashed_before_stop_all_came_by_is_not_started_after_it(
    sup, log, hold, caplog, block
):
    end = monitor(sup)
    crashing, last = whereis("a"), whereis("c")
    log.take(3)
    holding = hold(sup)
    stopped = monitor(last)
    cast(crashing, "crash")
    eventually(lambda: all_have_heard(crashing.cell))
    stopping = InThread(pykka.ActorRegistry.stop_all, block=block)
    stopped.wait(LONGEST)
    holding.release()

    stopping.result()
    end.wait(LONGEST)
    assert {entry[:2] for entry in log.take(3)} == {(DOWN, "a"), (DOWN, "b"), (DOWN, "c")}
    assert log.is_empty()
    assert complaints(caplog) == [f"Unhandled exception in {crashing}:"]


def test_a_start_that_fails_during_a_restart_is_not_tried_again_during_stop_all(log, hold, caplog):
    plan = {}
    sup = Supervisor.start(
        [Fragile.child_spec(child_id, log, plan, name=child_id) for child_id in "ab"],
        max_restarts=10**6,
    )
    end, crashing, last = monitor(sup), whereis("a"), whereis("b")
    log.take(2)
    plan["a"] = "fail"
    cast(crashing, "crash")
    assert log.take(3)[1:] == [("fails", "a")] * 2  # it tries again and again
    holding = hold(sup)
    stopped = monitor(last)
    stopping = InThread(pykka.ActorRegistry.stop_all)
    stopped.wait(LONGEST)
    caplog.clear()
    holding.release()

    stopping.result()
    end.wait(LONGEST)
    assert complaints(caplog) == []


def two_branches(log):
    """Return a root with two branches, each of one leaf that has its name."""
    branches = [
        Supervisor.child_spec([Fragile.child_spec(leaf, log, name=leaf)], name=f"branch of {leaf}")
        for leaf in ("first", "last")
    ]
    return Supervisor.start(branches)


def test_a_branch_that_stop_all_has_not_come_to_starts_nobody_again(log, gate, caplog):
    end = monitor(two_branches(log))
    log.take(2)
    busy, crashing = whereis("last"), whereis("first")
    gate.hold(busy)
    stopping = InThread(pykka.ActorRegistry.stop_all)
    eventually(lambda: busy.cell.stopped_with_all)
    crashed = monitor(crashing)

    cast(crashing, "crash")
    crashed.wait(LONGEST)
    (left,) = Supervisor.which_children("branch of first")

    assert left.ref is None
    gate.open()
    stopping.result()
    assert end.wait(LONGEST).reason == Normal()
    assert [entry[:2] for entry in log.take(2)] == [(DOWN, "first"), (DOWN, "last")]
    assert complaints(caplog) == [f"Unhandled exception in {crashing}:"]


def test_stop_all_that_was_out_of_time_can_be_called_again(log, gate):
    end = monitor(two_branches(log))
    busy = whereis("last")
    gate.hold(busy)

    with pytest.raises(pykka.Timeout):
        pykka.ActorRegistry.stop_all(timeout=0.01)
    gate.open()
    pykka.ActorRegistry.stop_all()

    assert end.wait(LONGEST).reason == Normal()
    assert pykka.ActorRegistry.get_all() == []


def test_actors_that_stop_all_did_not_reach_are_supervised_as_before(log, gate):
    end = monitor(two_branches(log))
    log.take(2)
    gate.hold(whereis("last"))
    with pytest.raises(pykka.Timeout):
        pykka.ActorRegistry.stop_all(timeout=0.01)

    cast("first", "crash")

    assert [entry[:2] for entry in log.take(2)] == [(DOWN, "first"), (UP, "first")]
    gate.open()
    pykka.ActorRegistry.stop_all()
    end.wait(LONGEST)


def test_actors_that_an_interrupted_stop_all_did_not_reach_are_supervised(log):
    functions = (pykka_registry.stop_all, pykka_registry._note_stop)
    branch = Supervisor.child_spec([Fragile.child_spec("leaf", log, name="leaf")], max_restarts=100)
    Supervisor.start([branch])
    log.take(1)

    for number in itertools.count(1):
        assert is_interrupted(number, functions, pykka.ActorRegistry.stop_all)
        if (leaf := whereis("leaf")) is None:
            break
        cast(leaf, "crash")
        assert [entry[:2] for entry in log.take(2)] == [(DOWN, "leaf"), (UP, "leaf")]

    assert number > 3
    pykka.ActorRegistry.stop_all()


def test_stop_all_can_be_called_on_an_instance_as_a_class_method_can():
    assert pykka.ActorRegistry().stop_all() == []


# ---- a big tree that crashes everywhere ---------------------------------------------------------


def leaves(place, log, number):
    return [Fragile.child_spec(f"{place}/{i}", log, name=f"{place}/{i}") for i in range(number)]


def a_branch(place, log, strategy):
    children = leaves(place, log, 5)
    if "/" not in place:
        children[2:2] = [a_branch(f"{place}/{each.name}", log, each) for each in Strategy]
    return Supervisor.child_spec(
        children, id=place, strategy=strategy, max_restarts=20, max_seconds=0.1
    )


def a_big_tree(log):
    """Return the root of 13 supervisors of all strategies and 90 leaves."""
    branches = [a_branch(each.name, log, each) for each in Strategy]
    pool = DynamicSupervisor.child_spec(name="pool", max_restarts=10**6)
    root = Supervisor.start([*branches, pool], name="root", max_restarts=10**6)
    DynamicSupervisor.start_children("pool", leaves("pool", log, 25))
    return root


class Vandals:
    """Threads that crash and kill leaves, and kill supervisors, until they are told to stop."""

    def __init__(self, seed):
        self._seed = seed
        self._done = threading.Event()
        self._harm = threading.Semaphore(0)
        self._threads = []

    def begin(self):
        self._threads = [InThread(self._rage, f"{self._seed}, {number}") for number in range(3)]

    def wait_for_harm(self, times):
        for _ in range(times):
            assert self._harm.acquire(timeout=LONGEST)

    def stop(self):
        self._done.set()
        for thread in self._threads:
            thread.result()

    def _rage(self, seed):
        chance = random.Random(seed)  # noqa: S311 - as repeatable as threads are
        while not self._done.is_set():
            all_leaves = pykka.ActorRegistry.get_by_class(Fragile)
            for ref in chance.sample(all_leaves, min(3, len(all_leaves))):
                self._harm_one(ref, chance.random())
                self._harm.release()
            self._done.wait(0.001)  # or nobody else would get a word in

    def _harm_one(self, ref, how):
        try:
            if how < 0.7:
                call(ref, BOOM)
            elif how < 0.97:
                kill(ref)
            else:
                kill(ref.cell.parent)
        except OtpError:
            return  # it was down already


@pytest.fixture
def vandals(request):
    vandals = Vandals(request.param)
    yield vandals
    vandals.stop()


@pytest.mark.parametrize("block", [True, False])
@pytest.mark.parametrize("vandals", range(2), indirect=True)
def test_a_big_tree_stops_with_all_others_while_it_crashes_everywhere(log, caplog, vandals, block):
    root = a_big_tree(log)
    end = monitor(root)
    vandals.begin()
    vandals.wait_for_harm(40)

    stopped = InThread(pykka.ActorRegistry.stop_all, block=block).result()

    assert end.wait(LONGEST).reason == Normal()
    eventually(lambda: not pykka.ActorRegistry.get_all())
    vandals.stop()
    assert block is False or set(stopped) <= {True, False}
    assert pykka.ActorRegistry.get_all() == []
    assert [line for line in complaints(caplog) if "Normal()" in line] == []
    eventually(lambda: not orphans())
