"""Stored jobs are performed in the caller's thread: claimed, performed and settled as ever.

Only what calls is another: no queue, no worker actor, and no thread but the caller's. A timeout
interrupts that thread as it does one of a queue; what does not end by that cannot be abandoned.
"""

from __future__ import annotations

import asyncio
import threading
import time
from contextvars import copy_context
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from antq_actors.app import AntQ
from antq_actors.checks import short_repr, whole
from antq_actors.errors import AntqError, JobFailed, JobNotFound, NotStarted
from antq_actors.executors.base import run_coroutine
from antq_actors.jobs import current_app, everywhere, instant
from antq_actors.jobs.control import Control
from antq_actors.jobs.outcome import Failed, GivenBack, Refused
from antq_actors.jobs.perform import Attempt, AttemptRunner, never
from antq_actors.jobs.state import Status
from antq_actors.otp.kernel.errors import Interrupt
from antq_actors.otp.kernel.stopping import Interruptible
from antq_actors.queues.running_attempts import COOPERATION_TIMEOUT_SECONDS
from antq_actors.storage.format.encoding import as_job, load_job
from antq_actors.storage.format.records import Settlement
from antq_actors.storage.format.values import encode_value, load_args
from antq_actors.storage.jobs import single_claims
from antq_actors.storage.jobs.reader import JobReader

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable

    from antq_actors.app.runtime import Runtime
    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.job import Job
    from antq_actors.jobs.outcome import Outcome as AttemptOutcome
    from antq_actors.jobs.state import StoredJob

POLL_SECONDS: Final = 0.02
"""Between two looks whether a hanging job is cancelled."""
MOST_EXECUTIONS: Final = 10_000
"""After so many a drain gives up."""

WORDS: Final = {
    Status.COMPLETED: "completed",
    Status.RETRYING: "retrying",
    Status.CANCELLED: "cancelled",
    Status.FAILED: "failed",
}
"""How an execution ended, by what its job is then; else it is snoozed."""


class DrainLimit(AntqError):
    """A drain has performed as many jobs as it may, and there are more."""


@dataclass(frozen=True, slots=True)
class Drained:
    """What a drain has performed: counts of executions, and the jobs."""

    completed: int
    failed: int
    """Executions after which their jobs have failed for good."""
    retrying: int
    """Executions that failed, and whose jobs are tried again."""
    cancelled: int
    snoozed: int
    jobs: list[Job]
    """Each job once, in the order of first execution, as it was stored when the drain had ended."""


class CallersAttempt(AttemptRunner):
    """Performs an attempt in the thread that calls, and keeps what came of it."""

    error: BaseException | None = None
    """What was raised, by the job or by a middleware; None: nothing was."""
    returned: Any = None
    """What perform returned."""

    def _fail(self, error: BaseException) -> AttemptOutcome:
        self.error = error
        return super()._fail(error)

    def _classify(self, returned: object) -> AttemptOutcome:
        self.returned = returned
        return super()._classify(returned)


def callers_attempt(attempt: Attempt, clock: Callable[[], Instant]) -> CallersAttempt:
    """Return what performs an attempt in the caller's thread."""
    return CallersAttempt(attempt, load_job, run_here, clock, (Interrupt,), never, encode_value)


def run_in_time(
    attempt: Attempt, clock: Callable[[], Instant]
) -> tuple[CallersAttempt, AttemptOutcome, bool]:
    """Perform an attempt in this thread; interrupt it at its timeout.

    Return what performed it, what came of it, and whether it has timed out.
    """
    runner, timeout = callers_attempt(attempt, clock), attempt.job.spec.timeout
    if timeout is None or attempt.failed is not None:
        return runner, runner.run(), False
    ending = _Ending(attempt.control, timeout)
    try:
        with ending:
            outcome = ending.interruptible.run(never, runner.run)
        if not ending.has_begun:
            return runner, outcome, False
    except Interrupt:
        if not ending.has_begun:  # it is that of a job within which this one is performed
            raise
    text = f"timed out after {timeout:g} s"
    runner = callers_attempt(
        replace(attempt, failed=Failed(text, None, None, "TimeoutError")), clock
    )
    return runner, runner.run(), True


class _Ending:
    """Ends an attempt in the caller's thread at its timeout, as a queue does, unless it is over."""

    def __init__(self, control: Control, timeout: float) -> None:
        self.interruptible = Interruptible()
        self.has_begun = False
        self._control = control
        self._is_over = threading.Event()
        self._timer = threading.Thread(target=self._end, args=(timeout,), name="antq timeout")
        self._timer.daemon = True

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._timer.join()

    def _end(self, timeout: float) -> None:
        if self._is_over.wait(timeout):
            return
        self.has_begun = True
        self._control.request_stop()
        if not (self._control.watched and self._is_over.wait(COOPERATION_TIMEOUT_SECONDS)):
            self.interruptible.interrupt()


def run_here(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a job's coroutine in an event loop of its own; return what it returns, or raise that.

    A thread whose loop is running can run no other: then it waits for a thread that does.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return run_coroutine(coroutine)
    ended: list[tuple[Any, BaseException | None]] = []

    def run() -> None:
        try:
            ended.append((run_coroutine(coroutine), None))
        except BaseException as error:  # noqa: BLE001 - raised in the thread that waits
            ended.append((None, error))

    thread = threading.Thread(target=copy_context().run, args=(run,), name="antq inline")
    thread.start()
    thread.join()
    value, error = ended[0]
    if error is not None:
        raise error
    return value


class Performer:
    """Claims and performs stored jobs of an application that runs no queues, one at a time."""

    def __init__(self, app: AntQ) -> None:
        runtime = app._running
        if runtime is None:
            raise NotStarted(
                "this application is not running, so it has no jobs to perform; start it with"
                " app.start(queues=False), or use testing()"
            )
        self._app = app
        self._runtime: Runtime = runtime
        self._store = runtime.store
        self._clock = runtime.clock
        self._node = runtime.node.number()

    def queues(self) -> list[str]:
        """Return the names of the application's queues, and of all others that are known."""
        own = self._app._config.queues
        return list(dict.fromkeys([*own, *self._store.known_queues()]))

    def claim(self, verb: Callable[..., StoredJob | None], *args: Any, **more: Any) -> Any:
        """Claim a job by a verb of the store now; return it, or None."""
        return self._store.write(verb, *args, node=self._node, now=self._clock(), **more)

    def _hung(self, attempt: Attempt) -> Attempt:
        """Wait as if the attempt of a job hung; return it as ended from outside."""
        job, control = attempt.job, attempt.control
        while control.deadline is None or time.monotonic() < control.deadline:
            try:
                if self._store.read(JobReader.get, job.id).state.cancelling:
                    break
            except JobNotFound:
                break
            time.sleep(POLL_SECONDS)
        error = f"timed out after {job.spec.timeout or 0:g} s"
        return replace(attempt, failed=Failed(error, None, None, "TimeoutError"))

    def perform(self, job: StoredJob) -> Performed:
        """Perform a claimed job in this thread, and store what came of it."""
        spec, state = job.spec, job.state
        control = Control(None if spec.timeout is None else time.monotonic() + spec.timeout)
        control.application = partial(current_app.of_queue, self._runtime.names.root)
        control.middleware = everywhere.current(self._app._config.middleware)
        control.clock = self._clock
        errors = state.errors
        read = partial(self._store.read, JobReader.errors, job.id, errors) if errors else None
        attempt = Attempt(job, control, None, read)
        hanging = self._store.tracker.hanging
        if job.id in hanging:
            hanging.discard(job.id)
            attempt = self._hung(attempt)
        try:
            runner, outcome, has_timed_out = run_in_time(attempt, self._clock)
        except Interrupt:  # at the timeout of a job within which this one is performed
            self._settle(job, GivenBack(), control)
            raise
        if has_timed_out:
            self._store.tracker.timed_out(job, abandoned=False)
        settled = self._settle(job, outcome, control)
        error = runner.error if isinstance(outcome, Failed | Refused) else None
        if error is None and isinstance(outcome, Failed | Refused):
            shown = as_job(settled.job or job, load_args(spec.args))
            error = JobFailed(outcome.error, shown)
        # A job that has deleted itself has no status any more.
        status = Status.CANCELLED if settled.job is None else settled.job.state.status
        return Performed(job.id, WORDS.get(status, "snoozed"), error, settled.has_released)

    def _settle(self, job: StoredJob, outcome: AttemptOutcome, control: Control) -> Any:
        """Store what came of an execution."""
        state = job.state
        settlement = Settlement(job.id, state.execution, outcome, control.checkpoint)
        return self._store.write(
            single_claims.settle, state.queue_name, settlement, self._node, self._clock()
        )


@dataclass(frozen=True, slots=True)
class Performed:
    """What came of an execution."""

    id: int
    outcome: str
    """A word of :class:`Drained`."""
    error: BaseException | None
    """What made it fail; None: it did not fail."""
    has_released: bool
    """Whether other jobs may have become due by that."""


def drain(
    app: AntQ,
    queue: str | None = None,
    *,
    scheduled: bool | datetime = False,
    recursive: bool = True,
    limit: int = MOST_EXECUTIONS,
    raise_errors: bool = True,
) -> Drained:
    """Perform the waiting jobs of an application in this thread, in the order of pick-up.

    *queue*: those of one queue alone. *scheduled*: True performs jobs that are not due yet as well,
    retries too, an instant those that are due by then. *recursive* False: what is enqueued in the
    meantime is left. With *raise_errors* the first failure ends it, and is raised when it is
    stored. After *limit* executions it raises :class:`DrainLimit` if there is more to perform.

    Raises RuntimeError for an application whose queues run: they take the jobs themselves.
    """
    _check(app, queue, recursive=recursive, raise_errors=raise_errors)
    until, most = _until(scheduled), _checked_limit(limit)
    performer = Performer(app)
    now = performer._clock()
    chosen: list[int] | None = None
    if not recursive:
        queues = performer.queues() if queue is None else [queue]
        chosen = performer._store.write(single_claims.waiting, queues, now=now, until=until(now))
    counts = dict.fromkeys([*WORDS.values(), "snoozed"], 0)
    ids: dict[int, None] = {}
    while True:
        if sum(counts.values()) == most:
            _refuse_more(performer, queue, until, chosen, most)
            break
        job = _next(performer, queue, until, chosen)
        if job is None:
            break
        performed = performer.perform(job)
        counts[performed.outcome] += 1
        ids[job.id] = None
        _raise(performed, raise_errors=raise_errors)
    return Drained(**counts, jobs=_jobs(app, ids))


def _next(
    performer: Performer,
    queue: str | None,
    until: Callable[[Instant], Instant],
    chosen: list[int] | None,
) -> StoredJob | None:
    if chosen is None:
        queues = performer.queues() if queue is None else [queue]
        at = until(performer._clock())
        job: StoredJob | None = performer.claim(single_claims.claim_next, queues, until=at)
        return job
    for id_ in list(chosen):
        job = performer.claim(single_claims.claim_one, id_)
        if job is not None:
            chosen.remove(id_)
            return job
    return None


def _refuse_more(
    performer: Performer,
    queue: str | None,
    until: Callable[[Instant], Instant],
    chosen: list[int] | None,
    most: int,
) -> None:
    now = performer._clock()
    queues = performer.queues() if queue is None else [queue]
    is_left = bool(chosen)
    if chosen is None:
        is_left = performer._store.write(
            single_claims.is_waiting, queues, now=now, until=until(now)
        )
    if is_left:
        raise DrainLimit(
            f"drain() has performed {most} jobs, which is its limit, and more are waiting: perhaps"
            " a job enqueues itself again and again; give it a larger limit=… if that is meant"
        )


def _raise(performed: Performed, *, raise_errors: bool) -> None:
    error = performed.error
    if error is not None and (raise_errors or isinstance(error, KeyboardInterrupt)):
        raise error


def raise_failure(performed: Performed) -> None:
    """Raise what made an execution fail, if it did."""
    _raise(performed, raise_errors=True)


def _jobs(app: AntQ, ids: Iterable[int]) -> list[Job]:
    """Return those jobs that are still there."""
    found = []
    for id_ in ids:
        try:
            found.append(app.get_job(id_))
        except JobNotFound:
            continue
    return found


def _check(app: AntQ, queue: str | None, *, recursive: bool, raise_errors: bool) -> None:
    if not isinstance(app, AntQ):
        raise TypeError(f"drain() takes an application, an AntQ, got {short_repr(app)}")
    if queue is not None and not isinstance(queue, str):
        raise TypeError(f"queue must be the name of a queue or None, got {short_repr(queue)}")
    for name, flag in (("recursive", recursive), ("raise_errors", raise_errors)):
        if not isinstance(flag, bool):
            raise TypeError(f"{name} must be True or False, got {short_repr(flag)}")
    if app.runs_queues:
        names = ", ".join(repr(name) for name in app._config.queues)
        raise RuntimeError(
            f"drain() performs jobs in this thread, and the queues of this application run"
            f" ({names}), which perform them themselves: wait for them with app.wait_idle(), or"
            " start it without, by app.start(queues=False) or testing()"
        )


def _until(scheduled: object) -> Callable[[Instant], Instant]:
    """Return what says, at an instant, until when jobs are to be due."""
    if isinstance(scheduled, bool):
        return (lambda _: instant.LATEST) if scheduled else (lambda now: now)
    if not isinstance(scheduled, datetime):
        raise TypeError(
            "scheduled must be True, False or a datetime with a time zone, got"
            f" {short_repr(scheduled)}"
        )
    if scheduled.utcoffset() is None:
        raise ValueError(
            f"scheduled={scheduled.isoformat()} has no time zone; write for example"
            " datetime.now(UTC) + timedelta(hours=1)"
        )
    at = instant.from_datetime(scheduled)
    return lambda now: max(now, at)


def _checked_limit(limit: object) -> int:
    number = whole(limit)
    if number is None:
        raise TypeError(f"limit must be a whole number, got {short_repr(limit)}")
    if number < 1:
        raise ValueError(f"limit must be at least 1, got {number}")
    return number
