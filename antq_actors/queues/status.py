"""What a queue tells about itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

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
