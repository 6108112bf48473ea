"""Giving back the jobs of nodes that died: before a node first claims, and from time to time."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from antq_actors.jobs.instant import Instant
    from antq_actors.storage.client import StorageClient

log: Final = logging.getLogger("antq_actors.queues")


def rescue_dead_nodes(store: StorageClient, *, max_interruptions: int, now: Instant) -> int:
    """Give back the jobs of nodes whose file lock is free, which only death frees.

    Return how many. Several nodes may do it at once: a job is given back once. Raises StorageError.
    """
    rescued = 0
    for node in store.dead_nodes():
        given_back = store.rescue(
            node=node,
            reason=f"its node {node} died",
            max_interruptions=max_interruptions,
            now=now,
        )
        store.close_node(node)
        log.warning("node %d died; %d of its jobs were given back", node, given_back)
        rescued += given_back
    return rescued
