"""What is no timer, monitor, task, destination, … is refused where it is given, and by name."""

import math
from datetime import timedelta
from functools import partial

import pykka
import pytest
from probe import LONGEST, Probe, in_actor
from supervised import kill

from antq_actors import otp


@pytest.fixture
def the(start):
    """One actor of each kind, by the name of its class."""
    return {
        "Probe": start(),
        "Agent": start(dict, of=otp.Agent),
        "Registry": start(of=otp.Registry),
        "Supervisor": start([], of=otp.Supervisor),
        "DynamicSupervisor": start(of=otp.DynamicSupervisor),
        "TaskSupervisor": start(of=otp.TaskSupervisor),
        "PartitionSupervisor": start(Probe, 1, of=otp.PartitionSupervisor),
    }


@pytest.fixture(autouse=True)
def all_live_on(the):
    """No actor may end because of what another one was given."""
    yield
    assert {name: ref.cell.reason for name, ref in the.items()} == dict.fromkeys(the)


def no_destinations():
    """Each function that takes a destination, as one of the destination alone."""
    return {
        "call": lambda dest, _: otp.call(dest, "request"),
        "cast": lambda dest, _: otp.cast(dest, "request"),
        "stop": lambda dest, _: otp.stop(dest),
        "send_request": lambda dest, _: otp.send_request(dest, "request"),
        "get_state": lambda dest, _: otp.get_state(dest),
        "suspend": lambda dest, _: otp.suspend(dest),
        "resume": lambda dest, _: otp.resume(dest),
        "exit": lambda dest, _: otp.exit(dest, otp.Shutdown()),
        "monitor": lambda dest, _: otp.monitor(dest),
        "link": lambda dest, _: otp.link(dest),
        "unlink": lambda dest, _: otp.unlink(dest),
        "send_after": lambda dest, _: otp.send_after(dest, "message", 1),
        "whereis": lambda dest, _: otp.whereis(dest),
        "tree": lambda dest, _: otp.tree(dest),
        "trace": lambda dest, _: otp.trace(dest),
        "subscribe": lambda dest, _: otp.subscribe(42 if dest is Probe else dest),
        "subscribe below": lambda dest, _: otp.subscribe(print, below=dest or 42),
        "EventStream": lambda dest, _: otp.EventStream(below=dest or 42),
        "chaos.crash": lambda dest, _: otp.chaos.crash(dest),
        "chaos.kill": lambda dest, _: otp.chaos.kill(dest),
        "chaos.exit": lambda dest, _: otp.chaos.exit(dest, otp.Shutdown()),
        "chaos.hang": lambda dest, _: otp.chaos.hang(dest),
        "chaos.slow": lambda dest, _: otp.chaos.slow(dest, 1),
        "Via": lambda dest, _: otp.Via(dest, "key"),
        "Agent.get": lambda dest, _: otp.Agent.get(dest, len),
        "Agent.update": lambda dest, _: otp.Agent.update(dest, len),
        "Agent.get_and_update": lambda dest, _: otp.Agent.get_and_update(dest, len),
        "Agent.cast": lambda dest, _: otp.Agent.cast(dest, len),
        "Registry.register": lambda dest, _: otp.Registry.register(dest, "key"),
        "Registry.unregister": lambda dest, _: otp.Registry.unregister(dest, "key"),
        "Registry.update_value": lambda dest, _: otp.Registry.update_value(dest, "key", len),
        "Registry.lookup": lambda dest, _: otp.Registry.lookup(dest, "key"),
        "Registry.keys": lambda dest, the: otp.Registry.keys(dest, the["Probe"]),
        "Registry.keys of": lambda dest, the: otp.Registry.keys(the["Registry"], dest),
        "Registry.values": lambda dest, the: otp.Registry.values(dest, "key", the["Probe"]),
        "Registry.values of": lambda dest, the: otp.Registry.values(the["Registry"], "key", dest),
        "Registry.dispatch": lambda dest, _: otp.Registry.dispatch(dest, "key", len),
        "Registry.count": lambda dest, _: otp.Registry.count(dest),
        "Registry.select": lambda dest, _: otp.Registry.select(dest, max),
        "Registry.lock": lambda dest, _: otp.Registry.lock(dest, "key", int),
        "Supervisor.start_child": lambda dest, _: otp.Supervisor.start_child(dest, Probe),
        "Supervisor.terminate_child": lambda dest, _: otp.Supervisor.terminate_child(dest, "id"),
        "Supervisor.restart_child": lambda dest, _: otp.Supervisor.restart_child(dest, "id"),
        "Supervisor.delete_child": lambda dest, _: otp.Supervisor.delete_child(dest, "id"),
        "Supervisor.get_childspec": lambda dest, _: otp.Supervisor.get_childspec(dest, "id"),
        "Supervisor.which_children": lambda dest, _: otp.Supervisor.which_children(dest),
        "Supervisor.count_children": lambda dest, _: otp.Supervisor.count_children(dest),
        "DynamicSupervisor.start_child": lambda dest, _: otp.DynamicSupervisor.start_child(
            dest, Probe
        ),
        "start_children": lambda dest, _: otp.DynamicSupervisor.start_children(dest, [Probe]),
        "start_copies": lambda dest, _: otp.DynamicSupervisor.start_copies(dest, Probe, [()]),
        "DynamicSupervisor.terminate_child": lambda dest, the: (
            otp.DynamicSupervisor.terminate_child(dest, the["Probe"])
        ),
        "DynamicSupervisor.terminate_child of": lambda dest, the: (
            otp.DynamicSupervisor.terminate_child(the["DynamicSupervisor"], dest)
        ),
        "TaskSupervisor.async_": lambda dest, _: otp.TaskSupervisor.async_(dest, int),
        "TaskSupervisor.async_nolink": lambda dest, _: otp.TaskSupervisor.async_nolink(dest, int),
        "TaskSupervisor.start_child": lambda dest, _: otp.TaskSupervisor.start_child(dest, int),
        "TaskSupervisor.terminate_child": lambda dest, the: otp.TaskSupervisor.terminate_child(
            dest, the["Probe"]
        ),
        "TaskSupervisor.terminate_child of": lambda dest, the: otp.TaskSupervisor.terminate_child(
            the["TaskSupervisor"], dest
        ),
        "TaskSupervisor.map": lambda dest, _: otp.TaskSupervisor.map(dest, int, []),
        "PartitionSupervisor.partitions": lambda dest, _: otp.PartitionSupervisor.partitions(dest),
    }


@pytest.mark.parametrize("value", [42, None, b"name", [], {}, Probe], ids=repr)
@pytest.mark.parametrize("use", no_destinations().values(), ids=no_destinations())
def test_what_is_no_destination_is_a_type_error_everywhere(the, use, value):
    with pytest.raises(TypeError):
        use(value, the)
    with pytest.raises(TypeError):  # in an actor, too, where link and register work
        in_actor(the["Probe"], use, value, the)


OF_ITS_KIND = {
    "cancel_timer": (otp.cancel_timer, "cancel_timer"),
    "demonitor": (otp.demonitor, "demonitor"),
    "yield_many": (lambda value: otp.Task.yield_many([value]), "tasks"),
    "Task.child_spec": (otp.Task.child_spec, "function"),
    "await_many": (lambda value: otp.Task.await_many([value]), "tasks"),
    "reply": (lambda value: otp.reply(value, "value"), "from_"),
    "Task.async_": (otp.Task.async_, "function"),
    "Agent.start": (otp.Agent.start, "function"),
    "Supervisor.start": (lambda value: otp.Supervisor.start([value]), "child"),
    "PartitionSupervisor.start": (otp.PartitionSupervisor.start, "child"),
    "supervised": (otp.supervised, r"supervised\(\)"),
    "Stop": (otp.Stop, "reason"),
    "Crash": (otp.Crash, "exception"),
    "wait_until_restarted": (otp.wait_until_restarted, "name"),
    "a name": (lambda value: Probe.start(name=value), "name"),
    "a backoff": (lambda value: otp.Supervisor.start([], backoff=value), "backoff"),
    "a strategy": (lambda value: otp.Supervisor.start([], strategy=value), "strategy"),
    "auto_shutdown": (lambda value: otp.Supervisor.start([], auto_shutdown=value), "auto_shutdown"),
    "a restart": (lambda value: Probe.child_spec(restart=value), "restart"),
    "significant": (lambda value: Probe.child_spec(significant=value), "significant"),
    "drain": (lambda value: Probe.child_spec(drain=value), "drain"),
    "a start": (lambda value: otp.ChildSpec("id", value), "start"),
    "crash_on_ask": (
        lambda value: otp.supervised(pykka.ThreadingActor, crash_on_ask=value),
        "crash_on_ask",
    ),
    "with_arguments": (
        lambda value: otp.PartitionSupervisor.start(Probe, 1, with_arguments=value),
        "with_arguments",
    ),
    "keys": (otp.Registry.start, "keys"),
    "a Backoff": (otp.Backoff, "first"),
    "a factor": (lambda value: otp.Backoff(factor=value), "factor"),
}


@pytest.mark.parametrize("value", [(), {}, b"text"], ids=repr)
@pytest.mark.parametrize(("use", "named"), OF_ITS_KIND.values(), ids=OF_ITS_KIND)
def test_what_is_not_of_its_kind_is_a_type_error_that_says_what_is(use, named, value):
    with pytest.raises(TypeError, match=named):
        use(value)


IN_AN_ACTOR = {
    "trap_exit": (lambda the: otp.trap_exit("yes"), "trap_exit"),
    "demonitor": (lambda the: otp.demonitor(otp.monitor(the["Agent"]), flush="yes"), "flush"),
    "start_child": (lambda the: otp.Supervisor.start_child(the["Supervisor"], 42), "child"),
    "start_child dynamic": (
        lambda the: otp.DynamicSupervisor.start_child(the["DynamicSupervisor"], 42),
        "child",
    ),
    "terminate_child": (lambda the: otp.Supervisor.terminate_child(the["Supervisor"], []), "id"),
    "restart_child": (lambda the: otp.Supervisor.restart_child(the["Supervisor"], []), "id"),
    "delete_child": (lambda the: otp.Supervisor.delete_child(the["Supervisor"], []), "id"),
    "get_childspec": (lambda the: otp.Supervisor.get_childspec(the["Supervisor"], []), "id"),
    "start_children": (
        lambda the: otp.DynamicSupervisor.start_children(the["DynamicSupervisor"], [Probe, 42]),
        "child",
    ),
    "start_copies": (
        lambda the: otp.DynamicSupervisor.start_copies(the["DynamicSupervisor"], Probe, [(), 42]),
        "each_args",
    ),
    "Agent.get": (lambda the: otp.Agent.get(the["Agent"], 42), "function"),
    "Agent.update": (lambda the: otp.Agent.update(the["Agent"], 42), "function"),
    "Agent.get_and_update": (lambda the: otp.Agent.get_and_update(the["Agent"], 42), "function"),
    "Agent.cast": (lambda the: otp.Agent.cast(the["Agent"], 42), "function"),
    "dispatch": (lambda the: otp.Registry.dispatch(the["Registry"], "key", 42), "function"),
    "select": (lambda the: otp.Registry.select(the["Registry"], 42), "function"),
    "lock": (lambda the: otp.Registry.lock(the["Registry"], "key", 42), "function"),
    "update_value": (lambda the: otp.Registry.update_value(the["Registry"], "key", 42), "function"),
    "a key": (lambda the: otp.Registry.register(the["Registry"], []), "key"),
    "no key": (lambda the: otp.Registry.unregister(the["Registry"], []), "key"),
    "lookup": (lambda the: otp.Registry.lookup(the["Registry"], []), "key"),
    "values": (lambda the: otp.Registry.values(the["Registry"], [], the["Probe"]), "key"),
    "lock key": (lambda the: otp.Registry.lock(the["Registry"], [], int), "key"),
    "async_": (lambda the: otp.TaskSupervisor.async_(the["TaskSupervisor"], 42), "function"),
    "async_nolink": (
        lambda the: otp.TaskSupervisor.async_nolink(the["TaskSupervisor"], 42),
        "func",
    ),
    "start a task": (
        lambda the: otp.TaskSupervisor.start_child(the["TaskSupervisor"], 42),
        "function",
    ),
    "restart of a task": (
        lambda the: otp.TaskSupervisor.start_child(the["TaskSupervisor"], int, restart="permanent"),
        "restart",
    ),
    "map": (lambda the: otp.TaskSupervisor.map(the["TaskSupervisor"], 42, []), "function"),
    "map over": (lambda the: otp.TaskSupervisor.map(the["TaskSupervisor"], int, 42), "int"),
    "max_concurrency": (
        lambda the: otp.TaskSupervisor.map(the["TaskSupervisor"], int, [], max_concurrency="2"),
        "max_concurrency",
    ),
    "partitions": (
        lambda the: otp.PartitionSupervisor.partitions(the["Probe"]),
        "PartitionSupervisor",
    ),
    "a listener": (lambda the: otp.subscribe(42), "listener"),
    "a trace": (lambda the: otp.trace(the["Probe"], 42), "trace"),
    "chaos.crash": (lambda the: otp.chaos.crash(the["Probe"], 42), "exception"),
    "exit": (lambda the: otp.exit(the["Probe"], 42), "reason"),
    "stop": (lambda the: otp.stop(the["Probe"], 42), "reason"),
}


@pytest.mark.parametrize(("use", "named"), IN_AN_ACTOR.values(), ids=IN_AN_ACTOR)
def test_what_a_running_actor_is_given_is_checked_before_it_gets_it(the, start, use, named):
    with pytest.raises(TypeError, match=named):
        in_actor(start(), use, the)


TIMES = {
    "start": (lambda time, _: Probe.start(timeout=time), "timeout"),
    "start_link": (lambda time, _: otp.Supervisor.start_link([], timeout=time), "timeout"),
    "child_spec": (lambda time, _: otp.DynamicSupervisor.child_spec(timeout=time), "timeout"),
    "call": (lambda time, the: otp.call(the["Agent"], "request", time), "timeout"),
    "stop": (lambda time, the: otp.stop(the["Probe"], timeout=time), "timeout"),
    "Request.wait": (
        lambda time, the: otp.send_request(the["Probe"], bool).wait(time),
        "timeout",
    ),
    "get_state": (lambda time, the: otp.get_state(the["Probe"], time), "timeout"),
    "suspend": (lambda time, the: otp.suspend(the["Probe"], time), "timeout"),
    "resume": (lambda time, the: otp.resume(the["Probe"], time), "timeout"),
    "send_after": (lambda time, the: otp.send_after(the["Probe"], "message", time), "seconds"),
    "its own": (
        lambda time, the: otp.call(
            the["Probe"], lambda me: _refused(me.send_after, time, "message")
        )(),
        "seconds",
    ),
    "Monitor.wait": (lambda time, the: otp.monitor(the["Probe"]).wait(time), "timeout"),
    "Task.await_": (lambda time, _: otp.Task.async_(int).await_(time), "timeout"),
    "Task.yield_": (lambda time, _: otp.Task.async_(int).yield_(time), "timeout"),
    "Task.yield_many": (
        lambda time, _: otp.Task.yield_many([otp.Task.async_(int)], time),
        "timeout",
    ),
    "shutdown of Task.child_spec": (
        lambda time, _: otp.Task.child_spec(int, shutdown=time),
        "shutdown",
    ),
    "shutdown of async_": (
        lambda time, the: otp.TaskSupervisor.async_(the["TaskSupervisor"], int, shutdown=time),
        "shutdown",
    ),
    "Task.await_many": (
        lambda time, _: otp.Task.await_many([otp.Task.async_(int)], time),
        "timeout",
    ),
    "Task.shutdown": (lambda time, _: otp.Task.async_(int).shutdown(time), "timeout"),
    "map": (
        lambda time, the: otp.TaskSupervisor.map(the["TaskSupervisor"], int, [], timeout=time),
        "timeout",
    ),
    "Agent.get": (lambda time, the: otp.Agent.get(the["Agent"], len, time), "timeout"),
    "Agent.update": (lambda time, the: otp.Agent.update(the["Agent"], dict, time), "timeout"),
    "Agent.get_and_update": (
        lambda time, the: otp.Agent.get_and_update(the["Agent"], len, time),
        "timeout",
    ),
    "EventStream.take": (lambda time, _: _take(time), "timeout"),
    "chaos.crash": (lambda time, the: otp.chaos.crash(the["Probe"], timeout=time), "timeout"),
    "chaos.hang": (lambda time, the: otp.chaos.hang(the["Probe"], time), "seconds"),
    "chaos.slow": (lambda time, the: otp.chaos.slow(the["Probe"], time), "seconds"),
    "shutdown": (lambda time, _: Probe.child_spec(shutdown=time), "shutdown"),
    "shutdown of a task": (
        lambda time, the: otp.TaskSupervisor.start_child(the["TaskSupervisor"], int, shutdown=time),
        "shutdown",
    ),
    "max_seconds": (lambda time, _: otp.Supervisor.start([], max_seconds=time), "max_seconds"),
    "max_seconds dynamic": (
        lambda time, _: otp.DynamicSupervisor.start(max_seconds=time),
        "max_seconds",
    ),
    "max_seconds of tasks": (
        lambda time, _: otp.TaskSupervisor.start(max_seconds=time),
        "max_seconds",
    ),
    "max_seconds of partitions": (
        lambda time, _: otp.PartitionSupervisor.start(Probe, max_seconds=time),
        "max_seconds",
    ),
    "first": (lambda time, _: otp.Backoff(first=time), "first"),
    "longest": (lambda time, _: otp.Backoff(longest=time), "longest"),
}


def _refused(fn, *args):
    """Raise what ``fn(...)`` raises in the actor's caller, so that the actor lives on."""
    error = None
    try:
        fn(*args)
    except (TypeError, ValueError) as refused:
        error = refused
    return partial(_raise, error)


def _raise(error):
    if error is not None:
        raise error


def _take(time):
    with otp.EventStream() as stream:
        stream.take(time)


@pytest.mark.parametrize(
    ("time", "error"),
    [
        ("soon", TypeError),
        ([], TypeError),
        (True, TypeError),
        (1j, TypeError),
        (-1, ValueError),
        (-math.inf, ValueError),
        (math.nan, ValueError),
        (timedelta(seconds=-1), ValueError),
    ],
    ids=repr,
)
@pytest.mark.parametrize(("use", "named"), TIMES.values(), ids=TIMES)
def test_what_is_no_time_is_refused_by_name(the, use, named, time, error):
    with pytest.raises(error, match=named):
        use(time, the)


NUMBERS = {
    "max_restarts": lambda number: otp.Supervisor.start([], max_restarts=number),
    "max_restarts of a dynamic one": lambda number: otp.DynamicSupervisor.start(
        max_restarts=number
    ),
    "max_restarts of tasks": lambda number: otp.TaskSupervisor.start(max_restarts=number),
    "max_restarts of partitions": lambda number: otp.PartitionSupervisor.start(
        Probe, max_restarts=number
    ),
    "max_children": lambda number: otp.DynamicSupervisor.start(max_children=number),
    "max_children of tasks": lambda number: otp.TaskSupervisor.start(max_children=number),
    "partitions": lambda number: otp.PartitionSupervisor.start(Probe, number),
}


@pytest.mark.parametrize(
    ("number", "error"), [("3", TypeError), (1.5, TypeError), (True, TypeError), (-1, ValueError)]
)
@pytest.mark.parametrize("use", NUMBERS.values(), ids=NUMBERS)
def test_what_is_no_number_is_refused_by_name(request, use, number, error):
    name = request.node.callspec.id.split("-")[0].split(" ")[0]

    with pytest.raises(error, match=name):
        use(number)


HUGE = [threading_max := 9_223_372_036.0, 1e11, 10**12, 1e300, 10**400, timedelta.max]


@pytest.mark.parametrize("time", HUGE, ids=["9e9", "1e11", "10**12", "1e300", "10**400", "max"])
def test_a_huge_time_is_a_time_like_any_other(the, time):
    assert otp.cancel_timer(otp.send_after(the["Probe"], "never", time)) > threading_max - LONGEST
    assert otp.call(the["Probe"], lambda _me: "answer", time) == "answer"
    assert otp.Task.async_(int).await_(time) == 0
    assert otp.Task.await_many([otp.Task.async_(int)], time) == [0]
    assert list(otp.TaskSupervisor.map(the["TaskSupervisor"], int, [1], timeout=time)) == [1]
    assert otp.Agent.get(the["Agent"], len, time) == 0
    assert Probe.child_spec(shutdown=time).shutdown >= threading_max
    assert otp.Backoff(first=time, longest=time).delay(3) >= threading_max
    with otp.Supervisor.start([Probe.child_spec(shutdown=time)], max_seconds=time):
        pass
    with otp.chaos.hang(the["Probe"], time), otp.chaos.slow(the["Agent"], time):
        pass


@pytest.mark.parametrize("time", [math.inf, None])
def test_a_timer_that_would_never_fire_is_refused(the, time):
    with pytest.raises(ValueError, match="finite"):
        otp.send_after(the["Probe"], "never", time)


def test_every_public_function_is_tried_with_values_of_another_kind():
    taken = {name.split(" ")[0].split(".")[0] for name in (*no_destinations(), *OF_ITS_KIND)}
    taken |= {"Supervisor", "DynamicSupervisor", "TaskSupervisor", "PartitionSupervisor", "Task"}
    taken |= {"trap_exit", "ChildSpec", "EventStream", "Backoff"}
    # Records, errors and markers, which take anything; what is made by a function above; bases.
    free = {each for each in otp.__all__ if not _is_function(getattr(otp, each))} | {
        "AlreadyPresent", "AlreadyRegistered", "AlreadyStarted", "CallCycle", "CallExit",
        "CallTimeout", "ChildInfo", "Continue", "Counts", "Down", "DuplicateChildId", "Exited",
        "GenServer", "Handling", "IdleTimeout", "Killed", "MaxChildren", "Monitor", "NoProc",
        "Node", "Normal", "NotFound", "Ok", "OtpError", "Request", "Restarting", "Running",
        "ServerRef", "Shutdown", "StartError", "Subscription", "TaskExit", "Timer", "Trace",
        "UnknownRegistry", "orphans", "AutoShutdown", "Restart", "Strategy",
        "ChildState", "ChildType", "ShutdownTime",
    }  # fmt: skip

    assert set(otp.__all__) - taken - free == set()


def _is_function(value):
    return callable(value) and value not in (otp.IGNORE, otp.Strategy)


# ---- idle_timeout, and what init returns ------------------------------------------------------

IMPOSSIBLE = [("soon", TypeError), (True, TypeError), ([], TypeError), (-1, ValueError)]
IMPOSSIBLE += [(math.nan, ValueError), (timedelta(-1), ValueError)]


@pytest.mark.parametrize(("value", "error"), IMPOSSIBLE)
def test_an_impossible_idle_timeout_in_init_is_a_start_error(value, error):
    with pytest.raises(otp.StartError, match="idle_timeout") as caught:
        Probe.start(init=lambda me: setattr(me, "idle_timeout", value))

    assert type(caught.value.__cause__) is error
    assert caught.value.reason == otp.Crash(caught.value.__cause__)


@pytest.mark.parametrize(("value", "error"), IMPOSSIBLE)
def test_an_impossible_idle_timeout_of_a_class_is_a_start_error(value, error):
    with pytest.raises(otp.StartError, match="idle_timeout") as caught:
        type("Idle", (Probe,), {"idle_timeout": value}).start()

    assert type(caught.value.__cause__) is error


@pytest.mark.parametrize(("value", "error"), IMPOSSIBLE)
def test_an_impossible_idle_timeout_later_is_a_crash_that_names_it(start, value, error):
    ref = start()
    down = otp.monitor(ref)

    assert otp.call(ref, lambda me: setattr(me, "idle_timeout", value)) is None

    reason = down.wait(LONGEST).reason
    assert type(reason.exception) is error
    assert "idle_timeout" in str(reason)


@pytest.mark.parametrize("value", [math.inf, 10**12, 10**400, 1e300, timedelta.max])
def test_an_endless_idle_timeout_means_never(start, notes, value):
    ref = start(notes, init=lambda me: setattr(me, "idle_timeout", value))

    assert otp.call(ref, lambda me: me.idle_timeout) == value
    assert notes.is_empty()


def test_an_idle_timeout_may_be_a_timedelta(start, notes):
    start(notes, init=lambda me: setattr(me, "idle_timeout", timedelta(milliseconds=1)))

    assert notes.take(1) == [otp.IdleTimeout()]


@pytest.mark.parametrize(
    "value", [42, 0, False, "ok", ("ok", {}), otp.Continue, otp.Stop, {}], ids=repr
)
def test_init_may_not_return_anything_else(value):
    with pytest.raises(otp.StartError, match="Continue") as caught:
        Probe.start(init=lambda _me: value)

    assert isinstance(caught.value.__cause__, TypeError)


@pytest.mark.parametrize("value", [None, otp.Continue(), otp.Continue("token")])
def test_init_may_return_nothing_or_continue(start, value):
    assert otp.call(start(init=lambda _me: value), lambda me: me.ref).cell.reason is None


def test_a_child_whose_init_returns_anything_else_fails_its_supervisor_with_that():
    with pytest.raises(otp.StartError, match="returned 42") as caught:
        otp.Supervisor.start([Probe.child_spec(init=lambda _me: 42, id="answering")])

    assert caught.value.child_id == "answering"


def test_an_unhashable_child_ends_no_supervisor(start):
    sup = start(of=otp.DynamicSupervisor)

    with pytest.raises(TypeError, match="ServerRef"):
        otp.DynamicSupervisor.terminate_child(sup, [])

    assert otp.DynamicSupervisor.count_children(sup).specs == 0


def test_a_supervisor_that_is_dead_is_no_type_error(start):
    sup, ref = start(of=otp.DynamicSupervisor), start()
    kill(sup)

    with pytest.raises(otp.CallExit):
        otp.DynamicSupervisor.terminate_child(sup, ref)
