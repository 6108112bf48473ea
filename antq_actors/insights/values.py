"""What insights return, as frozen values: their fields are the keys of the JSON API."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from antq_actors.jobs.control import Progress
    from antq_actors.jobs.job import AttemptError
    from antq_actors.jobs.state import Status


@dataclass(frozen=True, slots=True, kw_only=True)
class JobItem:
    """A job of a list: what a `Job` has, by its names, without what is hidden."""

    id: int
    worker: str
    queue_name: str
    args: Mapping[str, Any]
    priority: int
    status: Status
    attempts: int
    max_attempts: int
    interruptions: int
    scheduled_at: datetime | None
    inserted_at: datetime
    updated_at: datetime
    errors: tuple[AttemptError, ...]
    opts: Mapping[str, Any]
    node: int
    error_count: int
    started_at: datetime | None
    ended_at: datetime | None
    cron: str | None
    scheduled_for: datetime | None
    last_progress: Progress | None
    meta: Mapping[str, Any]
    actions: Mapping[str, bool | str]
    """Each verb: True, or the sentence why it cannot be done now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPage:
    """Some of the jobs that a filter finds."""

    items: tuple[JobItem, ...]
    next: int | None
    """What to give as ``after`` for what follows; None: nothing does."""
    previous: int | None
    """What to give as ``before`` for what comes before; None: this is the first page."""
    count: int
    """How many jobs the filter finds, or has found so far."""
    exact: bool
    """Whether it finds no more than *count*."""
    searched: int
    """Jobs that were looked at."""
    complete: bool
    """Whether the search came to its end; else it goes on at *next*."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorGroup:
    """Failures that are alike: the same class of exception, raised in the same place."""

    fingerprint: str
    error_type: str | None
    text: str
    """The newest one's."""
    frames: tuple[str, ...]
    """Where it was raised, in the user's own code, the innermost last."""
    first: datetime
    last: datetime
    count: int
    workers: tuple[str, ...]
    """Their stored names."""
    versions: tuple[str, ...]
    """Of the code of the nodes on which it happened, as far as they are known."""
    hours: tuple[int, ...]
    """How many there were in each of the last 24 hours, the last one now."""
    known: str | None
    """Until which version it is known; None: nobody has said so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorPage:
    """Groups of failures, the one that happened last first."""

    items: tuple[ErrorGroup, ...]
    next: int | None
    """What to give as ``after`` to look at older jobs; None: all were looked at."""
    previous: int | None
    """Always None: older jobs are looked at from the newest on."""
    searched: int
    """Jobs that were looked at."""
    complete: bool
    """Whether the search came to its end."""
