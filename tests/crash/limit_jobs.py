"""Workers with limits, for many processes at once: they write down when they started, and whether
more of a key are under way than may be.
"""

import os
import time

import journal
from flow_jobs import place

from antq_actors import Concurrency, RateLimit, Worker

PER_SECOND = 100
BURST = 5
"""With 1, nothing would make up for a late start."""
STARTS = "starts"
"""The file with a line for each start, in the order of the starts."""


class Limited(Worker, max_attempts=5, retry_delay=0.01):
    """Takes ``seconds`` and one place of its key ``of``; of ten, one attempt ``fails``."""

    def perform(self, job):
        _note(job, job.id)
        with place(job):
            time.sleep(job.args["seconds"])
        if job.args["fails"] and job.attempts == 1:
            raise ValueError("once")


class One(Limited, concurrency=Concurrency(1, key="of"), name="limits:One"):
    """One at a time of each key."""


class Three(Limited, concurrency=Concurrency(3, key="of"), name="limits:Three"):
    """Three at a time of each key."""


LIMITED = {1: One, 3: Three}
"""By their limits."""


class InOrder(
    Worker,
    max_attempts=5,
    retry_delay=0.02,
    concurrency=Concurrency(1, key="of", order="strict"),
    name="limits:InOrder",
):
    """One after the other of each chain ``of``, in the order of ``number``."""

    def perform(self, job):
        _note(job, job.args["number"])
        time.sleep(job.args["seconds"])
        if job.args["fails"] and job.attempts == 1:
            raise ValueError("once")


class Metered(
    Worker,
    rate_limit=RateLimit(PER_SECOND, per=1, burst=BURST, key="of"),
    name="limits:Metered",
):
    """Starts so often in each second, of each key."""

    def perform(self, job):
        _note(job, job.started_at.timestamp())


def _note(job, what):
    """Write a line with the key and *what*: at once, and as a whole."""
    file = os.open(journal.directory() / STARTS, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(file, f"{job.args['of']} {what}\n".encode())
    finally:
        os.close(file)


def starts(directory):
    """Return what was written, by key: what each start said, in their order."""
    found = {}
    if (directory / STARTS).exists():
        for line in (directory / STARTS).read_text().splitlines():
            key, said = line.split()
            found.setdefault(key, []).append(said)
    return found
