"""`antq history`: what happened to a job, as a table and as JSON; what is refused."""

import json

import pytest

from antq_actors import AntQ, Worker


class Later(Worker, name="test_history:Later"):
    def perform(self, job):
        pass


@pytest.fixture
def path(tmp_path):
    """A store with a job that was cancelled and retried."""
    with AntQ(tmp_path / "store", start_queues=False) as app:
        job = app.enqueue(Later, schedule_in=3600)
        app.cancel_job(job)
        app.retry_job(job)
    return tmp_path / "store"


def test_it_shows_each_change_in_a_line(antq, path):
    code, text, errors = antq("history", 1)

    assert (code, errors) == (0, "")
    lines = [line.split()[2:] for line in text.splitlines()]
    assert lines[-3:] == [["scheduled"], ["cancelled", "cancel"], ["enqueued", "retry"]]


def test_in_json_it_is_what_the_application_returns(antq, path):
    code, text, _ = antq("history", 1, "--json")
    with AntQ(path, start_queues=False) as app:
        found = app.history(1)

    assert code == 0
    assert json.loads(text) == [
        {
            "at": each.at.isoformat(),
            "status": each.status,
            "attempt": each.attempt,
            "node": each.node,
            "cause": each.cause,
        }
        for each in found
    ]


def test_an_unknown_job_is_refused(antq, path):
    code, text, errors = antq("history", 4711)

    assert (code, text) == (1, "")
    assert "no job has the id 4711" in errors
