"""The worker actor of a job that is performed elsewhere: one job, one actor, one end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from antq_actors.executors.contract import Finished, NotReady, Stopped, Unready
from antq_actors.otp.detached import Detached
from antq_actors.otp.reasons import Shutdown

if TYPE_CHECKING:
    from antq_actors.executors.contract import Assignment, End, Executor, Running
    from antq_actors.otp.process import Watcher


class DetachedWorker(Detached):
    """Stands for one attempt that *executor* runs. An exit signal interrupts it there.

    *key* and *watcher* are told of its end.
    """

    def __init__(
        self, executor: Executor, assignment: Assignment, key: object, watcher: Watcher
    ) -> None:
        super().__init__()
        self._executor = executor
        self._assignment = assignment
        self._attempt: Running | None = None
        # From birth: an actor that ended before it was watched would have taken its outcome along.
        self._otp_process.watch(key, watcher)

    def begin(self) -> None:
        """Have the executor start the attempt."""
        try:
            attempt = self._attempt = self._executor.start(self._assignment, self._done)
        except NotReady as error:
            self.conclude(Shutdown(Finished(Unready(str(error)))))
            return
        # It may have been told so meanwhile, when there was nothing to interrupt.
        if self._otp_process.reason is not None:
            attempt.kill()
            self._attempt = None
        elif self._otp_process.is_told_to_end():
            attempt.interrupt()

    def interrupted(self) -> None:
        """Interrupt the attempt."""
        attempt = self._attempt
        if attempt is not None:
            attempt.interrupt()

    def killed(self) -> None:
        """Kill the attempt."""
        attempt, self._attempt = self._attempt, None
        if attempt is not None:
            attempt.kill()

    def _done(self, end: End) -> None:
        if isinstance(end, Stopped):
            self.conclude(self.ordered_reason())
        else:
            self.conclude(Shutdown(Finished(end)))
        # An attempt holds this method, so each job would be garbage that only the collector finds.
        self._attempt = None
