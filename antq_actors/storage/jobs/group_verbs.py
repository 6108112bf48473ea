"""Groups of jobs are made, get members, are closed and cancelled; one verb is one method.

What follows from that, and from the ends of members, is in
:mod:`~antq_actors.storage.jobs.composition`.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec.structs import replace

from antq_actors.errors import BatchClosed, BatchNotFound, JobNotFound, NotCancellable
from antq_actors.jobs.state import Composed, NewJob, Status
from antq_actors.storage.format import encoding
from antq_actors.storage.format.cipher import sealed_spec
from antq_actors.storage.jobs import limited_jobs
from antq_actors.storage.jobs.arrivals import Arrivals
from antq_actors.storage.jobs.groups import BATCH, GROUP, JOB, WORKFLOW, Callback, GroupSpec
from antq_actors.storage.jobs.tasks import CancelGroup
from antq_actors.storage.lmdb import keys
from antq_actors.workflows.counters import Event, Group

if TYPE_CHECKING:
    from collections.abc import Sequence

    from antq_actors.jobs.instant import Instant

_MOST_CANCELLED: Final = 500
"""Members that are cancelled in one transaction."""


class NewGroup(NamedTuple):
    """A group to be stored."""

    kind: int
    name: str
    created_at: Instant
    callbacks: tuple[tuple[Event, NewJob], ...] = ()
    cancel_abandoned: bool = False
    key: str | None = None


class GroupVerbs(Arrivals):
    """Changes groups in one LMDB write transaction; a part of :class:`~.job_store.JobStore`."""

    def create_group(self, new: NewGroup, *, node: int = 0, parent: int = 0) -> int:
        """Store a new group, open, to which *node* adds members; return its id.

        Raises BatchNotFound and BatchClosed of its *parent*.
        """
        for _, job in new.callbacks:
            keys.lane(Status.ENQUEUED, job.state.queue_name)
        if parent:
            self._open_batch(parent).total += 1
        id_ = self.take_number()
        spec = GroupSpec(
            kind=new.kind,
            name=new.name,
            created_at=new.created_at,
            callbacks=tuple(self._callback(*each) for each in new.callbacks),
            cancel_abandoned=new.cancel_abandoned,
            key=new.key,
        )
        self.composition.groups.add(id_, Group(parent=parent, node=node), spec)
        return id_

    def _callback(self, event: Event, new: NewJob) -> Callback:
        spec = sealed_spec(limited_jobs.with_texts(new), self._tables.cipher)
        return Callback(event, new.state, self._signer.sign(encoding.encode_spec(spec)))

    def insert_member(self, group: int, new: NewJob) -> int:
        """Store a new job as a member of a batch that is not closed; return its id.

        Raises BatchNotFound, BatchClosed, AlreadyExists, LimitReached.
        """
        counted = self._open_batch(group)
        id_ = self.insert(new._replace(state=replace(new.state, composed=Composed(group=group))))
        self.composition.groups.add_members(group, [id_])
        counted.total += 1
        return id_

    def insert_members(self, group: int, news: Sequence[NewJob]) -> list[int | None]:
        """Store new jobs as members of a batch that is not closed; return their ids in order.

        None for a duplicate, or at a full limit. Raises BatchNotFound, BatchClosed.
        """
        self._open_batch(group)
        return self.add_members(group, news)

    def close_group(self, group: int, *, now: Instant, kind: int | None = BATCH) -> None:
        """Store that no more members are added to a group from outside. Raises BatchNotFound.

        *kind*: what it has to be; None: any.
        """
        found = self._group(group, kind)
        if not found.is_closed:
            found.is_closed = True
            found.node = 0
            self.composition.touch(group, now)

    def cancel_group(
        self,
        group: int,
        *,
        after: int = 0,
        limit: int = _MOST_CANCELLED,
        now: Instant,
        kind: int | None = BATCH,
    ) -> tuple[int | None, list[int]]:
        """Close a group, and cancel those of the first *limit* members behind an id that may be.

        Return behind which id to go on, None: behind none, and the groups that are to be cancelled
        as well, as they are members. What is left is a task, too, in case the caller dies before.
        *kind*: what it has to be; None: any. Raises BatchNotFound.
        """
        position, parts = self._cancel_some(group, after, limit, now, kind)
        if not after:  # what is found later, the task finds as well
            self._leave_to_task(group, position, parts)
        return position, parts

    def go_on_cancelling(self, task: CancelGroup, *, now: Instant) -> None:
        """Do a turn of a task that cancels a group; what is left is a task again.

        Once a member was retried, the task is over: who retries a job wants it to run.
        """
        with suppress(BatchNotFound):
            group = self._group(task.group, None)
            begun = group if task.after else self._group(group.parent or task.group, None)
            if not begun.is_cancelled:
                return
            found = self._cancel_some(task.group, task.after, _MOST_CANCELLED, now, None)
            self._leave_to_task(task.group, *found)

    def _leave_to_task(self, group: int, position: int | None, parts: list[int]) -> None:
        tasks = self.composition.dependents.tasks
        for part in parts:
            tasks.add(CancelGroup(part))
        if position is not None:
            tasks.add(CancelGroup(group, position))

    def _cancel_some(
        self, group: int, after: int, limit: int, now: Instant, kind: int | None
    ) -> tuple[int | None, list[int]]:
        self.close_group(group, now=now, kind=kind)
        if not after:
            self._group(group, kind).is_cancelled = True
        if self._jobs.journal is not None:
            self._jobs.journal.by = self._called(group)
        members = self.composition.groups.some_members(group, after, limit)
        parts = []
        for id_, row in members:
            if row == GROUP:
                parts.append(id_)
            elif row == JOB:
                self._cancel_member(id_, now)
        return (members[-1][0] if len(members) == limit else None), parts

    def _called(self, group: int) -> str:
        """Return what an event calls the batch or the workflow that a group is, or is a part of."""
        groups = self.composition.groups
        found = groups.outermost(group)
        id_ = group if found is None else found[0]
        spec = groups.spec(id_)
        kind = "workflow" if spec is not None and spec.kind == WORKFLOW else "batch"
        return f"{kind} {id_}"

    def _cancel_member(self, id_: int, now: Instant) -> None:
        with suppress(JobNotFound, NotCancellable):
            self._cancel(id_, self._read_or_fail(id_, now), now)

    def _group(self, id_: int, kind: int | None) -> Group:
        """Return a group of a kind; None: of any. Raises BatchNotFound."""
        group = self.composition.groups.get(id_)
        spec = None if group is None else self.composition.groups.spec(id_)
        if group is None or (kind is not None and spec is not None and spec.kind != kind):
            raise BatchNotFound(f"no batch has the id {id_}")
        return group

    def _open_batch(self, id_: int) -> Group:
        """Return a batch that gets another member. Raises BatchNotFound, BatchClosed."""
        group = self._group(id_, BATCH)
        if group.is_closed:
            raise BatchClosed(
                f"batch {id_} is closed, so it gets no more members but those that its members add:"
                " enqueue before close(), which the end of a with block calls"
            )
        return group
