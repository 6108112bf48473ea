"""Exits are each taken once, and one notice does for many; it waits only for jobs that come."""

import math
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.apps import until

from antq_actors.otp import GenServer, Normal, Shutdown
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

    def cut_short(_message, *, wake):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(queue.cell.mailbox, "deliver", cut_short)
        with pytest.raises(KeyboardInterrupt):
            exits.notify()
    assert not exits.is_coming()

    exits.notify()

    assert queue.ask("told") > 0


def test_a_queue_actor_whose_turn_comes_while_it_is_notified_is_notified_again(queue, monkeypatch):
    exits = ExitQueue(queue.cell)
    deliver = queue.cell.mailbox.deliver

    def deliver_and_take(message, *, wake=True):
        deliver(message, wake=wake)
        drained(exits)

    with monkeypatch.context() as patched:
        patched.setattr(queue.cell.mailbox, "deliver", deliver_and_take)
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


def test_a_wake_that_is_cut_short_counts_for_nothing(queue, monkeypatch):
    exits = ExitQueue(queue.cell)

    def cut_short(_message):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(queue.cell.mailbox, "deliver", cut_short)
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


def test_a_message_that_a_turn_in_between_has_read_does_not_end_the_wait(queue, rapid):
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


# ---- whether jobs come rapidly -------------------------------------------------------------------


def arrivals_after(*pauses, arrivals=None):
    arrivals, now = arrivals or Arrivals(), 0.0
    for pause in pauses:
        now += pause
        arrivals.note(now)
        arrivals.last = now
    return arrivals


QUICK, SLOW = QUICK_SECONDS / 2, 2 * SLOW_SECONDS


def test_jobs_come_rapidly_when_a_few_came_quickly_in_a_row():
    assert not arrivals_after(1.0, *[QUICK] * (FEWEST_QUICK - 1)).are_rapid
    assert arrivals_after(1.0, *[QUICK] * FEWEST_QUICK).are_rapid


def test_a_slow_job_ends_a_rapid_succession_and_one_in_between_does_not():
    in_between = (QUICK_SECONDS + SLOW_SECONDS) / 2

    assert arrivals_after(1.0, *[QUICK] * FEWEST_QUICK, in_between).are_rapid
    assert not arrivals_after(1.0, *[QUICK] * FEWEST_QUICK, SLOW).are_rapid


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


@given(st.lists(st.tuples(st.sampled_from(["note", "waited"]), st.sampled_from([QUICK, SLOW]))))
def test_they_are_rapid_only_after_a_few_quick_ones_and_what_it_takes_is_bounded(steps):
    arrivals, now, quick = Arrivals(), 0.0, 0
    for event, pause in steps:
        now += pause
        if event == "note":
            is_slow = now - arrivals.last > SLOW_SECONDS
            arrivals.note(now)
            arrivals.last = now
            quick = 0 if is_slow else quick + 1
        else:
            was_rapid = arrivals.are_rapid
            arrivals.waited(now)
            if arrivals.in_a_row == 0:
                quick = 0
            assert arrivals.are_rapid in (was_rapid, False)
        assert FEWEST_QUICK <= arrivals.needed <= MOST_QUICK
        assert not arrivals.are_rapid or quick >= FEWEST_QUICK
