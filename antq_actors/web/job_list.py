"""The list of jobs as its page shows it: what was typed, its conditions, rows, and what is new."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from antq_actors.insights.filter_values import Text, show_text
from antq_actors.insights.filters import Filter, FilterError
from antq_actors.jobs.state import Status
from antq_actors.web.job_args import lines_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from antq_actors.insights.values import JobItem, JobPage
    from antq_actors.web.job_args import Part

_SHOWN_CHARACTERS: Final = 200
"""Of a filter that is none, on either side of what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Chip:
    """A condition of the filter, and the filter without it."""

    text: str
    rest: str


@dataclass(frozen=True, slots=True)
class StatusLink:
    """A status, and the filter that asks for it alone; None: any."""

    status: str | None
    filter: str
    is_current: bool


@dataclass(frozen=True, slots=True)
class JobRow:
    """A job of the list."""

    job: JobItem
    args: tuple[Part, ...]
    """As many of its arguments as a line has room for."""
    seconds: float | None
    """How long it ran, or has been running; None: it has not run."""
    same_worker: str
    """The filter of the list, narrowed to the jobs of its worker."""

    @property
    def module(self) -> str:
        """The part of the worker's name up to its colon."""
        return "".join(self.job.worker.rpartition(":")[:2])

    @property
    def name(self) -> str:
        """The part of the worker's name behind its colon."""
        return self.job.worker.rpartition(":")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobList:
    """The page of a filter; without rows where the filter is none."""

    typed: str
    """The filter as it was typed."""
    error: FilterError | None = None
    page: JobPage | None = None
    rows: tuple[JobRow, ...] = ()
    chips: tuple[Chip, ...] = ()
    statuses: tuple[StatusLink, ...] = ()
    stored: int = 0
    """Jobs in the store."""
    newest: int = 0
    """The id of the newest job in the store."""
    new: int = 0
    """Jobs that pass and were not there when the page was made."""
    order: str = "newest"
    limit: int = 50
    place: Mapping[str, str] = field(default_factory=dict)
    """The query that leads to this page again."""

    @property
    def wrong(self) -> tuple[str, str]:
        """What was typed up to where it is no filter, and the rest."""
        at = 0 if self.error is None else self.error.position
        return self.typed[max(0, at - _SHOWN_CHARACTERS) : at], self.typed[at:][:_SHOWN_CHARACTERS]


def worker_filter(worker: str) -> str:
    """Return the filter of the jobs of a worker.

    >>> worker_filter("shop:Send"), worker_filter("a b")
    ('worker:shop:Send', 'worker:"a b"')
    """
    return f"worker:{show_text(Text(worker))}"


def rows_of(items: tuple[JobItem, ...], now: datetime, asked: Filter) -> tuple[JobRow, ...]:
    """Return the jobs that a filter has found as rows."""
    others = [str(term) for term in asked.terms if term.name != "worker"]
    return tuple(
        JobRow(job, line, _run_seconds(job, now), " ".join([*others, worker_filter(job.worker)]))
        for job, line in zip(items, lines_of(items), strict=True)
    )


def _run_seconds(job: JobItem, now: datetime) -> float | None:
    if job.started_at is None:
        return None
    if job.status is Status.RUNNING:
        return max(0.0, (now - job.started_at).total_seconds())
    return None if job.ended_at is None else (job.ended_at - job.started_at).total_seconds()


def chips_of(asked: Filter) -> tuple[Chip, ...]:
    """Return the conditions of a filter, each with the filter that is left without it."""
    terms = asked.terms
    return tuple(
        Chip(str(term), str(Filter(terms[:at] + terms[at + 1 :]))) for at, term in enumerate(terms)
    )


def statuses_of(asked: Filter) -> tuple[StatusLink, ...]:
    """Return a link for each status, and one for all, that keep the other conditions.

    >>> [each.filter for each in statuses_of(Filter.parse("status:failed queue:mail"))][:2]
    ['queue:mail', 'status:enqueued queue:mail']
    """
    others = [str(term) for term in asked.terms if term.name != "status"]
    current = {str(term) for term in asked.terms if term.name == "status"}
    links = [StatusLink(None, " ".join(others), not current)]
    for status in Status:
        term = f"status:{status.value}"
        links.append(StatusLink(status.value, " ".join([term, *others]), current == {term}))
    return tuple(links)


def newer_than(asked: Filter, id_: int) -> Filter:
    """Return the filter of those jobs that came after one."""
    return replace(asked, terms=(*asked.terms, *Filter.parse(f"id:>{id_}").terms))


def count_new(find: Callable[..., JobPage], asked: Filter, newest: int, had: int | None) -> int:
    """Return how many jobs pass that were not on a page: new ones, or others that pass by now.

    *find* finds jobs; *newest*: the newest job that there was; *had*: how many passed, where that
    was known exactly.
    """
    page = find(newer_than(asked, newest), limit=1)
    more = 0
    if had is not None:
        all_ = find(asked, limit=1)
        more = all_.count - had if all_.exact else 0
    return max(page.count, more)
