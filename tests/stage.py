"""Jobs that a test sees at work: each says when it begins, and ends when and as it is told."""

import itertools
import queue
import threading

import apps

from antq_actors import Worker

LONGEST = 30.0
"""Seconds that a deaf job is deaf."""

_numbers = itertools.count()
_stages = {}


class Act(Worker, max_attempts=1):
    """Plays the part ``args["part"]`` on the stage ``args["stage"]``."""

    def perform(self, job):
        return _stages[job.args["stage"]].play(job)

    def calculate_delay(self, job):
        return _stages[job.args["stage"]].delay(job)


class Stage:
    """Where jobs wait for their cue. A part is the name of a job, and may be played again."""

    def __init__(self, app=None):
        self.app = app
        self.most_at_once = 0
        self.delay = lambda job: 0.0
        self._name = next(_numbers)
        _stages[self._name] = self
        self._lock = threading.Lock()
        self._on_stage = []
        self._begun = queue.Queue()
        self._cues = {}
        self._is_open = False

    def job(self, part, *, app=None, wait="interruptible", **options):
        """Enqueue a job. *wait*: "interruptible"; "deaf", in C code; "stubborn", it goes on."""
        args = {"stage": self._name, "part": part, "wait": wait}
        return (app or self.app).enqueue(Act, args, **options)

    def jobs(self, parts, **options):
        return [self.job(part, **options) for part in parts]

    def begun(self, count=1):
        """Wait until *count* more jobs have begun; answer their parts in that order."""
        return [self._begun.get(timeout=apps.LONGEST) for _ in range(count)]

    def has_begun_more(self):
        return not self._begun.empty()

    def on_stage(self):
        """Parts that are being played now, each as often as it is."""
        with self._lock:
            return sorted(self._on_stage)

    def cue(self, *parts, then=lambda job: None):
        """Let the jobs of these parts end with what ``then(job)`` answers or raises."""
        for part in parts:
            self._cue(part).put(then)

    def open(self):
        """Let all jobs end, those to come too."""
        self._is_open = True

    def play(self, job):
        part = job.args["part"]
        with self._lock:
            self._on_stage.append(part)
            self.most_at_once = max(self.most_at_once, len(self._on_stage))
        self._begun.put(part)
        try:
            return self._wait(part, job.args["wait"])(job)
        finally:
            with self._lock:
                self._on_stage.remove(part)

    def _wait(self, part, how):
        if how == "deaf":
            return self._cue(part).get(timeout=LONGEST)
        while True:
            try:
                # An interruption hits between two looks: it cannot while a thread waits in C.
                if self._is_open:
                    return lambda job: None
                return self._cue(part).get(timeout=0.01)
            except queue.Empty:
                continue
            except BaseException:
                if how != "stubborn":
                    raise

    def _cue(self, part):
        with self._lock:
            return self._cues.setdefault(part, queue.Queue())
