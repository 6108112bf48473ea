"""What an application has called around the storing of its jobs and around their attempts.

The first middleware of an application is the outermost. What one raises is told apart from what
comes through it by the exception itself: what has come out of the inside before, and is the same
object, is no failure of the middleware around it.
"""

from __future__ import annotations

import inspect
import os
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from importlib import import_module
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, TypeVar

from msgspec.structs import replace

from antq_actors.checks import checked_meta, short_repr
from antq_actors.errors import BatchError, ConfigError
from antq_actors.jobs import instant
from antq_actors.jobs.job import Job

if TYPE_CHECKING:
    from datetime import datetime

    from antq_actors.jobs.state import NewJob, StoredJob

T = TypeVar("T")


class JobDraft:
    """A job that is being enqueued, as its middleware sees it."""

    __slots__ = ("_args", "_new", "antq_is_refused", "antq_is_stored_later", "meta")

    def __init__(
        self, new: NewJob, args: Mapping[str, Any], *, is_stored_later: bool = False
    ) -> None:
        self._new = new
        self._args = args
        self.antq_is_stored_later = is_stored_later
        """Whether it is stored with the completion of the job that is performed, or never."""
        self.antq_is_refused = False
        """Whether one that is to be stored later was refused."""
        self.meta: dict[str, str] = dict(new.spec.meta or ())
        """What is kept beside its arguments. It is read when the storing of the job begins."""

    @property
    def worker(self) -> str:
        """The stored name of its worker."""
        return self._new.spec.worker

    @property
    def queue_name(self) -> str:
        """The queue that it is for."""
        return self._new.state.queue_name

    @property
    def antq_size(self) -> int:
        """How many bytes its arguments have as they are stored."""
        return len(self._new.spec.args)

    @property
    def args(self) -> Mapping[str, Any]:
        """Its arguments."""
        return self._args

    @property
    def priority(self) -> int:
        """Larger is picked first among the enqueued of a queue."""
        return self._new.state.priority

    @property
    def scheduled_at(self) -> datetime | None:
        """When it becomes due."""
        due = self._new.state.scheduled_at
        return None if due is None else instant.datetime_for_display(due)

    def __repr__(self) -> str:
        return f"<JobDraft of {self.worker!r} for queue {self.queue_name!r}, meta={self.meta!r}>"

    def antq_job(self) -> NewJob:
        """Return the job as it is stored now. Raises TypeError and ValueError for its meta."""
        return with_meta(self._new, checked_meta(self.meta))


def with_meta(new: NewJob, meta: dict[str, str] | None) -> NewJob:
    """Return a job to be stored that has this kept beside its arguments."""
    return new if meta == new.spec.meta else new._replace(spec=replace(new.spec, meta=meta))


class Middleware:
    """Base of what is called around jobs: subclass it, and override what is needed.

    Give an application instances, or ``"module:Class"`` strings, as ``AntQ(middleware=[…])``. Job
    processes make their own: a string is imported there, and an instance pickled.
    """

    def setup(self) -> None:
        """Do what is needed once in each process that performs jobs, before its first one."""

    def on_enqueue(self, draft: JobDraft) -> None:
        """Look at a job that is being enqueued, before anything is stored; set its meta, or raise.

        Called once for each job, in the thread that enqueues it. What it raises refuses the job.
        """

    def around_enqueue(self, draft: JobDraft, call: Callable[[], Job]) -> Job:  # noqa: ARG002 - for those that override it
        """Store a job by *call*, once, and return it."""
        return call()

    def around_enqueue_many(
        self,
        drafts: Sequence[JobDraft],  # noqa: ARG002 - for those that override it
        call: Callable[[], list[int]],
    ) -> list[int]:
        """Store a batch of ``enqueue_many`` by *call*, once, and return the ids."""
        return call()

    def around_job(self, job: Job, call: Callable[[], T]) -> T:  # noqa: ARG002 - as above
        """Perform an attempt of *job* by *call*, once, and return what it returned.

        Called where the job is performed, for workers that are no coroutines.
        """
        return call()

    async def around_job_async(self, job: Job, call: Callable[[], Awaitable[T]]) -> T:  # noqa: ARG002 - as above
        """Do what :meth:`around_job` does, for workers that are coroutines."""
        return await call()


_HOOKS: Final = (
    "on_enqueue",
    "around_enqueue",
    "around_enqueue_many",
    "around_job",
    "around_job_async",
)


class Pipeline:
    """The middleware of an application, in their order."""

    def __init__(self, middleware: Sequence[Middleware], given: Sequence[Middleware | str]) -> None:
        self.given = tuple(given)
        """As the application was given it: instances, and names of classes."""
        self.middleware = tuple(middleware)
        self.begun: str | None = None
        """The name of the one that was to be set up last."""
        self._set_up_here: dict[int, int] = {}
        """How many of them were set up, by the number of the process."""
        of = {hook: tuple(each for each in middleware if _overrides(each, hook)) for hook in _HOOKS}
        self._on_enqueue = of["on_enqueue"]
        self._around_enqueue = of["around_enqueue"]
        self._around_enqueue_many = of["around_enqueue_many"]
        self.around_job = of["around_job"]
        """Those that have something to do around an attempt."""
        self.around_job_async = of["around_job_async"]
        """The same, of a coroutine."""

    @property
    def to_enqueue(self) -> Pipeline | None:
        """Itself, if one of them has something to do where jobs are enqueued; else None."""
        is_called = self._on_enqueue or self._around_enqueue or self._around_enqueue_many
        return self if is_called else None

    @property
    def to_perform(self) -> Pipeline | None:
        """Itself, if one of them has something to do around attempts; else None."""
        return self if self.around_job or self.around_job_async else None

    def tell_failure(
        self, job: StoredJob, error: str, error_type: str | None, raised: BaseException | None
    ) -> None:
        """Notify middleware that asks for it of an attempt that has failed outside of it."""
        for middleware in self.middleware:
            hook = getattr(middleware, "antq_on_failure", None)
            if hook is not None:
                with suppress(Exception):  # the attempt has failed anyway
                    hook(job, error, error_type, raised)

    def set_up(self) -> None:
        """Set up each middleware that was not set up in this process; raise what one raises.

        *begun* is then the name of that one.
        """
        process = os.getpid()
        for middleware in self.middleware[self._set_up_here.get(process, 0) :]:
            self.begun = type(middleware).__name__
            middleware.setup()
            self._set_up_here[process] = self._set_up_here.get(process, 0) + 1

    def draft(self, new: NewJob, args: Mapping[str, Any]) -> JobDraft:
        """Return the draft of a job that is being enqueued, which every middleware has seen.

        Raises what one of them raises.
        """
        draft = JobDraft(new, args)
        for middleware in self._on_enqueue:
            middleware.on_enqueue(draft)
        return draft

    def prepare(self, new: NewJob, args: Mapping[str, Any]) -> NewJob:
        """Return a job that every middleware has seen, and that is stored later, or never.

        Raises what one of them raises, TypeError and ValueError for its meta.
        """
        draft = JobDraft(new, args, is_stored_later=True)
        try:
            for middleware in self._on_enqueue:
                middleware.on_enqueue(draft)
            return draft.antq_job()
        except BaseException:
            draft.antq_is_refused = True
            raise

    def store(self, draft: JobDraft, store: Callable[[NewJob], Job]) -> Job:
        """Store a job, and return it, within the middleware."""
        call: Callable[[], Job] = lambda: store(draft.antq_job())  # noqa: E731 - the innermost
        for middleware in reversed(self._around_enqueue):
            call = partial(_around_enqueue, middleware, draft, _once(call, middleware))
        return call()

    def store_many(
        self, drafts: Sequence[JobDraft], store: Callable[[list[NewJob]], list[int]]
    ) -> list[int]:
        """Store a batch of jobs, and return their ids, within the middleware."""
        return self.store_drafts(drafts, lambda seen: store([each.antq_job() for each in seen]))

    def store_drafts(
        self, drafts: Sequence[JobDraft], store: Callable[[Sequence[JobDraft]], list[int]]
    ) -> list[int]:
        """Do what `store_many` does, where *store* makes the jobs of their drafts itself."""
        seen = tuple(drafts)
        call: Callable[[], list[int]] = partial(store, seen)
        for middleware in reversed(self._around_enqueue_many):
            call = partial(_around_enqueue_many, middleware, seen, _once(call, middleware))
        return call()


def _overrides(middleware: Middleware, hook: str) -> bool:
    own = getattr(middleware, hook)
    return getattr(own, "__func__", own) is not getattr(Middleware, hook)


def _once(call: Callable[[], T], middleware: Middleware) -> Callable[[], T]:
    """Return *call* as a middleware gets it: to be called once."""
    is_called = False

    def call_once() -> T:
        nonlocal is_called
        if is_called:
            raise RuntimeError(
                f"{type(middleware).__name__} has called call() twice, and a job is stored, or"
                " performed, once by it; to repeat a job, raise, and give its worker max_attempts"
            )
        is_called = True
        return call()

    return call_once


def _around_enqueue(middleware: Middleware, draft: JobDraft, call: Callable[[], Job]) -> Job:
    job = middleware.around_enqueue(draft, call)
    if not isinstance(job, Job):
        raise TypeError(
            f"{type(middleware).__name__}.around_enqueue returned {short_repr(job)} and no Job;"
            " write: return call()"
        )
    return job


def _around_enqueue_many(
    middleware: Middleware, drafts: Sequence[JobDraft], call: Callable[[], list[int]]
) -> list[int]:
    ids = middleware.around_enqueue_many(drafts, call)
    if not isinstance(ids, list):
        raise TypeError(
            f"{type(middleware).__name__}.around_enqueue_many returned {short_repr(ids)} and no"
            " list of ids; write: return call()"
        )
    return ids


def batch_within(
    middleware: Pipeline,
    drafts: Sequence[JobDraft],
    insert: Callable[[list[NewJob]], list[int]],
    index: int,
    before: list[int],
) -> list[int]:
    """Store a batch of jobs within the middleware, up to the item before *index*; return its ids.

    *before*: those of the batches before. Raises BatchError from what a middleware raises, and from
    what is wrong with the *meta* of a job: those before that one are stored.
    """
    stored: list[int] = []
    refusal: BaseException | None = None
    first = index - len(drafts)

    def insert_noting(seen: Sequence[JobDraft]) -> list[int]:
        nonlocal refusal, first
        news, bad = _valid(seen)
        try:
            stored.extend(insert(news) if news else ())
        except BaseException as error:
            refusal = error
            raise
        first += len(news)
        if bad is not None:
            raise bad
        return stored.copy()

    try:
        return middleware.store_drafts(drafts, insert_noting)
    except Exception as error:
        if error is refusal:  # of the store
            raise
        raise batch_error(first, before + stored, error) from error


def _valid(drafts: Sequence[JobDraft]) -> tuple[list[NewJob], Exception | None]:
    """Return the jobs before the first one whose *meta* is no meta, and what is wrong with it."""
    news: list[NewJob] = []
    for draft in drafts:
        try:
            news.append(draft.antq_job())
        except (TypeError, ValueError) as error:
            return news, error
    return news, None


def batch_error(index: int, ids: list[int], error: BaseException) -> BatchError:
    """Return what `enqueue_many` raises from *error* of the item at *index*."""
    text = f"item {index} was not stored, {len(ids)} before it were: {error}"
    return BatchError(text, index, ids)


# ---- one attempt ------------------------------------------------------------------------------


class Passage:
    """One attempt, within the middleware of its application."""

    def __init__(self, job: Job, pipeline: Pipeline) -> None:
        self._job = job
        self._pipeline = pipeline
        self._raised: BaseException | None = None
        """What has come out last."""
        self._culprit: str | None = None
        """The middleware that raised it; None: the job has."""

    def leave(self, error: BaseException | None = None) -> str | None:
        """Return the name of the middleware that has raised *error*; None: none has.

        What was raised is forgotten: its frames refer to this, and that only the collector finds.
        """
        raised, self._raised = self._raised, None
        return self._culprit if error is not None and error is raised else None

    def run(self, perform: Callable[[], Any], position: int = 0) -> Any:
        """Call *perform* within the middleware from this position on; return what comes of it."""
        around = self._pipeline.around_job
        if position == len(around):
            try:
                return perform()
            except BaseException as error:
                self._raised = error
                raise
        middleware = around[position]
        call = _once(partial(self.run, perform, position + 1), middleware)
        try:
            return middleware.around_job(self._job, call)
        except BaseException as error:
            self._note(error, middleware)
            raise

    async def run_async(self, perform: Callable[[], Awaitable[Any]], position: int = 0) -> Any:
        """Do what `run` does with a coroutine."""
        around = self._pipeline.around_job_async
        if position == len(around):
            try:
                return await perform()
            except BaseException as error:
                self._raised = error
                raise
        middleware = around[position]
        call = _once(partial(self.run_async, perform, position + 1), middleware)
        try:
            return _not_a_coroutine(await middleware.around_job_async(self._job, call))
        except BaseException as error:
            self._note(error, middleware)
            raise

    def _note(self, error: BaseException, middleware: Middleware) -> None:
        if error is not self._raised:
            self._raised, self._culprit = error, type(middleware).__name__

    def enter(self) -> None:
        """Set up the middleware that was not set up here yet; raise what one raises."""
        try:
            self._pipeline.set_up()
        except BaseException as error:
            self._raised, self._culprit = error, self._pipeline.begun
            raise


def _not_a_coroutine(value: Any) -> Any:
    """Return what ``around_job_async`` returned. Raises TypeError for what it had to await."""
    if inspect.iscoroutine(value):
        value.close()
        raise TypeError("around_job_async returned a coroutine; write: return await call()")
    return value


HANGING_SLICE_SECONDS: Final = 0.02
"""Python raises an interruption between two bytecodes, so a hanging thread runs some at times."""


class Hanging:
    """What is inside of the middleware where a test wants an attempt to hang.

    In all but ``perform`` it is the *worker* in whose place it is.
    """

    def __init__(self, worker: Any) -> None:
        self._worker = worker

    def __getattr__(self, name: str) -> Any:
        return getattr(self._worker, name)

    def perform(self, _job: Job) -> Awaitable[None]:
        """Hang until the attempt is ended; a coroutine's is one that hangs."""
        if getattr(self._worker, "antq_is_async", False):
            return _hang_in_loop()
        never = threading.Event()
        while True:
            never.wait(HANGING_SLICE_SECONDS)


async def _hang_in_loop() -> None:
    from asyncio import Event  # noqa: PLC0415 - whoever awaits this has imported it

    await Event().wait()


# ---- what an application is given --------------------------------------------------------------


def check_middleware(given: object) -> Pipeline | None:
    """Return what ``AntQ(middleware=…)`` was given, its strings imported; None: nothing.

    Raises TypeError and ConfigError.
    """
    if not isinstance(given, Sequence) or isinstance(given, str | bytes):
        raise TypeError(
            "middleware must be a list of Middleware and 'module:Class' strings, such as"
            f" [Tenants(), 'shop.tracing:Traces'], got {short_repr(given)}"
        )
    if not given:
        return None
    made = [_made(each) for each in given]
    for each in made:
        _check_hooks(each)
    return Pipeline(made, given)


def _check_hooks(middleware: Middleware) -> None:
    """Raise TypeError for a hook that would be called and then not run."""
    for hook in ("setup", *_HOOKS):
        own = getattr(middleware, hook)
        name = f"{type(middleware).__name__}.{hook}"
        if inspect.isgeneratorfunction(own) or inspect.isasyncgenfunction(own):
            raise TypeError(f"{name} is a generator, which nobody iterates; write: return call()")
        if hook != "around_job_async" and inspect.iscoroutinefunction(own):
            more = "; around_job_async is for coroutines" if hook == "around_job" else ""
            raise TypeError(f"{name} is a coroutine function, which nobody awaits{more}")


def _made(given: object) -> Middleware:
    """Return a middleware as an instance; make one of a class that is named."""
    if isinstance(given, str):
        return _named(given)
    if not isinstance(given, Middleware):
        hint = ""
        if isinstance(given, type) and issubclass(given, Middleware):
            hint = f"; write {given.__name__}()"
        raise TypeError(
            "an item of middleware must be an instance of Middleware or a 'module:Class' string,"
            f" got {short_repr(given)}{hint}"
        )
    return given


def _named(name: str) -> Middleware:
    module, separator, path = name.partition(":")
    if not (separator and module and path):
        raise ConfigError(
            f"middleware {name!r} must be the path of a class, such as 'shop.tracing:Traces'"
        )
    try:
        found = attrgetter(path)(import_module(module))
    except Exception as error:
        raise ConfigError(
            f"middleware {name!r} cannot be imported: {type(error).__name__}: {error}"
        ) from error
    if not (isinstance(found, type) and issubclass(found, Middleware)):
        raise TypeError(
            f"middleware {name!r} must name a class that is a Middleware, got {short_repr(found)}"
        )
    try:
        return found()
    except Exception as error:
        raise ConfigError(
            f"middleware {name!r} is made without arguments, which raised"
            f" {type(error).__name__}: {error}; give an instance of it instead"
        ) from error
