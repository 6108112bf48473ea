"""Workers that the processes of a Ray cluster import; what they do, they note in files."""

import logging
import os
import signal
import sys
import time
from pathlib import Path

from antq_actors import Cancel, Concurrency, Fail, Snooze, Worker, worker


def note(job, text=""):
    """Leave word that the job has come here, in a file of its own."""
    Path(job.args["notes"], f"{job.id}-{job.attempts}-{os.getpid()}").write_text(text)


class Does(Worker, executor="ray", ray={"num_cpus": 0.5}):
    """Does what its argument says."""

    def perform(self, job):
        note(job)
        return getattr(self, job.args["do"])(job)

    def calculate_delay(self, job):
        return 0.0

    def nothing(self, job):
        pass

    def fail(self, job):
        raise ValueError("no such lead")

    def answer_fail(self, job):
        return Fail("not today")

    def answer_cancel(self, job):
        return Cancel("not any more")

    def answer_snooze(self, job):
        return Snooze(3600)

    def exit(self, job):
        sys.exit(3)

    def end_process(self, job):
        os._exit(3)

    def crash(self, job):
        os.abort()

    def terminate(self, job):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)

    def succeed_at_third(self, job):
        if job.attempts < 3:
            raise ValueError(f"attempt {job.attempts}")

    def sleep(self, job):
        time.sleep(job.args.get("seconds", 60))

    def log(self, job):
        logging.getLogger("shop").warning("job %d was here", job.id)

    def enqueue(self, job):
        Does.perform_async({**job.args, "do": "nothing"})

    def report(self, job):
        job.progress(0.5, "half of it")
        self.sleep(job)

    def look(self, job):
        while not job.cancelled():
            Path(job.args["notes"], "looking").touch()
            time.sleep(0.02)
        Path(job.args["notes"], "looked").touch()


class Far(Does, ray={"num_cpus": 0.5, "resources": {"far": 1}}):
    """Runs on the node that has what no other has."""


class Nowhere(Does, ray={"resources": {"unobtainium": 1}}):
    """Needs what no node has."""


class Coroutine(Worker, executor="ray", ray={"num_cpus": 0.5}):
    async def perform(self, job):
        note(job)


class Renamed(Worker, executor="ray", name="old.module:Name", ray={"num_cpus": 0.5}):
    def perform(self, job):
        note(job)


class Limited(Worker, executor="ray", concurrency=Concurrency(2, key="to")):
    def perform(self, job):
        pass


@worker(executor="ray", ray={"num_cpus": 0.5})
def function(notes):
    Path(notes, "function").write_text(str(os.getpid()))
