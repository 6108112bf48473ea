"""``antq top`` as a command: a snapshot, and what is refused."""

import re

import pytest
from support.apps import settled
from support.programs import run_python
from support.terminals import HOSTILE, STORABLE, FailsOnce

from antq_actors import AntQ
from antq_actors.cli import run

TABS = ("Overview", "Jobs", "Queues", "Tree", "Nodes")


@pytest.fixture
def path(tmp_path):
    with AntQ(tmp_path / "shop", queues={"default": 1, "mail": 1}) as app:
        app.queue("mail").pause(by="ada", reason=STORABLE)
        failed = FailsOnce.perform_async({"text": HOSTILE, HOSTILE: 1, "password": "hunter2"})
        settled(app, failed)
        FailsOnce.perform_async(queue="mail")
    return tmp_path / "shop"


def top(capsys, path, *options):
    code = run(["top", "--path", str(path), *options])
    out, err = capsys.readouterr()
    return code, out, err


def test_a_snapshot_has_every_tab(path, capsys):
    code, out, _ = top(capsys, path, "--once")

    assert code == 0
    assert tuple(line for line in out.splitlines() if line in TABS) == TABS
    assert "1 waiting" in out
    assert "Queue 'mail' is paused by ada" in out
    assert re.search(r"1 +■ failed +FailsOnce +default +1/1 ", out)
    assert re.search(r"mail +‖ paused by ada", out)
    assert "No process runs queues of this store." in out


def test_a_snapshot_shows_no_secret_and_nothing_that_controls_a_terminal(path, capsys):
    _, out, _ = top(capsys, path, "--once")

    assert "hunter2" not in out
    assert all(line.isprintable() for line in out.split("\n"))
    assert r"\x1b[2J" in out


def test_a_snapshot_in_ascii_has_ascii_alone(path, capsys):
    _, out, _ = top(capsys, path, "--once", "--ascii")

    assert out.isascii()
    assert re.search(r"1 +# failed +FailsOnce ", out)


def test_a_snapshot_for_an_output_without_the_shapes_is_in_ascii(path):
    done = run_python(
        "-c",
        "from antq_actors.cli import main; main()",
        *("top", "--once", "--path", path),
        env={"PYTHONIOENCODING": "latin-1", "PATH": ""},
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert "# failed" in done.stdout


def test_a_snapshot_imports_no_textual(path):
    program = (
        "import sys; from antq_actors.cli import run;"
        f"assert run(['top', '--once', '--path', {str(path)!r}]) == 0;"
        "print('textual' in sys.modules)"
    )
    done = run_python("-c", program)

    assert done.stdout.splitlines()[-1] == "False", done.stderr


@pytest.mark.parametrize("options", [(), ("--once",)])
def test_a_path_without_a_store_is_refused_and_nothing_is_made(tmp_path, capsys, options):
    code, out, err = top(capsys, tmp_path / "none", *options)

    assert (code, out) == (1, "")
    assert "there is no store" in err
    assert not (tmp_path / "none").exists()


def test_without_a_terminal_it_says_what_to_write_instead(path, capsys):
    code, out, err = top(capsys, path)

    assert (code, out) == (1, "")
    assert "`antq top --once`" in err


def test_an_interval_that_is_none_is_wrong_usage(path, capsys):
    code, _, err = top(capsys, path, "--interval", "0")

    assert code == 2
    assert "--interval" in err


def test_a_snapshot_of_an_empty_store_says_what_would_fill_it(tmp_path, capsys):
    with AntQ(tmp_path / "empty", start_queues=False):
        pass

    code, out, _ = top(capsys, tmp_path / "empty", "--once")

    assert code == 0
    assert "All is well. No job has ended yet." in out
    assert "There are no jobs." in out
    assert "There is no queue." in out
