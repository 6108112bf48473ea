"""The eight statuses of a job, and what is stored of it, as values.

A job has two parts: its state, a small value that the lifecycle works on and the store rewrites at
each change, and its spec, which holds the arguments and never changes. Beside them there is an
entry for each error.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

import msgspec

from antq_actors.jobs.instant import Instant

if TYPE_CHECKING:
    from antq_actors.flow.limits import GateKey


class Status(StrEnum):
    """Where a job is in its life; the names are Ant's.

    >>> Status.ENQUEUED == "enqueued"
    True
    """

    ENQUEUED = "enqueued"
    """Waiting for its queue to run it."""
    RUNNING = "running"
    """Being performed."""
    SCHEDULED = "scheduled"
    """Waiting for its ``scheduled_at``."""
    COMPLETED = "completed"
    """Performed with success."""
    FAILED = "failed"
    """Failed its last attempt, was interrupted too often, or can never be run."""
    RETRYING = "retrying"
    """Failed an attempt, waiting to be tried again at ``scheduled_at``."""
    CANCELLED = "cancelled"
    """Cancelled before it ran, while it ran, or by its own ``perform``."""
    SUSPENDED = "suspended"
    """Waiting for other jobs to end."""


StatusName: TypeAlias = Literal[
    "enqueued",
    "running",
    "scheduled",
    "completed",
    "failed",
    "retrying",
    "cancelled",
    "suspended",
]
"""A status as text."""

Statuses: TypeAlias = Status | StatusName | Collection[Status | StatusName]
"""One status or several, as filters take them."""

ENDED: Final = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED})
"""The statuses that a job leaves only by ``retry_job`` or the pruner."""

ACTIVE: Final = frozenset(Status) - ENDED
"""The statuses of a job that has not ended."""

WAITING: Final = ACTIVE - {Status.RUNNING}
"""The statuses of a job that is neither being performed nor has ended: it is cancelled at once."""

CLAIMABLE: Final = WAITING - {Status.SUSPENDED}
"""The statuses in which a queue may claim a job, once it is due."""


class Limited(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Where a job with limits is: an enqueued one waits for them, and some keep their order."""

    gate: bytes | None = None
    """Whose room it waits in, as that is closed or another job is in front of it; None: in none."""
    is_front: bool = False
    """Whether it was given back, and so goes before all others of its room."""
    ticket: tuple[int, int] | None = None
    """Its turn, where it is in front of all its gates: the next job's id at that moment, and a
    number of its own."""
    chains: tuple[bytes, ...] = ()
    """The gates in whose strict order it has a place, until it has ended."""
    has_begun: bool = False
    """Whether it has run since it got these places, so that they are before all others."""
    is_held: bool = False
    """Whether others are before it in the strict order of the gate in whose room it waits; then it
    is in front of no other gate, as those that it waits for may have to pass there."""
    number: int = 0
    """Of the gate in whose room it waits; 0: that gate has none."""


class Composed(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """How far a job is with others: its group, what it waits for, what is kept of it."""

    group: int = 0
    """The batch or workflow that counts it as a member, and is pruned with it; 0: none."""
    is_counted: bool = False
    """Whether its end is counted there: once, until it is retried."""
    pending: int = 0
    """How many edges to it are left: what it waits for, or waited for when it was cancelled."""
    has_dependents: bool = False
    """Whether jobs wait for its end: then it has rows in ``edges``."""
    is_cut: bool = False
    """Whether it was cancelled because a job that it waited for did not end as it had to."""
    has_result: bool = False
    """Whether its result is kept, or was until its time was over."""
    has_steps: bool = False
    """Whether it has rows in ``steps``."""
    is_apart: bool = False
    """Whether it belongs to the group without being a member: a callback, which is not counted."""
    is_unneeded: bool = False
    """Whether it was cancelled as nothing needed it: that is no failure of its group."""
    cuts: int = 0
    """How many of the edges to it are cut."""
    cause: int = 0
    """The job whose failure or cancellation cut it off, also by way of others; 0: it is not."""
    part: int = 0
    """The group that it has expanded into, with whose end it has ended for others; 0: none."""
    is_none: bool = False
    """Whether its result is None, of which there is no row."""
    node: int = 0
    """The node on which its result was made; 0: none was."""

    @property
    def has_result_row(self) -> bool:
        """Whether it has a row in ``results``, unless its time is over."""
        return self.has_result and not self.is_none


NOT_COMPOSED: Final = Composed()
"""What a job that has nothing to do with others would have, instead of None."""


class JobState(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Where a job stands."""

    status: Status
    queue_name: str
    priority: int
    """Larger is picked first among the enqueued of a queue."""
    max_attempts: int
    updated_at: Instant
    scheduled_at: Instant | None
    """When it becomes, or became, due; None while it runs and after its end."""
    attempts: int = 0
    """Executions that ended in success or failure; while it runs, the current one included."""
    interruptions: int = 0
    """Executions cut short by the death of their node or queue."""
    execution: int = 0
    """How often it was claimed. An outcome counts only for the execution it names: the fence."""
    node: int = 0
    """The node that runs it, or did when it ended; 0 while it waits, and if none did."""
    errors: int = 0
    """How many errors it has had here, also those that are not kept; the number of the next one."""
    isolated: bool = False
    """It begins next time with no other job beside it: one more interruption would fail it, and
    must then be its own doing."""
    cancelling: bool = False
    """It was cancelled while it runs: unless it completes all the same, that is how it ends."""
    errors_elsewhere: int = 0
    """How many more it has had in the store from which it was imported, beyond those it brought."""
    started_at: Instant | None = None
    """When it was claimed last; None before, and in what a release before format 3 has claimed."""
    limited: Limited | None = None
    """Where it waits for its limits; None for a job without."""
    composed: Composed | None = None
    """How far it is with other jobs; None for a job that has nothing to do with others, and of
    which nothing is kept."""
    history: int = 0
    """How many changes of it are noted, also those that are not kept; the number of the next."""

    @property
    def error_count(self) -> int:
        """How many errors the job has had."""
        return self.errors + self.errors_elsewhere

    @property
    def ended_at(self) -> Instant | None:
        """When the job ended: its last change, as an ended one changes no more; None until then."""
        return self.updated_at if self.status in ENDED else None


class GateRef(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A limit that a job passes before it runs."""

    gate: bytes
    """Of the limit and the job's key."""
    weight: int = 1
    """How many starts this job counts for a rate limit."""
    text: str | None = None
    """The job's key as people read it; None: the limit has no key."""
    is_own: bool = False
    """Whether it is the worker's own limit, and not one that others share."""


class ResultRule(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """How the result of a job is kept."""

    max_size: int
    """Bytes, at most."""
    ttl: int | None = None
    """Microseconds after its end; None: as long as the job."""


class JobFlow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What ties a job to limits, to a periodic entry and to other jobs; most have none of these."""

    gates: tuple[GateRef, ...] = ()
    """In the order in which they are passed."""
    cron: str | None = None
    """The name of the periodic entry that enqueued it."""
    scheduled_for: Instant | None = None
    """The instant of that entry for which it was enqueued; None for a run by hand."""
    result: ResultRule | None = None
    """How its result is kept; None: it is not."""
    workflow: int = 0
    """The workflow to which it belongs; 0: none."""
    node: str | None = None
    """Its name in the workflow; None: it is no node."""
    upstream: tuple[tuple[str, int, bool], ...] = ()
    """The names and ids of the nodes directly before it, and whether that is a group of nodes."""
    release_in: int | None = None
    """Microseconds from its release until it is due; None: at once."""
    release_at: Instant | None = None
    """It is not due before that, however early it is released."""
    is_for_nodes: bool = False
    """Whether its result is kept for nodes behind it alone, that are there or may be added."""
    needs: tuple[bool, ...] = ()
    """Of each in ``upstream``, whether it begins only if that has completed; empty: not known."""


class JobSpec(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The part of a job that never changes."""

    worker: str
    """The stored name of its worker."""
    args: bytes
    """As ``values.encode_args`` made them."""
    inserted_at: Instant
    timeout: float | None = None
    """Seconds an attempt may take."""
    unique: tuple[str, ...] | None = None
    """Names of the arguments that make it unique; None for a job that is not."""
    unique_statuses: tuple[Status, ...] = ()
    """Statuses of another job with the same digest that keep this one out."""
    unique_digest: bytes | None = None
    """Equal for jobs that are in each other's way; None when uniqueness is off or bypassed."""
    flow: JobFlow | None = None
    """What ties it to limits, a periodic entry and other jobs; None for a job without."""
    meta: dict[str, str] | None = None
    """What is kept beside its arguments; None: nothing."""
    encrypted: bool = False
    """Whether its arguments, *meta* and digest are encrypted on disk. Where a key for them is
    missing, *args* is the ciphertext of all three."""
    due: Instant | None = None
    """When it was to become due, if it was scheduled at its insertion; None: it was not."""


class ErrorEntry(NamedTuple):
    """One entry of a job's list of errors, as it is stored."""

    attempt: int
    error: str
    stack_trace: str | None
    attempted_at: Instant
    error_type: str | None = None
    """The name of the exception's class; None where there was none."""
    started_at: Instant | None = None
    """When the attempt was claimed; None where none was."""
    node: int = 0
    """The node on which it ran; 0: on none."""
    sealed: bytes | None = None
    """The ciphertext of its texts, which are not here then; None: it is not encrypted."""


class NewJob(NamedTuple):
    """A job to be stored."""

    state: JobState
    spec: JobSpec
    keys: tuple[GateKey, ...] = ()
    """What is to be known of the gates of its spec, in their order."""


class StoredJob(NamedTuple):
    """A job as it was when it was read, its arguments still encoded."""

    id: int
    state: JobState
    spec: JobSpec
    errors: tuple[ErrorEntry, ...]
    """Those that are kept, newest first. A claim reads none: most attempts never look at them."""


class DueJob(StoredJob):
    """A claimed job that knows when it was due, where there is middleware."""

    due: Instant | None = None
