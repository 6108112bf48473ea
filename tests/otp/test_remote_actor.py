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
    orphans,
    subscribe,
    tree,
)
from antq_actors.otp.actors.task_actor import RemoteCell, TaskActor, ordered_reason
from antq_actors.otp.events import ChildExited, ChildStarted
from antq_actors.otp.kernel.child_spec import ChildSpec, Restart
from antq_actors.otp.messaging import links


class Elsewhere(TaskActor):
    """Is made when somebody asks."""


class ElsewhereCell(RemoteCell):
    """Notes what it is told, and is its own collector of ends."""

    actor_class = Elsewhere

    def __init__(self, notes, at_begin=lambda me: None):
        super().__init__(self)
        self.notes = notes
        self.at_begin = at_begin
        self.ends = []

    def add(self, cell, reason):
        assert cell is self
        self.ends.append(reason)

    def on_start(self):
        self.notes.append(("begin", self))
        self.at_begin(self)

    def on_interrupt(self):
        self.notes.append(("interrupted", ordered_reason(self.mailbox)))

    def on_kill(self):
        self.notes.append(("killed", None))


SPEC = ChildSpec("one", Elsewhere.spawn, restart=Restart.TEMPORARY)


@pytest.fixture
def sup():
    with DynamicSupervisor.start() as sup:
        yield sup


def started(sup, *args, spec=SPEC):
    cell = ElsewhereCell(*args)
    assert not DynamicSupervisor.start_tasks(sup, spec, [cell])
    return cell


def start(sup, *args):
    return started(sup, *args).ref


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
    spec = ChildSpec("one", Elsewhere.spawn, shutdown=0.02, restart=Restart.TEMPORARY)
    ref = started(sup, notes, spec=spec).ref

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


# ---- its cell alone -----------------------------------------------------------------------------


def is_made(cell):
    return "mailbox" in vars(cell)


def test_of_one_that_nobody_asks_nothing_is_made_and_it_has_one_end(sup):
    cells = [ElsewhereCell([]) for _ in range(100)]
    assert not DynamicSupervisor.start_tasks(sup, SPEC, cells)

    assert all(cell.finish(Shutdown(number)) for number, cell in enumerate(cells))

    assert [cell.ends for cell in cells] == [[Shutdown(number)] for number in range(100)]
    assert not any(cell.finish(Shutdown("again")) for cell in cells)
    assert not any(is_made(cell) for cell in cells)
    assert DynamicSupervisor.count_children(sup).specs == 0


def test_one_that_is_asked_for_only_when_it_has_ended_is_an_actor_that_has_ended(sup):
    cell = started(sup, [])
    cell.finish(Shutdown("done"))

    assert not cell.ref.is_alive()
    assert monitor(cell.ref).wait(LONGEST).reason == NoProc()
    links.exit(cell.ref, Killed())
    assert cell.ends == [Shutdown("done")]


def test_an_end_that_is_no_orderly_one_is_that_of_a_whole_actor(sup):
    heard = []
    with subscribe(heard.append):
        cell = started(sup, [])
        cell.finish(Crash(ValueError("no")))
        eventually(lambda: len(heard) == 2)

    assert [type(each) for each in heard] == [ChildStarted, ChildExited]
    assert cell.ends == [cell.reason]
    assert sup.is_alive()


def test_a_killed_one_has_one_end_and_leaves_no_orphan(sup):
    cell = started(sup, [])

    links.exit(cell.ref, Killed())
    cell.finish(Shutdown("late"))

    assert cell.ends == [Killed()]
    assert orphans() == []


def test_one_that_was_killed_before_its_turn_does_not_begin():
    cell = ElsewhereCell([])
    cell.kill()

    cell.live()

    assert cell.notes == [("killed", None)]
    assert cell.ends == [Killed()]
