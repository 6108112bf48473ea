"""Jobs come in: one at a time, or streamed in batches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from antq_actors.errors import BatchError, UnknownQueue
from antq_actors.jobs import draft
from antq_actors.jobs.wording import did_you_mean
from antq_actors.storage.encoding import encode_args
from antq_actors.storage.records import JobSpec, NewJob

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from antq_actors.config import Config
    from antq_actors.jobs.draft import Draft
    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.job import Job
    from antq_actors.jobs.registry import AnyWorker
    from antq_actors.storage.client import StorageClient

BATCH: Final = 1_000
"""Jobs stored in one transaction by ``enqueue_many``; so many are held in memory."""


class Intake:
    """Checks and stores new jobs. What is wrong is found in the caller; then nothing is stored."""

    def __init__(self, config: Config, store: StorageClient, clock: Callable[[], Instant]) -> None:
        self._config = config
        self._store = store
        self._clock = clock
        self._default_queue = next(iter(config.queues))

    def enqueue(
        self, worker: AnyWorker, args: Mapping[str, Any] | None, options: Mapping[str, Any]
    ) -> Job:
        """Store a job, answer it. Raises AlreadyExists, UnknownQueue, and what a draft raises."""
        drafted = self._draft(worker, args, options)
        return draft.as_job(drafted, id=self._store.insert(_new_job(drafted)))

    def enqueue_many(
        self,
        worker: AnyWorker,
        args_iterable: Iterable[Mapping[str, Any] | None],
        options: Mapping[str, Any],
    ) -> list[int]:
        """Store a job for each item, in batches, and answer their ids in order.

        Duplicates of a unique worker are left out. Raises BatchError from the error of the first
        item that cannot be stored; those before it are.
        """
        if isinstance(args_iterable, Mapping | str | bytes):
            raise TypeError(
                f"enqueue_many takes an iterable of args, one mapping for each job,"
                f" got {type(args_iterable).__name__}"
            )
        items = iter(args_iterable)
        # What is wrong with the call itself is said before the first item is looked at.
        draft.check_options(worker, options, now=self._clock())
        ids: list[int] = []
        batch: list[NewJob] = []
        index = 0
        while True:
            try:
                item = next(items, _END)
                if item is _END:
                    break
                batch.append(_new_job(self._draft(worker, item, options)))
            except Exception as error:
                ids += self._insert(batch)
                raise BatchError(
                    f"item {index} was not stored, {len(ids)} before it were: {error}", index, ids
                ) from error
            index += 1
            if len(batch) == BATCH:
                ids += self._insert(batch)
                batch = []
        ids += self._insert(batch)
        return ids

    def _insert(self, batch: list[NewJob]) -> list[int]:
        if not batch:
            return []
        return [id_ for id_ in self._store.insert_many(batch) if id_ is not None]

    def _draft(
        self, worker: AnyWorker, args: Mapping[str, Any] | None, options: Mapping[str, Any]
    ) -> Draft:
        drafted = draft.draft(
            worker, args, options, now=self._clock(), default_queue=self._default_queue
        )
        queue = drafted.state.queue_name
        if self._config.start_queues and queue not in self._config.queues:
            raise UnknownQueue(
                f"no queue {queue!r} runs in this application, so the job would wait for ever"
                f"{did_you_mean(queue, self._config.queues)}. Configure it with"
                f" AntQ(queues={{{queue!r}: …}}), or enqueue from an application with"
                " start_queues=False"
            )
        return drafted


_END: Final[Any] = object()


def _new_job(drafted: Draft) -> NewJob:
    unique = drafted.options.unique
    spec = JobSpec(
        worker=drafted.worker,
        args=encode_args(drafted.args),
        inserted_at=drafted.inserted_at,
        timeout=drafted.options.timeout,
        unique=None if unique is None else tuple(unique.args),
        unique_statuses=() if unique is None else tuple(unique.statuses),
        unique_digest=drafted.digest,
    )
    return NewJob(drafted.state, spec)
