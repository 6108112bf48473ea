"""One periodic entry: when it fires next, and what came of the last times."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Final

from antq_actors.app.cron_handle import CronInfo
from antq_actors.errors import CronError
from antq_actors.insights.filter_values import Text
from antq_actors.insights.filters import Filter, Term
from antq_actors.insights.search import BUDGET_SECONDS, PageOf, find_jobs
from antq_actors.jobs.state import Status

if TYPE_CHECKING:
    from datetime import datetime

    from antq_actors.insights.source import Source
    from antq_actors.insights.values import JobItem

NEXT_TIMES: Final = 5
MOST_RUNS: Final = 20
LATE_SECONDS: Final = 60.0
"""After its instant, a job that has not started by then is late."""


@dataclass(frozen=True, slots=True)
class CronRun:
    """A job of a periodic entry."""

    job: int
    scheduled_for: datetime | None
    """The instant for which it was enqueued; None: by hand."""
    started_at: datetime | None
    ended_at: datetime | None
    status: Status
    outcome: str
    """"on time", "late", "failed" or "cancelled"; "waiting" before it starts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CronView(CronInfo):
    """A periodic entry with what comes next, and what came last."""

    next_times: tuple[datetime, ...]
    """The next instants at which it fires, in its zone; none while it is paused."""
    runs: tuple[CronRun, ...]
    """Its last jobs, the newest first, as far as a short search finds them."""


def read_cron(source: Source, name: str) -> CronView:
    """Read one periodic entry. Raises UnknownCron, TypeError."""
    handle = source.app.cron(name)
    info = handle.info()
    times: tuple[datetime, ...] = ()
    if not info.paused:
        with suppress(CronError):  # it is damaged, or its zone is unknown: info says so
            times = tuple(handle.next(NEXT_TIMES))
    of_cron = Filter((Term("cron", (Text(info.name, is_quoted=True),)),))
    page = find_jobs(source, of_cron, PageOf(limit=MOST_RUNS), BUDGET_SECONDS)
    return CronView(
        **{each.name: getattr(info, each.name) for each in fields(info)},
        next_times=times,
        runs=tuple(map(_run, page.items)),
    )


def _run(job: JobItem) -> CronRun:
    times = job.scheduled_for, job.started_at, job.ended_at
    return CronRun(job.id, *times, job.status, outcome_of(job.status, *times[:2]))


def outcome_of(status: Status, scheduled_for: datetime | None, started_at: datetime | None) -> str:
    """Return in a word what came of a job that a periodic entry enqueued for an instant.

    >>> outcome_of(Status.COMPLETED, None, None)
    'on time'
    """
    if status in (Status.FAILED, Status.CANCELLED):
        return status.value
    if scheduled_for is not None and started_at is not None:
        waited = (started_at - scheduled_for).total_seconds()
        return "late" if waited > LATE_SECONDS else "on time"
    return "on time" if status is Status.COMPLETED or started_at is not None else "waiting"
