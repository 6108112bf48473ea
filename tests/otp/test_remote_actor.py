"""An actor without a thread: it has one end, as every actor."""

import pytest
from probe import LONGEST
from supervised import eventually

from antq_actors.otp import (
    CallExit,
    Crash,
    DynamicSupervisor,
    Killed,
    NoProc,
    Shutdown,
    call,
    monitor,
    tree,
)
from antq_actors.otp.actors.task_actor import RemoteActor
from antq_actors.otp.kernel.child_spec import ChildSpec, Restart
from antq_actors.otp.messaging import links


class Elsewhere(RemoteActor):
    """Notes what it is told."""

    def __init__(self, notes, at_begin=lambda me: None):
        super().__init__()
        self.notes = notes
        self.at_begin = at_begin

    def on_start(self):
        self.notes.append(("begin", self))
        self.at_begin(self)

    def on_interrupt(self):
        self.notes.append(("interrupted", self.ordered_reason()))

    def on_kill(self):
        self.notes.append(("killed", None))


@pytest.fixture
def sup():
    with DynamicSupervisor.start() as sup:
        yield sup


def start(sup, *args):
    spec = ChildSpec("one", Elsewhere.spawn, args, restart=Restart.TEMPORARY)
    return DynamicSupervisor.start_child(sup, spec)


def test_it_is_a_child_that_lives_until_it_is_concluded(sup):
    notes = []
    ref = start(sup, notes)
    down = monitor(ref)
    ((_, actor),) = notes

    assert ref.is_alive()
    assert ref.cell.thread is None
    assert [child.ref for child in DynamicSupervisor.which_children(sup)] == [ref]
    assert tree(sup).children[0].state == "running"

    assert actor.finish(Shutdown("done"))

    assert down.wait(LONGEST).reason == Shutdown("done")
    assert not actor.finish(Shutdown("again"))
    eventually(lambda: DynamicSupervisor.count_children(sup).active == 0)


def test_an_exit_signal_interrupts_what_it_stands_for(sup):
    notes = []
    ref = start(sup, notes)

    links.exit(ref, Shutdown("enough"))

    assert notes[1:] == [("interrupted", Shutdown("enough"))]
    assert ref.is_alive()  # until what it stands for has ended
    notes[0][1].finish(Shutdown())


def test_a_kill_ends_it_at_once_and_is_told(sup):
    notes = []
    ref = start(sup, notes)

    links.exit(ref, Killed())

    assert ref.cell.reason == Killed()
    assert notes[1:] == [("killed", None)]


def test_its_supervisor_waits_for_its_end_and_kills_it_when_it_takes_too_long():
    notes = []
    sup = DynamicSupervisor.start()
    spec = ChildSpec("one", Elsewhere.spawn, (notes,), shutdown=0.02, restart=Restart.TEMPORARY)
    ref = DynamicSupervisor.start_child(sup, spec)

    with sup:
        pass

    assert ref.cell.reason == Killed()
    assert notes[1:] == [("interrupted", Shutdown()), ("killed", None)]


def test_it_ends_with_a_supervisor_that_is_killed():
    notes = []
    sup = DynamicSupervisor.start()
    ref = start(sup, notes)

    links.exit(sup, Killed())

    assert monitor(ref).wait(LONGEST).reason in (Killed(), NoProc())
    assert notes[1:] == [("killed", None)]


def test_what_its_beginning_raises_ends_it(sup):
    def fail(_me):
        raise ValueError("no")

    ref = start(sup, [], fail)

    assert isinstance(ref.cell.reason, Crash)
    eventually(lambda: DynamicSupervisor.count_children(sup).active == 0)


def test_it_may_be_over_before_it_has_begun(sup):
    ref = start(sup, [], lambda me: me.finish(Shutdown("quick")))

    assert ref.cell.reason == Shutdown("quick")


def test_who_calls_it_hears_of_its_end(sup):
    notes = []
    ref = start(sup, notes, lambda me: None)
    notes[0][1].finish(Shutdown())

    with pytest.raises(CallExit):
        call(ref, "anything")
