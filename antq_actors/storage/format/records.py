"""What is stored of a job, and the values that go in and out of the store.

A job is two records: its state, small and rewritten at each change
(:class:`~antq_actors.jobs.state.JobState`), and its spec, which holds the arguments and is
written once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import msgspec

from antq_actors.errors import AntqError
from antq_actors.jobs.instant import Instant
from antq_actors.jobs.status import Status

if TYPE_CHECKING:
    from antq_actors.jobs.lifecycle import ErrorEntry
    from antq_actors.jobs.outcome import Outcome
    from antq_actors.jobs.state import JobState


class JobSpec(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The part of a job that never changes."""

    worker: str
    """The stored name of its worker."""
    args: bytes
    """As ``encoding.encode_args`` made them."""
    inserted_at: Instant
    timeout: float | None = None
    """Seconds an attempt may take."""
    unique: tuple[str, ...] | None = None
    """Names of the arguments that make it unique; None for a job that is not."""
    unique_statuses: tuple[Status, ...] = ()
    """Statuses of another job with the same digest that keep this one out."""
    unique_digest: bytes | None = None
    """Equal for jobs that are in each other's way; None when uniqueness is off or bypassed."""


class NewJob(NamedTuple):
    """A job to be stored."""

    state: JobState
    spec: JobSpec


class Arrival(NamedTuple):
    """A job of another store, to be stored as it was."""

    id: int
    """Its id there."""
    new: NewJob
    errors: tuple[ErrorEntry, ...]
    """As many as its state counts, newest first."""


class StoredJob(NamedTuple):
    """A job as it was when it was read, its arguments still encoded."""

    id: int
    state: JobState
    spec: JobSpec
    errors: tuple[ErrorEntry, ...]
    """Those that are kept, newest first. A claim reads none: most attempts never look at them."""


class Filter(NamedTuple):
    """What the jobs of a list have in common; None lets everything through."""

    statuses: frozenset[Status] | None = None
    queue_name: str | None = None
    worker: str | None = None


class Span(NamedTuple):
    """Which ids a list is about, and from which end it begins."""

    after: int = 0
    """Only larger ids."""
    before: int | None = None
    """Only smaller ids."""
    newest_first: bool = False

    def beyond(self, id_: int) -> Span:
        """Return what is left of it behind the job *id_*."""
        return self._replace(before=id_) if self.newest_first else self._replace(after=id_)


class Settlement(NamedTuple):
    """How one execution of a job ended."""

    id: int
    execution: int
    """The fence: it counts only while the job still runs this execution."""
    outcome: Outcome


Cancellation: TypeAlias = tuple[int, int]
"""A job's id and the execution of it that was cancelled while it ran."""


class Claim(NamedTuple):
    """Jobs that were marked running for the asker."""

    jobs: list[StoredJob]
    next_due: Instant | None
    """The earliest instant at which a scheduled or retrying job of the queue is due, after this
    claim; it lies in the past when the limit left due jobs behind. None: there is none, or the
    queue is paused.
    """
    concurrency: int | None = None
    """How many jobs at once the queue shall perform here from now on, if another process asked."""
    cancelled: tuple[Cancellation, ...] = ()
    """What the asker runs and shall end."""


class NodeGone(AntqError):
    """The asking node was declared dead, and its jobs were given back: it is given no more."""
