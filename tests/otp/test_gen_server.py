"""The callbacks of a GenServer, how it starts, and that a lean one is the same.

An Agent is a state in an actor of its own, looked at and changed with functions."""

import threading

import pykka
import pytest
from probe import LONGEST, InThread, Probe, answering, raising
from supervised import BOOM, eventually, kill, raise_anew

from antq_actors.otp import (
    Agent,
    AlreadyStarted,
    CallCycle,
    CallExit,
    CallTimeout,
    ChildSpec,
    Continue,
    Crash,
    Exited,
    GenServer,
    Killed,
    NoProc,
    Normal,
    Registry,
    Restart,
    StartError,
    Stop,
    Supervisor,
    Via,
    call,
    cast,
    monitor,
    stop,
    supervised,
    trap_exit,
    whereis,
)
from antq_actors.otp.actors.task_actor import TaskActor

# ---- a GenServer --------------------------------------------------------------------------------


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


# ---- agents -------------------------------------------------------------------------------------


@pytest.fixture
def agent(start):
    return start(lambda: [1], of=Agent)


def state(agent):
    return Agent.get(agent, lambda state: state)


def test_its_first_state_is_what_its_function_makes_in_its_own_thread(start):
    agent = start(lambda *args, **kwargs: (args, kwargs, threading.get_ident()), 1, of=Agent, a=2)

    args, kwargs, thread = state(agent)

    assert (args, kwargs) == ((1,), {"a": 2})
    assert thread == Agent.get(agent, lambda _state: threading.get_ident())
    assert thread != threading.get_ident()


def test_get_answers_what_its_function_makes_of_the_state_and_changes_nothing(agent):
    assert Agent.get(agent, len) == 1
    assert state(agent) == [1]


def test_update_has_changed_the_state_when_it_returns(agent):
    assert Agent.update(agent, lambda state: [*state, 2]) is None
    assert state(agent) == [1, 2]


def test_get_and_update_does_both_in_one_turn(agent):
    answer = Agent.get_and_update(agent, lambda state: (state[0], "new"))

    assert (answer, state(agent)) == (1, "new")


def test_a_cast_changes_the_state_some_time_and_waits_for_nothing(agent):
    gate = threading.Event()
    Agent.cast(agent, lambda state: gate.wait(30) and [*state, 2])
    gate.set()

    assert state(agent) == [1, 2]
    Agent.cast("nobody", len)


def test_many_threads_that_update_at_once_lose_nothing(start):
    agent = start(lambda: 0, of=Agent)

    def count():
        for _ in range(50):
            Agent.update(agent, lambda number: number + 1)

    for thread in [InThread(count) for _ in range(8)]:
        thread.result()

    assert state(agent) == 400


@pytest.mark.parametrize(
    "use",
    [
        lambda agent: Agent.get(agent, raising(BOOM)),
        lambda agent: Agent.update(agent, raising(BOOM)),
        lambda agent: Agent.get_and_update(agent, raising(BOOM)),
    ],
)
def test_a_function_that_raises_ends_the_agent_and_its_caller_learns_why(agent, use):
    with pytest.raises(CallExit) as exited:
        use(agent)

    assert exited.value.reason == Crash(BOOM)
    assert not agent.is_alive()


@pytest.mark.parametrize("pair", [7, (1,), (1, 2, 3), [1, 2], None])
def test_anything_but_a_pair_ends_the_agent_with_words(agent, pair):
    with pytest.raises(CallExit) as exited:
        Agent.get_and_update(agent, answering(pair))

    assert "returns (reply, state)" in str(exited.value.reason)


def test_a_function_that_takes_too_long_is_the_callers_timeout_and_the_agent_goes_on(agent, gate):
    with pytest.raises(CallTimeout):
        Agent.update(agent, lambda state: gate() and [*state, 2], timeout=0.01)
    gate.open()

    assert state(agent) == [1, 2]


@pytest.mark.parametrize("use", [Agent.get, Agent.update, Agent.get_and_update, Agent.cast])
def test_it_works_with_functions_only(agent, use):
    with pytest.raises(TypeError, match="an agent works with functions, got 'len'"):
        use(agent, "len")

    assert state(agent) == [1]


def test_its_first_state_is_made_by_a_function():
    with pytest.raises(TypeError, match="an agent works with functions, got 0"):
        Agent.start(0)


def test_a_first_state_that_cannot_be_made_is_a_failed_start():
    with pytest.raises(StartError) as failed:
        Agent.start(raising(BOOM))

    assert failed.value.reason == Crash(BOOM)
    assert failed.value.__cause__ is BOOM


def test_one_that_is_not_there_says_so():
    with pytest.raises(CallExit) as exited:
        Agent.get("nobody", len)

    assert exited.value.reason == NoProc()


def test_an_agent_that_asks_itself_is_a_cycle(start):
    agent = start(dict, of=Agent)

    with pytest.raises(CallExit) as exited:
        Agent.get(agent, lambda _state: Agent.get(agent, len))

    assert isinstance(exited.value.reason.exception, CallCycle)


def test_what_is_no_request_of_an_agent_ends_it_as_any_unknown_call(agent):
    with pytest.raises(CallExit) as exited:
        call(agent, "hello")

    assert "does not understand the call 'hello'" in str(exited.value.reason)


def test_under_a_supervisor_it_comes_back_with_its_first_state(supervise):
    supervise(Agent.child_spec(list, "ab", name="letters"))
    Agent.update("letters", lambda state: [*state, "c"])
    before = whereis("letters")

    kill(before)

    eventually(lambda: whereis("letters") not in (None, before))
    assert state("letters") == ["a", "b"]


def test_two_agents_of_one_supervisor_need_ids_or_names(supervise):
    sup = supervise(Agent.child_spec(dict, id="one"), Agent.child_spec(dict, id="two"))

    assert [info.id for info in Supervisor.which_children(sup)] == ["one", "two"]


def test_it_may_be_named_by_a_registry(start):
    registry = Registry.start(name="agents")
    start(lambda: 7, of=Agent, name=Via("agents", "seven"))

    assert state(Via("agents", "seven")) == 7
    stop(Via("agents", "seven"))
    stop(registry)
