"""The seven statuses of a job."""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum
from typing import Final, Literal, TypeAlias


class Status(StrEnum):
    """Where a job is in its life; the names are Ant's.

    >>> Status.ENQUEUED == "enqueued"
    True
    """

    ENQUEUED = "enqueued"
    """Waiting for its queue to run it."""
    RUNNING = "running"
    """Being performed."""
    SCHEDULED = "scheduled"
    """Waiting for its ``scheduled_at``."""
    COMPLETED = "completed"
    """Performed with success."""
    FAILED = "failed"
    """Failed its last attempt, was interrupted too often, or can never be run."""
    RETRYING = "retrying"
    """Failed an attempt, waiting to be tried again at ``scheduled_at``."""
    CANCELLED = "cancelled"
    """Cancelled before it ran, while it ran, or by its own ``perform``."""


StatusName: TypeAlias = Literal[
    "enqueued", "running", "scheduled", "completed", "failed", "retrying", "cancelled"
]
"""A status as text."""

Statuses: TypeAlias = Status | StatusName | Collection[Status | StatusName]
"""One status or several, as filters take them."""

ACTIVE: Final = frozenset({Status.ENQUEUED, Status.RUNNING, Status.SCHEDULED, Status.RETRYING})
"""The statuses of a job that has not ended."""

WAITING: Final = frozenset({Status.ENQUEUED, Status.SCHEDULED, Status.RETRYING})
"""The statuses in which a job can still be cancelled."""

ENDED: Final = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED})
"""The statuses that a job leaves only by ``retry_job`` or the pruner."""
