"""The code stays as easy to find one's way in as it is: what may only shrink, measured."""

import json

import pytest
from support.benches import LONGEST, run

pytestmark = pytest.mark.timeout(1.1 * LONGEST)

MOST_CROSSED_FILES = 37
"""On the path of one lone durable job. These three are counts, and the same in each run, also on a
busy machine."""
MOST_CALLS = 333
MOST_CONCEPTS = 67
MOST_FILES = 452
"""A bound to raise only with a room that is new."""
MOST_SMALL_FILES = 18
"""Users import some of them by their names: those of Flask, Quart, Litestar; Django its apps."""
MOST_END_NAMES = 12
MOST_END_UNIONS = 2


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What the benchmark has measured, as it writes it."""
    file = tmp_path_factory.mktemp("house") / "found.json"
    done = run("house.py", "--json", file)
    assert done.returncode == 0, done.stderr
    return json.loads(file.read_text())


def test_a_job_crosses_no_more_files_calls_and_concepts_than_it_did(found):
    path = found["path"]

    assert path["files"] <= MOST_CROSSED_FILES
    assert path["calls"] <= MOST_CALLS
    assert len(path["concepts"]) <= MOST_CONCEPTS


def test_there_are_no_more_files_and_small_files_than_there_were(found):
    shape = found["shape"]

    assert shape["files"] <= MOST_FILES
    assert len(shape["small_files"]) <= MOST_SMALL_FILES


def test_no_files_import_each_other_in_a_circle(found):
    assert found["shape"]["circles"] == []


def test_there_are_no_more_names_for_how_an_attempt_ended_than_there_were(found):
    shape = found["shape"]

    assert len(shape["end_names"]) <= MOST_END_NAMES
    assert len(shape["end_unions"]) <= MOST_END_UNIONS
