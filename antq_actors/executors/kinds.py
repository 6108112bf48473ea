"""Executors by name, each imported when it is first needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from antq_actors.executors.choice import ASYNC, PROCESS, RAY
from antq_actors.executors.contract import NotReady

if TYPE_CHECKING:
    from antq_actors.executors.contract import Executor, Settings


def make(kind: str, settings: Settings) -> Executor:
    """Make an executor for a queue. Raises NotReady when what it needs is not installed."""
    # ruff: noqa: PLC0415 - each has its own dependencies, and costs its import
    if kind == ASYNC:
        from antq_actors.executors.event_loop import LoopExecutor

        return LoopExecutor(settings)
    if kind == PROCESS:
        from antq_actors.executors.processes.pool import ProcessExecutor

        return ProcessExecutor(settings)
    if kind == RAY:
        from antq_actors.executors import ray_tasks

        return ray_tasks.make(settings)
    raise NotReady(f"there is no executor {kind!r}")
