"""How far those are that others wait for, and whether what waits for them is told in the tables."""

from __future__ import annotations

from itertools import groupby, islice
from operator import itemgetter
from typing import TYPE_CHECKING, Final

from antq_actors.errors import DamagedRecord
from antq_actors.explain.judge import WaitFacts
from antq_actors.jobs.state import ENDED, Status
from antq_actors.storage.jobs.edges import EdgeTable
from antq_actors.storage.jobs.groups import BATCH, JOB, GroupTable
from antq_actors.storage.jobs.table import JobEntries
from antq_actors.storage.jobs.tasks import SettleEdges, TaskTable
from antq_actors.storage.lmdb import keys
from antq_actors.workflows.edges import Condition, Effect, Stage, effect_of
from antq_actors.workflows.edges import stage_of as stage_of_group

if TYPE_CHECKING:
    from collections.abc import Iterator

    import lmdb

    from antq_actors.jobs.state import JobState
    from antq_actors.storage.lmdb.tables import Tables

MOST_NAMED: Final = 100
"""Jobs that an explanation names."""
_MOST_READ: Final = 200
"""Edges, and members of a group, that are read for one."""
_ENDED_AS: Final = {
    Status.COMPLETED: "completed",
    Status.FAILED: "failed",
    Status.CANCELLED: "was cancelled",
}


class Upstreams:
    """Reads how far those are that others wait for: jobs and groups."""

    def __init__(self, jobs: JobEntries, groups: GroupTable) -> None:
        self._jobs = jobs
        self._groups = groups

    def group_behind(self, upstream: int) -> int:
        """Read which group is waited for in an upstream: itself, or what it expanded into."""
        state = self.state_of(upstream)
        if state is None:
            return upstream
        composed = state.composed
        is_part = composed is not None and state.status is Status.COMPLETED
        return composed.part if composed is not None and is_part else 0

    def is_gone(self, id_: int) -> bool:
        """Read whether there is neither a job nor a group with this id."""
        return self.state_of(id_) is None and self._groups.get(id_) is None

    def stage_of(self, upstream: int) -> Stage:
        """Read how far a job or group is."""
        state = self.state_of(upstream)
        if state is None:
            group = self._groups.get(upstream)
            return Stage.UNSUCCESSFUL if group is None else stage_of_group(group)
        if state.status not in ENDED:
            return Stage.ACTIVE
        if state.status is not Status.COMPLETED:
            return Stage.UNSUCCESSFUL
        if state.composed is None or not state.composed.part:
            return Stage.COMPLETED
        part = self._groups.get(state.composed.part)
        if part is None:
            return Stage.COMPLETED
        stage = stage_of_group(part)
        return Stage.ACTIVE if stage is Stage.FAILING else stage

    def state_of(self, id_: int) -> JobState | None:
        """Read the state of a job; None: it is gone, or damaged, or a group."""
        try:
            record = self._jobs.record(id_)
        except DamagedRecord:
            return None
        return None if record is None else record.state

    def obstacles(self, edges: EdgeTable, id_: int) -> tuple[list[int], list[int]]:
        """Read what keeps an ended job from being retried: ids of jobs to retry before it.

        Return with them the upstreams that are gone, for which nothing waits any more.
        """
        causes, gone = [], []
        for upstream, edge in edges.to(id_):
            if not edge.is_cut:
                continue
            if self.is_gone(upstream):
                gone.append(upstream)
            elif effect_of(edge.condition, self.stage_of(upstream)) is Effect.CUT:
                causes.append(self.cause(upstream))
        return causes, gone

    def cause(self, upstream: int) -> int:
        """Read which job has to be retried for the sake of an upstream that did not complete.

        It is the upstream itself, if that is not known.
        """
        while True:  # through what expanded into what, however deep that is
            state = self.state_of(upstream)
            if state is None:
                group = self._groups.get(upstream)
                behind = 0 if group is None else group.cause
            else:
                composed = state.composed
                if composed is not None and composed.is_cut and composed.cause:
                    return composed.cause
                is_part = composed is not None and state.status is Status.COMPLETED
                behind = composed.part if composed is not None and is_part else 0
            if not behind:
                return upstream
            upstream = behind

    def why_cut(self, upstream: int, cause: int) -> str:
        """Return why a job is cut off, with the ids of the upstream and of the job at fault."""
        state = self.state_of(upstream)
        what = f"job {upstream}"
        if state is None and self._groups.get(upstream) is not None:
            ended = "is not complete"
            what = f"group {upstream}"
        elif state is None:
            ended = "was deleted"
        elif state.status is Status.COMPLETED:
            ended = "expanded into jobs that did not all complete"
        else:
            ended = _ENDED_AS.get(state.status, "did not complete")
        because = "" if cause == upstream else f", because of job {cause}"
        return f"{what} {ended}{because}; this job waited for its success"


# ---- do the rows agree? ---------------------------------------------------------------------


def waits_of(txn: lmdb.Transaction, tables: Tables, id_: int, pending: int) -> Iterator[WaitFacts]:
    """Yield which jobs a suspended one waits for; of very many, some.

    *pending*: how many edges it has.
    """
    groups = GroupTable(txn, tables)
    upstreams = Upstreams(JobEntries(txn, tables), groups)
    ids: list[int] = []
    left, open_groups = pending, []
    for upstream, _ in islice(EdgeTable(txn, tables).to(id_), _MOST_READ):
        number = upstreams.group_behind(upstream)
        group = groups.get(number)
        if group is None:
            ids.append(upstream)
            continue
        left -= 1
        members = [
            member
            for member, kind in groups.some_members(number, 0, _MOST_READ)
            if kind == JOB and upstreams.stage_of(member) is Stage.ACTIVE
        ]
        spec = groups.spec(number)
        if spec is not None and spec.kind == BATCH:
            is_open = () if group.is_closed else (number,)
            yield WaitFacts(
                tuple(members[:MOST_NAMED]), group.total - group.ends.total, number, is_open
            )
            continue
        ids += members
        left += group.total - group.ends.total
        if not group.is_closed:
            open_groups.append(number)
    if left or open_groups:
        yield WaitFacts(tuple(sorted(ids)[:MOST_NAMED]), left, None, tuple(open_groups))


def verify_edges(txn: lmdb.Transaction, tables: Tables) -> Iterator[str]:
    """Yield what is wrong with the rows that say which job waits for which."""
    jobs, groups = JobEntries(txn, tables), GroupTable(txn, tables)
    upstreams = Upstreams(jobs, groups)
    table = EdgeTable(txn, tables)
    for number in TaskTable(txn, tables).damaged():
        yield f"tasks: {number} is damaged on disk"
    tasks = TaskTable(txn, tables).all()
    unsettled = {task.upstream for task in tasks if isinstance(task, SettleEdges)}
    rows_of_edges, rows_of_waits = table.counts()
    if rows_of_edges != rows_of_waits:
        yield f"edges: {rows_of_edges} rows, and waits has {rows_of_waits}"
    for id_, rows in groupby(table.all(), key=itemgetter(0)):
        state = upstreams.state_of(id_)
        number = cuts = 0
        for _, upstream, edge, is_there in rows:
            if not is_there:
                yield f"edges: that from {upstream} to {id_} is not as waits has it"
            if edge.condition is Condition.PART:
                continue
            number += 1
            cuts += edge.is_cut
            effect = effect_of(edge.condition, upstreams.stage_of(upstream))
            is_settled = effect is (Effect.CUT if edge.is_cut else Effect.WAITS)
            if not is_settled and upstream not in unsettled:
                yield f"waits: job {id_} waits for {upstream}, which has ended"
        composed = None if state is None else state.composed
        if composed is None or (composed.pending, composed.cuts) != (number, cuts):
            yield f"waits: the record of job {id_} counts other edges than {number}, {cuts} cut"
    yield from _waiting_for_nothing(jobs, table)


def _waiting_for_nothing(jobs: JobEntries, table: EdgeTable) -> Iterator[str]:
    for status, queue_name in jobs.lanes():
        if status is Status.SUSPENDED:
            lane = keys.lane(status, queue_name)
            for key in jobs.between(lane, keys.lane_end(lane)):
                if next(table.to(keys.id_at_end(key)), None) is None:
                    yield f"waits: job {keys.id_at_end(key)} is suspended, and waits for nothing"
