"""Waiting for a restart: it returns the new actor, at once if it is there, and never too early."""

import threading

import pytest
from supervised import Child, crash, eventually

from antq_actors.otp import (
    EventStream,
    GenServer,
    Registry,
    Restart,
    Strategy,
    Supervisor,
    Via,
    cast,
    chaos,
    stop,
    wait_until_restarted,
    whereis,
)
from antq_actors.otp.events import ChildStarted, stream


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
