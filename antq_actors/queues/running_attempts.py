"""The jobs that a queue has under way: begun, told to end, given up, and what came of each."""

from __future__ import annotations

import logging
import time
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from antq_actors.executors import places
from antq_actors.executors.base import NotReady, attempt_runner
from antq_actors.jobs.control import Control, Progress
from antq_actors.jobs.outcome import Failed, GivenBack, Interrupted, NotRun
from antq_actors.jobs.perform import Attempt
from antq_actors.otp.kernel.abandoned import is_abandoned
from antq_actors.otp.kernel.reasons import ExitReason, Killed, Shutdown
from antq_actors.otp.kernel.ref import ServerRef
from antq_actors.otp.messaging import links, timers
from antq_actors.queues import end_log
from antq_actors.queues.dispatch import Dispatch
from antq_actors.queues.execution import (
    RunningAttempt,
    StopCause,
    has_attempts_left,
    settlement,
    verdict,
)
from antq_actors.queues.exit_queue import ExitQueue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.outcome import Outcome
    from antq_actors.jobs.state import ErrorEntry, StoredJob
    from antq_actors.queues.messages import QueueSettings
    from antq_actors.queues.queue_state import QueueState
    from antq_actors.storage.format.records import Cancellation

log: Final = logging.getLogger("antq_actors.queues")

INTERRUPTION_TIMEOUT_SECONDS: Final = 5.0
"""Seconds an interrupted attempt gets to end, before its actor is declared dead."""

BACK_OFF_SECONDS: Final = 1.0
"""Most seconds in which nothing is claimed because nothing could start."""

COOPERATION_TIMEOUT_SECONDS: Final = 2.0
"""Seconds that an attempt which looks whether it shall end gets before it is interrupted."""


class TimedOut(NamedTuple):
    """An attempt has taken longer than it may."""

    ref: ServerRef


class InterruptNow(NamedTuple):
    """An attempt has had its time to end by itself."""

    ref: ServerRef


class GiveUp(NamedTuple):
    """An interrupted attempt has had its time to end."""

    ref: ServerRef


class CheckStore(NamedTuple):
    """It is time to look at the store again, whatever happened or not."""


class RunningAttempts:
    """What one queue actor has under way; used in its thread alone."""

    def __init__(
        self,
        queue: ServerRef,
        settings: QueueSettings,
        state: QueueState,
        clock: Callable[[], Instant],
        read_errors: Callable[[int, int], tuple[ErrorEntry, ...]],
    ) -> None:
        self._queue = queue
        self._read_errors = read_errors
        self._settings = settings
        self._state = state
        self._clock = clock
        self.exits = ExitQueue(queue.cell)
        self.dispatch = Dispatch(settings, self.exits, clock, state.concurrency)
        self._abandoned: dict[ServerRef, int] = {}
        """Threads that were given up: of which actors, and the ids of their jobs."""
        self._warned_of_orphans = False
        self._logs_ends = False

    def warm_up(self) -> None:
        """Start the executor that the queue names; without it, its jobs wait, and others run."""
        try:
            self.dispatch.warm_up()
        except NotReady as error:
            log.error("queue %r: %s", self._settings.name, error)  # noqa: TRY400 - nothing crashed

    def progress(self) -> dict[int, Progress]:
        """Answer what running jobs have reported, by their ids."""
        return {
            execution.job.id: progress
            for execution in self._state.running.values()
            if (progress := execution.attempt.control.progress) is not None
        }

    # ---- begun ----------------------------------------------------------------------------

    def begin(self, jobs: Sequence[StoredJob]) -> None:
        """Have claimed jobs performed, as far as there are slots; give back the others."""
        # Since it was asked, the queue may have begun to drain, or got fewer slots.
        slots = 0 if self._state.draining else self._state.free
        self._state.settled += [settlement(job, GivenBack()) for job in jobs[slots:]]
        if slots:
            self._start([self._attempt(job) for job in jobs[:slots]])

    def _attempt(self, job: StoredJob) -> Attempt:
        timeout, count = job.spec.timeout, job.state.errors
        control = Control(None if timeout is None else time.monotonic() + timeout)
        read = partial(self._read_errors, job.id, count) if count else None
        return Attempt(job, control, read_errors=read)

    def _start(self, attempts: list[Attempt], kind: str | None = None) -> None:
        answers = self.dispatch.start(attempts, kind)
        for attempt, answer in zip(attempts, answers, strict=True):
            if isinstance(answer, ServerRef):
                self._watch(RunningAttempt(attempt, answer))
            else:
                self._not_started(attempt, answer)

    def _watch(self, execution: RunningAttempt) -> None:
        self._state.running[execution.ref] = execution
        timeout = execution.job.spec.timeout
        if execution.attempt.failed is not None:
            timeout = INTERRUPTION_TIMEOUT_SECONDS
        if timeout is not None:
            execution.timer = self._later(timeout, TimedOut(execution.ref))

    def _not_started(self, attempt: Attempt, error: object) -> None:
        job = attempt.job
        if not self._state.backing_off:  # else that was said of another one
            log.error("no worker actor could start for job #%d: %s", job.id, error)
        # A failure without a delay waits for the default.
        self._state.settled.append(settlement(job, attempt.failed or GivenBack()))
        self.back_off()

    def back_off(self) -> None:
        """Claim nothing until the next look, which comes soon."""
        self._state.backing_off = True

    # ---- told to end ----------------------------------------------------------------------

    def on_time(self, message: TimedOut | InterruptNow | GiveUp) -> None:
        """Do what a timer was for, if the attempt still runs."""
        execution = self._state.running.get(message.ref)
        if execution is None:
            return
        match message:
            case TimedOut():
                self._time_is_over(execution)
            case InterruptNow():
                self._interrupt(execution)
            case GiveUp():
                self.give_up(execution)

    def _time_is_over(self, execution: RunningAttempt) -> None:
        # It may have waited for a process, say, before its time began.
        left = execution.attempt.control.overdue_in()
        if left > 0:
            execution.timer = self._later(left, TimedOut(execution.ref))
        else:
            self.end(execution, StopCause.TIMEOUT)

    def cancel(self, cancellations: Iterable[Cancellation]) -> None:
        """Tell the attempts of cancelled jobs to end."""
        wanted = set(cancellations)
        if not wanted:
            return
        for execution in list(self._state.running.values()):
            if (execution.job.id, execution.job.state.execution) in wanted:
                self.end(execution, StopCause.CANCEL)

    def end_all(self) -> None:
        """Tell all to end: the queue stops."""
        for execution in list(self._state.running.values()):
            self.end(execution, StopCause.STOP)

    def end(self, execution: RunningAttempt, why: StopCause) -> None:
        """Tell an attempt to end; interrupt it, and give it up if that does not end it in time.

        One that looks by itself is interrupted a little later.
        """
        if execution.stop_cause is not None:
            return
        execution.stop_cause = why
        control = execution.attempt.control
        if why is StopCause.TIMEOUT:
            _note_place(execution)
        control.request_stop()
        if control.watched:
            self._later(COOPERATION_TIMEOUT_SECONDS, InterruptNow(execution.ref))
        else:
            self._interrupt(execution)

    def _interrupt(self, execution: RunningAttempt) -> None:
        links.exit(execution.ref, Shutdown(execution.stop_cause))
        self._later(INTERRUPTION_TIMEOUT_SECONDS, GiveUp(execution.ref))

    def give_up(self, execution: RunningAttempt) -> None:
        """Declare a worker actor dead whose attempt did not end when it was interrupted."""
        log.warning(
            "job #%d of queue %r was interrupted and does not end; it is given up, and its thread"
            " listed in otp.orphans()",
            execution.job.id,
            self._settings.name,
        )
        links.exit(execution.ref, Killed())
        if is_abandoned(execution.ref.cell):
            self._abandoned[execution.ref] = execution.job.id

    # ---- threads that do not end ------------------------------------------------------------

    def abandoned(self) -> tuple[int, ...]:
        """Answer the ids of the jobs whose threads were given up and still run."""
        self._abandoned = {
            ref: id_ for ref, id_ in self._abandoned.items() if is_abandoned(ref.cell)
        }
        return tuple(sorted(self._abandoned.values()))

    def has_room(self) -> bool:
        """Say whether there are few enough of them to claim more jobs."""
        if len(self._abandoned) < self._settings.max_abandoned:
            return True
        number = len(self.abandoned())
        is_full = number >= self._settings.max_abandoned
        if is_full and not self._warned_of_orphans:
            log.error(
                "queue %r claims nothing more: %d threads of its jobs were given up and still run"
                " (max_abandoned=%d); it goes on when some have ended. Jobs that cannot be"
                " interrupted belong in executor='process'",
                self._settings.name,
                number,
                self._settings.max_abandoned,
            )
        self._warned_of_orphans = is_full
        return not is_full

    # ---- ended ----------------------------------------------------------------------------

    def collect_exits(self) -> None:
        """Note what the attempts came to that have ended meanwhile."""
        self._logs_ends = end_log.is_wanted()
        for ref, reason in self.exits.drain():
            execution = self._state.running.pop(ref, None)
            if execution is not None:  # else it never started; its job was given back then
                self._ended(execution, reason)

    def _ended(self, execution: RunningAttempt, reason: ExitReason) -> None:
        if execution.timer is not None:
            timers.cancel_timer(execution.timer)
        end = self._verdict(execution, reason)
        if isinstance(end, NotRun):
            if end.executor is None:
                self._not_started(execution.attempt, end.reason)
            else:
                self._start([execution.attempt], end.executor)
        elif isinstance(end, Failed) and end.retry_in is None:
            self._report(execution, end)
        else:
            if self._logs_ends:
                end_log.ended(execution.job, end, self._clock())
            self._state.settled.append(settlement(execution.job, end))

    def outcome(self, execution: RunningAttempt) -> Outcome:
        """Answer what came of an attempt that has ended, when nothing more may be run."""
        # Not what a watch says: of one that had ended before, the Down is in the mailbox.
        end = self._verdict(execution, execution.ref.cell.reason or Killed())
        return GivenBack() if isinstance(end, NotRun) else end

    def _verdict(self, execution: RunningAttempt, reason: ExitReason) -> Outcome | NotRun:
        if execution.ref.cell.killed_with_parent and isinstance(reason, Killed):
            # Killed with all the others, because their supervisor was.
            return self._interrupted("its queue's workers were killed")
        end = verdict(execution, reason)
        return self._interrupted(end.reason) if isinstance(end, Interrupted) else end

    def _interrupted(self, reason: str) -> Interrupted:
        return Interrupted(reason, self._settings.max_interruptions)

    def _report(self, execution: RunningAttempt, end: Failed) -> None:
        """Have the worker asked for the delay of an attempt that was ended from outside."""
        job = execution.job
        attempt = execution.attempt._replace(control=Control(), failed=end)
        if has_attempts_left(job):
            self._start([attempt])
        else:  # then none of the user's code has a say
            outcome = attempt_runner(attempt, clock=self._clock).run()
            self._state.settled.append(settlement(job, outcome))

    def _later(self, seconds: float, message: object) -> timers.Timer:
        return timers.send_after(self._queue, message, seconds)


def _note_place(execution: RunningAttempt) -> None:
    """Have noted where the attempt is, or ask for that where it runs: it waits for nothing."""
    control = execution.attempt.control
    try:
        if control.on_locate is not None:
            control.on_locate()
        else:
            control.place = places.of_worker_actor(execution.ref)
    except Exception:
        # It reads what other threads are changing. Whatever comes of that, time is over.
        log.debug("no place of job #%d is known", execution.job.id, exc_info=True)
