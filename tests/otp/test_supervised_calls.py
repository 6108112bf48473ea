"""A call that outlives restarts: it repeats the same request, and every wait has an end.

Waiting for a restart returns the new actor, at once if it is there, and never too early."""

import threading
import time

import pytest
from probe import LONGEST, InThread, Probe, answering, in_actor, raising
from supervised import BOOM, Child, crash, eventually, kill

from antq_actors.otp import (
    BRUTAL_KILL,
    CallCycle,
    CallExit,
    CallTimeout,
    EventStream,
    GenServer,
    NoProc,
    Registry,
    Restart,
    Shutdown,
    Strategy,
    Supervisor,
    Via,
    cast,
    chaos,
    exit,  # noqa: A004 - OTP's name
    stop,
    wait_until_restarted,
    whereis,
)
from antq_actors.otp.events import ChildStarted, stream
from antq_actors.otp.kernel.messages import Promise
from antq_actors.otp.messaging.calls import NeverRestarted, NotRestarted, call_supervised

# ---- calls --------------------------------------------------------------------------------------


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


# ---- waiting for a restart ----------------------------------------------------------------------


def a_child(name, log, **options):
    plan = options.pop("plan", None)
    return Child.child_spec(name, log, plan, name=name, **options)


class CrashesOnCast(GenServer):
    def handle_cast(self, request):
        raise ValueError(request)


def in_a_thread(work):
    """Start *work* in a thread; the list has its result when the thread has ended."""
    results = []
    thread = threading.Thread(target=lambda: results.append(work()))
    thread.start()
    return thread, results


def test_the_new_actor_is_returned_after_a_crash(supervise, log):
    supervise(a_child("shelf", log))
    old = whereis("shelf")
    crash(old)

    new = wait_until_restarted("shelf")

    assert new is whereis("shelf")
    assert new is not old


def test_a_restart_that_is_over_is_not_waited_for(supervise, log):
    with EventStream() as stream:
        supervise(a_child("shelf", log))
        crash("shelf")
        while not (isinstance(event := stream.take(30), ChildStarted) and event.incarnation == 2):
            pass

    assert wait_until_restarted("shelf", timeout=0) is whereis("shelf")


def test_it_returns_only_when_init_of_the_new_one_has(supervise, log):
    plan = {}
    supervise(a_child("shelf", log, plan=plan))
    plan["shelf"] = gate = threading.Event()
    crash("shelf")
    log.take(3)  # up, down, waits: the name is taken, and init runs

    with pytest.raises(TimeoutError, match="it is still being started"):
        wait_until_restarted("shelf", timeout=0.01)
    gate.set()

    assert wait_until_restarted("shelf") is whereis("shelf")


def test_every_restart_of_many_is_waited_for(supervise, log):
    supervise(a_child("shelf", log), max_restarts=100)
    seen = {whereis("shelf")}

    for _ in range(50):
        crash("shelf")
        seen.add(wait_until_restarted("shelf"))

    assert len(seen) == 51


def test_with_the_old_actor_a_crash_to_come_is_waited_for(supervise):
    supervise(CrashesOnCast.child_spec(name="shelf"), max_restarts=100)

    for _ in range(50):
        old = whereis("shelf")
        cast("shelf", "boom")
        assert wait_until_restarted("shelf", old) is not old


def test_a_sibling_that_is_restarted_with_another_is_waited_for(supervise, log):
    supervise(a_child("cache", log), a_child("index", log), strategy=Strategy.ONE_FOR_ALL)
    old = whereis("cache")
    crash("index")

    assert wait_until_restarted("cache") is not old


def test_a_restart_of_the_whole_branch_counts(supervise, log):
    branch = Supervisor.child_spec([a_child("leaf", log)], name="branch", max_restarts=0)
    supervise(branch)
    old = whereis("leaf")
    crash("leaf")

    new = wait_until_restarted("leaf")

    assert new is not old
    assert new.cell.parent is wait_until_restarted("branch") is whereis("branch")


def test_a_name_in_a_registry_is_waited_for(shop, supervise, log):
    name = Via("shop", 7)
    supervise(Child.child_spec("shelf", log, name=name))
    old = whereis(name)
    crash(name)

    assert wait_until_restarted(name) is not old
    assert Registry.count("shop") == 1


def test_a_waiter_sees_a_restart_that_comes_later(supervise, log):
    supervise(a_child("shelf", log))
    old = whereis("shelf")
    thread, results = in_a_thread(lambda: wait_until_restarted("shelf", timeout=30))

    crash("shelf")
    thread.join(30)

    assert results == [whereis("shelf")]
    assert results != [old]


@pytest.mark.parametrize(
    ("restart", "end", "said"),
    [
        (Restart.TEMPORARY, crash, "no actor has this name"),
        (Restart.TRANSIENT, stop, "no actor has this name"),
        (Restart.PERMANENT, lambda _name: None, "the actor with this name has not ended"),
    ],
)
def test_the_timeout_says_what_it_waited_for(supervise, log, restart, end, said):
    supervise(a_child("shelf", log, restart=restart))
    end("shelf")

    with pytest.raises(TimeoutError, match=r"waited 0.01 s for a restart of 'shelf'.*" + said):
        wait_until_restarted("shelf", timeout=0.01)


def test_the_timeout_says_how_the_child_was_left(supervise, log):
    supervise(a_child("shelf", log, restart=Restart.TRANSIENT))
    thread, results = in_a_thread(lambda: _text_of_timeout("shelf", timeout=1))
    eventually(lambda: stream.subscriptions)

    stop("shelf")
    thread.join(30)

    assert "it ended with Normal(), and its supervisor" in results[0]
    assert results[0].endswith("leaves")


def _text_of_timeout(name, timeout):
    with pytest.raises(TimeoutError) as caught:
        wait_until_restarted(name, timeout=timeout)
    return str(caught.value)


def test_an_actor_without_a_supervisor_is_named_as_such(start):
    start(name="loner")

    with pytest.raises(TimeoutError, match="has no supervisor"):
        wait_until_restarted("loner", timeout=0.01)


@pytest.mark.parametrize("wrong", [7, None, b"shelf"])
def test_what_is_no_name_is_a_type_error(wrong):
    with pytest.raises(TypeError, match="a name is a str or a Via"):
        wait_until_restarted(wrong)


def test_what_is_no_old_actor_is_a_type_error(supervise, log):
    supervise(a_child("shelf", log))

    with pytest.raises(TypeError, match="ServerRef from before"):
        wait_until_restarted("shelf", "shelf")


def test_it_listens_no_longer_than_it_waits(supervise, log):
    supervise(a_child("shelf", log))
    chaos.crash("shelf")
    wait_until_restarted("shelf")

    assert not stream.subscriptions
