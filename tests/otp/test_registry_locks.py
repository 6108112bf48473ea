"""Locks of a registry: one at a time, actors and plain threads alike, in the order they came."""

import time

import pytest
from probe import Gate, InThread, answering, in_actor, raising
from supervised import eventually, kill

from antq_actors.otp import (
    CallCycle,
    CallExit,
    Killed,
    Registry,
    Supervisor,
    UnknownRegistry,
    call,
    orphans,
    stop,
    whereis,
)


@pytest.fixture
def shop(start):
    registry = start(of=Registry, name="shop")
    yield registry
    assert registry.cell.directory.locks._lines == {}


@pytest.fixture
def gates():
    """Make gates that open at the latest when the test is over."""
    made = []

    def make():
        made.append(Gate())
        return made[-1]

    yield make
    for gate in made:
        gate.open()


def in_line(registry, key):
    """How many hold the lock of *key* or wait for it."""
    return len(registry.cell.directory.locks._lines.get(key, ()))


def lock_in(ref, key, fn):
    """Have the Probe *ref* run *fn* under the lock of *key*, and do not wait for that."""
    ref.tell(lambda _me: Registry.lock("shop", key, fn))


def locked_in(ref, key, gate):
    """The same, with a *gate* for *fn*; it is held when this returns."""
    lock_in(ref, key, gate)
    gate.wait_entered()


# ---- one at a time ----------------------------------------------------------------------------


def test_the_answer_is_that_of_the_function(shop, start):
    assert Registry.lock(shop, "till", answering(3)) == 3
    assert in_actor(start(), Registry.lock, shop, "till", answering(4)) == 4


def test_what_the_function_raises_goes_to_the_caller_and_the_lock_is_free(shop, start):
    for lock in (Registry.lock, lambda *args: in_actor(start(), Registry.lock, *args)):
        with pytest.raises(ZeroDivisionError):
            lock(shop, "till", raising(ZeroDivisionError()))

    assert Registry.lock(shop, "till", answering("free")) == "free"


def test_of_actors_and_plain_threads_one_at_a_time_is_inside(shop, start):
    inside, most = [], []

    def enter():
        inside.append(None)
        time.sleep(0)  # lets another one in, if anything does
        most.append(len(inside))
        inside.pop()

    def enter_often():
        for _ in range(50):
            Registry.lock(shop, "till", enter)

    threads = [InThread(enter_often) for _ in range(3)]
    actors = [InThread(in_actor, start(), enter_often) for _ in range(3)]
    for each in threads + actors:
        each.result()

    assert most == [1] * 300


def test_those_who_wait_get_in_in_the_order_in_which_they_came(shop, start, notes, gate):
    holding = InThread(Registry.lock, shop, "till", gate)
    gate.wait_entered()
    waiting = []
    for number in range(6):
        enter = lambda number=number: notes.add(number)  # noqa: E731 - one for each
        if number % 2:
            lock_in(start(), "till", enter)
        else:
            waiting.append(InThread(Registry.lock, shop, "till", enter))
        eventually(lambda number=number: in_line(shop, "till") == number + 2)

    assert notes.is_empty()
    gate.open()

    assert notes.take(6) == list(range(6))
    for each in (holding, *waiting):
        each.result()
    eventually(lambda: in_line(shop, "till") == 0)


def test_another_key_is_another_lock_and_none_is_a_registered_key(shop, start, gate):
    holder = start()
    locked_in(holder, "till", gate)
    other = start()

    assert in_actor(other, Registry.lock, shop, "door", answering("in")) == "in"
    in_actor(other, Registry.register, shop, "till")

    assert Registry.keys(shop, other) == ["till"]
    assert Registry.keys(shop, holder) == []
    gate.open()
    call(holder, answering(None))


def test_locks_of_two_registries_are_two_locks(shop, start):
    other = start(of=Registry)

    inside = Registry.lock(shop, "till", lambda: Registry.lock(other, "till", answering("in both")))

    assert inside == "in both"


# ---- re-entry ---------------------------------------------------------------------------------


def test_who_has_a_lock_cannot_take_it_again_and_keeps_it(shop, start, gate):
    def twice():
        with pytest.raises(RuntimeError, match=r"the lock 'till' is held by .* already"):
            Registry.lock(shop, "till", answering(None))
        return in_line(shop, "till")

    assert Registry.lock(shop, "till", twice) == 1
    assert in_actor(start(), Registry.lock, shop, "till", twice) == 1

    assert in_line(shop, "till") == 0


def test_who_has_a_lock_can_take_another(shop, start):
    def nested():
        return Registry.lock(shop, "door", answering("in"))

    assert Registry.lock(shop, "till", nested) == "in"
    assert in_actor(start(), Registry.lock, shop, "till", nested) == "in"


# ---- kills ------------------------------------------------------------------------------------


def test_a_killed_holder_gives_its_locks_up_though_its_thread_goes_on(shop, start, gate):
    holder = start()
    holder.tell(lambda _me: Registry.lock(shop, "door", lambda: Registry.lock(shop, "till", gate)))
    gate.wait_entered()
    waiting = InThread(Registry.lock, shop, "till", answering("in"))
    eventually(lambda: in_line(shop, "till") == 2)

    kill(holder)

    assert waiting.result() == "in"
    assert Registry.lock(shop, "door", answering("in")) == "in"
    eventually(lambda: len(orphans()) == 1)  # a killed one of another test may be ending
    gate.open()


@pytest.mark.rule(62)
def test_its_locks_are_free_when_its_end_is_heard_of(shop, start, gate):
    holder, seen = start(), []
    locked_in(holder, "till", gate)
    holder.cell.watch("seen", lambda _ref, _reason: seen.append(in_line(shop, "till")))

    kill(holder)

    assert seen == [0]
    gate.open()


def test_one_that_is_killed_while_it_waits_never_gets_in_and_holds_nobody_up(
    shop, start, notes, gate
):
    holder, killed, last = start(), start(), start()
    locked_in(holder, "till", gate)
    for number, ref in enumerate((killed, last)):
        lock_in(ref, "till", lambda ref=ref: notes.add(ref))
        eventually(lambda number=number: in_line(shop, "till") == number + 2)

    kill(killed)
    assert in_line(shop, "till") == 2
    assert notes.is_empty()
    gate.open()

    assert notes.take(1) == [last]
    eventually(lambda: not orphans())
    assert notes.is_empty()


def test_one_that_is_dead_cannot_take_a_lock(shop, start, gate, notes):
    ref = start()

    def lock_late(_me):
        gate()
        try:
            Registry.lock(shop, "till", answering(None))
        except CallExit as fenced:
            notes.add(fenced.reason)

    ref.tell(lock_late)
    gate.wait_entered()
    kill(ref)
    gate.open()

    assert notes.take(1) == [Killed()]


# ---- rings ------------------------------------------------------------------------------------


def test_a_ring_of_two_that_wait_for_each_others_locks_is_a_call_cycle(shop, start, gates):
    one, two = start(), start()
    gate = gates()

    def hold_and_want(mine, others):
        def want():
            gate()
            return Registry.lock(shop, others, answering(f"both {mine} and {others}"))

        return Registry.lock(shop, mine, want)

    asked = [
        InThread(in_actor, one, hold_and_want, "till", "door"),
        InThread(in_actor, two, hold_and_want, "door", "till"),
    ]
    gate.wait_entered()
    gate.wait_entered()
    gate.open()

    outcomes = [_outcome(each) for each in asked]

    (cycle,) = [each for each in outcomes if isinstance(each, CallCycle)]
    assert cycle.path[0] is cycle.path[-1]
    assert set(cycle.path) == {one, two}
    (answer,) = [each for each in outcomes if not isinstance(each, CallCycle)]
    assert answer.startswith("both ")


def test_a_ring_through_the_line_of_one_lock_is_a_call_cycle(shop, start, gate):
    """One waits behind two, two behind three, and three wants what one holds."""
    one, two, three = start(), start(), start()

    def want(key):
        gate()
        return Registry.lock(shop, key, answering("in"))

    asked = InThread(in_actor, three, Registry.lock, shop, "till", lambda: want("door"))
    gate.wait_entered()
    lock_in(two, "till", answering(None))
    eventually(lambda: in_line(shop, "till") == 2)
    lock_in(one, "door", lambda: Registry.lock(shop, "till", answering(None)))
    eventually(lambda: in_line(shop, "till") == 3)
    gate.open()

    with pytest.raises(CallCycle) as cycle:
        asked.result()

    assert cycle.value.path == [three, one, two, three]
    for ref in (one, two, three):
        assert call(ref, answering("lives")) == "lives"


def test_of_a_call_and_a_lock_that_wait_for_each_other_the_call_fails(shop, start, gate, notes):
    holder, wants = start(), start()

    def ask():
        gate()
        return call(wants, answering("never"), timeout=None)

    asked = InThread(in_actor, holder, Registry.lock, shop, "till", ask)
    gate.wait_entered()
    lock_in(wants, "till", lambda: notes.add("in"))
    eventually(lambda: in_line(shop, "till") == 2)
    gate.open()

    with pytest.raises(CallCycle) as cycle:
        asked.result()

    assert set(cycle.value.path) == {holder, wants}
    assert notes.take(1) == ["in"]
    call(wants, answering(None))


def test_who_starts_one_that_needs_its_lock_to_begin_hears_of_the_ring(shop, start):
    starter = start()

    def start_inside():
        return start(init=lambda _me: Registry.lock(shop, "till", answering(None)))

    with pytest.raises(Exception, match="did not start") as failed:
        in_actor(starter, Registry.lock, shop, "till", start_inside)

    assert isinstance(failed.value.__cause__, CallCycle)
    assert call(starter, answering("lives")) == "lives"


def _outcome(running):
    try:
        return running.result()
    except CallCycle as cycle:
        return cycle


# ---- the registry -----------------------------------------------------------------------------


@pytest.mark.parametrize("end", [kill, stop], ids=["killed", "stopped"])
def test_who_waits_when_the_registry_ends_is_told_and_who_is_inside_goes_on(shop, start, gate, end):
    holding = InThread(Registry.lock, shop, "till", gate)
    gate.wait_entered()
    waiting = [InThread(Registry.lock, shop, "till", answering("never")) for _ in range(2)]
    waiting.append(InThread(in_actor, start(), Registry.lock, shop, "till", answering("never")))
    eventually(lambda: in_line(shop, "till") == 4)

    end(shop)

    for each in waiting:
        with pytest.raises(UnknownRegistry, match="ended while the lock 'till' was waited for"):
            each.result()
    gate.open()
    assert holding.result() == "through"


def test_a_registry_that_is_just_ending_gives_no_lock(shop, notes):
    locks = shop.cell.directory.locks
    kill(shop)

    with pytest.raises(UnknownRegistry), locks.held("till"):
        notes.add("in")

    assert notes.is_empty()


def test_the_next_registry_begins_with_free_locks(supervise, gate):
    supervise(Registry.child_spec(name="shop"))
    first = whereis("shop")
    holding = InThread(Registry.lock, "shop", "till", gate)
    gate.wait_entered()

    kill(first)
    eventually(lambda: whereis("shop") not in (None, first))

    assert Registry.lock("shop", "till", answering("in")) == "in"
    gate.open()
    holding.result()


def test_who_only_locks_is_no_registrant_and_outlives_the_registry(shop, start):
    ref = start()
    in_actor(ref, Registry.lock, shop, "till", answering(None))

    kill(shop)

    assert call(ref, answering("lives")) == "lives"


def test_a_lock_key_that_cannot_be_hashed_is_a_type_error_and_leaves_nothing(shop):
    with pytest.raises(TypeError, match="a key must be hashable"):
        Registry.lock(shop, ["till"], answering(None))


def test_a_lock_can_keep_two_from_starting_one_child(shop, supervise):
    """The use it is made for: look, and act on it, with nobody in between."""
    sup = supervise()

    def start_unless_there():
        if not Supervisor.which_children(sup):
            Supervisor.start_child(sup, Registry.child_spec(name="once"))
        return len(Supervisor.which_children(sup))

    wanting = [InThread(Registry.lock, shop, "once", start_unless_there) for _ in range(4)]

    assert [each.result() for each in wanting] == [1] * 4
