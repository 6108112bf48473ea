"""A program that enqueues jobs and performs them, until it is ended."""

import sys

import journal
from crash_workers import CrashWorker

from antq_actors import AntQ
from antq_actors.app.config import QueueConfig


def main(path, directory, name, *numbers):
    """Enqueue jobs one by one, and print the id of each when it is acknowledged."""
    total, seconds, concurrency = map(float, numbers)
    journal.begin(directory, name)
    queue = QueueConfig(int(concurrency), check_interval=3600)
    # However often it is killed: these tests are about loss, not about giving up on a job.
    app = AntQ(path, queues={"default": queue}, max_interruptions=100).start()
    print("started", flush=True)
    for number in range(int(total)):
        kind = "fails" if number % 10 == 3 else "plain"
        args = {"kind": kind, "seconds": seconds}
        print(app.enqueue(CrashWorker, args).id, flush=True)
    print("enqueued", flush=True)
    sys.stdin.read()  # until the test ends it, by a signal or by closing this
    app.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
