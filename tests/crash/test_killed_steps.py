"""A process that is killed again and again runs no completed step of its job twice."""

import random
import subprocess
import sys
from pathlib import Path

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
            if steps == 0 and len(completed) < STEPS:
                process.kill()
                return False
        return process.wait() == 0
