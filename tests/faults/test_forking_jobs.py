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


@pytest.mark.parametrize(
    ("worker", "hows", "expected", "said"),
    [
        ("ForksInACallback", ["return", "exit"], ["callback exit 7", "callback return 0"], ""),
        (
            "ForksAndAwaits",
            ["return"],
            ["awaits return 1"],
            "a forked child cannot wait on the event loop of its parent",
        ),
        ("StartsAPool", ["return"], ["pool return True"], ""),
    ],
    ids=["callback on the loop", "awaits what only its parent has", "pool"],
)
def test_a_forked_child_on_the_loop_or_of_a_pool_ends_there(program, worker, hows, expected, said):
    lines, states, errors = lines_of(program, worker, hows)

    assert lines == expected
    assert states == ["completed-1-0"] * len(states)
    assert "failed" not in errors.replace(said, "")
    assert said in errors


def test_a_forked_child_of_calculate_delay_settles_nothing(program):
    lines, states, errors = lines_of(program, "ForksInItsDelay", ["return", "raise", "exit"])

    assert lines == ["delay exit 7", "delay raise 1", "delay return 0"]
    assert sorted(states) == ["completed-1-0"] * 3 + ["completed-2-1"] * 3
    assert errors.count("will retry") == 3
