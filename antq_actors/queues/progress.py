"""What the jobs of a queue report while they run: stored within a second, and deleted after that.

A report is kept by the control of its attempt, and sets a timer of the queue actor if there is
none. So however often jobs report, the store is written once a second, without waiting for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from antq_actors.otp.messaging import timers
from antq_actors.storage.jobs.progress import Reported

if TYPE_CHECKING:
    from collections.abc import Iterable

    from antq_actors.jobs.control import Progress
    from antq_actors.otp.kernel.cell import ServerRef
    from antq_actors.queues.verdict import RunningAttempt

STORE_SECONDS: Final = 0.5
"""Seconds from a report until it is stored, at most; while there are any, between two writes."""


class StoreProgress(NamedTuple):
    """It is time to store what running jobs have reported."""


class ReportedProgress:
    """Which reports of a queue's jobs are stored, and which are to be."""

    def __init__(self, queue: ServerRef) -> None:
        self._queue = queue
        self._is_due = False
        """Whether a `StoreProgress` is on its way."""
        self._stored: dict[tuple[int, int], Progress | None] = {}
        """By job and execution; None: what is stored is not known."""

    def on_report(self) -> None:
        """Set a timer to store progress, if none is set. Called in any thread."""
        if not self._is_due:
            self._is_due = True
            timers.send_soon(self._queue, StoreProgress(), STORE_SECONDS)

    def take_changes(self, running: Iterable[RunningAttempt]) -> list[Reported]:
        """Return what is to be stored and deleted, given the attempts that run now.

        From then on it counts as stored: :meth:`lost` says that it is not.
        """
        self._is_due = False  # first: what is reported from now on sets the timer
        now: dict[tuple[int, int], Progress | None] = {}
        for each in running:
            progress = each.attempt.control.progress
            if progress is not None:
                job = each.attempt.job
                now[job.id, job.state.execution] = progress
        changes = [
            Reported(*key, progress)
            for key, progress in now.items()
            if self._stored.get(key) is not progress
        ]
        changes += [Reported(*key, None) for key in self._stored if key not in now]
        self._stored = now
        if now:  # they end, and then they are deleted
            self.on_report()
        return changes

    def lost(self) -> None:
        """Store all of it again: the storage actor has refused it, or ended."""
        self._stored = dict.fromkeys(self._stored)
        self.on_report()
