"""A node whose jobs take a minute, unless they are interrupted."""

import sys
import time
from pathlib import Path

import journal

from antq_actors import AntQ, Worker


class Long(Worker, name="long_jobs:Long"):
    """Writes "begin" to the journal, and waits in steps that an interruption can end."""

    def perform(self, job):
        journal.note("begin", job)
        end = time.monotonic() + 60
        while time.monotonic() < end:
            time.sleep(0.005)


def main(directory, concurrency):
    """Run under signals, with twice as many jobs as slots."""
    journal.begin(directory, "old")
    path = Path(directory, "store")
    with AntQ(path, start_queues=False) as app:
        for _ in range(2 * int(concurrency)):
            app.enqueue(Long)
    print("enqueued", flush=True)
    AntQ(path, queues={"default": int(concurrency)}).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
