"""``antq preview``, ``antq step`` and ``antq breakpoint``."""

import json

import pytest

from antq_actors import AntQ, Breakpoint, Worker
from antq_actors.cli import REFUSED, USAGE


class Sent(Worker, name="sent"):
    def perform(self, job):
        pass


@pytest.fixture
def path(tmp_path):
    with AntQ(tmp_path / "store", queues={"mail": 1}, start_queues=False) as app:
        app.queue("mail").pause()
        for number in range(3):
            app.enqueue(Sent, {"to": {"id": number}}, queue="mail")
        app.enqueue(Sent, {}, queue="mail", priority=5)
    return tmp_path / "store"


def breakpoints_of(path):
    with AntQ(path, start_queues=False) as app:
        return app.queue("mail").breakpoints()


def test_a_preview_lists_what_would_start_next_and_why(antq):
    code, shown, _ = antq("preview", "mail", "-n", 2)

    assert code == 0
    assert [line.split() for line in shown.splitlines()] == [
        ["id", "worker", "rule"],
        ["4", "sent", "priority"],
        ["1", "sent", "id"],
    ]


def test_a_preview_as_json_has_the_names_of_the_attributes(antq):
    code, shown, _ = antq("preview", "mail", "-n", 1, "--json")

    assert (code, json.loads(shown)) == (0, [{"id": 4, "worker": "sent", "rule": "priority"}])


def test_a_step_lets_the_next_jobs_start(antq):
    assert antq("step", "mail") == (0, "Job 4 may start.\n", "")
    assert antq("step", "mail", "-n", 2) == (0, "Jobs 1, 2 may start.\n", "")
    code, shown, _ = antq("step", "mail", "-n", 9, "--json")
    assert (code, json.loads(shown)) == (0, {"changed": 1, "ids": [3]})
    assert antq("step", "mail") == (0, "No job of this queue could start now.\n", "")
    assert antq("preview", "mail") == (0, "", "No job of this queue could start now.\n")


def test_a_step_lets_one_job_start_by_its_id(antq):
    assert antq("step", "mail", "--id", 2) == (0, "Job 2 may start.\n", "")

    code, shown, complaint = antq("step", "mail", "--id", 2)
    assert (code, shown) == (USAGE, "")
    assert "job 2 could not start now in queue 'mail'" in " ".join(complaint.split())


def test_steps_of_a_queue_that_is_not_paused_are_refused(antq):
    antq("resume", "mail")

    code, shown, complaint = antq("step", "mail")

    assert (code, shown) == (REFUSED, "")
    assert "queue 'mail' is not paused" in complaint


@pytest.mark.parametrize(
    "wrong",
    [
        ("preview", "mail", "-n", 0),
        ("step", "mail", "-n", 0),
        ("step", "mail", "-n", 2, "--id", 2),
        ("breakpoint", "mail", "--on", "start"),
        ("breakpoint", "mail", "--arg", "id"),
        ("breakpoint", "mail", "--list", "--remove", 1),
        ("breakpoint", "mail", "--list", "--worker", "sent"),
        ("breakpoint", "mail", "--remove", 1, "--on", "claim"),
        ("breakpoint", "mail", "--remove", 1),
    ],
)
def test_wrong_usage_is_said_and_changes_nothing(antq, path, wrong):
    code, shown, complaint = antq(*wrong)

    assert (code, shown) == (USAGE, "")
    assert complaint
    assert breakpoints_of(path) == []


def test_a_breakpoint_is_added_listed_and_removed(antq, path):
    code, shown, _ = antq("breakpoint", "mail", "--worker", "sent", "--arg", 'to={"id": 2}')
    assert (code, shown) == (0, "Breakpoint 1: queue 'mail' is paused before such a job starts.\n")
    assert breakpoints_of(path) == [Breakpoint(1, "sent", {"to": {"id": 2}}, "claim", 0)]

    code, shown, _ = antq("breakpoint", "mail", "--on", "failure", "--json")
    assert code == 0
    assert json.loads(shown) == {"id": 2, "worker": None, "args": None, "on": "failure", "hits": 0}

    code, shown, _ = antq("breakpoint", "mail", "--list")
    assert code == 0
    assert [line.split()[:2] for line in shown.splitlines()] == [
        ["id", "worker"],
        ["1", "sent"],
        ["2", "any"],
    ]
    code, shown, _ = antq("breakpoint", "mail", "--list", "--json")
    assert [each["id"] for each in json.loads(shown)] == [1, 2]

    assert antq("breakpoint", "mail", "--remove", 1) == (0, "Breakpoint 1 is removed.\n", "")
    code, shown, _ = antq("breakpoint", "mail", "--remove", 2, "--json")
    assert (code, json.loads(shown)) == (0, {"removed": 2})
    assert antq("breakpoint", "mail", "--list") == (0, "", "This queue has no breakpoints.\n")


def test_a_breakpoint_for_a_worker_that_nothing_knows_says_so(antq, path):
    code, shown, complaint = antq("breakpoint", "mail", "--worker", "sentt")

    assert (code, shown) == (0, "Breakpoint 1: queue 'mail' is paused before such a job starts.\n")
    assert "no job has a worker 'sentt'" in complaint
    assert "did you mean 'sent'?" in complaint
    assert [each.worker for each in breakpoints_of(path)] == ["sentt"]
