"""How programs end: by signals under run(), by falling off their end, in forks."""

import os
import signal
import textwrap
from pathlib import Path

import pytest
from support.apps import until

from antq_actors import AntQ, Status

PRELUDE = """
import os, signal, sys, threading, time
from antq_actors import AntQ, Worker

def say(*what):  # in one call: a fork would copy half a line in a buffer
    os.write(1, (" ".join(map(str, what)) + "\\n").encode())

class Wait(Worker, name="ends:Wait"):
    def perform(self, job):
        say("begun", job.id)
        end = time.monotonic() + job.args["seconds"]
        while time.monotonic() < end:
            time.sleep(0.005)
        say("done", job.id)
"""


@pytest.fixture
def start(program, tmp_path):
    """Start a program that begins with the prelude; its argument is the path of a store."""
    return lambda text: program("-c", PRELUDE + textwrap.dedent(text), tmp_path / "store")


def the_only_job(path):
    with AntQ(path, start_queues=False) as app:
        (job,) = app.list_workers()
    return job


def is_pending(pid):
    """Whether a signal to the process *pid* has yet to be delivered, where the system tells."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        return False
    masks = (line.split() for line in status.read_text().splitlines())
    return any(mask[0] == "ShdPnd:" and int(mask[1], 16) for mask in masks)


RUNS = """
app = AntQ(sys.argv[1])

def enqueue():
    app.enqueue({worker}, {{"seconds": {seconds}}})

class Later(threading.Thread):
    def run(self):
        while True:
            try:
                enqueue()
                return
            except Exception:
                time.sleep(0.01)

Later(daemon=True).start()
app.run()
say("ran")
"""


@pytest.mark.parametrize(
    "numbers",
    [
        [signal.SIGINT],
        [signal.SIGTERM],
        [signal.SIGHUP],
        [signal.SIGQUIT],
        [signal.SIGTERM, signal.SIGHUP],  # as a closed terminal may send them
    ],
)
def test_a_signal_under_run_waits_for_running_jobs_and_the_program_goes_on(
    start, tmp_path, numbers
):
    one = start(RUNS.format(worker="Wait", seconds=0.5))
    one.line()

    for number in numbers:
        one.send(number)
        # Of two that are pending, the system delivers the one with the smaller number first.
        until(lambda: not is_pending(one.process.pid), "the delivery of the signal")

    assert one.end()[:2] == (0, "done 1\nran\n")
    assert the_only_job(tmp_path / "store").status is Status.COMPLETED


def test_a_sigquit_prints_where_all_threads_are_before_it_stops(start):
    one = start(RUNS.format(worker="Wait", seconds=0.5))
    one.line()

    one.send(signal.SIGQUIT)

    status, out, errors = one.end()
    assert (status, out) == (0, "done 1\nran\n")
    assert "thread MainThread, most recent call last:" in errors
    assert "thread WorkerActor-" in errors or "thread FindingWorker-" in errors
    assert "in perform" in errors


@pytest.mark.parametrize(
    ("before", "said"),
    [
        ("signal.signal(signal.SIGHUP, signal.SIG_IGN)", ""),  # as nohup does
        ("signal.signal(signal.SIGHUP, lambda *_: say('reloads'))", "reloads\n"),
    ],
)
def test_a_sighup_that_is_ignored_or_handled_stops_nothing(start, tmp_path, before, said):
    one = start(f"{before}\n" + RUNS.format(worker="Wait", seconds=0.5))
    one.line()

    one.send(signal.SIGHUP)
    if said:
        assert one.line() + "\n" == said
    one.send(signal.SIGTERM)

    assert one.end()[:2] == (0, "done 1\nran\n")
    assert the_only_job(tmp_path / "store").status is Status.COMPLETED


def test_a_second_signal_stops_waiting_and_the_job_is_given_back(start, tmp_path):
    one = start(RUNS.format(worker="Wait", seconds=60))
    one.line()

    one.send(signal.SIGTERM)
    one.send(signal.SIGINT)

    assert one.end(20)[:2] == (0, "ran\n")
    job = the_only_job(tmp_path / "store")
    assert (job.status, job.attempts, job.interruptions) == (Status.ENQUEUED, 0, 0)


COROUTINES = """
import asyncio

async def blocks_in_a_thread(job):
    await asyncio.to_thread(time.sleep, 600)

async def blocks_in_the_executor(job):
    await asyncio.get_running_loop().run_in_executor(None, time.sleep, 600)

async def leaves_a_thread_behind(job):
    asyncio.get_running_loop().run_in_executor(None, time.sleep, 600)
    await asyncio.sleep(600)

async def fills_the_executor(job):
    await asyncio.gather(*(asyncio.to_thread(time.sleep, 600) for _ in range(100)))

async def swallows_everything(job):
    while True:
        try:
            await asyncio.sleep(0.01)
        except BaseException:
            pass

async def has_a_task_that_swallows_everything(job):
    task = asyncio.create_task(swallows_everything(job))
    await asyncio.sleep(600)

async def has_a_generator_that_swallows_everything(job):
    async def endless():
        while True:
            try:
                yield 1
                await asyncio.sleep(0.01)
            except BaseException:
                pass
    generator = endless()
    async for _ in generator:
        await asyncio.sleep(600)

class Runs(Worker, name="ends:Runs"):
    async def perform(self, job):
        say("begun", job.id)
        await {worker}(job)

class RunsInThread(Worker, name="ends:RunsInThread", executor="thread"):
    async def perform(self, job):
        say("begun", job.id)
        await {worker}(job)

class RunsInProcess(Worker, name="ends:RunsInProcess", executor="process"):
    async def perform(self, job):
        say("begun", job.id)
        await {worker}(job)
"""

STUBBORN = [
    "blocks_in_a_thread",
    "blocks_in_the_executor",
    "leaves_a_thread_behind",
    "fills_the_executor",
    "swallows_everything",
    "has_a_task_that_swallows_everything",
    "has_a_generator_that_swallows_everything",
]


@pytest.mark.parametrize(
    ("kind", "worker"),
    [
        *(("Runs", worker) for worker in STUBBORN),
        ("RunsInThread", "blocks_in_a_thread"),
        ("RunsInThread", "leaves_a_thread_behind"),
        ("RunsInProcess", "blocks_in_a_thread"),
        ("RunsInProcess", "swallows_everything"),
    ],
)
def test_a_program_ends_whatever_its_coroutines_hold_on_to(start, tmp_path, kind, worker):
    one = start(COROUTINES.format(worker=worker) + RUNS.format(worker=kind, seconds=0))
    one.line()

    one.send(signal.SIGTERM)
    one.send(signal.SIGINT)

    assert one.end(45)[:2] == (0, "ran\n")
    job = the_only_job(tmp_path / "store")
    assert (job.status, job.attempts, job.interruptions) == (Status.ENQUEUED, 0, 0)


def test_run_raises_when_the_tree_gives_up(start):
    one = start("""
        from antq_actors.otp import exit, Killed
        app = AntQ()
        def kill():
            while True:
                try:
                    exit(app.root, Killed())
                    return
                except Exception:
                    time.sleep(0.01)
        threading.Thread(target=kill, daemon=True).start()
        try:
            app.run()
        except RuntimeError as error:
            say(error)
        """)

    status, out, _ = one.end()

    assert status == 0
    assert "the supervision tree gave up" in out


# ---- the end of a program that does not stop its tree ---------------------------------------


def test_a_program_that_falls_off_its_end_gives_its_jobs_back(start, tmp_path):
    one = start("""
        app = AntQ(sys.argv[1]).start()
        began = threading.Event()
        class Hang(Worker, name="ends:Hang"):
            def perform(self, job):
                began.set()
                while True:
                    time.sleep(0.01)
        Hang.perform_async()
        began.wait(30)
        """)

    assert one.end(20) == (0, "", "")
    job = the_only_job(tmp_path / "store")
    assert (job.status, job.attempts, job.interruptions) == (Status.ENQUEUED, 0, 0)


def test_a_program_that_falls_off_its_end_ends_although_a_job_is_deaf(start, tmp_path):
    one = start("""
        from antq_actors.queues import queue_actor
        queue_actor.INTERRUPTION_TIMEOUT_SECONDS = 0.5
        app = AntQ(sys.argv[1]).start()
        began = threading.Event()
        class Hang(Worker, name="ends:Hang"):
            def perform(self, job):
                began.set()
                time.sleep(60)
        Hang.perform_async()
        began.wait(30)
        """)

    assert one.end(30)[:2] == (0, "")
    assert the_only_job(tmp_path / "store").status is Status.ENQUEUED


@pytest.mark.parametrize("end", ["", "sys.exit(3)", "raise SystemExit(3)", "1 / 0"])
def test_a_program_ends_as_it_wants_to_and_its_volatile_store_is_gone(start, end):
    one = start(f"app = AntQ().start(); say(app.path)\n{end}")
    path = one.line()

    status, _, errors = one.end()

    assert status == {"": 0, "1 / 0": 1}.get(end, 3)
    assert ("ZeroDivisionError" in errors) == (end == "1 / 0")
    assert not os.path.exists(path)  # noqa: PTH110 - a line that was read


def test_a_program_that_forgot_its_application_ends_cleanly_too(start):
    one = start("AntQ().start(); AntQ().start(); say('end')")

    assert one.end() == (0, "end\n", "")


# ---- forks ----------------------------------------------------------------------------------


def test_in_a_forked_child_an_application_refuses_and_harms_nobody(start):
    one = start("""
        import warnings
        warnings.simplefilter("ignore")
        from antq_actors import ForkError
        app = AntQ(sys.argv[1]).start()
        app.enqueue(Wait, {"seconds": 0})
        queue = app.queue("default")
        child = os.fork()
        if child == 0:
            said = []
            for act in (
                lambda: app.enqueue(Wait, {"seconds": 0}),
                lambda: Wait.perform_async({"seconds": 0}),
                lambda: app.list_workers(),
                lambda: app.count_workers(),
                lambda: app.queue("default").status(),
                lambda: queue.status(),
                lambda: app.start(),
            ):
                try:
                    act()
                    said.append("works")
                except ForkError:
                    said.append("ForkError")
            app.stop()
            say(*said)
            sys.exit(0)
        assert os.waitpid(child, 0)[1] == 0
        app.enqueue(Wait, {"seconds": 0})
        while app.count_workers(status="completed") < 2:
            time.sleep(0.01)
        app.stop()
        say("parent is well")
        """)

    status, out, errors = one.end(30)

    assert (status, errors) == (0, "")
    lines = out.splitlines()
    assert lines[-1] == "parent is well"
    assert " ".join(["ForkError"] * 7) in lines


def test_a_forked_child_may_start_an_application_of_its_own_on_the_same_path(start):
    one = start("""
        import warnings
        warnings.simplefilter("ignore")
        app = AntQ(sys.argv[1], start_queues=False).start()
        child = os.fork()
        if child == 0:
            with AntQ(sys.argv[1]) as own:
                job = own.enqueue(Wait, {"seconds": 0})
                while own.get_worker(job.id).status != "completed":
                    time.sleep(0.01)
            sys.exit(0)
        say("child", os.waitpid(child, 0)[1], app.count_workers(status="completed"))
        app.stop()
        """)

    status, out, errors = one.end(30)

    assert (status, errors) == (0, "")
    assert "child 0 1" in out


def test_a_forked_child_does_not_keep_the_node_of_its_dead_parent_alive(start, tmp_path):
    one = start("""
        import warnings
        warnings.simplefilter("ignore")
        app = AntQ(sys.argv[1]).start()
        app.enqueue(Wait, {"seconds": 60})
        while app.count_workers(status="running") == 0:
            time.sleep(0.01)
        child = os.fork()
        if child == 0:
            time.sleep(60)
            os._exit(0)
        say("child", child)
        time.sleep(60)
        """)
    line = one.line()
    while not line.startswith("child"):
        line = one.line()
    try:
        one.process.kill()
        one.process.wait()

        with AntQ(tmp_path / "store", max_interruptions=1) as app:
            until(lambda: app.count_workers(status="failed") == 1, "the rescue")
    finally:
        os.kill(int(line.split()[1]), signal.SIGKILL)


def test_ctrl_c_out_of_a_with_block_says_what_the_stop_waits_for(start, tmp_path):
    one = start("""
        with AntQ(sys.argv[1]) as app:
            app.enqueue(Wait, {"seconds": 60})
            app.wait_idle()
        """)
    assert one.line() == "begun 1"

    one.send(signal.SIGINT)
    said = one.process.stderr.readline()
    one.send(signal.SIGINT)

    assert said == "stopping: 1 job runs (#1); Ctrl-C again to interrupt it\n"
    assert one.end()[0] == -signal.SIGINT
    assert the_only_job(tmp_path / "store").status is Status.ENQUEUED
