"""Whether all is well, in one look: the numbers of all queues, and what needs attention."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from antq_actors.errors import WorkerNotFound
from antq_actors.insights.attention import Facts, attention
from antq_actors.insights.nodes import read_nodes
from antq_actors.insights.queues import WAITING, LivingNodes, read_queues
from antq_actors.insights.store import read_store
from antq_actors.jobs import instant
from antq_actors.jobs.instant import datetime_for_display
from antq_actors.jobs.state import Status
from antq_actors.otp.inspect.tree import tree
from antq_actors.storage.jobs.reader import JobReader

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from antq_actors.insights.attention import Attention
    from antq_actors.insights.source import Source

LAST_ERRORS: Final = 50
"""Errors of which it is looked whether a worker could not be imported."""
LATELY: Final = 3_600 * instant.SECOND


@dataclass(frozen=True, slots=True)
class Counts:
    """The two numbers that every page shows."""

    waiting: int
    failed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """All queues together."""

    at: datetime
    store: str
    """The last part of its path; "volatile" for one in memory."""
    waiting: int
    oldest_due: datetime | None
    running: int
    slots: int
    done_per_minute: float
    failed_per_minute: float
    retries_due: int
    """Jobs that failed before, and could be tried again now."""
    store_fill: float
    last_ended_at: datetime | None
    attention: tuple[Attention, ...]


def read_counts(source: Source) -> Counts:
    """Read how many jobs wait, and how many failed, of all queues."""
    count = source.store.read(JobReader.count, WAITING)
    return Counts(count, source.store.read(JobReader.count, {Status.FAILED}))


def read_overview(source: Source) -> Overview:
    """Read the overview."""
    queues, store = read_queues(source), read_store(source)
    nodes = read_nodes(source)
    now = datetime_for_display(source.now())
    facts = Facts(
        now=now,
        queues=queues,
        nodes=nodes,
        store=store,
        is_volatile=source.app.is_volatile,
        unknown_workers=_not_imported(source),
        supervisors_near_end=tuple(_near_their_end(source)),
        crowded=tuple(_crowded(source)),
    )
    ended = source.store.read(JobReader.last_ended_at)
    return Overview(
        at=now,
        store="volatile" if source.app.is_volatile else source.app.path.name,
        waiting=sum(queue.waiting for queue in queues),
        oldest_due=min((each.oldest_due for each in queues if each.oldest_due), default=None),
        running=sum(queue.running for queue in queues),
        slots=sum(queue.slots for queue in queues),
        done_per_minute=sum(queue.per_minute.out for queue in queues),
        failed_per_minute=sum(queue.per_minute.failed for queue in queues),
        retries_due=source.store.read(JobReader.retries_due, source.now()),
        store_fill=store.fill,
        last_ended_at=None if ended is None else datetime_for_display(ended),
        attention=tuple(attention(facts)),
    )


def _not_imported(source: Source) -> tuple[tuple[str, str], ...]:
    """Return queues with the workers that a node could not import lately."""
    since = source.now() - LATELY
    ids = [
        id_
        for id_, entry in source.store.read(JobReader.newest_errors, LAST_ERRORS).items()
        if entry.error_type == WorkerNotFound.__name__ and entry.attempted_at > since
    ]
    jobs = source.store.read(JobReader.some, ids)
    return tuple(sorted({(job.state.queue_name, job.worker) for job in jobs}))


def _near_their_end(source: Source) -> Iterator[str]:
    """Yield the supervisors of this process that have at most one of several restarts left."""
    for node in tree(source.app.root).walk():
        left, most = node.restarts_left, node.max_restarts or 0
        if left is not None and left < most and left <= 1:
            yield node.name


def _crowded(source: Source) -> Iterator[tuple[str, int]]:
    for number, queues in LivingNodes.read(source).reports.items():
        for name, report in queues.items():
            if report.has_too_many_abandoned:
                yield name, number
