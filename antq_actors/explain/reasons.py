"""The reasons why a job does not start, as values: plain, frozen, equal when they say the same.

Jobs are their ids, nodes their numbers, and instants aware datetimes in UTC.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, NamedTuple, TypeAlias

import msgspec

from antq_actors.introspection import explain_fields
from antq_actors.jobs.state import Status

if TYPE_CHECKING:
    # Not to decode anything: its module reads a clock.
    from antq_actors.jobs.control import Progress  # noqa: TC004

MOST_COUNTED: Final = 1_000
"""Jobs that are counted, at most, to say how many come before another."""

MOST_HOLDERS: Final = 100
"""Ids of jobs that a reason lists, at most."""

ManyJobs: TypeAlias = Literal["more than 1,000"]
"""What a number of jobs is that was not counted to its end."""

MANY_JOBS: Final[ManyJobs] = "more than 1,000"


class Reason(msgspec.Struct, frozen=True):
    """Why a job does not start now: one of the classes of ``antq_actors.explain``."""

    code: ClassVar[str] = "reason"
    """The name of the class in small letters with underscores; it stays as it is."""

    def __init_subclass__(cls, **options: Any) -> None:
        """Give the class of reasons its code."""
        super().__init_subclass__(**options)
        cls.code = re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()


class Explanation(msgspec.Struct, frozen=True):
    """Why a job, or a queue, does nothing now, as ``AntQ.explain`` returns it."""

    reasons: tuple[Reason, ...]
    """All that hold, and what must change first comes first. None: nothing is in the way."""
    text: str
    """The same in sentences."""


class NodeQueues(NamedTuple):
    """A living node and the queues that it runs."""

    number: int
    queues: tuple[str, ...]


@explain_fields
class Ended(Reason, frozen=True):
    """The job has ended, so it does not run again unless it is retried."""

    status: Status
    """Completed, failed or cancelled."""
    cause: str | None = None
    """Its newest error, or why it was cancelled; None where there is none."""


@explain_fields
class Running(Reason, frozen=True):
    """The job runs already."""

    node: int
    since: datetime | None = None
    """None: a release that did not note it has started the job."""
    progress: Progress | None = None
    """What it has reported last, as far as this process knows."""


@explain_fields
class Cancelling(Reason, frozen=True):
    """The job was cancelled while it runs, and its node has been told to end it."""

    node: int


@explain_fields
class WaitsFor(Reason, frozen=True):
    """The job is suspended until other jobs have ended as it needs it."""

    jobs: tuple[int, ...]
    """Some of those that have not ended, at most 100."""
    batch: int | None = None
    """The batch whose members they are; None: they are of no batch."""
    left: int = 0
    """How many have not ended."""


@explain_fields
class BatchOpen(Reason, frozen=True):
    """The job waits for the end of a batch, or a group of nodes, that still gets members."""

    batch: int


@explain_fields
class NotDue(Reason, frozen=True):
    """The job is scheduled for later."""

    at: datetime


@explain_fields
class RetryDue(Reason, frozen=True):
    """An attempt of the job failed, and it is too early for the next one."""

    at: datetime
    attempt: int
    """The attempt that failed, from 1."""
    error: str
    """What went wrong in it."""


@explain_fields
class NoNode(Reason, frozen=True):
    """No living node runs the job's queue."""

    queue: str
    nodes: tuple[NodeQueues, ...] = ()
    """The living nodes with their queues."""


@explain_fields
class NodeStopping(Reason, frozen=True):
    """A node that runs the job's queue is stopping, so it claims nothing more."""

    node: int


@explain_fields
class Paused(Reason, frozen=True):
    """The job's queue is paused, on every node."""

    queue: str


@explain_fields
class GlobalFull(Reason, frozen=True):
    """As many jobs of the queue run, over all nodes, as may."""

    running: int
    limit: int


@explain_fields
class KeyFull(Reason, frozen=True):
    """As many jobs run under a limit, with the job's key, as may."""

    limit: str
    """The limit's name."""
    key: Any = None
    """As a limit's handle takes it; None for a limit without keys."""
    holders: tuple[int, ...] = ()
    """The jobs that run under it, at most 100 of them."""
    before: int | ManyJobs = 0
    """How many jobs wait for the same before this one."""


@explain_fields
class HeldByOrder(Reason, frozen=True):
    """The job's key keeps a strict order, and an earlier job has not ended."""

    job: int
    """That job."""


@explain_fields
class RateFull(Reason, frozen=True):
    """As many jobs have started under a rate limit as may, for now."""

    limit: str
    """The limit's name; of a queue's own rate, the queue's."""
    key: Any = None
    """As a limit's handle takes it; None for a limit without keys."""
    opens_at: datetime | None = None
    """When the next one may start."""


@explain_fields
class LimitPaused(Reason, frozen=True):
    """A limit of the job is paused, for its key or as a whole."""

    limit: str
    key: Any = None
    """None where the limit is paused as a whole."""


@explain_fields
class SlotsFull(Reason, frozen=True):
    """A node runs as many jobs of the queue as it has slots for."""

    node: int
    running: int
    concurrency: int


@explain_fields
class KeptAlone(Reason, frozen=True):
    """A job that may have killed its process before has a node for itself, for a moment."""

    job: int
    """That job."""
    until: datetime


@explain_fields
class TooManyAbandoned(Reason, frozen=True):
    """On a node too many threads of ended jobs still run, so it claims nothing of the queue."""

    node: int


@explain_fields
class StoreRefuses(Reason, frozen=True):
    """The store refuses what a node writes, since then: its disk may be full."""

    since: datetime


@explain_fields
class Behind(Reason, frozen=True):
    """Other jobs of the queue come before this one."""

    n: int | ManyJobs
    """How many, or "more than 1,000"."""


@explain_fields
class WorkerUnknown(Reason, frozen=True):
    """The job's worker cannot be found in the process that was asked: there, it would fail."""

    worker: str


REASONS: Final[tuple[type[Reason], ...]] = (
    *(Ended, Running, Cancelling, WaitsFor, BatchOpen, NotDue, RetryDue, NoNode, NodeStopping),
    *(Paused, GlobalFull, KeyFull, HeldByOrder, RateFull, LimitPaused, SlotsFull, KeptAlone),
    *(TooManyAbandoned, StoreRefuses, Behind, WorkerUnknown),
)
"""All of them, in the order in which they are given."""
