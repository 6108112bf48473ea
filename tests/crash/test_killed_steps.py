"""A process that is killed again and again runs no completed step of its job twice.

Also a short run of ``make steps``.
"""

import random
import subprocess
import sys
from pathlib import Path

import killed_steps
import pytest
from stepped_jobs import STEPS

from antq_actors import AntQ, Status

PROGRAM = Path(__file__).parent / "stepped_jobs.py"


def test_no_completed_step_runs_again_and_effects_keep_their_order(tmp_path):
    store, effects = tmp_path / "store", tmp_path / "effects"
    effects.touch()
    chance = random.Random(7)
    completed: dict[int, int] = {}
    while not has_ended(store, effects, completed, chance.randint(1, 4)):
        pass

    numbers = numbers_in(effects)
    assert numbers == sorted(numbers)
    assert sorted(completed) == list(range(STEPS))
    # One that was under way at a kill may have run before; one that was completed never again.
    assert {number: numbers.count(number) for number in completed} == completed
    with AntQ(store, start_queues=False) as app:
        assert app.get_job(1).status is Status.COMPLETED
        assert app.verify() == []


def numbers_in(effects):
    return [int(line) for line in effects.read_text().split()]


def has_ended(store, effects, completed, steps):
    """Run the program, and kill it after so many new steps; return whether its job has ended.

    Note of each step, when it is reported first, how often it has run.
    """
    command = [sys.executable, PROGRAM, store, effects]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        for line in process.stdout:
            what, number = line.split()[:2]
            if what == "took" and int(number) not in completed:
                completed[int(number)] = numbers_in(effects).count(int(number))
                steps -= 1
            if steps <= 0 and len(completed) < STEPS:
                process.kill()  # and read on: it may have come to its end before
        return process.wait() == 0


def test_no_completed_step_of_several_jobs_runs_again_however_often_nodes_are_killed(tmp_path):
    outcome = killed_steps.run(tmp_path / "store", kills=8)

    assert outcome.findings == []
    assert outcome.kills == 8
    assert outcome.executions > outcome.jobs >= 8
    assert outcome.steps >= outcome.jobs * killed_steps.STEPS


WHOLE = [
    line
    for number in range(killed_steps.STEPS)
    for line in (f"runs {number} a", f"took {number} a", f"passed {number + 1} -")
]


@pytest.mark.parametrize(
    ("lines", "findings"),
    [
        (["begins 0 -", *WHOLE], []),
        (["runs 0 b", "begins 0 -", *WHOLE, "begins 20 -", "took 0 a"], []),
        ([*WHOLE, "begins 19 -"], ["it begins at 19, though it has passed 20"]),
        ([*WHOLE, "runs 19 b"], ["its step 19 runs again"]),
        (["runs 1 b", *WHOLE], ["its step 0 runs after 1"]),
        ([*WHOLE, "took 3 b"], ["its step 3 is b, and was a"]),
        (["took 0 a"], ["it has completed only [0]"]),
    ],
)
def test_what_is_wrong_in_what_a_job_in_steps_wrote_down_is_found(lines, findings):
    assert list(killed_steps.find_wrong(lines)) == findings
