"""What type checkers, and so editors, say of programs that use us."""

import json
import runpy
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import get_args

import pytest

import antq_actors
from antq_actors.jobs import options
from antq_actors.jobs.options import ExecutorName, JobOptions, WorkerOptions
from antq_actors.jobs.state import Status, StatusName

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CLEAN = sorted(HERE.glob("clean/*.py"))
MISUSE = sorted(HERE.glob("misuse/*.py"))
MARK = "# refused"


def mypy(folder):
    command = [sys.executable, "-m", "mypy", "--strict", "--output", "json", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode in (0, 1), done.stdout + done.stderr
    found = map(json.loads, filter(None, done.stdout.splitlines()))
    return {
        (ROOT / each["file"], each["line"]): each["message"]
        for each in found
        if each["severity"] == "error"
    }


def pyright(folder):
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable]
    done = subprocess.run([*command, folder], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode in (0, 1), done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["summary"]["filesAnalyzed"] == len(list(folder.glob("*.py")))
    return {
        (Path(each["file"]), each["range"]["start"]["line"] + 1): each["message"]
        for each in report["generalDiagnostics"]
        if each["severity"] == "error"
    }


CHECKERS = {"mypy": mypy, "pyright": pyright}


@pytest.fixture(scope="module", params=CHECKERS)
def checker(request):
    """What one of them finds in a folder, by file and line; each folder is checked once."""
    found = {}

    def check(folder):
        if folder not in found:
            found[folder] = CHECKERS[request.param](HERE / folder)
        return found[folder]

    return check


@pytest.mark.parametrize("file", CLEAN, ids=lambda file: file.stem)
def test_a_right_program_is_clean(file, checker):
    assert {line: said for (of, line), said in checker("clean").items() if of == file} == {}


@pytest.mark.parametrize("file", MISUSE, ids=lambda file: file.stem)
def test_each_marked_misuse_is_refused_and_nothing_else(file, checker):
    lines = file.read_text(encoding="utf-8").splitlines()
    marked = {number for number, line in enumerate(lines, start=1) if line.endswith(MARK)}

    refused = {line for of, line in checker("misuse") if of == file}

    assert len(marked) > 10
    assert refused == marked


@pytest.mark.parametrize("file", CLEAN, ids=lambda file: file.stem)
def test_a_right_program_runs(file, light, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    runpy.run_path(str(file))


def test_the_types_of_options_name_what_is_checked():
    assert set(WorkerOptions.__annotations__) == {*options._OF_WORKERS, "name", "cron"}
    assert set(JobOptions.__annotations__) == set(options.JOB_OPTIONS)


def test_the_literals_name_all_there_is():
    assert get_args(ExecutorName) == options.EXECUTORS
    assert get_args(StatusName) == tuple(status.value for status in Status)


def test_the_version_is_that_of_the_distribution():
    assert antq_actors.__version__ == version("antq-actors")
