"""yield_ and yield_many: how tasks have ended, as values, and None for those that have not."""

import math
import threading
import time

import pytest
from probe import LONGEST, InThread, answering, in_actor, raising
from supervised import BOOM, eventually, kill

from antq_actors.otp import (
    BRUTAL_KILL,
    CallCycle,
    Crash,
    Killed,
    Ok,
    Shutdown,
    Task,
    TaskExit,
    call,
    trap_exit,
)


def reasons(results):
    """The reason of each TaskExit, and everything else as it is."""
    return [each.reason if isinstance(each, TaskExit) else each for _, each in results]


# ---- yield_ -----------------------------------------------------------------------------------


@pytest.mark.rule(82)
@pytest.mark.parametrize("value", [1024, None, False, (), ValueError("a value")])
def test_the_value_of_a_task_is_wrapped_so_that_it_is_not_taken_for_none(value):
    task = Task.async_(answering(value))

    assert task.yield_(LONGEST) == Ok(value)
    assert task.yield_(0) == Ok(value)
    assert task.await_() == value


@pytest.mark.rule(82)
def test_the_end_of_a_task_without_a_value_is_returned_and_not_raised():
    task = Task.async_(raising(BOOM))

    first, second = task.yield_(LONGEST), task.yield_(0)

    assert isinstance(first, TaskExit)
    assert first.reason == Crash(BOOM)
    assert first.__cause__ is BOOM
    assert second is not first  # so that one who raises it leaves no traceback in the other
    with pytest.raises(TaskExit) as exited:
        task.await_()
    assert exited.value.reason == Crash(BOOM)


@pytest.mark.rule(82)
def test_after_a_timeout_it_is_none_and_the_task_goes_on(gate):
    task = Task.async_(gate)

    assert task.yield_(0) is None
    assert task.yield_(0.01) is None
    gate.open()

    assert task.yield_(LONGEST) == Ok("through")


@pytest.mark.rule(82)
def test_nothing_of_a_task_that_was_late_arrives_as_a_message(start, notes, gate):
    ref = start(notes)
    in_actor(ref, trap_exit, on=True)
    task = in_actor(ref, Task.async_, gate)
    assert in_actor(ref, task.yield_, 0.01) is None

    gate.open()
    assert in_actor(ref, task.yield_, LONGEST) == Ok("through")

    exited = notes.take(1)[0]  # of the link, as of any task that was started so
    assert exited.ref is task.ref
    call(ref, answering(None))
    assert notes.is_empty()


@pytest.mark.parametrize("timeout", [None, math.inf])
def test_without_a_limit_it_waits_for_the_end(endless, timeout):
    task = Task.async_(endless)
    endless.wait_begun()
    waiting = InThread(task.yield_, timeout)

    task.shutdown()

    assert waiting.result().reason == Shutdown()


def test_a_task_that_is_killed_or_shut_down_says_so(endless):
    killed, ended = Task.async_(endless), Task.async_(endless)
    endless.wait_begun(2)

    kill(killed.ref)
    ended.shutdown()

    assert reasons(Task.yield_many([killed, ended])) == [Killed(), Shutdown()]
    endless.wait_over(2)


def test_a_task_that_calls_who_waits_for_it_gets_callcycle(start):
    ref = start()

    def wait_for_a_task_that_calls_me(_me):
        trap_exit(on=True)
        task = Task.async_(lambda: call(ref, answering("never")))
        return task.yield_(LONGEST)

    exited = call(ref, wait_for_a_task_that_calls_me, LONGEST)

    assert isinstance(exited.reason.exception, CallCycle)


def test_two_tasks_that_wait_for_each_other_are_told():
    tasks = {}
    both = threading.Barrier(2)

    def wait_for(other):
        both.wait(LONGEST)
        try:
            return tasks[other].yield_(None)
        except CallCycle as cycle:
            return cycle

    tasks["a"] = Task.async_(wait_for, "b")
    tasks["b"] = Task.async_(wait_for, "a")
    results = [result for _, result in Task.yield_many(tasks.values(), LONGEST)]

    assert sum(isinstance(each.value, CallCycle) for each in results) == 1


# ---- yield_many -------------------------------------------------------------------------------


@pytest.mark.rule(83)
def test_many_tasks_come_in_their_order_each_with_its_end(endless):
    late = Task.async_(endless)
    endless.wait_begun()
    tasks = [Task.async_(answering(1)), late, Task.async_(raising(BOOM)), Task.async_(answering(2))]

    Task.yield_many(tasks, None, limit=3)
    results = Task.yield_many(iter(tasks), 0.01)

    assert [task for task, _ in results] == tasks
    assert reasons(results) == [Ok(1), None, Crash(BOOM), Ok(2)]
    late.shutdown(BRUTAL_KILL)
    endless.wait_over()


def test_no_tasks_are_no_results():
    assert Task.yield_many([]) == []
    assert Task.yield_many([], limit=3) == []


def test_a_task_that_is_there_twice_is_told_twice():
    task = Task.async_(answering(1))

    assert Task.yield_many([task, task], LONGEST) == [(task, Ok(1)), (task, Ok(1))]


@pytest.mark.rule(83)
def test_with_a_limit_it_returns_as_soon_as_so_many_have_ended(endless):
    stuck = [Task.async_(endless) for _ in range(2)]
    endless.wait_begun(2)
    tasks = [stuck[0], Task.async_(answering(1)), stuck[1], Task.async_(raising(BOOM))]

    results = Task.yield_many(tasks, None, limit=2)

    assert reasons(results) == [None, Ok(1), None, Crash(BOOM)]
    for task in stuck:
        task.shutdown(BRUTAL_KILL)
    endless.wait_over(2)


def test_a_limit_of_more_than_there_are_is_all_of_them():
    tasks = [Task.async_(answering(number)) for number in range(3)]

    assert reasons(Task.yield_many(tasks, LONGEST, limit=99)) == [Ok(0), Ok(1), Ok(2)]


def test_the_timeout_is_for_all_of_them_together(endless):
    tasks = [Task.async_(endless) for _ in range(5)]
    endless.wait_begun(5)
    began = time.monotonic()

    assert reasons(Task.yield_many(tasks, 0.2)) == [None] * 5

    assert 0.2 <= time.monotonic() - began < LONGEST
    for task in tasks:
        task.shutdown(BRUTAL_KILL)
    endless.wait_over(5)


def test_nothing_is_kept_of_a_wait_that_is_over(endless):
    task = Task.async_(endless)
    endless.wait_begun()
    watchers = len(task.ref.cell._watchers)

    Task.yield_many([task, task], 0)

    assert len(task.ref.cell._watchers) == watchers
    task.shutdown(BRUTAL_KILL)
    endless.wait_over()


def test_one_that_calls_who_waits_for_all_gets_callcycle(start):
    ref = start()

    def wait(_me):
        trap_exit(on=True)
        tasks = [
            Task.async_(lambda: call(ref, answering("never"))),
            Task.async_(answering("fine")),
        ]
        return reasons(Task.yield_many(tasks, LONGEST))

    cycle, fine = call(ref, wait, LONGEST)

    assert isinstance(cycle.exception, CallCycle)
    assert fine == Ok("fine")


def test_results_are_the_same_whenever_they_are_asked_for():
    tasks = [Task.async_(answering(number)) for number in range(100)]
    eventually(lambda: all(task.yield_(0) is not None for task in tasks))

    assert reasons(Task.yield_many(tasks, 0, limit=1)) == [Ok(number) for number in range(100)]


@pytest.mark.parametrize(
    ("limit", "error"), [(0, ValueError), (-1, ValueError), (True, TypeError), ("2", TypeError)]
)
def test_a_limit_that_is_none_is_refused(limit, error):
    with pytest.raises(error, match="limit"):
        Task.yield_many([], limit=limit)


def test_what_is_no_task_is_refused_by_the_name_of_the_method():
    with pytest.raises(TypeError, match=r"yield_many\(\) takes tasks"):
        Task.yield_many([42])
