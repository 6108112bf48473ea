"""What a queue actor is told at its start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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
    """The name of the dynamic supervisor of its worker actors."""
