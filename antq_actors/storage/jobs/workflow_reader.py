"""The verbs that look at workflows, and the rows that these have beside those of their group.

groups    id, 1          what else was said of a workflow: a WorkflowRow
          255, digest    of its name and key: the id of the last workflow that has them
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from antq_actors.errors import AlreadyExists, DamagedRecord
from antq_actors.storage.format import encoding
from antq_actors.storage.jobs.group_reader import GroupReader
from antq_actors.storage.jobs.groups import GROUP, JOB, WORKFLOW, GroupTable, digest_key
from antq_actors.storage.jobs.node_names import MOST_NOTED, NodeNames
from antq_actors.storage.lmdb import keys

if TYPE_CHECKING:
    from collections.abc import Sequence

    from antq_actors.jobs.state import JobFlow, Status, StoredJob
    from antq_actors.storage.format.encoding import JobRecord
    from antq_actors.storage.jobs.table import JobEntries


class WorkflowRow(msgspec.Struct, frozen=True, array_like=True):
    """What is stored of a workflow besides its group."""

    output: int = 0
    """The job or the part whose result is that of the workflow; 0: it has none."""
    is_group: bool = False
    """Whether that is a part."""


class WorkflowRecord(NamedTuple):
    """A workflow as it is read."""

    id: int
    name: str
    key: str | None
    is_open: bool
    node: int
    """The node that still stores it; 0: all of it is stored."""
    row: WorkflowRow


encode_row: Final = msgspec.msgpack.Encoder().encode
decode_row: Final = msgspec.msgpack.Decoder(WorkflowRow).decode


def row_key(id_: int) -> bytes:
    """Return the key of what else is stored of a workflow."""
    return keys.job_key(id_) + b"\1"


class WorkflowReader(GroupReader):
    """Reads workflows in one LMDB transaction; a part of :class:`~.reader.JobReader`."""

    _jobs: JobEntries

    def some(self, ids: Sequence[int]) -> Any:
        """Read several jobs."""
        raise NotImplementedError

    def workflow_record(self, id_: int) -> WorkflowRecord | None:
        """Read a workflow; None: no workflow has this id."""
        return self._workflow_record(self._groups, id_)

    def workflow_records(
        self, after: int, limit: int, *, are_open: bool = False
    ) -> list[WorkflowRecord]:
        """Read up to *limit* workflows behind an id, in order, or of those alone that are open."""
        groups = self._groups
        found: list[WorkflowRecord] = []
        for id_ in groups.open_ids(after) if are_open else groups.ids(after):
            record = self._workflow_record(groups, id_)
            if record is not None:
                found.append(record)
                if len(found) == limit:
                    break
        return found

    def refuse_key(self, name: str, key: str) -> None:
        """Raise AlreadyExists if a workflow with this name and key is open."""
        table = self._tables.further(self._txn, "groups")
        found = self._txn.get(digest_key(name, key), db=table)
        group = None if found is None else self._groups.get(int.from_bytes(found))
        if found is not None and group is not None and not group.ended_at:
            raise key_in_use(name, key, int.from_bytes(found))

    def workflow_of(self, group: int) -> WorkflowRecord | None:
        """Read the workflow to which a group belongs; None: to none."""
        groups = self._groups
        found = groups.get(group)
        while found is not None and found.parent:
            group = found.parent
            found = groups.get(group)
        return None if found is None else self._workflow_record(groups, group)

    def node_statuses(
        self, left: Sequence[tuple[int, int]], limit: int
    ) -> tuple[list[tuple[int, Status]], list[tuple[int, int]]]:
        """Read the ids and statuses of jobs of groups, each group behind the id of a member.

        Return with them what is *left* when *limit* members have been read; groups among the
        members are read as well.
        """
        found, left = [], list(left)
        while left and limit > 0:
            group, after = left.pop()
            page = self._groups.some_members(group, after, limit)
            if len(page) == limit:
                left.append((group, page[-1][0]))
            limit -= max(1, len(page))
            left += [(id_, 0) for id_, kind in page if kind == GROUP]
            for node in (id_ for id_, kind in page if kind == JOB):
                try:
                    record = self._jobs.record(node)
                except DamagedRecord:
                    continue
                if record is not None:
                    found.append((node, record.state.status))
        return found, left

    def jobs_page(self, ids: Sequence[int]) -> list[StoredJob]:
        """Read the jobs with these ids, but for those that are gone."""
        return [raw.decode() for raw in self.some(ids)]

    def members_page(self, group: int, after: int, limit: int) -> list[int]:
        """Read the ids of the first *limit* jobs of a group behind an id, in order."""
        found = []
        for id_, kind in self._groups.members(group, after):
            if kind == JOB:
                found.append(id_)
                if len(found) == limit:
                    break
        return found

    def node_names(self, groups: GroupTable | None = None) -> NodeNames:
        """Return what reads and writes the names of nodes."""
        return NodeNames(self._txn, self._tables, groups or self._groups, self._node_name)

    def find_node(self, id_: int, name: str) -> tuple[tuple[int, bool] | None, bool]:
        """Read the number of a workflow's node of a name, and whether it is a part; None: of none.

        Return with it whether there are nodes whose names are not noted yet.
        """
        names = self.node_names()
        found = names.find(id_, name)
        return found, found is None and names.are_behind(id_)

    def has_names_to_note(self, id_: int) -> bool:
        """Read whether the names of many nodes have to be noted before one can be added."""
        group = self._groups.get(id_)
        if group is None or group.ended_at or group.is_cancelled:  # then it is refused
            return False
        return self.node_names().are_behind(id_, MOST_NOTED)

    def deleted_members(self, group: int) -> int:
        """Read how many jobs of a group were deleted."""
        found = self._groups.get(group)
        return 0 if found is None else found.gone.total

    def member_names(self, group: int) -> list[tuple[str, int]]:
        """Read the names and ids of the jobs of a group, in order."""
        named = ((self._node_name(id_), id_) for id_, _ in self._groups.members(group))
        return [(name, id_) for name, id_ in named if name is not None]

    def _node_name(self, id_: int) -> str | None:
        try:
            record = self._jobs.record(id_)
        except DamagedRecord:
            return None
        flow = None if record is None else self._flow_of(id_, record)
        return None if flow is None else flow.node

    def _flow_of(self, id_: int, record: JobRecord) -> JobFlow | None:
        """Read what a job has to do with others; None: nothing, or its record is damaged."""
        try:
            spec = encoding.contents(record.spec or self._jobs.large_spec(id_))
            return encoding.decode_spec(spec).flow
        except DamagedRecord:  # its claim says so
            return None

    def _workflow_record(self, groups: GroupTable, id_: int) -> WorkflowRecord | None:
        group, spec = groups.get(id_), groups.spec(id_)
        if group is None or spec is None or spec.kind != WORKFLOW:
            return None
        table = self._tables.further(self._txn, "groups")
        stored = self._txn.get(row_key(id_), db=table)
        row = WorkflowRow() if stored is None else decode_row(stored)
        return WorkflowRecord(id_, spec.name, spec.key, not group.ended_at, group.node, row)


def key_in_use(name: str, key: str, id_: int) -> AlreadyExists:
    """Return the error of a workflow whose name and key those of an open one are."""
    text = (
        f"the workflow {name!r} with the key {key!r} is open: it is number {id_}; let it end, or"
        " cancel it"
    )
    return AlreadyExists(text, None, id_)
