"""An application for ``antq start``, whose jobs wait for the file "go" in its folder."""

import logging
import os
import signal
import time
from pathlib import Path

from antq_actors import AntQ, Cancel, QueueConfig, Snooze, Worker, worker

PLACE = Path(os.environ.get("STARTABLE_PLACE", "unused"))


class Wait(Worker):
    def perform(self, job):
        (PLACE / f"begun-{job.id}").touch()
        while not (PLACE / "go").exists():
            time.sleep(0.005)


@worker
def greet(name):
    logging.getLogger("shop").info("hello %s", name)


@worker
def fail():
    raise KeyError("user_id")


@worker
def cancel():
    return Cancel("nobody wants it")


@worker
def snooze():
    return Snooze(3600)


app = AntQ(PLACE / "store", queues={"default": 5, "mail": QueueConfig(1, executor="process")})


class Signalled(AntQ):
    """Gets a SIGTERM when it begins to stop for the first time."""

    stopped = False

    def stop(self, **options):
        if not self.stopped:
            self.stopped = True
            os.kill(os.getpid(), signal.SIGTERM)
        super().stop(**options)


def started_before():
    return Signalled(PLACE / "store").start(queues=False)
