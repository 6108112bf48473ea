"""An application that performs actions in job processes, and what a test sees of them."""

import os
import signal
from contextlib import suppress

from executor_harness import child, executor
from job_actions import ActionJob
from support.apps import settled, until

from antq_actors import AntQ, QueueConfig
from antq_actors.otp import DynamicSupervisor


class ProcessPoolHarness:
    def __init__(self, place):
        self.place = place
        self.app = None

    def start(self, path=None, *, concurrency=1, app=None, **settings):
        queue = QueueConfig(
            concurrency=concurrency, check_interval=3600, executor="process", **settings
        )
        self.app = AntQ(path, queues={"default": queue}, **(app or {})).start()
        return self

    def job(self, action, args=None, **options):
        args = {"place": str(self.place), "action": action, **(args or {})}
        return self.app.enqueue(ActionJob, args, **options)

    def ended(self, job, *statuses):
        return settled(self.app, job, *statuses)

    def does(self, action, **options):
        """Enqueue a job and return how it ended."""
        return self.ended(self.job(action, **options))

    def error(self, action, **options):
        (entry,) = self.does(action, **options).errors
        return entry

    def file(self, pattern):
        """Wait for a file; return its path."""
        return until(lambda: next(iter(self.place.glob(pattern)), None), f"the file {pattern}")

    def begun(self, action):
        self.file(f"begun {action}")

    def number(self, name):
        """Wait for a file with a number in its name; return that, and take the file away."""
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
