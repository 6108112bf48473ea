"""Via: keys of a registry as names, free again before anyone hears of their actor's end."""

import logging

import pytest
from probe import LONGEST, Probe, answering, in_actor
from supervised import Child, crash, eventually, is_empty, kill

from antq_actors.otp import (
    IGNORE,
    AlreadyStarted,
    DynamicSupervisor,
    Registry,
    Shutdown,
    StartError,
    Supervisor,
    UnknownRegistry,
    Via,
    call,
    monitor,
    stop,
    tree,
    whereis,
)

CLERK = Via("shop", "clerk")


# ---- a name -----------------------------------------------------------------------------------


def test_an_actor_has_its_key_and_value_before_its_init_runs(shop, start, notes):
    ref = start(
        name=Via("shop", "clerk", 3),
        init=lambda _me: notes.add(Registry.lookup("shop", "clerk")),
    )

    assert notes.take(1) == [[(ref, 3)]]
    assert whereis(CLERK) is ref
    assert Registry.keys(shop, ref) == ["clerk"]


@pytest.mark.parametrize("key", ["clerk", 7, ("clerk", 7), None, frozenset({1})])
def test_a_key_may_be_any_value(shop, start, key):
    ref = start(name=Via(shop, key))

    assert whereis(Via("shop", key)) is ref


def test_a_via_is_its_registry_and_its_key_and_not_its_value(shop, start):
    assert Via("shop", "clerk", 1) == Via("shop", "clerk", 2)
    assert Via("shop", "clerk") != Via("shop", "cook")
    assert len({Via("shop", "clerk", []), CLERK, Via("bank", "clerk")}) == 2


def test_in_texts_an_actor_is_called_by_registry_and_key(shop, start):
    ref = start(name=CLERK)

    assert (str(CLERK), str(ref), tree(ref).name) == ("shop/clerk", "shop/clerk", "shop/clerk")


@pytest.mark.rule(61)
def test_of_two_with_one_key_the_second_does_not_run(shop, start, notes):
    holder = start(name=CLERK)

    with pytest.raises(AlreadyStarted, match="'shop/clerk' is taken") as taken:
        start(name=CLERK, init=lambda _me: notes.add("ran"))

    assert taken.value.ref is holder
    assert Registry.lookup(shop, "clerk") == [(holder, None)]
    assert notes.is_empty()


@pytest.mark.rule(61)
def test_a_key_that_is_taken_is_a_failed_boot_under_a_supervisor(shop, start):
    holder = start(name=CLERK)

    with pytest.raises(StartError, match="child 'second' did not start") as failed:
        Supervisor.start([Probe.child_spec(id="second", name=CLERK)])

    assert failed.value.child_id == "second"
    assert isinstance(failed.value.__cause__, AlreadyStarted)
    assert failed.value.__cause__.ref is holder


@pytest.mark.rule(61)
@pytest.mark.parametrize("kind", [Supervisor, DynamicSupervisor])
def test_a_key_that_is_taken_goes_back_to_who_asked_for_a_child(shop, start, kind):
    holder, sup = start(name=CLERK), start(of=kind)

    with pytest.raises(AlreadyStarted) as taken:
        kind.start_child(sup, Probe.child_spec(name=CLERK))

    assert taken.value.ref is holder
    assert is_empty(sup)


def test_a_key_and_a_local_name_that_read_alike_are_two(shop, start):
    by_key, by_name = start(name=CLERK), start(name="shop/clerk")

    stop(by_key)

    assert whereis("shop/clerk") is by_name
    assert whereis(CLERK) is None


def test_one_that_took_its_key_itself_and_one_that_was_named_are_found_alike(shop, start):
    ref = start()
    in_actor(ref, Registry.register, shop, "clerk")

    assert whereis(CLERK) is ref
    with pytest.raises(AlreadyStarted) as taken:
        start(name=CLERK)

    assert taken.value.ref is ref


def test_one_that_was_named_may_change_its_value_and_leave_its_key(shop, start):
    ref = start(name=Via("shop", "clerk", 1))

    in_actor(ref, Registry.update_value, shop, "clerk", lambda value: value + 1)
    assert Registry.lookup(shop, "clerk") == [(ref, 2)]
    in_actor(ref, Registry.unregister, shop, "clerk")

    assert whereis(CLERK) is None


def test_a_registry_may_have_its_own_name_in_a_registry(shop, start):
    start(of=Registry, name=Via("shop", "inner"))

    ref = start(name=Via(Via("shop", "inner"), "clerk"))

    assert str(ref) == "shop/inner/clerk"
    assert whereis(Via(Via(shop, "inner"), "clerk")) is ref


# ---- misuse -----------------------------------------------------------------------------------


@pytest.mark.parametrize("registry", [7, None, ("shop",), Probe])
def test_what_can_be_no_registry_is_refused_at_once(registry):
    with pytest.raises(TypeError, match="the registry of a Via is a name or a ServerRef, got"):
        Via(registry, "clerk")


def test_what_can_be_no_key_is_refused_at_once():
    with pytest.raises(TypeError, match=r"a key must be hashable, got \['clerk'\]"):
        Via("shop", ["clerk"])


@pytest.mark.parametrize("registry", ["nobody", "an actor", "ended"])
def test_a_name_in_no_registry_is_refused_before_the_actor_runs(start, notes, registry):
    start(name="an actor")
    ended = start(of=Registry)
    stop(ended)
    name = Via(ended if registry == "ended" else registry, "clerk")

    with pytest.raises(UnknownRegistry, match="there is no registry"):
        start(name=name, init=lambda _me: notes.add("ran"))

    assert notes.is_empty()


def test_a_child_named_in_no_registry_is_a_failed_start(supervise):
    with pytest.raises(StartError) as failed:
        Supervisor.start([Probe.child_spec(name=Via("nobody", "clerk"))])

    assert failed.value.child_id == Via("nobody", "clerk")
    assert isinstance(failed.value.__cause__, UnknownRegistry)


# ---- from one to the next ---------------------------------------------------------------------


@pytest.mark.rule(62)
def test_a_key_goes_from_one_to_the_next_without_a_gap_at_the_down(shop, start):
    ref = start(name=CLERK)
    for _ in range(200):
        watch = monitor(ref)
        kill(ref)
        watch.wait(LONGEST)
        ref = start(name=CLERK)

    assert whereis(CLERK) is ref


@pytest.mark.rule(62)
@pytest.mark.parametrize("end", [kill, crash, lambda ref: stop(ref, Shutdown())])
def test_a_child_that_comes_back_never_meets_its_own_old_name(shop, supervise, log, caplog, end):
    caplog.set_level(logging.WARNING)
    sup = supervise(Child.child_spec("clerk", log, name=CLERK), max_restarts=10**6)

    for _ in range(20):
        old = whereis(CLERK)
        end(old)
        eventually(lambda old=old: whereis(CLERK) not in (None, old))
        call(CLERK, "hello")

    eventually(lambda: tree(sup).children[0].restarts == 20)
    assert "again" not in caplog.text


@pytest.mark.rule(49)
def test_children_of_a_killed_supervisor_come_back_under_their_keys(shop, supervise):
    keys = [Via("shop", number) for number in range(3)]
    branch = Supervisor.child_spec([Probe.child_spec(name=key) for key in keys], name="branch")
    supervise(branch, max_restarts=10**6)

    for _ in range(20):
        before = [whereis(name) for name in ["branch", *keys]]
        kill(whereis("branch"))
        eventually(
            lambda before=before: (
                not {whereis(name) for name in ["branch", *keys]} & {None, *before}
            )
        )

    assert [call(key, answering("lives")) for key in keys] == ["lives"] * 3


@pytest.mark.rule(49)
def test_a_key_is_waited_for_while_its_holder_ends_with_a_killed_supervisor(shop, supervise, gate):
    child = Probe.child_spec(name=CLERK, at_end=gate)
    root = supervise(Supervisor.child_spec([child], name="branch"), max_restarts=1)
    old = whereis(CLERK)

    kill(whereis("branch"))
    gate.wait_entered()
    assert whereis(CLERK) is old
    gate.open()

    eventually(lambda: whereis(CLERK) not in (None, old))
    # The child is there a moment before the start of its supervisor is through.
    eventually(lambda: tree(root).children[0].restarts == 1)


def test_the_id_of_a_child_is_its_via_unless_it_is_said_otherwise():
    assert Probe.child_spec(name=CLERK).id == CLERK
    assert Probe.child_spec(name=CLERK, id="clerk").id == "clerk"


def test_one_that_is_ignored_or_terminated_leaves_its_key(shop, supervise):
    sup = supervise(Probe.child_spec(name=CLERK, id="clerk"))
    cook = Probe.child_spec(name=Via(shop, "cook"), init=answering(IGNORE), id="cook")
    assert Supervisor.start_child(sup, cook) is IGNORE

    Supervisor.terminate_child(sup, "clerk")

    assert Registry.count(shop) == 0
    assert whereis(CLERK) is None
    assert Supervisor.restart_child(sup, "clerk") is whereis(CLERK)
