"""A clock that the test turns."""

from antq_actors.jobs.instant import SECOND


class Clock:
    def __init__(self):
        self.now = 1_700_000_000 * SECOND

    def __call__(self):
        return self.now

    def advance(self, seconds):
        self.now += round(seconds * SECOND)
