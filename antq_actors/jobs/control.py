"""What a running attempt and its queue tell each other while it runs.

A `Job` that is being performed carries a control; that of a stored or built one has none.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from antq_actors.introspection import explain_fields
from antq_actors.jobs.duration import brief
from antq_actors.jobs.number import real

if TYPE_CHECKING:
    from collections.abc import Callable

CONTROL: Final = "antq_control"
"""Where a job that is being performed has its control, among its attributes."""


@explain_fields
class Progress(NamedTuple):
    """How far a running job has come, as it reported."""

    done: float
    """From 0 to 1."""
    note: str | None = None
    """A remark of the job."""


class Control:
    """The control of one attempt.

    Its queue sets *stop_requested*; the attempt, in whatever thread, looks and reports.
    """

    __slots__ = (
        "_waits_since",
        "deadline",
        "on_locate",
        "on_stop_request",
        "place",
        "progress",
        "stop_requested",
        "watched",
    )

    def __init__(self, deadline: float | None = None) -> None:
        self.deadline = deadline
        """When the attempt times out, on the monotonic clock."""
        self.stop_requested = False
        """Whether the attempt was told to end."""
        self.watched = False
        """Whether the attempt has looked for that: then it gets some time to end by itself."""
        self.progress: Progress | None = None
        self._waits_since: float | None = None
        self.on_stop_request: Callable[[], object] | None = None
        """Called when it is told so; for an attempt that is not in this process."""
        self.place: str | None = None
        """Where the attempt was when it timed out, as the lines of a traceback but the last; None:
        that is not known."""
        self.on_locate: Callable[[], object] | None = None
        """Called to have the *place* noted, now or soon; None: the attempt runs in a thread."""

    def request_stop(self) -> None:
        """Tell the attempt to end: what it makes of that is up to it."""
        self.stop_requested = True
        if self.on_stop_request is not None:
            self.on_stop_request()

    def wait(self) -> None:
        """Let its time stand still: what is to perform it is not there yet."""
        self._waits_since = time.monotonic()

    def go_on(self) -> None:
        """Let its time go on."""
        since, self._waits_since = self._waits_since, None
        if since is not None and self.deadline is not None:
            self.deadline += time.monotonic() - since

    def overdue_in(self) -> float:
        """Answer the seconds after which it may be overdue, 0 when it is."""
        if self.deadline is None:
            return 0.0
        since = self._waits_since
        return max(0.0, self.deadline - (time.monotonic() if since is None else since))

    def cancelled(self) -> bool:
        """Say whether the attempt was told to end."""
        self.watched = True
        return self.stop_requested

    def remaining(self) -> float | None:
        """Answer the seconds that are left of its timeout, 0 when it is over; None: no limit."""
        self.watched = True
        if self.deadline is None:
            return None
        return max(0.0, self.deadline - time.monotonic())

    def report(self, progress: Progress) -> None:
        """Note how far the attempt has come."""
        self.progress = progress


def checked(done: Any, note: Any) -> Progress:
    """Answer what was reported. Raises TypeError and ValueError."""
    share = real(done)
    if share is None:
        raise TypeError(f"progress is a number from 0 to 1, got {brief(done)}")
    if not 0 <= share <= 1:
        raise ValueError(f"progress is a number from 0 to 1, got {brief(done)}")
    if note is not None and not isinstance(note, str):
        raise TypeError(f"the note of a progress is text or None, got {brief(note)}")
    return Progress(float(share), note)
