"""`antq why`: what keeps a job or a queue, as text and as JSON; what is refused."""

import json

import pytest
from support.programs import run_python

from antq_actors import AntQ, Worker

COMMAND = ("-P", "-m", "antq_actors")  # the current directory is not on sys.path


class Later(Worker, name="test_why:Later"):
    def perform(self, job):
        pass


@pytest.fixture
def path(tmp_path):
    """A store with a job for later, in a paused queue that nobody runs."""
    with AntQ(tmp_path / "store", start_queues=False) as app:
        app.enqueue(Later, queue="mail", schedule_in=3600)
        app.queue("mail").pause()
    return tmp_path / "store"


def test_it_says_why_a_job_does_not_run(antq, path):
    code, text, errors = antq("why", 1)

    assert (code, errors) == (0, "")
    assert "Job 1 in queue 'mail' is scheduled. It is not due before " in text
    assert "No living node runs queue 'mail'" in text
    assert "Queue 'mail' is paused" in text


def test_in_json_each_reason_has_its_code_and_fields(antq, path):
    code, text, _ = antq("why", 1, "--json")
    with AntQ(path, start_queues=False) as app:
        job, found = app.get_job(1), app.explain(1)

    assert code == 0
    assert json.loads(text) == {
        "reasons": [
            {"code": "not_due", "at": job.scheduled_at.isoformat()},
            {"code": "no_node", "queue": "mail", "nodes": []},
            {"code": "paused", "queue": "mail"},
        ],
        "text": found.text,
    }


def test_it_says_why_a_queue_does_nothing(antq, path):
    code, text, _ = antq("why", "--queue", "mail")

    assert code == 0
    assert text.startswith("In queue 'mail' no job is due, and none run. No living node runs")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["why"], 2, "give the id of a job, or --queue"),
        (["why", "1", "--queue", "mail"], 2, "give the id of a job, or --queue"),
        (["why", "x"], 2, "ID"),
        (["why", "4711"], 1, "no job has the id 4711"),
        (["why", "--queue", "male"], 1, "there is no queue 'male'; there are 'default', 'mail'"),
    ],
)
def test_what_is_not_there_or_not_clear_is_refused(antq, arguments, code, message):
    status, text, errors = antq(*arguments)

    assert (status, text) == (code, "")
    assert message in errors


def test_a_worker_in_the_current_directory_is_found_and_not_imported(tmp_path, path):
    class Send(Worker, name="its_jobs_here:Send"):
        def perform(self, job):
            pass

    with AntQ(path, start_queues=False) as app:
        app.enqueue(Send, queue="mail")

    def said():
        found = run_python(*COMMAND, "why", 2, "--path", path, cwd=tmp_path, check=True)
        return found.stdout

    assert "Its worker 'its_jobs_here:Send' cannot be found in this process" in said()
    (tmp_path / "its_jobs_here.py").write_text("raise SystemExit('it was imported')\n")
    assert "cannot be found" not in said()
