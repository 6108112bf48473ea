"""The attempts of a queue: started, stopped, abandoned, and taken out of the queue of exits.

What `QueueState` decides about attempts is carried out here, in the queue actor's thread.
"""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec.structs import replace

from antq_actors.executors import places
from antq_actors.executors.base import THREAD, NotReady, attempt_runner
from antq_actors.executors.thread import (
    FindingCell,
    RemoteWorkerCell,
    WorkerActor,
    WorkerCell,
    kind_for,
)
from antq_actors.jobs import current_app, everywhere, instant
from antq_actors.jobs.control import Control, Progress
from antq_actors.jobs.middleware import Pipeline
from antq_actors.jobs.outcome import Cancelled, Completed, Failed, NotRun, Snoozed
from antq_actors.jobs.perform import Attempt
from antq_actors.jobs.worker_registry import defined
from antq_actors.otp.kernel.cell import ServerRef, fence, local
from antq_actors.otp.kernel.child_spec import ChildSpec, Restart
from antq_actors.otp.kernel.errors import CallExit
from antq_actors.otp.kernel.reasons import Killed, Shutdown
from antq_actors.otp.kernel.stopping import is_abandoned
from antq_actors.otp.messaging import links, timers
from antq_actors.otp.messaging.deadlock import DeathWatch
from antq_actors.otp.supervision.dynamic import DynamicSupervisor
from antq_actors.otp.threads import run_queue
from antq_actors.queues.dispatch import QueueExecutors
from antq_actors.queues.exit_queue import ExitQueue
from antq_actors.queues.progress import ReportedProgress
from antq_actors.queues.verdict import RunningAttempt, StopCause

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.outcome import Outcome
    from antq_actors.jobs.state import ErrorEntry, StoredJob
    from antq_actors.otp.actors.task_actor import TaskCell
    from antq_actors.otp.kernel.cell import ActorCell
    from antq_actors.otp.kernel.reasons import ExitReason
    from antq_actors.queues.messages import QueueSettings
    from antq_actors.queues.queue_state import QueueState
    from antq_actors.storage.jobs.progress import Reported
    from antq_actors.storage.jobs.tracker import JobTracker

log: Final = logging.getLogger("antq_actors.queues")
jobs_log: Final = logging.getLogger("antq_actors.jobs")

INTERRUPTION_TIMEOUT_SECONDS: Final = 5.0
"""Seconds an interrupted attempt gets to end, before its actor is declared dead."""

COOPERATION_TIMEOUT_SECONDS: Final = 2.0
"""Seconds that an attempt gets before it is interrupted, if it checks whether it is to stop."""

_WORKER: Final = ChildSpec("worker", WorkerActor.spawn, restart=Restart.TEMPORARY)

_LOGGED_ENDS: Final = {Completed: "completed", Cancelled: "was cancelled", Snoozed: "snoozes"}


class TimedOut(NamedTuple):
    """An attempt has taken longer than it may."""

    cell: ActorCell


class InterruptNow(NamedTuple):
    """An attempt has had its time to end by itself."""

    cell: ActorCell


class Abandon(NamedTuple):
    """An interrupted attempt has had its time to end."""

    cell: ActorCell


class Workers(DynamicSupervisor):
    """Has one temporary child per running job. The queue's thread runs its turns, if it sleeps."""

    runs_inline = True

    def can_run_inline(self) -> bool:
        """Return whether the caller is an actor: no KeyboardInterrupt cuts what it starts."""
        return local.cell is not None


class RunningAttempts:
    """What one queue actor has under way; used in its thread alone."""

    def __init__(
        self,
        queue: ServerRef,
        settings: QueueSettings,
        state: QueueState,
        clock: Callable[[], Instant],
        read_errors: Callable[[int, int], tuple[ErrorEntry, ...]],
        *,
        tracker: JobTracker,
        is_awaited: Callable[[], bool] = bool,
    ) -> None:
        self._queue = queue
        self._tracker = tracker
        self._read_errors = read_errors
        self._settings = settings
        self._application = partial(current_app.of_queue, settings.application)
        self._middleware: Pipeline | None
        everywhere.follow(self)
        self._state = state
        self._clock = clock
        self.exits = ExitQueue(
            queue.cell, is_durable=settings.path is not None, is_awaited=is_awaited
        )
        self.executors = QueueExecutors(settings, clock, state.concurrency, tracker.hub.tell)
        self.reported = ReportedProgress(queue)
        self._on_report = self.reported.on_report
        self._orphans: dict[ActorCell, int] = {}
        """Actors whose threads were abandoned, and the ids of their jobs."""

    def equip(self) -> None:
        """Take the middleware that is called now around attempts."""
        current = everywhere.current(self._settings.middleware)
        self._middleware = None if current is None else current.to_perform

    # ---- started --------------------------------------------------------------------------

    def start(self, jobs: Sequence[StoredJob]) -> None:
        """Start a worker actor with an attempt for each of the claimed jobs."""
        now = time.monotonic()
        middleware, clock = self._middleware, self._clock
        by_kind: dict[str | None, list[Attempt]] = {}
        by_worker: dict[str, list[Attempt]] = {}
        for job in jobs:
            spec, errors = job.spec, job.state.errors
            control = Control(None if spec.timeout is None else now + spec.timeout)
            control.application = self._application
            control.on_report = self._on_report
            if middleware is not None:
                control.middleware = middleware
            if clock is not instant.now:
                control.clock = clock
            read = partial(self._read_errors, job.id, errors) if errors else None
            attempts = by_worker.get(spec.worker)
            if attempts is None:
                kind = self._kind_of(spec.worker)
                attempts = by_worker[spec.worker] = by_kind.setdefault(kind, [])
            attempts.append(Attempt(job, control, None, read))
        if self._tracker.hanging:
            self._hang([attempt for attempts in by_kind.values() for attempt in attempts])
        for kind, attempts in by_kind.items():
            self._start(attempts, kind)

    def _hang(self, attempts: Sequence[Attempt]) -> None:
        """Have those of the attempts hang that a test wants to."""
        for attempt in attempts:
            if attempt.job.id in self._tracker.hanging:
                self._tracker.hanging.discard(attempt.job.id)
                attempt.control.hangs = True
                attempt.control.middleware = self._middleware or Pipeline((), ())

    def _kind_of(self, worker_name: str) -> str | None:
        """Return the name of a worker's executor; None: the worker has to be found first."""
        worker = defined(worker_name)
        return None if worker is None else kind_for(worker, self._settings.executor)

    def _start(self, attempts: list[Attempt], kind: str | None) -> None:
        """Start attempts in the executor *kind*; None: their worker has to be found first."""
        clock, exits = self._clock, self.exits
        if kind == THREAD:
            self._start_cells([WorkerCell(each, clock, exits) for each in attempts])
        elif kind is None:
            of_queue = self._settings.executor
            tracker = self._tracker
            self._start_cells(
                [FindingCell(each, clock, exits, of_queue, tracker) for each in attempts]
            )
        else:
            run_queue.wake_for_waiting()
            try:
                executor = self.executors.ensure_started(kind)
            except (CallExit, NotReady) as error:
                for attempt in attempts:
                    self._not_started(attempt, error)
            else:
                self._start_cells([RemoteWorkerCell(executor, each, exits) for each in attempts])

    def _start_cells(self, cells: Sequence[WorkerCell | RemoteWorkerCell]) -> None:
        """Start worker actors, of which *cells* are all there is so far."""
        failed: Iterable[tuple[TaskCell, Exception]]
        try:
            failed = DynamicSupervisor.start_tasks(self._settings.workers, _WORKER, cells)
        except CallExit as error:  # of a supervisor: this actor will end as well
            fence()  # or was killed, too, and has nothing to say of it
            failed = [(cell, error) for cell in cells]
        errors = dict(failed)
        self._started([RunningAttempt(cell.attempt, cell) for cell in cells if cell not in errors])
        for cell in cells if errors else ():
            if cell in errors:
                self._not_started(cell.attempt, errors[cell])

    def _started(self, attempts: Sequence[RunningAttempt]) -> None:
        self._state.started(*attempts)
        for running in attempts:
            attempt = running.attempt
            timeout = attempt.job.spec.timeout
            if attempt.failed is not None:
                timeout = INTERRUPTION_TIMEOUT_SECONDS
            if timeout is not None:
                running.timer = self._later(timeout, TimedOut(running.cell))

    def _not_started(self, attempt: Attempt, error: object) -> None:
        run_queue.wake_for_waiting()
        if self._state.not_started(attempt):
            log.error("no worker actor could start for job #%d: %s", attempt.job.id, error)

    # ---- stopped --------------------------------------------------------------------------

    def on_time(self, message: TimedOut | InterruptNow | Abandon) -> None:
        """Stop, interrupt or abandon an attempt whose timer has fired, if it still runs."""
        running = self._state.running.get(message.cell)
        if running is None:
            return
        match message:
            case TimedOut():
                # It may have waited for a process, say, before its time began.
                left = running.attempt.control.overdue_in()
                if left > 0:
                    running.timer = self._later(left, message)
                else:
                    self.stop(running, StopCause.TIMEOUT)
            case InterruptNow():
                self._interrupt(running)
            case Abandon():
                self._abandon(running)
                self.count_orphans()

    def stop_all(self) -> None:
        """Request all attempts of the queue to stop, as the queue ends."""
        for running in list(self._state.running.values()):
            self.stop(running, StopCause.STOP)

    def stop(self, running: RunningAttempt, cause: StopCause) -> None:
        """Request that an attempt stops, and interrupt it; abandon it if it does not end in time.

        An attempt that checks for such requests is interrupted a little later.
        """
        if not self._state.note_stop(running, cause):
            return
        control = running.attempt.control
        if cause is StopCause.TIMEOUT:
            _note_place(running)
        control.is_cancelled = cause is StopCause.CANCEL
        control.request_stop()
        if control.watched:
            self._later(COOPERATION_TIMEOUT_SECONDS, InterruptNow(running.cell))
        else:
            self._interrupt(running)

    def _interrupt(self, running: RunningAttempt) -> None:
        links.exit(running.cell.ref, Shutdown(running.stop_cause))
        self._later(INTERRUPTION_TIMEOUT_SECONDS, Abandon(running.cell))

    def _abandon(self, running: RunningAttempt) -> None:
        """Kill the worker actor of an attempt that did not end when it was interrupted."""
        log.warning(
            "job #%d of queue %r was interrupted and does not end; it is abandoned, and its thread"
            " is listed by otp.orphans()",
            running.attempt.job.id,
            self._settings.name,
        )
        links.exit(running.cell.ref, Killed())
        if is_abandoned(running.cell):
            self._orphans[running.cell] = running.attempt.job.id

    # ---- what is known of them ------------------------------------------------------------

    def progress(self) -> dict[int, Progress]:
        """Return what running jobs have reported, by their ids."""
        return {
            running.attempt.job.id: progress
            for running in self._state.running.values()
            if (progress := running.attempt.control.progress) is not None
        }

    def stack_of(self, id_: int) -> str | None:
        """Return where the thread of a running job is, as text; None: it has none in this process.

        A coroutine, or another process, would have to be asked, which is done when time is over.
        """
        for running in list(self._state.running.values()):
            if running.attempt.job.id == id_ and running.attempt.control.on_locate is None:
                try:
                    return places.of_worker_actor(running.cell)
                except Exception:
                    # It reads what the attempt's own thread is changing.
                    log.debug("no place of job #%d is known", id_, exc_info=True)
        return None

    def take_reported(self) -> list[Reported]:
        """Return what is to be stored of the progress of jobs, and what is to be deleted."""
        return self.reported.take_changes(list(self._state.running.values()))

    def orphans(self) -> tuple[int, ...]:
        """Return the ids of the jobs whose threads were abandoned and still run."""
        self._orphans = {cell: id_ for cell, id_ in self._orphans.items() if is_abandoned(cell)}
        return tuple(sorted(self._orphans.values()))

    def count_orphans(self) -> None:
        """Count the abandoned threads of jobs: while too many run, nothing is claimed."""
        number = len(self.orphans())
        if self._state.orphans_counted(number):
            log.error(
                "queue %r claims nothing more: %d threads of its jobs were abandoned and still run"
                " (max_abandoned=%d); it goes on when some have ended. Jobs that cannot be"
                " interrupted belong in executor='process'",
                self._settings.name,
                number,
                self._settings.max_abandoned,
            )

    # ---- ended ----------------------------------------------------------------------------

    def take_exits(self) -> None:
        """Settle the attempts whose worker actors exited, or start what is left to do for them."""
        exits = self.exits.take()
        while exits:
            if not jobs_log.isEnabledFor(logging.INFO):
                self._state.take_completed(exits)
            if exits:
                run_queue.wake_for_waiting()
                self._ended(*exits[0])
                exits.popleft()

    def _ended(self, cell: ActorCell, reason: ExitReason) -> None:
        """Settle the attempt of an exited worker actor, or start what is left to do for it."""
        killed_with_parent = type(reason) is Killed and cell.killed_with_parent
        exited = self._state.exited(cell, reason, killed_with_parent=killed_with_parent)
        if exited is None:
            return
        running, end = exited
        if running.timer is not None:
            timers.cancel_timer(running.timer)
        if running.stop_cause is StopCause.TIMEOUT:
            self._tell_timed_out(running, end)
        if isinstance(end, NotRun):
            if end.executor is None:
                self._not_started(running.attempt, end.reason)
            else:
                self._start([running.attempt], end.executor)
        elif isinstance(end, Failed):
            if end.retry_in is None:
                self._ask_for_delay(running.attempt, end)
        elif jobs_log.isEnabledFor(logging.INFO):
            log_end(running.attempt.job, end, self._clock())

    def _tell_timed_out(self, running: RunningAttempt, end: Outcome | NotRun) -> None:
        attempt = running.attempt
        if attempt.failed is None and isinstance(end, Failed):  # else it was to say the delay
            abandoned = is_abandoned(running.cell)
            self._tracker.timed_out(attempt.job, abandoned=abandoned)

    def _ask_for_delay(self, attempt: Attempt, failed: Failed) -> None:
        """Start a worker actor that asks for the retry delay of an attempt ended from outside."""
        job = attempt.job
        if self._middleware is not None:
            error = failed.error, failed.error_type
            self._middleware.tell_failure(job, *error, attempt.exception)
        control = Control(checkpoint=attempt.control.checkpoint)
        attempt = replace(attempt, control=control, failed=failed)
        if job.state.attempts < job.state.max_attempts:
            self._start([attempt], self._kind_of(job.spec.worker))
        else:  # then none of the user's code is asked
            end = attempt_runner(attempt, clock=self._clock).run()
            self._state.settled(job, end, control.checkpoint)

    def end_all(self, timeout: float) -> None:
        """Wait for the stopped attempts, abandon those that do not end, start nothing more."""
        watches = [(each, DeathWatch(each.cell.ref)) for each in self._state.running.values()]
        deadline = time.monotonic() + timeout
        for running, watch in watches:
            if watch.wait(max(0.0, deadline - time.monotonic())) is None:
                self._abandon(running)
            # Not what a watch returns: of an actor that ended before, the Down is in the mailbox.
            cell = running.cell
            reason = cell.reason or Killed()
            is_killed_with_parent = cell.killed_with_parent and isinstance(reason, Killed)
            exited = self._state.exited(
                cell, reason, killed_with_parent=is_killed_with_parent, is_last=True
            )
            if exited is not None and running.stop_cause is StopCause.TIMEOUT:
                self._tell_timed_out(*exited)

    def _later(self, seconds: float, message: object) -> timers.Timer:
        return timers.send_after(self._queue, message, seconds)


def _note_place(running: RunningAttempt) -> None:
    """Store an attempt's stack in its control, or have its executor do that; wait for nothing."""
    control = running.attempt.control
    try:
        if control.on_locate is not None:
            control.on_locate()
        else:
            control.place = places.of_worker_actor(running.cell)
    except Exception:
        # It reads what other threads are changing. Whatever comes of that, time is over.
        log.debug("no place of job #%d is known", running.attempt.job.id, exc_info=True)


def log_end(job: StoredJob, outcome: Outcome, now: Instant) -> None:
    """Log at INFO how a job's execution ended, unless it failed or was cut short; never raise.

    What failed is logged where it is performed, at WARNING or above, and not once more here.
    """
    verb = _LOGGED_ENDS.get(type(outcome))
    if verb is None:
        return
    state, worker = job.state, job.spec.worker
    # Its last change so far is its claim, and the clock may have been set back since.
    seconds = max(0, now - state.updated_at) / instant.SECOND
    fields = {
        "job_id": job.id,
        "worker": worker,
        "queue": state.queue_name,
        "attempt": state.attempts,
    }
    text = "%s (job #%d) %s on attempt %d/%d, after %.3f s"
    values = (worker, job.id, verb, state.attempts, state.max_attempts, seconds)
    with suppress(BaseException):  # a handler that raises must not end the queue
        jobs_log.info(text, *values, extra=fields)
