"""What insights return, as frozen values: their fields are the keys of the JSON API."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from antq_actors.jobs.control import Progress
    from antq_actors.jobs.history import Transition
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
class JobRun:
    """One execution of a job."""

    attempt: int
    node: int
    """0: it is not known."""
    waited: float
    """Seconds from when it could have begun until it did."""
    started_at: datetime
    ended_at: datetime | None
    """None: it runs."""
    duration: float | None
    """Seconds; None: it runs."""
    outcome: str | None
    """``completed``, ``failed``, ``cancelled``, ``interrupted``, ``snoozed`` or ``given back``."""
    error: str | None
    error_type: str | None
    fingerprint: str | None
    """What failures that are alike have in common; None: it did not fail, or that is not kept."""
    stack_trace: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FilmStop:
    """A job as it was from one change of its status to the next."""

    at: datetime
    status: Status
    attempt: int
    node: int
    cause: str | None
    due: datetime | None
    """When it came due; None: it did not wait for a time."""
    args: Mapping[str, Any]
    error: AttemptError | None
    """What came with the change."""
    changes: Mapping[str, tuple[Any, Any]]
    """What differs from the stop before, by name: what it was, and what it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobView(JobItem):
    """A job on its own."""

    runs: tuple[JobRun, ...]
    """Its executions, oldest first, as far as they are known."""
    history: tuple[Transition, ...]
    progress: Progress | None
    related: Mapping[str, tuple[int, ...]]
    """Ids of other jobs, by what they have to do with it; without those of which there are none."""
    stack: str | None
    """Where its thread is, while it runs in one; None also where its node does not say."""


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
    """What is common to them. All failures that no key here decrypts have one, and the text
    ``<encrypted>``: they are not told apart."""
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


@dataclass(frozen=True, slots=True)
class Refused:
    """Why some of many jobs are not changed."""

    reason: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkPreview:
    """What would become of many jobs, if they were changed now."""

    matches: int
    """How many are meant, or were found in the time for that."""
    exact: bool
    """Whether these are all."""
    changes: int
    """How many of them would be changed."""
    refused: tuple[Refused, ...]
    """Why others would not, the most frequent reason first."""
    sample: tuple[JobItem, ...]
    """The first few that would be changed."""
    cli: str
    """A line for a shell that does the same."""
    python: str
    """A line of Python that does the same, where ``app`` is the application."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkView:
    """A bulk change, and how far it is."""

    id: int
    verb: str
    filter: str
    """What has found the jobs."""
    state: str
    """``running``, ``stopped`` or ``done``."""
    total: int
    """How many jobs it is about."""
    changed: int
    skipped: int
    """Jobs that had changed since they were found, and were left as they are."""
    refused: int
    """Jobs that could not be changed."""
    by: str | None
    """Who has begun it."""
    at: datetime
    """When it was last gone on with."""
