"""A job as users see it: one frozen value."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from antq_actors.jobs.status import Status


class AttemptError(msgspec.Struct, frozen=True):
    """What went wrong in one attempt, or what interrupted it."""

    attempt: int
    """The attempt that failed, from 1."""
    error: str
    stack_trace: str | None
    attempted_at: datetime


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """The stored unit of work, as it was when it was read."""

    id: int
    """Grows with each stored job and never repeats; 0 while it is not stored."""
    worker: str
    """The stored name of its worker, by default ``module:QualName``."""
    queue_name: str
    args: Mapping[str, Any]
    priority: int
    """Larger is picked first among the enqueued of a queue; -128 to 127."""
    status: Status
    attempts: int
    """Executions that ended in success or failure; inside ``perform``, the current one included."""
    max_attempts: int
    interruptions: int
    """Executions cut short by the death of their node or queue; never counted as attempts."""
    scheduled_at: datetime | None
    """When it is, or became, due; None while it runs and after its end."""
    inserted_at: datetime
    updated_at: datetime
    errors: tuple[AttemptError, ...]
    """Newest first."""
    opts: Mapping[str, Any]
    """The effective options: ``max_attempts``, ``timeout``, ``unique``, …"""
