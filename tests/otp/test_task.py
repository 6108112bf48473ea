"""Task: one function in an actor of its own; who awaits it gets its value, or why it has none."""

import functools
import logging
import math
import re
import threading
import time
from datetime import timedelta

import pytest
from probe import LONGEST, InThread, answering, raising
from supervised import BOOM, DONE, ended, eventually, kill

from antq_actors.otp import (
    BRUTAL_KILL,
    CallCycle,
    CallExit,
    Crash,
    Killed,
    Normal,
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


def in_actor(fn, *args, **kwargs):
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
    task = call(start(), in_actor(Task.async_, gate))
    waiting = [InThread(task.await_) for _ in range(3)]
    other = InThread(call, start(), in_actor(task.await_))

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
    task = call(ref, in_actor(Task.async_, gate))

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
    task = call(ref, in_actor(Task.async_, endless))
    endless.wait_begun()

    assert call(ref, in_actor(task.shutdown)) == Shutdown()

    assert call(ref, answering("lives")) == "lives"
    assert notes.is_empty()
