"""Goes on with changes that were too large for one transaction: of many jobs, or large cascades.

The transaction that begins one stores the rest as a task in the store. Each node has such a
service, and none is special: a task goes on wherever one is awake, so none is lost by a crash.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from antq_actors.errors import StorageError
from antq_actors.jobs import instant
from antq_actors.otp.actors.gen_server import GenServer
from antq_actors.otp.kernel.messages import Continue
from antq_actors.otp.messaging.timers import cancel_timer
from antq_actors.queues.messages import Wake
from antq_actors.queues.outage import Outage
from antq_actors.storage.jobs.graph import GraphVerbs
from antq_actors.storage.jobs.reader import JobReader

if TYPE_CHECKING:
    from collections.abc import Callable

    from antq_actors.jobs.instant import Instant
    from antq_actors.otp.messaging.timers import Timer
    from antq_actors.storage.client import StorageClient

log: Final = logging.getLogger("antq_actors.queues")

LOOK_SECONDS: Final = 1.0
"""Between two looks for the tasks of other processes. A look reads one table's size."""

RETRY_SECONDS: Final = 5.0
"""Between two tries while the store refuses."""


class _Look(NamedTuple):
    """It is time for the next turn."""


class FlowService(GenServer):
    """Does the tasks of a store, turn by turn; a turn is a short write transaction.

    It is woken by the storage actor when a transaction of this process has left a task.
    """

    def __init__(self, store: StorageClient, clock: Callable[[], Instant] = instant.now) -> None:
        super().__init__()
        self._store = store
        self._clock = clock
        self._outage = Outage()
        self._timer: Timer | None = None

    def init(self) -> Continue:
        """Let the start of the service return; its first turn comes next."""
        return Continue()

    def handle_continue(self, _token: object) -> None:
        """Do the first turn."""
        self._turn()

    def handle_info(self, message: Any) -> None:
        """Do a turn when the timer says so."""
        if isinstance(message, _Look):
            self._turn()
        else:
            super().handle_info(message)

    def handle_cast(self, request: Any) -> None:
        """Do a turn now: a transaction has left a task."""
        if isinstance(request, Wake):
            self._turn()
        else:
            super().handle_cast(request)

    def run_once(self) -> bool:
        """Do a turn of the first task in the store; return whether there was one."""
        return self._store.read(JobReader.has_task) and self._store.write(
            GraphVerbs.do_task, now=self._clock()
        )

    def _turn(self) -> None:
        """Do a turn and set the timer for the next one."""
        if self._timer is not None:
            cancel_timer(self._timer)
        try:
            seconds = 0.0 if self.run_once() else LOOK_SECONDS
        except StorageError as error:
            if self._outage.refused(time.monotonic()):
                log.warning("no large change goes on, until the store can be used: %s", error)
            seconds = RETRY_SECONDS
        else:
            self._outage.over(time.monotonic())
        self._timer = self.send_after(seconds, _Look())
