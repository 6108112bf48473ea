"""The worker actor: one job, one actor, one end.

It performs its job in its own thread and ends with what came of it as its exit reason. So
however it ends, the queue that watches it gets exactly one Down, and the job exactly one outcome.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from antq_actors.otp.errors import Stop
from antq_actors.otp.lean_server import LeanServer
from antq_actors.otp.messages import Continue
from antq_actors.otp.monitors import Monitor
from antq_actors.otp.reasons import Shutdown
from antq_actors.queues.execution import Finished

if TYPE_CHECKING:
    from collections.abc import Callable

    from antq_actors.jobs.outcome import Outcome
    from antq_actors.otp.ref import ServerRef


class WorkerActor(LeanServer):
    """Performs one job. An exit signal interrupts it."""

    def __init__(self, perform: Callable[[], Outcome], queue: ServerRef) -> None:
        super().__init__()
        self._perform = perform
        # From birth: an actor that ended before it was watched would have taken its outcome along.
        Monitor(self.ref.process, queue.process, quiet=True).start()

    def init(self) -> Continue:
        """Be there; performing comes next."""
        return Continue()

    def handle_continue(self, _token: object) -> NoReturn:
        """Perform the job, and end with its outcome."""
        outcome = self.interruptible(self._perform)
        raise Stop(Shutdown(Finished(outcome)))
