"""kill -9 at any moment: nothing acknowledged is lost, and nothing runs twice at once."""

import signal
import time
from pathlib import Path

import crash_workers
import journal
import pytest
from checker import Final, check, executions
from support.apps import ENDED, until
from support.findings import findings
from support.trees import child

from antq_actors import AntQ
from antq_actors.app.config import QueueConfig
from antq_actors.otp import call
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
