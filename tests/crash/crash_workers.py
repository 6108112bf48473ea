"""Jobs that write in the journal what they do."""

import itertools
import time

import journal

from antq_actors import AlreadyExists, AntQ, Snooze, Unique, Worker

BLINK = 0.005
"""Seconds; a thread is interrupted between two of them."""


_snoozed = set()


class CrashWorker(Worker, max_attempts=3, name="crash:Act"):
    """Takes ``seconds``. Of the kind "fails", its first attempt does; of the kind "snoozes", it
    does so once in each process. In the process ``lingers_in`` it goes on and on.
    """

    def perform(self, job):
        journal.note("begin", job)
        try:
            return self._act(job)
        except ValueError:
            raise
        except BaseException:
            journal.note("stop", job)
            raise

    def _act(self, job):
        lingers = job.args.get("lingers_in") == journal.process()
        _rest(60 if lingers else job.args.get("seconds", 0))
        if job.args.get("kind") == "fails" and job.attempts == 1:
            journal.note("fail", job)
            raise ValueError("once")
        if job.args.get("kind") == "snoozes" and job.id not in _snoozed:
            _snoozed.add(job.id)
            journal.note("snooze", job)
            return Snooze(job.args.get("for", BLINK))
        journal.note("end", job)
        return None

    def calculate_delay(self, job):
        return 2 * BLINK


class Once(CrashWorker, unique=Unique(args=["unique"]), name="crash:Once"):
    """One of which there is only one at a time."""


class Enqueues(CrashWorker, max_attempts=1_000_000, name="crash:Enqueues"):
    """Enqueues others in the application ``Enqueues.app``: in its first attempt without end, so
    that its timeout comes in the middle of that; in each later one a few.
    """

    app: AntQ

    def perform(self, job):
        try:
            journal.note("begin", job)  # in here, because the timeout may come at once
            for number in itertools.count() if job.attempts == 1 else range(3):
                self._enqueue(number)
            journal.note("end", job)
        except BaseException:
            journal.note("stop" if job.remaining() else "timeout", job)
            raise

    def _enqueue(self, number):
        if number % 3 == 2:
            enqueue_many(self.app, number % 7)
        else:
            enqueue_one(self.app, unique=f"enqueues {number % 5}" if number % 3 else None)


class Nothing(Worker, name="crash:Nothing"):
    """Counts in ``performed`` how often it was done in this process."""

    def perform(self, job):
        next(performed)


performed = itertools.count()


def enqueue_one(app, unique=None):
    """Enqueue a job that is done at once, and write down that it is acknowledged."""
    call = journal.new_call()
    args = {"call": call} if unique is None else {"call": call, "unique": unique}
    try:
        id_ = app.enqueue(CrashWorker if unique is None else Once, args).id
    except AlreadyExists:
        return
    journal.acknowledge(id_, calls=[call])


def enqueue_many(app, how_many):
    """Do the same with so many together."""
    calls = [journal.new_call() for _ in range(how_many)]
    ids = app.enqueue_many(CrashWorker, [{"call": call} for call in calls])
    journal.acknowledge(*ids, calls=calls)


def _rest(seconds):
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(left, BLINK))
