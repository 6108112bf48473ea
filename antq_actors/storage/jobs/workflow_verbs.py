"""Workflows are stored and added to; one verb is one method.

What becomes of the nodes then is in :mod:`~antq_actors.storage.jobs.composition`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from antq_actors.errors import (
    AlreadyExists,
    LimitReached,
    WorkflowError,
    WorkflowNotFound,
)
from antq_actors.jobs.outcome import Expansion
from antq_actors.jobs.state import Composed
from antq_actors.storage.jobs.graph import GraphNode, GraphVerbs
from antq_actors.storage.jobs.group_verbs import NewGroup
from antq_actors.storage.jobs.groups import GROUP, PART, WORKFLOW, digest_key
from antq_actors.storage.jobs.node_names import MOST_NOTED
from antq_actors.storage.jobs.plan_items import (
    NewMembers,
    NewNode,
    NewPart,
    PlanItem,
    distinct_nodes,
    made_later,
    number_of,
    numbered,
    renamed,
    upstream_of,
)
from antq_actors.storage.jobs.workflow_reader import (
    WorkflowRow,
    encode_row,
    key_in_use,
    row_key,
)
from antq_actors.storage.lmdb import keys
from antq_actors.workflows.graph import NameTakenError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.outcome import FollowUp
    from antq_actors.workflows.counters import Group


_PAGE: Final = 500
"""Members that are read at once."""


class WorkflowVerbs(GraphVerbs):
    """Stores workflows in one LMDB write transaction; a part of :class:`~.job_store.JobStore`."""

    _expanded: tuple[int, int] = (0, 0)
    """The job that expanded last in this transaction, and into which part."""

    def start_workflow(
        self,
        new: NewGroup,
        plan: Sequence[PlanItem],
        *,
        output: int = 0,
        node: int = 0,
        is_whole: bool,
        now: Instant,
    ) -> tuple[int, list[int]]:
        """Store a workflow, and the first or all of its *plan*; return its id and its numbers.

        *output*: the number of the item whose result is the workflow's. Raises AlreadyExists, with
        the id of the open workflow that has its key; also for a duplicate of a unique job.
        """
        if new.key is not None:
            self._refuse_key(new.name, new.key)
        self._refuse_duplicates(plan)
        id_ = self.create_group(new, node=node)
        if new.key is not None:
            table = self._tables.further(self._txn, "groups")
            self._txn.put(digest_key(new.name, new.key), keys.job_key(id_), db=table)
        numbers = self._store(id_, id_, plan, now)
        if is_whole:
            self._finish(id_, output, numbers, now)
        return id_, numbers

    def extend_workflow(
        self,
        id_: int,
        plan: Sequence[PlanItem],
        *,
        output: int = 0,
        node: int = 0,
        is_whole: bool = False,
        now: Instant,
    ) -> list[int]:
        """Store more of a workflow; return the numbers. *is_whole*: then that was all of it.

        *node*: it adds the jobs of a new part, which is cancelled if it dies before the part's end.
        Raises WorkflowNotFound, WorkflowError if it has ended, and AlreadyExists.
        """
        group = self._open_workflow(id_)
        self._refuse_duplicates(plan)
        numbers = self._store(id_, id_, plan, now, node)
        if is_whole and not group.is_closed:
            self._finish(id_, output, numbers, now)
        return numbers

    def note_names(self, id_: int) -> bool:
        """Note the names of some nodes of a workflow; return whether there are more."""
        names = self.node_names(self.composition.groups)
        names.note(id_, MOST_NOTED)
        self.has_changed = True
        return names.are_behind(id_)

    def add_to_workflow(
        self,
        id_: int,
        name: str,
        plan: Sequence[PlanItem],
        *,
        is_given: bool,
        node: int = 0,
        now: Instant,
    ) -> tuple[str, list[int]]:
        """Store a node or a part that a program adds; return its name and the numbers of all.

        The name is another one if it is taken, unless it was *given*. Raises WorkflowNotFound,
        WorkflowError if it has ended or the name is taken, and AlreadyExists.
        """
        self._open_workflow(id_)
        self._refuse_duplicates(plan)
        names = self.node_names(self.composition.groups)
        names.note(id_)
        if is_given and names.find(id_, name) is not None:
            raise name_taken(id_, name)
        free = names.free_name(id_, name)
        if free != name:
            plan = [renamed(item, name, free) for item in plan]
        numbers = self._store(id_, id_, plan, now, node)
        names.note(id_)
        return free, numbers

    # ---- what goes with a completion ------------------------------------------------------

    def _insert_produced(self, id_: int, follow_up: FollowUp | Expansion, now: Instant) -> None:
        """Store what goes with the completion of a job: in its workflow, if it is of one."""
        record = self._existing(id_)
        composed = record.state.composed
        workflow = 0
        if composed is not None and composed.group:
            flow = self._flow_of(id_, record)
            known = 0 if flow is None else flow.workflow  # however deep it is in expansions
            workflow = self._workflow_of(known or composed.group)
        if isinstance(follow_up, Expansion):
            group = workflow if composed is None else composed.group
            self._expand(id_, follow_up, group if workflow else 0, workflow, now)
            return
        new = self._insert_follow_up(follow_up, now)
        if new is not None and workflow:
            self._join(new, workflow, now)

    def _workflow_of(self, group: int) -> int:
        """Return the number of the workflow to which a group belongs; 0: to none."""
        groups = self.composition.groups
        found = groups.get(group)
        while found is not None and found.parent:
            group = found.parent
            found = groups.get(group)
        spec = None if found is None else groups.spec(group)
        return group if spec is not None and spec.kind == WORKFLOW else 0

    def _join(self, id_: int, workflow: int, now: Instant) -> None:
        """Make a job that has just been stored a member of a workflow."""
        record = self._existing(id_)
        composed = replace(record.state.composed or Composed(), group=workflow)
        self._jobs.rewrite(id_, record._replace(state=replace(record.state, composed=composed)))
        groups = self.composition.groups
        groups.add_members(workflow, [id_])
        counted = groups.get(workflow)
        if counted is not None:
            counted.total += 1
            self.composition.touch(workflow, now)
            if counted.is_cancelled:
                self._cancel(id_, self._existing(id_), now)

    def _expand(
        self, id_: int, expansion: Expansion, group: int, workflow: int, now: Instant
    ) -> None:
        """Store what a job has expanded into; in a job of no workflow, as one of its own.

        It is a part of the *group* that the job is in, whose end has to wait for it as well: that
        may be what another job has expanded into.
        """
        new, plan = expansion
        later = [made_later(item, now) for item in plan]
        try:
            if workflow:
                self._refuse_duplicates(later)
            else:
                self.start_workflow(new._replace(created_at=now), later, is_whole=True, now=now)
        except (AlreadyExists, LimitReached) as error:
            self._note("what job %d has expanded into is left out: %s", id_, str(error))
            return
        if not workflow:
            return
        owner, first = self._expanded
        is_further = owner == id_  # then the first part has ended only when this one has
        is_cancelled = self._is_cancelled(group) or self._is_cancelled(workflow)
        part = self._part(
            NewGroup(PART, new.name, now, new.callbacks), first if is_further else group
        )
        self._store(workflow, part, later, now)
        self._end_part(part, now)
        if not is_further:
            self.expand(id_, part, now=now)
            self._expanded = id_, part
        if is_cancelled:
            self._cancel_whole(part, now)

    def _cancel_whole(self, part: int, now: Instant) -> None:
        """Cancel what was stored in this transaction as a part, before any of it begins."""
        left = [part]
        while left:
            group, after = left.pop(), 0
            while True:
                position, parts = self._cancel_some(group, after, _PAGE, now, PART)
                left += parts
                if position is None:
                    break
                after = position

    def _is_cancelled(self, group: int) -> bool:
        found = self.composition.groups.get(group)
        return found is not None and found.is_cancelled

    def _part(self, new: NewGroup, parent: int, node: int = 0) -> int:
        """Store a part of a workflow, or of a part of one; return its number."""
        groups = self.composition.groups
        id_ = self.create_group(new, node=node)
        part, counted = groups.get(id_), groups.get(parent)
        if part is not None and counted is not None:
            part.parent = parent
            groups.add_members(parent, [id_], GROUP)
            counted.total += 1
        return id_

    def _end_part(self, part: int, now: Instant) -> None:
        self.close_group(part, now=now, kind=PART)

    def _finish(self, id_: int, output: int, numbers: list[int], now: Instant) -> None:
        if output:
            number = numbers[~output] if output < 0 else output
            is_group = self.composition.groups.get(number) is not None
            row = WorkflowRow(number, is_group)
            table = self._tables.further(self._txn, "groups")
            self._txn.put(row_key(id_), encode_row(row), db=table)
        self.close_group(id_, now=now, kind=WORKFLOW)

    def _store(
        self,
        workflow: int,
        parent: int,
        plan: Sequence[PlanItem],
        now: Instant,
        node: int = 0,
    ) -> list[int]:
        """Store items of a workflow; return the number of each that has one."""
        numbers: list[int] = []
        nodes: list[GraphNode] = []
        for item in plan:
            if isinstance(item, NewNode):
                first = self._first_free_id()
                nodes.append(numbered(item, numbers, first, workflow))
                numbers.append(first + len(nodes) - 1)
                continue
            if nodes:
                self.insert_graph(parent, nodes, now=now)
                nodes = []
            if isinstance(item, NewMembers):
                self._store_members(item, numbers, workflow, now)
            elif isinstance(item, NewPart):
                new = NewGroup(PART, item.name, now, cancel_abandoned=node > 0)
                numbers.append(self._part(new, parent, node))
            else:
                numbers.append(number_of(item.part, numbers))
                self._end_part(numbers[-1], now)
        if nodes:
            self.insert_graph(parent, nodes, now=now)
        return numbers

    def _store_members(
        self, item: NewMembers, numbers: Sequence[int], workflow: int, now: Instant
    ) -> None:
        """Store jobs of a part together; what they wait for is stored."""
        flow = replace(item.flow, workflow=workflow, upstream=upstream_of(item.flow, numbers))
        named = (
            (state, replace(spec, flow=replace(flow, node=name)))
            for (state, spec, _), name in zip(item.news, item.names, strict=True)
        )
        after = {number_of(number, numbers): condition for number, condition in item.after}
        self.insert_alike(number_of(item.part, numbers), named, after, now=now)

    def _open_workflow(self, id_: int) -> Group:
        group = self.composition.groups.get(id_)
        spec = None if group is None else self.composition.groups.spec(id_)
        if group is None or spec is None or spec.kind != WORKFLOW:
            raise WorkflowNotFound(f"no workflow has the id {id_}")
        if group.ended_at or group.is_cancelled:
            how = "was cancelled" if group.is_cancelled else "has ended"
            raise WorkflowError(
                f"workflow {id_} ({spec.name!r}) {how}, so nothing can be added to it; start a new"
                " one"
            )
        return group

    def _refuse_key(self, name: str, key: str) -> None:
        table = self._tables.further(self._txn, "groups")
        found = self._txn.get(digest_key(name, key), db=table)
        if found is None:
            return
        id_ = int.from_bytes(found)
        group = self.composition.groups.get(id_)
        if group is not None and not group.ended_at:
            raise key_in_use(name, key, id_)

    def _refuse_duplicates(self, plan: Iterable[PlanItem]) -> None:
        """Raise AlreadyExists or LimitReached for a workflow with a node that cannot be stored."""
        for item in distinct_nodes(plan):
            state, spec, _ = item.new
            if spec.unique_digest is not None:
                self._refuse_duplicate(state, spec)
            if spec.flow is not None and spec.flow.gates and not item.after:
                self._refuse_full(state, spec.flow.gates, state.updated_at)


def name_taken(id_: int, name: str) -> NameTakenError:
    """Return the error of a node that is added under the name of another one."""
    return NameTakenError(
        f"workflow {id_} has a node {name!r} already; give each a name of its own"
    )
