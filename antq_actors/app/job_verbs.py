"""The verbs of an application that list, count and change its jobs, and Ant's names for them."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from antq_actors.app.lookup import checked_limit, checked_queue, not_negative, span_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from antq_actors.app.job_process import ThroughParent
    from antq_actors.app.live import Live
    from antq_actors.jobs.job import Job
    from antq_actors.jobs.registry import AnyWorker
    from antq_actors.jobs.status import Statuses


class JobVerbs:
    """Lists, counts, gets, cancels, retries and deletes the jobs of an application."""

    def _live(self) -> Live | ThroughParent:
        raise NotImplementedError

    def list_jobs(
        self,
        *,
        status: Statuses | None = None,
        queue: str | None = None,
        worker: AnyWorker | str | None = None,
        args: Mapping[str, Any] | None = None,
        after: int | None = None,
        before: int | None = None,
        limit: int | None = None,
        newest_first: bool = False,
    ) -> list[Job]:
        """Return the jobs that pass all given filters, by id: ascending, or the newest first.

        *status*: one or several; *worker*: a class, a function worker or a stored name; *args*: a
        subset, also within; *after*: only larger ids; *before*: only smaller ones; *limit*: at most
        so many. The next page is after, or newest first before, the last id of this one:

        >>> from antq_actors import AntQ, Worker
        >>> class Resize(Worker):
        ...     def perform(self, job): ...
        >>> with AntQ(start_queues=False) as app:
        ...     ids = app.enqueue_many(Resize, [{}] * 5)
        ...     page = app.list_jobs(newest_first=True, limit=2)
        ...     later = app.list_jobs(newest_first=True, limit=2, before=page[-1].id)
        >>> [job.id for job in [*page, *later]]
        [5, 4, 3, 2]

        By *status* and *queue* it reads the jobs that it returns and no others; by *worker* and
        *args*, each one that passes the other filters until there are *limit*. Raises ValueError
        for an unknown status and a negative limit, TypeError for what is no filter. A queue, or a
        worker given as text, that no stored job and no configuration knows is a UserWarning that
        names close matches.
        """
        jobs = self._list(
            status=status,
            queue=checked_queue(queue, "queue"),
            worker=worker,
            args=args,
            span=span_of(after, before, newest_first),
            limit=not_negative(limit),
        )
        if not jobs and limit != 0:
            self._warn_if_unknown(queue, worker)
        return jobs

    def count_jobs(
        self,
        *,
        status: Statuses | None = None,
        queue: str | None = None,
        worker: AnyWorker | str | None = None,
    ) -> int:
        """Return how many jobs pass all given filters.

        By *status* and *queue* it takes no longer for many jobs than for few. By *worker* it reads
        each job that passes the other two, a page at a time. Unknown names are a UserWarning, as
        in :meth:`list_jobs`.
        """
        queue = checked_queue(queue, "queue")
        number = self._count(status=status, queue=queue, worker=worker)
        if not number:
            self._warn_if_unknown(queue, worker)
        return number

    def get_job(self, id: int) -> Job:  # noqa: A002 - as the field is named
        """Return the job with this id. Raises JobNotFound."""
        return self._live().lookup.get(id)

    def cancel_job(self, job_or_id: Job | int) -> Job:
        """Cancel a job and return it.

        An enqueued, scheduled or retrying one is cancelled at once. Of a running one, the executor
        is asked to end it, wherever it runs, and it is returned running: it will be ``cancelled``,
        whatever it still comes to, unless it completes all the same. Cancelled before: returned as
        it is. Raises NotCancellable for a job that has ended otherwise, JobNotFound.
        """
        return self._live().lookup.cancel(job_or_id)

    def retry_job(self, job_or_id: Job | int) -> Job:
        """Enqueue an ended job again, with all its attempts before it; return it.

        Raises NotRetryable, JobNotFound, and AlreadyExists if a unique job is in its way.
        """
        return self._live().lookup.retry(job_or_id)

    def delete_job(self, job_or_id: Job | int) -> None:
        """Delete a job of any status; a running one is not stopped, its outcome is dropped.

        Raises JobNotFound.
        """
        self._live().lookup.delete(job_or_id)

    # ---- Ant's names ------------------------------------------------------------------------

    def list_workers(
        self,
        *,
        status: Statuses | None = None,
        queue_name: str | None = None,
        worker: AnyWorker | str | None = None,
        args: Mapping[str, Any] | None = None,
        after: int | None = None,
        limit: int | None = None,
    ) -> list[Job]:
        """Do what :meth:`list_jobs` does, under Ant's name: a negative limit returns []."""
        jobs = self._list(
            status=status,
            queue=checked_queue(queue_name, "queue_name"),
            worker=worker,
            args=args,
            span=span_of(after, None, newest_first=False),
            limit=checked_limit(limit),
        )
        if not jobs and (limit is None or limit > 0):
            self._warn_if_unknown(queue_name, worker)
        return jobs

    def count_workers(
        self,
        *,
        status: Statuses | None = None,
        queue_name: str | None = None,
    ) -> int:
        """Do what :meth:`count_jobs` does, under Ant's name."""
        queue = checked_queue(queue_name, "queue_name")
        number = self._count(status=status, queue=queue, worker=None)
        if not number:
            self._warn_if_unknown(queue, None)
        return number

    def get_worker(self, id: int) -> Job:  # noqa: A002 - as the field is named
        """Do what :meth:`get_job` does, under Ant's name."""
        return self.get_job(id)

    def cancel_worker(self, job_or_id: Job | int) -> Job:
        """Do what :meth:`cancel_job` does, under Ant's name."""
        return self.cancel_job(job_or_id)

    def retry_worker(self, job_or_id: Job | int) -> Job:
        """Do what :meth:`retry_job` does, under Ant's name."""
        return self.retry_job(job_or_id)

    def delete_worker(self, job_or_id: Job | int) -> None:
        """Do what :meth:`delete_job` does, under Ant's name."""
        self.delete_job(job_or_id)

    # ---- what the application of a job process has its parent do ----------------------------

    def _list(self, **filters: Any) -> list[Job]:
        """Return the jobs that pass; no warning is given here, but where it was asked for."""
        return self._live().lookup.list(**filters)

    def _count(self, **filters: Any) -> int:
        return self._live().lookup.count(**filters)

    def _unknown(self, queue: str | None, worker: str | None) -> Sequence[str]:
        return self._live().lookup.unknown(queue, worker)

    def _warn_if_unknown(self, queue: str | None, worker: AnyWorker | str | None) -> None:
        """Warn whoever called the caller of this of a name that nothing knows: a typo, perhaps."""
        name = worker if isinstance(worker, str) else None
        if queue is not None or name is not None:
            for sentence in self._unknown(queue, name):
                warnings.warn(sentence, UserWarning, stacklevel=3)
