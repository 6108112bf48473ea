"""Runs a job of twenty steps until it has ended. Arguments: the store, and the file of effects.

Each step writes its number to the file, which is on disk before the step returns.
"""

import os
import sys

from antq_actors import AntQ, Job, worker

STEPS = 20


def effect(path: str, number: int) -> int:
    with open(path, "a") as file:  # noqa: PTH123 - as plain as can be
        file.write(f"{number}\n")
        file.flush()
        os.fsync(file.fileno())
    return number


@worker(name="stepped")
def stepped(path: str, job: Job) -> None:
    before = job.checkpointed
    print("begins after", before, flush=True)
    for number in range(STEPS):
        assert job.step(str(number), effect, path, number) == number
        job.checkpoint(number, every=0)
        print("took", number, flush=True)


if __name__ == "__main__":
    store, effects = sys.argv[1:]
    app = AntQ(store, queues={"default": 1}, max_interruptions=10_000)
    with app:
        if not app.count_jobs():
            app.enqueue(stepped, {"path": effects})
        app.wait_idle(timeout=60)
        print("ended", app.get_job(1).status, flush=True)
