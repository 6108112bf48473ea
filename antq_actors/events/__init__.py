"""What an application does, as typed values: one type for each thing that can happen.

    a job    --comes in--> JobsEnqueued
             --is claimed-> JobStarted, or JobRefused; then JobEnded
                            JobInterrupted: it was cut short, and given back or failed by that
                            JobTimedOut: beside its JobEnded
             --is cancelled-> JobCancelled; if it runs, JobEnded follows
    a queue  QueueStarted, QueuePaused, QueueResumed, ConcurrencyChanged, QueueStopped
    a store  Committed, OutageBegan, OutageEnded, MapGrown, Compacted, BackedUp
    a node   NodeStarted, NodeStopped, NodeDied, Rescued, Pruned, ExecutorStarted, ExecutorDied
    flow     LimitClosed, CronFired, CronMissed, WorkflowEnded, BatchEnded

They are equal by value and can be pickled. `Hub` (`hub.py`) delivers them; `antq_actors.telemetry`
is where users find them.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from itertools import repeat
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias, TypeVar

from antq_actors.introspection import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

__all__ = [
    "BackedUp",
    "BatchEnded",
    "Committed",
    "Compacted",
    "ConcurrencyChanged",
    "CronFired",
    "CronMissed",
    "Event",
    "ExecutorDied",
    "ExecutorStarted",
    "JobCancelled",
    "JobEnded",
    "JobEvent",
    "JobInterrupted",
    "JobRefused",
    "JobStarted",
    "JobTimedOut",
    "JobsEnqueued",
    "LimitClosed",
    "MapGrown",
    "NodeDied",
    "NodeStarted",
    "NodeStopped",
    "OutageBegan",
    "OutageEnded",
    "Pruned",
    "QueueEvent",
    "QueuePaused",
    "QueueResumed",
    "QueueStarted",
    "QueueStopped",
    "Rescued",
    "WorkflowEnded",
]

EndOutcome: TypeAlias = Literal["completed", "retrying", "snoozed", "cancelled", "failed"]
"""What an execution of a job came to."""

ExecutorKind: TypeAlias = Literal["thread", "async", "process", "ray"]
"""Where jobs are performed."""


@dataclass(frozen=True)
class Event:
    """Something that an application has done."""

    at: datetime
    """When it happened, in UTC. Of JobStarted and JobEnded it is the instant that is stored."""
    node: int
    """The number of its node; 0 where no queues run."""


# ---- jobs ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class JobEvent(Event):
    """Something happened to a job."""

    # Beside the other fields, which events of jobs that change together have in one dictionary.
    __slots__ = ("id",)

    id: int
    worker: str
    """The stored name of its worker."""
    queue: str
    attempt: int
    """The attempt that it is about, from 1; 0: there was none yet."""
    meta: Mapping[str, str]
    """What it was enqueued with as ``meta``."""

    @property
    def __dict__(self) -> dict[str, Any]:  # type: ignore[override]  # read only, as the event is
        """All fields, in a copy: what `vars` returns."""
        return {**_values_of(self), "id": self.id}

    def __reduce__(self) -> tuple[Any, ...]:
        return make, (type(self), vars(self))


@dataclass(frozen=True)
class JobsEnqueued(Event):
    """Jobs of one worker were stored together: by one call, or a batch of one."""

    worker: str
    """The stored name of their worker."""
    queue: str
    ids: tuple[int, ...]
    """In the order in which they were given."""
    count: int


@dataclass(frozen=True)
class JobStarted(JobEvent):
    """An execution of a job has begun: a queue has claimed it."""

    queue_time: float
    """Seconds from when it was due until it was claimed."""
    executor: ExecutorKind
    """What performs it."""


@dataclass(frozen=True)
class JobEnded(JobEvent):
    """An execution of a job has ended, and what came of it is stored."""

    outcome: EndOutcome
    duration: float
    """Seconds since it was claimed."""
    queue_time: float
    """Seconds from when it was due until it was claimed."""
    error_type: str | None
    """The name of the exception's class; None where there was none: of a `Fail`, say."""
    next_at: datetime | None
    """When a retrying or snoozed job is due; None for others."""


@dataclass(frozen=True)
class JobInterrupted(JobEvent):
    """An execution was cut short through no fault of its job, which is given back.

    If that was one interruption too many, JobEnded follows.
    """

    reason: str


@dataclass(frozen=True)
class JobCancelled(JobEvent):
    """A waiting job was cancelled, or one that runs was told to end: then JobEnded follows."""

    by: str | None
    """What has cancelled it: a job that it waited for, ``batch 3``, ``workflow 3``, or ``periodic
    entry NAME``; None for a call that names it, or a filter that finds it."""


@dataclass(frozen=True)
class JobRefused(JobEvent):
    """A job could not be begun; JobEnded follows if that was an attempt."""

    reason: str


@dataclass(frozen=True)
class JobTimedOut(JobEvent):
    """An attempt was ended by its timeout."""

    abandoned: bool
    """Whether its thread could not be interrupted, and still runs."""


# ---- queues ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class QueueEvent(Event):
    """Something happened to a queue."""

    queue: str


@dataclass(frozen=True)
class QueueStarted(QueueEvent):
    """A queue claims jobs from now on."""


@dataclass(frozen=True)
class QueuePaused(QueueEvent):
    """A queue claims nothing more, on any node, until it is resumed."""

    by: str | None
    """Who has paused it, as that was given."""
    reason: str | None
    """Why, as that was given."""


@dataclass(frozen=True)
class QueueResumed(QueueEvent):
    """A queue that was paused claims jobs again."""


@dataclass(frozen=True)
class QueueStopped(QueueEvent):
    """A queue has ended on this node; its jobs were given back."""

    orphans: int
    """Threads of its jobs that were abandoned and still run."""


@dataclass(frozen=True)
class ConcurrencyChanged(QueueEvent):
    """A queue performs another number of jobs at once from now on."""

    concurrency: int


# ---- the store -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Committed(Event):
    """A transaction of the store was committed."""

    jobs: int
    """Jobs that were stored or changed in it."""
    waited: float
    """Seconds until it had the store's write lock."""
    took: float
    """Seconds from then to the commit."""


@dataclass(frozen=True)
class OutageBegan(Event):
    """The store refuses what is written."""

    error: str


@dataclass(frozen=True)
class OutageEnded(Event):
    """The store can be used again."""

    lasted: float
    """Seconds."""


@dataclass(frozen=True)
class MapGrown(Event):
    """The store was given more room."""

    size: int
    """Bytes that its data file may have now."""


@dataclass(frozen=True)
class Compacted(Event):
    """The store of the application, which did not run, was written anew without unused pages."""


@dataclass(frozen=True)
class BackedUp(Event):
    """The store was copied."""

    path: str
    """The directory of the copy."""


# ---- nodes -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class NodeStarted(Event):
    """This process runs queues from now on, under the number ``node``."""


@dataclass(frozen=True)
class NodeStopped(Event):
    """This process runs queues no more."""


@dataclass(frozen=True)
class NodeDied(Event):
    """Another node has died; what ran there is given back."""

    peer: int
    """Its number."""
    jobs: int
    """Jobs that ran there."""


@dataclass(frozen=True)
class Rescued(Event):
    """Jobs of nodes that died were given back."""

    count: int


@dataclass(frozen=True)
class Pruned(Event):
    """Ended jobs were deleted, as they were kept long enough."""

    count: int


@dataclass(frozen=True)
class ExecutorStarted(Event):
    """What performs jobs outside of threads has started."""

    kind: ExecutorKind
    pid: int | None
    """The process in which it performs them; None: it is not on this machine."""


@dataclass(frozen=True)
class ExecutorDied(Event):
    """What performs jobs outside of threads has ended, and was not told to."""

    kind: ExecutorKind
    pid: int | None
    """The process that it was; None: it was not on this machine."""
    reason: str


# ---- flow ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LimitClosed(Event):
    """A limit, or one key of it, lets no more jobs begin for now, and jobs wait for it."""

    limit: str
    """Its name; that of a queue, for its ``global_concurrency`` and its own rate."""
    key: str | None
    """None: the limit has no key."""


@dataclass(frozen=True)
class CronFired(Event):
    """A periodic entry has enqueued a job."""

    cron: str
    id: int
    """The job's."""
    scheduled_for: datetime | None
    """The instant for which it was enqueued; None: it was run by hand."""


@dataclass(frozen=True)
class CronMissed(Event):
    """Instants of a periodic entry passed without a job, and get none."""

    cron: str
    count: int


@dataclass(frozen=True)
class WorkflowEnded(Event):
    """All jobs of a workflow have ended."""

    workflow: int
    name: str | None
    completed: int
    failed: int
    cancelled: int


@dataclass(frozen=True)
class BatchEnded(Event):
    """All jobs of a batch have ended."""

    batch: int
    name: str | None
    completed: int
    failed: int
    cancelled: int


def _event_types(of: type[Event]) -> list[type[Event]]:
    return [of, *(each for sub in of.__subclasses__() for each in _event_types(sub))]


EVENTS: Final = frozenset(_event_types(Event))
"""The classes of events, and those that they have in common."""

E = TypeVar("E", bound=Event)
_new: Final = object.__new__
QUEUE_TIME: Final = "queue_time"
_values_of: Final[Callable[[Event], dict[str, Any]]] = vars(Event)["__dict__"].__get__
_set_values: Final[Callable[[Event, dict[str, Any]], None]] = vars(Event)["__dict__"].__set__
_set_id: Final[Callable[[JobEvent, int], None]] = vars(JobEvent)["id"].__set__


def make(type_: type[E], values: dict[str, Any]) -> E:
    """Return an event of these *values*, one for each of its fields, which are not checked.

    It keeps the dictionary, which must not be changed any more. It takes less than half as long as
    calling the class, which sets the fields one by one.
    """
    event = _new(type_)
    _set_values(event, values)
    if isinstance(event, JobEvent):
        _set_id(event, values["id"])
    return event


class Several(NamedTuple):
    """Events of jobs that differ in their ids and queue times alone, made when they are told."""

    type: type[JobEvent]
    values: dict[str, Any]
    """Of all fields but ``id``."""
    ids: Sequence[int]
    queue_times: Sequence[float] | None = None
    """None: all have that in ``values``."""

    def first(self, number: int) -> Several:
        """Return the first events of these."""
        times = self.queue_times
        return self._replace(ids=self.ids[:number], queue_times=times and times[:number])

    def made(self) -> Iterator[JobEvent]:
        """Yield the events, one for each job. They share a dictionary, with their ids beside it.

        Each is made when the one before it can be gone, so they take the same place in memory.
        """
        type_, values = self.type, self.values
        times = repeat(None) if self.queue_times is None else self.queue_times
        for id_, queue_time in zip(self.ids, times, strict=False):
            event = _new(type_)
            _set_values(event, values if queue_time is None else values | {QUEUE_TIME: queue_time})
            _set_id(event, id_)
            yield event


Told: TypeAlias = Event | Several
"""What passes through a hub."""


def renumbered(event: E, node: int) -> E:
    """Return the same event of another node."""
    return make(type(event), {**vars(event), "node": node})


def field_names(type_: type[Event]) -> tuple[str, ...]:
    """Return the names of the fields of an event's class, in order.

    >>> field_names(JobsEnqueued)
    ('at', 'node', 'worker', 'queue', 'ids', 'count')
    """
    return tuple(each.name for each in fields(type_))


def __dir__() -> list[str]:
    return shown(globals())
