"""What a queue tells about itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from antq_actors.executors.contract import Health
    from antq_actors.jobs.control import Progress
    from antq_actors.jobs.status import Status


@dataclass(frozen=True, slots=True)
class QueueStatus:
    """A queue as it was when it was asked."""

    name: str
    concurrency: int
    """Jobs it performs at once on this node, at most; 0 where no queue runs."""
    paused: bool
    running: tuple[int, ...]
    """Ids of the jobs that run on this node."""
    counts: Mapping[Status, int]
    """Stored jobs of the queue by status, over all nodes."""
    executors: tuple[Health, ...] = ()
    """What runs its jobs on this node, beside threads, and how that is."""
    abandoned: tuple[int, ...] = ()
    """Ids of the jobs whose threads were given up on this node and still run."""
    progress: Mapping[int, Progress] = field(default_factory=dict)
    """What running jobs on this node have reported, by their ids."""
