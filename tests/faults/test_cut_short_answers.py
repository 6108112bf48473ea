"""An answer that is cut short at any instruction is given or not, and whoever waits hears of it."""

import signal
import threading

import pytest
from cut_short import Cutter, attempt, cut_one
from support.apps import LONGEST, until

from antq_actors.otp import NOREPLY, GenServer, call, reply, stop
from antq_actors.otp.kernel.messages import Promise
from antq_actors.otp.messaging.calls import call_by_message


class Waiters:
    """Two threads that wait for one promise, asleep."""

    def __init__(self, promise):
        self.values = []
        self._promise = promise
        self._threads = [threading.Thread(target=self._wait, daemon=True) for _ in range(2)]
        for thread in self._threads:
            thread.start()
        until(lambda: len(promise._sleepers) == 2, "the sleep of both")

    def _wait(self):
        if self._promise.wait(LONGEST):
            self.values.append(self._promise.value)

    def end(self):
        """Return what both have got, when they have."""
        for thread in self._threads:
            thread.join(2 * LONGEST)
        return self.values


def cut_short_everywhere(function):
    """Call *function* with a cutter for each of its instructions; return how many there are."""
    cutter = Cutter("instructions", "KeyboardInterrupt", ["otp/kernel/m", "otp/messaging/calls"])
    is_through = False
    while not is_through:
        cutter.next()
        function(cutter)
        is_through = cutter.where is None
    return cutter.places


def test_an_answer_that_is_cut_short_wakes_all_or_leaves_the_promise_to_the_next():
    def answer_twice(cutter):
        promise = Promise()
        waiters = Waiters(promise)
        attempt(lambda: cut_one(cutter, lambda: promise.answer("first")))
        if (is_given := promise.is_settled) is False:
            promise.answer("second")
        assert waiters.end() == ["first" if is_given else "second"] * 2, cutter.where

    assert cut_short_everywhere(answer_twice) >= 30


class WithoutEnd(Promise):
    """A promise whose first *cuts* deliveries are cut short, those of the clean-up as well."""

    cuts = 2

    def deliver(self):
        if self.cuts:
            self.cuts -= 1
            raise KeyboardInterrupt
        Promise.deliver(self)


def test_whoever_answers_again_in_vain_wakes_those_who_wait():
    promise = WithoutEnd()
    waiters = Waiters(promise)

    with pytest.raises(KeyboardInterrupt):
        promise.answer("first")
    is_first = promise.answer("second")

    assert not is_first
    assert waiters.end() == ["first", "first"]


def test_a_waiter_that_is_cut_short_keeps_no_other_from_the_answer():
    def wait_and_answer(cutter):
        promise = Promise()
        waiters = Waiters(promise)
        attempt(lambda: cut_one(cutter, lambda: promise.wait(0)))
        promise.answer("first")
        assert waiters.end() == ["first", "first"], cutter.where

    assert cut_short_everywhere(wait_and_answer) >= 30


class Echo(GenServer):
    """Leaves each call open, and shows it."""

    def init(self):
        self.open = None

    def handle_call(self, request):
        if request == "open":
            return self.open
        self.open = self.from_
        return NOREPLY


class Asker(GenServer):
    """Asks a server by message, and keeps what comes."""

    def handle_call(self, request):
        if isinstance(request, list):
            return list(self.responses)
        self.responses = []
        call_by_message(request, "question", tag=1)
        return None

    def handle_info(self, message):
        self.responses.append(message.value)


@pytest.fixture
def echo():
    echo = Echo.start()
    yield echo
    stop(echo)


@pytest.fixture
def asker():
    asker = Asker.start()
    yield asker
    stop(asker)


def test_a_signal_that_does_not_wake_the_main_thread_is_handled_while_that_waits():
    promise = Promise()
    before = signal.signal(signal.SIGUSR1, lambda *_: promise.answer("handled"))

    def send():
        until(lambda: promise._sleepers, "the main thread waits")
        # To this thread: as a signal that comes just before the main thread sleeps.
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
        try:
            until(lambda: promise.is_settled, "the signal is handled")
        finally:
            promise.answer("never handled")

    sender = threading.Thread(target=send)
    sender.start()
    try:
        assert promise.wait(None)
    finally:
        sender.join()
        signal.signal(signal.SIGUSR1, before)
    assert promise.value == "handled"


def test_a_reply_that_is_cut_short_and_repeated_arrives_as_one_message(echo, asker):
    def reply_twice(cutter):
        call(asker, echo)
        question = call(echo, "open")
        attempt(lambda: cut_one(cutter, lambda: reply(question, "first")))
        reply(question, "second")
        (value,) = call(asker, [])
        assert value in ("first", "second"), cutter.where

    assert cut_short_everywhere(reply_twice) >= 100
