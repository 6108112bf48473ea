"""Enqueues and runs jobs, and writes down outside of the store's disk what it was told."""

import sys
import threading
from contextlib import suppress
from itertools import count
from pathlib import Path

from antq_actors import AntQ, AntqError, Status, Worker

PRODUCERS = 3


class Short(Worker, max_attempts=1, name="power_cut:Short"):
    def perform(self, job): ...


def enqueue(app, acknowledged):
    """Write down each id when its job is acknowledged, until the disk is gone."""
    with suppress(AntqError):
        for number in count():
            job = app.enqueue(Short, {"number": number})
            acknowledged.write(f"{job.id}\n")
            acknowledged.flush()


def main(path, journal):
    app = AntQ(path, queues={"default": 4}, max_interruptions=100).start()
    acknowledged = Path(journal, "acknowledged").open("a")  # noqa: SIM115 - until the cut
    for _ in range(PRODUCERS):
        threading.Thread(target=enqueue, args=(app, acknowledged), daemon=True).start()
    print("ready", flush=True)  # noqa: T201 - the test reads it
    seen = 0
    with Path(journal, "completed").open("a") as completed:
        while True:
            jobs = app.list_workers(status=Status.COMPLETED, after=seen, limit=500)
            completed.writelines(f"{job.id}\n" for job in jobs)
            completed.flush()
            # Jobs do not end in the order of their ids: only a full page is passed over.
            seen = jobs[-1].id if len(jobs) == 500 else seen


if __name__ == "__main__":
    main(*sys.argv[1:])
