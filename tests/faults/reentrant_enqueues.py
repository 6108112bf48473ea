"""Enqueues in a signal's handler and in a finalizer, at moments that chance chooses."""

import collections
import gc
import json
import random
import signal
import sys
import tempfile
import time

from antq_actors import AntQ, Worker

SECONDS = 2.0
LONG_SECONDS = 10.0


class Note(Worker):
    def perform(self, job): ...


outcomes = collections.defaultdict(collections.Counter)


def enqueue(where):
    began = time.monotonic()
    try:
        Note.perform_async({"where": where})
    except BaseException as error:  # noqa: BLE001 - it is reported
        outcomes[where][type(error).__name__] += 1
    else:
        is_long = time.monotonic() - began > LONG_SECONDS
        outcomes[where]["took long" if is_long else "stored"] += 1


class Session:
    def __init__(self):
        self.me = self  # a cycle, which only the collector finds

    def __del__(self):
        enqueue("finalizer")


def main(store):
    random.seed(3)
    app = AntQ(tempfile.mkdtemp() + "/jobs" if store == "durable" else None, start_queues=False)
    app.start()
    gc.set_threshold(200, 5, 5)
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        Session()
        enqueue("main")
    gc.set_threshold(700, 10, 10)

    signal.signal(signal.SIGALRM, lambda *_: enqueue("handler"))
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        seconds = random.uniform(0.0005, 0.01)  # noqa: S311 - by chance is what is wanted
        signal.setitimer(signal.ITIMER_REAL, seconds)
        while signal.getitimer(signal.ITIMER_REAL)[0]:
            enqueue("main")

    stored = collections.Counter(job.args["where"] for job in app.list_workers())
    sys.stdout.write(json.dumps([outcomes, stored]) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
