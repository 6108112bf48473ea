"""What an application does with its jobs, queues and store, and Ant's names for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

from antq_actors.app.audit_verbs import AuditVerbs
from antq_actors.app.batch_verbs import BatchVerbs
from antq_actors.app.bulk_verbs import BulkVerbs
from antq_actors.app.cron_handle import CronOfApplication
from antq_actors.app.event_verbs import EventVerbs
from antq_actors.app.explaining import ExplainVerbs
from antq_actors.app.known_names import warned
from antq_actors.app.limit_handle import LimitOfApplication
from antq_actors.app.queries import (
    checked_limit,
    checked_queue,
    detail_filters,
    not_negative,
    refuse_unknown,
    span_of,
)
from antq_actors.app.wait_verbs import WaitVerbs
from antq_actors.app.workflow_verbs import WorkflowVerbs
from antq_actors.checks import check_flag
from antq_actors.errors import NotStarted
from antq_actors.jobs.control import APPLICATION
from antq_actors.jobs.history import stages, transitions
from antq_actors.jobs.worker import in_thread
from antq_actors.storage.format.kept_values import KeptValues

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from antq_actors.app.cron_handle import CronHandle, CronInfo
    from antq_actors.app.limit_handle import LimitHandle
    from antq_actors.app.queries import ListFilters
    from antq_actors.app.queue_handle import QueueHandle
    from antq_actors.app.remote import RemoteRuntime
    from antq_actors.app.runtime import Runtime
    from antq_actors.flow.limits import LimitInfo
    from antq_actors.jobs.history import Story, Transition
    from antq_actors.jobs.job import Job
    from antq_actors.jobs.options import ScheduleAt, ScheduleIn
    from antq_actors.jobs.resolver import AnyWorker
    from antq_actors.jobs.state import Statuses
    from antq_actors.jobs.steps import StepRequest
    from antq_actors.storage.admin.transfer import Imported
    from antq_actors.storage.locks.node_lock import NodeInfo


class JobVerbs(
    BulkVerbs,
    ExplainVerbs,
    BatchVerbs,
    WaitVerbs,
    WorkflowVerbs,
    KeptValues,
    EventVerbs,
    AuditVerbs,
):
    """The jobs, queues and store of an application, once it runs; `AntQ` says how it does."""

    def _runtime(self) -> Runtime | RemoteRuntime:
        raise NotImplementedError

    def _own(self, job: Job) -> Job:
        """Return a job that was read from this application, which it then asks for its result."""
        job.__dict__[APPLICATION] = self
        return job

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
        inserted_after: datetime | None = None,
        inserted_before: datetime | None = None,
        failed_after: datetime | None = None,
        failed_before: datetime | None = None,
        error: str | None = None,
    ) -> list[Job]:
        """Return the jobs that pass all given filters, by id: ascending, or the newest first.

        *status*: one or several; *worker*: a class, a function worker or a stored name; *args*: a
        subset, also within; *after*: only larger ids; *before*: only smaller ones; *limit*: at most
        so many. The next page is after, or newest first before, the last id of this one:

        >>> from antq_actors import AntQ, Worker
        >>> class Resize(Worker):
        ...     def perform(self, job): ...
        >>> with AntQ().start(queues=False) as app:
        ...     ids = app.enqueue_many(Resize, [{}] * 5)
        ...     page = app.list_jobs(newest_first=True, limit=2)
        ...     later = app.list_jobs(newest_first=True, limit=2, before=page[-1].id)
        >>> [job.id for job in [*page, *later]]
        [5, 4, 3, 2]

        *inserted_after*, *inserted_before*: enqueued later or earlier than that, an aware datetime;
        *failed_after*, *failed_before*: their newest error occurred then, whatever their status;
        *error*: a part of this error as lists show it, such as "KeyError" or "user_id", in upper
        and lower case as written. A job without errors passes none of these three.

        By *status* and *queue* it reads the jobs that it returns and no others; by anything else,
        each one that passes these two until there are *limit*. Raises ValueError for an unknown
        status, a negative limit and a datetime without a time zone, TypeError for what is no
        filter. A queue, or a worker given as text, that no stored job and no configuration knows is
        a UserWarning that names close matches.
        """
        filters: ListFilters = {
            "status": status,
            "queue": queue,
            "worker": worker,
            "args": args,
            "after": after,
            "before": before,
            "limit": limit,
            "newest_first": newest_first,
            "inserted_after": inserted_after,
            "inserted_before": inserted_before,
            "failed_after": failed_after,
            "failed_before": failed_before,
            "error": error,
        }
        return warned(self.antq_listed(filters))

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
        return warned(self._counted(status, checked_queue(queue, "queue"), worker))

    def get_job(self, id: int) -> Job:  # noqa: A002 - as the field is named
        """Return the job with this id. Raises JobNotFound."""
        return self._own(self._runtime().queries.get(id))

    def history(self, job_or_id: Job | int) -> list[Transition]:
        """Return what happened to a job: its insertion, each change of its status, how it stands.

        They ascend by time. The plain way, to be enqueued, run and completed, is told from the
        job's own record, so it costs nothing to have; every other change is stored. Of very many
        the first and the newest 200 changes are kept.

        >>> from antq_actors import AntQ, Worker
        >>> class Resize(Worker):
        ...     def perform(self, job): ...
        >>> with AntQ().start(queues=False) as app:
        ...     job = app.enqueue(Resize)
        ...     _ = app.cancel_job(job), app.retry_job(job)
        ...     [(each.status.value, each.cause) for each in app.history(job)]
        [('enqueued', None), ('cancelled', 'cancel'), ('enqueued', 'retry')]

        Raises JobNotFound, and TypeError for what is no job or id.
        """
        return transitions(stages(self.antq_story(job_or_id)))

    def antq_story(self, job_or_id: Job | int) -> Story:
        """Return what the store has of the life of a job. Raises JobNotFound, TypeError."""
        return self._runtime().queries.story(job_or_id)

    def cancel_job(self, job_or_id: Job | int) -> Job:
        """Cancel a job and return it.

        An enqueued, scheduled or retrying job is cancelled at once. A running job is told to end,
        in whatever process it runs, and is returned as it is; it is ``cancelled`` a moment later,
        unless it completes all the same. A cancelled job is returned unchanged. Raises
        NotCancellable for a job that has ended otherwise, JobNotFound.
        """
        return self._own(self._runtime().queries.cancel(job_or_id))

    def retry_job(self, job_or_id: Job | int, *, fresh: bool = False) -> Job:
        """Enqueue an ended job again, with all its attempts, and return it.

        It has what its executions have kept by ``job.step`` and ``job.checkpoint``; with *fresh*
        that is forgotten. Raises NotRetryable, JobNotFound, and AlreadyExists if a unique job is in
        its way.
        """
        check_flag(fresh, "fresh")
        return self._own(self._runtime().queries.retry(job_or_id, fresh=fresh))

    def run_now(self, job_or_id: Job | int) -> Job:
        """Make a scheduled or retrying job due now, and return it.

        It runs when its queue has a free slot: limits and pauses hold as ever. Its status and its
        attempts stay. An enqueued job is returned unchanged. Raises NotRetryable for a job that is
        running, suspended or has ended, and JobNotFound.
        """
        return self._own(self._runtime().queries.run_now(job_or_id))

    def reschedule(
        self,
        job_or_id: Job | int,
        *,
        schedule_at: ScheduleAt = None,
        schedule_in: ScheduleIn = None,
    ) -> Job:
        """Change when a job is due, to an aware datetime or to so many seconds from now; return it.

        A scheduled or retrying job keeps its status and its attempts; an enqueued one becomes
        scheduled. An instant in the past means now. Raises InvalidSchedule unless one of the two is
        given, and makes sense; NotRetryable for a job that is running, suspended or has ended;
        JobNotFound.
        """
        queries = self._runtime().queries
        job = queries.reschedule(job_or_id, schedule_at=schedule_at, schedule_in=schedule_in)
        return self._own(job)

    def delete_job(self, job_or_id: Job | int) -> None:
        """Delete a job of any status. A running job is not stopped, and its outcome is dropped.

        Raises JobNotFound.
        """
        self._runtime().queries.delete(job_or_id)

    # ---- queues and nodes -------------------------------------------------------------------

    def queue(self, name: str) -> QueueHandle:
        """Return the handle of the queue of this name. Raises UnknownQueue, naming known ones."""
        return self._runtime().queue(name)

    def queue_names(self) -> list[str]:
        """Return the queues that hold jobs, are paused, or are run by a process, by name."""
        return self._runtime().store.known_queues()

    def limits(self) -> list[LimitInfo]:
        """Return the limits that are known, by name: their numbers in force, and what they hold up.

        A limit is known once a node that defines it has started, or a job of it was enqueued.
        """
        return self._runtime().limits()

    def limit(self, name: str) -> LimitHandle:
        """Return the handle of the limit of this name; its methods raise UnknownLimit.

        It may be made before the application is started; until then they raise NotStarted.
        """
        return LimitOfApplication(name, lambda name: self._runtime().limit(name))

    def nodes(self) -> list[NodeInfo]:
        """Return the processes that run queues of this path: which, where, and with how many jobs.

        One that died is among them until its jobs are given back.
        """
        return self._runtime().store.node_infos()

    # ---- periodic jobs ----------------------------------------------------------------------

    def crons(self) -> list[CronInfo]:
        """Return all periodic entries of the store, by name: when, and what has come of them."""
        return self._runtime().crons()

    def cron(self, name: str) -> CronHandle:
        """Return the handle of the periodic entry of this name.

        It need not be there: the handle's methods raise UnknownCron then, and its ``set`` makes it.
        """
        try:
            return self._runtime().cron(name)
        except NotStarted:  # its verbs say so, unless it is started until then
            return CronOfApplication(name, lambda name: self._runtime().cron(name))

    # ---- the store as a whole ---------------------------------------------------------------

    def verify(self) -> list[str]:
        """Check the store; return what is wrong, one sentence each; see ``maintenance.verify``."""
        return self._runtime().verify()

    def backup(self, target: str | os.PathLike[str]) -> Path:
        """Copy the store as it is now to the new directory *target*, while all goes on.

        Returns its path; the copy is on disk then. Raises StorageError, and TypeError for what is
        no path.
        """
        return self._runtime().backup(target)

    def export_jobs(
        self,
        *,
        status: Statuses | None = None,
        queue_name: str | None = None,
    ) -> Iterator[bytes]:
        """Return the stored jobs as lines of JSON without ends: a head, then one each, by id."""
        return self._runtime().export_jobs(status, queue_name)

    def import_jobs(self, lines: Iterable[str | bytes]) -> Imported:
        """Store the jobs of an export as they were; trust the lines as you trust code.

        If an import is killed, import the same lines again: it goes on where it was. Raises
        BatchError at the first line that cannot be stored; those before it are.
        """
        return self._runtime().import_jobs(lines)

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
            span=span_of(after, None, newest_first=False),
            limit=checked_limit(limit),
            wanted=detail_filters({"args": args}),
        )
        hints = (
            () if jobs or (limit is not None and limit <= 0) else self._hints(queue_name, worker)
        )
        return warned((jobs, hints))

    def count_workers(
        self,
        *,
        status: Statuses | None = None,
        queue_name: str | None = None,
    ) -> int:
        """Do what :meth:`count_jobs` does, under Ant's name."""
        return warned(self._counted(status, checked_queue(queue_name, "queue_name"), None))

    def get_worker(self, id: int) -> Job:  # noqa: A002 - as the field is named
        """Do what :meth:`get_job` does, under Ant's name."""
        return self.get_job(id)

    def cancel_worker(self, job_or_id: Job | int) -> Job:
        """Do what :meth:`cancel_job` does, under Ant's name."""
        return self.cancel_job(job_or_id)

    def retry_worker(self, job_or_id: Job | int, *, fresh: bool = False) -> Job:
        """Do what :meth:`retry_job` does, under Ant's name."""
        return self.retry_job(job_or_id, fresh=fresh)

    def delete_worker(self, job_or_id: Job | int) -> None:
        """Do what :meth:`delete_job` does, under Ant's name."""
        self.delete_job(job_or_id)

    # ---- for coroutines ---------------------------------------------------------------------

    async def alist_jobs(self, **filters: Unpack[ListFilters]) -> list[Job]:
        """Do what :meth:`list_jobs` does, without stopping the event loop that awaits it.

        *filters* are the same.
        """
        refuse_unknown(filters, "alist_jobs")
        return warned(await in_thread(self.antq_listed, filters))

    async def acount_jobs(
        self,
        *,
        status: Statuses | None = None,
        queue: str | None = None,
        worker: AnyWorker | str | None = None,
    ) -> int:
        """Do what :meth:`count_jobs` does, without stopping the event loop that awaits it."""
        queue = checked_queue(queue, "queue")
        return warned(await in_thread(self._counted, status, queue, worker))

    async def aget_job(self, id: int) -> Job:  # noqa: A002 - as the field is named
        """Do what :meth:`get_job` does, without stopping the event loop that awaits it."""
        return await in_thread(self.get_job, id)

    async def ahistory(self, job_or_id: Job | int) -> list[Transition]:
        """Do what :meth:`history` does, without stopping the event loop that awaits it."""
        return await in_thread(self.history, job_or_id)

    async def acrons(self) -> list[CronInfo]:
        """Do what :meth:`crons` does, without stopping the event loop that awaits it."""
        return await in_thread(self.crons)

    async def alimits(self) -> list[LimitInfo]:
        """Do what :meth:`limits` does, without stopping the event loop that awaits it."""
        return await in_thread(self.limits)

    async def acancel_job(self, job_or_id: Job | int) -> Job:
        """Do what :meth:`cancel_job` does, without stopping the event loop that awaits it."""
        return await in_thread(self.cancel_job, job_or_id)

    async def aretry_job(self, job_or_id: Job | int, *, fresh: bool = False) -> Job:
        """Do what :meth:`retry_job` does, without stopping the event loop that awaits it."""
        return await in_thread(self.retry_job, job_or_id, fresh=fresh)

    async def arun_now(self, job_or_id: Job | int) -> Job:
        """Do what :meth:`run_now` does, without stopping the event loop that awaits it."""
        return await in_thread(self.run_now, job_or_id)

    async def areschedule(
        self,
        job_or_id: Job | int,
        *,
        schedule_at: ScheduleAt = None,
        schedule_in: ScheduleIn = None,
    ) -> Job:
        """Do what :meth:`reschedule` does, without stopping the event loop that awaits it."""
        return await in_thread(
            self.reschedule, job_or_id, schedule_at=schedule_at, schedule_in=schedule_in
        )

    async def adelete_job(self, job_or_id: Job | int) -> None:
        """Do what :meth:`delete_job` does, without stopping the event loop that awaits it."""
        await in_thread(self.delete_job, job_or_id)

    # ---- for attempts -----------------------------------------------------------------------

    def antq_steps(self, request: StepRequest, /) -> Any:
        """Do what an attempt asks for about its steps. Raises Superseded."""
        return self._runtime().queries.steps(request)

    # ---- what the application of a job process has its parent do ----------------------------

    def _list(self, **filters: Any) -> list[Job]:
        """Return the jobs that pass these filters of `list_jobs`, and issue no warning."""
        jobs = self._runtime().queries.list(**filters)
        for job in jobs:
            job.__dict__[APPLICATION] = self
        return jobs

    def _count(self, **filters: Any) -> int:
        return self._runtime().queries.count(**filters)

    def _unknown(self, queue: str | None, worker: str | None) -> Sequence[str]:
        return self._runtime().queries.unknown(queue, worker)

    def antq_listed(self, filters: ListFilters) -> tuple[list[Job], Sequence[str]]:
        """Return the jobs that pass the filters, and what to warn of when there are none."""
        queue, worker = checked_queue(filters.get("queue"), "queue"), filters.get("worker")
        limit = not_negative(filters.get("limit"))
        jobs = self._list(
            status=filters.get("status"),
            queue=queue,
            worker=worker,
            span=span_of(
                filters.get("after"), filters.get("before"), filters.get("newest_first", False)
            ),
            limit=limit,
            wanted=detail_filters(filters),
        )
        return jobs, () if jobs or limit == 0 else self._hints(queue, worker)

    def _counted(
        self, status: Statuses | None, queue: str | None, worker: AnyWorker | str | None
    ) -> tuple[int, Sequence[str]]:
        """Return how many jobs pass the filters, and what to warn of when there are none."""
        number = self._count(status=status, queue=queue, worker=worker)
        return number, () if number else self._hints(queue, worker)

    def _hints(self, queue: str | None, worker: AnyWorker | str | None) -> Sequence[str]:
        """Return a sentence for each queue or worker name that nothing knows: a typo, perhaps."""
        name = worker if isinstance(worker, str) else None
        return () if queue is None and name is None else self._unknown(queue, name)
