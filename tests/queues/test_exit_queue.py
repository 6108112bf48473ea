"""Exits are each taken once, and one notice does for many; it waits only for jobs that come."""

import math
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.apps import until

from antq_actors.otp import GenServer, Normal, Shutdown
from antq_actors.otp.kernel.mailbox import Mailbox
from antq_actors.otp.threads import run_queue
from antq_actors.queues import exit_queue
from antq_actors.queues.exit_queue import (
    FEWEST_QUICK,
    MOST_QUICK,
    NOTICE,
    QUICK_SECONDS,
    SLOW_SECONDS,
    Arrivals,
    ExitQueue,
)

QUICK, SLOW = QUICK_SECONDS / 2, 2 * SLOW_SECONDS


class Queue(GenServer):
    """Waits while the test says so, and counts what it is told."""

    def init(self):
        self.told = 0

    def handle_info(self, message):
        assert message is NOTICE
        self.told += 1

    def handle_call(self, request):
        return request() if callable(request) else self.told


@pytest.fixture
def queue(start):
    return start(Queue)


@pytest.fixture
def actor(start):
    return start(GenServer)


def drained(exits):
    taken, waiting = [], exits.take()
    while waiting:
        taken.append(waiting.popleft())
    return taken


def test_an_exit_is_announced_and_taken_once(queue, actor):
    exits = ExitQueue(queue.cell)

    exits.add(actor.cell, Normal())

    assert queue.ask("told") == 1
    assert drained(exits) == [(actor.cell, Normal())]
    assert drained(exits) == []


@pytest.mark.parametrize("line", [1, 2, 3])
def test_an_exit_that_comes_while_others_are_taken_keeps_no_later_one_quiet(queue, actor, line):
    exits = ExitQueue(queue.cell)
    exits.notify()  # so that a turn is to come
    exits.arrivals.are_rapid, exits.room = True, 10
    told, lines = queue.ask("told"), iter(range(1, 9))

    def add_at_the_line(frame, event, _arg):
        is_taking = frame.f_code is ExitQueue.take.__code__
        if is_taking and event == "line" and next(lines) == line:
            adding = threading.Thread(target=exits.add, args=(actor.cell, Normal()))
            adding.start()
            adding.join(10)
        return add_at_the_line

    before = sys.gettrace()
    sys.settrace(add_at_the_line)
    try:
        exits.take().clear()
    finally:
        sys.settrace(before)

    exits.add(actor.cell, Normal())

    until(lambda: queue.ask("told") > told, "a message for the later one")


def test_many_exits_are_announced_by_one_message(queue, actor):
    exits = ExitQueue(queue.cell)

    for number in range(10):
        exits.add(actor.cell, Shutdown(number))

    assert queue.ask("told") == 1
    assert [reason.detail for _, reason in drained(exits)] == list(range(10))
    exits.add(actor.cell, Normal())
    assert queue.ask("told") == 2


def test_a_paused_exit_queue_sends_no_message(queue, actor):
    exits = ExitQueue(queue.cell)
    exits.paused = True

    exits.add(actor.cell, Normal())

    assert queue.ask("told") == 0
    assert drained(exits) == [(actor.cell, Normal())]


def test_the_queue_actor_is_notified_once_until_it_looks(queue):
    exits = ExitQueue(queue.cell)
    assert not exits.is_coming()

    exits.notify()
    told = queue.ask("told")
    exits.notify()

    assert told > 0
    assert exits.is_coming()
    assert queue.ask("told") == told
    drained(exits)
    assert not exits.is_coming()
    exits.notify()
    assert queue.ask("told") > told


def test_a_notice_that_is_cut_short_counts_for_nothing(queue, monkeypatch):
    exits = ExitQueue(queue.cell)

    def cut_short(_mailbox, _message, *, wake):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Mailbox, "deliver", cut_short)
        with pytest.raises(KeyboardInterrupt):
            exits.notify()
    assert not exits.is_coming()

    exits.notify()

    assert queue.ask("told") > 0


def test_a_queue_actor_whose_turn_comes_while_it_is_notified_is_notified_again(queue, monkeypatch):
    exits = ExitQueue(queue.cell)
    deliver = Mailbox.deliver

    def deliver_and_take(mailbox, message, *, wake=True):
        deliver(mailbox, message, wake=wake)
        drained(exits)

    with monkeypatch.context() as patched:
        patched.setattr(Mailbox, "deliver", deliver_and_take)
        exits.notify()

    assert not exits.is_coming()


def test_no_exit_of_many_at_once_is_lost(queue, actor):
    exits = ExitQueue(queue.cell)
    taken = []

    def end():
        for number in range(500):
            exits.add(actor.cell, Shutdown(number))

    with ThreadPoolExecutor(4) as pool:
        ends = [pool.submit(end) for _ in range(4)]
        while not all(each.done() for each in ends):
            taken += drained(exits)
    before = queue.ask("told")
    taken += drained(exits)
    exits.add(actor.cell, Normal())

    assert len(taken) == 2000
    assert queue.ask("told") == before + 1


# ---- jobs that are due ---------------------------------------------------------------------------


def test_a_queue_actor_is_woken_for_due_jobs_once_until_it_requests_a_claim(queue):
    exits = ExitQueue(queue.cell)

    for _ in range(3):
        exits.wake()
    told = queue.ask("told")
    exits.claims += 1
    exits.wake()

    assert told == 1
    assert queue.ask("told") == 2
    assert exits.has_more


def test_a_queue_actor_that_is_about_to_look_is_not_woken_and_finds_that_there_is_more(queue):
    exits = ExitQueue(queue.cell)
    exits.paused = True

    exits.wake()

    assert queue.ask("told") == 0
    assert exits.has_more
    exits.paused = False
    exits.wake()  # no message has come of the first
    assert queue.ask("told") == 1


def test_a_queue_actor_that_requests_a_claim_while_it_is_woken_is_woken_again(queue, monkeypatch):
    exits = ExitQueue(queue.cell)
    deliver = Mailbox.deliver

    def deliver_and_claim(mailbox, message):
        deliver(mailbox, message)
        exits.claims += 1

    with monkeypatch.context() as patched:
        patched.setattr(Mailbox, "deliver", deliver_and_claim)
        exits.wake()

    exits.wake()

    assert queue.ask("told") == 2


def test_a_wake_that_is_cut_short_counts_for_nothing(queue, monkeypatch):
    exits = ExitQueue(queue.cell)

    def cut_short(_mailbox, _message):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Mailbox, "deliver", cut_short)
        with pytest.raises(KeyboardInterrupt):
            exits.wake()

    exits.wake()

    assert queue.ask("told") == 1


# ---- notices that wait for more jobs -------------------------------------------------------------


@contextmanager
def an_idle_thread():
    """See to a service thread that has nothing to do, for the time of the block."""
    done = threading.Event()
    run_queue.run(done.set)
    assert done.wait(10)
    until(lambda: run_queue._run_queue._idle, "an idle service thread")
    yield


@pytest.fixture
def rapid(queue, monkeypatch):
    """The notices of a queue to which jobs come rapidly; they wait as long as it takes."""
    monkeypatch.setattr(exit_queue, "COALESCING_SECONDS", 30)
    exits = ExitQueue(queue.cell)
    exits.arrivals.are_rapid, exits.arrivals.needed = True, 0  # so they are, however slowly
    exits.room = 3
    with an_idle_thread():
        yield exits
    exits.room = 0
    exits.notify()


def test_while_jobs_come_rapidly_a_notice_waits_until_they_take_all_slots(queue, rapid):
    for _ in range(2):
        rapid.room -= 1
        rapid.notify()
    assert rapid.is_coming()
    assert queue.ask("told") == 0

    rapid.room -= 1
    rapid.notify()

    until(lambda: queue.ask("told") == 1, "one message for all")
    assert not rapid.is_coming()


def test_an_exit_waits_with_the_jobs_that_come_rapidly(queue, actor, rapid):
    rapid.add(actor.cell, Normal())
    rapid.notify()
    assert queue.ask("told") == 0

    rapid.room = 0
    rapid.notify()

    until(lambda: queue.ask("told") == 1, "one message for both")
    assert drained(rapid) == [(actor.cell, Normal())]


def test_due_jobs_wait_with_the_others_until_they_take_all_slots(queue, rapid):
    for _ in range(2):
        rapid.wake()
    assert queue.ask("told") == 0

    rapid.wake()

    until(lambda: queue.ask("told") == 1, "one message for all")
    assert rapid.has_more


def test_an_exit_does_not_wait_while_a_caller_waits_for_jobs_to_end(queue, actor, monkeypatch):
    monkeypatch.setattr(exit_queue, "COALESCING_SECONDS", 30)
    exits = ExitQueue(queue.cell, is_awaited=lambda: True)
    exits.arrivals.are_rapid = True
    exits.room = 3

    with an_idle_thread():
        exits.add(actor.cell, Normal())

    assert queue.ask("told") == 1


def test_a_notice_that_has_waited_in_vain_counts(queue, monkeypatch):
    monkeypatch.setattr(exit_queue, "COALESCING_SECONDS", 2 * SLOW_SECONDS)
    exits = ExitQueue(queue.cell)
    exits.arrivals.are_rapid = True
    exits.room = 3

    with an_idle_thread():
        exits.notify()

    until(lambda: exits.arrivals.needed == 2 * FEWEST_QUICK, "the end of the wait")
    assert not exits.arrivals.are_rapid


def test_a_wait_that_is_over_before_it_is_noted_is_none_that_goes_on(queue, monkeypatch):
    monkeypatch.setattr(exit_queue, "COALESCING_SECONDS", 0)
    monkeypatch.setattr(run_queue, "run_if_idle", lambda fn: fn() or True)
    exits = ExitQueue(queue.cell)
    exits.arrivals.are_rapid = True
    exits.room = 3

    exits.notify()

    assert not exits.is_coming()


def test_a_full_queue_hears_of_an_exit_at_once_however_rapidly_jobs_come(queue, actor, rapid):
    rapid.room = 0

    rapid.add(actor.cell, Normal())

    assert queue.ask("told") == 1


def test_a_notice_waits_no_longer_than_it_may(queue, monkeypatch):
    monkeypatch.setattr(exit_queue, "COALESCING_SECONDS", 0.001)
    exits = ExitQueue(queue.cell)
    exits.arrivals.are_rapid = True
    exits.room = 3

    with an_idle_thread():
        exits.notify()

    until(lambda: queue.ask("told") == 1, "the message")


def test_without_an_idle_thread_nothing_waits(queue, monkeypatch):
    monkeypatch.setattr(run_queue, "run_if_idle", lambda _fn: False)
    exits = ExitQueue(queue.cell)
    exits.arrivals.are_rapid = True
    exits.room = 3

    exits.notify()

    assert queue.ask("told") == 1
    assert not exits.is_coming()


def test_a_turn_in_between_does_not_end_the_wait(queue, rapid):
    rapid.notify()
    drained(rapid)  # a turn that a timer has brought, say

    assert rapid.is_coming()
    rapid.room = 0
    rapid.notify()
    until(lambda: queue.ask("told") == 1, "the message")


def test_on_disk_a_job_that_comes_soon_after_another_is_claimed_as_it_is_stored(queue):
    for is_durable in (True, False):
        exits = ExitQueue(queue.cell, is_durable=is_durable)
        exits.paused = True
        assert exits.claims_later()

        exits.arrivals.last = math.inf

        assert exits.claims_later() is not is_durable


class Stored:
    """Jobs that are stored for a queue, by a clock that the test sets."""

    def __init__(self, queue, monkeypatch, *, is_durable):
        self.exits = ExitQueue(queue.cell, is_durable=is_durable)
        self._now = 100.0
        monkeypatch.setattr(exit_queue, "time", SimpleNamespace(monotonic=lambda: self._now))

    def store(self, *, pause, takes=2 * SLOW_SECONDS, served=True, has_claim=True):
        """Store a job that is served to the queue, or for which it is woken."""
        self._now += pause
        if has_claim:
            self.exits.claims_later()
        self._now += takes
        if served:
            self.exits.arrive(1)
            self.exits.notify()
        else:
            self.exits.wake()


ENDS_OF_A_JOB = [
    {"served": True},
    {"served": False},
    {"served": False, "has_claim": False, "takes": 0},
]


@pytest.mark.parametrize("how", ENDS_OF_A_JOB, ids=["served", "left to it", "woken"])
def test_what_counts_is_the_pause_between_two_jobs_and_each_counts_once(queue, monkeypatch, how):
    stored = Stored(queue, monkeypatch, is_durable=False)
    stored.exits.room = 100
    stored.store(pause=SLOW, **how)

    for _ in range(FEWEST_QUICK - 1):
        stored.store(pause=QUICK, **how)
    assert not stored.exits.arrivals.are_rapid
    stored.store(pause=QUICK, **how)
    assert stored.exits.arrivals.are_rapid

    assert stored.exits.room == 100 - 1 - FEWEST_QUICK
    stored.store(pause=SLOW, **how)
    assert not stored.exits.arrivals.are_rapid


def test_a_job_without_a_claim_counts_after_one_that_was_left_to_the_queue(queue, monkeypatch):
    stored = Stored(queue, monkeypatch, is_durable=False)
    stored.store(pause=SLOW, served=False)

    for _ in range(FEWEST_QUICK):
        stored.store(pause=QUICK, takes=0, served=False, has_claim=False)

    assert stored.exits.arrivals.are_rapid


def test_on_disk_a_job_that_a_queue_is_woken_for_is_no_quick_one(queue, monkeypatch):
    stored = Stored(queue, monkeypatch, is_durable=True)

    for _ in range(2 * FEWEST_QUICK):
        stored.store(pause=QUICK, takes=0, served=False, has_claim=False)

    assert not stored.exits.arrivals.are_rapid


# ---- whether jobs come rapidly -------------------------------------------------------------------


def arrivals_after(*pauses, arrivals=None):
    arrivals, now = arrivals or Arrivals(), 0.0
    for pause in pauses:
        now += pause
        arrivals.note(now)
        arrivals.last = now
    return arrivals


def test_jobs_come_rapidly_when_a_few_came_quickly_in_a_row():
    assert not arrivals_after(1.0, *[QUICK] * (FEWEST_QUICK - 1)).are_rapid
    assert arrivals_after(1.0, *[QUICK] * FEWEST_QUICK).are_rapid


IN_BETWEEN = (QUICK_SECONDS + SLOW_SECONDS) / 2


def test_a_slow_job_ends_a_rapid_succession():
    assert arrivals_after(1.0, *[QUICK] * 100).are_rapid
    assert not arrivals_after(1.0, *[QUICK] * 100, SLOW).are_rapid


def test_one_in_between_ends_it_only_if_quick_ones_do_not_outweigh_it():
    assert not arrivals_after(1.0, *[QUICK] * FEWEST_QUICK, IN_BETWEEN).are_rapid
    assert arrivals_after(1.0, *[QUICK] * FEWEST_QUICK, IN_BETWEEN, QUICK).are_rapid

    assert arrivals_after(1.0, *[QUICK] * 100, *[IN_BETWEEN] * FEWEST_QUICK).are_rapid
    assert not arrivals_after(1.0, *[QUICK] * 100, *[IN_BETWEEN] * (FEWEST_QUICK + 1)).are_rapid


def test_jobs_that_come_regularly_begin_at_once_after_those_that_came_rapidly():
    arrivals = arrivals_after(1.0, *[QUICK] * 10_000)

    assert not arrivals_after(*[IN_BETWEEN] * 10, arrivals=arrivals).are_rapid


def test_jobs_that_wait_for_each_other_lose_one_wait_in_a_thousand():
    arrivals, now, waits = arrivals_after(1.0), 1.0, 0
    for _ in range(20 * MOST_QUICK):
        now += QUICK
        arrivals.note(now)
        arrivals.last = now
        if arrivals.are_rapid:  # then none comes before the notice has waited
            now += SLOW
            arrivals.waited(now)
            waits += 1

    assert waits <= 20 + math.log2(MOST_QUICK / FEWEST_QUICK)


def test_waiting_in_vain_ends_it_and_doubles_what_it_takes_until_it_was_worth_it():
    arrivals = arrivals_after(1.0, *[QUICK] * FEWEST_QUICK)

    arrivals.waited(arrivals.last + SLOW)
    assert not arrivals.are_rapid
    assert arrivals.needed == 2 * FEWEST_QUICK

    now = arrivals.last
    for _ in range(2 * FEWEST_QUICK):
        assert not arrivals.are_rapid
        now += QUICK
        arrivals.note(now)
        arrivals.last = now
    assert arrivals.are_rapid
    arrivals.waited(now + QUICK)
    assert arrivals.are_rapid
    assert arrivals.needed == FEWEST_QUICK


PAUSES = [QUICK, IN_BETWEEN, SLOW]


@given(st.lists(st.tuples(st.sampled_from(["note", "waited"]), st.sampled_from(PAUSES))))
def test_they_are_rapid_only_after_a_few_quick_ones_and_what_it_takes_is_bounded(steps):
    arrivals, now, quick = Arrivals(), 0.0, 0
    for event, pause in steps:
        now += pause
        if event == "note":
            since = now - arrivals.last
            arrivals.note(now)
            arrivals.last = now
            quick = 0 if since > SLOW_SECONDS else quick + (since < QUICK_SECONDS)
        else:
            was_rapid, in_vain = arrivals.are_rapid, now - arrivals.last > SLOW_SECONDS
            arrivals.waited(now)
            quick = 0 if in_vain else quick
            assert arrivals.are_rapid is (was_rapid and not in_vain)
        assert FEWEST_QUICK <= arrivals.needed <= MOST_QUICK
        assert not arrivals.are_rapid or quick >= FEWEST_QUICK
