"""Two ways to test what enqueues: jobs are stored only, or performed where they are enqueued."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from antq_actors.app import AntQ
from antq_actors.checks import short_repr
from antq_actors.storage.jobs import single_claims
from antq_actors.storage.jobs.job_store import JobStore
from antq_actors.testing.performing import Performer, raise_failure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from antq_actors.app.bulk import BulkOutcome
    from antq_actors.app.workflow_run import WorkflowRun
    from antq_actors.jobs.job import Job
    from antq_actors.jobs.resolver import AnyWorker
    from antq_actors.jobs.state import NewJob
    from antq_actors.storage.client import StorageClient

T = TypeVar("T")

MODES: Final = ("manual", "inline")

_RELEASING: Final = frozenset(
    {"cancel", "close", "extend", "insert", "insert_many", "retry_failed", "start"}
)
"""What batches and workflows are told to do that jobs may become due by."""


def testing(  # no test, as is said below
    mode: str = "manual",  # noqa: PT028
    **antq_options: Any,
) -> AbstractContextManager[AntQ]:
    """Run an application for a test, in a ``with``: it is the one that ``perform_async`` uses.

    It has an empty store in memory and runs no queues; any name of a queue is accepted. "manual":
    jobs are stored and no more, see :func:`drain`. "inline": a job that is due is performed in the
    thread that enqueues it, when it is stored; a failed attempt is stored and raised there. The
    options are those of :class:`antq_actors.AntQ`. It holds for all threads of the process until
    its block ends; blocks may be nested.
    """
    if not isinstance(mode, str):
        raise TypeError(f"mode must be 'manual' or 'inline', got {short_repr(mode)}")
    if mode not in MODES:
        raise ValueError(f"mode must be 'manual' or 'inline', got {short_repr(mode)}")
    antq_options["start_queues"] = False  # so that it takes any queue
    app = InlineAntQ(**antq_options) if mode == "inline" else AntQ(**antq_options)
    return _running(app)


testing.__test__ = False  # type: ignore[attr-defined] # pytest takes it for a test by its name


@contextmanager
def _running(app: AntQ) -> Iterator[AntQ]:
    app.start(queues=False)
    try:
        yield app
    finally:
        app.stop(timeout=0.0)


class InlineAntQ(AntQ):
    """An application that performs jobs where they are enqueued; see :func:`testing`.

    Each thread performs what it has enqueued itself, and what is released by that.
    """

    def _start(self, *, runs_queues: bool) -> None:
        super()._start(runs_queues=runs_queues)
        self._reserved: set[int] = set()
        runtime = self._running
        if runtime is not None:
            store: Any = _ReservingStore(runtime.store, self._reserved)
            runtime.enqueuer._store = store

    # ---- what enqueues -----------------------------------------------------------------------

    def enqueue(
        self, worker: AnyWorker, args: Mapping[str, Any] | None = None, /, **options: Any
    ) -> Job:
        """Store a job, and perform it unless it is scheduled for later."""
        job = super().enqueue(worker, args, **options)
        return self._performed(job)

    def enqueue_many(
        self,
        worker: AnyWorker,
        args_iterable: Iterable[Mapping[str, Any] | None],
        /,
        **options: Any,
    ) -> list[int]:
        """Store jobs, and perform them in order; the first failure is raised at once."""
        ids = super().enqueue_many(worker, args_iterable, **options)
        self._perform(ids)
        return ids

    def retry_job(self, job_or_id: Job | int, *, fresh: bool = False) -> Job:
        """Enqueue a job again, and perform it."""
        return self._performed(super().retry_job(job_or_id, fresh=fresh))

    def run_now(self, job_or_id: Job | int) -> Job:
        """Make a job due, and perform it."""
        return self._performed(super().run_now(job_or_id))

    def retry_jobs(self, **filters: Any) -> BulkOutcome:
        """Enqueue jobs again, and perform them."""
        return self._released(super().retry_jobs(**filters))

    def start_workflow(self, *given: Any, **options: Any) -> WorkflowRun:
        """Store a workflow, and perform what is due of it."""
        return self._released(super().start_workflow(*given, **options))

    def antq_batch(self, verb: str, /, *args: Any) -> Any:
        """Do what a verb says to batches, and perform what has become due by it."""
        value = super().antq_batch(verb, *args)
        return self._released(value) if verb in _RELEASING else value

    def antq_workflow(self, verb: str, /, *args: Any) -> Any:
        """Do what a verb says to workflows, and perform what has become due by it."""
        value = super().antq_workflow(verb, *args)
        return self._released(value) if verb in _RELEASING else value

    def antq_insert_members(self, *given: Any, **more: Any) -> Any:
        """Store members of a batch, and perform them."""
        return self._released(super().antq_insert_members(*given, **more))

    # ---- what performs -----------------------------------------------------------------------

    def _performed(self, job: Job) -> Job:
        return self.get_job(job.id) if self._perform([job.id]) else job

    def _released(self, value: T) -> T:
        self._perform_released(Performer(self))
        return value

    def _perform(self, ids: Iterable[int]) -> bool:
        """Perform those of the jobs that are due, and what is released; return if any was."""
        performer = Performer(self)
        has_performed = has_released = False
        try:
            for id_ in ids:
                job = performer.claim(single_claims.claim_due, id_)
                self._reserved.discard(id_)
                if job is None:
                    continue
                has_performed = True
                performed = performer.perform(job)
                has_released |= performed.has_released
                raise_failure(performed)
        finally:
            self._reserved.difference_update(ids)
        if has_released:
            self._perform_released(performer)
        return has_performed

    def _perform_released(self, performer: Performer) -> None:
        """Perform what is enqueued and no other thread has enqueued just now."""
        while True:
            job = performer.claim(single_claims.claim_unreserved, self._reserved)
            if job is None:
                return
            raise_failure(performer.perform(job))


class _ReservingStore:
    """The store of an enqueuer that notes which jobs its callers are about to perform.

    That is noted where they are stored, by the one thread of the storage actor: so whatever is not
    noted when another job is looked for is nobody's.
    """

    def __init__(self, store: StorageClient, reserved: set[int]) -> None:
        self._store = store
        self._reserved = reserved

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def write(self, verb: Callable[..., Any], *args: Any, **more: Any) -> Any:
        if verb is JobStore.insert:
            verb = partial(_insert, self._reserved)
        elif verb is JobStore.insert_many:
            verb = partial(_insert_many, self._reserved)
        return self._store.write(verb, *args, **more)


def _insert(reserved: set[int], store: JobStore, new: NewJob) -> int:
    id_ = store.insert(new)
    reserved.add(id_)
    return id_


def _insert_many(reserved: set[int], store: JobStore, news: list[NewJob]) -> list[int | None]:
    ids = store.insert_many(news)
    reserved.update(id_ for id_ in ids if id_ is not None)
    return ids
