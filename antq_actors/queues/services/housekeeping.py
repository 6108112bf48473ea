"""What the store needs from time to time: old jobs pruned, those of dead nodes given back.

A node gives them back before it first claims, too.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from antq_actors.events import NodeDied, Pruned, Rescued
from antq_actors.jobs import instant
from antq_actors.queues.services.periodic import PeriodicService
from antq_actors.storage.jobs.job_store import JobStore
from antq_actors.storage.jobs.reader import JobReader

if TYPE_CHECKING:
    from antq_actors.jobs.instant import Instant
    from antq_actors.storage.client import StorageClient

log: Final = logging.getLogger("antq_actors.queues")


@dataclass(frozen=True, slots=True, kw_only=True)
class RescuerConfig:
    """The settings of a rescuer."""

    max_interruptions: int
    interval: float = 0.5
    """Seconds between two runs; a run takes one try at each node's file lock."""


class Rescuer(PeriodicService[RescuerConfig]):
    """Finds nodes whose file lock is free, which only death frees, and gives back their jobs."""

    refusal_warning = "no look for dead nodes, until the store can be used: %s"

    def run_once(self, now: Instant) -> int:
        """Give back the jobs of all dead nodes in the store; return how many."""
        return rescue_dead_nodes(
            self.store, max_interruptions=self.config.max_interruptions, now=now
        )


def cancel_abandoned(store: StorageClient, node: int, now: Instant) -> None:
    """Cancel the batches that were to be, if the node that adds their members ends before."""
    for batch in store.read(JobReader.abandoned, node):
        store.cancel_group(batch, now=now, kind=None)
        log.warning(
            "batch or workflow %d was cancelled: node %d ended before it was closed", batch, node
        )


def rescue_dead_nodes(store: StorageClient, *, max_interruptions: int, now: Instant) -> int:
    """Give back the jobs of nodes whose file lock is free, which only death frees.

    Return how many. Several nodes may do it at once: a job is given back once. Raises StorageError.
    """
    rescued = 0
    for node in store.dead_nodes():
        given_back = store.write(
            JobStore.rescue,
            node=node,
            reason=f"its node {node} died",
            max_interruptions=max_interruptions,
            now=now,
        )
        cancel_abandoned(store, node, now)
        store.close_node(node)
        log.warning("node %d died; %d of its jobs were given back", node, given_back)
        store.hub.tell(NodeDied, peer=node, jobs=given_back)
        rescued += given_back
    if rescued:
        store.hub.tell(Rescued, count=rescued)
    return rescued


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
