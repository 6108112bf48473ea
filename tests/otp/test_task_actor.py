"""An actor that has one thing to do: what it answers is its end, and all ends are one end."""

import threading
from typing import NamedTuple

import pytest
from probe import LONGEST, InThread, answering, raising
from pykka import ActorDeadError
from supervised import BOOM, eventually

from antq_actors.otp import (
    CallExit,
    ChildSpec,
    Crash,
    DynamicSupervisor,
    Killed,
    MaxChildren,
    NoProc,
    Normal,
    Restart,
    Shutdown,
    StartError,
    Stop,
    call,
    monitor,
    orphans,
    subscribe,
    tree,
)
from antq_actors.otp.actors.task_actor import TaskActor, TaskCell
from antq_actors.otp.events import ChildExited, ChildStarted
from antq_actors.otp.messaging import links
from antq_actors.otp.threads import run_queue
from antq_actors.otp.threads.run_queue import RunQueue


class Doing(TaskActor):
    """Does what it is given."""

    def __init__(self, do):
        super().__init__()
        self._do = do

    def run(self):
        return self.interruptible(self._do, self)


class Ends(NamedTuple):
    """Has the reasons of ends."""

    reasons: list

    def add(self, _cell, reason):
        self.reasons.append(reason)


class DoingCell(TaskCell):
    """Does what it is given, and is no more than a cell until somebody asks."""

    actor_class = Doing

    def __init__(self, do, ends=None):
        super().__init__(Ends([] if ends is None else ends))
        self._do = do

    def run(self):
        return self.interruptible.run(self.stop_requested, self._do, self)


SPEC = ChildSpec("doing", Doing.spawn, restart=Restart.TEMPORARY)


@pytest.fixture
def sup():
    sup = DynamicSupervisor.start()
    yield sup
    sup.stop()


@pytest.fixture(params=["actor", "cell"])
def doing(request, sup):
    """Start one under a dynamic supervisor; answer its ref."""

    def start(do):
        if request.param == "actor":
            [ref] = DynamicSupervisor.start_copies(sup, SPEC, [(do,)])
            return ref
        cell = DoingCell(do)
        assert not DynamicSupervisor.start_tasks(sup, SPEC, [cell])
        return cell.ref

    start.sup = sup
    return start


def behind(gate, do):
    """What does *do* when the gate is open."""
    return lambda me: (gate(), do(me))[1]


def test_what_it_answers_is_why_it_ended(doing, gate):
    ref = doing(behind(gate, answering(Shutdown("done"))))
    watch = monitor(ref)
    assert ref.is_alive()

    gate.open()

    assert watch.wait(LONGEST).reason == Shutdown("done")
    assert not ref.is_alive()
    eventually(lambda: DynamicSupervisor.count_children(doing.sup).specs == 0)


@pytest.mark.parametrize(
    ("raised", "reason"), [(BOOM, Crash(BOOM)), (Stop(Shutdown("enough")), Shutdown("enough"))]
)
def test_what_it_raises_ends_it(doing, gate, raised, reason):
    watch = monitor(doing(behind(gate, raising(raised))))

    gate.open()

    assert watch.wait(LONGEST).reason == reason


def test_an_exit_signal_interrupts_it(doing):
    spinning = threading.Event()

    def spin(_me):
        spinning.set()
        while True:
            pass

    ref = doing(spin)
    watch = monitor(ref)
    assert spinning.wait(LONGEST)

    links.exit(ref, Shutdown("enough"))

    assert watch.wait(LONGEST).reason == Shutdown("enough")


def test_a_kill_declares_it_dead_at_once_and_lists_its_thread_until_it_ends(doing, gate):
    ref = doing(behind(gate, answering(Normal())))
    watch = monitor(ref)
    gate.wait_entered()

    links.exit(ref, Killed())

    assert watch.wait(LONGEST).reason == Killed()
    assert len(orphans()) == 1
    gate.open()
    eventually(lambda: not orphans())


def test_who_calls_it_hears_of_its_end(doing, gate):
    ref = doing(behind(gate, answering(Shutdown("done"))))
    gate.wait_entered()
    asking = InThread(call, ref, "anything", LONGEST)
    eventually(lambda: len(ref.cell.mailbox) == 1)

    gate.open()

    with pytest.raises(CallExit) as caught:
        asking.result()
    assert caught.value.reason == Shutdown("done")


def test_the_tree_shows_that_it_runs(doing, gate):
    doing(behind(gate, answering(Normal())))
    gate.wait_entered()

    (node,) = tree(doing.sup).children

    assert node.handling.callback == "handle_continue"
    gate.open()


def test_in_a_plain_thread_it_is_started_without_a_parent(gate):
    ref = Doing.spawn(behind(gate, answering(Normal())))
    watch = monitor(ref)
    assert ref.cell.parent is None

    gate.open()

    assert watch.wait(LONGEST).reason == Normal()


def test_a_message_to_one_that_has_ended_raises(doing):
    ref = doing(answering(Normal()))
    eventually(lambda: not ref.is_alive())

    with pytest.raises(ActorDeadError):
        ref.tell("anything")


# ---- cells that are all there is of an actor ----------------------------------------------------


def run_all(sup, cells):
    assert not DynamicSupervisor.start_tasks(sup, SPEC, cells)
    return cells


def is_made(cell):
    return "mailbox" in vars(cell)


def test_of_one_that_nobody_asks_nothing_is_made_and_it_has_one_end(sup):
    ends = []

    cells = run_all(sup, [DoingCell(answering(Shutdown(n)), ends) for n in range(100)])

    eventually(lambda: len(ends) == 100)
    assert {reason.detail for reason in ends} == set(range(100))
    assert [cell.reason for cell in cells] == [Shutdown(n) for n in range(100)]
    eventually(lambda: DynamicSupervisor.count_children(sup).specs == 0)
    assert not any(is_made(cell) for cell in cells)


def test_one_that_is_asked_for_only_when_it_has_ended_is_an_actor_that_has_ended(sup):
    ends = []
    (cell,) = run_all(sup, [DoingCell(answering(Shutdown("done")), ends)])
    eventually(lambda: ends)

    ref = cell.ref

    assert not ref.is_alive()
    assert ref is cell.ref
    assert str(ref).startswith("Doing-")
    assert monitor(ref).wait(LONGEST).reason == NoProc()
    assert not cell.watch("key", print)
    assert not cell.link(sup.cell)
    with pytest.raises(CallExit):
        call(ref, "anything")
    links.exit(ref, Killed())
    assert ends == [Shutdown("done")]


def test_its_supervisor_shows_and_counts_it_while_it_runs(sup, gate):
    (cell,) = run_all(sup, [DoingCell(behind(gate, answering(Normal())))])
    gate.wait_entered()

    counts = DynamicSupervisor.count_children(sup)
    (info,) = DynamicSupervisor.which_children(sup)

    assert (counts.specs, counts.active, counts.workers) == (1, 1, 1)
    assert info.ref is cell.ref
    assert cell.ref.is_alive()
    gate.open()
    eventually(lambda: not DynamicSupervisor.which_children(sup))


def test_its_thread_has_its_name_while_it_runs(sup, gate):
    (cell,) = run_all(sup, [DoingCell(behind(gate, answering(Normal())))])
    gate.wait_entered()
    thread = cell.thread

    assert thread.name == str(cell)
    gate.open()
    eventually(lambda: thread.name.startswith("otp-service") or not thread.is_alive())


def test_it_can_be_terminated_by_its_supervisor(sup, gate):
    ends = []
    (cell,) = run_all(sup, [DoingCell(behind(gate, spin), ends)])
    gate.wait_entered()
    gate.open()

    DynamicSupervisor.terminate_child(sup, cell.ref)

    assert ends == [Shutdown()]
    assert DynamicSupervisor.count_children(sup).specs == 0


def test_a_supervisor_that_ends_ends_those_that_nobody_has_asked_for(gate):
    sup, ends = DynamicSupervisor.start(), []
    run_all(sup, [DoingCell(behind(gate, spin), ends) for _ in range(3)])
    for _ in range(3):
        gate.wait_entered()
    gate.open()

    sup.stop()

    assert ends == [Shutdown()] * 3


def test_those_of_a_killed_supervisor_are_killed_with_it(gate):
    sup, ends = DynamicSupervisor.start(), []
    cells = run_all(sup, [DoingCell(behind(gate, spin), ends) for _ in range(3)])
    for _ in range(3):
        gate.wait_entered()

    links.exit(sup, Killed())

    assert ends == [Killed()] * 3
    assert all(cell.killed_with_parent for cell in cells)
    assert len(orphans()) == 3
    gate.open()
    eventually(lambda: not orphans())


def test_one_that_has_unlinked_itself_outlives_its_supervisor(gate):
    sup, ends = DynamicSupervisor.start(), []

    def unlink_and_wait(_me):
        links.unlink(sup)
        gate()
        return Normal()

    (cell,) = run_all(sup, [DoingCell(unlink_and_wait, ends)])
    gate.wait_entered()

    links.exit(sup, Killed())

    assert cell.reason is None
    gate.open()
    eventually(lambda: ends == [Normal()])


def test_one_that_was_killed_before_its_turn_does_not_begin(sup):
    ran, ends = [], []
    cell = DoingCell(ran.append, ends)
    cell.kill()

    cell.live()

    assert (ran, ends) == ([], [Killed()])


def test_a_crash_is_the_end_of_it_alone_and_is_reported(sup):
    ends, heard = [], []
    with subscribe(heard.append):
        run_all(sup, [DoingCell(raising(BOOM), ends), DoingCell(answering(Normal()), ends)])
        eventually(lambda: len(ends) == 2)
        eventually(lambda: len(heard) == 4)

    assert set(ends) == {Crash(BOOM), Normal()}
    assert [type(each) for each in heard[:2]] == [ChildStarted] * 2
    assert {each.reason for each in heard[2:]} == {Crash(BOOM), Normal()}
    assert sup.is_alive()
    assert DynamicSupervisor.count_children(sup).specs == 0


def test_a_subscription_that_begins_while_it_runs_hears_of_its_end(sup, gate):
    heard = []
    run_all(sup, [DoingCell(behind(gate, answering(Normal())))])
    gate.wait_entered()

    with subscribe(heard.append):
        gate.open()
        eventually(lambda: heard)

    assert [(type(each), each.reason) for each in heard] == [(ChildExited, Normal())]


def test_whoever_asks_while_it_ends_finds_one_end(sup):
    # The question and the end race each other: either it is watched and reported, or it had ended.
    for turn in range(300):
        race_its_end(sup, turn % 40)


def race_its_end(sup, length):
    ends, heard, begun = [], [], threading.Event()

    def work(_me):
        begun.set()
        return Shutdown(sum(range(length)))

    (cell,) = run_all(sup, [DoingCell(work, ends)])
    assert begun.wait(LONGEST)
    is_watched = cell.watch("key", lambda ref, reason: heard.append((ref, reason)))

    eventually(lambda: ends)
    eventually(lambda: DynamicSupervisor.count_children(sup).specs == 0)
    assert ends == [cell.reason]
    assert heard == [(cell.ref, cell.reason)] * is_watched


def test_all_who_ask_at_once_find_the_same_actor(sup, gate):
    (cell,) = run_all(sup, [DoingCell(behind(gate, answering(Normal())))])
    gate.wait_entered()

    asking = [InThread(lambda: (cell.ref, cell.mailbox, cell.number)) for _ in range(8)]

    assert len({each.result() for each in asking}) == 1
    gate.open()


@pytest.mark.parametrize("number", [1, 3])
def test_without_threads_those_that_do_not_start_are_named(monkeypatch, sup, number):
    ends = []
    cells = [DoingCell(answering(Normal()), ends) for _ in range(number)]
    monkeypatch.setattr(run_queue, "_run_queue", RunQueue(raising(RuntimeError("no thread"))))

    failed = DynamicSupervisor.start_tasks(sup, SPEC, cells)

    assert [cell for cell, _ in failed] == cells
    assert all(isinstance(error, StartError) for _, error in failed)
    assert DynamicSupervisor.count_children(sup).specs == 0
    assert ends == []


def test_no_more_of_them_start_than_there_may_be_children(gate):
    sup = DynamicSupervisor.start(max_children=2)
    cells = [DoingCell(behind(gate, answering(Normal()))) for _ in range(3)]

    [(refused, error)] = DynamicSupervisor.start_tasks(sup, SPEC, cells)

    assert refused is cells[2]
    assert isinstance(error, MaxChildren)
    gate.open()
    sup.stop()


def spin(_me):
    while True:
        pass
