"""A task as a static child, and the time that a task has to end when its supervisor does."""

import itertools
import queue
import threading
from datetime import timedelta

import pytest
from probe import LONGEST, InThread, Probe, answering
from supervised import eventually, is_empty, raise_anew

from antq_actors.otp import (
    BRUTAL_KILL,
    AutoShutdown,
    ChildInfo,
    ChildSpec,
    Killed,
    Ok,
    Restart,
    Shutdown,
    StartError,
    Supervisor,
    Task,
    TaskSupervisor,
    monitor,
    orphans,
    stop,
    tree,
)


def ids(sup):
    return [child.id for child in Supervisor.which_children(sup)]


@pytest.mark.rule(84)
def test_a_task_is_a_child_that_is_forgotten_when_it_has_ended(supervise):
    done = queue.SimpleQueue()
    work = threading.Event()

    sup = supervise(Task.child_spec(lambda text: (work.wait(LONGEST), done.put(text)), "warm"))
    assert ids(sup) == ["<lambda>"]
    work.set()

    assert done.get(timeout=LONGEST) == "warm"
    eventually(lambda: ids(sup) == [])


def test_the_spec_is_one_like_any_other():
    spec = Task.child_spec(pow, 2, 10)

    assert isinstance(spec, ChildSpec)
    assert (spec.id, spec.restart, spec.shutdown, spec.type) == (
        "pow",
        Restart.TEMPORARY,
        5.0,
        "worker",
    )
    assert Task.child_spec(pow, 2, 10, id="power", shutdown=BRUTAL_KILL).shutdown is BRUTAL_KILL
    assert Task.child_spec(pow, shutdown=timedelta(minutes=1)).shutdown == 60.0
    assert Task.child_spec([].append).id == "append"


def test_the_supervisor_does_not_wait_for_what_its_task_does(supervise, gate):
    sup = supervise(Task.child_spec(gate, id="long"), Probe)

    gate.wait_entered()

    assert [node.name for node in tree(sup).children] == ["long", "Probe"]
    assert [node.state for node in tree(sup).children] == ["running", "running"]


@pytest.mark.rule(84)
def test_a_transient_task_runs_again_after_a_crash_and_only_then(supervise):
    runs, numbers = queue.SimpleQueue(), itertools.count(1)

    def work(text):
        runs.put(text)
        if next(numbers) < 3:
            raise_anew(ValueError("not yet"))

    sup = supervise(Task.child_spec(work, "run", id="job", restart=Restart.TRANSIENT))

    assert [runs.get(timeout=LONGEST) for _ in range(3)] == ["run"] * 3
    eventually(lambda: Supervisor.which_children(sup) == [ChildInfo("job", None, "worker")])
    assert tree(sup).children[0].restarts == 2
    Supervisor.restart_child(sup, "job")
    assert runs.get(timeout=LONGEST) == "run"


def test_a_crash_of_a_temporary_task_touches_nobody(supervise):
    sup = supervise(Probe, Task.child_spec((1).__truediv__, 0, id="crashes"), max_restarts=0)

    eventually(lambda: ids(sup) == ["Probe"])

    assert sup.cell.reason is None


def test_a_significant_task_takes_its_supervisor_along():
    work = threading.Event()
    sup = Supervisor.start(
        [Task.child_spec(work.wait, LONGEST, id="batch", significant=True)],
        auto_shutdown=AutoShutdown.ANY_SIGNIFICANT,
    )
    watch = monitor(sup)

    work.set()

    assert watch.wait(LONGEST).reason == Shutdown()


def test_a_task_is_interrupted_when_its_supervisor_stops(supervise, endless):
    sup = supervise(Task.child_spec(endless))
    endless.wait_begun()

    stop(sup, Shutdown(), LONGEST)

    endless.wait_over()


@pytest.mark.parametrize(
    ("fn", "options", "named"),
    [
        (42, {}, "function"),
        (print, {"restart": "never"}, "restart"),
        (print, {"shutdown": -1}, "shutdown"),
        (print, {"id": []}, "id"),
    ],
)
def test_a_bad_value_is_refused_when_the_spec_is_made(fn, options, named):
    with pytest.raises((TypeError, ValueError), match=named):
        Task.child_spec(fn, **options)


def test_a_task_that_runs_is_no_child_and_told_what_to_write():
    with pytest.raises(TypeError, match=r"it runs already.*Task.child_spec\(fn, \*args\)"):
        Supervisor.start([Task.async_(int)])


@pytest.mark.parametrize("child", [print, lambda: None, Task])
def test_a_function_in_the_place_of_a_spec_is_refused_with_what_to_write(child):
    with pytest.raises(TypeError, match=r"Task.child_spec\(fn|required positional argument: 'fn'"):
        Supervisor.start([child])


def test_two_tasks_of_one_function_need_ids():
    with pytest.raises(StartError, match="two children have the id 'print'; give one another id="):
        Supervisor.start([Task.child_spec(print), Task.child_spec(print)])


# ---- shutdown= of async_ ----------------------------------------------------------------------

STARTS = [TaskSupervisor.async_, TaskSupervisor.async_nolink]


@pytest.mark.rule(86)
@pytest.mark.parametrize("async_", STARTS)
@pytest.mark.parametrize("shutdown", [BRUTAL_KILL, 0, 0.05])
def test_a_task_has_so_long_to_end_when_its_supervisor_does(start, deaf, async_, shutdown):
    sup = start(of=TaskSupervisor)
    task = async_(sup, deaf, shutdown=shutdown)
    deaf.wait_begun()

    stop(sup, timeout=LONGEST)

    assert task.yield_(LONGEST).reason == Killed()
    deaf.let_go()
    eventually(lambda: not orphans())


@pytest.mark.rule(86)
@pytest.mark.parametrize("async_", STARTS)
def test_a_task_with_time_enough_ends_in_its_own_way(start, deaf, async_):
    sup = start(of=TaskSupervisor)
    task = async_(sup, deaf, shutdown=LONGEST)
    deaf.wait_begun()
    ending = InThread(stop, sup, Shutdown(), LONGEST)
    deaf.wait_interrupted()
    deaf.let_go()

    ending.result()
    assert task.yield_(LONGEST) == Ok("through")


@pytest.mark.parametrize("async_", STARTS)
@pytest.mark.parametrize("shutdown", [-1, "5", True])
def test_a_shutdown_that_is_none_is_refused_before_anything_starts(start, async_, shutdown):
    sup = start(of=TaskSupervisor)

    with pytest.raises((TypeError, ValueError), match="shutdown"):
        async_(sup, answering(1), shutdown=shutdown)

    assert is_empty(sup)
