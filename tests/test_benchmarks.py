"""The benchmarks run; what they measure is for people to read."""

import json

import pytest
from support.benches import BENCHMARKS, LONGEST, run

pytestmark = pytest.mark.timeout(1.1 * LONGEST)

MEASURES = "main(__doc__, bench"  # how a program that measures ends


@pytest.fixture(scope="module")
def short_run(tmp_path_factory):
    """Return what one short run of everything printed, and the numbers it wrote."""
    file = tmp_path_factory.mktemp("benchmarks") / "numbers.json"
    done = run("run.py", "--short", "--peers", "none", "--json", file)
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads(file.read_text())


def test_a_run_has_the_measures_of_every_benchmark_in_the_folder(short_run):
    _, numbers = short_run

    programs = {file.stem for file in BENCHMARKS.glob("*.py") if MEASURES in file.read_text()}
    assert set(numbers["measures"]) == programs
    assert all(numbers["measures"].values())


def test_each_measure_stands_in_the_table_and_is_positive(short_run):
    printed, numbers = short_run

    measures = [measure for found in numbers["measures"].values() for measure in found]
    assert [m["name"] for m in measures if m["name"] not in printed] == []
    assert [m["name"] for m in measures if min(m["rounds"]) <= 0] == []


def test_a_table_begins_with_what_it_was_measured_on(short_run):
    printed, numbers = short_run

    for what, value in numbers["machine"].items():
        assert f"{what:10}{value}" in printed


def test_a_benchmark_runs_alone():
    done = run("latency.py", "--short")

    assert done.returncode == 0, done.stderr
    assert "perform_async to perform, idle, durable, p50" in done.stdout


def test_an_option_that_there_is_not_is_refused():
    done = run("run.py", "--shrot")

    assert done.returncode == 2
    assert "--shrot" in done.stderr
