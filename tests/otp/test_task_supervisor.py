"""TaskSupervisor: tasks that belong to a tree, are counted and limited, and end with it."""

import logging
import math
import threading
from contextlib import suppress
from datetime import timedelta

import pytest
from probe import LONGEST, Endless, Gate, InThread, Probe, answering, raising
from supervised import BOOM, eventually, is_empty, kill, lines, raise_anew

from antq_actors.otp import (
    BRUTAL_KILL,
    CallCycle,
    CallExit,
    ChildInfo,
    Counts,
    Crash,
    DynamicSupervisor,
    Killed,
    MaxChildren,
    NoProc,
    Normal,
    NotFound,
    Registry,
    Restart,
    Shutdown,
    Supervisor,
    Task,
    TaskExit,
    TaskSupervisor,
    Via,
    call,
    monitor,
    send_request,
    stop,
    tree,
    whereis,
)
from antq_actors.otp.supervision import admin

STARTS = [TaskSupervisor.async_, TaskSupervisor.async_nolink, TaskSupervisor.start_child]


@pytest.fixture
def tasks(start):
    """Start task supervisors; when the test is over they are killed."""
    return lambda *args, **options: start(*args, of=TaskSupervisor, **options)


@pytest.fixture
def sup(tasks):
    return tasks()


# ---- tasks that are awaited -------------------------------------------------------------------


@pytest.mark.parametrize("async_", STARTS[:2])
def test_a_task_runs_below_its_supervisor_and_its_value_is_awaited(sup, gate, async_):
    task = async_(sup, gate)
    gate.wait_entered()
    assert TaskSupervisor.which_children(sup) == [ChildInfo(None, task.ref, "worker")]
    assert TaskSupervisor.count_children(sup) == Counts(1, 1, 0, 1)

    gate.open()

    assert task.await_() == "through"
    assert is_empty(sup)


@pytest.mark.parametrize("async_", STARTS[:2])
@pytest.mark.parametrize("name", ["self", "sup", "fn", "restart", "timeout", "name", "owner"])
def test_a_function_gets_its_arguments_whatever_their_names(sup, async_, name):
    task = async_(sup, lambda *args, **kwargs: (args, kwargs), 1, 2, **{name: 3})

    assert task.await_() == ((1, 2), {name: 3})


def test_the_supervisor_may_be_given_by_name_or_via(start, tasks):
    start(of=Registry, name="registry")
    tasks(name="the tasks")
    tasks(name=Via("registry", "tasks"))

    for dest in ("the tasks", Via("registry", "tasks")):
        assert TaskSupervisor.async_(dest, answering(1)).await_() == 1


def test_a_crash_is_told_to_who_awaits_the_task_and_in_one_line_and_not_repeated(sup, caplog):
    task = TaskSupervisor.async_nolink(sup, raising(BOOM))

    with pytest.raises(TaskExit) as exited:
        task.await_()

    assert exited.value.reason == Crash(BOOM)
    assert is_empty(sup)
    (line,) = lines(caplog, logging.WARNING)
    assert all(each in line for each in (str(sup), "raising", "temporary", "ValueError: boom"))


def test_a_task_without_a_link_does_not_end_its_actor_nor_end_with_it(start, sup, notes, gate):
    ref = start(notes)

    crashing = call(ref, lambda _me: TaskSupervisor.async_nolink(sup, raising(BOOM)))
    with pytest.raises(TaskExit):
        crashing.await_()
    assert call(ref, answering("lives")) == "lives"

    staying = call(ref, lambda _me: TaskSupervisor.async_nolink(sup, gate))
    kill(ref)
    gate.open()
    assert staying.await_() == "through"
    assert notes.is_empty()


def test_a_task_may_start_tasks_below_the_same_supervisor(sup):
    def outer():
        return TaskSupervisor.async_(sup, answering("inner")).await_()

    assert TaskSupervisor.async_(sup, outer).await_() == "inner"


def test_a_task_is_in_the_tree_under_the_name_of_its_function(sup, gate):
    TaskSupervisor.async_(sup, gate.__call__)

    (node,) = tree(sup).children

    assert (node.name, node.kind) == ("Gate.__call__", "worker")


@pytest.mark.parametrize("fn", [answering(1), raising(BOOM)])
def test_who_awaits_a_task_hears_of_it_when_its_place_is_free_and_not_before(tasks, gate, fn):
    begin = Gate()
    sup = tasks(max_children=1)
    task = TaskSupervisor.async_(sup, lambda: (begin(), fn()))
    task.ref.cell.watch("slow", gate)
    begin.open()
    gate.wait_entered()  # its end is on its way, and no further than those who watch

    with pytest.raises(TimeoutError):
        task.await_(0)
    gate.open()
    with suppress(TaskExit):
        task.await_()

    assert is_empty(sup)
    assert TaskSupervisor.async_(sup, answering(2)).await_() == 2


# ---- refusals ---------------------------------------------------------------------------------


@pytest.mark.parametrize("start_task", [*STARTS, lambda *args: TaskSupervisor.map(*args, [])])
def test_what_cannot_be_called_is_refused_and_nothing_starts(sup, start_task):
    with pytest.raises(TypeError, match="a task runs a function, got 'print'"):
        start_task(sup, "print")

    assert is_empty(sup)


@pytest.mark.parametrize("start_task", STARTS)
def test_a_supervisor_that_is_not_there_is_noproc_and_what_is_none_a_type_error(start_task):
    with pytest.raises(CallExit) as refused:
        start_task("nobody", print)
    with pytest.raises(TypeError, match="destination"):
        start_task(print, print)

    assert refused.value.reason == NoProc()


@pytest.mark.rule(58)
@pytest.mark.parametrize("start_task", STARTS)
def test_max_children_limits_the_tasks_that_run_at_once(tasks, gate, start_task):
    sup = tasks(2)
    running = [start_task(sup, gate) for _ in range(2)]

    with pytest.raises(MaxChildren, match="2"):
        start_task(sup, gate)
    assert len(TaskSupervisor.which_children(sup)) == len(running)

    gate.open()
    eventually(lambda: is_empty(sup))
    start_task(sup, gate)


@pytest.mark.rule(58)
def test_with_max_children_of_0_there_are_no_tasks(tasks):
    with pytest.raises(MaxChildren):
        TaskSupervisor.async_(tasks(max_children=0), print)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"max_children": -1}, ValueError),
        ({"max_children": "3"}, TypeError),
        ({"max_children": True}, TypeError),
        ({"max_restarts": -1}, ValueError),
        ({"max_seconds": 0}, ValueError),
        ({"strategy": 1}, TypeError),
        ({"name": 7}, TypeError),
    ],
)
def test_an_option_that_makes_no_sense_is_named(options, error):
    with pytest.raises(error, match=next(iter(options))):
        TaskSupervisor.start(**options)


# ---- tasks that nobody awaits -----------------------------------------------------------------


def test_start_child_answers_the_ref_of_a_task_that_nobody_awaits(sup, log, gate):
    ref = TaskSupervisor.start_child(sup, lambda *args, **kw: (gate(), log.add(args, kw)), 1, n=2)
    assert TaskSupervisor.which_children(sup) == [ChildInfo(None, ref, "worker")]
    end = monitor(ref)

    gate.open()

    assert log.take(1) == [((1,), {"n": 2})]
    assert end.wait(LONGEST).reason in (Normal(), NoProc())
    assert log.is_empty()


@pytest.mark.parametrize(
    ("restart", "ends", "runs"),
    [
        (Restart.TEMPORARY, [BOOM], 1),
        (Restart.TRANSIENT, [BOOM, BOOM, None], 3),
        (Restart.TRANSIENT, [None], 1),
        (Restart.TRANSIENT, [SystemExit(1), None], 2),
    ],
)
def test_a_task_runs_again_by_its_restart_type(sup, log, restart, ends, runs):
    left = list(ends)

    def work(argument):
        log.add("runs", argument)
        end = left.pop(0)
        if end is not None:
            raise_anew(end)

    TaskSupervisor.start_child(sup, work, "argument", restart=restart)

    assert log.take(runs) == [("runs", "argument")] * runs
    eventually(lambda: is_empty(sup))
    assert left == ends[runs:]
    assert log.is_empty()


def test_a_permanent_task_runs_again_whenever_it_has_ended_until_that_is_too_often(tasks, log):
    sup = tasks(max_restarts=2)
    end = monitor(sup)

    TaskSupervisor.start_child(sup, log.add, "runs", restart=Restart.PERMANENT)

    assert log.take(3) == [("runs",)] * 3
    assert end.wait(LONGEST).reason == Shutdown()
    assert log.is_empty()


@pytest.mark.parametrize(
    ("option", "error"),
    [
        ({"restart": "permanent"}, TypeError),
        ({"shutdown": -1}, ValueError),
        ({"shutdown": "5"}, TypeError),
    ],
)
def test_start_child_refuses_a_bad_option_and_starts_nothing(sup, log, option, error):
    with pytest.raises(error, match=next(iter(option))):
        TaskSupervisor.start_child(sup, log.add, **option)

    assert is_empty(sup)
    assert log.is_empty()


def test_terminate_child_ends_a_task_and_one_that_has_ended_is_not_found(sup, endless):
    task = TaskSupervisor.async_nolink(sup, endless)
    endless.wait_begun()

    TaskSupervisor.terminate_child(sup, task.ref)

    endless.wait_over()
    with pytest.raises(TaskExit) as exited:
        task.await_()
    assert exited.value.reason == Shutdown()
    with pytest.raises(NotFound):
        TaskSupervisor.terminate_child(sup, task.ref)


# ---- the end of the supervisor ----------------------------------------------------------------


@pytest.mark.rule(42)
def test_when_the_supervisor_stops_its_tasks_are_interrupted(sup, endless, caplog):
    tasks = [TaskSupervisor.async_(sup, endless) for _ in range(3)]
    endless.wait_begun(3)

    stop(sup)

    endless.wait_over(3)
    for task in tasks:
        with pytest.raises(TaskExit) as exited:
            task.await_()
        assert exited.value.reason == Shutdown()
    assert lines(caplog, logging.ERROR) == []


@pytest.mark.parametrize("shutdown", [30, math.inf, timedelta(seconds=30)])
def test_a_task_that_cannot_be_interrupted_has_its_shutdown_time(sup, deaf, shutdown, caplog):
    ref = TaskSupervisor.start_child(sup, deaf, shutdown=shutdown)
    deaf.wait_begun()
    stopping = InThread(stop, sup)
    deaf.wait_interrupted()

    deaf.let_go()

    stopping.result()
    assert ref.cell.reason == Normal()
    assert lines(caplog, logging.ERROR) == []


@pytest.mark.rule(40)
@pytest.mark.parametrize(("shutdown", "reports"), [(0, 1), (0.01, 1), (BRUTAL_KILL, 0)])
def test_a_task_that_is_still_there_after_that_is_killed(sup, deaf, shutdown, reports, caplog):
    ref = TaskSupervisor.start_child(sup, deaf, shutdown=shutdown)
    deaf.wait_begun()

    stop(sup)

    assert ref.cell.reason == Killed()
    assert len(lines(caplog, logging.ERROR)) == reports


@pytest.mark.rule(49)
def test_tasks_of_a_supervisor_that_is_killed_end_as_well(sup, endless):
    task = TaskSupervisor.async_(sup, endless)
    endless.wait_begun()

    kill(sup)

    endless.wait_over()
    with pytest.raises(TaskExit) as exited:
        task.await_()
    assert exited.value.reason == Killed()


def test_an_actor_whose_linked_task_is_stopped_by_the_supervisor_ends_with_it(start, sup, endless):
    linked, unlinked = start(), start()
    down = monitor(linked)
    call(linked, lambda _me: TaskSupervisor.async_(sup, endless))
    call(unlinked, lambda _me: TaskSupervisor.async_nolink(sup, endless))
    endless.wait_begun(2)

    stop(sup)

    assert down.wait(LONGEST).reason == Shutdown()
    assert call(unlinked, answering("lives")) == "lives"


def test_a_task_that_asks_its_supervisor_while_that_waits_for_its_end_gets_callcycle(sup, endless):
    refused = threading.Event()
    ending = threading.Event()

    def ask_when_ending():
        try:
            endless()
        finally:
            ending.wait(LONGEST)
            with pytest.raises(CallCycle):
                TaskSupervisor.async_(sup, print)
            refused.set()

    ref = TaskSupervisor.start_child(sup, ask_when_ending)
    endless.wait_begun()
    stopping = InThread(stop, sup)
    eventually(lambda: sup.cell.waits_for is not None)
    assert sup.cell.waits_for[0] is ref.cell

    ending.set()

    stopping.result()
    assert refused.is_set()


@pytest.mark.rule(19)
def test_a_supervisor_below_a_supervisor_comes_back_without_its_tasks(supervise, endless):
    top = supervise(TaskSupervisor.child_spec(name="tasks", max_children=1))
    assert Supervisor.which_children(top)[0].type == "supervisor"
    old = whereis("tasks")
    TaskSupervisor.async_(old, endless)
    endless.wait_begun()

    kill(old)

    endless.wait_over()
    eventually(lambda: whereis("tasks") not in (None, old))
    assert is_empty("tasks")
    assert TaskSupervisor.async_("tasks", answering(1)).await_() == 1


def test_the_place_of_a_killed_task_is_free_before_its_supervisor_hears_of_it(tasks, gate):
    sup, never = tasks(2), Endless()
    task = TaskSupervisor.async_nolink(sup, never)
    never.wait_begun()
    # While the supervisor is busy it cannot see the end of the task.
    starting = InThread(
        DynamicSupervisor.start_child, sup, Probe.child_spec(init=gate.pass_through)
    )
    gate.wait_entered()

    next_one = send_request(sup, admin.StartChild(Task.child_spec(pow, 2, 10)))
    kill(task.ref)
    gate.open()

    starting.result()
    next_one.wait(LONGEST)
    never.wait_over()
