"""Links and exit signals, row by row, and monitors: otp rules 65, 66 and 67.

Monitors are one-way and each on its own, and bring exactly one Down."""

import logging

import pytest
from probe import LONGEST, InThread, Probe, answering, raising
from supervised import BOOM, DONE, kill

from antq_actors.otp import (
    CallExit,
    Crash,
    Down,
    Exited,
    Killed,
    NoProc,
    Normal,
    Shutdown,
    call,
    demonitor,
    exit,  # noqa: A004 - OTP's name
    link,
    monitor,
    stop,
    trap_exit,
    unlink,
)

# ---- links --------------------------------------------------------------------------------------

ENDS = {
    "normal": (stop, Normal()),
    "shutdown": (lambda ref: stop(ref, DONE), DONE),
    "crash": (lambda ref: ref.tell(raising(BOOM)), Crash(BOOM)),
    "killed": (kill, Killed()),
}
NOT_NORMAL = [row for row in ENDS.values() if row[1] != Normal()]


def linked(start, notes, *, trapping):
    """Two linked actors; the first one writes into *notes*."""
    one, two = start(notes), start()
    call(one, lambda _me: (link(two), trap_exit(on=trapping)))
    return one, two


@pytest.mark.rule(65, 66)
@pytest.mark.parametrize(("end", "reason"), NOT_NORMAL)
def test_a_linked_end_is_passed_on_with_its_reason(start, notes, end, reason):
    one, two = linked(start, notes, trapping=False)
    down = monitor(one)

    end(two)

    assert down.wait(LONGEST).reason == reason
    assert notes.take(1) == [("terminate", reason)]  # an ordinary end also when two was killed


@pytest.mark.rule(65)
def test_a_normal_end_of_a_linked_actor_is_dropped(start, notes):
    one, two = linked(start, notes, trapping=False)

    stop(two)

    assert call(one, answering("lives")) == "lives"
    assert notes.is_empty()


@pytest.mark.rule(65, 66)
@pytest.mark.parametrize(("end", "reason"), ENDS.values(), ids=ENDS.keys())
def test_one_that_traps_exits_is_told_of_every_linked_end(start, notes, end, reason):
    one, two = linked(start, notes, trapping=True)

    end(two)

    assert notes.take(1) == [Exited(two, reason)]
    assert call(one, answering("lives")) == "lives"


@pytest.mark.rule(65)
def test_links_go_both_ways(start, notes):
    one, two = linked(start, notes, trapping=False)
    down = monitor(two)

    stop(one, DONE)

    assert down.wait(LONGEST).reason == DONE


@pytest.mark.rule(65)
def test_there_is_one_link_for_each_pair(start, notes):
    one, two = linked(start, notes, trapping=True)
    call(two, lambda _me: link(one))
    call(one, lambda _me: link(two))

    stop(two)
    assert notes.take(1) == [Exited(two, Normal())]

    call(one, answering(None))
    assert notes.is_empty()


def test_unlink_from_either_end_removes_the_link(start, notes):
    one, two = linked(start, notes, trapping=False)

    call(two, lambda _me: unlink(one))
    kill(two)

    assert call(one, answering("lives")) == "lives"


@pytest.mark.rule(65)
def test_linking_the_dead_is_an_exit_signal_with_noproc(start, notes):
    trapping, plain, dead = start(notes), start(), start()
    stop(dead)
    down = monitor(plain)

    call(trapping, lambda _me: (trap_exit(on=True), link(dead)))
    plain.tell(lambda _me: link(dead))

    assert notes.take(1) == [Exited(dead, NoProc())]
    assert down.wait(LONGEST).reason == NoProc()


def test_a_link_to_oneself_means_nothing(start):
    ref = start()

    call(ref, lambda me: link(me.ref))
    stop(ref)

    assert not ref.is_alive()


@pytest.mark.deviation(9)
@pytest.mark.parametrize("act", [link, unlink, trap_exit])
def test_links_are_for_actors(start, act):
    with pytest.raises(RuntimeError, match="monitor"):
        act(start())


# ---- exit -------------------------------------------------------------------------------------


@pytest.mark.rule(68)
@pytest.mark.deviation(7)
def test_an_exit_signal_overtakes_what_waits(start, notes, gate):
    ref = start(notes)
    down = monitor(ref)
    gate.hold(ref)
    for number in range(100):
        ref.tell(number)

    exit(ref, DONE)
    gate.open()

    assert down.wait(LONGEST).reason == DONE
    assert notes.take(1) == [("terminate", DONE)]


@pytest.mark.rule(65)
def test_a_normal_exit_signal_ends_no_one_but_is_told_to_who_traps(start, notes):
    plain, trapping = start(), start(notes)
    call(trapping, lambda _me: trap_exit(on=True))

    exit(plain, Normal())
    exit(trapping, Normal())

    assert call(plain, answering("lives")) == "lives"
    assert notes.take(1) == [Exited(None, Normal())]


def test_a_trapped_signal_names_the_actor_that_sent_it(start, notes):
    sender, ref = start(), start(notes)
    call(ref, lambda _me: trap_exit(on=True))

    call(sender, lambda _me: exit(ref, DONE))
    exit(ref, DONE)

    assert notes.take(2) == [Exited(sender, DONE), Exited(None, DONE)]


@pytest.mark.rule(66)
def test_a_kill_cannot_be_trapped(start, notes):
    ref = start(notes)
    call(ref, lambda _me: trap_exit(on=True))
    down = monitor(ref)

    kill(ref)

    assert down.wait(LONGEST).reason == Killed()
    assert notes.is_empty()


@pytest.mark.parametrize(
    "end",
    [
        lambda _ref: [exit("nobody", DONE), exit("target", DONE)],
        lambda ref: call(ref, lambda me: exit(me.ref, DONE)),
    ],
    ids=["by its name", "by itself"],
)
def test_an_actor_may_be_told_to_end_by_its_name_and_by_itself(start, end):
    ref = start(name="target")
    down = monitor(ref)

    end(ref)

    assert down.wait(LONGEST).reason == DONE


def test_an_actor_that_kills_itself_gets_no_further(start, notes):
    def suicide(me):
        exit(me.ref, Killed())
        me.notes.add("still here")

    ref = start(notes)

    with pytest.raises(CallExit) as ended:
        call(ref, suicide)

    assert ended.value.reason == Killed()
    stop(start(notes))
    assert notes.take(1) == [("terminate", Normal())]
    assert notes.is_empty()


# ---- parents ----------------------------------------------------------------------------------


def a_family(start, notes):
    """A parent that traps exits, and its child, which does so, too."""
    parent = start(notes)
    child = call(
        parent,
        lambda _me: (
            trap_exit(on=True),
            Probe.start_link(notes, init=lambda _: trap_exit(on=True)),
        )[1],
    )
    return parent, child


@pytest.mark.rule(48)
@pytest.mark.parametrize(("end", "reason"), ENDS.values(), ids=ENDS.keys())
def test_the_end_of_a_parent_cannot_be_trapped(start, notes, end, reason):
    parent, child = a_family(start, notes)
    down = monitor(child)

    end(parent)

    assert down.wait(LONGEST).reason == reason


def test_an_exit_signal_of_a_parent_cannot_be_trapped(start, notes):
    parent, child = a_family(start, notes)
    down = monitor(child)

    call(parent, lambda _me: exit(child, DONE))

    assert down.wait(LONGEST).reason == DONE
    assert notes.take(2) == [("terminate", DONE), Exited(child, DONE)]


@pytest.mark.deviation(9)
def test_a_start_link_from_a_plain_thread_links_nothing():
    ref = Probe.start_link()

    assert ref.cell.parent is None
    stop(ref)


def test_a_child_of_a_parent_that_is_killed_while_it_starts_it_ends_with_it(start, gate, caplog):
    caplog.set_level(logging.CRITICAL)
    parent = start()
    children = []

    def enter(me):
        children.append(me.ref)
        gate()

    parent.tell(lambda _me: Probe.start_link(init=enter))
    gate.wait_entered()

    kill(parent)

    assert monitor(children[0]).wait(LONGEST).reason in (Killed(), NoProc())


# ---- monitors -----------------------------------------------------------------------------------


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
