"""``timeout=`` of a start: an init that takes too long has failed, and leaves nobody behind."""

import re
import threading
from datetime import timedelta

import pytest
from probe import Probe, answering, in_actor
from supervised import eventually, is_empty, kill

from antq_actors.otp import (
    IGNORE,
    Agent,
    Continue,
    Crash,
    DynamicSupervisor,
    GenServer,
    Killed,
    Registry,
    StartError,
    Supervisor,
    call,
    orphans,
    tree,
    whereis,
)

SHORT = 0.05
TEXT = r"init took longer than 0.05 s, and was killed"


def hangs(gate):
    """A child whose init does not return before *gate* is opened."""
    return Probe.child_spec(init=gate.pass_through, id="hangs", timeout=SHORT)


@pytest.mark.rule(78)
@pytest.mark.parametrize("begin", [Probe.start, Probe.start_link], ids=["start", "start_link"])
def test_an_init_that_takes_too_long_is_a_start_error_and_a_kill(begin, gate, notes):
    with pytest.raises(StartError, match=TEXT) as failed:
        begin(notes, init=gate.pass_through, name="late", timeout=SHORT)

    assert isinstance(failed.value.reason, Crash)
    assert isinstance(failed.value.__cause__, TimeoutError)
    assert failed.value.reason.exception is failed.value.__cause__
    assert whereis("late") is None
    assert [thread.name for thread in orphans() if thread.name == "late"] == ["late"]
    gate.open()
    eventually(lambda: not orphans())
    assert notes.is_empty()  # terminate did not run


@pytest.mark.parametrize("timeout", [60, timedelta(minutes=1), float("inf"), None])
def test_an_init_in_time_is_a_start_like_any_other(start, timeout):
    assert call(start(timeout=timeout), answering("lives")) == "lives"
    assert start(init=answering(IGNORE), timeout=timeout) is IGNORE


def test_the_timeout_says_nothing_of_what_comes_after_init(start, gate):
    ref = start(init=lambda _me: Continue(gate), timeout=60)

    gate.wait_entered()

    assert ref.cell.reason is None


def test_the_actor_that_started_it_linked_hears_of_it_only_as_an_error(start, gate, notes):
    ref = start(notes)

    with pytest.raises(StartError, match=TEXT):
        in_actor(ref, Probe.start_link, init=gate.pass_through, timeout=SHORT)

    gate.open()
    assert call(ref, answering("lives")) == "lives"
    assert notes.is_empty()
    eventually(lambda: not orphans())


def test_what_init_has_started_linked_ends_with_it(gate, notes):
    started = []

    def init(_me):
        started.append(Probe.start_link(notes))
        gate()

    with pytest.raises(StartError, match=TEXT):
        Probe.start(init=init, timeout=SHORT)

    assert notes.take(1) == [("terminate", Killed())]
    eventually(lambda: started[0].cell.reason == Killed())
    gate.open()
    eventually(lambda: not orphans())


# ---- below a supervisor -----------------------------------------------------------------------


def test_a_child_that_hangs_at_boot_does_not_hold_up_its_supervisor(gate):
    with pytest.raises(StartError, match=rf"'hangs' did not start: TimeoutError: {TEXT}") as failed:
        Supervisor.start([Probe, hangs(gate)])

    assert failed.value.child_id == "hangs"
    assert isinstance(failed.value.__cause__, TimeoutError)
    gate.open()
    eventually(lambda: not orphans())


@pytest.mark.parametrize("kind", [Supervisor, DynamicSupervisor])
def test_a_child_that_hangs_when_it_is_added_is_an_error_for_who_added_it(start, gate, kind):
    sup = start(of=kind)

    with pytest.raises(StartError, match=TEXT):
        kind.start_child(sup, hangs(gate))

    assert is_empty(sup)
    gate.open()
    eventually(lambda: not orphans())


@pytest.mark.rule(78)
def test_a_child_that_hangs_at_a_restart_is_tried_again(supervise, gate):
    starts = []

    def init(_me):
        starts.append(_me.ref)
        if len(starts) == 2:
            gate()

    sup = supervise(Probe.child_spec(init=init, id="child", timeout=0.5))
    first = starts[0]
    first.tell(lambda _me: 1 / 0)

    eventually(lambda: len(starts) == 3 and tree(sup).children[0].state == "running")

    assert starts[1].cell.reason == Killed()
    assert tree(sup).children[0].restarts == 1
    gate.open()
    eventually(lambda: not orphans())


def test_a_hung_child_of_a_child_fails_the_start_of_the_supervisor_above(gate, caplog):
    inner = Supervisor.child_spec(
        [Probe.child_spec(init=gate.pass_through)], id="inner", timeout=SHORT
    )

    with pytest.raises(StartError, match="'inner' did not start: TimeoutError") as failed:
        Supervisor.start([inner])

    assert failed.value.child_id == "inner"
    assert re.search(r"was killed; it waited for Probe-\d+$", str(failed.value))
    gate.open()
    eventually(lambda: not orphans())
    [told] = [record.message for record in caplog.records]  # by the one above, and by no ghost
    assert re.search(r"^Supervisor-\d+ cannot start: child 'inner' did not start", told)


@pytest.mark.parametrize(
    ("kind", "args"),
    [
        (Supervisor, ([],)),
        (DynamicSupervisor, ()),
        (Registry, ()),
        (Agent, (list,)),
        (Probe, ()),
    ],
)
def test_everything_that_starts_takes_it_and_so_does_its_spec(start, kind, args):
    start(*args, of=kind, timeout=60)
    spec = kind.child_spec(*args, timeout=60)

    assert spec.kwargs["timeout"] == 60


# ---- at the last moment -----------------------------------------------------------------------


def test_an_init_that_ends_as_its_time_does_has_started_or_leaves_nothing(notes):
    def init(me):
        me.ref.tell("after init")
        threading.Event().wait(0.001)

    for number in range(300):
        try:
            ref = Probe.start(notes, init=init, name="racer", timeout=0.00095 + number % 10 * 2e-5)
        except StartError:
            assert whereis("racer") is None
            continue
        assert whereis("racer") is ref
        assert call(ref, answering(number)) == number
        assert notes.take(1) == ["after init"]
        kill(ref)

    eventually(lambda: not orphans())
    assert notes.is_empty()  # of those that were late


def test_an_actor_that_is_killed_in_init_handles_nothing_either(notes, gate):
    def init(_me):
        gate()
        return Continue("too late")

    ref = Probe.spawn_link(notes, init=init)
    gate.wait_entered()

    kill(ref)
    gate.open()

    eventually(lambda: not orphans())
    assert notes.is_empty()


def test_an_actor_whose_init_was_late_handles_nothing(notes, gate):
    def init(me):
        me.ref.tell("too late")
        gate()
        return Continue("too late, too")

    with pytest.raises(StartError):
        Probe.start(notes, init=init, timeout=SHORT)
    gate.open()

    eventually(lambda: not orphans())
    assert notes.is_empty()


# ---- refusals ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("timeout", "error"),
    [(-1, ValueError), (float("nan"), ValueError), ("5", TypeError), (True, TypeError)],
)
@pytest.mark.parametrize("begin", [Probe.start, Probe.start_link, Probe.child_spec])
def test_a_timeout_that_is_none_is_refused_and_nothing_starts(begin, timeout, error):
    with pytest.raises(error, match="timeout"):
        begin(timeout=timeout)


class HasItsOwn(GenServer):
    def __init__(self, url, timeout=3.0):
        super().__init__()
        self.url, self.own = url, timeout

    def handle_call(self, _request):
        return self.own


@pytest.mark.parametrize("begin", [HasItsOwn.start, HasItsOwn.start_link, HasItsOwn.child_spec])
def test_a_timeout_that_was_perhaps_meant_for_the_class_is_refused(start, begin):
    with pytest.raises(TypeError, match=r"HasItsOwn.__init__ has a timeout, too.*by position"):
        begin("url", timeout=7.0)

    ref = start("url", 7.0, of=HasItsOwn, timeout=60)
    assert call(ref, None) == 7.0
