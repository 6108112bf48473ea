"""Batches and workflows as they are now, and one workflow with its jobs."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Final

from antq_actors.jobs.state import Status
from antq_actors.storage.jobs.reader import JobReader

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from antq_actors.app.workflow_run import WorkflowRun
    from antq_actors.insights.source import Source
    from antq_actors.jobs.batch import Batch
    from antq_actors.jobs.state import StoredJob

MOST_FAILED: Final = 100
"""Failed members of a batch that are named."""
MOST_NODES: Final = 1_000
"""Jobs of a workflow that are shown."""
_PAGE_JOBS: Final = 1_000
_MOST_PAGES: Final = 5
_ACTIVE: Final = (Status.RUNNING, Status.ENQUEUED, Status.RETRYING)


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchView:
    """A batch, and how far it is."""

    id: int
    name: str
    total: int
    ended: int
    completed: int
    failed: int
    cancelled: int
    closed: bool
    open: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowView:
    """A workflow, and how far it is."""

    id: int
    name: str
    key: str | None
    open: bool
    nodes: Mapping[Status, int]
    """How many of its jobs have each status."""


@dataclass(frozen=True, slots=True)
class BatchCallback:
    """A job that is enqueued when something happens to a batch."""

    on: str
    """"success", "complete" or "failure"."""
    worker: str
    fired: bool
    """Whether it has happened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchDetail(BatchView):
    """A batch with what failed in it, and what it does at its end."""

    callbacks: tuple[BatchCallback, ...]
    failed_jobs: tuple[int, ...]
    """The ids of its first failed members, at most 100, as far as a short search finds them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowNode:
    """A job of a workflow."""

    id: int
    name: str | None
    """None: it was added to the workflow by a job, as a follow-up."""
    worker: str
    queue: str
    status: Status
    attempts: int
    group: int | None
    """The number of the group of nodes to which it belongs; None: it is a node by itself."""
    after: tuple[int, ...]
    """What comes directly before it: the ids of jobs, and the numbers of groups."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowGroup:
    """Nodes of a workflow that were added together."""

    number: int
    name: str
    nodes: Mapping[Status, int]
    """How many of its jobs that are shown have each status."""
    after: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowDetail(WorkflowView):
    """A workflow as a graph."""

    jobs: tuple[WorkflowNode, ...]
    """In the order of their ids, at most 1,000."""
    groups: tuple[WorkflowGroup, ...]
    complete: bool
    """Whether all of its jobs are in *jobs*."""
    active: tuple[int, ...]
    """The ids of the jobs in *jobs* that run, or are about to."""
    failed: tuple[int, ...]
    """Those that a retry of the workflow retries."""
    incomplete: int
    """The node whose process stores the rest of it, or died doing so; 0: all is stored."""


def read_batches(source: Source) -> list[BatchView]:
    """Read all batches, the newest first."""
    return [_batch(batch) for batch in reversed(source.app.batches())]


def read_batch(source: Source, id_: int) -> BatchDetail:
    """Read one batch. Raises BatchNotFound, TypeError."""
    batch = _batch(source.app.get_batch(id_))
    callbacks = source.store.read(JobReader.batch_callbacks, batch.id)
    return BatchDetail(
        **{each.name: getattr(batch, each.name) for each in fields(BatchView)},
        callbacks=tuple(
            BatchCallback(event.name.lower(), worker, has_fired)
            for event, worker, has_fired in callbacks
        ),
        failed_jobs=tuple(_failed_in(source, batch)) if batch.failed else (),
    )


def _failed_in(source: Source, batch: BatchView) -> Iterator[int]:
    """Yield the ids of the first failed members of a batch, among those that are looked at."""
    after, found = 0, 0
    for _ in range(_MOST_PAGES):
        jobs, behind = source.store.read(
            JobReader.member_jobs, batch.id, {Status.FAILED}, after=after, limit=_PAGE_JOBS
        )
        yield from (job.id for job in jobs[: MOST_FAILED - found])
        found += len(jobs)
        if behind is None or found >= MOST_FAILED:
            return
        after = behind


def _batch(batch: Batch) -> BatchView:
    status = batch.status()
    return BatchView(
        id=batch.id,
        name=batch.name,
        total=status.total,
        ended=status.ended,
        completed=status.completed,
        failed=status.failed,
        cancelled=status.cancelled,
        closed=status.closed,
        open=status.open,
    )


def read_workflows(source: Source) -> list[WorkflowView]:
    """Read all workflows, the newest first."""
    return [_workflow(run) for run in reversed(source.app.workflows())]


def read_workflow(source: Source, id_: int) -> WorkflowDetail:
    """Read one workflow with its jobs. Raises WorkflowNotFound, TypeError."""
    run = source.app.get_workflow(id_)
    workflow = _workflow(run)
    stored = source.runtime.workflows.stored(run.id, MOST_NODES)
    jobs = tuple(_node(job, run.id) for job in stored)
    return WorkflowDetail(
        **{each.name: getattr(workflow, each.name) for each in fields(WorkflowView)},
        jobs=jobs,
        groups=tuple(_groups(jobs)),
        complete=len(jobs) == sum(workflow.nodes.values()),
        active=tuple(job.id for job in jobs if job.status in _ACTIVE),
        failed=tuple(job.id for job in jobs if job.status is Status.FAILED),
        incomplete=run.incomplete,
    )


def _node(job: StoredJob, workflow: int) -> WorkflowNode:
    flow, composed = job.spec.flow, job.state.composed
    group = 0 if composed is None else composed.group
    return WorkflowNode(
        id=job.id,
        name=None if flow is None else flow.node,
        worker=job.spec.worker,
        queue=job.state.queue_name,
        status=job.state.status,
        attempts=job.state.attempts,
        group=None if group in (0, workflow) else group,
        after=() if flow is None else tuple(number for _, number, _ in flow.upstream),
    )


def _groups(jobs: Sequence[WorkflowNode]) -> Iterator[WorkflowGroup]:
    """Yield the groups of nodes that these jobs belong to, by number."""
    members: dict[int, list[WorkflowNode]] = defaultdict(list)
    for job in jobs:
        if job.group is not None:
            members[job.group].append(job)
    for number, those in sorted(members.items()):
        first = those[0]
        name = (first.name or "").rpartition("[")[0]  # of "resize[0]"
        counts = Counter(job.status for job in those)
        yield WorkflowGroup(number=number, name=name, nodes=counts, after=first.after)


def _workflow(run: WorkflowRun) -> WorkflowView:
    status = run.status()
    nodes = {each: number for each, number in status.nodes.items() if number}
    return WorkflowView(id=run.id, name=run.name, key=run.key, open=status.open, nodes=nodes)
