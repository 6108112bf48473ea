"""The command line over a real store; only what has to be another process is one."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime

import pytest
from support.apps import until
from support.programs import run_python

from antq_actors import AntQ, Job, Status, Worker
from antq_actors.cli import REFUSED, USAGE, run

COMMANDS = [
    *("start", "demo", "course", "list", "show", "count", "cancel", "retry"),
    *("verify", "info", "backup", "restore", "compact", "migrate", "reseal", "export", "import"),
]


class Succeed(Worker):
    def perform(self, job: Job):
        pass


class Break(Worker):
    def perform(self, job: Job):
        raise ValueError(f"broke on {job.args['part']}")


@pytest.fixture
def path(tmp_path):
    """A store with job 1 completed, 2 failed, 3 scheduled; and 4 waiting, in the queue mail."""
    path = tmp_path / "store"
    with AntQ(path, queues={"default": 2}) as app:
        app.enqueue(Succeed, {"part": "wheel", "size": 7})
        app.enqueue(Break, {"part": "axle"})
        until(lambda: app.count_workers(status=["completed", "failed"]) == 2)
    with AntQ(path, start_queues=False) as app:
        app.enqueue(Succeed, {"part": "7"}, schedule_in=3600)
        app.enqueue(Succeed, {"part": "door"}, queue="mail")
    return path


@pytest.fixture
def listed(antq):
    """Returns the ids of the jobs that ``antq list`` shows with such options."""

    def listed(*arguments):
        code, out, _ = antq("list", "--json", *arguments)
        assert code == 0
        return [job["id"] for job in json.loads(out)]

    return listed


@pytest.mark.parametrize(
    ("filters", "ids"),
    [
        ([], [1, 2, 3, 4]),
        (["--status", "failed"], [2]),
        (["--status", "failed", "--status", "completed"], [1, 2]),
        (["--queue", "mail"], [4]),
        (["--queue", "nobody"], []),
        (["--worker", f"{__name__}:Break"], [2]),
        (["--arg", "part=wheel", "--arg", "size=7"], [1]),
        (["--arg", "size=8"], []),
        (["--arg", 'part="7"'], [3]),
        (["--error", "broke on axle"], [2]),
        (["--error", "BROKE"], []),
        (["--failed-after", "2000-01-01"], [2]),
        (["--failed-before", "2000-01-01"], []),
        (["--inserted-after", "2000-01-01T00:00Z", "--queue", "mail"], [4]),
        (["--inserted-before", "2000-01-01T00:00+02:00"], []),
        (["--inserted-before", "9000-01-01", "--status", "completed"], [1]),
        (["--after", "2"], [3, 4]),
        (["--after", "1", "--limit", "2"], [2, 3]),
        (["--before", "4", "--limit", "2"], [1, 2]),
        (["--newest"], [4, 3, 2, 1]),
        (["--newest-first", "--before", "4", "--limit", "2"], [3, 2]),
        (["--oldest", "--before", "3"], [1, 2]),
        (["--newest", "--after", "2"], [4, 3]),
        (["--limit", "0"], []),
    ],
)
def test_list_shows_the_jobs_for_which_all_filters_hold(listed, filters, ids):
    assert listed(*filters) == ids


@pytest.mark.parametrize(
    "option", ["--failed-after", "--failed-before", "--inserted-after", "--inserted-before"]
)
@pytest.mark.parametrize("text", ["yesterday", "2030-13-01", "", "17"])
def test_an_instant_that_cannot_be_read_is_wrong_usage(antq, option, text):
    code, out, err = antq("list", option, text)

    assert (code, out) == (USAGE, "")
    assert re.fullmatch(rf"antq: .*{option}.*'{text}' is not a time; write .*\n", err)


def test_list_as_a_table_has_one_line_a_job(antq):
    code, out, _ = antq("list")

    assert code == 0
    rows = out.splitlines()[1:]
    assert [row.split()[:4] for row in rows] == [
        ["1", "completed", "default", "1/1"],
        ["2", "failed", "default", "1/1"],
        ["3", "scheduled", "default", "0/1"],
        ["4", "enqueued", "mail", "0/1"],
    ]
    assert "'part': 'axle'" in rows[1]
    assert out.splitlines()[0].split()[-2:] == ["error", "args"]
    assert "ValueError: broke on axle" in rows[1]


def test_list_has_no_column_for_errors_where_no_job_has_failed(antq):
    _, out, _ = antq("list", "--status", "completed")

    assert out.splitlines()[0].split()[-1] == "args"
    assert "error" not in out


def test_list_says_on_standard_error_that_there_may_be_more_and_where_to_go_on(antq):
    _, _, err = antq("list", "--limit", "2")

    assert "--after 2" in err

    _, _, err = antq("list", "--newest", "--limit", "2")

    assert "--newest --before 3" in err


@pytest.mark.parametrize("command", ["list", "count"])
@pytest.mark.parametrize(
    ("filters", "hint"),
    [
        (["--queue", "mial"], "queue 'mial', and no application is known to run it; did you mean"),
        (["--worker", "Brake", "--status", "failed"], "shop.mail:SendReceipt"),
        (["--worker", "Break", "--status", "enqueued"], ":Break'?"),
    ],
)
def test_names_that_nothing_knows_are_hinted_at_on_standard_error(antq, command, filters, hint):
    code, out, err = antq(command, *filters)

    assert (code, out) == (0, {"list": "", "count": "0\n"}[command])
    assert hint in err
    assert "Warning" not in err


def test_a_filter_that_fits_no_job_is_no_hint(antq):
    assert antq("list", "--queue", "mail", "--status", "failed") == (0, "", "No jobs match.\n")
    assert antq("count", "--queue", "mail", "--by-status")[2] == ""


def test_counts_are_by_worker_too(antq):
    worker = json.loads(antq("show", "2", "--json")[1])["worker"]

    assert antq("count", "--worker", worker)[1] == "1\n"
    assert antq("count", "--worker", worker, "--status", "enqueued")[1] == "0\n"
    code, out, _ = antq("count", "--worker", worker, "--by-status", "--json")
    assert code == 0
    assert {name: number for name, number in json.loads(out).items() if number} == {"failed": 1}


def test_show_tells_everything_about_a_job_with_its_stack_trace(antq):
    code, out, _ = antq("show", "2")

    assert code == 0
    for text in ("failed", "Break", "axle", "1 of 1", "Traceback"):
        assert text in out
    assert re.search(r"attempt 1, .*[+-]\d\d:\d\d: ValueError: broke on axle\n", out)
    for name in ("inserted", "started", "ended"):
        assert re.search(rf"\n  {name} +20\d\d-\d\d-\d\d .*[+-]\d\d:\d\d\n", out)


def import_failed(path, change):
    """Import the failed job again as job 5, with a change."""
    with AntQ(path, start_queues=False) as app:
        head, line = list(app.export_jobs(status="failed"))
        document = json.loads(line)
        change(document)
        app.import_jobs([head, json.dumps(document)])


def test_show_tells_each_of_several_errors_with_its_trace(antq, path):
    older = {"attempt": 1, "at": "2026-01-01T00:00:00Z", "error": "'wheel'"}
    older |= {"error_type": "KeyError", "stack_trace": "Traceback:\nKeyError: 'wheel'\n"}
    import_failed(path, lambda job: job["errors"].append(older))

    _, out, _ = antq("show", "5")

    newest, oldest = out.split("    attempt 1, ")[1:]
    assert newest.splitlines()[0].endswith(": ValueError: broke on axle")
    assert "      Traceback (most recent call last):" in newest
    local = datetime(2026, 1, 1, tzinfo=UTC).astimezone().isoformat(" ", "milliseconds")
    assert oldest.splitlines()[0].endswith(f"{local}: KeyError: 'wheel'")
    assert oldest.splitlines()[1:] == ["      Traceback:", "      KeyError: 'wheel'"]


def test_show_indents_all_lines_of_an_error(antq, path):
    error = {"error": "wheel\naxle", "stack_trace": None}
    import_failed(path, lambda job: job["errors"][0].update(error))

    _, out, _ = antq("show", "5")

    assert out.endswith(": ValueError: wheel\n      axle\n")


def test_show_tells_of_a_job_that_waits_that_it_has_neither_begun_nor_ended(antq):
    _, out, _ = antq("show", "4")

    assert re.search(r"\n  started +-\n  ended +-\n", out)


def test_show_as_json_has_every_field_of_the_job(antq):
    _, out, _ = antq("show", "2", "--json")

    job = json.loads(out)
    assert {*Job.__struct_fields__, "steps"} == set(job)
    assert job["errors"][0]["error"] == "broke on axle"
    assert datetime.fromisoformat(job["inserted_at"]).tzinfo is not None


def test_show_has_the_meta_of_a_job_that_has_some(antq, path):
    with AntQ(path).start(queues=False) as app:
        job = app.enqueue(Succeed, meta={"tenant": "acme\x1b[31m"})

    assert "meta          {'tenant': 'acme\\x1b[31m'}" in antq("show", job.id)[1]
    assert json.loads(antq("show", job.id, "--json")[1])["meta"] == {"tenant": "acme\x1b[31m"}
    assert "meta" not in antq("show", 1)[1]
    assert json.loads(antq("show", 1, "--json")[1])["meta"] == {}


def test_show_says_which_errors_of_many_it_shows(antq, path):
    import_failed(path, lambda job: job.update(errors=job["errors"] * 25, error_count=30_000))

    code, out, _ = antq("show", "5")

    assert code == 0
    assert "errors, newest first: the newest 24 and the first of 30,000" in out
    assert json.loads(antq("show", "5", "--json")[1])["error_count"] == 30_000


@pytest.mark.parametrize(
    ("options", "number"),
    [([], 4), (["--status", "failed"], 1), (["--queue", "mail"], 1)],
)
def test_count_prints_one_number(antq, options, number):
    assert antq("count", *options) == (0, f"{number}\n", "")


def test_count_by_status_as_json_has_every_status(antq):
    _, out, _ = antq("count", "--json")

    counts = json.loads(out)
    assert counts.keys() == set(Status)
    there = {status for status, number in counts.items() if number}
    assert there == {"completed", "failed", "scheduled", "enqueued"}


@pytest.mark.parametrize(
    ("command", "id_", "becomes", "cancelled", "failed"),
    [("cancel", "3", "cancelled", [3], [2]), ("retry", "2", "enqueued", [], [])],
)
def test_a_waiting_job_is_cancelled_and_an_ended_one_enqueued_again(  # noqa: PLR0917 - a row
    antq, listed, command, id_, becomes, cancelled, failed
):
    code, out, _ = antq(command, id_)

    assert code == 0
    assert becomes in out
    assert listed("--status", "cancelled") == cancelled
    assert listed("--status", "failed") == failed


def test_several_jobs_are_retried_and_what_is_refused_of_one_stops_no_other(antq, listed):
    code, out, err = antq("retry", "99", "1", "4", "2")

    assert code == REFUSED
    assert out == "Job 1 is enqueued.\nJob 2 is enqueued.\n"
    first, second = err.splitlines()
    assert first.startswith("antq: no job has the id 99")
    assert second.startswith("antq: 4: ")
    assert listed("--status", "enqueued") == [1, 2, 4]


def test_several_jobs_are_cancelled_and_deleted(antq, listed):
    cancelled = antq("cancel", "3", "4")
    deleted = antq("delete", "3", "99", "1")

    assert cancelled == (0, "Job 3 is cancelled.\nJob 4 is cancelled.\n", "")
    assert deleted[:2] == (REFUSED, "Job 3 is deleted.\nJob 1 is deleted.\n")
    assert listed() == [2, 4]


def test_scheduled_jobs_are_made_due_and_what_is_refused_of_one_stops_no_other(antq, path):
    code, out, err = antq("run-now", "1", "3", "4")

    assert code == REFUSED
    assert out == "Job 3 is scheduled, and due now.\nJob 4 is enqueued, and due now.\n"
    assert re.fullmatch(r"antq: 1: only scheduled.*completed\n", err)
    with AntQ(path, start_queues=False) as app:
        assert app.get_job(3).scheduled_at <= datetime.now(UTC)


@pytest.mark.parametrize(
    "when", [["--in", "60"], ["--at", "2100-01-01T00:00+02:00"], ["--at", "2100-01-01"]]
)
def test_a_job_is_rescheduled(antq, path, when):
    code, out, err = antq("reschedule", "4", *when)

    assert (code, err) == (0, "")
    with AntQ(path, start_queues=False) as app:
        job = app.get_job(4)
    assert job.scheduled_at > datetime.now(UTC)
    shown = job.scheduled_at.astimezone().isoformat(" ", "seconds")
    assert out == f"Job 4 is scheduled, due at {shown}.\n"


@pytest.mark.parametrize(
    "when",
    [[], ["--in", "5", "--at", "2100-01-01"], ["--in", "-5"], ["--at", "soon"], ["--in", "soon"]],
)
def test_a_job_is_rescheduled_to_one_instant_that_makes_sense(antq, when):
    code, out, err = antq("reschedule", "4", *when)

    assert (code, out) == (USAGE, "")
    assert err.startswith("antq: ")


def test_queues_are_paused_and_resumed(antq, path):
    paused = antq("pause", "mail", "nowhere", "default")
    with AntQ(path, start_queues=False) as app:
        are_paused = [app.queue(name).status().paused for name in ("mail", "default")]
    resumed = antq("resume", "mail")

    assert paused[:2] == (REFUSED, "Queue 'mail' is paused.\nQueue 'default' is paused.\n")
    assert paused[2].startswith("antq: there is no queue 'nowhere'")
    assert are_paused == [True, True]
    assert resumed == (0, "Queue 'mail' is resumed.\n", "")
    with AntQ(path, start_queues=False) as app:
        assert not app.queue("mail").status().paused


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["list", "--status", "bogus"], "'--status': 'bogus' is not one of 'enqueued', "),
        (["start", "a:b", "--log-level", "bogus"], "'--log-level': 'bogus' is not one of 'debug'"),
    ],
)
def test_a_choice_that_there_is_not_is_refused_with_those_that_there_are(arguments, said, capsys):
    code = run([*arguments])

    assert code == USAGE
    assert capsys.readouterr().err.startswith(f"antq: Invalid value for {said}")


@pytest.fixture
def two_hours_ahead(monkeypatch):
    """A clock of this machine that is two hours ahead of UTC."""
    monkeypatch.setenv("TZ", "UTC-2")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("two_hours_ahead")
@pytest.mark.parametrize("command", [["list"], ["show", "3"], ["nodes"]], ids=" ".join)
def test_times_are_shown_with_the_zone_of_this_machine(antq, command):
    _, out, _ = antq(*command)

    assert re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{3})?\+02:00", out)
    assert not re.search(r"\d\d:\d\d:\d\d(\.\d{3})?(Z| )", out)


@pytest.mark.usefixtures("two_hours_ahead")
def test_times_in_json_are_utc(antq):
    _, out, _ = antq("show", "3", "--json")

    assert json.loads(out)["inserted_at"].endswith("+00:00")


@pytest.mark.parametrize(
    ("arguments", "refusal"),
    [
        ("show 99", REFUSED),
        ("cancel 99", REFUSED),
        ("run-now 99", REFUSED),
        ("run-now 2", REFUSED),
        ("reschedule 1 --in 5", REFUSED),
        ("retry 99", REFUSED),
        ("cancel 1", REFUSED),
        ("retry 4", REFUSED),
        ("list --status done", USAGE),
        ("list --arg part", USAGE),
        ("list --limit many", USAGE),
        ("list --limit -1", USAGE),
        ("list --colour red", USAGE),
        ("show first", USAGE),
        ("show", USAGE),
        ("dance", USAGE),
    ],
)
def test_a_refusal_is_one_line_on_standard_error_and_an_exit_code(antq, arguments, refusal):
    code, out, err = antq(*arguments.split())

    assert code == refusal
    assert out == ""
    assert err.startswith("antq: ")
    assert err.count("\n") == 1


def test_looking_where_there_is_no_store_is_an_error_and_makes_none(antq, tmp_path):
    missing, empty = tmp_path / "missing", tmp_path / "empty"
    empty.mkdir()

    codes = [antq("list", path=missing)[0], antq("list", path=empty)[0]]

    assert codes == [USAGE, USAGE]
    assert not missing.exists()
    assert list(empty.iterdir()) == []


def test_the_store_may_be_named_by_the_environment(path, monkeypatch, capsys):
    monkeypatch.setenv("ANTQ_PATH", str(path))

    code = run(["count"])

    assert (code, capsys.readouterr().out) == (0, "4\n")


def test_without_a_store_the_error_says_how_to_name_one(monkeypatch, capsys):
    monkeypatch.delenv("ANTQ_PATH", raising=False)

    code = run(["list"])

    assert code == USAGE
    err = capsys.readouterr().err
    assert "--path" in err
    assert "ANTQ_PATH" in err


def test_whatever_the_arguments_are_json_is_json_and_a_terminal_is_not_driven(path, antq):
    with AntQ(path, start_queues=False) as app:
        odd = {"at": datetime.now(UTC), "set": {1}, "nan": float("nan"), "esc": "\x1b[2J\r[red]"}
        job = app.enqueue(Succeed, odd)

    _, document, _ = antq("show", str(job.id), "--json")
    _, text, _ = antq("show", str(job.id))
    _, table, _ = antq("list")

    assert json.loads(document)["args"]["set"] == [1]
    for shown in (text, table):
        assert "\x1b" not in shown
        assert "\r" not in shown
        assert "[red]" in shown


def test_arguments_that_are_no_utf8_are_shown_and_are_the_same_in_json(path, antq):
    odd = {"file": os.fsdecode(b"report\xff.txt"), "\ud800": ["\udfff\ud83d"]}
    with AntQ(path, start_queues=False) as app:
        job = app.enqueue(Succeed, odd)

    _, document, _ = antq("show", str(job.id), "--json")
    _, documents, _ = antq("list", "--json")
    _, text, _ = antq("show", str(job.id))
    _, table, _ = antq("list")
    code, lines, _ = antq("export")

    assert json.loads(document)["args"] == json.loads(documents)[-1]["args"] == odd
    for shown in (text, table):
        assert r"report\udcff.txt" in shown
    assert code == 0
    assert json.loads(lines.splitlines()[-1])["id"] == job.id


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_every_command_has_examples(command, capsys):
    code = run([command, "--help"])

    assert code == 0
    assert f"  antq {command}" in capsys.readouterr().out


def test_without_a_command_help_lists_them_all(capsys):
    code = run([])

    assert code == 0
    out = capsys.readouterr().out
    assert [name for name in COMMANDS if f"  {name} " not in out] == []


def test_version_is_the_one_of_the_package(capsys):
    code = run(["--version"])

    assert (code, capsys.readouterr().out) == (0, "antq 0.1.0\n")


@pytest.mark.parametrize(
    ("target", "hint"),
    [
        ("shop", "shop.jobs:app"),
        ("nowhere:app", "no module 'nowhere'"),
        ("its_jobs:application", "did you mean its_jobs:app?"),
        ("its_jobs:number", "an AntQ is needed"),
        ("its_jobs:number", "did you mean its_jobs:app?"),
        ("its_jobs:Greet", "<class 'its_jobs.Greet'>"),
        ("its_jobs:make", "takes no arguments"),
        ("its_jobs.py:app", "names a file; write its module: its_jobs:app"),
        ("shop/its_jobs.py:app", "names a file; write its module: shop.its_jobs:app"),
        ("json:dumps", "an AntQ is needed"),
    ],
)
def test_start_explains_what_is_wrong_with_its_target(target, hint, tmp_path, monkeypatch, capsys):
    (tmp_path / "its_jobs.py").write_text(
        "from antq_actors import AntQ, Worker\napp = AntQ()\nnumber = 7\n"
        "def make(path): return AntQ(path)\n"
        "class Greet(Worker):\n    def perform(self, job): ...\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)

    code = run(["start", target])

    assert code == USAGE
    assert hint in capsys.readouterr().err


@pytest.mark.parametrize("count", ["0", "-1", "x", "1.5", ""])
def test_start_refuses_a_number_of_processes_that_is_none(count, capsys):
    code = run(["start", "its_app:app", "--processes", count])

    assert code == USAGE
    err = capsys.readouterr().err
    assert "--processes" in err
    assert err.count("\n") == 1


def test_start_of_an_application_that_cannot_start_is_no_traceback(tmp_path):
    (tmp_path / "its_app.py").write_text("from antq_actors import AntQ\napp = AntQ('its_app.py')\n")
    done = run_python("-m", "antq_actors", "start", "its_app:app", cwd=tmp_path, timeout=30)

    assert done.returncode == REFUSED
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1] == (
        f"antq: {tmp_path}/its_app.py is a file; a store is a directory: give another path"
    )


ENQUEUES = """
from antq_actors import AntQ
from its_app import Touch
with AntQ('store', start_queues=False) as app:
    app.enqueue(Touch)
"""


@pytest.mark.parametrize("target", ["its_app:app", "its_app:make"])
def test_start_runs_an_application_until_a_signal_and_exits_0(target, tmp_path):
    (tmp_path / "its_app.py").write_text(
        "from antq_actors import AntQ, Worker\n"
        "class Touch(Worker):\n"
        "    def perform(self, job):\n"
        "        open('touched', 'w').close()\n"
        "app = AntQ('store')\n"
        "def make():\n"
        "    return app\n"
    )
    process = subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, "-m", "antq_actors", "start", target],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        until((tmp_path / "store" / "data.mdb").exists)
        run_python("-c", ENQUEUES, cwd=tmp_path, timeout=30, check=True)
        until((tmp_path / "touched").exists)

        os.kill(process.pid, signal.SIGTERM)
        _, err = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()

    assert process.returncode == 0, err
    assert "Traceback" not in err


@pytest.mark.parametrize("more", [(), ("--processes", "2")])
def test_start_lets_what_runs_end_when_its_terminal_is_closed(tmp_path, more):
    (tmp_path / "its_app.py").write_text(
        "import os, time\n"
        "from antq_actors import AntQ, Worker\n"
        "class Touch(Worker):\n"
        "    def perform(self, job):\n"
        "        open('begun', 'w').close()\n"
        "        while not os.path.exists('go'): time.sleep(0.01)\n"
        "        open('done', 'w').close()\n"
        "app = AntQ('store')\n"
    )
    run_python("-c", ENQUEUES, cwd=tmp_path, timeout=30, check=True)
    terminal, its_side = pty.openpty()
    command = [sys.executable, "-m", "antq_actors", "start", "its_app:app", *more]
    in_terminal = (
        "import fcntl, os, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
        f"os.execv({sys.executable!r}, {command})"
    )
    process = subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, "-c", in_terminal],
        cwd=tmp_path,
        stdin=its_side,
        stdout=its_side,
        stderr=its_side,
        start_new_session=True,
    )
    os.close(its_side)
    try:
        until((tmp_path / "begun").exists)

        os.close(terminal)
        (tmp_path / "go").touch()

        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
    assert (tmp_path / "done").exists()
    with AntQ(tmp_path / "store", start_queues=False) as app:
        (job,) = app.list_workers()
    assert (job.status, job.attempts, job.interruptions) == ("completed", 1, 0)


def test_output_into_a_closed_pipe_is_no_traceback(path):
    done = subprocess.run(  # noqa: S602 - a pipe between two programs is what it is about
        f"{sys.executable} -m antq_actors list --path {path} --json | true",
        shell=True,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert "Traceback" not in done.stderr


def test_an_id_that_is_no_number_is_named(antq):
    code, _, err = antq("cancel", "1", "abc")

    assert code == USAGE
    assert err.endswith("got 'abc'\n")


@pytest.mark.parametrize(
    ("command", "what"), [("cancel", "[ID]"), ("run-now", "[ID]"), ("pause", "{QUEUE}")]
)
def test_the_help_says_which_commands_take_several(command, what, capsys):
    code = run([command, "--help"])

    assert code == 0
    assert f"antq {command} [OPTIONS] {what}...\n" in capsys.readouterr().out
