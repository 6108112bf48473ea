"""Queues that stop at breakpoints: before a job starts, or after an attempt has failed.

It is looked for in the very transaction of the claim, or of the outcome, so no node starts a job
that another one has stopped at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from antq_actors.checks import escaped
from antq_actors.jobs.state import CLAIMABLE, NOT_COMPOSED, Status
from antq_actors.jobs.stepping import paused_by, reason_of
from antq_actors.storage.format import display
from antq_actors.storage.format.records import PauseRecord
from antq_actors.storage.jobs.breakpoint_table import BreakpointTable
from antq_actors.storage.jobs.charts import PAUSED, RESUMED, ChartTable
from antq_actors.storage.jobs.damaged_jobs import DamagedJobs
from antq_actors.storage.jobs.meta import (
    HAS_STARTED,
    LETS_THROUGH,
    STOPS_ON_CLAIM,
    STOPS_ON_FAILURE,
)
from antq_actors.storage.jobs.undo_table import CancelledJob, PauseChange
from antq_actors.storage.lmdb import keys

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.state import JobState
    from antq_actors.jobs.stepping import StopsOn
    from antq_actors.storage.format.encoding import JobRecord
    from antq_actors.storage.jobs.breakpoint_table import StoredBreakpoint
    from antq_actors.storage.jobs.undo_table import UndoNotes


class StoppingQueues(DamagedJobs):
    """Pauses and resumes queues, also at breakpoints; a part of :class:`~.writer.JobWriter`."""

    _stops_before: Callable[[int, JobRecord, Instant], bool] | None = None
    """Returns whether the claim that is under way stops before a job; None: before none."""
    _has_stopped = False
    """Whether it has."""
    _stops_at: Sequence[tuple[int, StoredBreakpoint]] = ()
    """The breakpoints that it stops at."""
    _chart_clock: Callable[[], Instant] | None = None
    """The time by which charts go; None: nothing is noted for them."""
    has_changed: bool
    undo: UndoNotes | None = None
    """Gets what the verb that is being done changes and can be undone; None: nobody wants that."""
    _table: BreakpointTable | None = None
    """Once a queue was met that has breakpoints, or lets jobs through."""

    def set_paused(
        self,
        queue_name: str,
        *,
        paused: bool,
        by: str | None = None,
        reason: str | None = None,
        now: Instant | None = None,
    ) -> None:
        """Store that a queue is paused, or resumed, on every node and over restarts.

        *by* and *reason* are told in its event, and stored. What is paused already keeps who has
        paused it when nobody is named now. What steps have let through is forgotten when it is
        resumed.
        """
        keys.lane(Status.ENQUEUED, queue_name)
        was_paused = self._meta.is_paused(queue_name)
        before = None if self.undo is None else self._pause_as_it_is(queue_name)
        if was_paused is not paused:
            if self._jobs.journal is not None:
                self._jobs.journal.paused(queue_name, paused=paused, by=by, reason=reason)
            who = "" if by is None else f" by {by}"
            if paused:
                self.mark_in_charts(PAUSED, f"queue {queue_name} was paused{who}")
            else:
                self.mark_in_charts(RESUMED, f"queue {queue_name} was resumed{who}")
        if not paused:
            self._meta.set_paused(queue_name, None)
            self._close_all(queue_name)
            self.due.add(queue_name)
        elif not was_paused or by is not None or reason is not None:
            self._meta.set_paused(queue_name, PauseRecord(by, reason, now))
        if self.undo is not None and before is not None:
            after = self._meta.pause_of(queue_name)
            self.undo.changes.append(msgspec.structs.replace(before, after=after))

    def _pause_as_it_is(self, queue_name: str) -> PauseChange:
        """Read what has to be known of the pause of a queue to come back to it."""
        through: tuple[int, ...] = ()
        if LETS_THROUGH in self._meta.stepping(queue_name):
            through = tuple(self._breakpoints().through(queue_name))
        return PauseChange(queue_name, self._meta.pause_of(queue_name), None, through)

    def _note_cancelled(self, id_: int, before: JobState, after: JobState) -> None:
        """Note that a job was cancelled; what others follow from, or runs, cannot be undone."""
        if self.undo is None:
            return
        composed = before.composed or NOT_COMPOSED
        is_alone = not (composed.group or composed.pending or composed.has_dependents)
        if before.status not in CLAIMABLE or not is_alone:
            self.undo.is_complete = False
            return
        is_through = LETS_THROUGH in self._meta.stepping(before.queue_name) and (
            self._breakpoints().is_through(id_)
        )
        cancelled = CancelledJob(before, after.updated_at, is_through)
        self.undo.cancelled.append((id_, cancelled))

    def mark_in_charts(self, kind: str, text: str) -> None:
        """Write for charts that something happened now, where they are kept."""
        if self._chart_clock is not None:
            ChartTable(self._txn, self._tables).mark(self._chart_clock(), kind, text)
            self.has_changed = True

    def _close_all(self, queue_name: str) -> None:
        """Forget which jobs of a queue steps have let through: all may start now."""
        marks = self._meta.stepping(queue_name)
        if LETS_THROUGH in marks or HAS_STARTED in marks:
            self._breakpoints().forget(queue_name)

    def _keep_step(self, id_: int, queue_name: str) -> None:
        """Let a job through still that a step had let start, and that was given back unrun."""
        if HAS_STARTED in self._meta.stepping(queue_name):
            self._breakpoints().give_back(queue_name, id_)

    def _withdraw(self, id_: int, queue_name: str) -> None:
        """Forget that a step or a breakpoint has let a job through, which is cancelled now."""
        marks = self._meta.stepping(queue_name)
        if LETS_THROUGH in marks or STOPS_ON_CLAIM in marks:
            self._breakpoints().withdraw(queue_name, id_)

    def _watch(self, queue_name: str, marks: bytes) -> None:
        """Have the claim of a queue stop at its breakpoints; *marks* are those in ``meta``."""
        self._has_stopped = False
        self._stops_before = None
        if STOPS_ON_CLAIM in marks:
            self._stops_at = self._stored_for("claim", queue_name)
            self._stops_before = self._reaches_breakpoint

    def _reaches_breakpoint(self, id_: int, record: JobRecord, now: Instant) -> bool:
        """Return whether a claim stops before a job: its queue is paused by that."""
        table = self._breakpoints()
        if table.take_pass(id_):
            return False
        if not self._stop(self._stops_at, id_, record, now):
            return False
        table.let_pass(record.state.queue_name, id_, self._jobs)
        self._has_stopped = True
        return True

    def _stop_after_failure(self, id_: int, record: JobRecord, now: Instant) -> None:
        """Pause the queue of a job of which an attempt has failed, if a breakpoint says so."""
        queue_name = record.state.queue_name
        if STOPS_ON_FAILURE in self._meta.stepping(queue_name):
            self._stop(self._stored_for("failure", queue_name), id_, record, now)

    def _stop(
        self,
        stops_at: Sequence[tuple[int, StoredBreakpoint]],
        id_: int,
        record: JobRecord,
        now: Instant,
    ) -> bool:
        """Pause a queue at the first breakpoint that is about a job; all those count it."""
        queue_name, table = record.state.queue_name, self._breakpoints()
        payload = record.spec or self._jobs.large_spec(id_)
        spec = display.spec_for_display(payload, record.state, self._tables.cipher)
        reached = [each for each in stops_at if table.is_about(each[1], spec.worker, spec.args)]
        for number, stored in reached:
            table.put(queue_name, number, stored._replace(hits=stored.hits + 1))
        if reached and not self._meta.is_paused(queue_name):
            number, stored = reached[0]
            by, reason = paused_by(number), reason_of(stored.on, id_, escaped(spec.worker))
            self.set_paused(queue_name, paused=True, by=by, reason=reason, now=now)
        return bool(reached)

    def _stored_for(self, on: StopsOn, queue_name: str) -> list[tuple[int, StoredBreakpoint]]:
        return [each for each in self._breakpoints().of_queue(queue_name) if each[1].on == on]

    def _breakpoints(self) -> BreakpointTable:
        if self._table is None:
            self._table = BreakpointTable(self._txn, self._tables, self._meta)
        return self._table
