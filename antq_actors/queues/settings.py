"""What a queue actor is told at its start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from antq_actors.queues.node import Node


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSettings:
    """What a queue actor is told at its start."""

    name: str
    concurrency: int
    check_interval: float
    """Seconds between two looks at the store when no event asks for one."""
    max_interruptions: int
    node: Node
    """This process, as the store knows it."""
    workers: str
    """The name of the dynamic supervisor of its worker actors and executors."""
    application: str = ""
    """The name of its application's root supervisor."""
    path: Path | None = None
    """The directory that its application was described with; None: it is volatile."""
    executor: str | None = None
    """What runs jobs whose workers do not say."""
    max_jobs: int | None = None
    """Jobs after which an OS process is replaced; None: never."""
    max_memory: int | None = None
    """Bytes of memory above which an OS process is replaced after a job; None: any."""
    max_abandoned: int = 20
    """Threads that were given up and still run, above which nothing is claimed."""
