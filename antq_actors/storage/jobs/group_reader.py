"""The verbs that look at groups of jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from antq_actors.errors import BatchNotFound
from antq_actors.jobs.state import Status
from antq_actors.storage.format import encoding
from antq_actors.storage.jobs.groups import BATCH, GROUP, JOB, GroupTable
from antq_actors.workflows.counters import Event, has_ended

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import lmdb

    from antq_actors.jobs.state import StoredJob
    from antq_actors.storage.lmdb.tables import Tables
    from antq_actors.workflows.counters import Group


class MemberIds(NamedTuple):
    """A page of what belongs to a group."""

    jobs: list[int]
    groups: list[int]
    after: int | None
    """Behind which id the next page is; None: this is the last one."""


class SeenBatch(NamedTuple):
    """What is known of a batch."""

    id: int
    name: str
    group: Group


class GroupReader:
    """Reads groups and their members in one LMDB transaction."""

    _txn: lmdb.Transaction
    _tables: Tables

    @property
    def _groups(self) -> GroupTable:
        return GroupTable(self._txn, self._tables)

    def batch(self, id_: int) -> SeenBatch:
        """Read a batch. Raises BatchNotFound."""
        table = self._groups
        group, spec = table.get(id_), table.spec(id_)
        if group is None or (spec is not None and spec.kind != BATCH):
            raise BatchNotFound(f"no batch has the id {id_}")
        return SeenBatch(id_, encoding.UNREADABLE if spec is None else spec.name, group)

    def batch_callbacks(self, id_: int) -> list[tuple[Event, str, bool]]:
        """Read the callbacks of a batch: at which event, of which worker, whether it has happened.

        Raises BatchNotFound.
        """
        group, spec = self.batch(id_).group, self._groups.spec(id_)
        return [
            (
                Event(each.event),
                encoding.worker_in(each.spec),
                bool(group.fired & each.event),
            )
            for each in (() if spec is None else spec.callbacks)
        ]

    def batches(self, is_open: bool | None) -> list[SeenBatch]:  # noqa: FBT001 - a filter
        """Read all batches, by id, or those alone that are open, or that have ended."""
        table = self._groups
        found = []
        for id_ in table.open_ids() if is_open else table.ids():
            group, spec = table.get(id_), table.spec(id_)
            if group is None or spec is None or spec.kind != BATCH:
                continue
            if is_open is None or is_open is not has_ended(group):
                found.append(SeenBatch(id_, spec.name, group))
        return found

    def abandoned(self, node: int) -> list[int]:
        """Read the groups that are to be cancelled, as the *node* that adds their members died."""
        table = self._groups
        return [
            id_
            for id_ in table.open_ids()
            if (group := table.get(id_)) is not None
            and group.node == node
            and not group.is_closed
            and (spec := table.spec(id_)) is not None
            and spec.cancel_abandoned
        ]

    def member_ids(self, group: int, *, after: int, limit: int) -> MemberIds:
        """Read up to *limit* ids of the members of a group behind the id *after*."""
        page = self._groups.some_members(group, after, limit)
        return MemberIds(
            [id_ for id_, kind in page if kind == JOB],
            [id_ for id_, kind in page if kind == GROUP],
            page[-1][0] if len(page) == limit else None,
        )

    def member_jobs(
        self, group: int, statuses: Collection[Status] | None, *, after: int, limit: int
    ) -> tuple[list[StoredJob], int | None]:
        """Read those of a page of a group's members that have one of these statuses, for display.

        None: any. Return with them behind which id the next page is; None: this is the last one.
        """
        ids, _, position = self.member_ids(group, after=after, limit=limit)
        found = [
            job.decode()
            for job in self.some(ids)
            if statuses is None or job.state.status in statuses
        ]
        return found, position

    def members_with_results(
        self, group: int, *, after: int, limit: int
    ) -> tuple[list[int], int | None]:
        """Read the ids of those of a page of a group's members that completed and keep a result.

        Return with them behind which id the next page is; None: this is the last one.
        """
        ids, _, position = self.member_ids(group, after=after, limit=limit)
        found = []
        for job in self.some(ids):
            state = job.state
            if state.status is Status.COMPLETED and state.composed and state.composed.has_result:
                found.append(job.id)
        return found, position

    def some(self, ids: Sequence[int]) -> list[Any]:
        """Read several jobs."""
        raise NotImplementedError
