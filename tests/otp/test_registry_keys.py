"""Registry: who has which key, with which value, for any thread to read (otp rule 64)."""

import threading

import pytest
from probe import Probe, in_actor, raising

from antq_actors.otp import (
    AlreadyRegistered,
    AlreadyStarted,
    NotFound,
    PartitionSupervisor,
    Registry,
    UnknownRegistry,
    Via,
    call,
    stop,
    whereis,
)

# ---- keys -------------------------------------------------------------------------------------


def test_an_actor_is_found_under_its_key_until_it_takes_itself_off(shop, start):
    ref = start()

    in_actor(ref, Registry.register, shop, "clerk", 3)

    assert Registry.lookup(shop, "clerk") == [(ref, 3)]
    in_actor(ref, Registry.unregister, shop, "clerk")
    assert Registry.lookup(shop, "clerk") == []
    assert Registry.count(shop) == 0


def test_without_a_value_it_is_none(shop, start):
    ref = start()

    in_actor(ref, Registry.register, shop, "clerk")

    assert Registry.lookup(shop, "clerk") == [(ref, None)]


def test_keys_are_unique_unless_it_is_said_otherwise(start, registrant):
    registry = start(of=Registry)
    registrant(registry, "clerk")

    with pytest.raises(AlreadyRegistered):
        registrant(registry, "clerk")


@pytest.mark.rule(64)
def test_a_unique_key_has_one_actor_and_the_error_says_which(shop, registrant, start):
    holder, other = registrant(shop, "clerk"), start()

    with pytest.raises(AlreadyRegistered, match="the key 'clerk' of shop is taken") as taken:
        in_actor(other, Registry.register, shop, "clerk")

    assert taken.value.ref is holder
    assert Registry.lookup(shop, "clerk") == [(holder, None)]
    assert Registry.keys(shop, other) == []


def test_a_unique_key_cannot_be_had_twice_by_one_actor_either(shop, registrant):
    holder = registrant(shop, "clerk", "first")

    with pytest.raises(AlreadyRegistered) as taken:
        in_actor(holder, Registry.register, shop, "clerk", "second")

    assert taken.value.ref is holder
    assert Registry.lookup(shop, "clerk") == [(holder, "first")]


@pytest.mark.rule(64)
def test_a_duplicate_key_has_many_actors_the_first_registered_first(topics, registrant):
    refs = [registrant(topics, "news", number) for number in range(5)]

    assert Registry.lookup(topics, "news") == list(zip(refs, range(5), strict=True))


def test_an_actor_may_have_a_duplicate_key_twice_and_gives_both_up_at_once(topics, registrant):
    ref, other = registrant(topics, "news", 1), registrant(topics, "news")
    in_actor(ref, Registry.register, topics, "news", 2)

    assert Registry.keys(topics, ref) == ["news", "news"]
    assert Registry.values(topics, "news", ref) == [1, 2]
    in_actor(ref, Registry.unregister, topics, "news")

    assert Registry.lookup(topics, "news") == [(other, None)]


def test_taking_oneself_off_a_key_that_is_anothers_or_nobodys_does_nothing(shop, registrant):
    holder, other = registrant(shop, "clerk"), registrant(shop, "cook")

    for key in ("clerk", "nobody's"):
        in_actor(other, Registry.unregister, shop, key)

    assert Registry.lookup(shop, "clerk") == [(holder, None)]
    assert Registry.keys(shop, other) == ["cook"]


@pytest.mark.rule(64)
@pytest.mark.parametrize(
    "act",
    [
        lambda: Registry.register("shop", "clerk"),
        lambda: Registry.unregister("shop", "clerk"),
        lambda: Registry.update_value("shop", "clerk", str),
    ],
)
def test_only_an_actor_can_act_for_itself(shop, act):
    with pytest.raises(RuntimeError, match="for actors"):
        act()

    assert Registry.count(shop) == 0


@pytest.mark.parametrize("keys", ["unique", "duplicate"])
def test_a_key_that_cannot_be_hashed_is_refused_and_leaves_no_trace(start, keys):
    registry, ref = start(keys, of=Registry), start()

    with pytest.raises(TypeError, match=r"a key must be hashable, got \['clerk'\]"):
        in_actor(ref, Registry.register, registry, ["clerk"])

    assert Registry.count(registry) == 0
    assert Registry.keys(registry, ref) == []


def test_two_registries_know_nothing_of_each_other(shop, topics, registrant):
    ref = registrant(shop, "clerk")

    assert Registry.lookup(topics, "clerk") == []
    in_actor(ref, Registry.register, topics, "clerk")
    in_actor(ref, Registry.unregister, shop, "clerk")
    assert Registry.lookup(topics, "clerk") == [(ref, None)]


# ---- values -----------------------------------------------------------------------------------


def test_a_value_is_updated_by_a_function_of_it(shop, registrant):
    ref = registrant(shop, "clerk", 1)

    assert in_actor(ref, Registry.update_value, shop, "clerk", lambda value: value + 1) == 2

    assert Registry.lookup(shop, "clerk") == [(ref, 2)]


@pytest.mark.parametrize("key", ["another's", "nobody's"])
def test_a_value_of_anothers_or_nobodys_key_is_not_found(shop, registrant, key):
    holder, other = registrant(shop, "another's", 1), registrant(shop, "mine", 1)

    with pytest.raises(NotFound, match=key):
        in_actor(other, Registry.update_value, shop, key, str)

    assert Registry.values(shop, "another's", holder) == [1]


def test_of_a_duplicate_key_there_is_no_value_to_update(topics, registrant):
    ref = registrant(topics, "news", 1)

    with pytest.raises(ValueError, match="unique"):
        in_actor(ref, Registry.update_value, topics, "news", str)


def test_an_update_that_fails_leaves_the_value(shop, registrant):
    ref = registrant(shop, "clerk", 1)

    with pytest.raises(ZeroDivisionError):
        in_actor(ref, Registry.update_value, shop, "clerk", lambda value: value / 0)

    assert Registry.values(shop, "clerk", ref) == [1]


def test_an_update_may_use_the_registry(shop, registrant):
    ref = registrant(shop, "clerk", 1)

    in_actor(ref, Registry.update_value, shop, "clerk", lambda value: [value, Registry.count(shop)])

    assert Registry.values(shop, "clerk", ref) == [[1, 1]]


def test_values_are_those_of_one_key_and_one_actor(topics, registrant):
    ref = registrant(topics, "news", 1)
    registrant(topics, "news", 2)
    in_actor(ref, Registry.register, topics, "weather", 3)

    assert Registry.values(topics, "news", ref) == [1]
    assert Registry.values(topics, "sports", ref) == []


# ---- asking -----------------------------------------------------------------------------------


def test_the_keys_of_an_actor_are_its_own_in_the_order_in_which_it_took_them(shop, registrant):
    ref, other = registrant(shop, "b"), registrant(shop, "c")
    in_actor(ref, Registry.register, shop, "a")

    assert Registry.keys(shop, ref) == ["b", "a"]
    stop(other)
    assert Registry.keys(shop, other) == []


@pytest.mark.parametrize("whose", ["clerk", None, Probe])
def test_keys_and_values_are_asked_for_with_a_ref(shop, whose):
    with pytest.raises(TypeError, match="ServerRef"):
        Registry.keys(shop, whose)
    with pytest.raises(TypeError, match="ServerRef"):
        Registry.values(shop, "clerk", whose)


def test_dispatch_hands_all_that_have_the_key_to_a_function_in_this_thread(topics, registrant):
    refs = [registrant(topics, "news", number) for number in range(3)]
    registrant(topics, "weather")
    calls = []

    Registry.dispatch(
        topics, "news", lambda pairs: calls.append((pairs, threading.current_thread()))
    )

    assert calls == [(list(zip(refs, range(3), strict=True)), threading.current_thread())]


def test_dispatch_to_a_key_that_nobody_has_calls_nothing(topics):
    assert Registry.dispatch(topics, "news", raising(AssertionError())) is None


def test_what_is_published_reaches_each_subscriber_and_nobody_else(topics, registrant):
    subscribers = [registrant(topics, "news") for _ in range(3)]
    other = registrant(topics, "weather")

    def publish(pairs):
        for ref, _value in pairs:
            ref.tell("heard")

    Registry.dispatch(topics, "news", publish)

    for ref in subscribers:
        assert call(ref, lambda me: me.notes.take(1)) == ["heard"]
    assert call(other, lambda me: me.notes.is_empty())


def test_dispatch_holds_nothing_while_it_calls(topics, registrant):
    ref = registrant(topics, "news")

    in_actor(
        ref,
        Registry.dispatch,
        topics,
        "news",
        lambda _pairs: Registry.unregister(topics, "news"),
    )

    assert Registry.lookup(topics, "news") == []


def test_what_the_function_of_a_dispatch_raises_goes_to_who_dispatched(topics, registrant):
    registrant(topics, "news")

    with pytest.raises(ZeroDivisionError):
        Registry.dispatch(topics, "news", raising(ZeroDivisionError()))


def test_registrations_are_counted_not_actors_nor_keys(topics, registrant):
    ref = registrant(topics, "news")
    registrant(topics, "news")
    in_actor(ref, Registry.register, topics, "weather")

    assert Registry.count(topics) == 3


def test_a_selection_is_all_registrations_for_which_the_predicate_holds(shop, registrant):
    refs = [registrant(shop, f"clerk {number}", number) for number in range(4)]

    chosen = Registry.select(
        shop, lambda key, ref, value: key != "clerk 1" and ref is not refs[2] and value < 3
    )

    assert chosen == [("clerk 0", refs[0], 0)]


def test_a_predicate_may_use_the_registry(shop, registrant):
    ref = registrant(shop, "clerk")

    chosen = Registry.select(shop, lambda key, ref, _value: Registry.keys(shop, ref) == [key])

    assert chosen == [("clerk", ref, None)]


def test_nothing_waits_for_a_busy_registry(start, gate, registrant):
    class Busy(Registry):
        def handle_info(self, message):
            message()

    registry = start(of=Busy)
    gate.hold(registry)

    ref = registrant(registry, "clerk", 1)

    assert Registry.lookup(registry, "clerk") == [(ref, 1)]
    assert Registry.count(registry) == 1


# ---- which registry ---------------------------------------------------------------------------

EVERYTHING = {
    "register": lambda registry: Registry.register(registry, "key"),
    "unregister": lambda registry: Registry.unregister(registry, "key"),
    "update_value": lambda registry: Registry.update_value(registry, "key", str),
    "lookup": lambda registry: Registry.lookup(registry, "key"),
    "keys": lambda registry: Registry.keys(registry, whereis("somebody")),
    "values": lambda registry: Registry.values(registry, "key", whereis("somebody")),
    "dispatch": lambda registry: Registry.dispatch(registry, "key", print),
    "count": Registry.count,
    "select": lambda registry: Registry.select(registry, print),
    "lock": lambda registry: Registry.lock(registry, "key", print),
}


@pytest.mark.parametrize("act", EVERYTHING.values(), ids=EVERYTHING)
def test_everything_says_that_there_is_no_such_registry(act, shop, start):
    somebody, ended = start(name="somebody"), start(of=Registry)
    stop(ended)
    start(Probe, partitions=1, of=PartitionSupervisor, name="partitions")

    for registry in ("nobody", ended, "somebody", "partitions", Via("shop", "nobody")):
        with pytest.raises(UnknownRegistry, match="registry"):
            in_actor(somebody, act, registry)


@pytest.mark.parametrize("act", EVERYTHING.values(), ids=EVERYTHING)
def test_what_cannot_name_a_registry_is_a_type_error(act, start):
    somebody = start(name="somebody")

    with pytest.raises(TypeError, match="destination"):
        in_actor(somebody, act, 7)


def test_a_registry_may_be_given_by_ref_by_name_or_by_via(shop, start, registrant):
    inner = start(of=Registry, name=Via(shop, "inner"))

    ref = registrant(Via("shop", "inner"), "clerk")

    for registry in (inner, Via("shop", "inner"), Via(shop, "inner")):
        assert Registry.lookup(registry, "clerk") == [(ref, None)]
    assert Registry.lookup("shop", "inner") == [(inner, None)]


@pytest.mark.parametrize(
    ("keys", "error"),
    [("many", ValueError), ("", ValueError), (None, TypeError), (["unique"], TypeError)],
)
def test_keys_that_are_neither_unique_nor_duplicate_are_refused(keys, error):
    with pytest.raises(error, match=r"keys must be 'unique' or 'duplicate', got"):
        Registry.start(keys=keys, name="shop")

    assert whereis("shop") is None


@pytest.mark.rule(61)
def test_a_registrys_own_name_is_one_like_any_other(shop):
    with pytest.raises(AlreadyStarted) as taken:
        Registry.start(name="shop")

    assert taken.value.ref is shop
