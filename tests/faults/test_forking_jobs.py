"""A child that is forked in a job ends where it leaves the job, and has no part in its tree."""

import os

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")

CODES = {
    "return": 0,
    "raise": 1,
    "exit": 7,
    "text": 1,
    "interrupt": 1,
    "enqueue": 0,
    "own application": 1,
    "thread": 5,
}


def lines_of(program, worker, hows):
    """Run jobs of a worker; return what they said of their children, and their errors."""
    one = program("forking_jobs.py", worker, ",".join(hows))
    status, out, errors = one.end(60)
    assert status == 0, errors
    *lines, parent, states = out.splitlines()
    neighbours = [line for line in lines if line.startswith("neighbour")]
    assert neighbours == [f"neighbour {parent.removeprefix('parent ')}"] * 3
    lines = [line for line in lines if line not in neighbours]
    return sorted(lines), states.split(), errors


@pytest.mark.parametrize(
    ("worker", "where"),
    [
        ("Forks", "thread"),
        ("ForksInAProcess", "process"),
        ("ForksOnALoop", "loop"),
        ("ForksInATask", "task"),
        ("ForksInAThreadOfALoop", "to_thread"),
        ("ForksInALoopOfAThread", "own loop"),
        ("StartsAProcess", "multiprocessing"),
        ("StartsAProcessOnALoop", "multiprocessing"),
    ],
)
def test_a_forked_child_of_a_job_ends_as_one_of_a_plain_thread(program, worker, where):
    codes = dict(CODES)
    if where == "process":
        del codes["enqueue"], codes["own application"]  # what it enqueues goes to its parent's

    lines, states, errors = lines_of(program, worker, codes)

    assert lines == sorted(f"{where} {how} {code}" for how, code in codes.items())
    assert states == ["completed-1-0"] * len(states)
    assert "failed" not in errors
    assert "ValueError: raised in the child" in errors
    assert "the child exits" in errors


def test_a_forked_child_of_a_callback_on_the_loop_ends_there(program):
    lines, states, errors = lines_of(program, "ForksInACallback", ["return", "exit"])

    assert lines == ["callback exit 7", "callback return 0"]
    assert states == ["completed-1-0"] * len(states)
    assert "failed" not in errors


def test_a_forked_child_that_awaits_what_only_its_parent_has_ends_and_says_so(program):
    lines, states, errors = lines_of(program, "ForksAndAwaits", ["return"])

    assert lines == ["awaits return 1"]
    assert states == ["completed-1-0"] * len(states)
    assert "a forked child cannot wait on the event loop of its parent" in errors


def test_a_forked_child_of_calculate_delay_settles_nothing(program):
    lines, states, errors = lines_of(program, "ForksInItsDelay", ["return", "raise", "exit"])

    assert lines == ["delay exit 7", "delay raise 1", "delay return 0"]
    assert sorted(states) == ["completed-1-0"] * 3 + ["completed-2-1"] * 3
    assert errors.count("will retry") == 3


def test_a_job_may_use_a_pool_of_forked_processes(program):
    lines, states, _ = lines_of(program, "StartsAPool", ["return"])

    assert lines == ["pool return True"]
    assert states == ["completed-1-0"] * len(states)
