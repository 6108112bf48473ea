"""The worker actor of a job that is performed elsewhere: one job, one actor, one end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from antq_actors.executors.base import Finished, NotReady, Stopped, Unready
from antq_actors.otp.actors.remote_actor import Detached
from antq_actors.otp.kernel.reasons import Killed, Shutdown

if TYPE_CHECKING:
    from antq_actors.executors.base import Assignment, End, Executor, Running
    from antq_actors.otp.kernel.cell import Watcher
    from antq_actors.otp.kernel.reasons import ExitReason
    from antq_actors.otp.kernel.ref import ServerRef


class DetachedWorker(Detached):
    """Stands for one attempt that *executor* runs. An exit signal interrupts it there.

    *key* and *watcher* are told of its end. A killed one has ended at once, but is told of only
    when its attempt has ended, too, where that can be had: the next attempt must not meet it.
    """

    end_is_reported_elsewhere = True

    def __init__(
        self, executor: Executor, assignment: Assignment, key: object, watcher: Watcher
    ) -> None:
        super().__init__()
        self._executor = executor
        self._assignment = assignment
        self._attempt: Running | None = None
        self._watcher = watcher
        self._is_over = False
        self._untold: tuple[ServerRef, ExitReason] | None = None
        # From birth: an actor that ended before it was watched would have taken its outcome along.
        self._otp_process.watch(key, self._on_end)

    def begin(self) -> None:
        """Have the executor start the attempt."""
        try:
            attempt = self._attempt = self._executor.start(self._assignment, self._done)
        except NotReady as error:
            self.conclude(Shutdown(Finished(Unready(str(error)))))
            return
        # It may have been told so meanwhile, when there was nothing to interrupt.
        if self._otp_process.reason is not None:
            self.killed()
        elif self._otp_process.stop_requested():
            attempt.interrupt()

    def interrupted(self) -> None:
        """Interrupt the attempt."""
        attempt = self._attempt
        if attempt is not None:
            attempt.interrupt()

    def killed(self) -> None:
        """Kill the attempt."""
        attempt, self._attempt = self._attempt, None
        if attempt is not None and not attempt.kill():
            self._tell()

    def conclude(self, reason: ExitReason) -> bool:
        """End, in whatever thread; False if it had ended before."""
        self._is_over = True
        is_first = super().conclude(reason)
        if not is_first:
            self._tell()
        return is_first

    def _on_end(self, ref: ServerRef, reason: ExitReason) -> None:
        self._untold = ref, reason
        # Looked at afterwards, as it is set before `conclude` looks for what is untold.
        if self._is_over or not isinstance(reason, Killed):
            self._tell()

    def _tell(self) -> None:
        untold, self._untold = self._untold, None
        if untold is not None:
            self._watcher(*untold)

    def _done(self, end: End) -> None:
        if isinstance(end, Stopped):
            self.conclude(self.ordered_reason())
        else:
            self.conclude(Shutdown(Finished(end)))
        # An attempt holds this method, so each job would be garbage that only the collector finds.
        self._attempt = None
