"""A process that is killed again and again runs no completed step of its job twice.

Also a short run of ``make steps``.
"""

import random
import signal

import killed_nodes
import killed_steps
import pytest
import stepped_jobs
from stepped_jobs import STEPS

from antq_actors import AntQ, Status


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
    """Perform the job in a process that is killed after so many new steps; return whether it ended.

    Note of each step, when it is reported first, how often it has run.
    """
    server = killed_nodes.fork_server("stepped_jobs")
    ours, theirs = server.Pipe(duplex=False)
    process = server.Process(target=stepped_jobs.run, args=(str(store), str(effects), theirs))
    process.start()
    theirs.close()
    with ours:
        for number in iter(lambda: reported(ours), None):
            if number not in completed:
                completed[number] = numbers_in(effects).count(number)
                steps -= 1
            if steps <= 0 and len(completed) < STEPS:
                process.kill()  # and read on: it may have come to its end before
    process.join()
    assert process.exitcode in {0, -signal.SIGKILL}
    return process.exitcode == 0


def reported(reports):
    """Return the next step that was reported; None: the process has ended."""
    try:
        return reports.recv()
    except (EOFError, ConnectionResetError):
        return None


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
