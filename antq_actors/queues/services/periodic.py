"""What the services beside the queues have in common: they run at once, and then by the clock."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, NamedTuple, Protocol, TypeVar

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
"""At most, between two tries while the store refuses."""


class RunOnce(NamedTuple):
    """Run once, now. A call returns how many jobs were affected, or raises StorageError."""


class ServiceConfig(Protocol):
    """The settings of a periodic service."""

    @property
    def interval(self) -> float:
        """Seconds between two runs of the service."""


C = TypeVar("C", bound=ServiceConfig)


class PeriodicService(GenServer, Generic[C]):
    """Calls `run_once` when it starts, so that a restart does its work at once, and then every
    ``config.interval`` seconds.

    While the store refuses, it logs a warning and tries again at the next interval, within a minute
    at the latest. It catches nothing else.
    """

    refusal_warning: ClassVar[str]
    """What is logged while the store refuses; ``%s`` is its error."""

    def __init__(
        self, store: StorageClient, config: C, clock: Callable[[], Instant] = instant.now
    ) -> None:
        super().__init__()
        self.store = store
        self.config = config
        self._clock = clock
        self._outage = Outage()

    def run_once(self, now: Instant) -> int:
        """Do one run in the store; return how many jobs it affected. Raises StorageError."""
        raise NotImplementedError

    def is_full(self, count: int) -> bool:  # noqa: ARG002 - for subclasses that work in batches
        """Return whether a run that affected *count* jobs has left some: another follows."""
        return False

    def init(self) -> Continue:
        """Let the start of the service return; its first run comes next."""
        return Continue()

    def handle_continue(self, _token: object) -> None:
        """Run the service for the first time."""
        self.handle_info(RunOnce())

    def handle_info(self, message: Any) -> None:
        """Run the service when its timer says so."""
        if isinstance(message, RunOnce):
            self.send_after(self._run(), RunOnce())
        else:
            super().handle_info(message)

    def handle_call(self, request: Any) -> Any:
        """Run the service once, now. Raises StorageError in the caller."""
        if not isinstance(request, RunOnce):
            return super().handle_call(request)
        try:
            return self.run_once(self._clock())
        except StorageError as error:
            calls.reply_error(self.from_, error)
            return NOREPLY

    def _run(self) -> float:
        """Run the service once; return the seconds until its next run."""
        try:
            count = self.run_once(self._clock())
        except StorageError as error:
            if self._outage.refused(time.monotonic()):
                log.warning(self.refusal_warning, error)
            return min(self.config.interval, RETRY_INTERVAL_SECONDS)

        self._outage.over(time.monotonic())
        return 0.0 if self.is_full(count) else self.config.interval
