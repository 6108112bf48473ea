"""Deletes finished jobs when they have been kept long enough."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from antq_actors.jobs import instant
from antq_actors.otp.gen_server import GenServer
from antq_actors.otp.messages import Continue

if TYPE_CHECKING:
    from collections.abc import Callable

    from antq_actors.jobs.instant import Instant
    from antq_actors.storage.client import StorageClient


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

    It catches nothing. If the store fails the actor dies, its supervisor logs that and starts a
    new one, and only a store that stays broken stops the application.
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
        more_to_do = self._prune_one_batch() == self._config.batch
        self.send_after(0 if more_to_do else self._config.interval, Prune())

    def handle_call(self, request: Any) -> Any:
        """Prune one batch now."""
        if isinstance(request, Prune):
            return self._prune_one_batch()
        return super().handle_call(request)

    def _prune_one_batch(self) -> int:
        finished_before = self._clock() - round(self._config.retention * instant.SECOND)
        return self._store.prune(finished_before, self._config.batch)
