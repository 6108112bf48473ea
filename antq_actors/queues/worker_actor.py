"""The worker actor: one job, one actor, one end.

It performs its job in its own thread and ends with what came of it as its exit reason. So
however it ends, its queue hears of exactly one end, and the job has exactly one outcome.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from antq_actors.otp.lean_server import OneShot
from antq_actors.otp.reasons import ExitReason, Shutdown
from antq_actors.queues.execution import Finished

if TYPE_CHECKING:
    from collections.abc import Callable

    from antq_actors.jobs.outcome import Outcome
    from antq_actors.queues.ends import Ends


class WorkerActor(OneShot):
    """Performs one job. An exit signal interrupts it."""

    def __init__(self, perform: Callable[[], Outcome], ends: Ends) -> None:
        super().__init__()
        self._perform = perform
        # From birth: an actor that ended before it was watched would have taken its outcome along.
        self._otp_process.watch(ends, ends.tell)

    def run(self) -> ExitReason:
        """Perform the job, and end with its outcome."""
        process = self._otp_process
        outcome = process.interruptible.run(process.is_told_to_end, self._perform)
        return Shutdown(Finished(outcome))
