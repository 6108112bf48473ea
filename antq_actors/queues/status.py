"""What a queue tells about itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from antq_actors.introspection import explain_fields
from antq_actors.jobs.instant import datetime_for_display

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from antq_actors.executors.base import Health
    from antq_actors.jobs.control import Progress
    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.status import Status


@explain_fields
@dataclass(frozen=True, slots=True)
class QueueStatus:
    """The state of a queue, as ``QueueHandle.status`` returns it."""

    name: str
    """Its name, as in ``queues=``."""
    concurrency: int
    """Jobs it performs at once on this node, at most; 0 where no queue runs."""
    paused: bool
    """Whether it claims nothing, on every node, until it is resumed."""
    running: tuple[int, ...]
    """Ids of the jobs that run on this node."""
    counts: Mapping[Status, int]
    """Stored jobs of the queue by status, over all nodes."""
    due: int = 0
    """Jobs that could begin now: those that are enqueued, and those that are scheduled or retrying
    and whose time has come. Counted also while the queue is paused.

    Enqueued jobs are a counter. Of the others, the due and the not due are stepped through until
    the fewer ones are counted: a million of them take less than a second.
    """
    oldest_due: datetime | None = None
    """Since when the first of them is due; None when there is none. A job that was retried by hand
    or given back is due since then, not since it was stored.

    It reads the enqueued jobs of that kind that come before all others, up to 10,000 of a priority.
    """
    executors: tuple[Health, ...] = ()
    """The state of what runs its jobs on this node, beside threads."""
    abandoned: tuple[int, ...] = ()
    """Ids of the jobs whose threads were abandoned on this node and still run."""
    progress: Mapping[int, Progress] = field(default_factory=dict)
    """What running jobs on this node have reported, by their ids."""


def due_for_display(due: Instant | None) -> datetime | None:
    """Show since when a job is due."""
    return None if due is None else datetime_for_display(due)
