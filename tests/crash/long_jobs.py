"""A node whose jobs take a minute, unless they are interrupted."""

import sys
import time

from journal import note

from antq_actors import AntQ, Worker


class Long(Worker, name="long_jobs:Long"):
    """Writes "begin" to the journal, and waits in steps that an interruption can end."""

    def perform(self, job):
        note(job, "begin")
        end = time.monotonic() + 60
        while time.monotonic() < end:
            time.sleep(0.005)


def main(path, journal, concurrency):
    """Run under signals, with twice as many jobs as slots."""
    with AntQ(path, start_queues=False) as app:
        for _ in range(2 * int(concurrency)):
            app.enqueue(Long, {"journal": journal})
    print("enqueued", flush=True)  # noqa: T201 - the test reads it
    AntQ(path, queues={"default": int(concurrency)}).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
