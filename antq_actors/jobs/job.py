"""A job as users see it, one frozen value; its errors; and the job that this code performs."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime, timedelta
from typing import (
    TYPE_CHECKING,
    Any,
    Final,
    NamedTuple,
    ParamSpec,
    Self,
    SupportsIndex,
    TypeAlias,
    TypeVar,
)

import msgspec

from antq_actors.checks import short_repr, to_seconds
from antq_actors.introspection import explain_fields
from antq_actors.jobs import attempt_error
from antq_actors.jobs.control import (
    APPLICATION,
    CONTROL,
    AttemptApplication,
    Control,
    Progress,
    checked_progress,
    checked_step_name,
)
from antq_actors.jobs.instant import Instant, from_datetime
from antq_actors.jobs.outcome import FollowUp
from antq_actors.jobs.state import Status

if TYPE_CHECKING:
    from datetime import timedelta

    from antq_actors.jobs.state import Composed

UPSTREAM: Final = "antq_upstream"
"""Where a node of a workflow has what it knows of those before it, among its attributes."""
P = ParamSpec("P")
R = TypeVar("R")

COMPOSED: Final = "antq_composed"
"""Where a job that has to do with others has what is known of that, among its attributes."""


@explain_fields
class AttemptError(msgspec.Struct, frozen=True):
    """What went wrong in one attempt, or what interrupted it."""

    attempt: int
    """The attempt that failed, from 1."""
    error: str
    """The exception's text, or its class if it has none; or the reason that was given."""
    stack_trace: str | None
    """From the first frame that is yours. Of a timeout, where the attempt was at that moment."""
    attempted_at: datetime
    """When it failed or was interrupted."""
    error_type: str | None = None
    """The name of the exception's class; None where there was none: `Fail`, `Cancel`, an
    interruption, the death of a process."""
    started_at: datetime | None = None
    """When its queue claimed the job for that attempt; None: for none."""
    node: int = 0
    """The node on which the attempt ran; 0: on none."""

    @property
    def summary(self) -> str:
        """The attempt's error as logs and commands show it: class name first, if there is one."""
        return attempt_error.summary(self.error, self.error_type)


class LateErrors(tuple[AttemptError, ...]):  # noqa: SLOT001 - no tuple can have any
    """The errors of a job that is being performed: *read* when the worker first looks at them.

    Most attempts never look at what went wrong before, so they do not pay for it. `Job.errors` is a
    tuple all the same: it is iterated, indexed, compared, added, copied and pickled as the tuple
    that is read. What *read* raises goes to the caller, and the next look reads again.

    >>> from datetime import UTC, datetime
    >>> errors = LateErrors(lambda: (AttemptError(1, "no", None, datetime.now(UTC)),))
    >>> len(errors), errors[0].error
    (1, 'no')
    """

    _unread: Callable[[], tuple[AttemptError, ...]] | None
    _found: tuple[AttemptError, ...]

    def __init__(self, read: Callable[[], tuple[AttemptError, ...]]) -> None:
        self._unread = read
        self._found = ()

    def __new__(cls, _read: object) -> Self:
        """Make an empty tuple: the errors of the job are read later."""
        return super().__new__(cls)

    def __reduce_ex__(self, _protocol: SupportsIndex) -> tuple[Any, ...]:
        """Pickle and copy the job's errors as the ordinary tuple that is read."""
        return tuple, (self.read(),)

    def __radd__(self, other: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return *other* and the job's errors after it."""
        return other + self.read()

    def read(self) -> tuple[AttemptError, ...]:
        """Return the job's errors as an ordinary tuple, read from the store the first time."""
        if self._unread is not None:
            self._found = self._unread()
            self._unread = None
        return self._found


def _of_tuple(name: str) -> Callable[..., Any]:
    """Return a method *name* of tuples that reads the job's errors first."""
    method = getattr(tuple, name)

    def of_what_is_read(self: LateErrors, *args: Any) -> Any:
        others = (each.read() if isinstance(each, LateErrors) else each for each in args)
        return method(self.read(), *others)

    of_what_is_read.__name__ = name
    return of_what_is_read


# By the C code of tuple itself they would see the empty one that this is made from.
for _name in (
    *("__len__", "__iter__", "__getitem__", "__contains__", "__hash__", "__repr__"),
    *("__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__"),
    *("__add__", "__mul__", "__rmul__", "index", "count"),
):
    setattr(LateErrors, _name, _of_tuple(_name))


@explain_fields
class Job(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """The stored unit of work, as it was when it was read."""

    id: int
    """Grows with each stored job and never repeats; 0 while it is not stored."""
    worker: str
    """The stored name of its worker, by default ``module:QualName``."""
    queue_name: str
    """The queue that it is in."""
    args: Mapping[str, Any]
    """Its arguments. In ``perform`` as they were given; elsewhere plain data alone is as it was."""
    priority: int
    """Larger is picked first among the enqueued of a queue; -128 to 127."""
    status: Status
    """Where it is in its life."""
    attempts: int
    """Executions that ended in success or failure; inside ``perform``, the current one included."""
    max_attempts: int
    """How often it may be attempted before it is failed for good."""
    interruptions: int
    """Executions cut short by the death of their node or queue; never counted as attempts."""
    scheduled_at: datetime | None
    """When it is, or became, due; None while it runs and after its end."""
    inserted_at: datetime
    """When it was enqueued."""
    updated_at: datetime
    """When its status last changed."""
    errors: tuple[AttemptError, ...]
    """Newest first. The newest 24 and the first are kept."""
    opts: Mapping[str, Any]
    """The effective options: ``max_attempts``, ``timeout``, ``unique``, …"""
    node: int = 0
    """The node that runs it, see :meth:`AntQ.nodes`; 0 while none does."""
    error_count: int = 0
    """How many errors it has had, also those that are not kept."""
    started_at: datetime | None = None
    """When its queue claimed it for its latest attempt; None before the first."""
    ended_at: datetime | None = None
    """When it was completed, failed or cancelled; None until then, and again once it is retried."""
    cron: str | None = None
    """The name of the periodic entry that enqueued it; None for a job that was enqueued otherwise.
    """
    scheduled_for: datetime | None = None
    """The instant of its periodic entry for which it was enqueued; None for a run by hand, too."""
    last_progress: Progress | None = None
    """What it has reported last by :meth:`progress`, as it is stored; None while it does not run,
    and as long as it has reported nothing."""
    meta: Mapping[str, str] = {}
    """What was kept beside its arguments, such as by a middleware. It is no part of them, and makes
    no job unique."""

    def __copy__(self) -> Self:
        """Copy along of which batch or workflow the job is, and which application it asks."""
        copied = msgspec.structs.replace(self)
        copied.__dict__.update(self.__dict__)
        return copied

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle along of which batch or workflow the job is, and what is before it there."""
        reduced: Any = super().__reduce__()
        known = {
            name: self.__dict__[name] for name in (COMPOSED, UPSTREAM) if name in self.__dict__
        }
        return reduced[0], reduced[1], known or None

    @property
    def batch(self) -> Any:
        """The :class:`Batch` of which it is a member or a callback; None: it is of none.

        Each look asks the application for it. It is None as well once the batch was pruned.
        """
        composed: Composed | None = self.__dict__.get(COMPOSED)
        if composed is None or not composed.group:
            return None
        return self._application().antq_batch_of(composed.group, self)

    # ---- once it has ended -------------------------------------------------------------------

    def result(self, timeout: float | timedelta | None = None) -> Any:
        """Wait until the job has completed, and return what its ``perform`` returned.

        That is :meth:`AntQ.result` of the application that the job was read from.
        """
        return self._application().result(self, timeout=timeout)

    async def aresult(
        self,
        timeout: float | timedelta | None = None,  # noqa: ASYNC109 - as its twin
    ) -> Any:
        """Do what :meth:`result` does, without stopping the event loop and without a thread."""
        return await self._application().aresult(self, timeout=timeout)

    def _application(self) -> AttemptApplication:
        """Return the application of the job: in its attempt, that of its queue; else its reader.

        A job that neither knows, such as one that was pickled, has the one that was started last.
        Raises NotStarted.
        """
        control: Control | None = self.__dict__.get(CONTROL)
        if control is not None and control.application is not None:
            return control.application()
        application: AttemptApplication | None = self.__dict__.get(APPLICATION)
        return current_application[0]() if application is None else application

    @property
    def upstream(self) -> Mapping[str, Any]:
        """The results of the nodes directly before this node of a workflow, by their names.

        Each is read when it is asked for; that of a node that did not complete is None, and one
        that was not kept, or whose job was deleted, raises ResultNotKept. A group is there by the
        names of its jobs. Empty for a job of no workflow.
        """
        before = self.__dict__.get(UPSTREAM)
        if before is None:
            return {}
        results: Mapping[str, Any] = before.results(self._application)
        return results

    @property
    def workflow(self) -> Any:
        """The workflow of which it is a node, a follow-up or the ``on_failure`` job; None: of none.

        Each look asks the application for it, and None is also what it is once it was pruned.
        """
        composed: Composed | None = self.__dict__.get(COMPOSED)
        if composed is None or not composed.group:
            return None
        application = self._application()
        run = application.antq_workflow("of_group", composed.group)
        return None if run is None else run.antq_on(application)

    # ---- while it is performed --------------------------------------------------------------

    def cancelled(self) -> bool:
        """Return whether this running attempt was told to end: timed out, cancelled or stopped.

        For long loops: an attempt that calls this is not interrupted at once, but has a few
        seconds to end by itself. False for a job that is not being performed.
        """
        control: Control | None = self.__dict__.get(CONTROL)
        return control is not None and control.cancelled()

    def remaining(self) -> float | None:
        """Return the seconds left until this running attempt times out; None: it does not.

        Calling this is as good as calling :meth:`cancelled`.
        """
        control: Control | None = self.__dict__.get(CONTROL)
        return None if control is None else control.remaining()

    def progress(self, fraction: float, note: str | None = None) -> None:
        """Report how far this running attempt has come, from 0 to 1.

        It is stored within a second, and at most once a second, so every process sees it:
        :attr:`last_progress` of the job as it is read, and the queue's status. It is gone when the
        attempt has ended. Calling this waits for nothing, and does nothing in a job that is not
        being performed. Raises TypeError and ValueError.
        """
        control: Control | None = self.__dict__.get(CONTROL)
        if control is None:
            checked_progress(fraction, note)
        else:
            control.report(checked_progress(fraction, note, control.clock))

    def follow_up(
        self,
        worker: Any,
        args: Mapping[str, Any] | None = None,
        /,
        *,
        after: Job | None = None,
        **options: Any,
    ) -> None:
        """Have a job of *worker* stored with the completion of this one, or never.

        It is stored in the very transaction: so it cannot be lost by a crash in between, nor be
        stored twice because this one ran twice. If this attempt does not complete, it is not. The
        options are those of :meth:`AntQ.enqueue`; ``schedule_in`` counts from the completion.
        A duplicate of a unique worker, or one at a full limit, is left out then.

        *after*: another stored job. It is suspended until that one has completed, and cancelled if
        that one fails or is cancelled or deleted. Then its ``schedule_in`` counts from its release.

        Raises at once what `enqueue` raises, and RuntimeError in a job that is not being performed.
        """
        control, application = self._attempt("follow_up")
        if after is not None:
            _check_after(after)
        with _while_performed(self, control, "follow_up"):
            new = application.antq_prepare(worker, args, options)
        delay = None
        if options.get("schedule_in") is not None and new.state.scheduled_at is not None:
            delay = new.state.scheduled_at - new.state.updated_at
        if not control.ask(FollowUp(new, delay, 0 if after is None else after.id)):
            raise _not_performed(self, "follow_up")

    def expand(self, flow: Any) -> None:
        """Have a workflow stored with the completion of this job, as a part of its own workflow.

        What waits for this job then waits for all of *flow*, too. In a job of no workflow it is a
        workflow of its own. It is stored in the very transaction of the completion, or never.

        Raises at once what ``start_workflow`` raises for *flow*, and RuntimeError in a job that is
        not being performed.
        """
        control, application = self._attempt("expand")
        with _while_performed(self, control, "expand"):
            expansion = application.antq_workflow("plan", flow)
        if not control.ask(expansion):
            raise _not_performed(self, "expand")

    # ---- steps ------------------------------------------------------------------------------

    def step(self, name: str, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Return what *function* returns for these arguments, and keep that under *name*.

        When a later execution of this job (a retry, or after an interruption) takes the step
        *name*, it is given the kept value, and the function is not called. What the function raises
        is raised, and nothing is kept. The value is on disk when this returns; if the process dies
        before that, the function is called again: give *step_key* to services that can tell a
        request from its repetition. A value is kept as arguments are, up to 1 MiB, and a job has at
        most 10,000 steps.

        Raises DuplicateStep when this execution has taken that step already, StepError for a value
        that cannot be kept, Superseded when this execution does not count any more, and
        RuntimeError in a job that is not being performed.
        """
        value: R = self._steps("step").run(name, function, args, kwargs)
        return value

    async def astep(
        self, name: str, function: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Do what :meth:`step` does with a coroutine function, without stopping the event loop."""
        value: R = await self._steps("astep").run_async(name, function, args, kwargs)
        return value

    def step_key(self, name: str) -> str:
        """Return what identifies the step *name* of this job for other services.

        It is the same in every execution, also after ``retry_job(fresh=True)``, and differs between
        steps, jobs and stores: an idempotency key. Raises RuntimeError for a job that is not
        stored.
        """
        if not self.id:
            raise RuntimeError("this job is built and not stored, so its steps have no keys yet")
        return _key_of_step(self, checked_step_name(name))

    def checkpoint(self, value: Any, *, every: float | timedelta = 1.0) -> None:
        """Keep *value* as how far this job has come, in place of the last one.

        It is :attr:`checkpointed` in the next execution. It is stored at most once in *every*
        seconds, and the last one with the outcome of this execution, whatever that is; so a kill of
        the process loses those that were not stored yet. With 0 it is on disk when this returns.

        Raises StepError for a value that cannot be kept, Superseded when this execution does not
        count any more, RuntimeError in a job that is not being performed.
        """
        if not self._steps("checkpoint").checkpoint(value, every):
            raise _not_performed(self, "checkpoint")

    @property
    def checkpointed(self) -> Any:
        """The last checkpoint of earlier executions, as this one begins; None without any.

        Also None in a job that is not being performed.
        """
        control: Control | None = self.__dict__.get(CONTROL)
        if control is None or control.application is None:
            return None
        if control.is_over and control.steps is None:
            return None
        return self._steps_of(control, control.application).found_checkpoint()

    def _steps(self, verb: str) -> Any:
        """Return the steps of this running attempt. Raises RuntimeError outside of one."""
        control, application = self._attempt(verb)
        return self._steps_of(control, lambda: application)

    @staticmethod
    def _steps_of(control: Control, application: Callable[[], AttemptApplication]) -> Any:
        with _making_steps:
            if control.steps is None:
                control.steps = application().antq_begin_steps(control)
            return control.steps

    def _attempt(self, verb: str) -> tuple[Control, AttemptApplication]:
        """Return the control of this running attempt, and the application of its queue.

        Raises RuntimeError outside of an attempt.
        """
        control: Control | None = self.__dict__.get(CONTROL)
        if control is None or control.is_over or control.application is None:
            raise _not_performed(self, verb)
        return control, control.application()


def _check_after(after: Any) -> None:
    """Raise TypeError and ValueError for what a follow-up cannot wait for."""
    if not isinstance(after, Job):
        raise TypeError(f"after must be a Job, got {short_repr(after)}")
    if not after.id:
        raise ValueError(
            "after is a job that is built and not stored, so it will never end; enqueue it, or give"
            " it to follow_up() first"
        )


def _key_of_step(job: Job, name: str) -> str:
    """Return what identifies a step of a stored job: the same in each execution.

    The time of its enqueuing is in it, as another store may give the same id to another job.
    """
    parts = (job.worker, str(from_datetime(job.inserted_at)), str(job.id), name)
    digest = hashlib.blake2b(digest_size=_KEY_BYTES)
    for part in parts:
        encoded = part.encode("utf-8", "surrogatepass")
        digest.update(len(encoded).to_bytes(8) + encoded)
    return digest.hexdigest()


_KEY_BYTES: Final = 16

_making_steps: Final = threading.Lock()
"""Two threads of an attempt must not make its steps twice."""


def _not_performed(job: Job, verb: str) -> RuntimeError:
    which = f"job {job.id} is" if job.id else "this job is built, and"
    return RuntimeError(
        f"{which} not being performed here, so there is no attempt for {verb}(): call it in"
        " perform, on the job that perform is given, before it returns"
    )


@contextmanager
def _while_performed(job: Job, control: Control, verb: str) -> Iterator[None]:
    """Raise RuntimeError if the application cannot be asked any more, as the attempt is over."""
    try:
        yield
    except Exception as error:
        if not control.is_over:
            raise
        raise _not_performed(job, verb) from error


current_application: Final[list[Callable[[], AttemptApplication]]] = []
"""Returns the application that was started last; `current_app`, above this file, adds it."""

_current: Final[ContextVar[Job | None]] = ContextVar("antq_current_job", default=None)


def current_job() -> Job | None:
    """Return the job that this code performs; None where none is performed.

    It is the job that ``perform`` is given, in every executor: in what ``perform`` calls, in the
    asyncio tasks that it creates, in ``asyncio.to_thread``, and wherever else its context is
    copied to. A ``threading.Thread`` starts with an empty context, so there it is None: run its
    target by ``contextvars.copy_context().run``.
    """
    return _current.get()


# Each attempt calls this, so there is no function around it. An attempt has a context of its own:
# what is set there ends with it, also when it is cut short, and its tasks inherit it.
enter_job: Final = _current.set
"""Make a job the current one in this context; None: there is none."""


LogFields: TypeAlias = tuple[int, str, str, int]
"""Of the job during which something is logged: id, worker, queue and attempt."""

logged_elsewhere: Final[ContextVar[LogFields | None]] = ContextVar("antq_logged", default=None)
"""The job of a log record that another process has made, while it is handled here."""


def log_fields() -> LogFields | None:
    """Return what a record that is logged now has to say of its job; None: there is none."""
    job = _current.get()
    if job is None:
        return logged_elsewhere.get()
    return job.id, job.worker, job.queue_name, job.attempts


def check_outside_of_jobs(verb: str) -> None:
    """Raise ValueError if this code performs a job: without a timeout, *verb* could wait for it."""
    job = current_job()
    if job is not None:
        raise ValueError(
            f"{verb}() needs a timeout in perform: job {job.id} runs, so it would wait for itself,"
            f" or for what waits for it, for ever; write {verb}(timeout=60)"
        )


class Performed(NamedTuple):
    """The attempt that this code is a part of, as the store of its job knows it."""

    id: int
    started_at: Instant
    """By which it is told from a job of another store with the same id."""


def performed_here() -> Performed | None:
    """Return the attempt that this code is a part of; None: no job is performed here."""
    job = current_job()
    if job is None or job.started_at is None:
        return None
    return Performed(job.id, from_datetime(job.started_at))


def wait_seconds(timeout: object, verb: str) -> float | None:
    """Return a *timeout* to wait in seconds. Raises TypeError, ValueError, also for None in a job.

    None outside of jobs: *verb* waits for ever.
    """
    if timeout is not None:
        return to_seconds(timeout, "timeout")
    check_outside_of_jobs(verb)
    return None
