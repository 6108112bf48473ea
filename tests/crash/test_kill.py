"""kill -9 at any moment: nothing acknowledged is lost, and nothing runs twice at once."""

import signal
import threading
import time
from pathlib import Path
from typing import ClassVar

import crash_workers
import journal
import pytest
from checker import Final, check, executions
from support.apps import ENDED, settled, until
from support.findings import findings
from support.trees import child

from antq_actors import AntQ, Status, StorageError, Worker
from antq_actors.app.config import QueueConfig
from antq_actors.otp import Supervisor, call
from antq_actors.queues.services.periodic import RunOnce


def an_application(path, concurrency=8, **options):
    look_when_told = QueueConfig(concurrency=concurrency, check_interval=3600)
    return AntQ(path, queues={"default": look_when_told}, **options)


@pytest.fixture
def enqueuer(program, tmp_path):
    """Start a program that enqueues jobs and performs them, over the store and journal here."""

    def start(name, *, jobs, seconds, concurrency):
        return program(
            "enqueuer.py", tmp_path / "store", tmp_path, name, jobs, seconds, concurrency
        )

    yield start
    assert crash_workers.CrashWorker  # what they enqueue is performed here as well


def ended_here(directory):
    """Perform here what is left; answer all jobs by id."""
    journal.begin(directory, "last")
    with an_application(directory / "store", max_interruptions=100) as app:
        until(lambda: app.count_workers(status=ENDED) == app.count_workers(), "the end of all jobs")
        return {job.id: job for job in app.list_workers()}


def all_findings(directory, acknowledged, deaths, jobs):
    finals = [Final.of(job) for job in jobs.values()]
    wrong = check(journal.rows(directory), acknowledged, deaths, finals)
    return wrong + findings(directory / "store")


@pytest.mark.parametrize("after", [1, 40, 150, 399])
def test_every_acknowledged_job_ends_although_its_process_was_killed(enqueuer, tmp_path, after):
    first = enqueuer("first", jobs=400, seconds=0.002, concurrency=8)
    assert first.line() == "started"
    acknowledged = [int(first.line()) for _ in range(after)]

    deaths = {"first": time.monotonic()}
    acknowledged += [int(line) for line in first.kill() if line.isdigit()]
    cut_short = {
        each.job for each in executions(journal.rows(tmp_path), deaths) if each.how == "death"
    }
    jobs = ended_here(tmp_path)

    assert all_findings(tmp_path, acknowledged, deaths, jobs) == []
    assert len(jobs) in (len(acknowledged), len(acknowledged) + 1)
    interrupted = {job.id for job in jobs.values() if job.interruptions}
    assert cut_short <= interrupted
    assert len(interrupted) <= 8


def test_killed_again_and_again_it_still_ends(enqueuer, tmp_path):
    acknowledged, deaths = [], {}
    for name in "abcd":
        one = enqueuer(name, jobs=40, seconds=0.005, concurrency=4)
        assert one.line() == "started"
        acknowledged += [int(one.line()) for _ in range(25)]
        deaths[name] = time.monotonic()
        acknowledged += [int(line) for line in one.kill() if line.isdigit()]

    jobs = ended_here(tmp_path)

    assert all_findings(tmp_path, acknowledged, deaths, jobs) == []
    assert len(acknowledged) <= len(jobs) <= len(acknowledged) + 4


def test_the_jobs_of_a_killed_process_are_interrupted_and_go_on_in_another_that_lives(
    enqueuer, tmp_path
):
    other = enqueuer("other", jobs=4, seconds=60, concurrency=4)
    other.lines_until("enqueued")
    until(lambda: len(journal.rows(tmp_path)) == 4, "the other's jobs")
    with an_application(tmp_path / "store", max_interruptions=1) as app:
        assert call(child(app.root, "rescuer"), RunOnce()) == 0
        assert app.count_workers(status="running") == 4

        other.kill()

        until(lambda: app.count_workers(status="failed") == 4, "the rescue")
        for job in app.list_workers():
            assert (job.attempts, job.interruptions) == (0, 1)
            assert job.errors[0].error.startswith("interrupted: its node ")
            assert job.errors[0].stack_trace is None


def test_a_process_that_only_looks_rescues_nothing_and_loses_nothing(enqueuer, tmp_path):
    other = enqueuer("other", jobs=2, seconds=60, concurrency=2)
    other.lines_until("enqueued")
    until(lambda: len(journal.rows(tmp_path)) == 2, "the other's jobs")

    with AntQ(tmp_path / "store", start_queues=False) as app:
        other.kill()
        assert app.count_workers(status="running") == 2


def test_a_killed_volatile_process_leaves_its_directory_to_the_next_sweep(program):
    code = "from antq_actors import AntQ; a = AntQ().start(); print(a.path, flush=True); input()"
    other = program("-c", code)
    path = other.line()
    other.send(signal.SIGKILL)
    other.end()

    with AntQ(start_queues=False):
        assert not Path(path).exists()


# ---- what a killed node left comes before what was enqueued later -------------------------------


NOTED_JOBS = """
import sys, threading
from antq_actors import AntQ, Worker

class Noted(Worker, name="rescue-first:Noted"):
    def perform(self, job):
        print(job.id, flush=True)
        threading.Event().wait()

"""

ENQUEUES = """
queues = sys.argv[2:]
with AntQ(sys.argv[1], queues=dict.fromkeys(queues, 1)) as app:
    for queue in queues:
        for _ in range(6):
            app.enqueue(Noted, queue=queue)
    print("enqueued", flush=True)
    threading.Event().wait()
"""

PERFORMS = """
with AntQ(sys.argv[1], queues={"default": 1}) as app:
    threading.Event().wait()
"""


class Noted(Worker, name="rescue-first:Noted"):
    guard = threading.Lock()
    begun: ClassVar = {}

    def perform(self, job):
        with self.guard:
            self.begun.setdefault(job.queue_name, []).append(job.id)


@pytest.fixture
def killed(program, tmp_path):
    """Kill a node that runs one job of each queue; return its path."""
    Noted.begun.clear()

    def kill(*queues):
        node = program("-c", NOTED_JOBS + ENQUEUES, tmp_path / "store", *queues)
        for _ in ("enqueued", *queues):
            node.line()
        node.kill()
        return tmp_path / "store"

    return kill


def performed(path, *queues):
    """Perform all jobs of the path; return them, in the order in which they began."""
    with AntQ(path, queues=dict.fromkeys(queues, 1)) as app:
        for job in app.list_workers():
            settled(app, job)
        return Noted.begun


@pytest.mark.parametrize("attempt", range(4))
def test_an_interrupted_job_comes_before_those_enqueued_later(killed, attempt):
    path = killed("default")

    begun = performed(path, "default")["default"]

    assert begun == sorted(begun)


def test_in_each_queue_the_interrupted_job_comes_first(killed):
    queues = ("first", "second", "third")
    path = killed(*queues)

    begun = performed(path, *queues)

    assert {queue: ids == sorted(ids) for queue, ids in begun.items()} == dict.fromkeys(
        queues, True
    )


def test_of_two_nodes_that_start_together_neither_begins_a_later_job_first(killed, program):
    path = killed("default")

    nodes = [program("-c", NOTED_JOBS + PERFORMS, path) for _ in range(2)]

    assert sorted(int(node.line()) for node in nodes) == [1, 2]


def test_a_node_that_cannot_rescue_becomes_none_and_claims_nothing(killed):
    path = killed("default")
    (lock,) = (path / "nodes").iterdir()
    lock.unlink()
    lock.mkdir()  # so that nobody can return whether it lives

    with pytest.raises(StorageError, match=str(lock)):
        AntQ(path).start()

    with AntQ(path, start_queues=False) as look:
        assert look.count_workers(status="running") == 1
        assert len(look.list_workers(status="enqueued")) == 5
    lock.rmdir()
    assert performed(path, "default")["default"] == [1, 2, 3, 4, 5, 6]


def test_the_children_of_the_tree_and_their_order_are_as_before(tmp_path):
    with AntQ(tmp_path / "store") as app:
        ids = [child.id for child in Supervisor.which_children(app.root)]

    assert ids == ["storage", "queues", "rescuer", "pruner", "cron", "flow"]


# ---- a job that kills its node is failed in the end, and takes no other along -------------------


NODE = """
import os, signal, sys, time
from antq_actors import AntQ, Worker

class Innocent(Worker, name="poison:Innocent"):
    def perform(self, job):
        time.sleep(job.args["seconds"])

class Poison(Worker, name="poison:Poison"):
    def perform(self, job):
        time.sleep(job.args["seconds"])
        os.kill(os.getpid(), signal.SIGKILL)

app = AntQ(sys.argv[1], queues={"default": 20, "other": 20}).start()
ended = ["completed", "failed"]
while app.count_workers(status=ended) < app.count_workers():
    time.sleep(0.01)
app.stop()
"""


def fill(path, poisons, innocents, after):
    """Put the poisons in the middle of the innocents."""
    with AntQ(path, start_queues=False) as app:
        namespace = {}
        exec(NODE.partition("app =")[0], namespace)  # noqa: S102 - the same classes as over there
        innocent, poison = namespace["Innocent"], namespace["Poison"]
        for n in range(innocents):
            queue = ("default", "other")[n % 2]
            app.enqueue(innocent, {"seconds": 0.05 * (n % 4)}, queue=queue)
            if n < poisons:
                app.enqueue(poison, {"seconds": after})


def run_until_it_ends_by_itself(program, path):
    """What a service manager does: start the node again whenever it died. Return how often."""
    for deaths in range(30):
        node = program("-c", NODE, path)
        # Not line(): the job may be faster than who says that its node has started.
        status, _, errors = node.end(60)
        if status == 0:
            return deaths
        assert status == -signal.SIGKILL, errors
    pytest.fail("it died thirty times")


@pytest.mark.parametrize(("poisons", "after"), [(1, 0.0), (1, 0.3), (3, 0.02)])
def test_a_job_that_kills_its_node_is_failed_and_all_others_complete(
    program, tmp_path, poisons, after
):
    path = tmp_path / "store"
    fill(path, poisons, 30, after)

    deaths = run_until_it_ends_by_itself(program, path)

    with AntQ(path, start_queues=False) as app:
        failed = app.list_workers(status=Status.FAILED)
        assert [job.worker for job in failed] == ["poison:Poison"] * poisons
        assert app.count_workers(status=Status.COMPLETED) == 30
        for job in failed:
            assert (job.attempts, job.interruptions) == (0, 3)
            assert len(job.errors) == 3
            assert "that was interruption 3 of at most 3" in job.errors[0].error
            assert all(error.error.startswith("interrupted: its node") for error in job.errors)
        assert app.verify() == []
    assert 3 <= deaths <= 3 * poisons
