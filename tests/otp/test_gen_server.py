"""The callbacks of a GenServer, how it starts, and that a lean one is the same."""

import threading

import pykka
import pytest
from probe import LONGEST, InThread, Probe, answering, raising
from supervised import BOOM, kill, raise_anew

from antq_actors.otp import (
    AlreadyStarted,
    CallExit,
    ChildSpec,
    Continue,
    Crash,
    Exited,
    GenServer,
    Killed,
    Normal,
    Restart,
    Stop,
    call,
    cast,
    monitor,
    stop,
    supervised,
    trap_exit,
    whereis,
)
from antq_actors.otp.actors.task_actor import TaskActor


class Lean(TaskActor):
    """A TaskActor that lives as a GenServer."""

    _otp_live = GenServer._otp_live


class LeanProbe(Probe, Lean):
    """A Probe that pykka's registry does not see."""


@pytest.fixture(params=[Probe, LeanProbe])
def kind(request):
    return request.param


def test_init_runs_in_the_thread_of_the_actor_and_start_waits_for_it(start, kind):
    threads = []

    ref = start(of=kind, init=lambda _me: threads.append(threading.current_thread()))

    assert threads == [call(ref, lambda _me: threading.current_thread())]
    assert threads != [threading.current_thread()]


def test_each_callback_gets_what_is_sent_to_it(kind, start, notes):
    class Sorting(kind):
        def handle_call(self, request):
            notes.add(("call", request))

        def handle_cast(self, request):
            notes.add(("cast", request))

        def handle_info(self, message):
            notes.add(("info", message))

        def handle_continue(self, token):
            notes.add(("continue", token))

        def terminate(self, reason):
            notes.add(("terminate", reason))

    ref = start(of=Sorting, init=answering(Continue(1)))
    call(ref, 2)
    cast(ref, 3)
    ref.tell(4)
    ref.ask(5)
    stop(ref)

    assert notes.take(6) == [
        ("continue", 1),
        ("call", 2),
        ("cast", 3),
        ("info", 4),
        ("call", 5),
        ("terminate", Normal()),
    ]


def test_a_stop_in_any_callback_ends_normally_without_a_reason(kind, start):
    for end in (
        lambda ref: ref.tell(raising(Stop())),
        lambda ref: cast(ref, raising(Stop())),
        lambda ref: ref.ask(raising(Stop()), block=False),
    ):
        ref = start(of=kind)
        down = monitor(ref)
        end(ref)
        assert down.wait(LONGEST).reason == Normal()


def test_a_stop_in_handle_call_answers_its_caller_with_the_reason(kind, start):
    ref = start(of=kind)

    with pytest.raises(CallExit) as ended:
        call(ref, raising(Stop()))

    assert ended.value.reason == Normal()


def test_a_killed_one_answers_and_is_gone(kind, start, gate):
    ref = start(of=kind, name="mortal")
    down = monitor(ref)
    called = InThread(call, ref, gate, None)
    gate.wait_entered()

    kill(ref)

    assert down.wait(LONGEST).reason == Killed()
    assert whereis("mortal") is None
    with pytest.raises(CallExit):
        called.result()
    assert not ref.is_alive()


def test_a_spawned_child_whose_init_fails_ends_as_any_other(kind, start, notes):
    parent = start(notes)

    child = call(parent, lambda _me: (trap_exit(on=True), kind.spawn_link(init=raising(BOOM)))[1])

    assert notes.take(1) == [Exited(child, Crash(BOOM))]


@pytest.mark.rule(61)
def test_two_that_start_with_one_name_from_within_an_actor_leave_the_parent_alone(start, notes):
    parent = start(notes)

    def start_twice(_me):
        trap_exit(on=True)
        first = Probe.start_link(name="twice")
        with pytest.raises(AlreadyStarted) as taken:
            Probe.start_link(name="twice")
        return first, taken.value.ref

    first, holder = call(parent, start_twice)

    assert first is holder
    call(parent, answering(None))
    assert notes.is_empty()


def test_an_exception_of_the_constructor_goes_to_the_starter_as_it_is(start, notes):
    class Picky(GenServer):
        def __init__(self, size):
            super().__init__()
            raise_anew(BOOM)

    with pytest.raises(ValueError, match="boom"):
        Picky.start(1, name="picky")
    with pytest.raises(TypeError):
        Picky.start()
    assert whereis("picky") is None


def test_a_constructor_that_forgets_super_is_told_what_to_write():
    class Forgetful(GenServer):
        def __init__(self):
            self.number = 1

    with pytest.raises(TypeError, match=r"Forgetful.*super\(\)\.__init__\(\)"):
        Forgetful.start()

    assert pykka.ActorRegistry.get_all() == []


@pytest.mark.parametrize("of", [GenServer, Lean, pykka.ThreadingActor])
def test_a_constructor_may_call_pykkas_directly_as_pykkas_guide_says(start, of):
    class Direct(of):
        def __init__(self, number):
            pykka.ThreadingActor.__init__(self)
            self.number = number
            self._in_future = self.actor_ref.proxy()

        def next(self):
            self.number += 1
            self._in_future.add.defer(10)

        def add(self, number):
            self.number += number

    ref = start(1, of=supervised(Direct), name="direct")
    proxy = ref.proxy()
    down = monitor(ref)

    proxy.next().get()
    assert proxy.number.get() == 12
    assert whereis("direct") is ref is proxy.actor_ref
    stop(ref)
    assert down.wait(LONGEST).reason == Normal()


def test_the_spec_of_a_class_has_its_name_as_id_unless_another_is_given():
    plain = Probe.child_spec("notes", init=None)

    assert (plain.id, plain.args, dict(plain.kwargs)) == ("Probe", ("notes",), {"init": None})
    assert plain.restart is Restart.PERMANENT
    assert Probe.child_spec(name="clerk").id == "clerk"
    assert Probe.child_spec(id=7, name="clerk").id == 7
    assert isinstance(plain, ChildSpec)
    with pytest.raises(TypeError, match="name"):
        Probe.child_spec(name=7)


def test_a_ref_is_a_context_that_stops_its_actor():
    with Probe.start() as ref:
        assert ref.is_alive()
    assert not ref.is_alive()

    with Probe.start() as ref:
        kill(ref)


def test_an_actor_that_is_not_a_daemon_has_a_thread_of_its_own():
    class Own(Probe):
        use_daemon_thread = False

    ref = Own.start(name="own")
    thread = call(ref, lambda _me: threading.current_thread())

    assert not thread.daemon
    stop(ref)
    thread.join(LONGEST)
    assert not thread.is_alive()
