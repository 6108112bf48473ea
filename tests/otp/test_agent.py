"""Agent: a state in an actor of its own, looked at and changed with functions."""

import threading

import pytest
from probe import InThread, answering, raising
from supervised import BOOM, eventually, kill

from antq_actors.otp import (
    Agent,
    CallCycle,
    CallExit,
    CallTimeout,
    Crash,
    NoProc,
    Registry,
    StartError,
    Supervisor,
    Via,
    call,
    stop,
    whereis,
)


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
