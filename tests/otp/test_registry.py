"""Registry: who has which key, with which value, for any thread to read (otp rule 64).

Entries are gone before anyone hears of an end, and who has lost its registry ends, too."""

import threading

import pytest
from probe import LONGEST, InThread, Probe, answering, in_actor, raising
from supervised import BOOM, eventually, kill, raise_anew

from antq_actors.otp import (
    IGNORE,
    AlreadyRegistered,
    AlreadyStarted,
    CallExit,
    Crash,
    Exited,
    GenServer,
    Killed,
    Normal,
    NotFound,
    PartitionSupervisor,
    Registry,
    Shutdown,
    StartError,
    Stop,
    Strategy,
    Supervisor,
    UnknownRegistry,
    Via,
    call,
    exit,  # noqa: A004 - OTP's name
    link,
    monitor,
    orphans,
    stop,
    trap_exit,
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


# ---- ends ---------------------------------------------------------------------------------------


WAYS_TO_END = {
    "stopped": stop,
    "shut down": lambda ref: exit(ref, Shutdown()),
    "killed": kill,
    "crashed": lambda ref: ref.tell(_raise),
    "stopped by pykka": lambda ref: ref.stop(),
}


def _raise(_me):
    raise_anew(BOOM)


class Witness(Probe):
    """Notes of each Down and Exited what the registry still knew of the actor."""

    def handle_info(self, message):
        if callable(message):
            message(self)
            return
        known = Registry.lookup("shop", "clerk"), Registry.keys("shop", message.ref)
        self.notes.add((type(message).__name__, known, whereis(Via("shop", "clerk"))))


def _watch(_me, ref):
    trap_exit(on=True)
    monitor(ref)
    link(ref)


# ---- who is registered ends -------------------------------------------------------------------


@pytest.mark.rule(62)
@pytest.mark.parametrize("end", WAYS_TO_END.values(), ids=WAYS_TO_END)
def test_an_entry_is_gone_when_the_down_and_the_exited_arrive(shop, start, registrant, notes, end):
    for _ in range(20):
        witness, ref = start(notes, of=Witness), registrant()
        call(witness, lambda me, ref=ref: _watch(me, ref))

        end(ref)

        nothing = (([], []), None)
        assert notes.take(2) == [("Down", *nothing), ("Exited", *nothing)]


@pytest.mark.rule(62)
def test_an_entry_is_gone_when_a_caller_hears_of_the_end(shop, registrant):
    for _ in range(50):
        ref = registrant()

        with pytest.raises(CallExit):
            call(ref, _raise)

        assert Registry.lookup(shop, "clerk") == []
        assert Registry.count(shop) == 0


@pytest.mark.rule(63)
def test_a_holder_that_is_just_ending_is_not_found_and_its_key_is_free(shop, start, gate):
    class Slow:
        def on_exit(self, process):
            gate()

    old, new = start(), start()
    old.cell.add_cleanup(Slow())  # before the registry, which so lets go after it
    in_actor(old, Registry.register, shop, "clerk", "old")
    ending = InThread(kill, old)
    gate.wait_entered()

    assert Registry.lookup(shop, "clerk") == []
    assert Registry.keys(shop, old) == []
    assert Registry.count(shop) == 0
    assert Registry.select(shop, answering("yes")) == []
    assert whereis(Via(shop, "clerk")) is None
    in_actor(new, Registry.register, shop, "clerk", "new")
    gate.open()
    ending.result()

    assert Registry.lookup(shop, "clerk") == [(new, "new")]


def test_the_end_of_a_registrant_is_none_of_its_registry(shop, registrant):
    for end in WAYS_TO_END.values():
        ref = registrant()
        watch = monitor(ref)
        end(ref)
        watch.wait(LONGEST)

    assert shop.cell.reason is None
    assert len(shop.cell.mailbox) == 0


@pytest.mark.rule(62)
def test_of_one_that_ended_nothing_is_kept_when_its_end_is_heard_of(shop, registrant):
    table, ref, seen = shop.cell.directory, registrant(), []
    ref.cell.watch(
        "seen",
        lambda _ref, _reason: seen.append(
            (dict(table._by_key), dict(table._by_cell), dict(shop.cell._links))
        ),
    )

    kill(ref)

    assert seen == [({}, {}, {})]


@pytest.mark.parametrize("keys", ["unique", "duplicate"])
def test_one_that_is_killed_while_it_registers_leaves_nothing_behind(start, keys):
    registry, ref = start(keys, of=Registry), start()
    link = registry.cell.link

    def link_to_one_that_is_killed_just_now(process):
        InThread(kill, ref).result()
        return link(process)

    registry.cell.link = link_to_one_that_is_killed_just_now
    with pytest.raises(CallExit) as ended:
        in_actor(ref, Registry.register, registry, "clerk")

    assert ended.value.reason == Killed()
    eventually(lambda: not orphans())  # its thread has gone on to the end
    assert registry.cell._links == {}
    assert registry.cell.directory._by_key == {}


def test_values_that_do_something_when_they_go_may_use_the_registry(start, notes):
    topics = start("duplicate", of=Registry)

    class Value:
        def __del__(self):
            notes.add(Registry.count(topics))

    def register_two(_me):
        for _ in range(2):
            Registry.register(topics, "news", Value())

    dies, leaves = start(), start()
    call(dies, register_two)
    InThread(kill, dies).result()
    assert notes.take(2) == [0, 0]

    call(leaves, register_two)
    in_actor(leaves, Registry.unregister, topics, "news")
    assert notes.take(2) == [0, 0]


@pytest.mark.parametrize(
    ("init", "started"),
    [
        (lambda me: IGNORE, None),
        (_raise, StartError),
        (lambda me: _refuse(), StartError),
    ],
    ids=["ignored", "crashed", "refused"],
)
def test_what_does_not_start_holds_no_key_when_its_starter_hears_of_it(shop, start, init, started):
    for _ in range(20):
        name = Via("shop", "clerk")
        if started is None:
            assert start(name=name, init=init) is IGNORE
        else:
            with pytest.raises(started):
                start(name=name, init=init)

        assert Registry.count(shop) == 0


def _refuse():
    raise Stop(Shutdown())


# ---- the registry ends ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (kill, Killed()),
        (lambda ref: stop(ref, Shutdown()), Shutdown()),
        (lambda ref: stop(ref, Crash(BOOM)), Crash(BOOM)),
    ],
    ids=["killed", "shut down", "crashed"],
)
def test_who_has_lost_his_registrations_ends_with_the_reason_of_the_registry(
    shop, registrant, start, end, reason
):
    lost, named = registrant(), start(name=Via("shop", "cook"))
    watches = [monitor(lost), monitor(named)]

    end(shop)

    assert [watch.wait(LONGEST).reason for watch in watches] == [reason, reason]


def test_who_traps_exits_is_told_that_the_registry_has_ended(shop, start, notes):
    ref = start(notes)
    in_actor(ref, trap_exit, on=True)
    in_actor(ref, Registry.register, shop, "clerk")

    kill(shop)

    assert notes.take(1) == [Exited(shop, Killed())]
    assert call(ref, answering("lives")) == "lives"


def test_the_normal_end_of_a_registry_ends_nobody(shop, registrant):
    ref = registrant()

    stop(shop)

    assert call(ref, answering("lives")) == "lives"
    with pytest.raises(UnknownRegistry):
        Registry.keys(shop, ref)


def test_who_is_registered_no_more_does_not_end_with_the_registry(shop, registrant):
    ref, still_there = registrant(key="clerk"), registrant(key="cook")
    in_actor(still_there, Registry.register, shop, "waiter")
    for each, key in ((ref, "clerk"), (still_there, "waiter")):
        in_actor(each, Registry.unregister, shop, key)
    watch = monitor(still_there)

    kill(shop)

    assert watch.wait(LONGEST).reason == Killed()
    assert call(ref, answering("lives")) == "lives"


def test_one_that_failed_to_register_does_not_end_with_the_registry(shop, registrant, start):
    holder, late = registrant(), start()
    with pytest.raises(Exception, match="taken"):
        in_actor(late, Registry.register, shop, "clerk")
    watch = monitor(holder)

    kill(shop)

    watch.wait(LONGEST)
    assert call(late, answering("lives")) == "lives"


@pytest.mark.parametrize("linked_by", ["its start", "hand"])
def test_a_link_to_the_registry_outlasts_the_registrations(start, notes, linked_by):
    ref = start(notes)
    in_actor(ref, trap_exit, on=True)
    if linked_by == "hand":
        registry = start(of=Registry)
        in_actor(ref, link, registry)
    else:
        registry = in_actor(ref, Registry.start_link)
    in_actor(ref, Registry.register, registry, "clerk")
    in_actor(ref, Registry.unregister, registry, "clerk")

    kill(registry)

    assert notes.take(1) == [Exited(registry, Killed())]


def test_registering_while_the_registry_ends_is_as_if_it_were_not_there(shop, start):
    ref = start()
    table = shop.cell.directory
    kill(shop)

    with pytest.raises(UnknownRegistry, match="the registry shop has ended"):
        in_actor(ref, lambda: table.add("clerk", ref.cell, None))

    assert (table._by_key, table._by_cell) == ({}, {})
    assert call(ref, answering("lives")) == "lives"


def test_a_registry_heeds_exit_signals_of_its_supervisor_only(supervise):
    sup = supervise(Registry.child_spec(name="shop"))
    shop = whereis("shop")

    exit(shop, Shutdown())
    exit(shop, Crash(BOOM))

    assert whereis("shop") is shop
    assert len(shop.cell.mailbox) == 0
    Supervisor.terminate_child(sup, "shop")
    assert whereis("shop") is None
    assert shop.cell.reason == Shutdown()


# ---- under a supervisor -----------------------------------------------------------------------


class Clerk(GenServer):
    """Registers itself under its key when it starts."""

    def __init__(self, key):
        super().__init__()
        self.key = key

    def init(self):
        Registry.register("shop", self.key)


@pytest.mark.parametrize("strategy", Strategy)
@pytest.mark.parametrize("register", ["by name", "in init"])
def test_registrants_come_back_with_their_registry(supervise, strategy, register):
    keys = ["clerk", "cook", "waiter"]
    clerks = [
        Clerk.child_spec(key, id=key)
        if register == "in init"
        else Probe.child_spec(id=key, name=Via("shop", key))
        for key in keys
    ]
    supervise(Registry.child_spec(name="shop"), *clerks, strategy=strategy, max_restarts=40)

    for _ in range(5):
        registry = whereis("shop")
        before = {key: whereis(Via("shop", key)) for key in keys}
        kill(registry)

        after = eventually(lambda before=before: _all_anew(before))
        assert sorted(Registry.select("shop", answering("yes")), key=str) == sorted(
            [(key, ref, None) for key, ref in after.items()], key=str
        )
        assert whereis("shop") is not registry


def _all_anew(before):
    now = {key: whereis(Via("shop", key)) for key in before}
    return now if all(now[key] not in (None, before[key]) for key in before) else None


def test_a_registry_that_ends_normally_comes_back_empty(supervise, start):
    supervise(Registry.child_spec(name="shop"))
    registry, ref = whereis("shop"), start(name=Via("shop", "clerk"))

    stop(registry, Normal())

    eventually(lambda: whereis("shop") not in (None, registry))
    assert Registry.count("shop") == 0
    in_actor(ref, Registry.register, "shop", "clerk")
    assert whereis(Via("shop", "clerk")) is ref
