"""The nodes of a store: the processes that run its queues, and in what they differ."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from antq_actors.insights.source import Source
    from antq_actors.storage.locks.node_lock import NodeInfo, QueueInfo

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeView:
    """A process that runs queues of the store."""

    node: int
    """Its number."""
    pid: int
    host: str
    alive: bool
    started_at: datetime | None
    version: str
    queues: Mapping[str, QueueInfo]
    running: int
    executors: tuple[str, ...]
    """The kinds of executors that its queues are configured with."""
    skew: float | None
    """Seconds that its clock is ahead of that of the machine with the store, as far as it can be
    measured: 0.0 below a twentieth. None: it died, or runs an earlier release."""
    differences: tuple[str, ...]
    """In what it differs from the others, a sentence each."""


def read_nodes(source: Source) -> list[NodeView]:
    """Read all nodes, by number."""
    infos = sorted(source.app.nodes(), key=lambda info: info.number)
    return [
        NodeView(
            node=info.number,
            pid=info.pid,
            host=info.host,
            alive=info.alive,
            started_at=info.started_at,
            version=info.version,
            queues=info.queues,
            running=info.running,
            executors=tuple(sorted({each.executor or "thread" for each in info.queues.values()})),
            skew=measured(source.store.node_skew(info.number)) if info.alive else None,
            differences=tuple(differences(info, infos)),
        )
        for info in infos
    ]


def measured(skew: float | None) -> float | None:
    """Return how far a clock is ahead, in tenths of a second; less was not measured.

    The system notes the time of a file some milliseconds late, on a busy machine more.

    >>> measured(0.04), measured(-3.26), measured(None)
    (0.0, -3.3, None)
    """
    return None if skew is None else round(skew, 1) + 0.0


def differences(node: NodeInfo, nodes: Sequence[NodeInfo]) -> list[str]:
    """Return in what a node differs from most of the living ones, a sentence each.

    Where as many say one as say the other, the newer node is the one that differs.
    """
    living = [each for each in nodes if each.alive]
    found = []
    usual = _usual([each.version for each in living])
    if node.version and usual and node.version != usual:
        found.append(f"It runs antq-actors {node.version}, and others run {usual}.")
    for name, queue in node.queues.items():
        others = [each.queues[name] for each in living if name in each.queues]
        common = _usual(others)
        if common is None or queue == common:
            continue
        if queue.concurrency != common.concurrency:
            found.append(
                f"Its concurrency of {name!r} is {queue.concurrency}, and {common.concurrency}"
                " elsewhere."
            )
        if queue.executor != common.executor:
            found.append(
                f"Its executor of {name!r} is {queue.executor or 'thread'}, and"
                f" {common.executor or 'thread'} elsewhere."
            )
    return found


def _usual(values: Sequence[T]) -> T | None:
    counts = Counter(values)
    return counts.most_common(1)[0][0] if counts else None
