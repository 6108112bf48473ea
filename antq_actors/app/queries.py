"""Looks at stored jobs and changes them. Arguments are shown as plain data, never executed.

Filters are checked where they are written.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypedDict

from msgspec.structs import force_setattr

from antq_actors.app.known_names import KnownNames
from antq_actors.checks import check_flag, did_you_mean, short_repr, whole
from antq_actors.errors import InvalidSchedule, JobNotFound
from antq_actors.jobs import instant, new_job
from antq_actors.jobs.attempt_error import summary
from antq_actors.jobs.job import Job
from antq_actors.jobs.new_job import check_args
from antq_actors.jobs.resolver import name_of
from antq_actors.jobs.state import Status
from antq_actors.jobs.stepping import has_subset
from antq_actors.jobs.steps import KeepCheckpoint, KeepStep, ListSteps, ReadCheckpoint, ReadStep
from antq_actors.otp.kernel.errors import CallExit
from antq_actors.storage.format.display import display_args
from antq_actors.storage.format.encoding import as_job
from antq_actors.storage.format.records import Filter, Span
from antq_actors.storage.jobs import audited, steps
from antq_actors.storage.jobs.job_store import JobStore
from antq_actors.storage.jobs.reader import JobReader

if TYPE_CHECKING:
    import builtins
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from antq_actors.app.enqueue import EnqueueTargets
    from antq_actors.jobs.audit import AuditEntry
    from antq_actors.jobs.history import Story
    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.options import ScheduleAt, ScheduleIn
    from antq_actors.jobs.resolver import AnyWorker
    from antq_actors.jobs.state import Statuses, StoredJob
    from antq_actors.jobs.steps import StepRequest
    from antq_actors.storage.client import StorageClient
    from antq_actors.storage.format.encoding import Signer


class ListFilters(TypedDict, total=False):
    """The filters of ``list_jobs``, as its twin ``alist_jobs`` takes them by keyword."""

    status: Statuses | None
    queue: str | None
    worker: AnyWorker | str | None
    args: Mapping[str, Any] | None
    after: int | None
    before: int | None
    limit: int | None
    newest_first: bool
    inserted_after: datetime | None
    inserted_before: datetime | None
    failed_after: datetime | None
    failed_before: datetime | None
    error: str | None


class TimeRange(NamedTuple):
    """A stretch of time, without its ends; None: it has none on that side."""

    after: Instant | None = None
    before: Instant | None = None

    def has(self, moment: Instant | None) -> bool:
        """Return whether *moment* is in this range of time, to filter jobs; None never is."""
        if moment is None:
            return False
        return (self.after is None or moment > self.after) and (
            self.before is None or moment < self.before
        )


_ALWAYS = TimeRange()


class DetailFilters(NamedTuple):
    """What a job must have that only reading it tells."""

    args: Mapping[str, Any] | None = None
    """A subset of its arguments."""
    inserted: TimeRange = _ALWAYS
    """When it was enqueued."""
    failed: TimeRange = _ALWAYS
    """When the newest of its errors occurred."""
    error: str | None = None
    """A part of its newest error."""

    def accept(self) -> Callable[[StoredJob], bool] | None:
        """Return the function that decides whether a job passes this filter; None: all do."""
        return None if self == _ANY else self._accepts

    def _accepts(self, job: StoredJob) -> bool:
        if self.inserted != _ALWAYS and not self.inserted.has(job.spec.inserted_at):
            return False
        if self.failed != _ALWAYS and not self.failed.has(_failed_at(job)):
            return False
        if self.error is not None and not _newest_has(job, self.error):
            return False
        return self.args is None or has_subset(display_args(job.spec.args), self.args)


_ANY = DetailFilters()


def detail_filters(filters: ListFilters) -> DetailFilters:
    """Return the filters of ``list_jobs`` besides ids, status, queue and worker.

    Raises TypeError or ValueError.
    """
    error = filters.get("error")
    if error is not None and not isinstance(error, str):
        raise TypeError(f"error must be a part of the error's text (str), got {short_repr(error)}")
    return DetailFilters(
        check_args(filters.get("args")) or None,
        _time_range(filters, "inserted"),
        _time_range(filters, "failed"),
        error,
    )


def refuse_unknown(filters: Iterable[str], verb: str) -> None:
    """Raise TypeError for a name that is no filter of ``list_jobs``."""
    for name in filters:
        if name not in ListFilters.__annotations__:
            hint = did_you_mean(name, ListFilters.__annotations__)
            raise TypeError(f"{verb}() got an unexpected keyword argument {name!r}{hint}")


def span_of(after: object, before: object, newest_first: object) -> Span:
    """Return the range of job ids that ``list_jobs`` reads. Raises TypeError."""
    newest = check_flag(newest_first, "newest_first")
    return Span(_number(after, "after") or 0, _number(before, "before"), newest)


def checked_limit(limit: object) -> int | None:
    """Return the *limit* of ``list_jobs`` if it is a number; else raise TypeError."""
    return _number(limit, "limit")


def not_negative(limit: object) -> int | None:
    """Return the *limit* of ``list_jobs`` if it can be one; else raise TypeError or ValueError."""
    number = checked_limit(limit)
    if number is not None and number < 0:
        raise ValueError(f"limit must be at least 0, or None for no limit, got {short_repr(limit)}")
    return number


def checked_queue(queue: object, what: str) -> str | None:
    """Return the name of a *queue* to filter jobs by; else raise TypeError, calling it *what*."""
    if queue is None or isinstance(queue, str):
        return queue
    raise TypeError(f"{what} must be a name (str) or None, got {short_repr(queue)}")


def _time_range(filters: Mapping[str, Any], what: str) -> TimeRange:
    after, before = f"{what}_after", f"{what}_before"
    return TimeRange(_moment(filters.get(after), after), _moment(filters.get(before), before))


def _moment(value: object, what: str) -> Instant | None:
    if value is None:
        return None
    if not isinstance(value, datetime):
        raise TypeError(
            f"{what} must be a datetime with a time zone or None, got {short_repr(value)}"
        )
    if value.utcoffset() is None:
        raise ValueError(
            f"{what}={value.isoformat()} has no time zone; write for example"
            " datetime.now(UTC) - timedelta(hours=1)"
        )
    return instant.from_datetime(value)


def _number(value: object, what: str) -> int | None:
    number = whole(value)
    if number is None and value is not None:
        raise TypeError(f"{what} must be a whole number or None, got {short_repr(value)}")
    return number


def _failed_at(job: StoredJob) -> Instant | None:
    """Return when the newest error of *job* occurred; None for a job without errors."""
    return job.errors[0].attempted_at if job.errors else None


def _newest_has(job: StoredJob, part: str) -> bool:
    """Return whether the newest error of *job*, as it is shown, has this *part*."""
    if not job.errors:
        return False
    newest = job.errors[0]
    return part in summary(newest.error, newest.error_type)


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
        served: EnqueueTargets | None,
        signer: Signer,
    ) -> None:
        self._store = store
        self._signer = signer
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
        wanted: DetailFilters,
    ) -> list[Job]:
        """Read the store; return the jobs that pass all filters given, by id."""
        chosen = Filter(checked_statuses(status), queue, worker_name(worker))
        found = self._store.list(chosen, span, limit=limit, accept=wanted.accept())
        return self.complete(found)

    def filter(self, status: Statuses | None, queue_name: str | None) -> Filter:
        """Return the store's filter by status and queue. Raises ValueError for a wrong status."""
        return Filter(checked_statuses(status), checked_queue(queue_name, "queue_name"))

    def count(
        self,
        *,
        status: Statuses | None,
        queue: str | None,
        worker: AnyWorker | str | None,
    ) -> int:
        """Read the store; return how many jobs pass all filters given."""
        chosen = Filter(checked_statuses(status), queue, worker_name(worker))
        if chosen.worker is None:
            return self._store.read(JobReader.count, chosen.statuses, chosen.queue_name)
        return self._store.count_of_worker(chosen)

    def unknown(self, queue: str | None, worker: str | None) -> Sequence[str]:
        """Return a sentence for each of these names of a queue and a worker that nothing knows."""
        return self._names.findings(queue, worker)

    def get(self, id_: int) -> Job:
        """Read a job in the store and return it. Raises JobNotFound."""
        (job,) = self.complete([self._store.read(JobReader.get, id_of(id_))])
        return job

    def story(self, job_or_id: Job | int) -> Story:
        """Read what the store has of the life of a job. Raises JobNotFound."""
        return self._store.read(JobReader.story, id_of(job_or_id))

    def audit(self, limit: int) -> builtins.list[AuditEntry]:
        """Read what was done by hand, the newest first."""
        return self._store.read(audited.entries, limit)

    def complete(self, found: Sequence[StoredJob]) -> builtins.list[Job]:
        """Return stored jobs as users see them; those that run, with the progress that is stored.

        That reads the store again, as only running jobs have any.
        """
        jobs = [for_display(job) for job in found]
        running = [
            (job.id, job.state.execution) for job in found if job.state.status is Status.RUNNING
        ]
        if running:
            progress = self._store.read(JobReader.progress_of, running)
            for job in jobs:
                if job.id in progress:
                    force_setattr(job, "last_progress", progress[job.id])
        return jobs

    def cancel(self, job_or_id: Job | int) -> Job:
        """Cancel a job in the store, if it has not ended. Raises JobNotFound, NotCancellable."""
        return for_display(self._store.write(JobStore.cancel, id_of(job_or_id), now=self._clock()))

    def retry(self, job_or_id: Job | int, *, fresh: bool) -> Job:
        """Enqueue a job in the store again. Raises JobNotFound, NotRetryable, AlreadyExists."""
        id_, now = id_of(job_or_id), self._clock()
        job = for_display(self._store.write(JobStore.retry, id_, now=now, fresh=fresh))
        if self._served is not None:
            self._served.note(job.queue_name, max_age=0.0)
        return job

    def steps(self, request: StepRequest) -> Any:
        """Do in the store what an attempt asks for about its steps. Raises Superseded."""
        store, now = self._store, self._clock()
        try:
            match request:
                case KeepStep():
                    return store.write(JobStore.keep_step, request, now=now)
                case KeepCheckpoint():
                    return store.write(JobStore.keep_checkpoint, request, now=now)
                case ReadStep():
                    return store.read(steps.read_step, request, self._signer)
                case ReadCheckpoint():
                    return store.read(steps.read_checkpoint, request, self._signer)
                case ListSteps(id_):
                    return store.read(steps.list_steps, id_)
        except CallExit as error:
            # The worker actor whose thread this is was killed: what it sends reaches nobody.
            raise steps.superseded(request.id, "was taken from this worker actor") from error

    def run_now(self, job_or_id: Job | int) -> Job:
        """Make a job in the store due. Raises JobNotFound, NotRetryable."""
        now = self._clock()
        return for_display(self._store.write(JobStore.run_now, id_of(job_or_id), now=now))

    def reschedule(
        self, job_or_id: Job | int, *, schedule_at: ScheduleAt, schedule_in: ScheduleIn
    ) -> Job:
        """Make a job in the store due at another time.

        Raises InvalidSchedule, JobNotFound, NotRetryable.
        """
        now = self._clock()
        due = new_job.due(schedule_in, schedule_at, now)
        if due is None:
            raise InvalidSchedule("give schedule_at=… or schedule_in=…: when the job is due")
        id_ = id_of(job_or_id)
        return for_display(self._store.write(JobStore.reschedule, id_, due=due, now=now))

    def delete(self, job_or_id: Job | int) -> None:
        """Delete a job from the store. Raises JobNotFound."""
        self._store.write(JobStore.delete, id_of(job_or_id), now=self._clock())


def for_display(stored: StoredJob) -> Job:
    """Return a stored job as users see it; its arguments are shown, and not unpickled."""
    return as_job(stored, display_args(stored.spec.args))


def id_of(job_or_id: object) -> int:
    """Return the id of a job, given as a Job or by its id. Raises TypeError for anything else."""
    if isinstance(job_or_id, Job):
        return job_or_id.id
    id_ = whole(job_or_id)
    if id_ is None:
        raise TypeError(f"give a Job or its id, a whole number, got {short_repr(job_or_id)}")
    if id_.bit_length() > _MOST_BITS:  # it may have more digits than Python shows
        raise JobNotFound(f"no job has an id of {id_.bit_length()} bits")
    return id_


def checked_statuses(status: Statuses | None) -> frozenset[Status] | None:
    """Return the statuses to filter jobs by; None: any. Raises TypeError or ValueError."""
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


def worker_name(worker: object) -> str | None:
    """Return the stored name of a worker to filter jobs by; None: any. Raises what it is none."""
    if worker is None or isinstance(worker, str):
        return worker
    return name_of(worker)
