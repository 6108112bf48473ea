"""Executors by name, each imported when it is first needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from antq_actors.executors.base import NotReady
from antq_actors.executors.choice import ASYNC, PROCESS, RAY

if TYPE_CHECKING:
    from antq_actors.executors.base import Executor, Settings


def make(kind: str, settings: Settings) -> Executor:
    """Make an executor for a queue. Raises NotReady when what it needs is not installed."""
    # ruff: noqa: PLC0415 - each has its own dependencies, and costs its import
    if kind == ASYNC:
        from antq_actors.executors.event_loop import LoopExecutor

        return LoopExecutor(settings)
    if kind == PROCESS:
        from antq_actors.executors.process.pool import ProcessExecutor

        return ProcessExecutor(settings)
    if kind == RAY:
        from antq_actors.integrations import ray

        return ray.make(settings)
    raise NotReady(f"there is no executor {kind!r}")
