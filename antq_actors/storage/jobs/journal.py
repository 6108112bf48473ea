"""What a transaction of the store does, as the events that are told when it is committed.

There, and nowhere else, is decided what becomes of a job, and when: so events have the instants
that are stored, and an outcome that is dropped is none. There is a journal only while somebody
listens to what it notes.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, Final

from antq_actors import events
from antq_actors.checks import escaped
from antq_actors.errors import AntqError, NotAWorker, WorkerNotFound
from antq_actors.jobs import instant
from antq_actors.jobs.instant import datetime_for_display
from antq_actors.jobs.outcome import GivenBack, Interrupted
from antq_actors.jobs.state import Status, StoredJob
from antq_actors.storage.format import encoding
from antq_actors.storage.format.encoding import meta_of
from antq_actors.storage.jobs.tracker import (
    Begun,
    of_job,
    started_values,
)
from antq_actors.storage.lmdb import keys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from antq_actors.events import Event, Told
    from antq_actors.flow.gates import Limit
    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.outcome import Outcome
    from antq_actors.jobs.state import ErrorEntry, JobSpec, JobState
    from antq_actors.storage.jobs.tracker import JobTracker
    from antq_actors.workflows.counters import Ends

_OUTCOMES: Final[dict[Status, str]] = {
    Status.COMPLETED: "completed",
    Status.RETRYING: "retrying",
    Status.CANCELLED: "cancelled",
    Status.FAILED: "failed",
}
"""Of executions, by what their jobs are afterwards; for others it is snoozed."""

_REFUSALS: Final = (WorkerNotFound.__name__, NotAWorker.__name__)
"""The classes of the errors of executions that could not begin."""

STOPPED: Final = "its queue was stopped"
NOT_STARTED: Final = "nothing was there to perform it"


class Journal:
    """What one transaction does, in order. It is dropped when the transaction is aborted."""

    def __init__(self, tracker: JobTracker, read: Callable[[int], JobSpec]) -> None:
        self._entered = time.monotonic()
        self._tracker = tracker
        self._read = read
        self._wanted = tracker.wanted
        self._tracks = tracker.tracks
        self._kinds: dict[tuple[str, str], str | None] = {}
        """What performs the jobs of a queue and a worker."""
        self._node = tracker.hub.node or 0
        self._date = tracker.hub.clock
        self._events: list[Told] = []
        self._completed_ids: list[int] = []
        """Jobs that have completed together: no execution of them can begin here."""
        self._over: dict[int, int] = {}
        """Executions that are over, by job."""
        self._stored: dict[tuple[str, str], list[int]] = {}
        """The ids of the jobs that a verb has stored, by worker and queue."""
        self._recorded: list[StoredJob] | None = [] if tracker.recorders else None
        """The new jobs, for the recorders; None: there are none."""
        self.is_import = False
        """Whether what is stored now was enqueued elsewhere, and long ago."""
        self._is_foreign = False
        """Whether what ends now was run by another process: then it is that one's event."""
        self.by: str | None = None
        """What cancels jobs in this verb, where that is no call."""
        self.changed = 0
        """How many jobs it has stored or changed."""

    def take(self, began: float, has_changed: bool) -> list[Told]:  # noqa: FBT001 - a fact
        """Return what is to be told of the transaction, which was committed.

        It was wanted when it *began*, by the monotonic clock; *has_changed*: it has a number.
        """
        if self._stored:
            self.end_verb()
        if has_changed and events.Committed in self._wanted:
            waited, took = self._entered - began, time.monotonic() - self._entered
            self.note(events.Committed, jobs=self.changed, waited=waited, took=took)
        if self._completed_ids or self._over:
            self._tracker.forget(self._completed_ids, self._over)
        self._read = _over  # it leads to the store, which leads here
        for job in self._recorded or ():
            for record in self._tracker.recorders:
                record(job)
        return self._events

    # ---- jobs come in --------------------------------------------------------------------------

    def end_verb(self) -> None:
        """Note the jobs that a verb has stored: those of one call come together."""
        self.is_import = self._is_foreign = False
        self.by = None
        if self._stored:
            self._tell_stored(self._date())

    def _tell_stored(self, at: datetime) -> None:
        """Note what was stored so far, before what follows from it."""
        for (worker, queue), ids in self._stored.items():
            values = {"worker": worker, "queue": queue, "ids": tuple(ids), "count": len(ids)}
            self._add(events.JobsEnqueued, at, values)
        self._stored = {}

    def stored(self, id_: int, state: JobState, spec: JobSpec) -> None:
        """Note that a new job was stored."""
        self.changed += 1
        if self._tracker.tells_stored and not self.is_import:
            self._stored.setdefault((spec.worker, state.queue_name), []).append(id_)
            if self._recorded is not None:
                self._recorded.append(StoredJob(id_, state, spec, ()))

    def stored_together(self, first: int, news: Sequence[tuple[JobState, JobSpec, object]]) -> None:
        """Note that new jobs were stored; *first* is the first of their ids."""
        if self._recorded is None and events.JobsEnqueued not in self._wanted:
            self.changed += len(news)
            return
        for id_, (state, spec, _) in enumerate(news, first):
            self.stored(id_, state, spec)

    # ---- executions begin ----------------------------------------------------------------------

    def claimed(self, job: StoredJob, due: Instant | None) -> None:
        """Note that a job was claimed that was *due* then."""
        if self._tracks:
            self._claimed([job.id], job.state, job.spec, [due])

    def claimed_together(
        self, jobs: Sequence[StoredJob], dues: Sequence[Instant | None], changed: Sequence[bytes]
    ) -> None:
        """Note that jobs were claimed, if their keys in ``jobs`` are among the *changed* ones.

        They have the same state by now, and had been due at these instants.
        """
        if len(changed) < len(jobs):
            there = set(changed)
            pairs = zip(jobs, dues, strict=True)
            left = [each for each in pairs if keys.job_key(each[0].id) in there]
            jobs, dues = [job for job, _ in left], [due for _, due in left]
        self.changed += len(jobs)
        if jobs and self._tracks:
            ids, states, specs, _ = zip(*jobs, strict=True)
            for start, end in _runs(specs):
                run = slice(start, end)
                self._claimed(ids[run], states[start], specs[start], dues[run])

    def _claimed(
        self, ids: Sequence[int], state: JobState, spec: JobSpec, dues: Sequence[Instant | None]
    ) -> None:
        """Note that jobs were claimed that differ in nothing that events tell but their *dues*."""
        now = state.started_at or state.updated_at
        worker, queue = spec.worker, state.queue_name
        if self._stored:  # by what was settled in the same verb, and perhaps these very jobs
            self._tell_stored(datetime_for_display(now))
        is_told, kind = True, None
        if self._tracker.tells_beginnings:
            kinds, of = self._kinds, (queue, worker)
            if of not in kinds:
                kinds[of] = self._tracker.executor_of(*of)
            kind = kinds[of]
            is_told = kind is not None
        if dues.count(dues[0]) == len(dues):
            waits, waited = None, _waited(dues[0], now)
        else:
            waits, waited = [_waited(due, now) for due in dues], 0.0
        begun = Begun(
            *(state.execution, worker, queue, state.attempts, meta_of(spec), now, waited),
            is_told,
        )
        # Also if it is aborted: then they are claimed again, with the same number.
        self._tracker.note(ids, begun, waits)
        if kind is not None and self._tracker.tells_started:
            values = started_values(begun, datetime_for_display(now), self._node, kind)
            self._events.append(events.Several(events.JobStarted, values, ids, waits))

    # ---- executions end ------------------------------------------------------------------------

    def completed_together(self, ids: Sequence[bytes], after: JobState) -> None:
        """Note that executions completed of jobs with these keys in ``jobs``."""
        self.changed += len(ids)
        if not self._tracks:
            return
        numbers = keys.ids_of(ids)
        self._completed_ids += numbers
        if not self._tracker.tells_ended or not numbers:
            return
        known = list(map(self._tracker.begun.get, numbers))
        if known.count(known[0]) == len(known) and known[0] is not None:  # as they mostly are
            self._completed(numbers, known[0], after)
            return
        start = 0
        for end, begun in enumerate(known):
            if begun is not known[start] or begun is None:
                self._completed(numbers[start:end], known[start], after)
                start = end
        self._completed(numbers[start:], known[start], after)

    def _completed(self, ids: Sequence[int], begun: Begun | None, after: JobState) -> None:
        if not ids:
            return
        if begun is None or begun.execution != after.execution:
            begun = self._begun(ids[0], after)
        elif not begun.is_told:
            self._tell_begun(ids, begun, None)
        values = self._ended(begun, after, None)
        waits = self._tracker.queue_times_of(ids, begun)
        self._events.append(events.Several(events.JobEnded, values, ids, waits))

    def begin_settling(self, node: int) -> None:
        """Note that executions on a *node* are ended by this verb, which may be another process."""
        self._is_foreign = node != self._node

    def settled(
        self,
        id_: int,
        before: JobState,
        outcome: Outcome,
        after: JobState,
        error: ErrorEntry | None,
    ) -> None:
        """Note what the *outcome* of an execution came to."""
        if self._is_foreign:
            return
        limited = outcome.closes if isinstance(outcome, GivenBack) else None
        is_cut_short = limited is None and isinstance(outcome, GivenBack | Interrupted)
        if is_cut_short and after.status is not Status.CANCELLED:
            begun = self._tracker.known(id_)
            is_told = begun is None or begun.execution != before.execution or begun.is_told
            if is_told and events.JobInterrupted in self._wanted:
                if isinstance(outcome, Interrupted):
                    reason = outcome.reason
                else:
                    is_stopping = before.queue_name in self._tracker.stopping
                    reason = STOPPED if is_stopping else NOT_STARTED
                values = of_job(id_, self._begun(id_, before))
                self._add(
                    events.JobInterrupted,
                    datetime_for_display(after.updated_at),
                    {**values, "reason": reason},
                )
            if after.status is not Status.FAILED:
                self._over[id_] = before.execution
                return
        next_at = after.scheduled_at
        if limited is not None:  # the limit is closed that long, and not the job put off
            next_at = instant.after(after.updated_at, limited.retry_after)
        self._end(id_, before, after, error, next_at)

    def _end(
        self,
        id_: int,
        before: JobState,
        after: JobState,
        error: ErrorEntry | None,
        next_at: Instant | None = None,
    ) -> None:
        self._over[id_] = before.execution
        if self._tracker.tells_ended:
            begun = self._begun(id_, before)
            if not begun.is_told:
                self._tell_begun([id_], begun, error)
            values = self._ended(begun, after, error, next_at)
            self._events.append(events.make(events.JobEnded, {**values, "id": id_}))

    def _tell_begun(self, ids: Sequence[int], begun: Begun, error: ErrorEntry | None) -> None:
        """Note that executions had begun, or not, where nobody else has, before their ends."""
        at = datetime_for_display(begun.at)
        if error is not None and error.error_type in _REFUSALS:
            for id_ in ids if events.JobRefused in self._wanted else ():
                reason = f"{error.error_type}: {error.error}"
                self._add(events.JobRefused, at, {**of_job(id_, begun), "reason": escaped(reason)})
        elif self._tracker.tells_started:
            values = started_values(begun, at, self._node, "thread")
            waits = self._tracker.queue_times_of(ids, begun)
            self._events.append(events.Several(events.JobStarted, values, ids, waits))

    def _ended(
        self,
        begun: Begun,
        after: JobState,
        error: ErrorEntry | None,
        next_at: Instant | None = None,
    ) -> dict[str, Any]:
        """Return what is told of the end of an execution, but for the id of its job."""
        outcome = _OUTCOMES.get(after.status, "snoozed")
        is_put_off = outcome in ("retrying", "snoozed") and next_at is not None
        now = after.updated_at
        return {
            "at": datetime_for_display(now),
            "node": self._node,
            "worker": begun.worker,
            "queue": begun.queue,
            "attempt": begun.attempt,
            "meta": begun.meta,
            "outcome": outcome,
            "duration": max(0, now - begun.at) / instant.SECOND,
            "queue_time": begun.queue_time,
            "error_type": None if error is None else error.error_type,
            "next_at": datetime_for_display(next_at or 0) if is_put_off else None,
        }

    def dropped(self, id_: int, execution: int) -> None:
        """Note that an execution ended that counts no more: its job was deleted, or taken away."""
        self._over[id_] = execution

    def refused_attempt(self, id_: int, before: JobState, after: JobState, reason: str) -> None:
        """Note that a job was claimed and failed by that, as its spec is not as it was written."""
        if events.JobRefused in self._wanted:
            values = of_job(id_, self._begun(id_, before))
            at = datetime_for_display(after.updated_at)
            self._add(events.JobRefused, at, {**values, "reason": escaped(reason)})
        if after.attempts < before.attempts:  # it was no attempt
            self._over[id_] = before.execution
        else:
            self._end(id_, before, after, None)

    def refused(self, id_: int, queue: str, reason: str, spec: bytes) -> None:
        """Note that a job can never be begun, as its records are not as they were written."""
        self.changed += 1
        self._over[id_] = sys.maxsize
        if events.JobRefused not in self._wanted:
            return
        try:
            found = encoding.decode_spec(encoding.contents(spec))
            worker, meta = found.worker, meta_of(found)
        except AntqError:
            worker, meta = encoding.UNREADABLE, {}
        values = {"id": id_, "worker": worker, "queue": queue, "attempt": 0, "meta": meta}
        self._add(events.JobRefused, self._date(), {**values, "reason": escaped(reason)})

    # ---- jobs are changed otherwise ------------------------------------------------------------

    def moved(self, id_: int, before: JobState, after: JobState, error: ErrorEntry | None) -> None:
        """Note that a job's state was changed, but for the ends of executions."""
        self.changed += 1
        if events.JobCancelled not in self._wanted:
            return
        if before.status is Status.RUNNING:
            is_cancelled = after.status is Status.RUNNING and after.cancelling
        else:
            is_cancelled = after.status is Status.CANCELLED
        if not is_cancelled:
            return
        values = of_job(id_, self._begun(id_, after))
        by = self.by if error is None else error.error
        self._add(events.JobCancelled, datetime_for_display(after.updated_at), {**values, "by": by})

    def paused(
        self, queue: str, *, paused: bool, by: str | None = None, reason: str | None = None
    ) -> None:
        """Note that a queue was paused, or resumed."""
        if paused:
            self.note(events.QueuePaused, queue=queue, by=by, reason=reason)
        else:
            self.note(events.QueueResumed, queue=queue)

    def fired(self, cron: str, jobs: Sequence[tuple[int, Instant | None]], missed: int = 0) -> None:
        """Note that a periodic entry has enqueued *jobs*, and *missed* some instants for good."""
        self._tell_stored(self._date())
        for id_, at in jobs:
            instant_of = None if at is None else datetime_for_display(at)
            self.note(events.CronFired, cron=cron, id=id_, scheduled_for=instant_of)
        if missed:
            self.note(events.CronMissed, cron=cron, count=missed)

    def group_ended(self, id_: int, kind: int, name: str, ends: Ends) -> None:
        """Note that all jobs of a batch or a workflow have ended, and how."""
        if kind not in _GROUPS:
            return
        type_, number = _GROUPS[kind]
        counts = {
            "completed": ends.completed,
            "failed": ends.failed,
            "cancelled": ends.cancelled + ends.unneeded,
        }
        self.note(type_, **{number: id_, "name": name or None, **counts})

    def gate_closed(self, gate: bytes, limit: Limit | None, key: str | None) -> None:
        """Note that a gate is closed and jobs wait for it: once, until none does."""
        if gate in self._tracker.closed or limit is None:
            return
        self._tracker.closed.add(gate)
        self.note(events.LimitClosed, limit=limit.rule.name, key=key)

    def queue_closed(self, queue: str) -> None:
        """Note that no more jobs of a queue may begin and some wait: once, until none does."""
        if queue not in self._tracker.closed_queues:
            self._tracker.closed_queues.add(queue)
            self.note(events.LimitClosed, limit=queue, key=None)

    def queue_cleared(self, queue: str) -> None:
        """Note that no job waits for what limits a queue any more."""
        self._tracker.closed_queues.discard(queue)

    def gate_cleared(self, gate: bytes) -> None:
        """Note that no job waits for a gate any more."""
        self._tracker.closed.discard(gate)

    def note(self, type_: type[Event], **values: Any) -> None:
        """Note an event of now, if somebody listens to those of this class."""
        if type_ in self._wanted:
            self._add(type_, self._date(), values)

    # ---- what events are made of -----------------------------------------------------------------

    def _begun(self, id_: int, state: JobState) -> Begun:
        """Return what is known of a job's execution, or of a job that has none, read if need be."""
        begun = self._tracker.known(id_)
        if begun is not None and begun.execution == state.execution:
            return begun
        try:
            spec = self._read(id_)
        except AntqError:
            return Begun(
                *(state.execution, encoding.UNREADABLE, state.queue_name, state.attempts, {}),
                *(state.updated_at, 0.0, True),
            )
        at = state.started_at or state.updated_at
        waited = (at - spec.inserted_at) / instant.SECOND if state.execution == 1 else 0.0
        meta = meta_of(spec)
        return Begun(
            *(state.execution, spec.worker, state.queue_name, state.attempts, meta, at),
            *(max(0.0, waited), True),
        )

    def _add(self, type_: type[Event], at: datetime, values: dict[str, Any]) -> None:
        self._events.append(events.make(type_, {"at": at, "node": self._node, **values}))


_GROUPS: Final[dict[int, tuple[type[Event], str]]] = {
    0: (events.BatchEnded, "batch"),
    1: (events.WorkflowEnded, "workflow"),
}
"""What is told of a group that has ended, by its kind, and what its number is called there."""


def _runs(specs: Sequence[JobSpec]) -> Iterator[tuple[int, int]]:
    """Yield where jobs begin and end that are of one worker and have the same meta."""
    start = 0
    first, meta, alike = specs[0].worker, specs[0].meta, len(specs)
    if (  # as they mostly are; to find that out like this takes a third of the time
        [spec.worker for spec in specs].count(first) == alike
        and [spec.meta for spec in specs].count(meta) == alike
    ):
        yield 0, alike
        return
    for end, spec in enumerate(specs):
        if spec.worker != first or spec.meta != meta:
            yield start, end
            start, first, meta = end, spec.worker, spec.meta
    yield start, alike


def _over(_id: int) -> JobSpec:
    raise AssertionError("the transaction of this journal is over")


def _waited(due: Instant | None, now: Instant) -> float:
    return 0.0 if due is None or due > now else (now - due) / instant.SECOND
