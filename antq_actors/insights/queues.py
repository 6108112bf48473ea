"""Queues as they are now: what waits, what runs, in which slots, and where that leads to."""

from __future__ import annotations

from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from antq_actors.app.queue_handle import QueueHandle
from antq_actors.checks import list_known, short_repr
from antq_actors.errors import UnknownQueue
from antq_actors.insights.rates import rates, slow_ends
from antq_actors.jobs.instant import datetime_for_display
from antq_actors.jobs.state import ACTIVE, Status
from antq_actors.storage.format.records import Filter
from antq_actors.storage.jobs.reader import JobReader

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from antq_actors.executors.base import Health
    from antq_actors.insights.rates import Rate
    from antq_actors.insights.source import Source
    from antq_actors.jobs.stepping import Breakpoint, Upcoming
    from antq_actors.storage.format.records import PauseRecord, QueueReport
    from antq_actors.storage.jobs.entry_reader import RawJob

WAITING: Final = ACTIVE - {Status.RUNNING}
"""The statuses of jobs that wait for something."""

MOST_CELLS: Final = 400
"""Slots that are shown of a queue; of more, so many are."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Who paused a queue, why and when, as far as they said."""

    by: str | None
    reason: str | None
    at: datetime | None


@dataclass(frozen=True, slots=True)
class Forecast:
    """Where a queue is heading at its present pace; one of the two is a number."""

    empty_in: float | None
    """Seconds until nothing waits any more."""
    grows: float | None
    """Jobs a minute that come in beyond those that end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSummary:
    """A queue over all nodes."""

    name: str
    paused: Pause | None
    running: int
    slots: int
    """Jobs that its living nodes perform at once, at most."""
    waiting: int
    due: int
    """Jobs that could begin now."""
    oldest_due: datetime | None
    per_minute: Rate
    forecast: Forecast | None
    """None: nothing waits, or nothing moves."""
    nodes: tuple[int, ...]
    """Numbers of the living nodes that run it."""
    limits: tuple[str, ...]
    """Names of the limits that jobs of it wait for now."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A slot of a queue on a node."""

    node: int
    slot: int
    """Its number on the node, from 0."""
    job: int | None
    since: datetime | None
    """When the job that runs in it was started."""
    p95: float | None
    """Seconds within which 19 of 20 jobs of its worker have ended lately."""
    state: str
    """"free", "running" or "abandoned": the thread of an ended job still runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueDetail(QueueSummary):
    """A queue with its slots, and with what comes next."""

    cells: tuple[Cell, ...]
    executors: tuple[Health, ...]
    """Those of this process."""
    upcoming: tuple[Upcoming, ...]
    """What could start now, in the order of claims."""
    breakpoints: tuple[Breakpoint, ...]


@dataclass(slots=True)
class LivingNodes:
    """The living nodes of a store, and how their queues do."""

    reports: Mapping[int, Mapping[str, QueueReport]]

    @classmethod
    def read(cls, source: Source) -> LivingNodes:
        """Read which nodes live that run queues."""
        served = source.store.read(JobReader.served_by_node)
        return cls(source.store.node_reports([node for node, queues in served if queues]))

    def of(self, queue: str) -> dict[int, QueueReport]:
        """Return the nodes that run a queue, with how it does there."""
        return {node: queues[queue] for node, queues in self.reports.items() if queue in queues}

    def slots(self, queue: str) -> int:
        """Return how many jobs of a queue run at once on all of them, at most."""
        return sum(report.concurrency or 0 for report in self.of(queue).values())


def known_names(source: Source) -> list[str]:
    """Return the names of all queues: those that have jobs, are paused, or are run by a node."""
    return sorted(source.store.known_queues())


def handle_of(source: Source, name: str) -> QueueHandle:
    """Return the handle of a queue, also of one that other processes alone run.

    Raises UnknownQueue, TypeError.
    """
    if not isinstance(name, str):
        raise TypeError(f"queue must be a name (str), got {short_repr(name)}")
    with suppress(UnknownQueue):
        return source.app.queue(name)
    names = known_names(source)
    if name not in names:
        raise UnknownQueue(f"there is no queue {name!r}{list_known(name, names)}")
    return QueueHandle(name, None, source.store, source.now)


def read_queues(source: Source) -> list[QueueSummary]:
    """Read all queues, by name."""
    nodes, recent = LivingNodes.read(source), rates(source)
    return [_summary(source, name, nodes, recent) for name in known_names(source)]


def _facts(
    source: Source, name: str, nodes: LivingNodes, recent: Mapping[str, Rate]
) -> dict[str, Any]:
    """Read what is shown of a queue, by the names of the fields."""
    now = source.now()
    facts = source.store.read(JobReader.facts, name, now)
    record = source.store.read(JobReader.queue_record, name, now)
    waiting = sum(facts.counts[status] for status in WAITING)
    rate = recent[name]
    return {
        "name": name,
        "paused": pause_of(source.store.read(JobReader.pause_of, name)),
        "running": facts.counts[Status.RUNNING],
        "slots": nodes.slots(name),
        "waiting": waiting,
        "due": facts.due,
        "oldest_due": None if facts.oldest_due is None else datetime_for_display(facts.oldest_due),
        "per_minute": rate,
        "forecast": forecast(facts.due, rate),
        "nodes": tuple(sorted(nodes.of(name))),
        "limits": record.waits_for,
    }


def _summary(
    source: Source, name: str, nodes: LivingNodes, recent: Mapping[str, Rate]
) -> QueueSummary:
    return QueueSummary(**_facts(source, name, nodes, recent))


def pause_of(record: PauseRecord | None) -> Pause | None:
    """Return a pause as it is shown; None: the queue is not paused."""
    if record is None:
        return None
    return Pause(
        record.by, record.reason, None if record.at is None else datetime_for_display(record.at)
    )


def forecast(due: int, rate: Rate) -> Forecast | None:
    """Return where a queue with so many *due* jobs is heading; None: it stands still, or is empty.

    >>> from antq_actors.insights.rates import Rate
    >>> forecast(60, Rate(in_=10, out=40, failed=0))
    Forecast(empty_in=120.0, grows=None)
    >>> forecast(60, Rate(in_=50, out=10, failed=0))
    Forecast(empty_in=None, grows=40)
    """
    gain = rate.out - rate.in_
    if not due or not gain:
        return None
    return Forecast(60 * due / gain, None) if gain > 0 else Forecast(None, -gain)


def read_queue(source: Source, name: str) -> QueueDetail:
    """Read one queue with its slots. Raises UnknownQueue."""
    handle = handle_of(source, name)
    nodes, recent, status = LivingNodes.read(source), rates(source), handle.status()
    return QueueDetail(
        **_facts(source, name, nodes, recent),
        cells=tuple(_cells(source, name, nodes, status.abandoned)),
        executors=status.executors,
        upcoming=tuple(handle.preview()),
        breakpoints=tuple(handle.breakpoints()),
    )


def _cells(
    source: Source, name: str, nodes: LivingNodes, abandoned: Sequence[int]
) -> Iterator[Cell]:
    """Yield the slots of a queue, node by node; those of threads that were abandoned here last."""
    running = source.store.read(
        JobReader.page, Filter(frozenset({Status.RUNNING}), name), size=MOST_CELLS
    )
    by_node: dict[int, list[RawJob]] = defaultdict(list)
    for job in running:
        by_node[job.state.node].append(job)
    typical = slow_ends(source)
    left = MOST_CELLS
    for node, report in sorted(nodes.of(name).items()):
        jobs = by_node[node]
        slots = min(max(report.concurrency or 0, len(jobs)), left)
        left -= slots
        for slot in range(slots):
            if slot < len(jobs):
                yield _running(node, slot, jobs[slot], typical)
            else:
                yield Cell(node, slot, None, None, None, "free")
    here = source.runtime.node.opened_number
    for slot, id_ in enumerate(abandoned, nodes.slots(name)):
        yield Cell(here or 0, slot, id_, None, None, "abandoned")


def _running(node: int, slot: int, job: RawJob, typical: Mapping[str, float]) -> Cell:
    started = job.state.started_at
    since = None if started is None else datetime_for_display(started)
    return Cell(node, slot, job.id, since, typical.get(job.worker), "running")
