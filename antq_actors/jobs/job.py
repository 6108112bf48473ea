"""A job as users see it: one frozen value."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from antq_actors.introspection import explain_fields
from antq_actors.jobs import attempt_error
from antq_actors.jobs.control import CONTROL, Control, checked
from antq_actors.jobs.status import Status


@explain_fields
class AttemptError(msgspec.Struct, frozen=True):
    """What went wrong in one attempt, or what interrupted it."""

    attempt: int
    """The attempt that failed, from 1."""
    error: str
    """The exception's text, or its class if it has none; or the reason that was given."""
    stack_trace: str | None
    """From the first frame that is yours. Of a timeout, where the attempt was at that moment."""
    attempted_at: datetime
    """When it failed or was interrupted."""
    error_type: str | None = None
    """The name of the exception's class; None where there was none: `Fail`, `Cancel`, an
    interruption, the death of a process."""

    @property
    def summary(self) -> str:
        """The error as logs and commands show it: with the name of its class before it, if any."""
        return attempt_error.summary(self.error, self.error_type)


@explain_fields
class Job(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """The stored unit of work, as it was when it was read."""

    id: int
    """Grows with each stored job and never repeats; 0 while it is not stored."""
    worker: str
    """The stored name of its worker, by default ``module:QualName``."""
    queue_name: str
    """The queue that it is in."""
    args: Mapping[str, Any]
    """Its arguments. In ``perform`` as they were given; elsewhere plain data alone is as it was."""
    priority: int
    """Larger is picked first among the enqueued of a queue; -128 to 127."""
    status: Status
    """Where it is in its life."""
    attempts: int
    """Executions that ended in success or failure; inside ``perform``, the current one included."""
    max_attempts: int
    """How often it may be attempted before it is failed for good."""
    interruptions: int
    """Executions cut short by the death of their node or queue; never counted as attempts."""
    scheduled_at: datetime | None
    """When it is, or became, due; None while it runs and after its end."""
    inserted_at: datetime
    """When it was enqueued."""
    updated_at: datetime
    """When its status last changed."""
    errors: tuple[AttemptError, ...]
    """Newest first. The newest 24 and the first are kept."""
    opts: Mapping[str, Any]
    """The effective options: ``max_attempts``, ``timeout``, ``unique``, …"""
    node: int = 0
    """The node that runs it, see :meth:`AntQ.nodes`; 0 while none does."""
    error_count: int = 0
    """How many errors it has had, also those that are not kept."""
    started_at: datetime | None = None
    """When its queue claimed it for its latest attempt; None before the first."""
    ended_at: datetime | None = None
    """When it was completed, failed or cancelled; None until then, and again once it is retried."""

    # ---- while it is performed --------------------------------------------------------------

    def cancelled(self) -> bool:
        """Return whether this running attempt was told to end: timed out, cancelled or stopped.

        For long loops: an attempt that calls this is not interrupted at once, but has a few
        seconds to end by itself. False for a job that is not being performed.
        """
        control: Control | None = self.__dict__.get(CONTROL)
        return control is not None and control.cancelled()

    def remaining(self) -> float | None:
        """Return the seconds left until this running attempt times out; None: it does not.

        Calling this is as good as calling :meth:`cancelled`.
        """
        control: Control | None = self.__dict__.get(CONTROL)
        return None if control is None else control.remaining()

    def progress(self, done: float, note: str | None = None) -> None:
        """Report how far this running attempt has come, from 0 to 1.

        It is shown by the queue's status on the node that performs it, and kept nowhere else. It
        does nothing in a job that is not being performed. Raises TypeError and ValueError.
        """
        progress = checked(done, note)
        control: Control | None = self.__dict__.get(CONTROL)
        if control is not None:
            control.report(progress)
