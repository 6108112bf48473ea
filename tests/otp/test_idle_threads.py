"""Idle threads end by themselves, one after the other, and work that comes meanwhile is done."""

import threading
import time

import pytest
from probe import LONGEST, Gate, InThread
from supervised import eventually
from test_threads import Threads

from antq_actors.otp import DynamicSupervisor, GenServer, stop
from antq_actors.otp.threads import run_queue
from antq_actors.otp.threads.run_queue import RunQueue


@pytest.fixture
def keep_idle(monkeypatch):
    """Set how long an idle thread is kept."""
    return lambda seconds: monkeypatch.setattr(run_queue, "IDLE_TIMEOUT_SECONDS", seconds)


def a_queue_with_idle_threads(number):
    supply = Threads()
    line = RunQueue(supply)
    gates = [Gate() for _ in range(number)]
    for gate in gates:
        line.run(gate)
    for gate in gates:
        gate.wait_entered()
        gate.open()
    eventually(lambda: line._wanted == 0)
    return line, supply.started


def test_only_the_one_that_is_idle_for_longest_wakes_by_itself():
    line, started = a_queue_with_idle_threads(20)

    eventually(lambda: len(line._idle) == 20)

    assert len(started) == 20
    assert [slot.keeps_time for slot in line._idle] == [True] + [False] * 19


def test_all_of_them_end_when_their_time_is_over(keep_idle):
    keep_idle(0.02)
    line, started = a_queue_with_idle_threads(20)

    for thread in started:
        thread.join(LONGEST)

    assert not any(thread.is_alive() for thread in started)
    assert line._threads == 0
    assert not line._idle


def test_none_ends_before_its_time(keep_idle):
    keep_idle(0.2)
    line, started = a_queue_with_idle_threads(3)
    idle_since = eventually(lambda: len(line._idle) == 3 and [slot.since for slot in line._idle])

    for thread in started:
        thread.join(LONGEST)

    assert time.monotonic() - max(idle_since) >= 0.2


def test_a_thread_that_was_roused_just_as_its_time_was_over_waits_the_next_time():
    slot = run_queue._Slot()
    slot.keeps_time = True  # since 0.0: its time is over

    slot.rouse()
    slot.settle()
    slot.wait()
    assert slot.wake.locked()
    slot.rouse()

    assert not slot.wake.locked()


def test_one_that_ends_lets_the_next_keep_its_own_time(keep_idle):
    keep_idle(0.3)
    supply = Threads()
    line = RunQueue(supply)
    first, second = Gate(), Gate()
    for gate in (first, second):
        line.run(gate)
        gate.wait_entered()
    first.open()
    eventually(lambda: line._idle and line._idle[0].time_left() < 0.2)
    second.open()
    shorter = eventually(lambda: len(line._idle) == 2 and line._idle[1])

    for thread in supply.started:
        thread.join(LONGEST)

    assert time.monotonic() - shorter.since >= 0.3
    assert line._threads == 0


def test_work_that_comes_while_they_end_is_done(keep_idle):
    keep_idle(0.0005)
    line = RunQueue()
    done = threading.Semaphore(0)

    def hand_over():
        for _ in range(300):
            line.run(done.release)
            assert done.acquire(timeout=LONGEST)

    for each in [InThread(hand_over) for _ in range(4)]:
        each.result()

    eventually(lambda: line._threads == 0)


class Idle(GenServer):
    """Waits for a message that does not come."""


def test_children_that_are_started_with_one_message_have_one_thread_each():
    before = run_queue._run_queue._wanted, run_queue._run_queue._threads
    sup = DynamicSupervisor.start()

    DynamicSupervisor.start_children(sup, [Idle] * 50)

    assert run_queue._run_queue._wanted == before[0] + 51
    assert run_queue._run_queue._threads <= max(before[1], before[0] + 51)
    stop(sup)
