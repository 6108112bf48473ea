"""The exits of worker actors: each is taken once, and the queue is told as seldom as will do."""

import threading

import pytest

from antq_actors.otp import GenServer, Normal, Shutdown
from antq_actors.queues.running_attempts import ExitQueue, WorkersExited


class Queue(GenServer):
    """Waits while the test says so, and counts what it is told."""

    def init(self):
        self.told = 0

    def handle_info(self, message):
        assert isinstance(message, WorkersExited)
        self.told += 1

    def handle_call(self, request):
        return request() if callable(request) else self.told


@pytest.fixture
def queue(start):
    return start(Queue)


@pytest.fixture
def worker(start):
    return start(GenServer)


def drained(exits):
    taken = []
    exits.drain(lambda ref, reason: taken.append((ref, reason)))
    return taken


def test_an_exit_is_announced_and_taken_once(queue, worker):
    exits = ExitQueue(queue.cell)

    exits.push(worker, Normal())

    assert queue.ask("told") == 1
    assert drained(exits) == [(worker, Normal())]
    assert drained(exits) == []


def test_many_exits_are_announced_by_one_message(queue, worker):
    exits = ExitQueue(queue.cell)

    for number in range(10):
        exits.push(worker, Shutdown(number))

    assert queue.ask("told") == 1
    assert [reason.detail for _, reason in drained(exits)] == list(range(10))
    exits.push(worker, Normal())
    assert queue.ask("told") == 2


def test_a_paused_exit_queue_sends_no_message(queue, worker):
    exits = ExitQueue(queue.cell)
    exits.paused = True

    exits.push(worker, Normal())

    assert queue.ask("told") == 0
    assert drained(exits) == [(worker, Normal())]


def test_no_exit_of_many_at_once_is_lost(queue, worker):
    exits = ExitQueue(queue.cell)
    taken = []

    def end():
        for number in range(500):
            exits.push(worker, Shutdown(number))

    threads = [threading.Thread(target=end) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        taken += drained(exits)
    for thread in threads:
        thread.join()
    before = queue.ask("told")
    taken += drained(exits)
    exits.push(worker, Normal())

    assert len(taken) == 2000
    assert queue.ask("told") == before + 1
