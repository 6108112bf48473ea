"""The interface of a queue actor: its settings, its messages, its status.

The messages are for ``ask`` or ``tell``, ``otp.call`` or ``otp.cast``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from antq_actors.checks import short_repr, whole
from antq_actors.introspection import explain_fields
from antq_actors.jobs.instant import datetime_for_display

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

    from antq_actors.executors.base import Health
    from antq_actors.jobs.control import Progress
    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.middleware import Pipeline
    from antq_actors.jobs.state import Status
    from antq_actors.queues.node import QueueNode

MAX_CONCURRENCY: Final = 1_000_000
"""Far more threads than a process can have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSettings:
    """The settings of a queue actor, given at its start."""

    name: str
    concurrency: int
    check_interval: float
    """Seconds between two checks of the store when no event causes one."""
    max_interruptions: int
    node: QueueNode
    """This process, as the store knows it."""
    workers: str
    """The name of the dynamic supervisor of its worker actors and executors."""
    application: str = ""
    """The name of its application's root supervisor."""
    path: Path | None = None
    """The directory that its application was described with; None: it is volatile."""
    executor: str | None = None
    """What runs jobs whose workers name no executor."""
    max_jobs: int | None = None
    """Jobs after which an OS process is replaced; None: never."""
    max_memory: int | None = None
    """Bytes of memory above which an OS process is replaced after a job; None: any."""
    max_abandoned: int = 20
    """Abandoned threads that still run, above which nothing is claimed."""
    middleware: Pipeline | None = None
    """What its application has called around attempts."""


@dataclass(frozen=True, slots=True)
class SetConcurrency:
    """Perform up to *n* jobs at once from now on. Lowering stops no running job."""

    n: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "n", check_concurrency(self.n))


@dataclass(frozen=True, slots=True)
class Pause:
    """Claim nothing more, on every node of the path, until Resume; kept over restarts."""

    by: str | None = None
    """Who wants that, for the event."""
    reason: str | None = None
    """Why, as well."""


@dataclass(frozen=True, slots=True)
class Resume:
    """Claim jobs again, on every node of the path."""


@dataclass(frozen=True, slots=True)
class GetStatus:
    """Return the queue's QueueStatus."""


@dataclass(frozen=True, slots=True)
class GetRunning:
    """Return the ids of the jobs that run, also while the store cannot be used."""


@dataclass(frozen=True, slots=True)
class GetProgress:
    """Return what a running job has reported last; None: nothing, or it does not run here."""

    id: int


@dataclass(frozen=True, slots=True)
class GetStack:
    """Return where the thread of a running job is, as text; None: it runs in no thread here."""

    id: int


@dataclass(frozen=True, slots=True)
class Wake:
    """There may be a job to claim."""

    check_commands: bool = False
    """Another process has changed something: it may have left a command for this queue as well."""


@dataclass(frozen=True, slots=True)
class Drain:
    """Claim no more, and reply when nothing runs any more.

    What still runs after *timeout* seconds is interrupted, and given back when that takes longer
    than an interruption may.
    """

    timeout: float


@explain_fields
@dataclass(frozen=True, slots=True)
class QueueStatus:
    """The state of a queue, as ``QueueHandle.status`` returns it."""

    name: str
    """Its name, as in ``queues=``."""
    concurrency: int
    """Jobs it performs at once on this node, at most; 0 where no queue runs."""
    paused: bool
    """Whether it claims nothing, on every node, until it is resumed."""
    running: tuple[int, ...]
    """Ids of the jobs that run on this node."""
    counts: Mapping[Status, int]
    """Stored jobs of the queue by status, over all nodes."""
    due: int = 0
    """Jobs that could begin now: those that are enqueued, and those that are scheduled or retrying
    and whose time has come. Counted also while the queue is paused.

    Enqueued jobs are a counter. Of the others, the due and the not due are stepped through until
    the fewer ones are counted: a million of them take less than a second.
    """
    oldest_due: datetime | None = None
    """Since when the first of them is due; None when there is none. A job that was retried by hand
    or given back is due since then, not since it was stored.

    It reads the enqueued jobs of that kind that come before all others, up to 10,000 of a priority.
    """
    executors: tuple[Health, ...] = ()
    """The state of what runs its jobs on this node, beside threads."""
    abandoned: tuple[int, ...] = ()
    """Ids of the jobs whose threads were abandoned on this node and still run."""
    progress: Mapping[int, Progress] = field(default_factory=dict)
    """What running jobs have reported, by their ids: on this node, what each did last; where no
    queue runs, what is stored of the jobs of all nodes."""


def due_for_display(due: Instant | None) -> datetime | None:
    """Convert the instant since which a queue's job is due to a datetime."""
    return None if due is None else datetime_for_display(due)


def check_concurrency(n: object) -> int:
    """Return *n* if a queue can have this concurrency; else raise TypeError or ValueError."""
    number = whole(n)
    if number is None:
        raise TypeError(f"concurrency must be a whole number, got {short_repr(n)}")
    if number < 1:
        raise ValueError(f"concurrency must be at least 1, got {number}; to stop a queue, pause it")
    if number > MAX_CONCURRENCY:
        raise ValueError(f"concurrency must be at most {MAX_CONCURRENCY}, got {short_repr(n)}")
    return number


def check_global_concurrency(n: object) -> int:
    """Return how many jobs of a queue may run at once in all processes, if it can be that.

    Raises TypeError, ValueError.
    """
    number = whole(n)
    if number is None:
        raise TypeError(f"global_concurrency must be a whole number or None, got {short_repr(n)}")
    if number < 1:
        raise ValueError(
            f"global_concurrency must be at least 1, got {number}; to stop a queue, pause it"
        )
    if number > MAX_CONCURRENCY:
        raise ValueError(f"global_concurrency must be at most {MAX_CONCURRENCY}, got {number}")
    return number
