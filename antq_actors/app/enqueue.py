"""Jobs come in: one at a time, or streamed in batches.

A process that enqueues and runs no queues looks which ones the living nodes of its path run. A job
for a queue that nobody runs waits for ever. That is said once for each queue, to whoever enqueues
there while nodes live: before the first one lives, it is only early.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from antq_actors.app import crons
from antq_actors.app.encrypting import Encrypting
from antq_actors.app.limits import of_queue
from antq_actors.checks import list_known, short_repr
from antq_actors.errors import AntqError, UnknownQueue
from antq_actors.jobs import everywhere
from antq_actors.jobs.limits import from_stored
from antq_actors.jobs.middleware import batch_error, batch_within
from antq_actors.jobs.new_job import JobTemplate
from antq_actors.jobs.resolver import check_worker
from antq_actors.jobs.state import StoredJob
from antq_actors.jobs.worker import refuse_unrunnable
from antq_actors.jobs.worker_registry import defined
from antq_actors.storage.format.display import display_args
from antq_actors.storage.format.encoding import as_job
from antq_actors.storage.format.values import encode_and_snapshot, encode_args
from antq_actors.storage.jobs.job_store import JobStore
from antq_actors.storage.jobs.reader import JobReader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from antq_actors.app.config import Config
    from antq_actors.app.crons import Entry
    from antq_actors.flow.limits import QueueLimit
    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.job import Job
    from antq_actors.jobs.limits import JobLimits
    from antq_actors.jobs.middleware import JobDraft, Pipeline
    from antq_actors.jobs.resolver import AnyWorker
    from antq_actors.jobs.state import NewJob
    from antq_actors.storage.client import StorageClient
    from antq_actors.storage.jobs.crons import CronDeclaration

log: Final = logging.getLogger("antq_actors.app")

_LOOK_SECONDS: Final = 1.0
"""Between two looks for what was enqueued; one costs some 100 µs, and as much for each node."""

DEFAULT_AGE_SECONDS: Final = 0.2
"""How old a look may be that chooses the queue of a job."""


class EnqueueTargets:
    """Looks at the nodes of *store*'s path, as seldom as will do."""

    def __init__(self, store: StorageClient, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._served: Sequence[str] = ()
        self._looked = -math.inf
        self._compared = -math.inf
        self._noted: set[str] = set()
        """The queues in which something was enqueued, and that were not warned about."""
        self._warned: set[str] = set()
        self._limits: dict[str, tuple[float, tuple[QueueLimit, ...]]] = {}
        """Of queues, and when they were read."""

    def first(self, max_age: float) -> str | None:
        """Return the default queue for new jobs: the first of the first live node, or None.

        It reads the store, unless it did at most *max_age* seconds ago. Raises StorageError.
        """
        served = self._look(max_age)
        return served[0] if served else None

    def note(self, queue: str, max_age: float = _LOOK_SECONDS) -> None:
        """Note an enqueue into *queue*; log a warning if nodes live and none of them runs it.

        A queue that was seen to be run *max_age* seconds ago is not looked at; those that were
        noted while no node lived are looked at again. Raises nothing that the store raises: what
        waits there is stored.
        """
        now = self._clock()
        if queue in self._noted:
            if now < self._compared + max_age:
                return
        elif queue in self._warned:
            return
        else:
            self._noted.add(queue)
        try:
            served = self._look(0.0)
        except AntqError:
            self._compared = -math.inf  # the next one looks again
            return
        self._compared = now
        if served:
            for name in self._noted.difference(served):
                self._warn(name, served)

    def limits_of(self, queue: str) -> tuple[QueueLimit, ...]:
        """Return the limits of a queue as a node has stored them, at most a second ago.

        Raises StorageError.
        """
        now = self._clock()
        known = self._limits.get(queue)
        if known is None or now >= known[0] + _LOOK_SECONDS:
            known = self._limits[queue] = now, self._store.read(JobReader.queue_passes, queue)
        return known[1]

    def _look(self, max_age: float) -> Sequence[str]:
        now = self._clock()
        if now >= self._looked + max_age:
            self._served = self._store.served_queues()
            self._looked = now
        return self._served

    def _warn(self, queue: str, served: Sequence[str]) -> None:
        self._warned.add(queue)
        try:
            self._noted.remove(queue)
        except KeyError:
            return  # another thread has just warned
        log.warning(
            "no living node runs queue %r, so what is enqueued there waits%s",
            queue,
            list_known(queue, served),
        )


BATCH_JOBS: Final = 1_000
"""Jobs stored in one transaction by ``enqueue_many``; so many are held in memory."""

BATCH_BYTES: Final = 8 * 2**20
"""Bytes of arguments that end a batch earlier."""


class Enqueuer:
    """Checks and stores new jobs. What is wrong is found in the caller; then nothing is stored."""

    def __init__(
        self,
        config: Config,
        store: StorageClient,
        clock: Callable[[], Instant],
        *,
        served: EnqueueTargets | None,
    ) -> None:
        """Check and store what an application of this *config* enqueues in *store*.

        *served*: the queues of other processes; None where only this one can run any.
        """
        self._queues = config.queues
        self._refuses_other_queues = config.start_queues
        self._store = store
        self.clock = clock
        """Tells when a job is enqueued."""
        self._served = served
        self._given = config.middleware
        self.middleware: Pipeline | None
        """What is called around the enqueuing of jobs; None: nothing."""
        everywhere.follow(self)
        is_chosen = config.has_own_queues or config.start_queues or served is None
        self._default_queue = next(iter(config.queues)) if is_chosen else ""
        """Empty: the first one of the nodes that live."""
        self._templates: dict[int | str, JobTemplate] = {}
        """Those of jobs without options of their own, each by the id and the name of its worker."""
        self._encrypting = Encrypting(config, store)
        self._queue_limits = {
            name: found for name, queue in config.queues.items() if (found := of_queue(name, queue))
        }
        self._stored_limits: dict[str, tuple[QueueLimit, ...]] = {}
        """Those of queues that only other processes configure, as they were last."""
        self._declared: set[str] = set()
        """The names of the limits that the store knows."""

    def equip(self) -> None:
        """Take the middleware that is called now around the enqueuing of jobs."""
        current = everywhere.current(self._given)
        self.middleware = None if current is None else current.to_enqueue
        self._store.tracker.notes_due = current is not None

    def enqueue(
        self, worker: AnyWorker, args: Mapping[str, Any] | None, options: Mapping[str, Any]
    ) -> Job:
        """Check, store and return a job. Raises AlreadyExists, UnknownQueue, what checks raise."""
        template = self._template_for(worker, options)
        state = template.state_at(self.clock())
        checked = template.check(args)
        encoded, snapshot = encode_and_snapshot(checked)
        new = template.new_job(state, checked, encoded)
        if self.middleware is None:
            job = template.job(self._store.write(JobStore.insert, new), snapshot, state)
        else:
            job = self._store_within(self.middleware, template, new, snapshot)
        if self._served is not None:
            self._served.note(state.queue_name)
        return job

    def _store_within(
        self, middleware: Pipeline, template: JobTemplate, new: NewJob, args: dict[str, Any]
    ) -> Job:
        """Store a job within the middleware of the application, and return it."""

        def store(new: NewJob) -> Job:
            job = template.job(self._store.write(JobStore.insert, new), args, new.state)
            return replace(job, meta=dict(new.spec.meta or ()))

        return middleware.store(middleware.draft(new, args), store)

    def prepare(
        self,
        worker: AnyWorker,
        args: Mapping[str, Any] | None,
        options: Mapping[str, Any],
        *,
        is_elsewhere: bool = False,
    ) -> NewJob:
        """Check a job and return it, to be stored later. Raises what `enqueue` raises before.

        *is_elsewhere*: another process calls the middleware.
        """
        template = self._template_for(worker, options)
        state = template.state_at(self.clock())
        checked = template.check(args)
        new = template.new_job(state, checked, encode_args(checked))
        if self.middleware is None or is_elsewhere:
            return new
        return self.middleware.prepare(new, checked)

    def check_many(
        self,
        worker: AnyWorker,
        args_iterable: Iterable[Mapping[str, Any] | None],
        options: Mapping[str, Any],
    ) -> tuple[list[NewJob], Exception | None]:
        """Check the jobs of a batch for another process; return those before the first bad one.

        Beside them is the error of that one.
        """
        template = self._template(worker, options)
        news: list[NewJob] = []
        for item in args_iterable:
            try:
                state, args = template.state(self.clock()), template.check(item)
                news.append(template.new_job(state, args, encode_args(args)))
            except Exception as error:  # noqa: BLE001 - raised there
                return news, error
        return news, None

    def insert(self, new: NewJob) -> Job:
        """Store a job that another process has had checked; return it."""
        id_ = self._store.write(JobStore.insert, new)
        self.note(new.state.queue_name)
        return as_job(StoredJob(id_, new.state, new.spec, ()), display_args(new.spec.args))

    def insert_many(self, news: list[NewJob]) -> list[int]:
        """Store jobs that another process has had checked; return their ids."""
        stored = self._store.write(JobStore.insert_many, news)
        self.note(news[0].state.queue_name)
        return [id_ for id_ in stored if id_ is not None]

    def prepare_encoded(
        self,
        worker: AnyWorker,
        args: Mapping[str, Any],
        encoded: bytes,
        options: Mapping[str, Any],
    ) -> tuple[NewJob, JobDraft | None]:
        """Return a job whose arguments are checked and encoded, to be stored. Raises the same.

        And its draft, which the middleware has seen; None: there is none.
        """
        new = self.prepare_as(self._template_for(worker, options), args, encoded)
        if self.middleware is None:
            return new, None
        draft = self.middleware.draft(new, args)
        return draft.antq_job(), draft

    def prepare_as(self, template: JobTemplate, args: Mapping[str, Any], encoded: bytes) -> NewJob:
        """Return a job of a template, with these arguments, given as bytes, too, to be stored."""
        return template.new_job(template.state(self.clock()), args, encoded)

    def enqueue_many(
        self,
        worker: AnyWorker,
        args_iterable: Iterable[Mapping[str, Any] | None],
        options: Mapping[str, Any],
        *,
        insert: Callable[[list[NewJob]], list[int | None]] | None = None,
    ) -> list[int]:
        """Store a job for each item, in batches, and return their ids in order.

        *insert*: stores some of them, if they do not come as others do. Duplicates of a unique
        worker are left out. Raises BatchError from the error of the first item that cannot be
        stored; those before it are.
        """
        items = items_of(args_iterable)
        # What is wrong with the call itself is said before the first item is looked at.
        template = self._template(worker, options)
        template.state(self.clock())
        ids: list[int] = []
        batch: list[NewJob] = []
        drafts: list[JobDraft] = []
        middleware = self.middleware
        index = size = 0
        while True:
            try:
                item = next(items, _END)
                if item is _END:
                    break
                state, args = template.state(self.clock()), template.check(item)
                new = template.new_job(state, args, encode_args(args))
                if middleware is not None:
                    drafts.append(middleware.draft(new, args))
            except Exception as error:
                self._insert(ids, batch, drafts, insert, index)
                raise batch_error(index, ids, error) from error
            batch.append(new)
            index += 1
            size += len(new.spec.args)
            if len(batch) == BATCH_JOBS or size >= BATCH_BYTES:
                self._insert(ids, batch, drafts, insert, index)
                batch, drafts, size = [], [], 0
        self._insert(ids, batch, drafts, insert, index)
        return ids

    def declaration(self, entry: Entry, name: str) -> CronDeclaration:
        """Return a periodic *entry* as it is stored under *name*, checked as a job would be."""
        return crons.declaration(name, entry, self._template, self.clock())

    def declarations(self, entries: Iterable[Entry]) -> list[CronDeclaration]:
        """Return what this process declares as a node: *entries*, and those of its workers.

        The store need not answer yet; the limits of their jobs are stored when the node starts.
        """
        return crons.declared_here(entries, self._queues, self._checked_template, self.clock())

    def _insert(
        self,
        ids: list[int],
        batch: list[NewJob],
        drafts: list[JobDraft],
        insert: Callable[[list[NewJob]], list[int | None]] | None,
        index: int,
    ) -> None:
        """Store a batch, up to the item before *index*, and append its ids to *ids*."""
        if not batch:
            return
        store = self._store

        def insert_all(news: list[NewJob]) -> list[int]:
            stored = store.write(JobStore.insert_many, news) if insert is None else insert(news)
            return [id_ for id_ in stored if id_ is not None]

        if self.middleware is None:
            ids += insert_all(batch)
        else:
            ids += batch_within(self.middleware, drafts, insert_all, index, ids)
        self.note(batch[0].state.queue_name)

    def note(self, queue: str) -> None:
        """Note that a job was stored in a queue; log a warning if nobody runs that."""
        if self._served is not None:
            self._served.note(queue)

    def template(self, worker: AnyWorker, options: Mapping[str, Any]) -> JobTemplate:
        """Return what jobs of a worker with these options have in common.

        Raises what `enqueue` raises for any of them.
        """
        return self._template_for(worker, options)

    def _template_for(self, worker: AnyWorker, options: Mapping[str, Any]) -> JobTemplate:
        """Return the template of a job, the one that is kept for its worker if it can be."""
        template = None if options else self._templates.get(id(worker))
        is_stale = self._served is not None and template and self._has_changed(template)
        if template is None or is_stale or defined(template.worker) is not worker:
            template = self._template(worker, options)
            if not options:
                self._keep(template)
        return template

    def _template(self, worker: AnyWorker, options: Mapping[str, Any]) -> JobTemplate:
        template = self._checked_template(worker, options)
        self._encrypting.compare()
        if template.limits is not None:
            self._declare(template.limits)
        return template

    def _checked_template(self, worker: AnyWorker, options: Mapping[str, Any]) -> JobTemplate:
        # Only a subclass of Worker that was found to be runnable has this mark of its own.
        is_checked = isinstance(worker, type) and "_antq_is_runnable" in worker.__dict__
        if not is_checked:
            check_worker(worker)
        template = JobTemplate(worker, options, default_queue=self._default_queue)
        if not template.queue:
            template.queue = self.default_queue(DEFAULT_AGE_SECONDS)
        if not is_checked and isinstance(worker, type):
            refuse_unrunnable(worker)
        if self._refuses_other_queues and template.queue not in self._queues:
            raise self._unknown_queue(template.queue)
        limits = self._queue_limits.get(template.queue)
        if limits is None and self._served is not None:
            stored = self._stored_limits[template.queue] = self._served.limits_of(template.queue)
            limits = from_stored(template.queue, stored)
        if limits:
            template.limit_by(limits)
        self._encrypting.mark(template)
        return template

    def _has_changed(self, template: JobTemplate) -> bool:
        """Return whether nodes have since made another queue the default, or changed its limits.

        Raises StorageError.
        """
        queue, follows_nodes = template.queue, not (self._default_queue or template.options.queue)
        if follows_nodes and queue != self.default_queue(DEFAULT_AGE_SECONDS):
            return True
        if queue in self._queue_limits or self._served is None:
            return False
        return self._served.limits_of(queue) != self._stored_limits.get(queue, ())

    def _declare(self, limits: JobLimits) -> None:
        """Store, before the first job of a limit, what is not known of it. Raises StorageError."""
        new = [rule for rule in limits.rules if rule.name not in self._declared]
        if new:
            self._store.write(JobStore.declare_limits, new, replace=False)
            self._declared.update(rule.name for rule in new)

    def _keep(self, template: JobTemplate) -> None:
        """Keep *template* for the next jobs of its worker, in place of an earlier definition's.

        Not if the worker was defined again.
        """
        worker = template.defined_as
        if defined(template.worker) is not worker:
            return
        earlier = self._templates.pop(template.worker, None)
        if earlier is not None:
            self._templates.pop(id(earlier.defined_as), None)
        self._templates[template.worker] = template
        self._templates[id(worker)] = template

    def default_queue(self, max_age: float) -> str:
        """Return the queue for jobs of workers that name none.

        Without queues of its own, it is one of a living node, as seen at most *max_age* seconds
        ago. Raises StorageError.
        """
        if self._default_queue or self._served is None:
            return self._default_queue
        return self._served.first(max_age) or next(iter(self._queues))

    def _unknown_queue(self, queue: str) -> UnknownQueue:
        return UnknownQueue(
            f"this application has no queue {queue!r}, so the job would wait for ever"
            f"{list_known(queue, self._queues)}; configure it with"
            f" AntQ(queues={{{queue!r}: …}}), or enqueue from an application that is described"
            " with start_queues=False"
        )


_END: Final[Any] = object()


def items_of(args_iterable: object) -> Iterator[Any]:
    """Return the items for ``enqueue_many`` one by one. Raises TypeError for what has none."""
    if not isinstance(args_iterable, Mapping | str | bytes):
        with suppress(TypeError):
            return iter(args_iterable)  # type: ignore[call-overload,no-any-return] # it may raise
    raise TypeError(
        "enqueue_many takes an iterable of args, one mapping for each job, such as"
        f" [{{'email': …}}, …], got {short_repr(args_iterable)}"
    )
