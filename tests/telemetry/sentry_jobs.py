"""Jobs whose failures are sent to Sentry, and what takes the place of its server."""

import json
import os
from pathlib import Path

import sentry_sdk
from sentry_sdk.transport import Transport
from traced_jobs import carry_out

from antq_actors import Job, Worker, worker


class FileTransport(Transport):
    """Writes what would be sent to a file, from any process."""

    def __init__(self, file):
        super().__init__()
        self.file = file

    def capture_envelope(self, envelope):
        with Path(self.file).open("a", encoding="utf-8") as file:
            for item in envelope.items:
                if item.type in ("event", "transaction"):
                    file.write(json.dumps({**item.payload.json, "pid": os.getpid()}) + "\n")


class Sync(Worker, name="sentry:Sync", max_attempts=2, retry_delay=0):
    def perform(self, job):
        secret = job.args
        return carry_out(job) if secret else None


class Awaited(Worker, name="sentry:Awaited", max_attempts=2, retry_delay=0):
    async def perform(self, job):
        sentry_sdk.set_tag("inside", "yes")
        return carry_out(job)


class Brief(Worker, name="sentry:Brief", max_attempts=1, timeout=0.3):
    def perform(self, job):
        return carry_out(job)


class Unmade(Worker, name="sentry:Unmade", max_attempts=1):
    def __init__(self):
        raise LookupError("no database")

    def perform(self, job): ...


@worker(executor="process", name="sentry:in_process", max_attempts=1)
def in_process(job: Job, does) -> None:
    if does == "die":
        os._exit(3)
    carry_out(job)
