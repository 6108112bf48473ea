"""The ends of worker actors: each is taken once, and the queue is told as seldom as will do."""

import threading

import pytest

from antq_actors.otp import GenServer, Normal, Shutdown
from antq_actors.queues.exit_queue import Ends, WorkersEnded


class Queue(GenServer):
    """Waits while the test says so, and counts what it is told."""

    def init(self):
        self.told = 0

    def handle_info(self, message):
        assert isinstance(message, WorkersEnded)
        self.told += 1

    def handle_call(self, request):
        return request() if callable(request) else self.told


@pytest.fixture
def queue(start):
    return start(Queue)


@pytest.fixture
def worker(start):
    return start(GenServer)


def test_an_end_is_told_and_taken_once(queue, worker):
    ends = Ends(queue.process)

    ends.tell(worker, Normal())

    assert queue.ask("told") == 1
    assert list(ends.take()) == [(worker, Normal())]
    assert list(ends.take()) == []


def test_many_ends_are_told_with_one_message(queue, worker):
    ends = Ends(queue.process)

    for number in range(10):
        ends.tell(worker, Shutdown(number))

    assert queue.ask("told") == 1
    assert [reason.detail for _, reason in ends.take()] == list(range(10))
    ends.tell(worker, Normal())
    assert queue.ask("told") == 2


def test_a_quiet_queue_is_not_told(queue, worker):
    ends = Ends(queue.process)
    ends.quiet = True

    ends.tell(worker, Normal())

    assert queue.ask("told") == 0
    assert list(ends.take()) == [(worker, Normal())]


def test_none_of_many_that_end_at_once_is_lost_untold(queue, worker):
    ends = Ends(queue.process)
    taken = []

    def end():
        for number in range(500):
            ends.tell(worker, Shutdown(number))

    threads = [threading.Thread(target=end) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        taken += ends.take()
    for thread in threads:
        thread.join()
    before = queue.ask("told")
    taken += ends.take()
    ends.tell(worker, Normal())

    assert len(taken) == 2000
    assert queue.ask("told") == before + 1
