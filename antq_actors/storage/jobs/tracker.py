"""What an application has claimed while somebody listens to that, as far as its events tell of it.

It outlives the storage actor. What a transaction does is noted in its journal
(:mod:`~antq_actors.storage.jobs.journal`), and comes here when it is committed.
"""

from __future__ import annotations

import time
from collections import deque
from itertools import repeat
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from antq_actors import events
from antq_actors.checks import escaped
from antq_actors.jobs.instant import datetime_for_display
from antq_actors.storage.format.encoding import meta_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from antq_actors.errors import StorageError
    from antq_actors.events.hub import Hub
    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.state import StoredJob

OF_EXECUTIONS: Final = frozenset(
    {
        events.JobCancelled,
        events.JobEnded,
        events.JobInterrupted,
        events.JobRefused,
        events.JobStarted,
    }
)
JOURNALED: Final = OF_EXECUTIONS | frozenset(
    {
        events.BatchEnded,
        events.Committed,
        events.CronFired,
        events.CronMissed,
        events.JobsEnqueued,
        events.LimitClosed,
        events.QueuePaused,
        events.QueueResumed,
        events.WorkflowEnded,
    }
)
"""What is noted in transactions, or needs what is noted there."""


_OF_BEGINNINGS: Final = frozenset({events.JobInterrupted, events.JobRefused, events.JobStarted})


class Begun(NamedTuple):
    """An execution of a job that this application has claimed."""

    execution: int
    worker: str
    queue: str
    attempt: int
    meta: dict[str, str]
    at: Instant
    queue_time: float
    """Of jobs that were claimed together and had been due at different instants, it is in
    `JobTracker.queue_times`."""
    is_told: bool
    """Whether it was told that it has begun: not while its worker is yet to be found.

    True if nobody listened to that when it was claimed.
    """


class JobTracker:
    """What an application has claimed, as far as events tell of it; outlives its storage actor."""

    def __init__(
        self, hub: Hub, executor_of: Callable[[str, str], str | None] = lambda _q, _w: None
    ) -> None:
        self.hub = hub
        self.executor_of = executor_of
        """Returns what performs the jobs of a queue and a worker; None: that is to be found."""
        self.failing: StorageError | None = None
        """What the next write is refused with, for a test; None: it is not."""
        self.hanging: set[int] = set() if hub.path is None else hub.hanging
        """The jobs whose next attempt is to hang, for a test; a store in memory has none of the
        application's last run."""
        self.recorders: tuple[Callable[[StoredJob], object], ...] = ()
        """Are called with each new job when it is stored, as long as somebody listens to that."""
        self.notes_due = False
        """Whether what is claimed has to know when it was due, as there is middleware."""
        self.begun: dict[int, Begun] = {}
        """Executions, by job; those that began together are one value."""
        self.queue_times: dict[int, float] = {}
        """By job, of those for which it is not in ``begun``."""
        self.wanted: frozenset[type[events.Event]] = frozenset()
        """What was listened to when that was looked at last; what follows from it:"""
        self._wants_journal = False
        self.tracks = False
        """Whether somebody listens to what needs to be known of executions."""
        self.tells_stored = self.tells_started = self.tells_ended = False
        self.tells_beginnings = False
        """Whether somebody listens to what depends on whether a job's worker was found."""
        self.silences = 0
        """How often nobody listened any more, when that was looked at last."""
        self.stopping: set[str] = set()
        """The queues that end, and give back what they run."""
        self.closed: set[bytes] = set()
        """The gates of which it was told that they are closed, and for which jobs still wait."""
        self.closed_queues: set[str] = set()
        """The queues of which it was told that they are closed as a whole, likewise."""
        self.outage_since: float | None = None
        """Since when the store refuses, by the monotonic clock; None: it does not."""

    # ---- the store ---------------------------------------------------------------------------

    def outage_began(self, error: Exception) -> None:
        """Publish that the store refuses, once until it can be used again."""
        if self.outage_since is None:
            self.outage_since = time.monotonic()
            self.hub.tell(events.OutageBegan, error=escaped(str(error)))

    def outage_ended(self) -> None:
        """Publish that the store can be used again."""
        if self.outage_since is not None:
            lasted, self.outage_since = time.monotonic() - self.outage_since, None
            self.hub.tell(events.OutageEnded, lasted=lasted)

    # ---- jobs --------------------------------------------------------------------------------

    def wants_journal(self) -> bool:
        """Return whether somebody listens to what is noted in transactions."""
        if self.wanted is not self.hub.wanted:
            self._look()
        return self._wants_journal

    def _look(self) -> None:
        """See what is listened to now, which is looked at in each transaction."""
        self.wanted = wanted = self.hub.wanted
        self._wants_journal = not wanted.isdisjoint(JOURNALED)
        self.tracks = not wanted.isdisjoint(OF_EXECUTIONS)
        self.tells_stored = events.JobsEnqueued in wanted
        self.tells_started = events.JobStarted in wanted
        self.tells_ended = events.JobEnded in wanted
        self.tells_beginnings = not wanted.isdisjoint(_OF_BEGINNINGS)
        if self.silences != self.hub.silences or not self.tracks:
            # What ended while nobody listened is still in there.
            self.silences = self.hub.silences
            self.begun.clear()
            self.queue_times.clear()

    def found(self, id_: int, execution: int, kind: str) -> None:
        """Publish that a job has begun whose worker had to be found first."""
        begun = self._take_untold(id_, execution)
        if begun is not None and events.JobStarted in self.hub.wanted:
            at = datetime_for_display(begun.at)
            values = started_values(begun, at, self.hub.node or 0, kind)
            self.hub.publish(events.make(events.JobStarted, {**values, "id": id_}))

    def refused(self, id_: int, execution: int, reason: str) -> None:
        """Publish that a job cannot be begun, as it has no worker."""
        begun = self._take_untold(id_, execution)
        if begun is not None:
            values = of_job(id_, begun)
            self.hub.tell(events.JobRefused, **values, reason=escaped(reason))

    def timed_out(self, job: StoredJob, *, abandoned: bool) -> None:
        """Publish that an attempt of a job was ended by its timeout."""
        id_, state, spec, _ = job
        self.hub.tell(
            events.JobTimedOut,
            id=id_,
            worker=spec.worker,
            queue=state.queue_name,
            attempt=state.attempts,
            meta=meta_of(spec),
            abandoned=abandoned,
        )

    def note(self, ids: Sequence[int], begun: Begun, queue_times: Sequence[float] | None) -> None:
        """Note that executions have *begun*; *queue_times* are theirs, if they differ in that."""
        self.begun.update(dict.fromkeys(ids, begun))
        if queue_times is not None:
            self.queue_times.update(zip(ids, queue_times, strict=True))
        elif self.queue_times:  # if it is aborted these jobs are claimed again
            _consume(map(self.queue_times.pop, ids, repeat(None)))

    def known(self, id_: int) -> Begun | None:
        """Return what is known of an execution of a job, if anything is."""
        begun, queue_time = self.begun.get(id_), self.queue_times.get(id_)
        if begun is None or queue_time is None:
            return begun
        return begun._replace(queue_time=queue_time)

    def queue_times_of(self, ids: Sequence[int], begun: Begun) -> Sequence[float] | None:
        """Return the queue times of executions that have *begun* together; None: as it says."""
        known = self.queue_times
        return list(map(known.get, ids, repeat(begun.queue_time))) if known else None

    def forget(self, completed: Sequence[int], over: dict[int, int]) -> None:
        """Forget jobs that have completed, and executions that are *over*, by job."""
        known = self.begun
        if completed:
            _consume(map(known.pop, completed, repeat(None)))
            if self.queue_times:
                _consume(map(self.queue_times.pop, completed, repeat(None)))
        for id_, execution in over.items():
            begun = known.get(id_)
            if begun is not None and begun.execution <= execution:
                del known[id_]
                self.queue_times.pop(id_, None)

    def _take_untold(self, id_: int, execution: int) -> Begun | None:
        begun = self.known(id_)
        if begun is None or begun.execution != execution or begun.is_told:
            return None
        self.begun[id_] = begun._replace(is_told=True)
        return begun


_consume: Final[Callable[[Iterable[object]], None]] = deque[object](maxlen=0).extend
"""Exhaust an iterator, without a loop of Python code."""


def of_job(id_: int, begun: Begun) -> dict[str, Any]:
    """Return what is told of each event of a job."""
    return {
        "id": id_,
        "worker": begun.worker,
        "queue": begun.queue,
        "attempt": begun.attempt,
        "meta": begun.meta,
    }


def started_values(begun: Begun, at: datetime, node: int, kind: str) -> dict[str, Any]:
    """Return what is told of an execution that begins, but for the id of its job."""
    return {
        "at": at,
        "node": node,
        "worker": begun.worker,
        "queue": begun.queue,
        "attempt": begun.attempt,
        "meta": begun.meta,
        "queue_time": begun.queue_time,
        "executor": kind,
    }
