"""Ends and registries: entries are gone before anyone hears, and who lost his ends, too."""

import pytest
from probe import LONGEST, InThread, Probe, answering, in_actor
from supervised import BOOM, eventually, kill, raise_anew

from antq_actors.otp import (
    IGNORE,
    CallExit,
    Crash,
    Exited,
    GenServer,
    Killed,
    Normal,
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
