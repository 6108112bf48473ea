"""Runs a job of twenty steps until it has ended, in a process that is killed meanwhile.

Each step writes its number to the file of effects, which is on disk before the step returns.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from antq_actors import AntQ, Job, Status, worker

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

STEPS = 20
LONGEST_SECONDS = 60
"""That the job may take in one process."""

_reports: list[Connection] = []
"""To which the job sends the number of each step that it has taken."""


def effect(path: str, number: int) -> int:
    with open(path, "a") as file:  # noqa: PTH123 - as plain as can be
        file.write(f"{number}\n")
        file.flush()
        os.fsync(file.fileno())
    return number


@worker(name="stepped")
def stepped(path: str, job: Job) -> None:
    for number in range(STEPS):
        assert job.step(str(number), effect, path, number) == number
        job.checkpoint(number, every=0)
        _reports[-1].send(number)


def run(store: str, effects: str, reports: Connection) -> None:
    """Be a process that performs the job. Exits with 1 when it is not completed in the end."""
    logging.basicConfig(level=logging.CRITICAL)
    _reports.append(reports)
    with AntQ(store, queues={"default": 1}, max_interruptions=10_000) as app:
        if not app.count_jobs():
            app.enqueue(stepped, {"path": effects})
        app.wait_idle(timeout=LONGEST_SECONDS)
        if app.get_job(1).status is not Status.COMPLETED:
            raise SystemExit(1)
