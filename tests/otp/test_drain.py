"""Δ7: the order to stop overtakes the messages that wait, unless the child's spec says drain."""

import pytest
from probe import Gate, InThread, Notes, Probe
from supervised import eventually

from antq_actors.otp import (
    BRUTAL_KILL,
    ChildSpec,
    DynamicSupervisor,
    Shutdown,
    Supervisor,
    cast,
    stop,
)


@pytest.mark.rule(44)
@pytest.mark.deviation(7)
@pytest.mark.parametrize("drain", [False, True])
def test_a_child_that_drains_handles_what_it_has_before_it_stops(drain, notes, gate):
    sup = Supervisor.start([Probe.child_spec(notes, drain=drain)])
    child = Supervisor.which_children(sup)[0].ref
    cast(child, gate)
    gate.wait_entered()
    for number in range(3):
        cast(child, number)

    stopper = InThread(stop, sup, Shutdown(), 30)
    # It has its order: in the first lane, or behind the three.
    eventually(lambda: len(child.cell.mailbox) == 4)
    gate.open()
    stopper.result()

    drained = [0, 1, 2] if drain else []
    assert notes.take(len(drained) + 1) == [*drained, ("terminate", Shutdown())]
    assert notes.is_empty()


def test_a_child_that_does_not_get_through_is_killed_after_its_time():
    gate = Gate()
    notes = Notes()
    sup = DynamicSupervisor.start()
    child = DynamicSupervisor.start_child(sup, Probe.child_spec(notes, drain=True, shutdown=0.05))
    cast(child, gate)
    gate.wait_entered()
    cast(child, "never handled")

    stop(sup, Shutdown(), 30)
    gate.open()

    assert notes.is_empty()


@pytest.mark.parametrize("value", [1, None, "yes"])
def test_drain_is_true_or_false(value):
    with pytest.raises(TypeError, match="drain of child 'a'"):
        ChildSpec("a", print, drain=value)


def test_drain_and_brutal_kill_contradict_each_other():
    with pytest.raises(ValueError, match="drain of child 'a' must be False"):
        ChildSpec("a", print, drain=True, shutdown=BRUTAL_KILL)
