"""Jobs that are changed one by one, and what a write transaction has to remember to its end.

One method is one verb; it takes the time and decides no status: that is the lifecycle's. A verb
raises its AntqError before its first write, so that a transaction that holds many verbs goes on
after one that was refused.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from antq_actors.checks import is_utf8
from antq_actors.errors import (
    AlreadyExists,
    DamagedRecord,
    JobNotFound,
    LimitReached,
)
from antq_actors.explain.judge import ISOLATION_MICROSECONDS
from antq_actors.flow.limits import gate_id, limit_digest
from antq_actors.jobs import history, instant, lifecycle
from antq_actors.jobs.outcome import Failed, GivenBack, Interrupted, Refused, no_such_limit
from antq_actors.jobs.state import CLAIMABLE, DueJob, GateRef, Status, StoredJob
from antq_actors.jobs.stepping import FAILURES
from antq_actors.storage.format import display, encoding
from antq_actors.storage.format.cipher import Undecipherable, is_encrypted
from antq_actors.storage.format.encoding import Signer
from antq_actors.storage.format.records import Settlement
from antq_actors.storage.jobs import limited_jobs, upkeep
from antq_actors.storage.jobs.chart_counts import ENQUEUED, NO_TIME
from antq_actors.storage.jobs.charts import DEPLOYED, NODE_DOWN, NODE_UP, ChartTable
from antq_actors.storage.jobs.cron_table import CronTable
from antq_actors.storage.jobs.journal import Journal
from antq_actors.storage.jobs.meta import LETS_THROUGH, NEXT_ID, NEXT_NODE, Meta, paused_key
from antq_actors.storage.jobs.progress import TABLE, ProgressTable
from antq_actors.storage.jobs.results import ResultTable
from antq_actors.storage.jobs.step_table import has_steps, without_steps
from antq_actors.storage.jobs.stops import StoppingQueues
from antq_actors.storage.jobs.table import JobEntries
from antq_actors.storage.jobs.tasks import TASKS
from antq_actors.storage.jobs.undo_table import SlotsChange
from antq_actors.storage.lmdb import keys

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    import lmdb

    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.outcome import Outcome, RateLimited
    from antq_actors.jobs.state import ErrorEntry, JobSpec, JobState, NewJob, StoredJob
    from antq_actors.storage.format.encoding import JobRecord
    from antq_actors.storage.jobs.chart_counts import ChartCounts, Note, Rows
    from antq_actors.storage.jobs.composition import Composition
    from antq_actors.storage.jobs.limited_jobs import LimitedJobs
    from antq_actors.storage.jobs.progress import Reported
    from antq_actors.storage.jobs.tracker import JobTracker
    from antq_actors.storage.lmdb.tables import Tables

log: Final = logging.getLogger("antq_actors.storage")

_RUNNING: Final = frozenset({Status.RUNNING})


def log_findings(findings: Sequence[tuple[object, ...]]) -> None:
    """Log at level error what a transaction found of damaged jobs, after its commit."""
    for text, *values in findings:
        log.error(text, *values)


class JobWriter(StoppingQueues):
    """Changes jobs one by one, in one LMDB write transaction; JobStore adds what is done in bulk.

    Commit only after :meth:`flush`; then tell the queues in :attr:`due` that they have new work,
    and those in :attr:`commanded` that there are commands for them.
    """

    def __init__(
        self,
        txn: lmdb.Transaction,
        tables: Tables,
        signer: Signer | None = None,
        clock: Callable[[], Instant] | None = None,
    ) -> None:
        # What JobReader.__init__ does, without a call: each write begins with this.
        self._txn = txn
        self._tables = tables
        self._jobs = JobEntries(txn, tables)
        self._meta = Meta(txn, tables.meta)
        self._signer = signer or Signer()
        self._chart_clock = clock
        self.chart_notes: list[Note] = []
        """What the transaction does to jobs, for charts, if they go by a *clock*."""
        self._jobs.chart_notes = None if clock is None else self.chart_notes
        self._next_id: int | None = None
        """The id of the next job, once one was asked for."""
        self.due: set[str] = set()
        """Queues that got a job, or were resumed, in this transaction."""
        self.commanded: set[str] = set()
        """Queues for whose nodes a command was stored in this transaction."""
        self.findings: list[tuple[object, ...]] = []
        """What is to be logged once it is committed, as arguments of ``log.error``. Not before: a
        handler of log records may enqueue a job, which would wait for this very transaction."""
        self._limited: LimitedJobs | None = None
        """Once a job with limits was met."""
        self._composition: Composition | None = None
        """Once a job was met that has to do with others."""
        self.has_changed = False
        """Whether the flushed transaction changes anything: LMDB gives an empty one no number."""

    @property
    def crons(self) -> CronTable:
        """The periodic entries of the store, to change them."""
        return CronTable(self._txn, self._tables, self._meta, self._signer)

    def collect_ended(self) -> Sequence[int]:
        """Return a list to which the transaction adds the numbers of jobs that end in it, or go."""
        ended: list[int] = []
        self._jobs.ended = ended
        return ended

    def note_due(self, *, wanted: bool) -> None:
        """Have jobs that are claimed know when they were due, if that is wanted."""
        self._jobs.notes_due = wanted

    def put_charts(self, counts: ChartCounts, took: Collection[float] = ()) -> Rows:
        """Write what was counted of transactions before this one, with marks, and return it.

        *took*: seconds that commits of this process have taken lately.
        """
        written, table = counts.take(), ChartTable(self._txn, self._tables)
        table.add(written)
        table.mark_all(counts.take_marks())
        table.sample_file(counts.clock(), took)
        self.has_changed = True
        return written

    @property
    def journal(self) -> Journal | None:
        """What the transaction does, as events; None: nobody listens."""
        return self._jobs.journal

    def note_events(self, tracker: JobTracker) -> Journal | None:
        """Return the journal of what the transaction does, if somebody listens to that."""
        if tracker.wants_journal():
            self._jobs.journal = Journal(tracker, self._spec_of)
        return self._jobs.journal

    def _spec_of(self, id_: int) -> JobSpec:
        """Read the spec of a job, with its arguments still encoded. Raises AntqError.

        What is encrypted is decrypted if a key fits.
        """
        record = self._existing(id_)
        stored = record.spec or self._jobs.large_spec(id_)
        return display.spec_for_display(stored, record.state, self._tables.cipher)

    def flush(self) -> None:
        """Write counts and the next id before the commit; leave paused queues out of `due`."""
        if self._composition is not None:
            self._compose()
        if self._limited is not None and self._limited.flush():
            self.has_changed = True
        if self._jobs.flush() or self._meta.has_changed:
            self.has_changed = True
        meta = self._tables.meta
        if self._next_id is not None:
            self._txn.put(NEXT_ID, b"%d" % self._next_id, db=meta)
            self._next_id = None
            self.has_changed = True
        for queue_name in list(self.due):
            # Asked here first, as a call costs more than to ask twice when it is.
            is_paused = self._txn.get(paused_key(queue_name), db=meta) is not None
            if is_paused and self.holds(queue_name):
                self.due.discard(queue_name)

    def holds(self, queue_name: str) -> bool:
        """Read whether no job of a queue may start: it is paused, and no step lets any through."""
        if self._txn.get(paused_key(queue_name), db=self._tables.meta) is None:
            return False
        return LETS_THROUGH not in self._meta.stepping(queue_name)

    def _compose(self) -> None:
        """Store what follows from the changes so far for others: jobs may be released by that."""
        if self.composition.flush():
            self.has_changed = True
            if self.composition.dependents.tasks.has_new:
                self.commanded.add(TASKS)

    # ---- jobs come in one by one ----------------------------------------------------------

    def insert(self, new: NewJob, *, replaces: int = 0) -> int:
        """Store a new job, return its id. Raises AlreadyExists, LimitReached.

        A job that it *replaces* is no duplicate of it, nor are others that were told to end.
        """
        if new.spec.unique_digest is not None:
            self._refuse_duplicate(new.state, new.spec, replaces, but_ending=bool(replaces))
        if new.spec.flow is not None:
            self._refuse_full(new.state, new.spec.flow.gates, new.state.updated_at)
        return self._add(new)

    def _add(self, new: NewJob, errors: tuple[ErrorEntry, ...] = (), wanted: int = 0) -> int:
        """Store a new job under the next id, or a larger one that is *wanted*; return the id."""
        id_ = max(self._first_free_id(), wanted)
        self._next_id = id_ + 1
        state, spec, _ = new
        if spec.flow is not None and spec.flow.gates:
            spec = limited_jobs.with_texts(new)
            state = self.limited.arrive(id_, new, state.updated_at)
        self._jobs.add(id_, state, spec, self._signer, errors)
        if self._jobs.journal is not None:
            self._jobs.journal.stored(id_, state, spec)
        if (notes := self._jobs.chart_notes) is not None:
            about = state.updated_at, state.queue_name, spec.worker, None, ENQUEUED, NO_TIME, 1
            notes.append(about)
        if state.limited is not None:
            self.limited.promote(state.updated_at)
        self.due.add(new.state.queue_name)
        return id_

    # ---- jobs are changed one by one ------------------------------------------------------

    def cancel(self, id_: int, *, now: Instant) -> StoredJob:
        """Cancel a stored job; if it runs, store a command for its node to end it.

        Raises JobNotFound, NotCancellable.
        """
        record = self._read_or_fail(id_, now)
        return self._jobs.whole(id_, self._cancel(id_, record, now))

    def _cancel(self, id_: int, record: JobRecord, now: Instant) -> JobState:
        state = lifecycle.cancel(record.state, now=now)
        if state is not record.state and not self._move(
            id_, record, state, now=now, cause=history.CANCEL
        ):
            return self._cancel(id_, self._existing(id_), now)
        if self.undo is not None and state is not record.state:
            self._note_cancelled(id_, record.state, state)
        if record.state.status in CLAIMABLE:
            self._withdraw(id_, state.queue_name)
        if state.cancelling:
            self._meta.add_cancellation(state.node, state.queue_name, (id_, state.execution))
            self.commanded.add(state.queue_name)
        return state

    def retry(self, id_: int, *, now: Instant, fresh: bool = False) -> StoredJob:
        """Enqueue a stored job that has ended again; a *fresh* one forgets its steps.

        Raises JobNotFound, NotRetryable, AlreadyExists, LimitReached.
        """
        state = self._retry(id_, self._read_or_fail(id_, now), now)
        if fresh and has_steps(state):
            record = self._existing(id_)
            state = without_steps(record.state)
            self._jobs.mark(id_, record, state)
            self._jobs.forget_steps(id_)
        return self._jobs.whole(id_, state)

    def _retry(
        self, id_: int, record: JobRecord, now: Instant, due: Instant | None = None
    ) -> JobState:
        state = lifecycle.retry(record.state, now=now, due=due)
        if record.state.composed is not None:
            state = self.composition.retried(id_, record.state, state, now)
        if record.digest is not None:
            self._refuse_duplicate(state, self.get(id_).spec, but=id_)
        if record.state.limited is not None:
            self._refuse_full(state, self._refs(id_, record), now)
        if not self._move(id_, record, state, now=now, cause=history.RETRY):
            return self._retry(id_, self._existing(id_), now, due)
        if record.state.composed is not None and record.state.composed.cuts:
            self.composition.dependents.drop_gone(id_)
        if record.state.composed is not None and record.state.composed.has_result_row:
            self._jobs.delete_result(id_)
        self.due.add(state.queue_name)
        return state

    def run_now(self, id_: int, *, now: Instant) -> StoredJob:
        """Store that a job which waits for its time is due. Raises JobNotFound, NotRetryable."""
        return self._change_due(id_, lifecycle.run_now, now, history.RUN_NOW)

    def reschedule(self, id_: int, *, due: Instant, now: Instant) -> StoredJob:
        """Store that a waiting job is due at another time. Raises JobNotFound, NotRetryable."""
        decide = partial(lifecycle.reschedule, due=due)
        return self._change_due(id_, decide, now, history.RESCHEDULE)

    def _change_due(
        self, id_: int, decide: Callable[..., JobState], now: Instant, cause: str
    ) -> StoredJob:
        record = self._read_or_fail(id_, now)
        state = decide(record.state, now=now)
        if state is not record.state and not self._move(id_, record, state, now=now, cause=cause):
            return self._change_due(id_, decide, now, cause)  # it is damaged, and failed by now
        self.due.add(state.queue_name)
        return self._jobs.whole(id_, state)

    def delete(self, id_: int, *, now: Instant = 0) -> None:
        """Delete a job from the store, whatever its status. Raises JobNotFound."""
        self._delete(id_, self._read_or_fail(id_, 0), now)

    def _delete(self, id_: int, record: JobRecord, now: Instant = 0) -> None:
        if record.state.status is Status.RUNNING:
            self._wake_if_limited(record.state.queue_name)
            if self._tables.has_rows(self._txn, TABLE):
                ProgressTable(self._txn, self._tables, self._jobs).delete(id_)
        try:
            if record.state.limited is None:
                self._jobs.remove(id_, record)
            else:
                self.limited.remove(id_, record, now=now or instant.now())
        except DamagedRecord as damage:
            record = self._mark_damaged(id_, str(damage), 0)
            self._jobs.remove(id_, record)
        if record.state.composed is not None:
            self.composition.removed(id_, record.state, now or instant.now())

    def prune(self, *, finished_before: Instant, limit: int, now: Instant | None = None) -> int:
        """Delete up to *limit* jobs of all queues that ended before an instant; return how many.

        There are fewer where they have many steps; then it returns *limit*, as more are left. With
        *now* it is noted as the last time that any were.
        """
        pruned = self._prune(finished_before, limit)
        if pruned and now is not None:
            upkeep.note(self._txn, self._tables, upkeep.PRUNED, upkeep.Upkeep(now, pruned))
        return pruned

    def _prune(self, finished_before: Instant, limit: int) -> int:
        ids = self._jobs.take_ended(finished_before, limit)
        pruned = 0
        for position, id_ in enumerate(ids):
            if self._jobs.has_deleted_enough:
                self._return_to_rows(set(ids[position:]), finished_before)
                return limit
            try:
                self._prune_one(id_, finished_before)
                pruned += 1
            except JobNotFound:  # a row of a group; or of no job, and it is gone by now
                left = max(0, limit - pruned)
                pruned += self.composition.prune(id_, finished_before, left)
        return limit if self._jobs.has_deleted_enough else max(pruned, len(ids))

    def _return_to_rows(self, ids: Collection[int], finished_before: Instant) -> None:
        """Write that jobs and groups have ended which were taken from their rows, to be pruned."""
        for id_ in sorted(ids):
            try:
                ended_at = self._existing(id_).state.ended_at
            except JobNotFound:
                ended_at = self.composition.old_from(id_)
            except DamagedRecord as damage:
                self._jobs.remove(id_, self._mark_damaged(id_, str(damage), 0))
                continue
            if ended_at and ended_at < finished_before:
                self._jobs.enter_row(id_, ended_at)

    def _prune_one(self, id_: int, finished_before: Instant) -> None:
        """Delete a job that was taken from its row, unless its record says something else."""
        try:
            record = self._existing(id_)
            ended_at = record.state.ended_at
            if ended_at is not None and ended_at < finished_before:
                self._remove_pruned(id_, record)
        except DamagedRecord as damage:
            self._jobs.remove(id_, self._mark_damaged(id_, str(damage), 0))

    def _remove_pruned(self, id_: int, record: JobRecord) -> None:
        """Delete an ended job that is in no row any more."""
        self._jobs.remove(id_, record, is_in_row=False)
        if record.state.composed is not None:
            self.composition.pruned(id_, record.state)
        if record.state.limited is not None and record.state.limited.chains:
            self.limited.order.leave(id_, record.state)
            self.limited.promote(instant.now())

    def delete_results(self, *, expired_at: Instant, limit: int) -> int:
        """Delete up to *limit* results of jobs whose own time is over; return how many."""
        deleted = ResultTable(self._txn, self._tables).delete_expired(expired_at, limit)
        self.has_changed |= bool(deleted)
        return deleted

    def set_progress(self, changes: Sequence[Reported]) -> None:
        """Store what executions that still run have reported last, delete that of those over."""
        table = ProgressTable(self._txn, self._tables, self._jobs)
        for each in changes:
            table.put(each)
        self.has_changed = True

    # ---- executions end -------------------------------------------------------------------

    def settle(self, settlement: Settlement, *, now: Instant) -> bool:
        """Store what a job becomes by its outcome, if it still runs that very execution.

        False: it was deleted, or given back and perhaps claimed again; the outcome is dropped.
        """
        id_, execution, outcome, *_ = settlement
        try:
            record = self._read_or_fail(id_, now)
        except JobNotFound:
            return self._dropped(settlement)
        state = record.state
        if state.status is not Status.RUNNING or state.execution != execution:
            return self._dropped(settlement)
        if type(outcome) is GivenBack and outcome.closes is not None:
            outcome = self._close_limit(id_, record, outcome.closes, now)
        after, error = lifecycle.settle(state, outcome, now=now)
        cause = history.cause_of(state, outcome, after)
        if not self._move(id_, record, after, error, now=now, cause=cause):
            return False
        if self._jobs.journal is not None:
            self._jobs.journal.settled(id_, state, settlement.outcome, after, error)
        if after.status in FAILURES:
            self._stop_after_failure(id_, record, now)
        elif type(outcome) is GivenBack and outcome is settlement.outcome:
            self._keep_step(id_, state.queue_name)
        if after.status is Status.ENQUEUED:
            self.due.add(state.queue_name)
        if state.isolated:  # all queues of its node have waited for it
            self.due.update(self.queues())
        return True

    def _dropped(self, settlement: Settlement) -> bool:
        if self._jobs.journal is not None:
            self._jobs.journal.dropped(settlement.id, settlement.execution)
        return False

    def rescue(
        self,
        *,
        node: int,
        now: Instant,
        max_interruptions: int,
        reason: str,
        queue_name: str | None = None,
    ) -> int:
        """Interrupt the jobs that run on *node*, of all queues or one; return how many.

        They wait again, or have failed by their last interruption.
        """
        outcome = Interrupted(reason, max_interruptions)
        return self.settle_all(node=node, outcome=outcome, now=now, queue_name=queue_name)

    def settle_all(
        self, *, node: int, outcome: Outcome, now: Instant, queue_name: str | None = None
    ) -> int:
        """Store one outcome for all jobs that run on *node*, of all queues or one; count them."""
        settled = 0
        if self._jobs.journal is not None:
            self._jobs.journal.begin_settling(node)
        for status, queue in self._jobs.lanes():
            if status is not Status.RUNNING or queue_name not in (None, queue):
                continue
            for id_ in self._running_on(node, queue):
                record = self._read_named(id_, _RUNNING, "running", now)
                if record is not None:
                    settlement = Settlement(id_, record.state.execution, outcome)
                    settled += self.settle(settlement, now=now)
            self._wake_if_limited(queue)
        if self._tables.has_rows(self._txn, TABLE):
            table = ProgressTable(self._txn, self._tables, self._jobs)
            self.has_changed |= table.delete_stale()
        return settled

    # ---- jobs are claimed one by one ------------------------------------------------------

    def _claim_one(
        self, claimed: list[StoredJob], id_: int, node: int, now: Instant
    ) -> Instant | None:
        """Store that a due job runs and add it to *claimed*, unless it is damaged or has to wait.

        Return when to look again if it begins an isolated run, or has to, or the queue has stopped
        before it.
        """
        record = self._read_named(id_, CLAIMABLE, "due", now)
        if record is None:
            return None  # damaged, and failed by now
        if record.state.limited is not None and not self._admits(id_, record, now):
            return None  # it waits for a limit by now, or was damaged
        if claimed and record.state.isolated:
            return now  # it is the first of the next claim
        if self._stops_before is not None and self._stops_before(id_, record, now):
            return now
        if not self._take(claimed, id_, record, node, now) or not record.state.isolated:
            return None
        self._meta.set_isolated(node, id_, claimed[0].state.execution, now)
        return now + ISOLATION_MICROSECONDS

    def _admits(self, id_: int, record: JobRecord, now: Instant) -> bool:
        try:
            return self.limited.admits(id_, record, now)
        except DamagedRecord as damage:
            self._mark_damaged(id_, str(damage), now)
            return False

    def _take(
        self, claimed: list[StoredJob], id_: int, record: JobRecord, node: int, now: Instant
    ) -> bool:
        """Store that a job runs and add it to *claimed*; fail it instead if it is damaged."""
        state = lifecycle.claim(record.state, node=node, now=now)
        try:
            job = self._jobs.verified(id_, record, state, self._signer)
        except DamagedRecord as error:
            self._note("job %d was refused: %s", id_, str(error))
            is_attempt = not isinstance(error, Undecipherable)
            refused = Refused(str(error), is_attempt=is_attempt)
            after, entry = lifecycle.settle(state, refused, now=now)
            if self._move(id_, record, after, entry, now=now) and self._jobs.journal is not None:
                self._jobs.journal.refused_attempt(id_, state, after, str(error))
            return False
        if not self._move(id_, record, state, now=now):
            return False
        if self._jobs.journal is not None:
            self._jobs.journal.claimed(job, record.state.scheduled_at)
        if self._jobs.notes_due:
            job = DueJob(*job)
            job.due = record.state.scheduled_at
        claimed.append(job)
        return True

    # ---- queues and nodes -----------------------------------------------------------------

    def new_node(self) -> int:
        """Return a node number never used before, and store that it is used.

        Record the node when its lock is held.
        """
        node = self._meta.counter(NEXT_NODE)
        self._meta.set_counter(NEXT_NODE, node + 1)
        return node

    def add_node(self, node: int, queues: Collection[str] = (), version: str = "") -> None:
        """Store that a node lives; from now on, a free file lock of it means that it died.

        *version*: the release that it runs; "" where that is unknown.
        """
        self._meta.add_node(node, queues)
        if not queues:
            return
        self.mark_in_charts(NODE_UP, f"node {node} has started")
        before = self._meta.take_release(version) if version else None
        if before is not None and before != version:
            text = f"node {node} has started with antq_actors {version}, after {before}"
            self.mark_in_charts(DEPLOYED, text)

    def set_concurrency_command(
        self, queue_name: str, n: int, nodes: Collection[int], were: Mapping[int, int] | None = None
    ) -> None:
        """Store the command that *nodes* perform up to *n* jobs of a queue at once from now on.

        *were*: how many they perform now, as far as that is known.
        """
        if self.undo is not None:
            told = {node: self._meta.concurrency_command(node, queue_name) for node in nodes}
            known = {**(were or {}), **{node: each for node, each in told.items() if each}}
            self.undo.is_complete &= known.keys() >= set(nodes)
            before = {node: known.get(node, n) for node in nodes}
            self.undo.changes.append(SlotsChange(queue_name, n, before))
        for node in nodes:
            self._meta.set_concurrency_command(node, queue_name, n)
        self.commanded.add(queue_name)

    def remove_node(self, node: int) -> None:
        """Delete the record of a node, unless jobs still run on it: they would run for ever.

        An unknown one is no error.
        """
        if any(self._running_on(node, queue) for queue in self.queues()):
            return
        if any(number == node and queues for number, queues in self._meta.served_by_node()):
            self.mark_in_charts(NODE_DOWN, f"node {node} has ended")
        self._meta.remove_node(node)

    def _running_on(self, node: int, queue_name: str) -> list[int]:
        lane = keys.lane(Status.RUNNING, queue_name)
        start, end = keys.work_key(lane, node), keys.work_key(lane, node + 1)
        return [keys.id_at_end(key) for key in self._jobs.between(start, end)]

    # ---- duplicates -----------------------------------------------------------------------

    def _refuse_duplicate(
        self, state: JobState, spec: JobSpec, but: int = 0, *, but_ending: bool = False
    ) -> None:
        """Raise AlreadyExists if a job is in its way: none is *but*, nor *but_ending* jobs."""
        if spec.unique_digest is None:
            return
        found = self._jobs.conflicts(spec.unique_digest, spec.unique_statuses)
        others = (id_ for id_ in found if id_ != but and not (but_ending and self._is_ending(id_)))
        id_ = next(others, None)
        if id_ is None:
            return
        other = self.get(id_)
        args = display.display_args(spec.args)
        same = args
        if not is_encrypted(spec):
            same = {name: args.get(name) for name in spec.unique or ()}
        raise AlreadyExists(
            f"{spec.worker} in queue {state.queue_name!r} with {same} is unique, and job {id_}"
            f" ({other.state.status}) is in its way: let that one end, or enqueue this one with"
            " unique=None",
            encoding.as_job(other, display.display_args(other.spec.args)),
        )

    def _is_ending(self, id_: int) -> bool:
        """Read whether a job runs that was told to end."""
        record = self._jobs.record(id_)
        return record is not None and record.state.cancelling

    # ---- limits ---------------------------------------------------------------------------

    def _wake_if_limited(self, queue_name: str) -> None:
        """Have a queue claim that is limited as a whole, as a job of it may run instead."""
        if self._meta.queue_limits(queue_name).concurrency is not None:
            self.due.add(queue_name)

    def _refs(self, id_: int, record: JobRecord) -> tuple[GateRef, ...]:
        """Return the gates that a job passes; none if its spec is damaged."""
        try:
            return self.limited.refs(id_, record)
        except DamagedRecord:
            return ()

    def _refuse_full(self, state: JobState, refs: Sequence[GateRef], now: Instant) -> None:
        """Raise LimitReached for a job that may not even wait for its limits."""
        full = self.limited.full(state, refs, now) if refs else None
        if full is None:
            return
        why, holder = full
        job = None
        if holder is not None:
            with suppress(JobNotFound):
                other = self.get(holder)
                job = encoding.as_job(other, display.display_args(other.spec.args))
        raise LimitReached(f"the job is refused, as {why}", job)

    def _close_limit(
        self, id_: int, record: JobRecord, limited: RateLimited, now: Instant
    ) -> Outcome:
        """Close a limit of a job at its key for a while; return what becomes of the job."""
        refs = self._refs(id_, record)
        until = instant.after(now, limited.retry_after)
        if limited.limit is not None:
            wanted = []
            if is_utf8(limited.limit):  # no other text is the name of a limit
                digest = limit_digest(limited.limit)
                wanted = [ref for ref in refs if ref.gate.startswith(digest)]
            if (
                not wanted
                and self._meta.queue_limits(record.state.queue_name).rate == limited.limit
            ):
                wanted = [GateRef(gate_id(limited.limit, None))]
            if not wanted:
                return Failed(no_such_limit(limited.limit), retry_in=None)
        else:
            wanted = [ref for ref in refs if ref.is_own] or list(refs)
            if len(wanted) != 1:
                return GivenBack(limited.retry_after)
        self.limited.close(wanted[0], until, now)
        return GivenBack()

    def _first_free_id(self) -> int:
        if self._next_id is not None:
            return self._next_id
        # Only now, so that a damaged counter stops those alone who need it.
        stored: Any = self._txn.get(NEXT_ID, db=self._tables.meta)
        return int(stored) if stored and stored.isdigit() else self._meta.counter(NEXT_ID)
