"""All jobs that filters find are changed by a command; above 1,000 it asks."""

import io
import os
import pty
import re
import subprocess
import sys

import pytest

from antq_actors import AntQ, Unique, Worker
from antq_actors.cli import REFUSED, USAGE, bulk, output

MANY = 1_001


class Mail(Worker, name="bulk_commands:Mail"):
    def perform(self, job):
        if job.args["n"] % 2:
            raise TimeoutError(f"no answer to {job.args['n']}")


class Once(Worker, name="bulk_commands:Once", unique=Unique(args=["n"])):
    def perform(self, job): ...


@pytest.fixture
def path(tmp_path):
    """A store with the jobs 1 to 6, of which 2, 4 and 6 failed; 7 is scheduled in web."""
    path = tmp_path / "store"
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


@pytest.fixture
def statuses(path):
    def statuses():
        with AntQ(path, start_queues=False) as app:
            return [str(job.status) for job in app.list_jobs(limit=7)]

    return statuses


def count(path, **filters):
    with AntQ(path, start_queues=False) as app:
        return app.count_jobs(**filters)


@pytest.mark.parametrize(
    ("arguments", "number"),
    [
        ("retry --status failed", 3),
        ("retry --status failed --status completed", 6),
        ("retry --queue default", 3),
        ("retry --error TimeoutError --limit 2", 2),
        ("retry --error timeouterror", 0),
        ("retry --arg n=3", 1),
        ("retry --worker bulk_commands:Mail --failed-after 2000-01-01", 3),
        ("retry --failed-before 2000-01-01", 0),
        ("cancel --status scheduled", 1),
        ("cancel --inserted-before 9000-01-01T00:00Z", 1),
        ("cancel --inserted-after 9000-01-01", 0),
        ("delete --queue default", 6),
        ("delete --status completed --limit 0", 0),
    ],
)
def test_the_number_of_changed_jobs_is_printed(antq, statuses, arguments, number):
    before = statuses()
    counted = antq(*arguments.split(), "--dry-run")
    unchanged = statuses()

    changed = antq(*arguments.split())

    assert counted == changed == (0, f"{number}\n", "")
    assert unchanged == before
    assert (statuses() != before) is (number > 0)


def test_retried_jobs_can_be_spread_over_a_time(antq, path):
    assert antq("retry", "--status", "failed", "--spread", "600") == (0, "3\n", "")

    with AntQ(path, start_queues=False) as app:
        jobs = app.list_jobs(status="scheduled", queue="default")
    assert [job.id for job in jobs] == [2, 4, 6]
    assert (jobs[2].scheduled_at - jobs[0].scheduled_at).total_seconds() == 600


def test_jobs_that_are_refused_are_counted_on_standard_error(antq, path):
    with AntQ(path, start_queues=False) as app:
        for _ in range(2):
            app.cancel_job(app.enqueue(Once, {"n": 1}))

    code, out, err = antq("retry", "--status", "cancelled")

    assert (code, out) == (0, "1\n")
    assert err.startswith("0 skipped, as they had changed; 1 refused")


@pytest.mark.parametrize(
    "arguments",
    [
        "retry",
        "cancel",
        "delete",
        "retry --dry-run",
        "delete --limit 5",
        "retry --spread 5",
        "retry 2 --status failed",
        "cancel 7 --queue web",
        "delete 1 --dry-run",
        "delete 1 --limit 1",
        "delete 1 --limit 0",
        "retry 2 --spread 5",
        "retry 2 --spread 0",
        "retry --status running",
        "cancel --status failed --status enqueued",
        "delete --status odd",
        "delete --queue default --limit -1",
        "retry --status failed --spread -5",
        "retry --status failed --spread nan",
        "delete --inserted-before yesterday",
        "cancel --arg n",
        "cancel --spread 5 --queue web",
        "cancel 7 --reason later",
        "retry --queue default --reason later",
        "delete --status failed --reason later",
        "run-now 7 --reason later",
    ],
)
def test_what_makes_no_sense_is_wrong_usage_and_changes_nothing(antq, statuses, arguments):
    before = statuses()

    code, out, err = antq(*arguments.split())

    assert (code, out) == (USAGE, "")
    assert err.startswith("antq: ")
    assert err.count("\n") == 1
    assert statuses() == before


def test_a_name_that_nothing_knows_is_hinted_at(antq):
    code, out, err = antq("cancel", "--queue", "wbe")

    assert (code, out) == (0, "0\n")
    assert re.fullmatch(r"antq: no job is in a queue 'wbe'.*'web'.*\n", err)


# ---- more than 1,000 --------------------------------------------------------------------------


@pytest.mark.parametrize("answer", ["y\n", "yes\n", "y", " yes \n"])
def test_many_jobs_are_changed_when_the_answer_is_yes(antq, many, monkeypatch, answer):
    monkeypatch.setattr(sys, "stdin", io.StringIO(answer))

    code, out, err = antq("cancel", "--queue", "many")

    assert (code, out) == (0, f"{MANY}\n")
    assert f"cancel {MANY} jobs?" in err
    assert count(many, queue="many", status="cancelled") == MANY


@pytest.mark.parametrize("answer", ["n\n", "no\n", "\n", "", "Y\n", "yess\n", None])
def test_any_other_answer_changes_nothing(antq, many, monkeypatch, answer):
    monkeypatch.setattr(sys, "stdin", None if answer is None else io.StringIO(answer))

    code, out, err = antq("delete", "--queue", "many")

    assert (code, out) == (REFUSED, "")
    assert re.fullmatch(rf"antq: delete {MANY} jobs\?.* nothing was changed\n", err)
    assert count(many, queue="many") == MANY


@pytest.mark.parametrize("arguments", [["--yes"], ["--limit", "1000"], ["--dry-run"]])
def test_nothing_is_asked_where_that_makes_no_sense(antq, many, monkeypatch, arguments):
    monkeypatch.setattr(sys, "stdin", None)

    code, out, err = antq("cancel", "--queue", "many", *arguments)

    assert (code, err) == (0, "")
    assert int(out) == (1000 if "--limit" in arguments else MANY)


def test_a_number_of_ids_is_never_asked_about(antq, many, monkeypatch):
    monkeypatch.setattr(bulk, "ASKS_ABOVE_JOBS", 1)

    assert antq("cancel", "8", "9", "10")[0] == 0


def test_how_many_were_changed_stays_on_a_terminal_after_ctrl_c(many, monkeypatch):
    written = io.StringIO()
    written.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", written)
    monkeypatch.setattr(bulk.AntQ, "cancel_jobs", cut_short)

    with pytest.raises(KeyboardInterrupt):
        bulk.cancel(many, queue="many", yes=True)

    assert written.getvalue().endswith(f"500 of {MANY} jobs\r\n")


def cut_short(_app, **_filters):
    output.write_over(f"500 of {MANY} jobs")
    raise KeyboardInterrupt


def test_progress_is_shown_on_a_terminal(many):
    terminal, end = pty.openpty()
    os.write(terminal, b"y\n")
    done = subprocess.run(  # noqa: S603 - the command of this project
        [sys.executable, "-m", "antq_actors", "cancel", "--queue", "many", "--path", many],
        stdin=end,
        stdout=subprocess.PIPE,
        stderr=end,
        timeout=60,
        check=False,
        env={**os.environ, "TERM": "xterm"},
    )
    os.close(end)
    shown = os.read(terminal, 100_000).decode()
    os.close(terminal)

    assert (done.returncode, done.stdout) == (0, f"{MANY}\n".encode())
    assert f"cancel {MANY} jobs?" in shown
    assert f"500 of {MANY} jobs" in shown
    assert shown.endswith("\r\x1b[K\r")  # the line is free again
