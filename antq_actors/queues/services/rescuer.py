"""Gives back the jobs of nodes that died."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from antq_actors.errors import StorageError
from antq_actors.jobs import instant
from antq_actors.otp.actors.gen_server import GenServer
from antq_actors.otp.kernel.messages import NOREPLY, Continue
from antq_actors.otp.messaging import calls
from antq_actors.queues.outage import Outage
from antq_actors.queues.services.rescue import rescue_dead_nodes

if TYPE_CHECKING:
    from collections.abc import Callable

    from antq_actors.jobs.instant import Instant
    from antq_actors.storage.client import StorageClient

log: Final = logging.getLogger("antq_actors.queues")


@dataclass(frozen=True, slots=True, kw_only=True)
class RescuerConfig:
    """What a rescuer is told at its start."""

    max_interruptions: int
    interval: float = 0.5
    """Seconds between two looks for dead nodes; a look takes one try at each node's file lock."""


class Rescue(NamedTuple):
    """Look once. Called, it answers how many jobs were given back."""


class Rescuer(GenServer):
    """Finds nodes whose file lock is free, which only death frees, and gives back their jobs.

    While the store refuses, it says so and looks again at the next interval. It catches nothing
    else.
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
        self._outage = Outage()

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
        """Look now. Raises StorageError in the asker."""
        if not isinstance(request, Rescue):
            return super().handle_call(request)
        try:
            return self._rescue()
        except StorageError as error:
            calls.reply_error(self.from_, error)
            return NOREPLY

    def _look(self) -> None:
        try:
            self._rescue()
        except StorageError as error:
            if self._outage.refused(time.monotonic()):
                log.warning("no look for dead nodes, until the store can be used: %s", error)
        else:
            self._outage.over(time.monotonic())
        self.send_after(self._config.interval, Rescue())

    def _rescue(self) -> int:
        return rescue_dead_nodes(
            self._store, max_interruptions=self._config.max_interruptions, now=self._clock()
        )
