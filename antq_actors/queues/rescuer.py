"""Gives back the jobs of nodes that died."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from antq_actors.jobs import instant
from antq_actors.otp.gen_server import GenServer
from antq_actors.otp.messages import Continue

if TYPE_CHECKING:
    from collections.abc import Callable

    from antq_actors.jobs.instant import Instant
    from antq_actors.storage.client import StorageClient

log: Final = logging.getLogger("antq_actors.queues")


@dataclass(frozen=True, slots=True, kw_only=True)
class RescuerConfig:
    """What a rescuer is told at its start."""

    max_interruptions: int
    interval: float = 1.0
    """Seconds between two looks for dead nodes; a look takes one try at each node's file lock."""


class Rescue(NamedTuple):
    """Look once. Called, it answers how many jobs were given back."""


class Rescuer(GenServer):
    """Finds nodes whose file lock is free, which only death frees, and gives back their jobs.

    It catches nothing. If the store fails the actor dies and its supervisor starts a new one.
    """

    def __init__(
        self,
        store: StorageClient,
        config: RescuerConfig,
        clock: Callable[[], Instant] = instant.now,
    ) -> None:
        super().__init__()
        self._store = store
        self._config = config
        self._clock = clock

    def init(self) -> Continue:
        """Be there; the first look comes next, so that a restart finds its jobs at once."""
        return Continue()

    def handle_continue(self, _token: object) -> None:
        """Look for the first time."""
        self._look()

    def handle_info(self, message: Any) -> None:
        """Look, when it is time."""
        if isinstance(message, Rescue):
            self._look()
        else:
            super().handle_info(message)

    def handle_call(self, request: Any) -> Any:
        """Look now."""
        return self._rescue() if isinstance(request, Rescue) else super().handle_call(request)

    def _look(self) -> None:
        self._rescue()
        self.send_after(self._config.interval, Rescue())

    def _rescue(self) -> int:
        rescued = 0
        for node in self._store.dead_nodes():
            given_back = self._store.rescue(
                node=node,
                reason=f"its node {node} died",
                max_interruptions=self._config.max_interruptions,
                now=self._clock(),
            )
            self._store.close_node(node)
            log.warning("node %d died; %d of its jobs were given back", node, given_back)
            rescued += given_back
        return rescued
