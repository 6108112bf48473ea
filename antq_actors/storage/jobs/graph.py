"""Graphs of jobs are stored, with what waits for what; one verb is one method.

What follows from the ends of these jobs is in :mod:`~antq_actors.storage.jobs.dependents`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from antq_actors.errors import AlreadyExists
from antq_actors.jobs import lifecycle
from antq_actors.jobs.state import Composed, NewJob, Status, StoredJob
from antq_actors.storage.format import display, encoding
from antq_actors.storage.jobs.group_verbs import GroupVerbs
from antq_actors.storage.jobs.tasks import CancelGroup, ChangeJobs
from antq_actors.storage.lmdb import keys
from antq_actors.workflows.edges import Condition

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.state import JobSpec, JobState


class GraphNode(NamedTuple):
    """A job to be stored together with others."""

    new: NewJob
    after: tuple[tuple[int, Condition], ...] = ()
    """What it waits for, and how that has to end: the number of a stored job or group, or ``~i``
    for the one at *i* among those that are stored with it."""
    part: int = 0
    """The group of which it is a member, instead of that of the graph."""


class GraphVerbs(GroupVerbs):
    """Stores graphs in one LMDB write transaction; a part of :class:`~.job_store.JobStore`."""

    def insert_graph(self, group: int, nodes: Sequence[GraphNode], *, now: Instant) -> list[int]:
        """Store jobs as members of a group, those that wait for others suspended; return their ids.

        Raises AlreadyExists and LimitReached, having stored none of them.
        """
        self._refuse_any(nodes, now)
        first = self._first_free_id()
        upstreams = {first + ~up for node in nodes for up, _ in node.after if up < 0}
        edges: list[tuple[int, int, Condition]] = []
        members: dict[int, list[int]] = {}
        for id_, node in enumerate(nodes, first):
            after = {up if up > 0 else first + ~up: on for up, on in node.after}
            edges += [(up, id_, condition) for up, condition in after.items()]
            state = node.new.state
            composed = replace(
                state.composed or Composed(),
                group=node.part or group,
                pending=len(after),
                has_dependents=id_ in upstreams,
            )
            state = lifecycle.suspend(state) if after else state
            self._add(node.new._replace(state=replace(state, composed=composed)))
            members.setdefault(composed.group, []).append(id_)
        composition = self.composition
        composition.note(now)
        for each, ids in members.items():
            composition.groups.add_members(each, ids)
            counted = composition.groups.get(each)
            if counted is not None:
                counted.total += len(ids)
        if edges:
            composition.dependents.edges.add(edges)
        for upstream in sorted({up for up, _, _ in edges if up < first}):
            self.mark_upstream(upstream, now)
        return list(range(first, first + len(nodes)))

    def insert_alike(
        self,
        group: int,
        jobs: Iterable[tuple[JobState, JobSpec]],
        after: Mapping[int, Condition],
        *,
        now: Instant,
    ) -> None:
        """Store jobs as members of a group that all wait for the same stored jobs and groups.

        They are stored together, so none of them may be unique or have limits.
        """
        members: list[tuple[JobState, JobSpec, None]] = []
        last: JobState | None = None
        for given, spec in jobs:
            if given is not last:  # jobs that are made together share theirs
                last = given
                composed = Composed(group=group, pending=len(after))
                state = replace(lifecycle.suspend(given) if after else given, composed=composed)
            members.append((state, spec, None))
        ids = self.insert_plain(members)
        composition = self.composition
        composition.note(now)
        composition.groups.add_members(group, ids)
        counted = composition.groups.get(group)
        if counted is not None:
            counted.total += len(members)
        edges = [(up, id_, condition) for id_ in ids for up, condition in after.items()]
        if edges:
            composition.dependents.edges.add(edges)
        for upstream in after:
            self.mark_upstream(upstream, now)

    def expand(self, owner: int, part: int, *, now: Instant) -> None:
        """Store that for others a completed job has ended only when a group has."""
        record = self._existing(owner)
        composed = replace(record.state.composed or Composed(), part=part)
        self._jobs.rewrite(owner, record._replace(state=replace(record.state, composed=composed)))
        composition = self.composition
        if record.state.composed is not None and record.state.composed.part:  # of an earlier run
            composition.dependents.edges.remove(record.state.composed.part, owner)
        composition.dependents.edges.add([(part, owner, Condition.PART)])
        group = composition.groups.get(part)
        if group is not None:
            group.has_dependents = True
        composition.touch(part, now)

    def do_task(self, *, now: Instant) -> bool:
        """Do a turn of the first task in the store; return whether there was one."""
        task = self.composition.dependents.tasks.take()
        if task is None:
            return False
        self.composition.note(now)
        if isinstance(task, CancelGroup):
            self.go_on_cancelling(task, now=now)
        elif isinstance(task, ChangeJobs):
            self.go_on_changing(task.bulk, now=now)
        else:
            if self.composition.groups.get(task.upstream) is not None:
                self.composition.touch(task.upstream, now)
            self.composition.dependents.expect(task.upstream, task.after, task.stage)
        self.has_changed = True
        return True

    def go_on_changing(self, bulk: int, *, now: Instant) -> None:
        """Change the next jobs of a bulk change; what is left then is a task again."""
        raise NotImplementedError

    def _refuse_any(self, nodes: Sequence[GraphNode], now: Instant) -> None:
        """Raise what keeps one of these jobs from being stored, before any is."""
        digests: dict[bytes, NewJob] = {}
        for new in (node.new for node in nodes):
            state, spec, _ = new
            keys.lane(Status.ENQUEUED, state.queue_name)
            if spec.unique_digest is None:
                continue
            self._refuse_duplicate(state, spec)
            other = digests.setdefault(spec.unique_digest, new)
            if other is not new:
                job = StoredJob(0, other.state, other.spec, ())
                raise AlreadyExists(
                    f"two jobs of {spec.worker} in queue {state.queue_name!r} that are to be stored"
                    " together are in each other's way, as they are unique: give them other"
                    " arguments, or unique=None",
                    encoding.as_job(job, display.display_args(other.spec.args)),
                )
        for node in nodes:
            flow = node.new.spec.flow
            if flow is not None and not node.after:
                self._refuse_full(node.new.state, flow.gates, now)
