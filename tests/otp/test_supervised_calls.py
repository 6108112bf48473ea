"""A call that outlives restarts: it repeats the same request, and every wait has an end."""

import time

import pytest
from probe import LONGEST, InThread, Probe, answering, in_actor, raising
from supervised import BOOM, kill

from antq_actors.otp import (
    BRUTAL_KILL,
    CallCycle,
    CallExit,
    CallTimeout,
    GenServer,
    NoProc,
    Shutdown,
    exit,  # noqa: A004 - OTP's name
    stop,
    whereis,
)
from antq_actors.otp.kernel.messages import Promise
from antq_actors.otp.messaging.calls import NeverRestarted, NotRestarted, call_supervised


def ask(
    dest,
    request,
    *,
    timeout=LONGEST,
    restart_timeout=LONGEST,
    ended=None,
    gives_up_on_stop=False,
):
    return call_supervised(
        dest,
        request,
        timeout=timeout,
        restart_timeout=restart_timeout,
        supervision_ended=Promise() if ended is None else ended,
        gives_up_on_stop=gives_up_on_stop,
    )


class Steps:
    """A request that does one of *steps* each time it is handled; it keeps who handled it."""

    def __init__(self, *steps):
        self._steps = iter(steps)
        self.handlers = []

    def __call__(self, server):
        self.handlers.append(server.ref)
        return next(self._steps)(server)


class Account(GenServer):
    """Does each request once: it keeps those that are done, and crashes before its first reply."""

    def __init__(self, done):
        super().__init__()
        self.done = done

    def handle_call(self, request):
        if not any(each is request for each in self.done):
            self.done.append(request)
            raise ValueError("crashed before the reply")
        return len(self.done)


def test_a_server_killed_in_the_middle_is_asked_again_when_restarted(supervise, gate):
    supervise(Probe.child_spec(name="shelf"))
    old = whereis("shelf")
    request = Steps(gate, answering("bread"))
    asker = InThread(ask, "shelf", request)
    gate.wait_entered()

    kill(old)

    assert asker.result() == "bread"
    assert request.handlers == [old, whereis("shelf")]
    assert old != whereis("shelf")


def test_several_restarts_are_outlived(supervise):
    supervise(Probe.child_spec(name="shelf"), max_restarts=3)
    request = Steps(*[raising(BOOM)] * 3, answering("bread"))

    assert ask("shelf", request) == "bread"
    assert len(set(request.handlers)) == 4


def test_the_same_object_is_sent_again_so_that_it_can_be_done_once(supervise):
    done, request = [], {"deposit": 1}
    supervise(Account.child_spec(done, name="account"))

    assert ask("account", request) == 1
    assert len(done) == 1
    assert done[0] is request


def test_a_server_that_is_there_has_its_timeout(start, gate):
    start(name="shelf")

    with pytest.raises(CallTimeout):
        ask("shelf", gate, timeout=0.05)


def test_the_timeout_covers_all_restarts_together(supervise, gate):
    supervise(Probe.child_spec(name="shelf"))
    request = Steps(raising(BOOM), gate)
    began = time.monotonic()

    with pytest.raises(CallTimeout):
        ask("shelf", request, timeout=0.5)

    assert time.monotonic() - began >= 0.5
    assert len(request.handlers) == 2
    gate.open()


def test_a_server_that_does_not_come_back_is_given_up_after_the_restart_timeout():
    began = time.monotonic()

    with pytest.raises(NotRestarted, match="no actor is registered as 'shelf'") as given_up:
        ask("shelf", "bread", restart_timeout=0.05)

    assert time.monotonic() - began >= 0.05
    assert given_up.value.reason == NoProc()


def test_the_error_has_the_reason_and_the_cause_of_the_last_try(start):
    start(name="shelf")

    with pytest.raises(NotRestarted, match="boom") as given_up:
        ask("shelf", raising(BOOM), restart_timeout=0.0)

    assert given_up.value.reason.exception is BOOM
    assert given_up.value.__cause__ is BOOM


def test_no_restart_is_waited_for_when_the_supervisor_is_gone(supervise):
    supervisor = supervise(Probe.child_spec(name="shelf"))
    ended = Promise()
    assert ask("shelf", answering("bread"), ended=ended) == "bread"

    stop(supervisor)
    ended.answer(None)

    with pytest.raises(NeverRestarted):
        ask("shelf", answering("bread"), ended=ended)


def test_a_supervisor_that_ends_during_the_wait_ends_it(supervise, gate):
    supervisor = supervise(Probe.child_spec(name="shelf", shutdown=BRUTAL_KILL))
    ended = Promise()
    asker = InThread(ask, "shelf", gate, ended=ended)
    gate.wait_entered()

    stop(supervisor)
    ended.answer(None)

    with pytest.raises(NeverRestarted):
        asker.result()


def test_a_call_that_closes_a_ring_is_not_repeated(start):
    start(name="shelf")

    with pytest.raises(CallCycle):
        in_actor("shelf", ask, "shelf", "bread")


@pytest.mark.parametrize(
    ("gives_up_on_stop", "error"), [(True, NotRestarted), (False, NeverRestarted)]
)
def test_a_caller_with_an_exit_signal_gives_up_only_if_it_is_to(
    start, gate, gives_up_on_stop, error
):
    caller, ended, errors = start(), Promise(), []
    ended.answer(None)

    def ask_later(_me):
        gate()
        with pytest.raises(CallExit) as raised:
            ask("shelf", "bread", ended=ended, gives_up_on_stop=gives_up_on_stop)
        errors.append(raised.type)

    asker = InThread(in_actor, caller, ask_later, caller)
    gate.wait_entered()
    exit(caller, Shutdown())
    gate.open()

    assert asker.result() is None
    assert errors == [error]


def test_a_caller_that_was_declared_dead_asks_nothing_more(start, gate):
    caller, errors = start(), Promise()

    def ask_later(_me):
        gate()
        try:
            ask("shelf", "bread")
        except CallExit as error:
            errors.answer(error)

    caller.tell(ask_later)
    gate.wait_entered()
    kill(caller)
    gate.open()

    assert errors.wait(LONGEST)
    assert type(errors.value) is CallExit
    assert "was declared dead" in str(errors.value)
