"""An application that performs deeds in processes, and what a test sees of them."""

import os
import signal
from contextlib import suppress

from apps import settled, until
from deeds import Deed
from plays import child, executor

from antq_actors import AntQ, QueueConfig
from antq_actors.otp import DynamicSupervisor


class Crew:
    def __init__(self, place):
        self.place = place
        self.app = None

    def start(self, path=None, *, concurrency=1, app=None, **settings):
        queue = QueueConfig(
            concurrency=concurrency, check_interval=3600, executor="process", **settings
        )
        self.app = AntQ(path, queues={"default": queue}, **(app or {})).start()
        return self

    def job(self, deed, args=None, **options):
        args = {"place": str(self.place), "deed": deed, **(args or {})}
        return self.app.enqueue(Deed, args, **options)

    def ended(self, job, *statuses):
        return settled(self.app, job, *statuses)

    def does(self, deed, **options):
        """Enqueue a job and answer how it ended."""
        return self.ended(self.job(deed, **options))

    def error(self, deed, **options):
        (entry,) = self.does(deed, **options).errors
        return entry

    def file(self, pattern):
        """Wait for a file; answer its path."""
        return until(lambda: next(iter(self.place.glob(pattern)), None), f"the file {pattern}")

    def begun(self, deed):
        self.file(f"begun {deed}")

    def number(self, name):
        """Wait for a file with a number in its name; answer that, and take the file away."""
        file = self.file(f"{name} *")
        file.unlink()
        return int(file.name.split()[-1])

    def pid(self):
        """The process of a job that is performed now."""
        self.does("tell_pid")
        return self.number("pid")

    def executor(self, *path):
        return child(executor(self.app, "process"), *path)

    def slots(self):
        return [info.ref for info in DynamicSupervisor.which_children(self.executor("slots"))]

    def pids(self):
        """The processes of all slots, as far as they have one."""
        actors = [ref._actor_weakref() for ref in self.slots()]
        return sorted(actor.pid for actor in actors if actor is not None and actor.pid)

    def health(self):
        (health,) = self.app.queue("default").status().executors
        return health

    def kill_daemons(self):
        for file in self.place.glob("daemon *"):
            with suppress(ProcessLookupError):
                os.kill(int(file.name.split()[-1]), signal.SIGKILL)
