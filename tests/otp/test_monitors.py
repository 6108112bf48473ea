"""Monitors: one-way, each on its own, exactly one Down (otp rule 67)."""

import pytest
from probe import LONGEST, InThread, answering
from supervised import kill

from antq_actors.otp import (
    Down,
    Killed,
    NoProc,
    Normal,
    Shutdown,
    call,
    demonitor,
    exit,  # noqa: A004 - OTP's name
    monitor,
    stop,
)


@pytest.mark.rule(67)
@pytest.mark.deviation(9)
def test_a_monitor_of_a_plain_thread_waits_for_the_down(start):
    ref = start()
    watch = monitor(ref)
    waiting = InThread(watch.wait)

    stop(ref, Shutdown("done"))

    assert waiting.result() == Down(watch, ref, Shutdown("done"))
    assert watch.wait() == Down(watch, ref, Shutdown("done"))


def test_a_wait_that_takes_too_long_is_a_timeout_and_can_be_repeated(start):
    ref = start()
    watch = monitor(ref)

    with pytest.raises(TimeoutError):
        watch.wait(0.001)
    kill(ref)

    assert watch.wait(LONGEST).reason == Killed()


@pytest.mark.rule(67)
def test_the_dead_are_told_at_once_as_noproc(start, notes):
    watcher, ref = start(notes), start()
    stop(ref)

    call(watcher, lambda _me: monitor(ref))

    assert monitor(ref).wait(0).reason == NoProc()
    [down] = notes.take(1)
    assert (down.ref, down.reason) == (ref, NoProc())


@pytest.mark.rule(67)
def test_a_name_that_nobody_has_is_told_at_once_as_noproc(start, notes):
    watcher = start(notes)

    watch = call(watcher, lambda _me: monitor("nobody"))

    assert notes.take(1) == [Down(watch, "nobody", NoProc())]
    assert monitor("nobody").wait(0).reason == NoProc()


def test_a_name_is_monitored_as_the_actor_that_has_it_now(start, notes):
    watcher, first = start(notes), start(name="heir")
    call(watcher, lambda _me: monitor("heir"))

    stop(first)
    second = start(name="heir")

    assert notes.take(1)[0].ref is first
    stop(second)
    call(watcher, answering(None))
    assert notes.is_empty()


@pytest.mark.rule(67)
def test_monitors_are_one_way(start, notes):
    watcher, ref = start(notes), start()
    call(watcher, lambda _me: monitor(ref))

    kill(watcher)

    assert call(ref, answering("lives")) == "lives"


@pytest.mark.rule(67)
def test_each_monitor_is_taken_back_on_its_own(start, notes):
    watcher, ref = start(notes), start()
    first, second = call(watcher, lambda _me: (monitor(ref), monitor(ref)))

    call(watcher, lambda _me: demonitor(first))
    stop(ref)

    assert notes.take(1) == [Down(second, ref, Normal())]
    call(watcher, answering(None))
    assert notes.is_empty()


def test_a_down_that_waits_is_flushed_with_its_monitor_and_nothing_else(start, notes):
    watcher, ref, other = start(notes), start(), start()

    def watch_the_dying(me):
        watches = monitor(ref), monitor(other)
        me.ref.tell("before")
        stop(ref)
        stop(other)
        demonitor(watches[0])

    call(watcher, watch_the_dying)

    before, down = notes.take(2)
    assert before == "before"
    assert down.ref is other
    call(watcher, answering(None))
    assert notes.is_empty()


def test_without_flush_a_down_that_waits_stays(start, notes):
    watcher, ref = start(notes), start()

    def watch_the_dying(_me):
        watch = monitor(ref)
        stop(ref)
        demonitor(watch, flush=False)

    call(watcher, watch_the_dying)

    assert notes.take(1)[0].ref is ref


@pytest.mark.rule(67)
def test_after_demonitor_no_down_arrives_even_if_the_actor_dies_in_that_moment(start, notes):
    watcher = start(notes)

    for _ in range(300):
        ref = start()
        watch = call(watcher, lambda _me, ref=ref: monitor(ref))
        killing = InThread(kill, ref)
        call(watcher, lambda me, watch=watch: (demonitor(watch), me.notes.add("taken back")))
        killing.result()
        call(watcher, answering(None))

        # A Down may have been handled before; after this note there is none.
        noted = []
        while "taken back" not in noted:
            noted += notes.take(1)
        assert notes.is_empty()


def test_waiting_on_a_monitor_that_was_taken_back_is_an_error(start):
    watch = monitor(start())
    waiting = InThread(watch.wait)

    demonitor(watch)

    with pytest.raises(RuntimeError, match="demonitor"):
        waiting.result()
    with pytest.raises(RuntimeError, match="demonitor"):
        watch.wait(LONGEST)


def test_waiting_on_the_monitor_of_an_actor_is_an_error(start):
    watcher, ref = start(), start()

    watch = call(watcher, lambda _me: monitor(ref))

    with pytest.raises(RuntimeError, match="handle_info"):
        watch.wait(LONGEST)


def test_a_dead_watcher_is_no_trouble(start):
    watcher, ref = start(), start()
    call(watcher, lambda _me: monitor(ref))
    kill(watcher)

    exit(ref, Shutdown())

    assert monitor(ref).wait(LONGEST).reason in (Shutdown(), NoProc())
