"""Task: one function in an actor of its own; who awaits it gets its value, or why it has none.

yield_ and yield_many: how tasks have ended, as values, and None for those that have not."""

import functools
import logging
import math
import re
import threading
import time
from datetime import timedelta

import pytest
from probe import LONGEST, InThread, answering, in_actor, raising
from supervised import BOOM, DONE, ended, eventually, kill

from antq_actors.otp import (
    BRUTAL_KILL,
    CallCycle,
    CallExit,
    Crash,
    Killed,
    Normal,
    Ok,
    Shutdown,
    StartError,
    Stop,
    Task,
    TaskExit,
    call,
    exit,  # noqa: A004 - OTP's name
    orphans,
    trap_exit,
)
from antq_actors.otp.threads import run_queue
from antq_actors.otp.threads.run_queue import RunQueue


def as_request(fn, *args, **kwargs):
    """A function that an actor runs: *fn* of the arguments, and not of the actor."""
    return lambda _me: fn(*args, **kwargs)


# ---- the value --------------------------------------------------------------------------------


def test_await_answers_what_the_function_does_with_its_arguments():
    task = Task.async_(lambda *args, **kwargs: (args, kwargs), 1, 2, name="n")

    assert task.await_() == ((1, 2), {"name": "n"})


@pytest.mark.parametrize("name", ["self", "cls", "fn", "ending", "args", "name", "sup", "owner"])
def test_a_keyword_of_the_function_may_have_any_name(name):
    assert Task.async_(dict, **{name: 1}).await_() == {name: 1}


@pytest.mark.parametrize("fn", [dict, functools.partial(dict), type("F", (), {"__call__": dict})()])
def test_all_that_can_be_called_is_a_function(fn):
    assert isinstance(Task.async_(lambda: fn).await_()(), dict)


@pytest.mark.parametrize("value", [None, False, BOOM, Normal(), IndexError])
def test_every_value_is_a_value_also_one_that_looks_like_none_or_an_error(value):
    assert Task.async_(answering(value)).await_() is value


def test_a_task_can_be_awaited_as_often_as_one_likes():
    task = Task.async_(object)

    value = task.await_()

    assert task.await_() is value
    assert task.await_(timeout=0) is value


def test_a_value_is_there_also_after_the_task_has_ended():
    task = Task.async_(pow, 2, 10)
    assert ended(task) == Normal()

    assert task.await_(0) == 1024


def test_anyone_may_await_a_task_and_all_get_the_value(start, gate):
    task = call(start(), as_request(Task.async_, gate))
    waiting = [InThread(task.await_) for _ in range(3)]
    other = InThread(call, start(), as_request(task.await_))

    gate.open()

    assert [each.result() for each in [*waiting, other]] == ["through"] * 4


def test_a_task_runs_in_an_actor_of_its_own_and_not_in_the_callers_thread():
    task = Task.async_(threading.current_thread)

    assert task.await_() is not threading.current_thread()
    assert repr(task) == f"<Task {task.ref}>"


def test_a_task_may_start_and_await_tasks():
    def fibonacci(n):
        if n < 2:
            return n
        first, second = (Task.async_(fibonacci, n - each) for each in (1, 2))
        return first.await_() + second.await_()

    assert Task.async_(fibonacci, 6).await_() == 8


@pytest.mark.parametrize("no_function", [None, 7, "print", [print]])
def test_what_cannot_be_called_is_refused_and_nothing_starts(no_function):
    with pytest.raises(TypeError, match=r"a task runs a function, got .* without calling fn"):
        Task.async_(no_function)


def test_arguments_that_do_not_fit_are_a_crash_of_the_task():
    task = Task.async_(pow)

    with pytest.raises(TaskExit) as exited:
        task.await_()

    assert isinstance(exited.value.__cause__, TypeError)


# ---- no value ---------------------------------------------------------------------------------


def test_await_raises_taskexit_with_what_the_function_raised_as_its_cause(caplog):
    task = Task.async_(raising(BOOM))

    with pytest.raises(TaskExit, match="boom") as exited:
        task.await_()

    assert exited.value.reason == Crash(BOOM)
    assert exited.value.__cause__ is BOOM
    eventually(lambda: caplog.records)
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.exc_info[1] is BOOM


def test_each_await_raises_an_error_of_its_own():
    task = Task.async_(raising(BOOM))

    errors = []
    for _ in range(2):
        with pytest.raises(TaskExit) as exited:
            task.await_()
        errors.append(exited.value)

    assert errors[0] is not errors[1]
    assert errors[0].reason == errors[1].reason


@pytest.mark.parametrize(
    "error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit(), BaseException("base")]
)
def test_what_is_no_exception_but_a_baseexception_ends_the_task_alone(start, error):
    bystander = start()

    with pytest.raises(TaskExit) as exited:
        Task.async_(raising(error)).await_()

    assert exited.value.reason == Crash(error)
    assert exited.value.__cause__ is error
    assert call(bystander, answering("lives")) == "lives"


@pytest.mark.parametrize("reason", [Normal(), DONE])
def test_a_task_that_raises_stop_ends_with_its_reason_and_without_a_value(reason):
    with pytest.raises(TaskExit) as exited:
        Task.async_(raising(Stop(reason))).await_()

    assert exited.value.reason == reason
    assert exited.value.__cause__ is None


def test_an_exit_signal_interrupts_the_function(endless):
    task = Task.async_(endless)
    endless.wait_begun()

    exit(task.ref, DONE)

    with pytest.raises(TaskExit) as exited:
        task.await_()
    assert exited.value.reason == DONE
    endless.wait_over()


def test_a_killed_task_is_over_at_once_also_when_its_thread_cannot_be_interrupted(deaf):
    task = Task.async_(deaf)
    deaf.wait_begun()

    kill(task.ref)

    with pytest.raises(TaskExit) as exited:
        task.await_()
    assert exited.value.reason == Killed()
    assert len(orphans()) == 1
    deaf.let_go()
    eventually(lambda: orphans() == [])
    with pytest.raises(TaskExit):  # what its thread answered since reaches nobody
        task.await_()


def test_a_task_that_was_told_to_end_before_its_turn_does_not_begin(endless):
    with run_queue.together(1):
        task = Task.async_(endless)
        exit(task.ref, DONE)

    with pytest.raises(TaskExit) as exited:
        task.await_()

    assert exited.value.reason == DONE
    assert not endless.has_begun()


def test_who_calls_a_task_hears_of_its_end_and_the_task_is_not_disturbed(gate):
    task = Task.async_(gate)
    gate.wait_entered()
    calling = InThread(call, task.ref, "hello")
    eventually(lambda: len(task.ref.cell.mailbox) == 1)

    gate.open()

    with pytest.raises(CallExit) as refused:
        calling.result()
    assert refused.value.reason == Normal()
    assert task.await_() == "through"


def test_a_task_for_which_there_is_no_thread_is_a_start_error(monkeypatch):
    monkeypatch.setattr(run_queue, "_run_queue", RunQueue(raising(RuntimeError("no thread"))))

    with pytest.raises(StartError, match="no thread"):
        Task.async_(answering(1))


# ---- too late ---------------------------------------------------------------------------------


def test_a_task_that_is_late_raises_timeouterror_and_goes_on(gate):
    task = Task.async_(gate)

    with pytest.raises(TimeoutError, match=r"no value after 0.01 s; it goes on"):
        task.await_(0.01)
    gate.open()

    assert task.await_() == "through"


def test_after_a_timeout_nothing_arrives_late(start, notes, gate):
    ref = start(notes)
    task = call(ref, as_request(Task.async_, gate))

    def give_up(_me):
        with pytest.raises(TimeoutError):
            task.await_(0)

    call(ref, give_up)
    gate.open()
    assert ended(task) == Normal()

    call(ref, answering(None))
    assert len(ref.cell.mailbox) == 0
    assert notes.is_empty()


def test_a_timeout_may_be_a_timedelta_or_endless():
    for timeout in (timedelta(seconds=LONGEST), math.inf, None, 30):
        assert Task.async_(answering(1)).await_(timeout) == 1


@pytest.mark.parametrize(
    ("timeout", "error"),
    [
        (-1, ValueError),
        (math.nan, ValueError),
        (timedelta(seconds=-1), ValueError),
        ("5", TypeError),
        (True, TypeError),
    ],
)
def test_an_impossible_timeout_is_refused_and_the_task_goes_on(gate, timeout, error):
    task = Task.async_(gate)

    for wait in (
        lambda: task.await_(timeout),
        lambda: Task.await_many([task], timeout),
        lambda: task.shutdown(timeout),
    ):
        with pytest.raises(error, match="timeout"):
            wait()

    gate.open()
    assert task.await_() == "through"


# ---- await_many -------------------------------------------------------------------------------


def test_await_many_answers_the_values_in_the_order_of_the_tasks(gate):
    first, second = Task.async_(gate), Task.async_(answering(2))
    assert second.await_() == 2

    gate.open()

    assert Task.await_many([first, second], timeout=LONGEST) == ["through", 2]
    assert Task.await_many(iter([second, first]), timeout=None) == [2, "through"]
    assert Task.await_many([]) == []


def test_await_many_has_one_timeout_for_all_of_them(gate):
    tasks = [Task.async_(answering(1)), *[Task.async_(gate)] * 1000]
    began = time.monotonic()

    with pytest.raises(TimeoutError, match=r"no value after the 0.2 s that all tasks had together"):
        Task.await_many(tasks, timeout=0.2)

    assert 0.2 <= time.monotonic() - began < LONGEST  # and not 1000 times as long
    gate.open()


def test_await_many_raises_the_taskexit_of_the_first_without_a_value():
    tasks = [Task.async_(answering(1)), Task.async_(raising(BOOM)), Task.async_(raising(KeyError))]

    with pytest.raises(TaskExit, match="boom"):
        Task.await_many(tasks)


@pytest.mark.parametrize("timeout", [None, LONGEST])
@pytest.mark.parametrize("end", [kill, lambda ref: exit(ref, DONE)], ids=["killed", "told to end"])
def test_await_many_raises_as_soon_as_one_has_ended_without_a_value(gate, endless, end, timeout):
    slow, ending = Task.async_(gate), Task.async_(endless)
    endless.wait_begun()
    awaiting = InThread(Task.await_many, [slow, ending, slow], timeout)

    end(ending.ref)

    with pytest.raises(TaskExit) as exited:
        awaiting.result()
    assert exited.value.reason in (Killed(), DONE)
    gate.open()
    assert slow.await_() == "through"
    assert slow.ref.cell._watchers == {}


def test_await_many_raises_at_once_for_a_task_that_has_crashed(gate):
    slow, crashed = Task.async_(gate), Task.async_(raising(BOOM))
    ended(crashed)

    with pytest.raises(TaskExit, match="boom") as exited:
        Task.await_many([slow, crashed], timeout=None)

    assert exited.value.__cause__ is BOOM
    gate.open()


def test_await_many_without_time_answers_what_is_there_and_else_forgets_the_tasks(gate):
    slow, done = Task.async_(gate), Task.async_(answering(1))
    ended(done)
    watchers = len(slow.ref.cell._watchers)

    assert Task.await_many([done, done], timeout=0) == [1, 1]
    with pytest.raises(TimeoutError, match=re.escape(str(slow.ref))):
        Task.await_many([done, slow], timeout=0)

    assert len(slow.ref.cell._watchers) == watchers
    gate.open()


def test_await_many_finds_the_ring_of_a_task_that_calls_who_awaits_it(start, gate):
    ref = start()

    def work(_me):
        calling = Task.async_(call, ref, answering("never"))
        first = Task.async_(gate)
        gate.open()
        return Task.await_many([first, calling], LONGEST)

    with pytest.raises(CallExit) as exited:
        call(ref, lambda me: trap_exit(on=True) or work(me), LONGEST)

    task_exit = exited.value.reason.exception
    assert isinstance(task_exit.reason.exception, CallCycle)


# ---- shutdown ---------------------------------------------------------------------------------


def test_shutdown_ends_a_task_and_answers_how_it_ended(endless):
    task = Task.async_(endless)
    endless.wait_begun()

    assert task.shutdown() == Shutdown()

    endless.wait_over()
    with pytest.raises(TaskExit) as exited:
        task.await_()
    assert exited.value.reason == Shutdown()


@pytest.mark.parametrize("timeout", [0, 0.01, timedelta(0), BRUTAL_KILL])
def test_shutdown_kills_a_task_that_does_not_end_in_time(deaf, timeout):
    task = Task.async_(deaf)
    deaf.wait_begun()

    assert task.shutdown(timeout) == Killed()


@pytest.mark.parametrize("timeout", [None, math.inf, 30])
def test_shutdown_waits_for_a_task_as_long_as_it_may(deaf, timeout):
    task = Task.async_(deaf)
    deaf.wait_begun()
    ending = InThread(task.shutdown, timeout)
    deaf.wait_interrupted()

    deaf.let_go()

    assert ending.result() == Normal()


@pytest.mark.parametrize(("fn", "reason"), [(answering(1), Normal()), (raising(BOOM), Crash(BOOM))])
def test_shutdown_of_a_task_that_has_ended_answers_its_reason(fn, reason):
    task = Task.async_(fn)
    ended(task)

    assert task.shutdown() == reason
    assert task.shutdown(BRUTAL_KILL) == reason


def test_shutdown_does_not_end_the_actor_that_asks_for_it(start, notes, endless):
    ref = start(notes)
    task = call(ref, as_request(Task.async_, endless))
    endless.wait_begun()

    assert call(ref, as_request(task.shutdown)) == Shutdown()

    assert call(ref, answering("lives")) == "lives"
    assert notes.is_empty()


# ---- yield_ -------------------------------------------------------------------------------------


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
