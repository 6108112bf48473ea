"""kill -9 at any moment: nothing acknowledged is lost, and nothing runs twice at once."""

import signal

import pytest
from journal import entries

from antq_actors import AntQ, Status
from antq_actors.config import QueueConfig
from antq_actors.otp import (
    Supervisor,
    call,
)
from antq_actors.queues.rescuer import Rescue
from antq_actors.storage.environment import Environment
from antq_actors.storage.job_store import read
from antq_actors.storage.verify import verify

from apps import until  # isort: skip - of the folder above

LATE = 60.0


def findings(path):
    env = Environment.open(path)
    try:
        return read(env, lambda reader: verify(reader._txn, env.tables))
    finally:
        env.close()


def an_application(path, concurrency=8, **options):
    look_when_told = QueueConfig(concurrency=concurrency, check_interval=3600)
    return AntQ(path, queues={"default": look_when_told}, **options)


def all_ended(app, total):
    ended = (Status.COMPLETED, Status.FAILED)
    until(lambda: app.count_workers(status=ended) == total, "the end of all jobs")


@pytest.mark.parametrize("after", [1, 40, 150, 399])
def test_every_acknowledged_job_ends_although_its_process_was_killed(program, tmp_path, after):
    path, journal = tmp_path / "store", tmp_path / "journal"
    first = program("journal.py", path, journal, 400, 0.002, 8)
    assert first.line() == "started"
    acknowledged = [int(first.line()) for _ in range(after)]

    acknowledged += [int(line) for line in first.kill() if line.isdigit()]
    before = entries(journal)
    app = an_application(path, max_interruptions=100)
    with app:
        stored = app.count_workers()
        all_ended(app, stored)
        jobs = {job.id: job for job in app.list_workers()}

    assert set(acknowledged) <= set(jobs)
    assert len(jobs) in (len(acknowledged), len(acknowledged) + 1)
    assert all(job.status is Status.COMPLETED for job in jobs.values())
    check_journal(entries(journal), jobs)
    interrupted = {job.id for job in jobs.values() if job.interruptions}
    assert in_the_middle(before) <= interrupted
    assert len(interrupted) <= 8
    for job in jobs.values():
        assert job.attempts == 1 + (job.args["number"] % 10 == 3)
    assert findings(path) == []


def in_the_middle(rows):
    open_ = set()
    for what, job, _ in rows:
        if what == "begin":
            open_.add(job)
        else:
            open_.discard(job)
    return open_


def check_journal(rows, jobs):
    """Each job ended, and no execution began while another of the same process was at it."""
    assert {job for what, job, _ in rows if what == "end"} == set(jobs)
    at_work = {}
    for what, job, pid in rows:
        if what == "begin":
            assert at_work.get(job) != pid, f"job {job} ran twice at once"
            at_work[job] = pid
        else:
            assert at_work.pop(job) == pid


def test_killed_again_and_again_it_still_ends(program, tmp_path):
    path, journal = tmp_path / "store", tmp_path / "journal"
    total = 0
    for _ in range(4):
        one = program("journal.py", path, journal, 40, 0.005, 4)
        assert one.line() == "started"
        total += len([one.line() for _ in range(25)])
        total += len([line for line in one.kill() if line.isdigit()])

    with an_application(path, max_interruptions=100) as app:
        all_ended(app, app.count_workers())
        jobs = {job.id: job for job in app.list_workers()}

    assert total <= len(jobs) <= total + 4
    assert all(job.status is Status.COMPLETED for job in jobs.values())
    check_journal(entries(journal), jobs)
    assert findings(path) == []


def test_the_jobs_of_a_killed_process_are_interrupted_and_go_on_in_another_that_lives(
    program, tmp_path
):
    path, journal = tmp_path / "store", tmp_path / "journal"
    other = program("journal.py", path, journal, 4, 60, 4)
    other.lines_until("enqueued")
    until(lambda: len(entries(journal)) == 4, "the other's jobs")
    with an_application(path, max_interruptions=1) as app:
        rescuer = next(i.ref for i in Supervisor.which_children(app.root) if i.id == "rescuer")
        assert call(rescuer, Rescue()) == 0
        assert app.count_workers(status="running") == 4

        other.kill()

        until(lambda: app.count_workers(status="failed") == 4, "the rescue")
        for job in app.list_workers():
            assert (job.attempts, job.interruptions) == (0, 1)
            assert job.errors[0].error.startswith("interrupted: its node ")
            assert job.errors[0].stack_trace is None


def test_a_process_that_only_looks_rescues_nothing_and_loses_nothing(program, tmp_path):
    path, journal = tmp_path / "store", tmp_path / "journal"
    other = program("journal.py", path, journal, 2, 60, 2)
    other.lines_until("enqueued")
    until(lambda: len(entries(journal)) == 2, "the other's jobs")

    with AntQ(path, start_queues=False) as app:
        other.kill()
        assert app.count_workers(status="running") == 2


def test_a_killed_volatile_process_leaves_its_directory_to_the_next_sweep(program):
    code = "from antq_actors import AntQ; a = AntQ().start(); print(a.path, flush=True); input()"
    other = program("-c", code)
    path = other.line()
    other.send(signal.SIGKILL)
    other.end()

    with AntQ(start_queues=False):
        from pathlib import Path  # noqa: PLC0415

        assert not Path(path).exists()
