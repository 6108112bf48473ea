"""Workers that run as tasks of a Ray cluster, and bring about more than themselves."""

import os
from pathlib import Path

from antq_actors import Fail, Worker, Workflow, worker

ON_RAY = {"executor": "ray", "ray": {"num_cpus": 0.25}}


def line(journal, text):
    """Write a line into a file, and return it."""
    with Path(journal).open("a") as file:
        file.write(f"{text}\n")
    return text


@worker(**ON_RAY, result=True)
def value(n: int) -> int:
    """Return the number, or fail for a negative one."""
    return Fail("negative") if n < 0 else n


@worker(**ON_RAY, result=True)
def add_up(numbers: object) -> int:
    return sum(numbers)


class Composes(Worker, **ON_RAY, result=True, max_attempts=3, retry_delay=0):
    """Does what its argument says."""

    def perform(self, job):
        return getattr(self, job.args["do"])(job)

    def follow_up(self, job):
        for n in range(3):
            job.follow_up(value, {"n": n}, schedule_in=3600 if n == 2 else None)

    def follow_up_and_fail(self, job):
        job.follow_up(value, {"n": job.attempts})
        if job.attempts < 2:
            raise ValueError("not yet")

    def add_members(self, job):
        batch = job.batch
        assert batch.enqueue(value, {"n": 2}) is None
        assert batch.enqueue_many(value, [{"n": n} for n in (3, 4)]) is None
        assert batch.status().total == 1

    def see_batch(self, job):
        status = job.batch.status()
        return [job.batch.name, status.total, status.completed]

    def wait_for_other(self, job):
        return job.batch.results().__next__()

    def wait_for_another(self, job):
        other = value.perform_async(n=5)
        try:
            other.result()
        except ValueError as refused:
            return [other.result(timeout=60), str(refused)]

    def add_to_workflow(self, job):
        added = job.workflow.add(value, {"n": 8}, name="added")
        job.workflow.add_many(value, [{"n": 9}], after=added)
        return added.name

    def expand(self, job):
        part = Workflow("part")
        numbers = part.add_many(value, [{"n": n} for n in (1, 2, 3)])
        part.add(add_up, {"numbers": numbers.outputs}, name="sum")
        job.expand(part)
        return [job.workflow.name, min(job.workflow.status().nodes).value]

    def look_upstream(self, job):
        return dict(job.upstream)

    def take_steps(self, job):
        journal = job.args["journal"]
        first = job.step("first", line, journal, "first")
        key = job.step_key("first")
        if job.attempts < 3:
            job.step(f"attempt {job.attempts}", line, journal, job.attempts)
            raise ValueError("again")
        return [first, key, job.step("last", line, journal, text="last")]

    def pass_checkpoints(self, job):
        found = job.checkpointed
        job.checkpoint([job.attempts, "stored"], every=3600)
        job.checkpoint([job.attempts, "held"], every=3600)
        if job.attempts < 3:
            raise ValueError("again")
        return found

    def pass_checkpoints_and_crash(self, job):
        if job.checkpointed is not None:
            return len(job.checkpointed)
        size = job.args["size"]
        job.checkpoint(b"stored", every=3600)
        for number in (1, 2):  # the second one is sent when the first one has arrived
            job.checkpoint(bytes(size + number), every=3600)
        os.abort()

    def report(self, job):
        job.progress(0.25, "a quarter")
        while not Path(job.args["go"]).exists():
            if job.cancelled():
                return


class Awaits(Worker, **ON_RAY, result=True):
    """A coroutine that takes a step and asks for another job."""

    async def perform(self, job):
        async def fetch(text):
            return text

        fetched = await job.astep("fetch", fetch, "page")
        job.follow_up(value, {"n": 1})
        return fetched
