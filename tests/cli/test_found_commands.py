"""All jobs that a filter in one line finds are changed by a command, as a task of the store."""

import os
import pty
import re
import shlex
import signal
import subprocess
import sys
from io import StringIO

import pytest
from support.apps import until

from antq_actors import AntQ, Worker
from antq_actors.cli import INTERRUPTED, REFUSED, USAGE
from antq_actors.insights import Insights

MANY = 1_001


class Mail(Worker, name="found_commands:Mail", max_attempts=1):
    def perform(self, job):
        if job.args["n"] % 2:
            raise TimeoutError(f"no answer to {job.args['n']}")


@pytest.fixture
def path(tmp_path):
    """A store with the jobs 1 to 6, of which 2, 4 and 6 failed; 7 is scheduled in web."""
    path = tmp_path / "a store"
    with AntQ(path, queues={"default": 2}) as app:
        app.enqueue_many(Mail, ({"n": n} for n in range(6)))
        app.wait_idle()
    with AntQ(path, start_queues=False) as app:
        app.enqueue(Mail, {"n": 6}, queue="web", schedule_in=3600)
    return path


@pytest.fixture
def many(path):
    """The same store, with so many jobs more that a command asks; they are in the queue many."""
    with AntQ(path, start_queues=False) as app:
        app.enqueue_many(Mail, ({"n": n} for n in range(MANY)), queue="many")
    return path


def count(path, **filters):
    with AntQ(path, start_queues=False) as app:
        return app.count_jobs(**filters)


def statuses(path):
    with AntQ(path, start_queues=False) as app:
        return [str(job.status) for job in app.list_jobs(limit=7)]


@pytest.mark.parametrize(
    ("arguments", "number", "refused"),
    [
        (("retry", "--filter", "status:failed"), 3, 0),
        (("retry", "--filter", "queue:default"), 3, 3),
        (("retry", "--filter", "status:failed,completed arg.n:>2"), 0, 0),
        (("retry", "--filter", "arg.n:3,4"), 1, 1),
        (("cancel", "--filter", "due:<2h"), 1, 0),
        (("run-now", "--filter", "queue:web"), 1, 0),
        (("delete", "--filter", "error:answer"), 3, 0),
        (("delete", "--filter", "queue:none"), 0, 0),
    ],
)
def test_the_number_of_changed_jobs_is_printed(antq, path, arguments, number, refused):
    before = statuses(path)
    counted = antq(*arguments, "--dry-run")
    unchanged = statuses(path)

    changed = antq(*arguments)

    assert counted[:2] == changed[:2] == (0, f"{number}\n")
    assert unchanged == before
    assert (f"{refused} refused" in changed[2]) is (refused > 0)
    assert (f"{refused} refused: completed" in counted[2]) is (refused > 0)
    with AntQ(path, start_queues=False) as app:
        change = Insights(app).bulk(1) if number else None
    assert change is None or (change.changed, change.state) == (number, "done")


def test_retried_jobs_can_be_spread_over_a_time(antq, path):
    assert antq("retry", "--filter", "status:failed", "--spread", "600") == (0, "3\n", "")

    with AntQ(path, start_queues=False) as app:
        jobs = app.list_jobs(status="scheduled", queue="default")
    assert (jobs[2].scheduled_at - jobs[0].scheduled_at).total_seconds() == 600


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ("retry 2 --filter status:failed", "--filter or ids"),
        ("retry --filter status:failed --queue mail", "--filter or --queue"),
        ("retry --filter status:failed --arg n=1", "--filter or --arg"),
        ("delete --filter status:failed --limit 0", "--filter or --limit"),
        ("retry --filter status:failed --fresh", "--filter or --fresh"),
        ("cancel --filter status", "has no key"),
        ("cancel --filter status:odd", "no status"),
        ("retry --filter status:failed --spread -5", "spread must not be negative"),
        ("run-now 7 --filter queue:web", "--filter or ids"),
        ("run-now", "give ids, or --filter"),
        ("run-now 7 --spread 5", "not both"),
    ],
)
def test_what_makes_no_sense_is_wrong_usage_and_changes_nothing(antq, path, arguments, named):
    before = statuses(path)

    code, out, err = antq(*arguments.split())

    assert (code, out) == (USAGE, "")
    assert named in err
    assert statuses(path) == before


def test_many_jobs_need_a_reason_and_a_yes(antq, many, monkeypatch):
    monkeypatch.setattr(sys, "stdin", StringIO("no\n"))
    found = ("cancel", "--filter", "queue:many")

    assert antq(*found)[0] == USAGE
    refused = antq(*found, "--reason", "a wrong import")
    assert refused[0] == REFUSED
    assert re.fullmatch(rf"antq: cancel {MANY} jobs\?.* nothing was changed\n", refused[2])
    assert count(many, status="cancelled") == 0

    assert antq(*found, "--reason", "a wrong import", "--yes") == (0, f"{MANY}\n", "")
    assert count(many, status="cancelled") == MANY


def test_the_line_of_a_dry_run_is_one_for_a_shell(antq, path):
    with AntQ(path, start_queues=False) as app:
        line = Insights(app).bulk_preview("retry", 'status:failed error:"no answer"').cli
    program, *words = shlex.split(line)

    done = subprocess.run(  # noqa: S603 - the command of this project
        [sys.executable, "-m", "antq_actors", *words], capture_output=True, timeout=60, check=True
    )

    assert program == "antq"
    assert done.stdout == b"3\n"


def test_ctrl_c_stops_the_change(many):
    terminal, end = pty.openpty()
    command = [
        *(sys.executable, "-c", SLOWLY, "cancel", "--filter", "queue:many", "--yes"),
        *("--reason", "a wrong import", "--path", str(many)),
    ]
    running = subprocess.Popen(command, stderr=end, env={**os.environ, "TERM": "xterm"})  # noqa: S603 - as well
    os.close(end)
    until(lambda: b"of 1001 jobs" in os.read(terminal, 1_000), "its progress")
    running.send_signal(signal.SIGINT)

    assert running.wait(60) == INTERRUPTED
    os.close(terminal)
    with AntQ(many, start_queues=False) as app:
        assert Insights(app).bulk(1).state == "stopped"
        assert app.count_jobs(status="cancelled") == 0


SLOWLY = """
import sys
from antq_actors.cli import main
from antq_actors.queues.services.flow import FlowService
FlowService.run_once = lambda self: False
main()
"""
