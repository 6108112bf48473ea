"""Batches and workflows as they are now, and one workflow with its jobs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from antq_actors.app.workflow_run import WorkflowRun
    from antq_actors.insights.source import Source
    from antq_actors.jobs.batch import Batch
    from antq_actors.jobs.state import Status


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


def read_batches(source: Source) -> list[BatchView]:
    """Read all batches, the newest first."""
    return [_batch(batch) for batch in reversed(source.app.batches())]


def read_batch(source: Source, id_: int) -> BatchView:
    """Read one batch. Raises BatchNotFound, TypeError."""
    return _batch(source.app.get_batch(id_))


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


def read_workflow(source: Source, id_: int) -> WorkflowView:
    """Read one workflow. Raises WorkflowNotFound, TypeError."""
    return _workflow(source.app.get_workflow(id_))


def _workflow(run: WorkflowRun) -> WorkflowView:
    status = run.status()
    nodes = {each: number for each, number in status.nodes.items() if number}
    return WorkflowView(id=run.id, name=run.name, key=run.key, open=status.open, nodes=nodes)
