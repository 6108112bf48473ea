"""Functions that are handed over at any instruction of the run queue are run, as all others.

The collector runs finalizers in whichever thread happens to allocate, also in a service thread that
is about to sleep, to end or to run a function. A tracer takes the finalizer's part here.
"""

import sys
import threading
from contextlib import suppress

import pytest
from cut_short import ends_a_with_block
from support.apps import LONGEST, until

from antq_actors.otp.threads import run_queue
from antq_actors.otp.threads.run_queue import IDLE_NAME, RunQueue

PATIENCE_SECONDS = 5.0
"""What does not run within this is stuck: nothing else is under way."""


INJECTED = []
"""Those of the test that runs."""


class Injected:
    """A run queue, and what is called at one instruction of the thread number *which* of it."""

    def __init__(self, which, place, function):
        self.where = None
        self.is_armed = False
        self.queue = RunQueue(self._start)
        self.threads = []
        self._which = which
        self._left = place
        self._function = function
        INJECTED.append(self)

    def _start(self, work):
        work = self._traced(work) if len(self.threads) + 1 == self._which else work
        thread = threading.Thread(
            target=self._until_exit, args=(work,), name=IDLE_NAME, daemon=True
        )
        self.threads.append(thread)
        thread.start()

    def ends_its_threads(self):
        """Have threads that sleep end; return whether all have ended."""
        alive = [thread for thread in self.threads if thread.is_alive()]
        for _ in alive:
            self.queue.run_if_idle(sys.exit)
        return not alive

    def _until_exit(self, work):
        with suppress(SystemExit):
            work()

    def _traced(self, work):
        def run():
            sys.settrace(self.trace)
            work()

        return run

    def trace(self, frame, event, _argument):
        if frame.f_code.co_filename != run_queue.__file__:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode" and self.is_armed:
            self._left -= 1
            if not self._left:
                self.where = f"line {frame.f_lineno} of {frame.f_code.co_name}"
                self._function(self.queue, frame)
        return self.trace


@pytest.fixture(autouse=True)
def no_threads_left():
    """End the threads of all run queues of a test: some of them would sleep for an hour."""
    yield
    for injected in INJECTED:
        injected.is_armed = False
        until(injected.ends_its_threads, "the end of all threads")
    INJECTED.clear()


class HandOver:
    """Hands over functions that need a thread each: all but the last one block."""

    def __init__(self, functions):
        self._over = threading.Event()
        self._ran = threading.Event()
        self._functions = functions

    def __call__(self, queue, _frame=None):
        for _ in range(self._functions - 1):
            queue.run(self._block)
        queue.run(self._ran.set)

    def _block(self):
        self._over.wait(LONGEST)

    def has_run(self):
        """Return whether the last function was run while the others blocked; end that."""
        has_run = self._ran.wait(PATIENCE_SECONDS)
        self.end()
        return has_run

    def end(self):
        """End those that block."""
        self._over.set()


def run_at_once(injected, functions):
    """Hand over functions that all run at the same time; places count from then on."""
    together = threading.Barrier(functions + 1)
    for _ in range(functions):
        injected.queue.run(lambda: [together.wait(LONGEST) for _ in ("begun", "over")])
    together.wait(LONGEST)
    injected.is_armed = True
    together.wait(LONGEST)


def are_at_rest(queue):
    """Return whether all threads sleep, or have ended if none is kept."""
    idle = len(queue._idle) if run_queue.IDLE_TIMEOUT_SECONDS > 1 else 0
    return idle == queue._threads


def use(injected):
    """Use one thread, then two, until the place was come to."""
    queue = injected.queue
    for functions in (1, 2, 1):
        run_at_once(injected, functions)
        until(lambda: injected.where or are_at_rest(queue), "the rest of all")
        if injected.where:
            break


def use_one(injected):
    """Use one thread, until it rests or the place was come to."""
    run_at_once(injected, 1)
    until(lambda: injected.where or are_at_rest(injected.queue), "the rest of the thread")


def find_stuck(make, functions):
    """Return where what a finalizer hands over is not run, and how many places there are."""
    place, is_over, stuck = 0, False, []
    while not is_over and len(stuck) < 3:
        place += 1
        finalizer, after = HandOver(functions), HandOver(2)
        injected = make(place, finalizer)
        is_over = injected.where is None
        if not is_over and not finalizer.has_run():
            stuck.append(injected.where)
        after(injected.queue)
        if not after.has_run():
            stuck.append(f"after {injected.where}")
        finalizer.end()  # what comes after may have come to the place
    return stuck, place


@pytest.mark.parametrize("functions", [1, 2])
@pytest.mark.parametrize("which", [1, 2])
@pytest.mark.parametrize("idle_seconds", [3600.0, 0.001])
def test_a_finalizer_hands_over_anywhere_in_a_service_thread(
    monkeypatch, which, idle_seconds, functions
):
    monkeypatch.setattr(run_queue, "IDLE_TIMEOUT_SECONDS", idle_seconds)

    def make(place, finalizer):
        injected = Injected(which, place, finalizer)
        use(injected)
        return injected

    stuck, places = find_stuck(make, functions)

    assert stuck == []
    assert places >= 100


@pytest.mark.parametrize("functions", [1, 2])
@pytest.mark.parametrize("idle_seconds", [3600.0, 0.001])
def test_a_finalizer_hands_over_anywhere_in_a_thread_that_hands_over(
    monkeypatch, idle_seconds, functions
):
    monkeypatch.setattr(run_queue, "IDLE_TIMEOUT_SECONDS", idle_seconds)

    def make(place, finalizer):
        injected = Injected(0, place, finalizer)
        use(injected)
        sys.settrace(injected.trace)
        try:
            injected.queue.run(lambda: None)
        finally:
            sys.settrace(None)
        return injected

    stuck, places = find_stuck(make, functions)

    assert stuck == []
    assert places >= 50


@pytest.mark.parametrize("functions", [1, 2, 3])
def test_a_hand_over_that_is_cut_short_keeps_no_other_function_waiting(functions):
    def interrupt(_queue, frame):
        if not ends_a_with_block(frame):  # nothing there can be interrupted
            raise KeyboardInterrupt

    place, is_over = 0, False
    while not is_over:
        place += 1
        after = HandOver(3)
        injected = Injected(0, place, interrupt)
        run_at_once(injected, functions)
        sys.settrace(injected.trace)
        with suppress(KeyboardInterrupt):
            injected.queue.reserve(2)
            injected.queue.run_reserved([int, int])
        sys.settrace(None)
        is_over = injected.where is None

        after(injected.queue)

        assert after.has_run(), injected.where

    assert place >= 100


def test_a_thread_that_rests_again_before_its_waker_goes_on_is_woken_the_next_time(monkeypatch):
    rouse, roused = run_queue._rouse, threading.Event()
    monkeypatch.setattr(run_queue, "_rouse", lambda wake: (rouse(wake), roused.set()))
    place, is_over = 0, False

    while not is_over:
        place += 1
        ran = threading.Event()

        def wait_for_its_rest(queue, _frame, ran=ran):
            if roused.is_set():
                until(lambda: ran.is_set() and are_at_rest(queue), "the rest of the thread")

        injected = Injected(0, place, wait_for_its_rest)
        use_one(injected)
        roused.clear()
        sys.settrace(injected.trace)
        injected.queue.run_if_idle(ran.set)
        sys.settrace(None)
        is_over = injected.where is None
        after = HandOver(1)
        after(injected.queue)

        assert after.has_run(), injected.where

    assert place >= 20


def test_a_function_for_an_idle_thread_counts_from_its_hand_over_on():
    def make(place, finalizer):
        injected = Injected(1, place, finalizer)
        use_one(injected)
        blocks = HandOver(2)
        injected.queue.run_if_idle(blocks._block)
        until(lambda: injected.where or not injected.queue._line, "its begin")
        made.append(blocks)
        return injected

    made = []
    stuck, places = find_stuck(make, functions=1)
    for blocks in made:
        blocks.end()

    assert stuck == []
    assert places >= 100
