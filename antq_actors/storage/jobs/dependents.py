"""Those that wait for a job: released, cut off or taken back in the transaction of its end.

The rules are those of :mod:`antq_actors.workflows.edges`. How far an upstream is says its own
record, whenever one of its edges is looked at; so it makes no difference how often, or how late,
that is. What is too much for one transaction goes on as a task.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Final, Protocol

from msgspec.structs import replace

from antq_actors.jobs import lifecycle
from antq_actors.jobs.state import ENDED, Composed, Status
from antq_actors.storage.jobs.edges import MAY_HAVE_EDGES, EdgeTable
from antq_actors.storage.jobs.tasks import SettleEdges, TaskTable
from antq_actors.storage.jobs.upstreams import Upstreams
from antq_actors.workflows.edges import Condition, Edge, Effect, Fate, Stage, effect_of, fate_of
from antq_actors.workflows.edges import stage_of as stage_of_group

if TYPE_CHECKING:
    import lmdb

    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.state import ErrorEntry, JobState
    from antq_actors.storage.format.encoding import JobRecord
    from antq_actors.storage.jobs.groups import GroupTable
    from antq_actors.storage.jobs.table import JobEntries
    from antq_actors.storage.lmdb.tables import Tables
    from antq_actors.workflows.counters import Group

MOST_CHANGED: Final = 1_000
"""Jobs that are released, cut off or taken back in one transaction."""
MOST_SECONDS: Final = 0.02
"""Of one transaction, for all of that; its commit comes on top."""
_CHUNK: Final = 50
"""Edges that are read at once."""
_MOST_LOOKED_AT: Final = 10_000
"""Edges that are looked at in one transaction."""


class Waiters(Protocol):
    """What the writer of a transaction does for jobs that wait for others."""

    def read_waiter(self, id_: int, now: Instant, /) -> JobRecord | None:
        """Read a job; a damaged one is failed first. None: there is none."""

    def release_rule(self, id_: int, record: JobRecord, /) -> tuple[int | None, Instant | None]:
        """Return how long after its release a job is due, and not before which instant."""

    def move_waiter(
        self,
        id_: int,
        record: JobRecord,
        state: JobState,
        error: ErrorEntry | None,
        now: Instant,
        /,
    ) -> None:
        """Write the new state of a job that waited, or waits again."""

    def has_duplicate(self, id_: int, record: JobRecord, /) -> bool:
        """Return whether another job keeps a unique one out."""


class Dependents:
    """What the ends of jobs and groups mean for those that wait for them, in one transaction.

    :meth:`step` and :meth:`flush` are called before the commit.
    """

    def __init__(
        self,
        txn: lmdb.Transaction,
        tables: Tables,
        jobs: JobEntries,
        groups: GroupTable,
        waiters: Waiters,
    ) -> None:
        self._jobs = jobs
        self.upstreams = Upstreams(jobs, groups)
        self._waiters = waiters
        self._upstreams: deque[SettleEdges] = deque()
        """Whose edges have yet to be looked at."""
        self._queued: set[SettleEdges] = set()
        self._changed: dict[int, JobRecord] = {}
        """Jobs of which only the numbers of edges have changed, with their new state."""
        self._moved = 0
        self._looked_at = 0
        self._since = 0.0
        self.edges = EdgeTable(txn, tables)
        self.tasks = TaskTable(txn, tables)

    # ---- what changes ---------------------------------------------------------------------

    def changed(self, id_: int, old: JobState, new: JobState) -> None:
        """Note that a job that others wait for has ended, or runs again."""
        if (old.status in ENDED) != (new.status in ENDED):
            self.expect(id_)

    def expect(self, upstream: int, after: int = 0, stage: int | None = None) -> None:
        """Have the edges of a job or group looked at before the commit."""
        task = SettleEdges(upstream, after, stage)
        if task not in self._queued:
            self._queued.add(task)
            self._upstreams.append(task)

    def group_changed(self, id_: int, group: Group) -> None:
        """Note how far a group is that others wait for."""
        stage = stage_of_group(group)
        if stage != group.seen:
            group.seen = stage
            self.expect(id_)

    def removed(self, id_: int, composed: Composed) -> None:
        """Note that a job was deleted: for those that wait for it, it was cancelled."""
        if composed.has_dependents:
            self.expect(id_)
        if composed.pending or composed.part:
            self.edges.remove_to(id_)

    def pruned(self, id_: int, state: JobState, composed: Composed) -> None:
        """Note that an ended job was deleted because it is old."""
        if composed.has_dependents:
            completed = state.status is Status.COMPLETED
            self.expect(id_, 0, Stage.COMPLETED if completed else Stage.UNSUCCESSFUL)
        if composed.pending or composed.part:
            self.edges.remove_to(id_)

    def damaged(self, id_: int) -> bool:
        """Note that a job is damaged, and fails; return whether others wait for it."""
        self.edges.remove_to(id_)
        has_dependents = self.edges.has_any(id_)
        if has_dependents:
            self.expect(id_)
        return has_dependents

    def obstacles(self, id_: int) -> tuple[list[int], list[int]]:
        """Read what keeps an ended job from being retried: ids of jobs to retry before it.

        Return with them the upstreams that are gone, for which nothing waits any more.
        """
        return self.upstreams.obstacles(self.edges, id_)

    def drop_gone(self, id_: int) -> None:
        """Delete the edges to a retried job from upstreams that are gone."""
        for upstream in self.obstacles(id_)[1]:
            self.edges.remove(upstream, id_)

    # ---- before the commit ----------------------------------------------------------------

    @property
    def is_idle(self) -> bool:
        """Whether no edges are to be looked at, or no more of them in this transaction."""
        if not self._upstreams:
            return True
        if not self._since:
            self._since = time.perf_counter()
        return self._is_spent()

    def _is_spent(self) -> bool:
        return (
            self._moved >= MOST_CHANGED
            or self._looked_at >= _MOST_LOOKED_AT
            or time.perf_counter() - self._since >= MOST_SECONDS
        )

    def step(self, now: Instant) -> None:
        """Look at the edges of the next upstream."""
        task = self._upstreams.popleft()
        self._queued.discard(task)
        upstream, after = task.upstream, task.after
        stage = self.upstreams.stage_of(upstream) if task.stage is None else Stage(task.stage)
        while True:
            limit = min(_CHUNK, MOST_CHANGED - self._moved)
            found = self.edges.come_from(upstream, after, limit)
            for after, edge in found:
                self._look_at(upstream, after, edge, stage, now)
            self._looked_at += len(found)
            if len(found) < limit:
                return
            if self._is_spent():
                self.expect(upstream, after, task.stage)
                return

    def flush(self) -> bool:
        """Write what was collected, and the rest as tasks; return whether anything has changed."""
        has_changed = bool(self._changed or self._looked_at or self._upstreams)
        for id_, record in self._changed.items():
            self._jobs.rewrite(id_, record)
        self._changed.clear()
        for task in self._upstreams:
            self.tasks.add(task)
        self._upstreams.clear()
        self._queued.clear()
        return has_changed

    def _look_at(self, upstream: int, id_: int, edge: Edge, stage: Stage, now: Instant) -> None:
        """Do what the stage of an upstream means for one edge, and for the job that waits."""
        if edge.condition is Condition.PART:
            self.expect(id_)
            return
        effect = effect_of(edge.condition, stage)
        if effect is (Effect.CUT if edge.is_cut else Effect.WAITS):
            return
        record = self._changed.pop(id_, None) or self._waiters.read_waiter(id_, now)
        composed = None if record is None else record.state.composed
        if record is None or composed is None or record.state.status not in MAY_HAVE_EDGES:
            self.edges.remove(upstream, id_)
            return
        gone, cuts, is_unneeded = 0, 0, False
        if effect is Effect.WAITS or effect is Effect.CUT:
            is_cut = effect is Effect.CUT
            self.edges.put(upstream, id_, Edge(edge.condition, is_cut))
            cuts = 1 if is_cut else -1
        else:
            self.edges.remove(upstream, id_)
            gone, cuts = 1, -edge.is_cut
            if edge.condition is Condition.FAILURE:
                others = [
                    up for up, each in self.edges.to(id_) if each.condition is Condition.FAILURE
                ]
                is_unneeded = effect is Effect.MISSED and not others
                for other in others if effect is Effect.MET else ():
                    self.edges.remove(other, id_)
                    gone += 1
        composed = replace(
            composed, pending=max(0, composed.pending - gone), cuts=max(0, composed.cuts + cuts)
        )
        self._judge(id_, record, composed, upstream, now, is_unneeded=is_unneeded)

    def _judge(
        self,
        id_: int,
        record: JobRecord,
        composed: Composed,
        upstream: int,
        now: Instant,
        *,
        is_unneeded: bool,
    ) -> None:
        """Write what becomes of a job that waits, by the edges that are left."""
        state = record.state
        fate = fate_of(
            is_waiting=state.status is Status.SUSPENDED,
            was_cut=composed.is_cut,
            edges=composed.pending,
            cuts=composed.cuts,
            is_unneeded=is_unneeded,
        )
        if fate in _COMES_BACK and state.status in ENDED:
            if self._waiters.has_duplicate(id_, record):
                fate, composed = Fate.STAYS, replace(composed, is_cut=False)
            else:
                state = lifecycle.resume(state, now=now)
        if fate is Fate.STAYS:
            self._changed[id_] = record._replace(state=replace(state, composed=composed))
            return
        error: ErrorEntry | None = None
        if fate is Fate.CUT:
            cause = self.upstreams.cause(upstream)
            state, error = lifecycle.cut_off(
                state, self.upstreams.why_cut(upstream, cause), now=now
            )
            composed = replace(composed, is_cut=True, cause=cause)
        elif fate is Fate.UNNEEDED:
            self.edges.remove_to(id_)
            why = f"job {upstream} completed, and only its failure would have needed this job"
            state, error = lifecycle.cut_off(state, why, now=now)
            composed = replace(composed, is_cut=False, is_unneeded=True, cause=0, pending=0, cuts=0)
        else:
            composed = replace(composed, is_cut=False, cause=0)
            if fate is Fate.RELEASED:
                delay, not_before = self._waiters.release_rule(id_, record)
                state = replace(state, history=record.state.history)  # with resuming, one change
                state = lifecycle.release(state, now=now, delay=delay, not_before=not_before)
        self._moved += 1
        self._waiters.move_waiter(id_, record, replace(state, composed=composed), error, now)


_COMES_BACK: Final = frozenset({Fate.RELEASED, Fate.RESUMED})
