"""``antq start --reload``: a real program in a folder whose files are changed."""

import signal
import sys

import pytest
from support.programs import Program

from antq_actors import AntQ, Status, worker
from antq_actors.cli import REFUSED, USAGE, run

MODULE = '''
"""An application whose jobs say which version of the file runs them."""
import os, time
from pathlib import Path
from antq_actors import AntQ, worker

app = AntQ("store", queues={"default": 2})
VERSION = 1

@worker(name="reload:version", max_attempts=1)
def version():
    os.write(1, f"version {VERSION}\\n".encode())

@worker(name="reload:wait", max_attempts=1)
def wait():
    os.write(1, b"waits\\n")
    while not Path("go").exists():
        time.sleep(0.005)
'''


@worker(name="reload:version")
def version():
    pass


@worker(name="reload:wait", max_attempts=1)
def wait():
    pass


class Reloading:
    """``antq start --reload`` in a folder with one file."""

    def __init__(self, folder):
        self.folder = folder
        self.file = folder / "shop_here.py"
        self.file.write_text(MODULE)
        self.app = AntQ(folder / "store", start_queues=False)

    def start(self):
        command = ("-m", "antq_actors", "start", "shop_here:app", "--reload")
        self.program = Program(command, self.folder)
        self.errors_until("antq: path")

    def errors_until(self, beginning):
        """Read what it says on standard error until a line begins like this; return all."""
        lines = []
        while not (lines and lines[-1].startswith(beginning)):
            lines.append(self.program.process.stderr.readline())
            assert lines[-1], lines
        return lines

    def change(self, old, new):
        text = self.file.read_text()
        assert old in text
        self.file.write_text(text.replace(old, new))

    def end(self, number=signal.SIGINT):
        self.program.send(number)
        return self.program.end()


@pytest.fixture
def reloading(tmp_path):
    pytest.importorskip("watchfiles")
    reloading = Reloading(tmp_path)
    with reloading.app:
        reloading.start()
        yield reloading
        (tmp_path / "go").touch()
        if reloading.program.process.poll() is None:
            reloading.end(signal.SIGTERM)


def test_it_starts_anew_at_a_change_and_waits_for_the_mend_of_a_mistake(reloading):
    reloading.app.enqueue(version)
    assert reloading.program.line() == "version 1"

    reloading.change("VERSION = 1", "VERSION = 1 +")
    said = reloading.errors_until("antq: the process ended")
    assert "antq: a file has changed, so the application starts anew\n" in said
    assert "SyntaxError" in "".join(said)
    assert said[-1] == (
        "antq: the process ended with exit code 1; it starts again when a file has changed\n"
    )
    reloading.app.enqueue(version)

    reloading.change("VERSION = 1 +", "VERSION = 2")
    assert reloading.program.line() == "version 2"

    reloading.change("VERSION = 2", "VERSION = 2 +")
    reloading.errors_until("antq: the process ended")
    code, _, errors = reloading.end()  # while it waits for the next mend
    assert (code, errors) == (0, "antq: stopped\n")


def test_jobs_that_run_at_a_change_or_a_second_ctrl_c_are_given_back(reloading):
    job = reloading.app.enqueue(wait)
    assert reloading.program.line() == "waits"

    reloading.change("VERSION = 1", "VERSION = 2")

    assert reloading.program.line() == "waits"
    found = reloading.app.get_job(job.id)
    assert (found.status, found.attempts, found.errors) == (Status.RUNNING, 1, ())

    reloading.errors_until("antq: path")
    reloading.program.send(signal.SIGINT)
    assert reloading.errors_until("antq: stopping")[-1] == "antq: stopping: 1 job runs\n"
    code, _, errors = reloading.end()
    assert (code, errors) == (0, "antq: interrupting 1 job\nantq: stopped\n")
    found = reloading.app.get_job(job.id)
    assert (found.status, found.attempts, found.errors) == (Status.ENQUEUED, 0, ())


def test_several_processes_are_refused(capsys):
    assert run(["start", "shop:app", "--reload", "--processes", "2"]) == USAGE

    assert "leave out --processes" in capsys.readouterr().err


def test_without_watchfiles_it_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "watchfiles", None)

    assert run(["start", "shop:app", "--reload"]) == REFUSED

    said = capsys.readouterr().err.splitlines()[-1]
    assert said == "antq: --reload needs watchfiles: pip install 'antq-actors[reload]'"
