"""Looks at stored jobs and changes them. Arguments are shown as plain data, never executed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from antq_actors.app.job_filters import checked_queue
from antq_actors.app.known_names import KnownNames
from antq_actors.checks import short_repr, whole
from antq_actors.errors import JobNotFound
from antq_actors.jobs.job import Job
from antq_actors.jobs.resolver import name_of
from antq_actors.jobs.state import Status
from antq_actors.storage.format.display import display_args
from antq_actors.storage.format.encoding import as_job
from antq_actors.storage.format.records import Filter
from antq_actors.storage.jobs.job_store import JobStore
from antq_actors.storage.jobs.reader import JobReader

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from antq_actors.app.job_filters import Wanted
    from antq_actors.app.served_queues import ServedQueues
    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.resolver import AnyWorker
    from antq_actors.jobs.state import Statuses, StoredJob
    from antq_actors.storage.client import StorageClient
    from antq_actors.storage.format.records import Span


_MOST_BITS: Final = 128
"""Of a number that an error shows."""


class JobQueries:
    """Lists, counts, cancels, retries and deletes."""

    def __init__(
        self,
        store: StorageClient,
        clock: Callable[[], Instant],
        queues: Collection[str],
        *,
        served: ServedQueues | None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._names = KnownNames(store, queues)
        self._served = served

    def list(
        self,
        *,
        status: Statuses | None,
        queue: str | None,
        worker: AnyWorker | str | None,
        span: Span,
        limit: int | None,
        wanted: Wanted,
    ) -> list[Job]:
        """Return the jobs that pass all filters given, by id."""
        chosen = Filter(wanted.statuses(_statuses(status)), queue, _worker(worker))
        found = self._store.list(chosen, span, limit=limit, accept=wanted.accept())
        return [_shown(job) for job in found]

    def filter(self, status: Statuses | None, queue_name: str | None) -> Filter:
        """Return the filter for jobs that pass both. Raises ValueError for an unknown status."""
        return Filter(_statuses(status), checked_queue(queue_name, "queue_name"))

    def count(
        self,
        *,
        status: Statuses | None,
        queue: str | None,
        worker: AnyWorker | str | None,
    ) -> int:
        """Return how many jobs pass all filters given."""
        chosen = Filter(_statuses(status), queue, _worker(worker))
        if chosen.worker is None:
            return self._store.read(JobReader.count, chosen.statuses, chosen.queue_name)
        return self._store.count_of_worker(chosen)

    def unknown(self, queue: str | None, worker: str | None) -> Sequence[str]:
        """Return a sentence for each of these filters that nothing knows."""
        return self._names.findings(queue, worker)

    def get(self, id_: int) -> Job:
        """Return a job. Raises JobNotFound."""
        return _shown(self._store.read(JobReader.get, id_of(id_)))

    def cancel(self, job_or_id: Job | int) -> Job:
        """Cancel a job that has not ended. Raises JobNotFound, NotCancellable."""
        return _shown(self._store.write(JobStore.cancel, id_of(job_or_id), now=self._clock()))

    def retry(self, job_or_id: Job | int) -> Job:
        """Enqueue an ended job again. Raises JobNotFound, NotRetryable, AlreadyExists."""
        job = _shown(self._store.write(JobStore.retry, id_of(job_or_id), now=self._clock()))
        if self._served is not None:
            self._served.note(job.queue_name, max_age=0.0)
        return job

    def delete(self, job_or_id: Job | int) -> None:
        """Delete a job. Raises JobNotFound."""
        self._store.write(JobStore.delete, id_of(job_or_id))


def _shown(stored: StoredJob) -> Job:
    return as_job(stored, display_args(stored.spec.args))


def id_of(job_or_id: object) -> int:
    """Return the id of a job, or the id itself. Raises TypeError for anything else."""
    if isinstance(job_or_id, Job):
        return job_or_id.id
    id_ = whole(job_or_id)
    if id_ is None:
        raise TypeError(f"give a Job or its id, a whole number, got {short_repr(job_or_id)}")
    if id_.bit_length() > _MOST_BITS:  # it may have more digits than Python shows
        raise JobNotFound(f"no job has an id of {id_.bit_length()} bits")
    return id_


def _statuses(
    status: Statuses | None,
) -> frozenset[Status] | None:
    if status is None:
        return None
    if isinstance(status, str):
        return frozenset([_status(status)])
    try:
        return frozenset(_status(each) for each in status)
    except TypeError as error:
        raise TypeError(f"status must be a status or several, got {short_repr(status)}") from error


def _status(status: object) -> Status:
    if not isinstance(status, str):
        raise TypeError(f"a status is a Status or its name, got {short_repr(status)}")
    try:
        return Status(status)
    except ValueError:
        known = ", ".join(Status)
        raise ValueError(f"unknown status {short_repr(status)}; known are {known}") from None


def _worker(worker: object) -> str | None:
    if worker is None or isinstance(worker, str):
        return worker
    return name_of(worker)
