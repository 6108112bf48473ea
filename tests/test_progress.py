"""What running jobs report is stored within a second, for every process, until the attempt ends."""

import json
import subprocess
import sys
import threading

import pytest
from support.apps import settled, until

from antq_actors import AntQ, Job, Progress, Status, worker

going_on = threading.Event()


@worker
def reports(job: Job):
    job.progress(0.25, "page 1")
    job.progress(0.4, "page 40 of 100")
    going_on.wait(60)


@worker
async def in_coroutine(job: Job):
    import asyncio  # noqa: PLC0415 - as the job has it

    job.progress(0.4, "page 40 of 100")
    await asyncio.to_thread(going_on.wait, 60)


@worker(max_attempts=2, retry_delay=0)
def reports_once(job: Job):
    if job.attempts == 1:
        job.progress(0.5)
        until(lambda: job._application().get_job(job.id).last_progress)
        raise ValueError
    going_on.wait(60)


@pytest.fixture(autouse=True)
def held():
    going_on.clear()
    yield
    going_on.set()


def progress_of(app, job):
    return app.get_job(job.id).last_progress


@pytest.mark.parametrize("performed", [reports, in_coroutine])
def test_the_last_progress_is_in_the_job_as_it_is_read_until_it_ends(app, performed):
    job = app.enqueue(performed)

    progress = until(lambda: progress_of(app, job))

    assert isinstance(progress, Progress)
    assert (progress.fraction, progress.note) == (0.4, "page 40 of 100")
    assert job.inserted_at <= progress.at
    assert [each.last_progress for each in app.list_jobs()] == [progress]
    assert app.queue("default").status().progress == {job.id: progress}
    going_on.set()
    assert settled(app, job).last_progress is None


def test_progress_is_seen_in_other_processes(tmp_path):
    with AntQ(tmp_path) as app:
        job = app.enqueue(reports)
        until(lambda: progress_of(app, job))
        program = (
            "import json, sys; from antq_actors import AntQ\n"
            "with AntQ(sys.argv[1], start_queues=False) as app:\n"
            "    job = app.get_job(int(sys.argv[2]))\n"
            "    status = app.queue('default').status()\n"
            "    print(json.dumps([job.last_progress[:2], status.progress[job.id][:2]]))\n"
        )
        command = [sys.executable, "-c", program, str(tmp_path), str(job.id)]
        seen = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
        shown = subprocess.run(  # noqa: S603
            [sys.executable, "-m", "antq_actors", "show", str(job.id), "--path", str(tmp_path)],
            capture_output=True,
            text=True,
            check=True,
        )
        going_on.set()

    assert json.loads(seen.stdout) == [[0.4, "page 40 of 100"]] * 2
    assert "40%, page 40 of 100" in shown.stdout


def test_progress_is_gone_with_its_attempt(app):
    job = app.enqueue(reports_once)

    again = until(
        lambda: (now := app.get_job(job.id)).status is Status.RUNNING and now.attempts == 2 and now
    )

    going_on.set()
    assert again.last_progress is None


def test_nothing_is_left_of_progress_when_the_job_has_ended(tmp_path):
    with AntQ(tmp_path) as app:
        job = app.enqueue(reports)
        until(lambda: progress_of(app, job))
        going_on.set()
        settled(app, job)

    assert rows_of_progress(tmp_path) == 0


def test_a_node_that_finds_a_dead_one_deletes_the_progress_of_its_jobs(tmp_path):
    program = (
        "import sys, time, antq_actors as a\n"
        "@a.worker(name='test_progress:reports')\n"
        "def reports(job: a.Job):\n"
        "    job.progress(0.5)\n"
        "    time.sleep(60)\n"
        "with a.AntQ(sys.argv[1]) as app:\n"
        "    app.enqueue(reports)\n"
        "    while app.get_job(1).last_progress is None: time.sleep(0.01)\n"
        "    print('stored', flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen(  # noqa: S603
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as node:
        assert node.stdout.readline() == "stored\n"
        node.kill()
    with AntQ(tmp_path, queues={"default": 1}) as app:
        until(lambda: app.get_job(1).interruptions)
        app.cancel_job(1)
    assert rows_of_progress(tmp_path) == 0


def rows_of_progress(path):
    """Return how many rows the store has of what jobs have reported."""
    with AntQ(path, start_queues=False) as app:
        env = app._running.environment()
        return env.read(lambda txn: txn.stat(env.tables.further(txn, "progress"))["entries"])
