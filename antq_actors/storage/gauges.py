"""The numbers of a store that are watched over time: of its queues, its nodes and its file.

They are read from the store and the lock files of its nodes, so that one process sees all of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from antq_actors.jobs import instant
from antq_actors.jobs.state import Status
from antq_actors.storage.jobs.reader import JobReader

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from antq_actors.jobs.instant import Instant
    from antq_actors.storage.client import StorageClient


class QueueGauges(NamedTuple):
    """The numbers of one queue."""

    jobs: Mapping[Status, int]
    """How many jobs it has, for each status."""
    oldest_due_seconds: float
    """How long the first due job has been due; 0: no job is due."""


class StoreGauges(NamedTuple):
    """The numbers of a store at about one moment."""

    queues: Mapping[str, QueueGauges]
    """By name: those that have jobs, are paused, or are run by a node."""
    slots: Mapping[tuple[str, int], int]
    """How many jobs a queue performs at once on a living node, at most."""
    nodes: int
    """The living nodes that run queues."""
    size_bytes: int
    """The size of the data file."""


def read_gauges(store: StorageClient, queues: Iterable[str], *, now: Instant) -> StoreGauges:
    """Read the numbers of a store, and of these *queues* also if nothing knows them yet.

    A transaction for each queue, so that nobody waits for all of them. Raises StorageError.
    """
    counts = dict.fromkeys(queues, dict.fromkeys(Status, 0)) | store.read(JobReader.counts_by_queue)
    found = {}
    for name, jobs in sorted(counts.items()):
        oldest = store.read(JobReader.oldest_due, name, now)
        waited = 0.0 if oldest is None else max(0.0, (now - oldest) / instant.SECOND)
        found[name] = QueueGauges(jobs, waited)
    nodes = [node for node, served in store.read(JobReader.served_by_node) if served]
    living = store.node_reports(nodes)
    slots = {
        (queue, node): report.concurrency
        for node, reports in living.items()
        for queue, report in reports.items()
        if report.concurrency is not None
    }
    return StoreGauges(found, slots, len(living), store.file_bytes())
