"""Kill nodes that run jobs of twenty steps, and look whether a completed step ever runs again.

    make steps KILLS=1000 JOBS=8

Some jobs are under way at a time. Each writes down what it does, on disk before it goes on: when it
begins, before each step and after it, and after each checkpoint. Exits with 1 when a step runs that
had been completed, gives another value than before, or comes before an earlier one; when a job
begins at a checkpoint that it had passed; or when the store is not whole.
"""

from __future__ import annotations

import os
import random
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

from killed_nodes import Nodes

from antq_actors import AntQ, Job, Status, Worker

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

STEPS = 20
SECONDS_BETWEEN_KILLS = 0.1
"""On average."""
LONGEST_SECONDS = 600


class SteppedJob(Worker, name="killed_steps:SteppedJob"):
    """Takes twenty steps, and passes a checkpoint after each."""

    def perform(self, job: Job) -> None:
        self._write(job, "begins", job.checkpointed or 0)
        for number in range(STEPS):
            value = job.step(str(number), self._step, job, number)
            self._write(job, "took", number, value)
            if number >= (job.checkpointed or 0):
                job.checkpoint(number + 1, every=0)
                self._write(job, "passed", number + 1)

    def _step(self, job: Job, number: int) -> str:
        value = os.urandom(4).hex()
        self._write(job, "runs", number, value)
        return value

    def _write(self, job: Job, what: str, number: int, value: str = "-") -> None:
        file = os.open(job.args["path"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(file, f"{what} {number} {value}\n".encode())
            os.fsync(file)
        finally:
            os.close(file)


class Outcome(NamedTuple):
    """What came of a run."""

    jobs: int
    kills: int
    executions: int
    steps: int
    """How many were run."""
    seconds: float
    findings: list[str]


def run(path: Path, *, kills: int, jobs: int = 8, nodes: int = 2, seed: int = 7) -> Outcome:
    """Let so many *jobs* be under way at a time until there were enough *kills*; look at all.

    Raises RuntimeError for a node that ends by itself.
    """
    chance, began = random.Random(seed), time.monotonic()
    findings: list[str] = []
    path.mkdir(parents=True)
    with AntQ(path, start_queues=False) as app, ExitStack() as at_end:
        alive = Nodes(at_end, path, module="killed_steps", many=nodes, chance=chance)
        while alive.kills < kills:
            for _ in range(jobs - app.count_jobs(status=(Status.ENQUEUED, Status.RUNNING))):
                number = app.count_jobs() + 1
                app.enqueue(SteppedJob, {"path": str(path.with_name(f"{number}.steps"))})
            time.sleep(chance.expovariate(1 / SECONDS_BETWEEN_KILLS))
            alive.kill_one()
        if not app.wait_idle(timeout=LONGEST_SECONDS):
            findings.append("not all jobs end")
        written = [_lines(job) for job in app.list_jobs()]
        findings += [
            f"job {job.id} is {job.status}" for job in app.list_jobs() if not _is_good(job)
        ]
        for number, lines in enumerate(written, 1):
            findings += [f"job {number}: {each}" for each in find_wrong(lines)]
        findings += app.verify()
        alive.kill_all()
    whats = [line.split()[0] for lines in written for line in lines]
    executions, steps = whats.count("begins"), whats.count("runs")
    seconds = time.monotonic() - began
    return Outcome(len(written), alive.kills, executions, steps, seconds, findings)


def _is_good(job: Job) -> bool:
    return job.status is Status.COMPLETED


def _lines(job: Job) -> list[str]:
    with open(job.args["path"], encoding="utf-8") as file:  # noqa: PTH123 - its own text
        return file.read().splitlines()


def find_wrong(lines: Iterable[str]) -> Iterator[str]:
    """Yield what is wrong in what a job that has completed wrote down, one sentence each."""
    taken: dict[int, str] = {}
    latest = passed = 0
    for line in lines:
        what, text, value = line.split()
        number = int(text)
        if what == "begins" and number < passed:
            yield f"it begins at {number}, though it has passed {passed}"
        elif what == "passed":
            passed = number
        elif what == "runs":
            if number in taken:
                yield f"its step {number} runs again"
            if number < latest:
                yield f"its step {number} runs after {latest}"
            latest = number
        elif what == "took" and taken.setdefault(number, value) != value:
            yield f"its step {number} is {value}, and was {taken[number]}"
    if sorted(taken) != list(range(STEPS)):
        yield f"it has completed only {sorted(taken)}"
