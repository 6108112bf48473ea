"""The values that go in and out of the store."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import msgspec

from antq_actors.errors import AntqError
from antq_actors.jobs.instant import Instant  # msgspec reads annotations

if TYPE_CHECKING:
    from antq_actors.jobs.history import Change
    from antq_actors.jobs.outcome import Outcome
    from antq_actors.jobs.state import ErrorEntry, NewJob, Status, StoredJob
    from antq_actors.storage.jobs.step_table import KeptRow


WaitsFor: TypeAlias = tuple[int, int, bool]
"""What a job waits for: the number of a job or group, a condition, and whether that cannot be met
any more."""


class ImportedJob(NamedTuple):
    """A job of another store, to be stored as it was."""

    id: int
    """Its id there."""
    new: NewJob
    errors: tuple[ErrorEntry, ...]
    """As many as its state counts, newest first."""
    waits_for: tuple[WaitsFor, ...] = ()
    result: tuple[bytes, Instant | None] | None = None
    """The payload of its result, and when that is deleted: None with the job."""
    kept: tuple[KeptRow, ...] = ()
    """Its steps and its checkpoint."""
    history: tuple[Change, ...] = ()
    """What was noted of it, oldest first."""


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
        """Return the rest of this span of job ids behind the job *id_*."""
        return self._replace(before=id_) if self.newest_first else self._replace(after=id_)


class Chosen(NamedTuple):
    """What jobs that are changed in bulk still have to be when it is their turn."""

    statuses: frozenset[Status] | None = None
    """None: any."""
    until: Instant | None = None
    """What has changed later is left; None: when it has changed does not matter."""


class BulkResult(NamedTuple):
    """What became of jobs that were to be changed in one transaction."""

    changed: int
    skipped: int
    """Jobs that were not as chosen any more."""
    refused: int
    """Jobs that are left as they were, as a unique one is in their way or a limit is full."""
    queues: frozenset[str] = frozenset()
    """Those that got jobs to run."""


class PauseRecord(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """Who paused a queue, and when, as far as they said."""

    by: str | None = None
    reason: str | None = None
    at: Instant | None = None


class Settlement(NamedTuple):
    """How one execution of a job ended."""

    id: int
    execution: int
    """The fence: it counts only while the job still runs this execution."""
    outcome: Outcome
    checkpoint: bytes | None = None
    """The last one of the execution, if it is not stored yet."""
    worker: str = ""
    """The name of the job's worker, as its claim told it; "": it is read from the job's record."""


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


class QueueReport(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a node says of a queue that it runs, and what no other process could see."""

    concurrency: int | None = None
    """Jobs it performs at once there now, at most; None: it says nothing."""
    is_stopping: bool = False
    """It claims nothing more, because it ends."""
    has_too_many_abandoned: bool = False
    """It claims nothing while so many threads of ended jobs still run."""
    refused_since: Instant | None = None
    """Since when the store refuses what it writes."""


class NodeGone(AntqError):
    """The asking node was declared dead, and its jobs were given back: it is given no more."""
