"""A task and the actor that started it: linked, so neither outlives the other's crash unseen."""

import threading

import pytest
from probe import LONGEST, InThread, answering, raising
from supervised import BOOM, DONE, Child, ended, eventually, kill

from antq_actors.otp import (
    CallCycle,
    Crash,
    Exited,
    Killed,
    Normal,
    Shutdown,
    StartError,
    Task,
    TaskExit,
    TaskSupervisor,
    call,
    exit,  # noqa: A004 - OTP's name
    monitor,
    stop,
    trap_exit,
    unlink,
)
from antq_actors.otp.threads import run_queue
from antq_actors.otp.threads.run_queue import RunQueue


@pytest.fixture
def sup():
    """A task supervisor, stopped when the test is over."""
    sup = TaskSupervisor.start()
    yield sup
    stop(sup, Shutdown(), timeout=LONGEST)


@pytest.fixture(params=["Task", "TaskSupervisor"])
def async_(request):
    """Start a task that is linked to the calling actor, in either way."""
    if request.param == "Task":
        return Task.async_
    sup = request.getfixturevalue("sup")
    return lambda fn, *args: TaskSupervisor.async_(sup, fn, *args)


def in_actor(fn, *args):
    return lambda _me: fn(*args)


def trapping(_me):
    trap_exit(on=True)


# ---- the crash of a task ----------------------------------------------------------------------


@pytest.mark.rule(65)
def test_a_task_that_crashes_ends_the_actor_that_started_it(start, notes, async_):
    ref = start(notes)
    down = monitor(ref)

    ref.tell(in_actor(async_, raising(BOOM)))

    assert down.wait(LONGEST).reason == Crash(BOOM)
    assert notes.take(1) == [("terminate", Crash(BOOM))]


@pytest.mark.rule(65)
@pytest.mark.parametrize(
    ("fn", "reason"), [(raising(BOOM), Crash(BOOM)), (answering("value"), Normal())]
)
def test_an_actor_that_traps_exits_is_told_of_its_tasks_end(start, notes, async_, fn, reason):
    ref = start(notes)
    call(ref, trapping)

    task = call(ref, in_actor(async_, fn))

    assert notes.take(1) == [Exited(task.ref, reason)]
    assert call(ref, answering("lives")) == "lives"


def test_a_task_that_returns_tells_the_actor_that_started_it_nothing(start, notes, async_):
    ref = start(notes)

    task = call(ref, in_actor(async_, answering("value")))
    assert ended(task) == Normal()

    assert call(ref, in_actor(task.await_)) == "value"
    assert notes.is_empty()


def test_an_actor_that_awaits_a_task_that_crashes_gets_taskexit_and_ends_for_the_link(
    start, async_
):
    ref = start()
    down = monitor(ref)
    raised = []

    def await_it(_me):
        try:
            async_(raising(BOOM)).await_()
        except TaskExit as exited:
            raised.append(exited.reason)

    ref.tell(await_it)

    assert down.wait(LONGEST).reason == Crash(BOOM)
    assert raised == [Crash(BOOM)]


def test_a_task_of_a_plain_thread_is_linked_to_nobody(async_):
    task = InThread(async_, raising(BOOM)).result()

    with pytest.raises(TaskExit, match="boom"):
        task.await_()


@pytest.mark.parametrize("let_go", ["unlink", "shutdown"])
def test_a_task_that_is_let_go_as_soon_as_it_has_started_ends_nobody(
    start, endless, async_, let_go
):
    def start_and_let_go(_me):
        task = async_(endless)
        if let_go == "unlink":
            unlink(task.ref)
            kill(task.ref)
        else:
            task.shutdown(0)

    # The moment in question is short, so there are many of them.
    for _ in range(50):
        ref = start()

        call(ref, start_and_let_go)

        assert call(ref, answering("lives")) == "lives"
        stop(ref)


# ---- the end of the actor that started it -----------------------------------------------------


@pytest.mark.rule(65)
@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (lambda ref: ref.tell(raising(BOOM)), Crash(BOOM)),
        (lambda ref: stop(ref, DONE), DONE),
        (lambda ref: exit(ref, DONE), DONE),
        (kill, Killed()),
    ],
    ids=["crash", "stop", "exit", "kill"],
)
def test_the_end_of_the_actor_that_started_it_ends_a_task(start, endless, async_, end, reason):
    ref = start()
    task = call(ref, in_actor(async_, endless))
    endless.wait_begun()

    end(ref)

    endless.wait_over()
    assert ended(task) == reason


@pytest.mark.rule(65)
def test_a_normal_end_of_the_actor_that_started_it_does_not_end_a_task(start, gate, async_):
    ref = start()
    task = call(ref, in_actor(async_, gate))

    stop(ref)
    gate.open()

    assert task.await_() == "through"


@pytest.mark.rule(65)
def test_a_task_whose_actor_was_killed_before_it_could_start_does_not_begin(
    start, sup, endless, log, caplog
):
    ref, come_up = start(), threading.Event()
    keeping_busy = InThread(
        TaskSupervisor.start_children, sup, [Child.child_spec("slow", log, {"slow": come_up})]
    )
    log.take(1)
    ref.tell(in_actor(TaskSupervisor.async_, sup, endless))
    eventually(lambda: len(sup.cell.mailbox) == 1)

    kill(ref)
    come_up.set()

    keeping_busy.result()
    eventually(lambda: any("NoProc" in r.getMessage() for r in caplog.records))
    assert len(TaskSupervisor.which_children(sup)) == 1
    assert not endless.has_begun()


def test_a_task_for_which_there_is_no_thread_is_a_start_error_and_ends_nobody(
    start, notes, async_, monkeypatch
):
    ref = start(notes)
    refused = []

    def try_it(_me):
        with monkeypatch.context() as no_thread:
            no_thread.setattr(run_queue, "_run_queue", RunQueue(raising(RuntimeError("no thread"))))
            try:
                async_(answering(1))
            except StartError as error:
                refused.append(str(error))

    call(ref, try_it)

    assert "no thread" in refused[0]
    assert call(ref, answering("lives")) == "lives"
    assert notes.is_empty()


# ---- rings ------------------------------------------------------------------------------------


def test_a_task_that_calls_the_actor_that_awaits_it_gets_callcycle(start, async_):
    ref = start()
    call(ref, trapping)
    refused = []

    def call_back():
        try:
            call(ref, answering("never"))
        except CallCycle as cycle:
            refused.append(cycle.path)
        return "value"

    def await_it(me):
        task = async_(call_back)
        return task.ref, task.await_()

    task_ref, value = call(ref, await_it)

    assert value == "value"
    assert refused in ([[task_ref, ref, task_ref]], [[ref, task_ref, ref]])


def test_two_tasks_that_await_each_other_get_callcycle(gate):
    tasks = []

    def await_other(other):
        gate()
        return tasks[other].await_(None)

    tasks += [Task.async_(await_other, 1), Task.async_(await_other, 0)]

    gate.open()

    for task in tasks:
        with pytest.raises(TaskExit):
            task.await_()
    assert any(isinstance(ended(task).exception, CallCycle) for task in tasks)


def test_a_task_that_awaits_itself_gets_callcycle(gate):
    tasks = []

    def await_itself():
        gate()
        return tasks[0].await_(None)

    tasks.append(Task.async_(await_itself))
    gate.open()

    with pytest.raises(TaskExit) as exited:
        tasks[0].await_()
    assert isinstance(exited.value.__cause__, CallCycle)
