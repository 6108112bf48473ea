"""A batch as users hold it: many jobs, and what happens when all of them have ended.

A handle asks an application for all that it does, so it works in the process of that application
and in others, such as one that performs jobs.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping
from itertools import count
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, Self, TypeAlias, Unpack

import msgspec

from antq_actors.checks import checked_abandoned, exact_str, is_utf8, short_repr
from antq_actors.errors import (
    BatchError,
    BatchNotFound,
    JobCancelled,
    JobFailed,
    JobNotFound,
    ResultNotKept,
)
from antq_actors.introspection import explain_fields
from antq_actors.jobs.control import APPLICATION, CONTROL
from antq_actors.jobs.job import COMPOSED, Job, current_job, wait_seconds
from antq_actors.jobs.middleware import JobDraft, batch_within
from antq_actors.jobs.new_job import check_args, recipe_of
from antq_actors.jobs.worker import in_thread
from antq_actors.workflows.counters import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import timedelta
    from types import TracebackType

    from antq_actors.jobs.control import Control
    from antq_actors.jobs.options import JobOptions
    from antq_actors.jobs.resolver import AnyWorker
    from antq_actors.jobs.state import Composed, NewJob, Statuses

Abandoned: TypeAlias = Literal["keep", "cancel"]
"""What becomes of a batch whose process dies before it is closed."""

_CALL_SECONDS: Final = 0.1
"""Seconds of a wait in another process."""
_MOST_BITS: Final = 64
"""Of the id of a batch."""
_CHUNK_JOBS: Final = 500
"""Jobs that are checked before they are stored together, by an application elsewhere."""
_END: Final[Any] = object()
"""In place of an item: there are no more."""
_EVENTS: Final = {
    "on_success": Event.SUCCESS,
    "on_complete": Event.COMPLETE,
    "on_failure": Event.FAILURE,
}


@explain_fields
class BatchStatus(msgspec.Struct, frozen=True):
    """How far a batch is."""

    total: int
    """Its members."""
    ended: int
    """How many of them have ended."""
    completed: int
    """How many completed."""
    failed: int
    """How many failed."""
    cancelled: int
    """How many were cancelled, or deleted before their end."""
    closed: bool
    """Whether no more members come, but those that its members add."""
    open: bool
    """Whether it has not ended: it is not closed, or members are left."""


class BatchApplication(Protocol):
    """What an application does for its batches."""

    def antq_prepare(self, worker: Any, args: Any, options: Mapping[str, Any], /) -> NewJob:
        """Check a job as `enqueue` does, and raise the same; return it, and store nothing."""

    def antq_batch(self, verb: str, /, *args: Any) -> Any:
        """Do what the verb says to the batches of the store, and return what it returns."""

    @property
    def antq_middleware(self) -> Any:
        """What is called in this process around the enqueuing of jobs; None: nothing."""

    def result(self, job_or_id: Any, *, timeout: Any = None) -> Any:
        """Return what a job returned, as :meth:`AntQ.result` does."""


class Batch:
    """Jobs that belong together, as ``AntQ.batch`` makes it and ``AntQ.get_batch`` finds it.

    As long as it is open it has not ended. Leaving its ``with`` block closes it; an exception in
    the block does not.
    """

    def __init__(
        self,
        id_: int,
        name: str,
        application: BatchApplication,
        member: Job | None = None,
    ) -> None:
        self.id = id_
        self.name = name
        self._application = application
        self._member = member

    def __repr__(self) -> str:
        return f"<Batch {self.id} {self.name!r}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Batch) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if exc_type is None:
            self.close()

    # ---- members --------------------------------------------------------------------------

    def enqueue(
        self,
        worker: AnyWorker,
        args: Mapping[str, Any] | None = None,
        /,
        **options: Unpack[JobOptions],
    ) -> Job | None:
        """Store a job as a member of this batch, as :meth:`AntQ.enqueue` does, and return it.

        In ``perform`` of a member it is stored with the completion of that one, or never, and this
        returns None. Raises BatchClosed, BatchNotFound, and what `enqueue` raises.
        """
        new = self._application.antq_prepare(worker, args, options)
        if self._adds_later([new]):
            return None

        def store(new: NewJob) -> Job:
            return self._read(self._application.antq_batch("insert", self.id, new))

        middleware = self._application.antq_middleware
        if middleware is None:
            return store(new)
        job: Job = middleware.store(JobDraft(new, check_args(args)), store)
        return job

    def enqueue_many(
        self,
        worker: AnyWorker,
        args_iterable: Iterable[Mapping[str, Any] | None],
        /,
        **options: Unpack[JobOptions],
    ) -> list[int] | None:
        """Store a member for each item, as :meth:`AntQ.enqueue_many` does; return their ids.

        Duplicates of a unique worker are left out, and are no members. In ``perform`` of a member
        they are stored with the completion of that one, and this returns None.
        """
        if self._attempt() is not None:
            self._check_call(worker, options)
            prepared = list(self._prepared(worker, args_iterable, options))
            if self._adds_later([new for new, _ in prepared]):
                return None
            return self._added(prepared)
        directly = getattr(self._application, "antq_insert_members", None)
        found: list[int] | None = None
        if directly is not None:
            found = directly(self.id, worker, args_iterable, options)
        if found is not None:
            return found
        ids: list[int] = []
        chunk: list[tuple[NewJob, Mapping[str, Any] | None]] = []
        index = 0

        def store() -> list[int]:
            ids.extend(self._insert_many(chunk, index, ids))
            chunk.clear()
            return ids

        store()  # it may be closed
        self._check_call(worker, options)
        for each in self._prepared(worker, args_iterable, options, store):
            chunk.append(each)
            index += 1
            if len(chunk) == _CHUNK_JOBS:
                store()
        return store()

    def _insert_many(
        self, chunk: list[tuple[NewJob, Mapping[str, Any] | None]], index: int, before: list[int]
    ) -> list[int]:
        """Store some members with these arguments, up to the item before *index*; return their ids.

        *before*: those of the members before.
        """

        def insert(news: list[NewJob]) -> list[int]:
            ids: list[int] = self._application.antq_batch("insert_many", self.id, news)
            return ids

        middleware = self._application.antq_middleware
        if middleware is None or not chunk:
            return insert([new for new, _ in chunk])
        drafts = [JobDraft(new, check_args(args)) for new, args in chunk]
        return batch_within(middleware, drafts, insert, index, before)

    def _check_call(self, worker: AnyWorker, options: Mapping[str, Any]) -> None:
        """Raise what is wrong with all jobs of a call, before its first item is looked at.

        An application in another process that stands for the parent alone finds it with that one.
        """
        enqueue_many = getattr(self._application, "enqueue_many", None)
        if enqueue_many is not None:
            enqueue_many(worker, [], **options)

    def _prepared(
        self,
        worker: AnyWorker,
        args_iterable: Iterable[Mapping[str, Any] | None],
        options: Mapping[str, Any],
        store: Callable[[], list[int]] = list,
    ) -> Iterator[tuple[NewJob, Mapping[str, Any] | None]]:
        """Yield a checked job for each item, and the item. Raises BatchError from an item's error.

        *store*: stores those before it, and returns the ids of all that are stored.
        """
        items = iter(_checked_items(args_iterable))
        for index in count():
            try:
                item = next(items, _END)
                new = (
                    None if item is _END else self._application.antq_prepare(worker, item, options)
                )
            except Exception as error:
                stored = store()
                text = f"item {index} was not stored, {len(stored)} before it were: {error}"
                raise BatchError(text, index, stored) from error
            if new is None:
                return
            yield new, item

    def batch(
        self,
        name: str,
        *,
        on_success: Job | None = None,
        on_complete: Job | None = None,
        on_failure: Job | None = None,
        abandoned: Abandoned = "keep",
    ) -> Batch:
        """Make a batch that is a member of this one.

        It counts once, when it has ended: as completed if all of its own members have completed,
        else as failed. Raises BatchClosed, and what :meth:`AntQ.batch` raises.
        """
        callbacks = {
            "on_success": on_success,
            "on_complete": on_complete,
            "on_failure": on_failure,
        }
        return make_batch(self._application, name, callbacks, abandoned, parent=self.id)

    def _read(self, job: Job) -> Job:
        """Return a job that was read from the application of this batch."""
        job.__dict__[APPLICATION] = self._application
        return job

    def _attempt(self) -> Control | None:
        """Return the control of the attempt that this code runs in, if it is of a member."""
        job = self._member or current_job()
        composed: Composed | None = None if job is None else job.__dict__.get(COMPOSED)
        if job is None or composed is None or composed.group != self.id or composed.is_apart:
            return None
        control: Control | None = job.__dict__.get(CONTROL)
        return None if control is None or control.is_over else control

    def _adds_later(self, news: list[NewJob]) -> bool:
        """Leave jobs to the completion of the member that this code performs, if it does."""
        control = self._attempt()
        return control is not None and control.ask(news)

    def _added(self, prepared: list[tuple[NewJob, Mapping[str, Any] | None]]) -> list[int]:
        """Store jobs now: the member that they were prepared in has ended in the meantime."""
        ids: list[int] = []
        for at in range(0, len(prepared), _CHUNK_JOBS):
            chunk = prepared[at : at + _CHUNK_JOBS]
            ids += self._insert_many(chunk, at + len(chunk), ids)
        return ids

    # ---- what becomes of it -----------------------------------------------------------------

    def close(self) -> None:
        """Let it end: it gets no more members but those that its members add. Twice is once."""
        self._application.antq_batch("close", self.id)

    def cancel(self) -> None:
        """Close it, and cancel all members that have not ended. Twice is once.

        Those that run are told to end; a batch in this one is cancelled, too.
        """
        self._application.antq_batch("cancel", self.id)

    def retry_failed(self) -> None:
        """Enqueue the members that have failed again; they are counted anew when they end."""
        self._application.antq_batch("retry_failed", self.id)

    def status(self) -> BatchStatus:
        """Return how far it is: one read, however many members it has."""
        status: BatchStatus = self._application.antq_batch("status", self.id)
        return status

    def jobs(self, status: Statuses | None = None) -> list[Job]:
        """Return its members, by id, of one status or several."""
        found: list[Job] = self._application.antq_batch("jobs", self.id, status)
        return [self._read(job) for job in found]

    def results(self) -> Iterator[Any]:
        """Yield what its members returned, by id: of those that completed and keep it.

        It is read page by page, and anew at each call.
        """
        after: int | None = 0
        while after is not None:
            ids, after = self._application.antq_batch("kept", self.id, after)
            for id_ in ids:
                try:
                    value = self._application.result(id_, timeout=0)
                except (ResultNotKept, JobNotFound, JobFailed, JobCancelled, TimeoutError):
                    continue  # it was too large, or has changed meanwhile
                yield value

    def wait(self, timeout: float | timedelta | None = None) -> BatchStatus:
        """Wait until it has ended, and return its status. Raises TimeoutError when it is late.

        In ``perform`` of a job *timeout* must be given.
        """
        seconds = wait_seconds(timeout, "batch.wait")
        deadline = math.inf if seconds is None else time.monotonic() + seconds
        while True:
            status = self.status()
            if not status.open:
                return status
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(
                    f"batch {self.id} {self.name!r} has not ended: {status.ended} of"
                    f" {status.total} members have, and it is"
                    f" {'closed' if status.closed else 'not closed'}"
                )
            self._application.antq_batch("ended", self.id, None if seconds is None else left)

    # ---- for coroutines -------------------------------------------------------------------

    async def aenqueue(
        self,
        worker: AnyWorker,
        args: Mapping[str, Any] | None = None,
        /,
        **options: Unpack[JobOptions],
    ) -> Job | None:
        """Do what :meth:`enqueue` does, without stopping the event loop that awaits it."""
        return await in_thread(self.enqueue, worker, args, **options)

    async def aenqueue_many(
        self,
        worker: AnyWorker,
        args_iterable: Iterable[Mapping[str, Any] | None],
        /,
        **options: Unpack[JobOptions],
    ) -> list[int] | None:
        """Do what :meth:`enqueue_many` does, without stopping the event loop that awaits it."""
        return await in_thread(self.enqueue_many, worker, args_iterable, **options)

    async def aclose(self) -> None:
        """Do what :meth:`close` does, without stopping the event loop that awaits it."""
        await in_thread(self.close)

    async def acancel(self) -> None:
        """Do what :meth:`cancel` does, without stopping the event loop that awaits it."""
        await in_thread(self.cancel)

    async def aretry_failed(self) -> None:
        """Do what :meth:`retry_failed` does, without stopping the event loop that awaits it."""
        await in_thread(self.retry_failed)

    async def astatus(self) -> BatchStatus:
        """Do what :meth:`status` does, without stopping the event loop that awaits it."""
        return await in_thread(self.status)

    async def ajobs(self, status: Statuses | None = None) -> list[Job]:
        """Do what :meth:`jobs` does, without stopping the event loop that awaits it."""
        return await in_thread(self.jobs, status)


def _checked_items(args_iterable: Any) -> Iterable[Any]:
    """Return the items for ``enqueue_many``. Raises TypeError for what has none."""
    if isinstance(args_iterable, Iterable) and not isinstance(args_iterable, Mapping | str | bytes):
        return args_iterable
    raise TypeError(
        "enqueue_many takes an iterable of args, one mapping for each job, such as"
        f" [{{'email': …}}, …], got {short_repr(args_iterable)}"
    )


def make_batch(
    application: BatchApplication,
    name: str,
    callbacks: Mapping[str, Job | None],
    abandoned: str,
    *,
    parent: int = 0,
) -> Batch:
    """Store a new batch and return it. Raises TypeError and ValueError for what is wrong with it.

    *callbacks*: by their parameters' names.
    """
    if not isinstance(name, str):
        raise TypeError(f"the name of a batch is a str, got {short_repr(name)}")
    abandoned = checked_abandoned(abandoned)
    name = exact_str(name)
    if not name or not is_utf8(name):
        raise ValueError(
            "the name of a batch is text that UTF-8 can carry, of at least one character, got"
            f" {short_repr(name)}"
        )
    prepared = []
    for parameter, job in callbacks.items():
        if job is not None:
            recipe = recipe_of(job, parameter)
            prepared.append((int(_EVENTS[parameter]), application.antq_prepare(*recipe)))
    id_ = application.antq_batch("create", name, prepared, abandoned == "cancel", parent)
    return Batch(id_, name, application)


def find_batch(application: BatchApplication, id_: int) -> Batch:
    """Return the batch of an application with an id. Raises BatchNotFound."""
    bits = id_.bit_length()
    if id_ < 0 or bits > _MOST_BITS:  # a larger one may have more digits than Python shows
        raise BatchNotFound(
            f"no batch has the id {id_ if bits <= _MOST_BITS else f'of {bits} bits'}"
        )
    return Batch(id_, application.antq_batch("name", id_), application)


def batch_of(application: BatchApplication, id_: int, job: Job) -> Batch | None:
    """Return the batch of an application with an id, as a *job* of it has it.

    None: there is none any more, or it is no batch.
    """
    try:
        name = application.antq_batch("name", id_)
    except BatchNotFound:
        return None
    return Batch(id_, name, application, job)


def shortened(verb: str, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the arguments of a verb of batches that another process does.

    That one does nothing else meanwhile for this one, so a wait there is a short one.
    """
    if verb != "ended":
        return args
    id_, seconds = args
    return id_, _CALL_SECONDS if seconds is None else min(seconds, _CALL_SECONDS)


def of_entries(entries: Sequence[tuple[int, str]], application: BatchApplication) -> list[Batch]:
    """Return the handles of batches, given their ids and names."""
    return [Batch(id_, name, application) for id_, name in entries]
