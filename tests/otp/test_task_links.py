"""A task and those above it: the actor that started it, or its supervisor.

It is linked to the actor, so neither outlives the other's crash unseen. As a static child it has
a time to end when its supervisor does."""

import itertools
import queue
import threading
from datetime import timedelta

import pytest
from probe import LONGEST, InThread, Probe, answering, raising
from supervised import BOOM, DONE, Child, ended, eventually, is_empty, kill, raise_anew

from antq_actors.otp import (
    BRUTAL_KILL,
    AutoShutdown,
    CallCycle,
    ChildInfo,
    ChildSpec,
    Crash,
    Exited,
    Killed,
    Normal,
    Ok,
    Restart,
    Shutdown,
    StartError,
    Supervisor,
    Task,
    TaskExit,
    TaskSupervisor,
    call,
    exit,  # noqa: A004 - OTP's name
    monitor,
    orphans,
    stop,
    trap_exit,
    tree,
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


# ---- a task as a static child -------------------------------------------------------------------


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
@pytest.mark.parametrize("start_task", STARTS)
@pytest.mark.parametrize("shutdown", [BRUTAL_KILL, 0, 0.05])
def test_a_task_has_so_long_to_end_when_its_supervisor_does(start, deaf, start_task, shutdown):
    sup = start(of=TaskSupervisor)
    task = start_task(sup, deaf, shutdown=shutdown)
    deaf.wait_begun()

    stop(sup, timeout=LONGEST)

    assert task.yield_(LONGEST).reason == Killed()
    deaf.let_go()
    eventually(lambda: not orphans())


@pytest.mark.rule(86)
@pytest.mark.parametrize("start_task", STARTS)
def test_a_task_with_time_enough_ends_in_its_own_way(start, deaf, start_task):
    sup = start(of=TaskSupervisor)
    task = start_task(sup, deaf, shutdown=LONGEST)
    deaf.wait_begun()
    ending = InThread(stop, sup, Shutdown(), LONGEST)
    deaf.wait_interrupted()
    deaf.let_go()

    ending.result()
    assert task.yield_(LONGEST) == Ok("through")


@pytest.mark.parametrize("start_task", STARTS)
@pytest.mark.parametrize("shutdown", [-1, "5", True])
def test_a_shutdown_that_is_none_is_refused_before_anything_starts(start, start_task, shutdown):
    sup = start(of=TaskSupervisor)

    with pytest.raises((TypeError, ValueError), match="shutdown"):
        start_task(sup, answering(1), shutdown=shutdown)

    assert is_empty(sup)
