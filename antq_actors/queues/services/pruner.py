"""Deletes finished jobs when they have been kept long enough."""

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

if TYPE_CHECKING:
    from collections.abc import Callable

    from antq_actors.jobs.instant import Instant
    from antq_actors.storage.client import StorageClient

log: Final = logging.getLogger("antq_actors.queues")

RETRY_INTERVAL_SECONDS: Final = 60.0
"""Seconds, at most, between two tries while the store refuses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrunerConfig:
    """What a pruner is told at its start."""

    retention: float
    """Seconds a completed, failed or cancelled job stays readable."""
    batch: int = 1_000
    """Most jobs deleted in one transaction; claims wait that long for the write lock."""

    @property
    def interval(self) -> float:
        """Seconds between two looks: an hour, or the retention if that is shorter (Ant)."""
        return min(self.retention, 3_600.0)


class Prune(NamedTuple):
    """Delete one batch now. Called, it answers how many jobs went."""


class Pruner(GenServer):
    """Deletes jobs that ended longer than ``retention`` ago. Active jobs are never touched.

    While the store refuses, it says so and tries again within a minute: on a full disk, what it
    deletes is room. It catches nothing else.
    """

    def __init__(
        self,
        store: StorageClient,
        config: PrunerConfig,
        clock: Callable[[], Instant] = instant.now,
    ) -> None:
        super().__init__()
        self._store = store
        self._config = config
        self._clock = clock
        self._outage = Outage()

    def init(self) -> Continue:
        """Be there; the first look comes next."""
        return Continue()

    def handle_continue(self, _token: object) -> None:
        """Prune for the first time."""
        self.handle_info(Prune())

    def handle_info(self, message: Any) -> None:
        """Prune, when it is time; at once again while there is more to do."""
        if not isinstance(message, Prune):
            super().handle_info(message)
            return
        self.send_after(self._prune(), Prune())

    def handle_call(self, request: Any) -> Any:
        """Prune one batch now. Raises StorageError in the asker."""
        if not isinstance(request, Prune):
            return super().handle_call(request)
        try:
            return self._prune_one_batch()
        except StorageError as error:
            calls.reply_error(self.from_, error)
            return NOREPLY

    def _prune(self) -> float:
        """Prune one batch; answer the seconds until the next."""
        try:
            more_to_do = self._prune_one_batch() == self._config.batch
        except StorageError as error:
            if self._outage.refused(time.monotonic()):
                log.warning("nothing is pruned, until the store can be used: %s", error)
            return min(self._config.interval, RETRY_INTERVAL_SECONDS)

        self._outage.over(time.monotonic())
        return 0 if more_to_do else self._config.interval

    def _prune_one_batch(self) -> int:
        finished_before = self._clock() - round(self._config.retention * instant.SECOND)
        return self._store.prune(finished_before, self._config.batch)
