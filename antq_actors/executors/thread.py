"""The worker actors: one job, one actor, one end. Its exit reason carries how the attempt ended.

In the executor ``thread`` the actor performs its job in its own thread. Python cannot end a thread:
an exit signal raises Interrupt inside it, at its next bytecode; a kill declares the actor dead,
ignores what its thread still sends, and lists it in `otp.orphans()`. For all other executors the
actor has no thread, and represents an attempt that is performed elsewhere. `kind_for` chooses.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from antq_actors.errors import WorkerNotFound
from antq_actors.executors.base import ASYNC, THREAD, NotReady, run_coroutine
from antq_actors.jobs import resolver, worker_registry
from antq_actors.jobs.attempt_error import describe, summary
from antq_actors.jobs.outcome import COMPLETED, COMPLETED_WITH_NONE, GivenBack, NotRun
from antq_actors.jobs.perform import AttemptRunner
from antq_actors.otp.actors.task_actor import RemoteCell, TaskActor, TaskCell, ordered_reason
from antq_actors.otp.kernel.errors import Interrupt
from antq_actors.otp.kernel.reasons import ExitReason, Killed, Shutdown
from antq_actors.otp.kernel.stopping import Interruptible
from antq_actors.storage.format.encoding import load_job
from antq_actors.storage.format.values import encode_value

if TYPE_CHECKING:
    from collections.abc import Callable

    from antq_actors.executors.base import AttemptHandle, Executor
    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.outcome import Outcome
    from antq_actors.jobs.perform import Attempt
    from antq_actors.jobs.resolver import AnyWorker
    from antq_actors.otp.actors.task_actor import Exits
    from antq_actors.otp.kernel.cell import ServerRef
    from antq_actors.storage.jobs.tracker import JobTracker

_INTERRUPT: Final = (Interrupt,)

_COMPLETED: Final = Shutdown(COMPLETED)
_COMPLETED_WITH_NONE: Final = Shutdown(COMPLETED_WITH_NONE)
"""The exit reason of nearly all worker actors."""


def kind_for(worker: AnyWorker, of_queue: str | None) -> str:
    """Return the name of a worker's executor: its own option; else its queue's; else what suits.

    A queue's ``async`` is for its coroutines: a plain function would stop all others on the event
    loop, so it has a thread.
    """
    own = worker.antq_options.executor
    if own is not None:
        return own
    if of_queue is None or of_queue == ASYNC:
        return ASYNC if worker.antq_is_async else THREAD
    return of_queue


class WorkerActor(TaskActor):
    """Performs one job. An exit signal interrupts it. Nearly all are a `WorkerCell` and no more."""

    end_is_reported_elsewhere = True


class FindingWorker(WorkerActor):
    """Performs a job whose worker has to be found first."""


class RemoteWorker(WorkerActor):
    """Represents one attempt that an executor runs, and performs nothing itself."""


class WorkerCell(TaskCell):
    """The cell of a worker actor whose worker is known; *exits* collects its end.

    The end's reason has the job's outcome.
    """

    actor_class = WorkerActor

    def __init__(self, attempt: Attempt, clock: Callable[[], Instant], exits: Exits) -> None:
        self.interruptible = Interruptible()
        self.exits = exits
        self.attempt = attempt
        self._clock = clock

    def run(self) -> ExitReason:
        """Perform the job in this actor's thread, and end with its outcome."""
        # As `attempt_runner` makes it, without a call: each job in a thread comes by here.
        runner = AttemptRunner(
            *(self.attempt, load_job, run_coroutine, self._clock, _INTERRUPT, self.has_ended),
            encode_value,
        )
        end = self.interruptible.run(self.stop_requested, runner.run)
        if end is COMPLETED:
            return _COMPLETED
        return _COMPLETED_WITH_NONE if end is COMPLETED_WITH_NONE else Shutdown(end)


class FindingCell(WorkerCell):
    """The cell of a worker actor whose worker is not known yet: it may be for another executor.

    Finding it may import it, which takes its time. A job whose worker ``__main__`` may still define
    is put off, and nothing is counted. *of_queue*: the executor of its queue.
    """

    actor_class = FindingWorker

    def __init__(
        self,
        attempt: Attempt,
        clock: Callable[[], Instant],
        exits: Exits,
        of_queue: str | None,
        tracker: JobTracker,
    ) -> None:
        super().__init__(attempt, clock, exits)
        self._of_queue = of_queue
        self._tracker = tracker

    def run(self) -> ExitReason:
        """Find the worker, which may import it; perform the job if its executor is ``thread``."""
        end = self.interruptible.run(self.stop_requested, self._find)
        return Shutdown(end) if end is not None else super().run()

    def _find(self) -> Outcome | NotRun | None:
        """Import the job's worker; return why this thread does not perform it, or None."""
        job = self.attempt.job
        name = job.spec.worker
        # Before it is looked for: what is defined in the meantime is found.
        may_come = self.attempt.failed is None and worker_registry.may_define(name)
        try:
            worker = resolver.resolve(name, job_id=job.id, propagate=_INTERRUPT)
            kind = kind_for(worker, self._of_queue)
        except Interrupt:
            raise
        except Exception as error:  # noqa: BLE001 - the attempt meets it again, and fails with it
            self.end_if_forked(error)
            if may_come and isinstance(error, WorkerNotFound):
                return GivenBack(worker_registry.wait_seconds(name, job.id, time.monotonic()))
            kind = THREAD
            self._tracker.refused(job.id, job.state.execution, _reason(error))
        self.end_if_forked()
        self._tracker.found(job.id, job.state.execution, kind)
        return None if kind == THREAD else NotRun("its worker wants another executor", kind)


def _reason(error: Exception) -> str:
    return summary(describe(error, propagate=_INTERRUPT), type(error).__name__)


class RemoteWorkerCell(RemoteCell):
    """The cell of a worker actor whose attempt *executor* runs. An exit signal interrupts it there.

    *exits* collects its end, whose reason has the job's outcome. A killed actor has ended at once,
    but that is reported only when its attempt has ended, too, where possible: the next attempt must
    not meet it.
    """

    actor_class = RemoteWorker
    _handle: AttemptHandle | None = None
    _killed: ExitReason | None = None
    """The actor's end, which is still to be reported."""

    def __init__(self, executor: Executor, attempt: Attempt, exits: Exits) -> None:
        self.exits = exits
        self.attempt = attempt
        self._executor = executor

    def on_start(self) -> None:
        """Have the executor start the attempt, unless it is not ready."""
        try:
            handle = self._handle = self._executor.start(self.attempt, self._done)
        except NotReady as error:
            self.finish(Shutdown(NotRun(str(error))))
            return
        # It may have been requested when there was nothing to interrupt yet.
        if self.reason is not None:
            self.on_kill()
        elif self.stop_requested():
            handle.interrupt()

    def on_interrupt(self) -> None:
        """Have the executor interrupt the attempt."""
        handle = self._handle
        if handle is not None:
            handle.interrupt()

    def on_kill(self) -> None:
        """Have the executor kill the attempt."""
        handle, self._handle = self._handle, None
        if handle is not None and not handle.kill():
            self._report()

    def finish(self, reason: ExitReason) -> bool:
        """End the worker actor of an attempt, in any thread; False if it had ended before."""
        try:
            is_first = super().finish(reason)
            self._report()  # it may have been killed before
        except BaseException:  # the queue must hear of the end all the same, and rather twice
            self._report()
            raise
        return is_first

    def _on_end(self, _ref: ServerRef, reason: ExitReason) -> None:
        self._killed = reason
        # Read afterwards, as it is set before `finish` looks for an end to report.
        if self._is_over or not isinstance(reason, Killed):
            self._report()

    def _report(self) -> None:
        reason = self._killed
        if reason is not None:
            self.exits.add(self, reason)
            self._killed = None

    def _done(self, end: Outcome | NotRun | None) -> None:
        self.finish(ordered_reason(self.mailbox) if end is None else Shutdown(end))
        # A handle holds this method, so each job would be garbage that only the collector finds.
        self._handle = None
