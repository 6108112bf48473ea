import pytest
from probe import LONGEST, InThread, answering
from supervised import BOOM, Child, eventually, kill

from antq_actors.otp import (
    CallCycle,
    CallExit,
    CallTimeout,
    Crash,
    Killed,
    NoProc,
    Restart,
    Shutdown,
    Supervisor,
    call,
    chaos,
    monitor,
    orphans,
    resume,
    stop,
    suspend,
    tree,
    whereis,
)


@pytest.fixture
def sup(supervise, log):
    return supervise(Child.child_spec("a", log, name="a"), name="root", max_restarts=100)


def is_up_again(before):
    return eventually(lambda: whereis("a") not in (None, before) and whereis("a"))


def test_a_crash_is_as_if_a_handler_had_raised(sup, log):
    before = whereis("a")
    watch = monitor("a")

    chaos.crash("a", BOOM)

    assert watch.wait(30).reason == Crash(BOOM)
    assert is_up_again(before)
    assert ("down", "a", Crash(BOOM)) in log.take(3)


def test_a_crash_without_an_error_says_that_it_was_on_purpose(sup):
    watch = monitor("a")

    chaos.crash("a")

    reason = watch.wait(30).reason
    assert isinstance(reason.exception, chaos.ChaosError)
    assert str(reason) == "Crash(ChaosError: crashed on purpose)"


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), BOOM])
def test_any_exception_will_do_and_it_has_ended_when_crash_returns(start, error):
    ref = start()

    chaos.crash(ref, error)

    assert not ref.is_alive()
    assert ref.cell.reason == Crash(error)


def test_a_supervisor_that_crashes_takes_its_children_along_and_comes_back(supervise, log):
    inner = Supervisor.child_spec([Child.child_spec("a", log, name="a")], name="inner")
    supervise(inner)
    before = whereis("a")

    chaos.crash("inner")

    assert log.take(3) == [("up", "a"), ("down", "a", Shutdown()), ("up", "a")]
    assert is_up_again(before)


def test_an_exit_signal_and_a_kill_are_otps(start):
    told, killed = start(), start()
    ends = [monitor(told), monitor(killed)]

    chaos.exit(told, Shutdown("x"))
    chaos.kill(killed)

    assert [end.wait(30).reason for end in ends] == [Shutdown("x"), Killed()]


def test_one_that_hangs_answers_nobody_until_the_harm_ends(start):
    ref = start()

    with chaos.hang(ref):
        with pytest.raises(CallTimeout):
            call(ref, answering("hello"), timeout=0.01)
        assert tree(ref).handling.callback == "chaos.hang"

    assert call(ref, answering("hello")) == "hello"


def test_one_that_hangs_for_some_time_goes_on_by_itself(start):
    ref = start()

    chaos.hang(ref, 0.01)

    assert call(ref, answering("hello")) == "hello"


def test_a_kill_makes_an_orphan_of_one_that_hangs_until_the_harm_ends(sup):
    before, others = whereis("a"), set(orphans())
    harm = chaos.hang("a")

    chaos.kill("a")

    assert is_up_again(before)
    assert [thread.name for thread in orphans() if thread not in others] == ["a"]
    harm.end()
    eventually(lambda: others.issuperset(orphans()))


def test_a_child_that_hangs_is_killed_when_its_time_is_over(supervise, log):
    spec = Child.child_spec("a", log, name="a", shutdown=0.01, restart=Restart.TEMPORARY)
    sup = supervise(spec)
    watch = monitor("a")
    harm = chaos.hang("a")

    stop(sup)

    assert watch.wait(30).reason == Killed()
    harm.end()


def test_one_that_is_slow_waits_before_each_message(start):
    ref = start()
    slowness = chaos.slow(ref, 3600)
    waiting = InThread(call, ref, answering("hello"), timeout=30)
    eventually(lambda: tree(ref).handling)

    slowness.end()

    assert waiting.result() == "hello"
    assert call(ref, answering("again")) == "again"


@pytest.mark.parametrize("harm", [chaos.crash, chaos.hang])
def test_harm_to_one_that_is_busy_times_out_and_does_not_come_later(start, gate, harm):
    ref = start()
    gate.hold(ref)

    with pytest.raises(CallTimeout):
        harm(ref, timeout=0.01)
    gate.open()

    assert call(ref, answering("lives"), LONGEST) == "lives"
    assert ref.cell.mailbox.calls == set()


@pytest.mark.parametrize("harm", [chaos.crash, chaos.hang])
def test_harm_to_one_that_is_suspended_times_out_and_does_not_come_later(start, harm):
    ref = start()
    suspend(ref)

    with pytest.raises(CallTimeout):
        harm(ref, timeout=0.01)
    resume(ref)

    assert call(ref, answering("lives"), LONGEST) == "lives"


@pytest.mark.parametrize(
    "harm",
    [chaos.crash, chaos.hang, lambda dest: chaos.slow(dest, 1)],
    ids=["crash", "hang", "slow"],
)
def test_nobody_comes_to_harm(harm, start):
    ref = start()
    stop(ref)

    for dest in (ref, "nobody"):
        with pytest.raises(CallExit) as caught:
            harm(dest)
        assert caught.value.reason == NoProc()


def test_an_actor_cannot_crash_itself_that_way(start):
    ref = start()

    with pytest.raises(CallExit) as caught:
        call(ref, lambda actor: chaos.crash(actor.ref))

    assert isinstance(caught.value.reason.exception, CallCycle)


@pytest.mark.parametrize(
    ("harm", "error", "says"),
    [
        (lambda ref: chaos.crash(ref, "boom"), TypeError, "crashes with an exception, got 'boom'"),
        (lambda ref: chaos.hang(ref, -1), ValueError, "seconds must be 0 seconds or more, got -1"),
        (lambda ref: chaos.slow(ref, "1"), TypeError, "seconds must be seconds"),
        (lambda ref: chaos.slow(ref, float("inf")), ValueError, "or use hang()"),
        (lambda ref: chaos.crash(ref, timeout=-1), ValueError, "timeout must be"),
        (lambda ref: chaos.crash(7), TypeError, "a destination is"),
    ],
)
def test_harm_that_makes_no_sense_is_refused_and_does_none(start, harm, error, says):
    ref = start()

    with pytest.raises(error) as caught:
        harm(ref)

    assert says in str(caught.value)
    assert call(ref, answering("unharmed")) == "unharmed"


def test_what_was_asked_of_one_that_is_harmed_is_answered(start):
    ref = start()
    harm = chaos.hang(ref)
    waiting = [InThread(call, ref, answering(1), timeout=30) for _ in range(3)]
    more = InThread(chaos.crash, ref, timeout=30)
    eventually(lambda: tree(ref).mailbox_length == 4)

    kill(ref)

    for each in (*waiting, more):
        with pytest.raises(CallExit) as caught:
            each.result()
        assert caught.value.reason == Killed()
    harm.end()
