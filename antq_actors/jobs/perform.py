"""One attempt of a job: resolve, load, perform, classify, delay, log. It returns the outcome.

It never raises, whatever a worker does. Only the exceptions that a caller lists in *propagate*
leave this file: the layer above ends an attempt by raising one inside the performing thread, and it
can arrive between any two lines here. So every place that contains exceptions passes those on
first. A child that a worker has forked ends where it leaves the worker's code: its parent alone has
an outcome.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from typing import Any, Final, TypeAlias, cast

import msgspec
from msgspec.structs import replace

from antq_actors import forked_child
from antq_actors.checks import escaped, is_utf8, to_seconds
from antq_actors.errors import NotAWorker, ResultNotKept
from antq_actors.flow.limits import limit_digest
from antq_actors.jobs import instant, lifecycle, resolver
from antq_actors.jobs.attempt_error import TEXT_LIMIT, cut, describe, summary, trace, users_part
from antq_actors.jobs.control import CONTROL, Control
from antq_actors.jobs.function_worker import FunctionWorker
from antq_actors.jobs.instant import Instant
from antq_actors.jobs.job import AttemptError, Job, LateErrors, enter_job
from antq_actors.jobs.middleware import Hanging, Passage
from antq_actors.jobs.outcome import (
    COMPLETED,
    COMPLETED_WITH_NONE,
    KEPT_NONE,
    OUTCOMES,
    RETRY_DELAY_SECONDS,
    Cancel,
    Cancelled,
    Completed,
    Fail,
    Failed,
    GivenBack,
    KeptResult,
    Outcome,
    Produced,
    RateLimited,
    Refused,
    Snooze,
    Snoozed,
    no_such_limit,
)
from antq_actors.jobs.result import NOT_KEPT, TOO_LARGE
from antq_actors.jobs.state import ErrorEntry, JobFlow, ResultRule, StoredJob
from antq_actors.jobs.worker import Worker
from antq_actors.jobs.worker_registry import defined

log: Final = logging.getLogger("antq_actors.jobs")

Propagate: TypeAlias = tuple[type[BaseException], ...]
ReadErrors: TypeAlias = Callable[[], tuple[ErrorEntry, ...]]

_RETURNED: Final = (Fail, Cancel, Snooze, RateLimited, *OUTCOMES)


class Attempt(msgspec.Struct, frozen=True):
    """One execution of a claimed job: what its queue gives to an executor."""

    job: StoredJob
    """Claimed, its arguments still encoded."""
    control: Control
    failed: Failed | None = None
    """Set when it was ended from outside, such as by its timeout: then its worker is only asked
    when the next attempt is due."""
    read_errors: ReadErrors | None = None
    """Returns the errors of the job, which a claim does not read. Raises StorageError. None: the
    job has none, or has them with it."""
    exception: BaseException | None = None
    """What ended it, where that is at hand; for the log."""

    def job_with_errors(self) -> StoredJob:
        """Return the job with its errors, read from the store, for where they cannot be read."""
        if self.read_errors is None:
            return self.job
        return self.job._replace(errors=self.read_errors())


class UnreadableArgs(Exception):
    """The stored arguments do not decode in this process; its name is shown to users."""


def never() -> bool:
    """Return False: the outcome of an attempt always counts."""
    return False


def _no_encoder(returned: object) -> bytes:
    """Raise TypeError: nothing that is returned can be kept here."""
    raise TypeError(f"there is no encoder for a {type(returned).__name__}")


class AttemptRunner(msgspec.Struct):
    """Performs one attempt, once: in this thread, or on the event loop that awaits it."""

    attempt: Attempt
    load: Callable[[StoredJob, ReadErrors | None], Job]
    """Returns the job with its arguments; decoding them may run, and raise, anything."""
    run_coroutine: Callable[[Coroutine[Any, Any, Any]], Any]
    """Runs what turns out to be a coroutine, in this thread."""
    clock: Callable[[], Instant] = instant.now
    """Dates the failure that ``calculate_delay`` sees."""
    propagate: Propagate = ()
    is_abandoned: Callable[[], bool] = never
    """Whether the outcome does not count any more: then a failure is not logged."""
    dump: Callable[[object], bytes] = _no_encoder
    """Encodes what ``perform`` returned, to be kept; pickling it may run, and raise, anything."""
    worker: Any = None
    """What performs the attempt: a new instance, or the function worker itself."""
    job: Any = None
    """The job with its arguments, as ``perform`` is given it."""
    passage: Any = None
    """Its `Passage` through the middleware; None: there is none."""

    def run(self) -> Outcome:
        """Perform the job in this thread, in an own context; return its outcome, log a failure.

        What the worker sets there (context variables, the precision of decimal) is not seen by what
        this thread does next.
        """
        try:
            return copy_context().run(self._run)
        finally:
            self._end()

    def _run(self) -> Outcome:
        if self.attempt.failed is not None:
            return self._complete_failure(self.attempt.failed)
        since = forked_child.generation
        try:
            self._prepare()
            if self.attempt.control.middleware is not None:
                return self._classify(self._perform_within())
            returned = self.worker.perform(self.job)
            if returned is not None and inspect.iscoroutine(returned):
                returned = self.run_coroutine(_end_if_forked(returned, since))
            if forked_child.generation != since:
                forked_child.end()
            if returned is None:
                return self._completed(None)
            return self._classify(returned)
        except self.propagate:
            raise
        except BaseException as error:  # noqa: BLE001
            # Not only Exception: pykka answers a SystemExit by stopping every actor in the process,
            # and one job's sys.exit() must not end all the others.
            forked_child.end_if_forked(since, error)
            return self._fail(error)

    async def run_async(self) -> Outcome:
        """Perform the job as `run` does, but on the event loop and in the context of this call."""
        try:
            return await self._run_async()
        finally:
            self._end()

    async def _run_async(self) -> Outcome:
        if self.attempt.failed is not None:
            return self._complete_failure(self.attempt.failed)
        since = forked_child.generation
        try:
            self._prepare()
            if self.attempt.control.middleware is not None:
                self.attempt.control.executor = "async"
                self._enter_middleware()
                return self._classify(await self._perform_within_async())
            returned = self.worker.perform(self.job)
            if inspect.isawaitable(returned):
                returned = await returned
            if forked_child.generation != since:
                forked_child.end()
            if returned is None:
                return self._completed(None)
            return self._classify(returned)
        except self.propagate:
            raise
        except BaseException as error:  # noqa: BLE001 - as in _run; a loop, too, ends with it
            forked_child.end_if_forked(since, error)
            return self._fail(error)

    def _end(self) -> None:
        """Refuse what threads of the attempt ask for from now on."""
        control = self.attempt.control
        control.is_over = True
        if control.steps is not None:
            control.steps.end()

    # ---- resolve and load -----------------------------------------------------------------

    def _prepare(self) -> None:
        """Import the job's worker, decode its arguments, make what performs it; or raise."""
        attempt, since = self.attempt, forked_child.generation
        stored = attempt.job
        name = stored.spec.worker
        worker = defined(name)
        if worker is None:
            worker = resolver.resolve(name, job_id=stored.id, propagate=self.propagate)
        if forked_child.generation != since:
            forked_child.end()
        try:
            job = self.load(stored, attempt.read_errors)
        except self.propagate:
            raise
        except BaseException as error:
            reason = describe(error, propagate=self.propagate)
            raise UnreadableArgs(
                f"the arguments of job {stored.id} cannot be read: {type(error).__name__}: {reason}"
            ) from error
        flow = stored.spec.flow
        if flow is not None and flow.upstream:
            job = self._with_outputs(job, flow)
        self.job = job
        attempt.control.stored = stored
        job.__dict__[CONTROL] = attempt.control
        enter_job(job)
        self.worker = worker() if isinstance(worker, type) else worker
        if forked_child.generation != since:
            forked_child.end()

    def _with_outputs(self, job: Job, flow: JobFlow) -> Job:
        """Return a node of a workflow with the results of others that its arguments name."""
        from antq_actors.jobs.upstream import with_outputs  # noqa: PLC0415 - only nodes need it

        application = self.attempt.control.application
        return job if application is None else with_outputs(job, flow, application)

    # ---- within the middleware ------------------------------------------------------------

    def _enter_middleware(self) -> None:
        """Have the attempt pass through the middleware, which may have to be set up first.

        Raises what that raises.
        """
        if self.attempt.control.hangs:
            self.worker = Hanging(self.worker)
        self.passage = Passage(self.job, self.attempt.control.middleware)
        self.passage.enter()

    def _perform_within(self) -> Any:
        """Perform the job within the middleware, in this thread; return what comes of that."""
        self._enter_middleware()
        since = forked_child.generation
        if getattr(self.worker, "antq_is_async", False):
            return self.run_coroutine(_end_if_forked(self._perform_within_async(), since))
        returned = self.passage.run(self._perform_inside)
        if returned is not None and inspect.iscoroutine(returned):
            returned = self.run_coroutine(_end_if_forked(returned, since))
        forked_child.end_if_forked(since)
        self.passage.leave()
        return returned

    def _perform_inside(self) -> Any:
        """Have the worker perform the job, as the innermost of what is around that."""
        since = forked_child.generation
        try:
            returned = self.worker.perform(self.job)
            if returned is not None and inspect.iscoroutine(returned):
                returned = self.run_coroutine(_end_if_forked(returned, since))
        except self.propagate:
            raise
        except BaseException as error:
            forked_child.end_if_forked(since, error)
            raise
        forked_child.end_if_forked(since)
        return returned

    async def _perform_within_async(self) -> Any:
        """Perform the job within the middleware, on an event loop; return what comes of that."""
        since = forked_child.generation

        async def perform() -> Any:
            try:
                returned = self.worker.perform(self.job)
                if inspect.isawaitable(returned):
                    returned = await returned
            except self.propagate:
                raise
            except BaseException as error:
                forked_child.end_if_forked(since, error)
                raise
            forked_child.end_if_forked(since)
            return returned

        returned = await self.passage.run_async(perform)
        forked_child.end_if_forked(since)
        self.passage.leave()
        return returned

    # ---- classify -------------------------------------------------------------------------

    def _classify(self, returned: object) -> Outcome:
        """Return the outcome of an attempt whose ``perform`` has *returned* this; log a failure."""
        match returned:
            case Fail(reason):
                return self._finish(Failed(describe(reason, propagate=self.propagate)))
            case Cancel(reason):
                return Cancelled(describe(reason, propagate=self.propagate))
            case Snooze(seconds):
                return Snoozed(seconds)
            case RateLimited():
                return self._rate_limited(returned)
        # type() and issubclass() run no code of what was returned; its __class__ might.
        if issubclass(type(returned), type) and issubclass(cast("type", returned), _RETURNED):
            return self._finish(Failed(_class_returned(cast("type", returned))))
        return self._completed(returned)

    def _rate_limited(self, returned: RateLimited) -> Outcome:
        """Return the outcome of an attempt that another service refused."""
        if returned.limit is None or self._may_have(returned.limit):
            return GivenBack(returned.retry_after, returned)
        return self._finish(Failed(no_such_limit(returned.limit)))

    def _may_have(self, limit: str) -> bool:
        """Return whether the job passes a limit of this name, or its queue may have one."""
        job = self.attempt.job
        if limit == job.state.queue_name:
            return True  # only the store knows whether that has a rate as a whole
        if job.spec.flow is None or not is_utf8(limit):
            return False
        digest = limit_digest(limit)
        return any(ref.gate.startswith(digest) for ref in job.spec.flow.gates)

    def _completed(self, returned: object) -> Completed:
        """Return the outcome of an attempt that completed, with what it asked to have stored."""
        control, flow = self.attempt.control, self.attempt.job.spec.flow
        control.is_over = True  # first: what a thread of it adds later is refused, not lost
        asked = () if control.asked is None else control.take_asked()
        result = None
        if flow is not None and flow.result is not None:
            result = self._kept(returned, flow.result)
        if not asked:
            if result is None:
                return COMPLETED
            if result is KEPT_NONE:
                return COMPLETED_WITH_NONE
        follow_ups = tuple(each for each in asked if not isinstance(each, list))
        members = tuple(new for each in asked if isinstance(each, list) for new in each)
        return Completed(Produced(follow_ups, members=members, result=result))

    def _kept(self, returned: object, rule: ResultRule) -> KeptResult:
        """Return what is kept of what ``perform`` has *returned*; log it if that is not the value.

        To be encoded, it may be pickled: that can run, and raise, anything.
        """
        if returned is None and rule.ttl is None:
            return KEPT_NONE
        job, since = self.attempt.job, forked_child.generation
        error: BaseException | None = None
        try:
            payload = self.dump(returned)
        except self.propagate:
            raise
        except BaseException as raised:  # noqa: BLE001 - the work of the job is done
            forked_child.end_if_forked(since, raised)
            error = raised
            reason = summary(describe(raised, propagate=self.propagate), type(raised).__name__)
            text = (
                f"what job {job.id} returned ({type(returned).__name__}) cannot be pickled, so"
                f" it is not kept: {reason}"
            )
            mark = NOT_KEPT
        else:
            if len(payload) <= rule.max_size:
                return KeptResult(payload, rule.ttl)
            text = (
                f"what job {job.id} returned takes {len(payload)} bytes, and at most"
                f" {rule.max_size} are kept: return what it is made from, such as a path, or set"
                " result=Result(max_size=…) for its worker"
            )
            mark = TOO_LARGE
        self._log(logging.WARNING, "%s (job #%d): %s", (job.spec.worker, job.id, text), error=error)
        return KeptResult(mark + text.encode("utf-8", "backslashreplace"), rule.ttl)

    def _fail(self, error: BaseException) -> Outcome:
        """Return the outcome of an attempt that raised *error*, and log it."""
        try:
            text, name = describe(error, propagate=self.propagate), type(error).__name__
            if self.passage is None and self.attempt.control.middleware is not None:
                self.attempt.control.middleware.tell_failure(self.attempt.job, text, name, error)
            if isinstance(error, NotAWorker | ResultNotKept) and self.job is None:
                refused = Refused(text, name)
                self._log_refused(refused, error)
                return refused
            stack_trace = trace(error, propagate=self.propagate)
            if self.passage is not None and (culprit := self.passage.leave(error)) is not None:
                text = cut(f"{culprit}: {text}", TEXT_LIMIT)
            return self._finish(Failed(text, stack_trace, error_type=name), error)
        except self.propagate:
            raise
        except BaseException as second:  # noqa: BLE001 - no memory left to describe it, say
            name = type(second).__name__
            return Failed(name, None, self._default_delay, name)

    def _complete_failure(self, failed: Failed) -> Failed:
        """Return the failure of an attempt that was ended from outside, with its delay; log it.

        The worker is asked for the delay as after any other failure, so its code runs here.
        """
        failed = replace(failed, error=cut(failed.error, TEXT_LIMIT), retry_in=self._default_delay)
        try:
            if self._has_attempts_left:
                self._prepare()
                failed = self._with_delay(failed)
        except self.propagate:
            raise
        except BaseException as error:  # noqa: BLE001 - then the default delay will do
            text = "no worker to ask for the delay of job #%d", (self.attempt.job.id,)
            self._log(logging.DEBUG, *text, error=error)
        self._log_failed(failed, self.attempt.exception)
        return failed

    # ---- delay ----------------------------------------------------------------------------

    def _finish(self, failed: Failed, error: BaseException | None = None) -> Failed:
        """Return *failed* with its retry delay; log it. *error* is what was raised, if anything."""
        if self.is_abandoned():
            return failed
        if self._has_attempts_left:
            failed = self._with_delay(failed)
        self._log_failed(failed, error)
        return failed

    @property
    def _has_attempts_left(self) -> bool:
        state = self.attempt.job.state
        return state.attempts < state.max_attempts

    @property
    def _default_delay(self) -> float:
        return RETRY_DELAY_SECONDS * self.attempt.job.state.attempts

    def _with_delay(self, failed: Failed) -> Failed:
        """Return *failed* with the seconds to the next attempt, as the worker calculates them."""
        default, since = self._default_delay, forked_child.generation
        if self.worker is None:
            return replace(failed, retry_in=default)
        try:
            now = instant.to_datetime(self.clock())
            error, stack_trace, name = failed.error, failed.stack_trace, failed.error_type
            entry = AttemptError(self.attempt.job.state.attempts, error, stack_trace, now, name)
            returned = self.worker.calculate_delay(_with_error(self.job, entry))
            forked_child.end_if_forked(since)
            if inspect.iscoroutine(returned):
                returned.close()  # else Python warns, later, that it was never awaited
            return replace(failed, retry_in=to_seconds(returned, _delay_source(self.worker)))
        except self.propagate:
            raise
        except BaseException as raised:  # noqa: BLE001 - the failure must still be reported
            forked_child.end_if_forked(since, raised)
            self._log_no_delay(default, raised)
            return replace(failed, retry_in=default)

    # ---- log ------------------------------------------------------------------------------

    def _log_refused(self, refused: Refused, error: BaseException) -> None:
        """Log that the job can never be run, as *error* says."""
        job = self.attempt.job
        values = (job.spec.worker, job.id, summary(refused.error, refused.error_type))
        # Without its frames: none of them is the user's.
        error = error.with_traceback(None)
        self._log(logging.ERROR, "%s (job #%d) was refused: %s", values, error=error)

    def _log_failed(self, failed: Failed, error: BaseException | None) -> None:
        """Log that the job's attempt failed, by *error* if that is at hand."""
        job = self.attempt.job
        number, most = job.state.attempts, job.state.max_attempts
        if number < most:
            level, text = logging.WARNING, "%s (job #%d) failed on attempt %d/%d, will retry: %s"
        else:
            level, text = logging.ERROR, "%s (job #%d) failed permanently after attempt %d/%d: %s"
        shown = escaped(summary(failed.error, failed.error_type))
        values = (job.spec.worker, job.id, number, most, shown)
        if error is None:
            self._log(level, text, values, stack=failed.stack_trace)
        else:
            self._log(level, text, values, error=error, trace=failed.stack_trace)

    def _log_no_delay(self, default: float, error: BaseException) -> None:
        """Log that ``calculate_delay`` has raised *error*, or returned what is no delay."""
        job = self.attempt.job
        shown = summary(describe(error, propagate=self.propagate), type(error).__name__)
        values = (job.spec.worker, job.id, _delay_source(self.worker), default, shown)
        text = "%s (job #%d): no delay from %s, so the next attempt is in %g s: %s"
        self._log(logging.WARNING, text, values, error=error)

    def _log(
        self,
        level: int,
        text: str,
        values: tuple[object, ...],
        *,
        error: BaseException | None = None,
        stack: str | None = None,
        trace: str | None = None,
    ) -> None:
        """Log a record with the job's attributes, and with *error* or else with *stack*.

        It has the exception as ``exc_info`` where there was one; else, where a stack trace says
        where the attempt was or what its process wrote last, that is its ``stack_info``.
        """
        try:
            if not log.isEnabledFor(level):
                return
            exc_info = None if error is None else (type(error), error, users_part(error))
            record = self._record(level, text, values, exc_info, stack)
            if trace is not None:
                # Formatters take this text for their own. It can be written to any file, whatever
                # the exceptions say, and the causes begin with the user's frames, too.
                record.exc_text = trace.rstrip()
            log.handle(record)
        except self.propagate:
            raise
        except BaseException:  # noqa: BLE001, S110 - a handler that raises must not change an outcome
            pass

    def _record(
        self, level: int, text: str, values: tuple[object, ...], exc_info: Any, stack: str | None
    ) -> logging.LogRecord:
        job, code = self.attempt.job, AttemptRunner._log.__code__
        # Not by `log.log()`: that takes no stack but its own.
        return log.makeRecord(
            log.name,
            level,
            code.co_filename,
            code.co_firstlineno,
            text,
            values,
            exc_info,
            code.co_name,
            extra={
                "job_id": job.id,
                "worker": job.spec.worker,
                "queue": job.state.queue_name,
                "attempt": job.state.attempts,
            },
            sinfo=None if stack is None else escaped(stack.rstrip()),
        )


async def _end_if_forked(coroutine: Coroutine[Any, Any, Any], since: int) -> Any:
    """Await a job's *coroutine*; end a child process that it forked, which shares the loop."""
    try:
        value = await coroutine
    except BaseException as error:
        forked_child.end_if_forked(since, error)
        raise
    forked_child.end_if_forked(since)
    return value


def _class_returned(outcome: type) -> str:
    name = outcome.__name__
    given = "seconds" if issubclass(outcome, Snooze) else "reason"
    if issubclass(outcome, RateLimited):
        given = "retry_after"
    return f"perform returned the class {name} and no instance of it; write: return {name}({given})"


def _delay_source(worker: Any) -> str:
    """Return the name of what calculates a worker's retry delay: its option, or its own method."""
    own = getattr(type(worker), "calculate_delay", None)
    is_ours = own in (Worker.calculate_delay, FunctionWorker.calculate_delay)
    options = getattr(worker, "antq_options", None)
    has_option = is_ours and getattr(options, "retry_delay", None) is not None
    return "retry_delay" if has_option else "calculate_delay"


def _with_error(job: Job, entry: AttemptError) -> Job:
    """Return *job* as it will be stored after its attempt failed with this error."""
    errors = LateErrors(lambda: lifecycle.kept_errors((entry, *job.errors)))
    return replace(job, errors=errors, error_count=job.error_count + 1)
