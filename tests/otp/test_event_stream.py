import logging
import threading

import pytest
from probe import InThread
from supervised import BOOM, Child, Log, Stubborn, crash, end_with, eventually, kill, refs

from antq_actors.otp import (
    BRUTAL_KILL,
    AutoShutdown,
    Backoff,
    CallExit,
    Crash,
    DynamicSupervisor,
    EventStream,
    Killed,
    NoProc,
    Normal,
    Restart,
    Shutdown,
    StartError,
    Stop,
    Strategy,
    Supervisor,
    stop,
    subscribe,
    whereis,
)
from antq_actors.otp.events import (
    BootFailed,
    ChildExited,
    ChildIgnored,
    ChildStarted,
    ChildTerminated,
    GaveUp,
    Outcome,
    RestartFailed,
    Unexpected,
)


@pytest.fixture
def stream():
    with EventStream() as stream:
        yield stream


def take(stream, count):
    return [stream.take(30) for _ in range(count)]


def child(child_id, log, plan=None, **fields):
    return Child.child_spec(child_id, log, plan, id=child_id, **fields)


def test_each_start_and_each_ordered_end_is_told_in_its_order(stream, log):
    sup = Supervisor.start([child("a", log), child("b", log, {"b": "ignore"}), child("c", log)])
    a, c = refs(sup)["a"], refs(sup)["c"]

    stop(sup)

    assert take(stream, 5) == [
        ChildStarted(sup, "a", a, incarnation=1),
        ChildIgnored(sup, "b"),
        ChildStarted(sup, "c", c, incarnation=1),
        ChildTerminated(sup, "c", c, Shutdown(), 5.0, is_clean=True),
        ChildTerminated(sup, "a", a, Shutdown(), 5.0, is_clean=True),
    ]


def test_a_restart_tells_who_ended_who_is_stopped_for_it_and_who_starts(stream, supervise, log):
    specs = [child(each, log) for each in "abc"]
    sup = supervise(*specs, strategy=Strategy.REST_FOR_ONE)
    before = refs(sup)
    take(stream, 3)

    crash(before["b"])

    exited, terminated, *started = take(stream, 4)
    assert exited == ChildExited(sup, "b", before["b"], Crash(BOOM), Outcome.RESTARTS, ("c",))
    assert terminated == ChildTerminated(sup, "c", before["c"], Shutdown(), 5.0, is_clean=True)
    assert [(each.child_id, each.incarnation) for each in started] == [("b", 2), ("c", 2)]


@pytest.mark.parametrize(
    ("restart", "end", "reason"),
    [
        (Restart.TRANSIENT, stop, Normal()),
        (Restart.TEMPORARY, crash, Crash(BOOM)),
        (Restart.TEMPORARY, lambda ref: end_with(ref, Stop(Shutdown("done"))), Shutdown("done")),
    ],
)
def test_a_child_that_does_not_come_back_leaves(stream, supervise, restart, end, reason):
    sup = supervise(child("a", Log(), restart=restart))
    (ref,) = refs(sup).values()
    take(stream, 1)

    end(ref)

    assert stream.take(30) == ChildExited(sup, "a", ref, reason, Outcome.LEAVES)


def test_the_last_significant_child_shuts_its_supervisor_down(stream, log):
    one = child("a", log, restart=Restart.TRANSIENT, significant=True)
    sup = Supervisor.start([one], auto_shutdown=AutoShutdown.ANY_SIGNIFICANT)
    (ref,) = refs(sup).values()
    take(stream, 1)

    stop(ref)

    assert stream.take(30) == ChildExited(sup, "a", ref, Normal(), Outcome.SHUTS_DOWN)


def test_one_restart_too_many_is_told_with_the_budget(stream, log):
    sup = Supervisor.start([child("a", log)], max_restarts=0, max_seconds=7)
    (ref,) = refs(sup).values()
    take(stream, 1)

    crash(ref)

    assert take(stream, 2) == [
        ChildExited(sup, "a", ref, Crash(BOOM), Outcome.GIVES_UP),
        GaveUp(sup, "a", Crash(BOOM), 0, 7.0),
    ]


def test_a_start_that_fails_again_is_told_with_the_time_to_the_next(stream, supervise, log):
    plan = {}
    sup = supervise(child("a", log, plan), backoff=Backoff(first=3600, longest=3600))
    (ref,) = refs(sup).values()
    plan["a"] = "fail"
    take(stream, 1)

    crash(ref)

    failed = take(stream, 2)[1]
    assert (type(failed), failed.child_id, failed.retry_in) == (RestartFailed, "a", 3600)
    assert isinstance(failed.error, StartError)


def test_a_boot_that_fails_is_told_before_those_that_were_started_stop(stream, log):
    with pytest.raises(StartError):
        Supervisor.start([child("a", log), child("b", log, {"b": "fail"})])

    events = take(stream, 3)
    assert [type(each) for each in events] == [ChildStarted, BootFailed, ChildTerminated]
    assert (events[1].child_id, type(events[1].error)) == ("b", StartError)


def test_an_end_that_is_not_as_told_is_not_clean(stream, supervise, log):
    release = threading.Event()
    stubborn = Stubborn.child_spec("a", log, release, id="a", shutdown=0.01)
    sup = supervise(stubborn, child("b", log, shutdown=BRUTAL_KILL))
    take(stream, 2)

    Supervisor.terminate_child(sup, "a")
    Supervisor.terminate_child(sup, "b")

    release.set()
    ends = [(each.child_id, each.reason, each.is_clean) for each in take(stream, 2)]
    assert ends == [("a", Killed(), False), ("b", Killed(), True)]


def test_a_message_for_nobody_is_told(stream, supervise):
    sup = supervise()

    sup.tell("psst")

    assert stream.take(30) == Unexpected(sup, "psst")


def test_children_that_come_and_go_are_told_each_once(stream, log):
    pool = DynamicSupervisor.start()
    temporary = child("t", log, restart=Restart.TEMPORARY)
    refs = [DynamicSupervisor.start_child(pool, temporary) for _ in range(4)]
    assert [each.ref for each in take(stream, 4)] == refs

    stop(refs[0])
    crash(refs[1])
    DynamicSupervisor.terminate_child(pool, refs[2])
    stop(pool)

    told = {each.ref: each for each in take(stream, 4)}
    assert told == {
        refs[0]: ChildExited(pool, "t", refs[0], Normal(), Outcome.LEAVES),
        refs[1]: ChildExited(pool, "t", refs[1], Crash(BOOM), Outcome.LEAVES),
        refs[2]: ChildTerminated(pool, "t", refs[2], Shutdown(), 5.0, is_clean=True),
        refs[3]: ChildTerminated(pool, "t", refs[3], Shutdown(), 5.0, is_clean=True),
    }
    assert list(stream.waiting()) == []


def test_a_dynamic_child_that_comes_back_is_told_with_its_new_ref(stream, log):
    pool = DynamicSupervisor.start(max_restarts=1)
    first = DynamicSupervisor.start_child(pool, child("p", log))
    take(stream, 1)

    crash(first)
    exited, started = take(stream, 2)
    crash(started.ref)

    assert (exited.outcome, started.incarnation) == (Outcome.RESTARTS, 2)
    assert take(stream, 2) == [
        ChildExited(pool, "p", started.ref, Crash(BOOM), Outcome.GIVES_UP),
        GaveUp(pool, "p", Crash(BOOM), 1, 5.0),
    ]


def test_with_below_only_that_branch_is_heard(supervise, log):
    inner = Supervisor.child_spec([child("deep", log)], name="inner")
    supervise(inner, child("outside", log), name="root")
    other = supervise(child("elsewhere", log))

    with EventStream(below="inner") as stream:
        Supervisor.terminate_child("root", "outside")
        Supervisor.terminate_child(other, "elsewhere")
        Supervisor.terminate_child("inner", "deep")
        Supervisor.terminate_child("root", "inner")

        assert [each.child_id for each in take(stream, 1)] == ["deep"]
        assert list(stream.waiting()) == []


def test_an_actor_hears_in_handle_info_until_it_ends(start, supervise, log, notes):
    listener = start(notes)
    subscribe(listener)
    sup = supervise(child("a", log))

    (a,) = refs(sup).values()
    heard = notes.take(1)
    kill(listener)
    Supervisor.terminate_child(sup, "a")

    assert heard == [ChildStarted(sup, "a", a, incarnation=1)]
    assert notes.is_empty()


def test_a_cancelled_listener_hears_no_more(supervise, log):
    heard = []
    with subscribe(heard.append) as subscription:
        sup = supervise(child("a", log))
    subscription.cancel()

    Supervisor.terminate_child(sup, "a")

    assert [each.child_id for each in heard] == ["a"]


def test_a_listener_that_raises_is_logged_once_and_ends_nobody(supervise, log, caplog):
    subscribe(lambda event: 1 / 0)

    sup = supervise(child("a", log), child("b", log))

    assert [info.ref.is_alive() for info in Supervisor.which_children(sup)] == [True, True]
    raised = [record for record in caplog.records if "and is cancelled" in record.message]
    assert len(raised) == 1


def test_a_listener_sees_in_the_tree_what_it_is_told(supervise, log):
    seen = []

    def look(event):
        seen.append((type(event), whereis("a") is not None))

    with subscribe(look):
        sup = supervise(child("a", log, name="a"))
        Supervisor.terminate_child(sup, "a")

    assert seen == [(ChildStarted, True), (ChildTerminated, False)]


def test_what_is_told_although_nobody_listens_is_what_is_logged(supervise, log, caplog):
    caplog.set_level(logging.DEBUG, "antq_actors.otp")
    sup = supervise(child("a", log), child("t", log, restart=Restart.TRANSIENT))
    Supervisor.terminate_child(sup, "a")
    stop(refs(sup)["t"])
    eventually(lambda: refs(sup)["t"] is None)

    assert caplog.records == []


@pytest.mark.parametrize("wrong", [None, 7, ["a"]])
def test_a_listener_is_a_function_or_an_actor(wrong):
    with pytest.raises(TypeError, match="a listener is a function or an actor's ref or name"):
        subscribe(wrong)


@pytest.mark.parametrize(
    "listen", [lambda: subscribe("nobody"), lambda: EventStream(below="nobody")]
)
def test_nobody_can_listen_and_nobody_can_be_listened_to(listen):
    with pytest.raises(CallExit) as caught:
        listen()

    assert caught.value.reason == NoProc()


def test_a_stream_in_which_nothing_comes_says_so(stream):
    with pytest.raises(TimeoutError, match=r"no event came within 0.01 s"):
        stream.take(0.01)


def test_listeners_may_come_and_go_while_everything_happens(supervise, log):
    sup = supervise(DynamicSupervisor.child_spec(name="pool"))

    def listen():
        for _ in range(200):
            subscribe(lambda event: None).cancel()

    threads = [InThread(listen) for _ in range(3)]
    for _ in range(100):
        stop(DynamicSupervisor.start_child("pool", child("t", log, restart=Restart.TEMPORARY)))

    for thread in threads:
        thread.result()
    with EventStream(below=sup) as stream:
        DynamicSupervisor.start_child("pool", child("last", log))
        assert stream.take(30).child_id == "last"
