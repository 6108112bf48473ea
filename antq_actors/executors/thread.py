"""The executor ``thread``: the worker actor performs its job in its own thread.

Python cannot end a thread. An exit signal raises Interrupt inside it, at its next bytecode; a
kill declares the actor dead, fences what its thread still says, and lists it in `otp.orphans()`.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from antq_actors.errors import WorkerNotFound
from antq_actors.executors import attempt
from antq_actors.executors.base import Elsewhere, Finished
from antq_actors.executors.choice import THREAD, kind_for
from antq_actors.jobs import main_module, worker_registry
from antq_actors.jobs.outcome import GivenBack
from antq_actors.otp.actors.task_actor import OneShot
from antq_actors.otp.kernel.errors import Interrupt
from antq_actors.otp.kernel.reasons import ExitReason, Shutdown

if TYPE_CHECKING:
    from collections.abc import Callable

    from antq_actors.executors.base import Assignment
    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.outcome import Outcome
    from antq_actors.otp.kernel.cell import Watcher

_INTERRUPT: Final = (Interrupt,)


class WorkerActor(OneShot):
    """Performs one job. An exit signal interrupts it.

    *key* and *watcher* are told of its end, whose reason has the job's outcome.
    """

    end_is_reported_elsewhere = True

    def __init__(
        self, assignment: Assignment, clock: Callable[[], Instant], key: object, watcher: Watcher
    ) -> None:
        super().__init__()
        self._assignment = assignment
        self._clock = clock
        # From birth: an actor that ended before it was watched would have taken its outcome along.
        self._otp_process.watch(key, watcher)

    def run(self) -> ExitReason:
        """Perform the job, and end with its outcome."""
        process = self._otp_process
        end = process.interruptible.run(process.stop_requested, self._perform)
        return Shutdown(Finished(end))

    def _perform(self) -> Outcome | Elsewhere:
        return attempt.perform(self._assignment, self._clock, _INTERRUPT, self._has_ended)

    def _has_ended(self) -> bool:
        return self._otp_process.reason is not None


class FindingWorker(WorkerActor):
    """Performs a job whose worker nobody has seen yet: it may be for another executor.

    Finding it may import it, which takes what time it takes. A job whose worker ``__main__`` may
    still define is put off, and nothing is counted. *of_queue*: what its queue says.
    """

    def __init__(
        self,
        assignment: Assignment,
        clock: Callable[[], Instant],
        of_queue: str | None,
        key: object,
        watcher: Watcher,
    ) -> None:
        super().__init__(assignment, clock, key, watcher)
        self._of_queue = of_queue

    def _perform(self) -> Outcome | Elsewhere:
        job = self._assignment.job
        name = job.spec.worker
        # Before it is looked for: what is defined in the meantime is found.
        may_come = self._assignment.failure is None and main_module.may_define(name)
        try:
            worker = worker_registry.resolve(name, job_id=job.id, propagate=_INTERRUPT)
            kind = kind_for(worker, self._of_queue)
        except Interrupt:
            raise
        except Exception as error:  # noqa: BLE001 - the attempt meets it again, and fails with it
            self._otp_process.end_if_forked(error)
            if may_come and isinstance(error, WorkerNotFound):
                return GivenBack(main_module.wait_seconds(name, job.id, time.monotonic()))
            kind = THREAD
        self._otp_process.end_if_forked()
        return super()._perform() if kind == THREAD else Elsewhere(kind)
