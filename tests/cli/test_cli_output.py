"""The command on every kind of output: narrow terminals, ASCII, closed, full; and wrong input."""

import fcntl
import io
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from contextlib import suppress
from pathlib import Path

import pytest

from antq_actors import AntQ, Worker
from antq_actors.cli import REFUSED, USAGE, run

ANTQ = [sys.executable, "-m", "antq_actors"]
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
C_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


class Greet(Worker, name="grüße:Grüßen"):
    def perform(self, job): ...


@pytest.fixture
def path(tmp_path):
    """A store with two cancelled jobs, one of a long id; names and arguments are not ASCII."""
    path = tmp_path / "läden"
    with AntQ(tmp_path / "source", start_queues=False) as app:
        app.enqueue(Greet, {"wo": "Köln ✓ " * 20}, queue="grüße")
        app.cancel_worker(1)
        head, line = list(app.export_jobs())
    error = {"attempt": 1, "error": "ünï ✓", "at": "2026-01-01T00:00:00Z"}
    document = json.loads(line) | {"errors": [error], "id": 10**9}
    with AntQ(path, start_queues=False) as app:
        app.import_jobs([head, line, json.dumps(document)])
        assert [job.id for job in app.list_workers()] == [1, 10**9]
    return path


def antq(*arguments, then="", env=None):
    """Run the command as a process of its own; *then*: what follows it on a command line."""
    return subprocess.run(  # noqa: S603 - our own command
        ["/bin/sh", "-c", f'"$@" {then}', "sh", *ANTQ, *map(str, arguments)],
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def into(monkeypatch, capfd):
    """Returns the exit code, the output and the errors of a command in this process."""

    def into(stdout, *arguments):
        monkeypatch.setattr(sys, "stdout", stdout)
        code = run([str(each) for each in arguments])
        return code, capfd.readouterr().err

    return into


@pytest.fixture
def on_a_terminal(into, monkeypatch):
    """Returns what a command shows on a terminal of so many columns, without colours."""

    def on_a_terminal(width, *arguments):
        monkeypatch.setenv("COLUMNS", str(width))
        terminal = Terminal(io.BytesIO(), encoding="utf-8", write_through=True)
        assert into(terminal, *arguments) == (0, "")
        return ESCAPES.sub("", terminal.buffer.getvalue().decode())

    return on_a_terminal


class Terminal(io.TextIOWrapper):
    def isatty(self):
        return True


def on_a_real_terminal(width, *arguments):
    """Return what the command shows, as a process of its own, on a terminal of so many columns."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    env = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES"}}
    process = subprocess.Popen(  # noqa: S603 - our own command
        [*ANTQ, *map(str, arguments)], stdin=its, stdout=its, stderr=its, env=env
    )
    os.close(its)
    shown = b""
    try:
        while piece := os.read(ours, 65_536):
            shown += piece
    except OSError:  # how a terminal says that nobody has its other end any more
        pass
    finally:
        os.close(ours)
    assert process.wait(timeout=60) == 0
    return ESCAPES.sub("", shown.decode()).replace("\r", "")


@pytest.mark.parametrize("width", [8, 20, 40, 60, 80, 200])
def test_list_shows_ids_whole_on_a_terminal_of_any_width(path, on_a_terminal, width):
    title, *rows = on_a_terminal(width, "list", "--path", path).splitlines()

    assert title.split()[0] == "id"
    assert [row.split()[0] for row in rows] == [str(10**9), "1"]
    assert all(len(row) <= max(width, 10) for row in rows)


@pytest.mark.parametrize(
    ("width", "titles"),
    [
        (20, ["id"]),
        (40, ["id", "status", "queue", "worker"]),
        (60, ["id", "status", "queue", "attempts", "worker"]),
        (200, ["id", "status", "queue", "attempts", "worker", "when", "args"]),
    ],
)
def test_list_leaves_out_columns_where_a_terminal_is_narrow(path, on_a_terminal, width, titles):
    assert on_a_terminal(width, "list", "--path", path).splitlines()[0].split() == titles


def test_a_real_terminal_is_asked_for_its_width(path):
    shown = on_a_real_terminal(40, "list", "--path", path)

    assert [line.split()[0] for line in shown.splitlines()] == ["id", str(10**9), "1"]
    assert "attempts" not in shown


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        ([], ["1000000000", "1"]),
        (["--oldest"], ["1", "1000000000"]),
        (["--after", "0"], ["1", "1000000000"]),
        (["--before", "1000000000"], ["1"]),
        (["--after", "0", "--newest"], ["1000000000", "1"]),
    ],
    ids=" ".join,
)
def test_a_terminal_shows_the_newest_first_unless_it_goes_on_after_an_id(
    path, on_a_terminal, options, ids
):
    _, *rows = on_a_terminal(80, "list", "--path", path, *options).splitlines()

    assert [row.split()[0] for row in rows] == ids


@pytest.mark.parametrize("width", [8, 20, 40, 60, 80])
def test_nodes_shows_names_and_numbers_whole_on_a_terminal_of_any_width(path, on_a_terminal, width):
    shown = on_a_terminal(width, "nodes", "--path", path)

    assert "…" not in shown
    assert {"grüße", "cancelled", "2"} <= set(shown.split())


def test_nodes_shows_how_many_jobs_are_due_and_since_when(path, on_a_terminal):
    with AntQ(path, start_queues=False) as app:
        since = app.enqueue(Greet, queue="grüße").scheduled_at.astimezone()
        app.enqueue(Greet, queue="grüße", schedule_in=3600)

    titles, row = on_a_terminal(200, "nodes", "--path", path).splitlines()[-2:]

    assert titles.split()[-2:] == ["due", "since"]
    assert row.split()[-3:] == ["1", *since.isoformat(" ", "seconds").split()]
    assert run(["nodes", "--path", str(path), "--json"]) == 0


LOOKS = [["list"], ["list", "--json"], ["show", "1"], ["show", "1", "--json"], ["nodes"]]
LOOKS += [["nodes", "--json"], ["count", "--by-status"], ["export"]]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
@pytest.mark.parametrize("command", [*LOOKS, ["verify"]], ids=" ".join)
def test_output_that_lacks_characters_shows_them_as_escapes(path, into, encoding, command):
    stdout = io.TextIOWrapper(io.BytesIO(), encoding=encoding, write_through=True)

    assert into(stdout, *command, "--path", path) == (0, "")

    if "--json" in command:
        assert "grüße" in str(json.loads(stdout.buffer.getvalue().decode(encoding)))


def test_a_store_in_a_path_that_is_not_ascii_is_used_in_an_ascii_locale(path):
    copy = path.with_name("kopie✓")

    done = [
        antq(*command, env=C_LOCALE)
        for command in (("backup", copy, "--path", path), ("list", "--path", copy))
    ]

    assert [(each.returncode, each.stderr) for each in done] == [(0, b"")] * 2


@pytest.mark.parametrize("command", LOOKS, ids=" ".join)
def test_a_look_into_closed_output_is_one_line_and_exit_code_1(path, into, command):
    code, err = into(None, *command, "--path", path)

    assert code == REFUSED
    assert err == "antq: standard output is closed, so nothing can be shown\n"


@pytest.mark.parametrize("command", [*LOOKS, ["verify"], ["cancel", "1"]], ids=" ".join)
def test_full_output_is_one_line_that_says_that_it_is_the_output(path, into, command):
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        code, err = into(full, *command, "--path", path)
        with suppress(OSError):
            full.close()

    assert code == REFUSED
    assert err.startswith("antq: ")
    assert "tandard output cannot be written: No space left on device" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("command", [["list"], ["export"]], ids=" ".join)
def test_output_that_nobody_reads_to_its_end_is_no_traceback(path, command):
    done = antq(*command, "--path", path, then="| true")

    assert (done.returncode, done.stderr) == (0, b"")


def test_a_change_is_made_though_output_is_closed(path, into):
    assert into(None, "retry", "1", "--path", path) == (0, "")

    with AntQ(path, start_queues=False) as app:
        assert app.count_workers(status="enqueued") == 1


@pytest.mark.parametrize(
    ("command", "closed", "code"),
    [
        (["list"], ">&-", REFUSED),
        (["import"], "<&-", REFUSED),
        (["show", "99"], "2>&-", REFUSED),
        (["count"], "2>&-", 0),
        (["retry", "1"], ">&- 2>&- <&-", 0),
    ],
    ids=str,
)
def test_closed_streams_are_no_traceback_and_harm_no_store(path, command, closed, code):
    done = antq(*command, "--path", path, then=closed)

    assert done.returncode == code
    assert b"antq: " not in done.stdout  # where standard error is closed, nobody hears of it
    assert b"Traceback" not in done.stderr
    with AntQ(path, start_queues=False) as app:
        assert app.verify() == []


# ---- wrong input ----------------------------------------------------------------------------


@pytest.fixture
def refused(capsys):
    """Returns the exit code and the one line of a command that is refused."""

    def refused(*arguments):
        code = run([str(each) for each in arguments])
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        assert err.startswith("antq: ")
        return code, err

    return refused


def test_an_argument_that_is_nested_too_deep_is_wrong_usage(path, refused):
    code, err = refused("list", "--path", path, "--arg", "n=" + "[" * 100_000 + "]" * 100_000)

    assert code == USAGE
    assert "'n' is nested too deeply" in err


@pytest.mark.parametrize("command", ["list", "verify", "compact", "export", "nodes", "import"])
def test_a_path_that_is_a_file_is_one_line(tmp_path, refused, command):
    (tmp_path / "file").touch()

    code, err = refused(command, "--path", tmp_path / "file")

    assert code in {USAGE, REFUSED}
    assert "file" in err


@pytest.mark.parametrize(
    "command", ["list", "info", "compact", "export", "nodes", "import", "count"]
)
def test_a_store_of_something_else_is_one_line(tmp_path, refused, command):
    (tmp_path / "data.mdb").write_bytes(b"something else" * 1_000)

    code, err = refused(command, "--path", tmp_path)

    assert code == REFUSED
    assert "no store of antq_actors" in err


def test_a_job_that_is_nested_too_deep_is_not_imported(tmp_path, refused, path):
    args = '{"a":' * 100_000 + "1" + "}" * 100_000
    file = tmp_path / "deep.jsonl"
    file.write_text(f'{{"antq_export":1}}\n{{"id":1,"args":{args}}}\n')

    code, err = refused("import", file, "--path", path)

    assert code == REFUSED
    assert "line 2 was not imported" in err


@pytest.mark.parametrize(
    "target",
    ["..:app", ".:app", ".its_app:app", "its_app.:app", "a..b:app", "its/app:app", ":app", ""],
)
@pytest.mark.parametrize("more", [[], ["--processes", "2"]], ids=["one", "two"])
def test_start_refuses_a_malformed_target(refused, target, more):
    code, err = refused("start", target, *more)

    assert code == USAGE
    assert f"'{target}' is not MODULE:APP; write for example shop.jobs:app" in err


@pytest.mark.parametrize(
    ("source", "target", "said"),
    [
        ("app = 'x' * 10_000", "app", "an AntQ is needed"),
        ("async def app(): ...", "app", "an AntQ is needed"),
        ("from antq_actors import AntQ\napp = AntQ()", "app", "keeps its jobs in memory"),
        (
            "from antq_actors import AntQ\napp = AntQ('jobs', start_queues=False)",
            "app",
            "was made with start_queues=False",
        ),
    ],
)
def test_start_says_in_one_line_why_there_is_no_application(odd_app, refused, source, target, said):
    file = odd_app(source)

    code, err = refused("start", f"its_odd_app:{target}")

    assert code in {USAGE, REFUSED}
    assert said.replace("FILE", str(file)) in err
    assert len(err) < 1_000


@pytest.mark.parametrize("count", ["1001", "99999999999999999999"])
def test_start_refuses_more_processes_than_a_machine_has(refused, count):
    code, err = refused("start", "its_app:app", "--processes", count)

    assert code == USAGE
    assert "--processes" in err


def test_keys_of_the_environment_that_are_no_text_are_one_line(path, monkeypatch, refused):
    monkeypatch.setenv("ANTQ_SIGNING_KEYS", "\udcff\udcff")

    code, err = refused("verify", "--path", path)

    assert code == REFUSED
    assert "signing key needs 32" in err
