"""Jobs that write in the journal what they do."""

import itertools
import time

import journal

from antq_actors import Snooze, Unique, Worker

BLINK = 0.005
"""Seconds; a thread is interrupted between two of them."""


_snoozed = set()


class Act(Worker, max_attempts=3, name="crash:Act"):
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


class Once(Act, unique=Unique(args=["unique"]), name="crash:Once"):
    """One of which there is only one at a time."""


class Nothing(Worker, name="crash:Nothing"):
    """Counts in ``performed`` how often it was done in this process."""

    def perform(self, job):
        next(performed)


performed = itertools.count()


def _rest(seconds):
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(left, BLINK))
