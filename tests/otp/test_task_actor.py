"""An actor that has one thing to do: what it answers is its end, and all ends are one end."""

import threading

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
    Normal,
    Restart,
    Shutdown,
    Stop,
    call,
    monitor,
    orphans,
    tree,
)
from antq_actors.otp.actors.task_actor import TaskActor
from antq_actors.otp.messaging import links


class Doing(TaskActor):
    """Does what it is given."""

    def __init__(self, do):
        super().__init__()
        self._do = do

    def run(self):
        return self.interruptible(self._do, self)


@pytest.fixture
def doing():
    """Start one under a dynamic supervisor; answer its ref."""
    sup = DynamicSupervisor.start()

    def start(do):
        spec = ChildSpec("doing", Doing.spawn, restart=Restart.TEMPORARY)
        [ref] = DynamicSupervisor.start_copies(sup, spec, [(do,)])
        return ref

    start.sup = sup
    yield start
    sup.stop()


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
