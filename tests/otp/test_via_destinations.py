"""Via: keys of a registry as destinations, wherever a ref or a local name can be one."""

import pytest
from probe import LONGEST, Probe, answering, in_actor, raising
from supervised import BOOM, eventually, kill

from antq_actors.otp import (
    Agent,
    CallExit,
    Crash,
    Down,
    DynamicSupervisor,
    NoProc,
    Registry,
    Shutdown,
    Supervisor,
    TaskSupervisor,
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

CLERK = Via("shop", "clerk")

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
def test_into_an_actor_that_is_no_registry_it_says_so(start):
    start(name="actor")

    with pytest.raises(CallExit, match="'actor', which is the name of another kind of actor"):
        call(Via("actor", 1), "hello")


@pytest.mark.usefixtures("shop")
def test_into_a_registry_without_that_key_it_says_so():
    with pytest.raises(CallExit, match="'shop' is there, and has no actor under 'clerk'"):
        call(CLERK, "hello")


def test_a_name_that_no_actor_has_is_told_with_those_that_are_close(start):
    start(name="counter")

    with pytest.raises(CallExit, match=r"registered as 'countr'; did you mean 'counter'\?"):
        call("countr", "hello")


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
