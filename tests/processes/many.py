"""An application for several processes, whose jobs say where they run; it may also not start."""

import os
import sys
import time
from pathlib import Path

from antq_actors import AntQ, QueueConfig, Worker

PLACE = Path(os.environ.get("MANY_PLACE", "unused"))


def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\n").encode())  # in one piece, whoever else says


class Wait(Worker):
    """Ends so many seconds after there is the file "go"."""

    def perform(self, job):
        say("begun", job.id, os.getpid())
        while not (PLACE / "go").exists():
            time.sleep(0.005)
        end = time.monotonic() + job.args["seconds"]
        while time.monotonic() < end:
            time.sleep(0.005)
        say("done", job.id, os.getpid())


if (PLACE / "broken").exists():
    sys.exit("it is broken")
if (PLACE / "hangs").exists():
    say("hangs")
    time.sleep(60)

app = AntQ(PLACE / "store", queues={"default": QueueConfig(1)})
volatile = AntQ()
