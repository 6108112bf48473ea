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

    codes = (RunQueue._wake_one.__code__, run_queue._rouse.__code__)

    def __init__(self, number, fn):
        self.left = number
        self.fn = fn

    def __enter__(self):
        self.tracer = sys.gettrace()
        sys.settrace(self.trace)

    def __exit__(self, *_):
        sys.settrace(self.tracer)

    def trace(self, frame, event, _argument):
        if frame.f_code not in self.codes:
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


def a_queue_with_idle_threads(number, kind=Resting):
    supply = Threads()
    line = kind(supply)
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


# ---- one thread for all that is quick ------------------------------------------------------------


def quick_queue(idle, kind=Resting):
    """Return a queue whose functions were quick so far, with idle threads."""
    line, started = a_queue_with_idle_threads(idle, kind)
    eventually(lambda: len(line._idle) == idle and not line._waking)
    line._pace.is_quick = True
    return line, started


@pytest.fixture
def watch_seconds(monkeypatch):
    """Set how often an idle thread looks whether another one gets on."""
    return lambda seconds: monkeypatch.setattr(run_queue, "WATCH_SECONDS", seconds)


def run_all(line, fns):
    line.reserve(len(fns))
    line.run_reserved(fns)


def test_quick_functions_are_all_run_by_one_thread(watch_seconds):
    watch_seconds(600)
    line, _ = quick_queue(3)
    ran = []
    done = threading.Event()

    run_all(line, [lambda: ran.append(threading.current_thread())] * 50 + [done.set])

    assert done.wait(LONGEST)
    assert len(ran) == 50
    assert len(set(ran)) == 1


def test_a_function_that_blocks_keeps_no_other_waiting_and_ends_it(gate):
    line, _ = quick_queue(3)
    done = threading.Event()

    run_all(line, [gate, gate, done.set])

    assert done.wait(LONGEST)
    assert not line._pace.is_quick
    gate.open()


@pytest.mark.parametrize("idle", [2, 3])
def test_the_thread_that_watches_takes_work_that_is_handed_over(gate, watch_seconds, idle):
    watch_seconds(600)
    line, _ = quick_queue(idle)
    done, more = threading.Event(), threading.Event()
    run_all(line, [gate, done.set])
    gate.wait_entered()
    eventually(lambda: line._watcher is not None)

    line.run(more.set)

    assert done.wait(LONGEST)
    assert more.wait(LONGEST)
    gate.open()
    eventually(lambda: line._wanted == 0)


class OutOfMemory(RunQueue):
    """Has a thread that watches meet an error, as any may."""

    def _watch_on(self, wake):
        raise MemoryError


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_crashes_while_it_watches_keeps_no_function_waiting(gate):
    line, started = quick_queue(4, OutOfMemory)
    done = threading.Event()

    run_all(line, [gate, gate, done.set])

    assert done.wait(LONGEST)
    gate.open()
    eventually(lambda: line._wanted == 0 and line._watcher is None)
    eventually(lambda: line._threads == sum(each.is_alive() for each in started))


def test_nobody_watches_for_long_when_nothing_waits():
    line, started = quick_queue(3)
    done = threading.Semaphore(0)

    for _ in range(20):
        run_all(line, [done.release] * 5)
        for _ in range(5):
            assert done.acquire(timeout=LONGEST)

    eventually(lambda: line._watcher is None and len(line._idle) == len(started))


class WhileWatching(Handler):
    """Calls *fn* before instruction *number* of what has a thread watch, as a finalizer may."""

    codes = (RunQueue._watch.__code__, run_queue._rouse.__code__)


@pytest.mark.parametrize("idle", [1, 2])
def test_a_finalizer_may_run_a_function_while_a_thread_is_told_to_watch(idle):
    line, started = quick_queue(idle)
    handled = collections.deque()

    for number in itertools.count(1):
        eventually(lambda: len(line._idle) == len(started) and line._watcher is None)
        handler = WhileWatching(number, lambda: line.run(lambda: handled.append(1)))
        with line._lock, handler:
            line._watch()
        if handler.left:
            break

    eventually(lambda: len(handled) == number - 1)
    assert number > 10
    eventually(lambda: line._wanted == 0 and line._watcher is None)


def test_whatever_functions_do_each_runs_once_and_soon():
    line = RunQueue()
    waits = threading.Event()
    ran = collections.deque()

    def hand_over(who):
        for number in range(100):
            slow = number % 10 == 0
            run_all(
                line, [lambda n=n, s=slow: do(who, n, s) for n in range(5 * number, 5 * number + 5)]
            )

    def do(who, number, slow):
        if slow:
            waits.wait(0.001)
        ran.append((who, number))

    for each in [InThread(hand_over, who) for who in range(4)]:
        each.result()

    eventually(lambda: line._wanted == 0)
    assert len(set(ran)) == len(ran) == 4 * 500
