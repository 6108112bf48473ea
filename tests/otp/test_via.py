"""Via: keys of a registry as names, free again before anyone hears of their actor's end.

They are destinations as well, wherever a ref or a local name can be one."""

import logging

import pytest
from probe import LONGEST, Probe, answering, in_actor, raising
from supervised import BOOM, Child, crash, eventually, is_empty, kill

from antq_actors.otp import (
    IGNORE,
    Agent,
    AlreadyStarted,
    CallExit,
    Crash,
    Down,
    DynamicSupervisor,
    NoProc,
    Registry,
    Shutdown,
    StartError,
    Supervisor,
    TaskSupervisor,
    UnknownRegistry,
    Via,
    call,
    cast,
    exit,  # noqa: A004 - OTP's name
    monitor,
    send_after,
    stop,
    tree,
    whereis,
)
from antq_actors.otp.messaging import timers

# ---- keys as names ------------------------------------------------------------------------------

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


# ---- keys as destinations -----------------------------------------------------------------------


USES = {
    "call": lambda via: call(via, answering(None)),
    "cast": lambda via: cast(via, answering(None)),
    "stop": stop,
    "exit": lambda via: exit(via, Shutdown()),
    "monitor": monitor,
    "whereis": whereis,
    "send_after": lambda via: send_after(via, "never", 3600),
    "tree": tree,
    "start_child": lambda via: Supervisor.start_child(via, Probe),
}


@pytest.mark.rule(64)
@pytest.mark.parametrize(
    "use", [*USES.values(), lambda via: Probe.start(name=via)], ids=[*USES, "a name"]
)
def test_a_via_into_duplicate_keys_is_an_error_wherever_it_is_used(topics, start, use):
    ref = start()
    in_actor(ref, Registry.register, topics, "news")

    with pytest.raises(ValueError, match="a Via needs a registry of unique keys, and 'topics'"):
        use(Via("topics", "news"))

    assert call(ref, answering("lives")) == "lives"


# ---- a destination ----------------------------------------------------------------------------


def test_it_is_called_and_cast_to(shop, start, notes):
    start(notes, name=CLERK)

    assert call(CLERK, answering(3)) == 3
    assert call(Via(shop, "clerk"), answering(4)) == 4
    cast(CLERK, "hello")

    assert notes.take(1) == ["hello"]


def test_it_is_stopped(shop, start):
    ref = start(name=CLERK)

    stop(CLERK, Shutdown("done"))

    assert ref.cell.reason == Shutdown("done")
    assert whereis(CLERK) is None


def test_it_is_sent_exit_signals(shop, start):
    watch = monitor(start(name=CLERK))

    exit(CLERK, Crash(BOOM))

    assert watch.wait(LONGEST).reason == Crash(BOOM)


def test_it_is_monitored_as_the_actor_that_has_the_key_now(shop, start):
    ref = start(name=CLERK)
    watch = monitor(CLERK)

    kill(CLERK)

    assert watch.wait(LONGEST).ref is ref


def test_a_timer_looks_its_key_up_when_its_time_has_come(shop, start, notes):
    first = start(name=CLERK)
    timer = timers.Timer(CLERK, "now", 0.0)
    stop(first)
    start(notes, name=CLERK)

    timer.fire()
    send_after(CLERK, "later", 0.001)

    assert notes.take(2) == ["now", "later"]


def test_a_timer_whose_registry_became_another_one_loses_its_message_alone(start, notes, caplog):
    ref = start(notes)
    lost = timers.Timer(CLERK, "lost", 0.0)  # made before there was a registry
    start("duplicate", of=Registry, name="shop")

    timers._timer_thread.add(lost)
    send_after(ref, "later", 0.001)

    assert notes.take(1) == ["later"]
    assert "a message to Via(registry='shop', key='clerk', value=None)" in caplog.text


def test_supervisors_of_all_kinds_are_asked_and_shown(shop, start):
    start(of=Supervisor, name=Via(shop, "static"))
    start(of=DynamicSupervisor, name=Via(shop, "pool"))
    start(of=TaskSupervisor, name=Via(shop, "tasks"))
    start(answering(1), of=Agent, name=Via(shop, "agent"))

    child = Supervisor.start_child(Via(shop, "static"), Probe.child_spec(id="a"))
    job = DynamicSupervisor.start_child(Via(shop, "pool"), Probe.child_spec())

    assert [info.ref for info in Supervisor.which_children(Via(shop, "static"))] == [child]
    assert tree(Via(shop, "static")).children[0].name == "a"
    DynamicSupervisor.terminate_child(Via(shop, "pool"), job)
    assert DynamicSupervisor.count_children(Via(shop, "pool")).active == 0
    tasks = TaskSupervisor.map(Via(shop, "tasks"), abs, [-1, 2], max_concurrency=1)
    assert list(tasks) == [1, 2]
    assert Agent.get(Via(shop, "agent"), lambda state: state) == 1


# ---- into nothing -----------------------------------------------------------------------------


@pytest.fixture(params=["no such key", "no registry", "no registry but an actor", "an ended one"])
def nobody(request, shop, start):
    """A Via behind which there is nobody."""
    start(name="actor")
    ended = start(of=Registry)
    start(name=Via(ended, "clerk"))
    stop(ended)
    return {
        "no such key": Via("shop", "nobody"),
        "no registry": Via("nobody", "clerk"),
        "no registry but an actor": Via("actor", "clerk"),
        "an ended one": Via(ended, "clerk"),
    }[request.param]


@pytest.mark.parametrize("use", ["call", "stop", "tree", "start_child"])
def test_into_nothing_it_is_noproc(nobody, use):
    with pytest.raises(CallExit) as failed:
        USES[use](nobody)

    assert failed.value.reason == NoProc()


@pytest.mark.parametrize("use", ["call", "stop", "tree", "start_child"])
@pytest.mark.usefixtures("shop", "topics")
def test_into_no_registry_it_says_so_and_which_there_are(use):
    with pytest.raises(CallExit) as failed:
        USES[use](Via("shp", 1))

    assert str(failed.value) == (
        "no actor is registered as Via(registry='shp', key=1, value=None): there is no registry"
        " 'shp'; there are 'shop', 'topics' (did you mean 'shop'?)"
    )


def test_into_no_registry_while_there_is_none_it_says_so():
    with pytest.raises(CallExit, match="there is no registry 'room', and none runs that has a"):
        call(Via("room", 1), "hello")


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize(
    ("dest", "said"),
    [
        (Via("actor", 1), "'actor', which is the name of another kind of actor"),
        (CLERK, "'shop' is there, and has no actor under 'clerk'"),
        ("countr", r"registered as 'countr'; did you mean 'counter'\?"),
    ],
    ids=["no registry but an actor", "no such key", "no such name"],
)
def test_into_nothing_it_says_what_there_is(start, dest, said):
    start(name="actor")
    start(name="counter")

    with pytest.raises(CallExit, match=said):
        call(dest, "hello")


def test_into_nothing_its_down_comes_at_once(nobody, start, notes):
    watch = monitor(nobody)

    assert watch.wait(0) == Down(watch, nobody, NoProc())
    watch = in_actor(start(notes), monitor, nobody)
    assert notes.take(1) == [Down(watch, nobody, NoProc())]


def test_into_nothing_messages_and_signals_are_lost_without_a_word(nobody, start, notes, caplog):
    cast(nobody, raising(BOOM))
    exit(nobody, Shutdown())
    lost = send_after(nobody, "lost", 0)
    eventually(lambda: lost.state == "fired")
    send_after(start(notes), "later", 0)

    assert whereis(nobody) is None
    assert notes.take(1) == ["later"]
    assert caplog.text == ""
