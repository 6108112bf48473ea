"""The run queue: threads are used again, and nothing that begins waits for another to end.

Idle threads end by themselves, one after the other, and work that comes meanwhile is done."""

import collections
import itertools
import sys
import threading
import time
from contextvars import ContextVar

import pytest
from probe import LONGEST, Gate, InThread, answering
from supervised import eventually, kill

from antq_actors.otp import (
    NOREPLY,
    DynamicSupervisor,
    GenServer,
    Killed,
    StartError,
    call,
    monitor,
    stop,
    whereis,
)
from antq_actors.otp.messaging.calls import reply_error
from antq_actors.otp.threads import run_queue
from antq_actors.otp.threads.run_queue import IDLE_NAME, RunQueue


class Threads:
    """A supply of threads for a RunQueue, with an end."""

    def __init__(self, left=1000):
        self.left = left
        self.started = []

    def __call__(self, work):
        if not self.left:
            raise RuntimeError("can't start new thread")
        self.left -= 1
        thread = threading.Thread(target=work, name=IDLE_NAME, daemon=True)
        self.started.append(thread)
        thread.start()


def test_functions_that_block_never_keep_a_new_one_waiting(gate):
    line = RunQueue()

    for count in range(1, 30):
        line.run(gate)
        gate.wait_entered()
        done = threading.Event()
        line.run(done.set)
        assert done.wait(LONGEST), f"{count} blocked functions starve the next"


def test_a_thread_that_is_done_takes_the_next_function():
    threads = Threads()
    line = RunQueue(threads)

    for _ in range(100):
        done = threading.Event()
        line.run(done.set)
        assert done.wait(LONGEST)
        eventually(lambda: line._wanted == 0)

    assert len(threads.started) == 1


def test_what_a_function_sets_in_its_context_is_not_seen_by_the_next():
    tenant = ContextVar("tenant", default="nobody")
    threads = Threads()
    line = RunQueue(threads)
    seen = []

    for _ in range(3):
        done = threading.Event()
        line.run(lambda done=done: (seen.append(tenant.get()), tenant.set("alice"), done.set()))
        assert done.wait(LONGEST)
        eventually(lambda: line._wanted == 0)

    assert len(threads.started) == 1
    assert seen == ["nobody"] * 3


def test_everything_that_many_threads_hand_over_runs_once():
    line = RunQueue()
    done = threading.Semaphore(0)
    ran = []

    def hand_over(who):
        for number in range(200):
            line.run(lambda number=number: (ran.append((who, number)), done.release()))

    handing = [InThread(hand_over, who) for who in range(4)]
    for each in handing:
        each.result()
    for _ in range(800):
        assert done.acquire(timeout=LONGEST)

    assert len(set(ran)) == len(ran) == 800


def test_without_a_thread_left_run_raises_and_the_function_never_runs(gate):
    threads = Threads(left=1)
    line = RunQueue(threads)
    ran = []
    line.run(gate)
    gate.wait_entered()

    for _ in range(3):
        with pytest.raises(RuntimeError):
            line.run(lambda: ran.append("refused"))
    gate.open()
    eventually(lambda: line._wanted == 0)
    done = threading.Event()
    line.run(done.set)

    assert done.wait(LONGEST)
    assert ran == []
    assert len(threads.started) == 1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_function_that_raises_costs_its_thread_and_no_other_function():
    threads = Threads()
    line = RunQueue(threads)

    for _ in range(5):
        line.run(lambda: 1 / 0)
    for thread in threads.started:
        thread.join(LONGEST)

    gates = [Gate() for _ in range(3)]
    for gate in gates:
        line.run(gate)
    for gate in gates:
        gate.wait_entered()
        gate.open()


class Handler:
    """Calls *fn* before instruction *number* of what wakes an idle thread, as a signal may."""

    def __init__(self, number, fn):
        self.left = number
        self.fn = fn

    def __enter__(self):
        self.tracer = sys.gettrace()
        sys.settrace(self.trace)

    def __exit__(self, *_):
        sys.settrace(self.tracer)

    def trace(self, frame, event, _argument):
        if frame.f_code not in (RunQueue._wake_one.__code__, run_queue._rouse.__code__):
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            self.left -= 1
            if self.left == 0:
                sys.settrace(None)
                self.fn()
        return self.trace


@pytest.mark.parametrize("idle", [1, 2])
def test_a_handler_of_a_signal_may_run_a_function_while_another_one_is_handed_over(idle):
    line, started = a_queue_with_idle_threads(idle)
    handed, handled = collections.deque(), collections.deque()

    for number in itertools.count(1):
        eventually(lambda: len(line._idle) == len(started) and not line._waking)
        handler = Handler(number, lambda: line.run(lambda: handled.append(1)))
        with handler:
            line.run(lambda: handed.append(1))
        if handler.left:
            break

    eventually(lambda: len(handed) == number)
    assert len(handled) == number - 1
    assert number > 20
    eventually(lambda: line._wanted == 0)


def test_a_thread_has_the_name_of_its_actor_and_only_while_it_is_that(start):
    ref = start(name="clerk")

    thread = call(ref, lambda _me: threading.current_thread())
    assert thread.name == "clerk"
    assert thread.daemon

    stop(ref)
    eventually(lambda: thread.name.startswith("otp-service") or not thread.is_alive())


class Exhausted(GenServer):
    """An actor in a system that has no thread left."""

    def _start_actor_loop(self):
        RunQueue(Threads(left=0)).run(self._actor_loop)


def test_an_actor_without_a_thread_is_a_start_error_and_leaves_nothing(start, notes):
    parent = start(notes)

    with pytest.raises(StartError, match="can't start new thread") as failed:
        Exhausted.start(name="nothread")
    with pytest.raises(StartError):
        call(parent, lambda _me: fails_to_start(parent))

    assert isinstance(failed.value.__cause__, RuntimeError)
    assert whereis("nothread") is None
    assert call(parent, answering("unharmed")) == "unharmed"
    assert notes.is_empty()


def fails_to_start(parent):
    me = parent._actor_weakref()
    try:
        Exhausted.start_link(name="nothread")
    except StartError as error:
        reply_error(me.from_, error)
    return NOREPLY


def test_an_actor_that_waits_for_a_thread_can_be_killed_before_it_began(start, notes):
    loops = []

    class Waiting(GenServer):
        def _start_actor_loop(self):
            loops.append(self._actor_loop)

        def init(self):
            notes.add("began")

    starting = InThread(Waiting.start, name="waiting")
    ref = eventually(lambda: whereis("waiting"))
    down = monitor(ref)
    eventually(lambda: loops)

    kill(ref)
    InThread(loops.pop()).result()

    with pytest.raises(StartError):
        starting.result()
    assert down.wait(LONGEST).reason == Killed()
    assert notes.is_empty()


def test_what_begins_soon_runs_behind_the_line_in_the_thread_that_is_free(gate):
    threads = Threads()
    line = RunQueue(threads)
    ran = []
    done = threading.Event()

    def first():
        gate()
        line.run_next(lambda: (ran.append(threading.current_thread()), done.set()))
        ran.append("first")

    line.run(first)
    gate.open()

    assert done.wait(LONGEST)
    assert ran == ["first", threads.started[0]]
    eventually(lambda: line._wanted == 0)
    assert len(threads.started) == 1


# ---- idle threads -------------------------------------------------------------------------------


@pytest.fixture
def keep_idle(monkeypatch):
    """Set how long an idle thread is kept."""
    return lambda seconds: monkeypatch.setattr(run_queue, "IDLE_TIMEOUT_SECONDS", seconds)


class Resting(RunQueue):
    """Knows for how long each of its threads sleeps, since it last became idle."""

    def __init__(self, start):
        super().__init__(start)
        self.timeouts = {}

    def _rest(self, wake, timeout):
        self.timeouts[wake] = timeout
        return super()._rest(wake, timeout)


def a_queue_with_idle_threads(number):
    supply = Threads()
    line = Resting(supply)
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
    only_one = [-1] * 19 + [run_queue.IDLE_TIMEOUT_SECONDS]
    assert eventually(lambda: sorted(line.timeouts.values()) == only_one)


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
    idle_since = eventually(lambda: len(line._idle) == 3 and list(line._idle.values()))

    for thread in started:
        thread.join(LONGEST)

    assert time.monotonic() - max(idle_since) >= 0.2


def test_a_thread_that_was_roused_just_as_its_time_was_over_waits_the_next_time():
    line, wake = RunQueue(), threading.Lock()
    line._idle[wake] = 0.0  # its time is over, and it is roused

    line._rest(wake, 0)

    assert wake.locked()
    run_queue._rouse(wake)
    assert not wake.locked()


def test_one_that_ends_lets_the_next_keep_its_own_time(keep_idle):
    keep_idle(0.3)
    supply = Threads()
    line = RunQueue(supply)
    first, second = Gate(), Gate()
    for gate in (first, second):
        line.run(gate)
        gate.wait_entered()
    first.open()
    eventually(lambda: [s for s in line._idle.values() if s + 0.1 < time.monotonic()])
    second.open()
    shorter = eventually(lambda: len(line._idle) == 2 and list(line._idle.values())[1])

    for thread in supply.started:
        thread.join(LONGEST)

    assert time.monotonic() - shorter >= 0.3
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
