"""What the tests of an application share."""

import time

from antq_actors import Status, Worker, worker

ENDED = {Status.COMPLETED, Status.FAILED, Status.CANCELLED}
LONGEST = 80.0
"""Seconds: what takes longer hangs, also on a busy machine."""

STORE_TIMEOUT_SECONDS = 25.0
"""Less than the 30 s for which an application waits for a store that refuses, or for its jobs."""


class Plain(Worker):
    def perform(self, job):
        pass


class Fails(Worker):
    def perform(self, job):
        raise ValueError("no")


@worker
def send(email):
    pass


def until(condition, what="it", *, every=0.002):
    """Wait for a condition that a thread or process brings about; return what it returns.

    *every*: so many seconds it is looked at.
    """
    deadline = time.monotonic() + LONGEST
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"{what} did not happen within {LONGEST:g} s"
        time.sleep(every)
    return answer


def until_flushed(storage_actor):
    """Wait until a storage actor that has just begun has no message of its own to come."""
    cell = storage_actor.cell
    until(lambda: not (cell.inline_actor._is_flush_due or cell.mailbox.turns), "its first flush")


def settled(app, job, *statuses):
    """Return the job once it has one of the statuses, by default an end."""
    wanted = set(statuses) or ENDED

    def look():
        now = app.get_worker(job.id)
        return now if now.status in wanted else None

    return until(look, f"job {job.id} {sorted(wanted)}")
