"""What the jobs of a queue report while they run: stored within a second, and deleted after that.

A report is kept by the control of its attempt, and sets a timer of the queue actor if there is
none. So however often a job reports, that is written once a second, without waiting for it.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from antq_actors.otp.messaging import timers
from antq_actors.storage.jobs.progress import Reported

if TYPE_CHECKING:
    from collections.abc import Iterable

    from antq_actors.jobs.control import Progress
    from antq_actors.otp.kernel.cell import ServerRef
    from antq_actors.queues.verdict import RunningAttempt

STORE_SECONDS: Final = 0.5
"""Seconds from the first report of a job until it is stored, and between two looks for more."""
LEAST_SECONDS: Final = 1.0
"""Seconds between two writes of what the same job reports."""


_NOTHING: Final[tuple[Progress | None, float]] = (None, -math.inf)


class StoreProgress(NamedTuple):
    """It is time to store what running jobs have reported."""


class ReportedProgress:
    """Which reports of a queue's jobs are stored, and which are to be."""

    def __init__(self, queue: ServerRef) -> None:
        self._queue = queue
        self._is_due_until = -math.inf
        """Until when a `StoreProgress` is on its way: a thread that was to send one may have been
        cut short before that."""
        self._stored: dict[tuple[int, int], tuple[Progress | None, float]] = {}
        """By job and execution, and when; None: what is stored is not known."""

    def on_report(self) -> None:
        """Set a timer to store progress, if none is set. Called in any thread."""
        now = time.monotonic()
        if now >= self._is_due_until:
            self._is_due_until = now + 2 * STORE_SECONDS
            timers.send_soon(self._queue, StoreProgress(), STORE_SECONDS)

    def take_changes(self, running: Iterable[RunningAttempt]) -> list[Reported]:
        """Return what is to be stored and deleted, given the attempts that run now.

        From then on it counts as stored: :meth:`lost` says that it is not. Reads the clock.
        """
        self._is_due_until = -math.inf  # first: what is reported from now on sets the timer
        now = time.monotonic()
        kept: dict[tuple[int, int], tuple[Progress | None, float]] = {}
        changes = []
        for each in running:
            progress = each.attempt.control.progress
            if progress is None:
                continue
            key = (each.attempt.job.id, each.attempt.job.state.execution)
            stored, at = kept[key] = self._stored.get(key, _NOTHING)
            if stored is not progress and now - at >= LEAST_SECONDS:
                kept[key] = (progress, now)
                changes.append(Reported(*key, progress))
        changes += [Reported(*key, None) for key in self._stored if key not in kept]
        self._stored = kept
        if kept:  # they end, and then they are deleted
            self.on_report()
        return changes

    def lost(self) -> None:
        """Store all of it again: the storage actor has refused it, or ended."""
        self._stored = dict.fromkeys(self._stored, _NOTHING)
        self.on_report()
