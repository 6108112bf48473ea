"""Deletes finished jobs when they have been kept long enough."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from antq_actors.events import Pruned
from antq_actors.jobs import instant
from antq_actors.queues.services.periodic import PeriodicService
from antq_actors.storage.jobs.job_store import JobStore

if TYPE_CHECKING:
    from antq_actors.jobs.instant import Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class PrunerConfig:
    """The settings of a pruner."""

    retention: float
    """Seconds a completed, failed or cancelled job stays readable."""
    batch: int = 1_000
    """Most jobs deleted in one transaction; claims wait that long for the write lock."""

    @property
    def interval(self) -> float:
        """Seconds between two runs: an hour, or the retention if that is shorter (Ant)."""
        return min(self.retention, 3_600.0)


class Pruner(PeriodicService[PrunerConfig]):
    """Deletes jobs that ended longer than ``retention`` ago. Active jobs are never touched.

    A run deletes one batch; the next follows at once while there is more to delete. On a full disk,
    what it deletes is room.
    """

    refusal_warning = "nothing is pruned, until the store can be used: %s"

    def run_once(self, now: Instant) -> int:
        """Delete one batch of ended jobs from the store, and one of results whose time is over.

        Return how many were deleted.
        """
        finished_before = now - round(self.config.retention * instant.SECOND)
        pruned = self.store.write(
            JobStore.prune, finished_before=finished_before, limit=self.config.batch, now=now
        )
        if pruned:
            self.store.hub.tell(Pruned, count=pruned)
        return pruned + self.store.write(
            JobStore.delete_results, expired_at=now, limit=self.config.batch
        )

    def is_full(self, count: int) -> bool:
        """Return whether so many deleted ones were a whole batch, so that there may be more."""
        return count >= self.config.batch
