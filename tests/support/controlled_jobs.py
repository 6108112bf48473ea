"""Jobs that a test controls: each reports when it begins, and ends when and as the test says."""

import itertools
import queue
import threading

from antq_actors import Worker
from support import apps

LONGEST = 30.0
"""Seconds that a deaf job is deaf."""

_numbers = itertools.count()
_controllers = {}


def returns_none(_job):
    """What a job does that is only to end."""


class ControlledJob(Worker, max_attempts=1):
    """Does what the test says to the job ``args["name"]`` of ``args["controller"]``."""

    def perform(self, job):
        return _controllers[job.args["controller"]].perform(job)

    def calculate_delay(self, job):
        return _controllers[job.args["controller"]].delay(job)


class ControlledJobs:
    """Jobs that wait until the test releases them by name; several may have the same name."""

    def __init__(self, app=None):
        self.app = app
        self.most_at_once = 0
        self.delay = lambda job: 0.0
        self._name = next(_numbers)
        _controllers[self._name] = self
        self._lock = threading.Lock()
        self._running = []
        self._begun = queue.Queue()
        self._releases = {}
        self._released_all = False

    def job(self, name, *, app=None, wait="interruptible", **options):
        """Enqueue a job. *wait*: "interruptible"; "deaf", in C code; "stubborn", it goes on."""
        args = {"controller": self._name, "name": name, "wait": wait}
        return (app or self.app).enqueue(ControlledJob, args, **options)

    def jobs(self, names, **options):
        return [self.job(name, **options) for name in names]

    def begun(self, count=1):
        """Wait until *count* more jobs have begun; return their names in that order."""
        return [self._begun.get(timeout=apps.LONGEST) for _ in range(count)]

    def has_begun_more(self):
        return not self._begun.empty()

    def running(self):
        """Return the names of the jobs that are running, each as often as it is."""
        with self._lock:
            return sorted(self._running)

    def release(self, *names, then=lambda job: None):
        """Let the jobs of these names end with what ``then(job)`` returns or raises."""
        for name in names:
            self._releases_of(name).put(then)

    def release_all(self):
        """Let all jobs end, and all later ones, too."""
        with self._lock:
            self._released_all = True
            for releases in self._releases.values():
                releases.put(returns_none)

    def perform(self, job):
        name = job.args["name"]
        with self._lock:
            self._running.append(name)
            self.most_at_once = max(self.most_at_once, len(self._running))
        self._begun.put(name)
        try:
            return self._wait(name, job.args["wait"])(job)
        finally:
            with self._lock:
                self._running.remove(name)

    def _wait(self, name, how):
        if how == "deaf":
            then = self._releases_of(name).get(timeout=LONGEST)
            if self._released_all:
                self.release(name, then=then)  # there may be others of this name
            return then
        while True:
            try:
                # An interruption hits between two looks: it cannot while a thread waits in C.
                if self._released_all:
                    return returns_none
                return self._releases_of(name).get(timeout=0.01)
            except queue.Empty:
                continue
            except BaseException:
                if how != "stubborn":
                    raise

    def _releases_of(self, name):
        with self._lock:
            if name not in self._releases:
                self._releases[name] = queue.Queue()
                if self._released_all:
                    self._releases[name].put(returns_none)
            return self._releases[name]
