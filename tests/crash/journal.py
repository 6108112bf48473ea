"""Jobs that write down what they do where a killed process cannot lose it, and their program."""

import os
import sys
import time
from pathlib import Path

from antq_actors import AntQ, Worker
from antq_actors.config import QueueConfig


class Write(Worker, max_attempts=3, name="journal:Write"):
    """Appends "begin ID PID" and "end ID PID" to a journal; every tenth job fails once."""

    def perform(self, job):
        note(job, "begin")
        time.sleep(job.args.get("seconds", 0))
        number = job.args["number"]
        if number % 10 == 3 and job.attempts == 1:
            note(job, "fail")
            raise ValueError("once")
        note(job, "end")

    def calculate_delay(self, job):
        return 0.01


def note(job, what):
    """One write to a file opened for appending is whole, and outlives the process."""
    line = f"{what} {job.id} {os.getpid()}\n".encode()
    file = os.open(job.args["journal"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(file, line)
    finally:
        os.close(file)


def entries(journal):
    """The journal as (what, job id, pid)."""
    if not Path(journal).exists():
        return []
    rows = [line.split() for line in Path(journal).read_text().splitlines()]
    return [(what, int(job), int(pid)) for what, job, pid in rows]


def main(path, journal, total, seconds, concurrency):
    """Enqueue jobs one by one, and print the id of each when it is acknowledged."""
    queue = QueueConfig(int(concurrency), check_interval=3600)
    # However often it is killed: these tests are about loss, not about giving up on a job.
    app = AntQ(path, queues={"default": queue}, max_interruptions=100).start()
    print("started", flush=True)  # noqa: T201 - the test reads it
    for number in range(int(total)):
        args = {"number": number, "journal": journal, "seconds": float(seconds)}
        print(app.enqueue(Write, args).id, flush=True)  # noqa: T201 - the test reads it
    print("enqueued", flush=True)  # noqa: T201 - the test reads it
    sys.stdin.read()  # until the test ends it, by a signal or by closing this
    app.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
