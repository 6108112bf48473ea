"""The run queue: threads are used again, and nothing that begins waits for another to end."""

import threading
from contextvars import ContextVar

import pytest
from probe import LONGEST, Gate, InThread, answering
from supervised import eventually, kill

from antq_actors.otp import NOREPLY, Killed, StartError, call, monitor, stop, whereis
from antq_actors.otp.actors.gen_server import GenServer
from antq_actors.otp.messaging.calls import reply_error
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
        line.begin_soon(lambda: (ran.append(threading.current_thread()), done.set()))
        ran.append("first")

    line.run(first)
    gate.open()

    assert done.wait(LONGEST)
    assert ran == ["first", threads.started[0]]
    eventually(lambda: line._wanted == 0)
    assert len(threads.started) == 1
