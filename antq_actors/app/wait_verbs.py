"""What an application does for those who wait: for jobs, their results, and idle queues."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal

from antq_actors.app.queries import checked_queue, id_of
from antq_actors.app.results import refuse_unstored
from antq_actors.checks import short_repr
from antq_actors.errors import JobCancelled, JobFailed
from antq_actors.jobs.job import Job, performed_here, wait_seconds
from antq_actors.storage.jobs.results import load_result

if TYPE_CHECKING:
    from datetime import timedelta

    from antq_actors.app.remote import RemoteRuntime
    from antq_actors.app.results import ShownResult
    from antq_actors.app.runtime import Runtime
    from antq_actors.jobs.job import Performed


class WaitVerbs:
    """The waits of an application, once it runs."""

    def _runtime(self) -> Runtime | RemoteRuntime:
        raise NotImplementedError

    def _own(self, job: Job) -> Job:
        raise NotImplementedError

    def result(self, job_or_id: Job | int, *, timeout: float | timedelta | None = None) -> Any:
        """Wait until a job has completed, and return what its ``perform`` returned.

        Its worker keeps that: ``class Resize(Worker, result=True)``. It may be read any number of
        times, in every process. Retries are waited for. After *timeout* seconds it raises
        TimeoutError; 0 looks once, None waits for ever. In ``perform`` a *timeout* must be given,
        and to wait for a job that takes a place of the same limit, at the same key, is a
        ValueError.

        Raises ResultNotKept at once for a job whose worker keeps none, and when the result is not
        there any more; ResultTooLarge; JobFailed after the last attempt, and JobCancelled, both
        with the ``job``; JobNotFound; NotStarted when the application stops in the meantime. What
        was pickled is unpickled here, after its checksum or signature was verified.
        """
        seconds = wait_seconds(timeout, "result")
        id_ = id_of(job_or_id)
        refuse_unstored([id_])
        try:
            return load_result(self._runtime().results.fetch(id_, seconds, performed_here()))
        except (JobFailed, JobCancelled) as error:
            self._own(error.job)
            raise

    async def aresult(
        self,
        job_or_id: Job | int,
        *,
        timeout: float | timedelta | None = None,  # noqa: ASYNC109 - as its twin
    ) -> Any:
        """Do what :meth:`result` does, without stopping the event loop and without a thread."""
        seconds = wait_seconds(timeout, "aresult")
        id_ = id_of(job_or_id)
        refuse_unstored([id_])
        try:
            results = self._runtime().results
            return load_result(await results.fetch_async(id_, seconds, performed_here()))
        except (JobFailed, JobCancelled) as error:
            self._own(error.job)
            raise

    def wait(
        self,
        jobs: Iterable[Job | int],
        *,
        timeout: float | timedelta | None = None,
        return_when: Literal["all", "first"] = "all",
    ) -> tuple[list[Job], list[Job]]:
        """Wait until all of *jobs* have ended, or the first one; return those done, and the others.

        *jobs* are Jobs or their ids, of any status; each counts once, and a deleted one as done,
        as does a number that no job has, such as that of a batch.
        Both lists are in their order, as they are stored now; one that was deleted is as it was
        given, or left out if that was by its id. After *timeout* seconds it returns what it has;
        None waits for ever. In ``perform`` a *timeout* must be given. With ``return_when="first"``
        one that has ended is enough.

        Raises TypeError and ValueError for arguments that make no sense, JobNotFound for a job that
        was only built, and NotStarted when the application stops in the meantime.
        """
        seconds, given = wait_seconds(timeout, "wait"), _by_id(jobs)
        first = _is_first(return_when)
        done = self._runtime().results.ended(given, seconds, first=first)
        return self._split(given, done)

    async def wait_async(
        self,
        jobs: Iterable[Job | int],
        *,
        timeout: float | timedelta | None = None,  # noqa: ASYNC109 - as its twin
        return_when: Literal["all", "first"] = "all",
    ) -> tuple[list[Job], list[Job]]:
        """Do what :meth:`wait` does, without stopping the event loop and without a thread."""
        from antq_actors.jobs.worker import in_thread  # noqa: PLC0415 - nothing else here needs it

        seconds, given = wait_seconds(timeout, "wait_async"), _by_id(jobs)
        first = _is_first(return_when)
        done = await self._runtime().results.ended_async(given, seconds, first=first)
        return await in_thread(self._split, given, done)

    def _split(self, given: dict[int, Job | None], done: set[int]) -> tuple[list[Job], list[Job]]:
        """Return the *given* jobs as they are stored now, those that are *done* and the others."""
        stored: dict[int, Job | None] = {job.id: job for job in self._jobs_of(given)}
        both: tuple[list[Job], list[Job]] = [], []
        for id_, as_given in given.items():
            job = stored.get(id_, as_given)
            if job is not None:
                both[id_ not in done].append(self._own(job))
        return both

    def wait_idle(
        self, queue: str | None = None, *, timeout: float | timedelta | None = None
    ) -> bool:
        """Wait until there is nothing left to do in *queue*, or in all queues: return True then.

        That is when, at one moment, nothing is enqueued, running or retrying, in any process, and
        nothing scheduled is due. A job that is scheduled for later is not waited for; one that is
        to be retried is. After *timeout* seconds it returns False; None waits for ever, also for
        jobs that no running queue performs. Waiting costs next to nothing, and the end is seen
        within milliseconds, or 60 of them when the last job ended in another process.

        In ``perform`` a *timeout* must be given: without a *queue* the job waits for itself, too.
        Do not wait in a finalizer (``__del__``): it may run in a thread that performs the jobs.
        Raises UnknownQueue, NotStarted when the application stops while it waits, StorageError, and
        TypeError or ValueError for a *timeout* that makes no sense.
        """
        seconds = wait_seconds(timeout, "wait_idle")
        return self._runtime().idle.wait(checked_queue(queue, "queue"), seconds)

    async def await_idle(
        self,
        queue: str | None = None,
        *,
        timeout: float | timedelta | None = None,  # noqa: ASYNC109 - as its twin
    ) -> bool:
        """Do what :meth:`wait_idle` does, without stopping the event loop and without a thread."""
        seconds = wait_seconds(timeout, "await_idle")
        return await self._runtime().idle.wait_async(checked_queue(queue, "queue"), seconds)

    def antq_shown_result(self, id_: int, /) -> ShownResult | None:
        """Return what a job returned, for display; None: nothing is kept. Raises JobNotFound."""
        return self._runtime().results.shown(id_)

    # ---- what the application of a job process has its parent do ----------------------------

    def _fetch_result(self, id_: int, seconds: float, within: Performed | None = None) -> bytes:
        """Return the payload of a job's result; raise TimeoutError after so many *seconds*."""
        return self._runtime().results.fetch(id_, seconds, within)

    def _ended_jobs(self, ids: list[int], seconds: float, *, first: bool) -> set[int]:
        """Return which of these jobs have ended within so many *seconds*."""
        return self._runtime().results.ended(ids, seconds, first=first)

    def _jobs_of(self, ids: Iterable[int]) -> list[Job]:
        """Return those of the jobs with these ids that are stored."""
        return self._runtime().results.jobs(list(ids))


def _by_id(jobs: object) -> dict[int, Job | None]:
    """Return what `wait` was given by id, None for an id alone. Raises TypeError, JobNotFound."""
    if isinstance(jobs, Job | int | str | bytes) or not isinstance(jobs, Iterable):
        raise TypeError(
            f"wait takes an iterable of jobs or ids, such as [job], got {short_repr(jobs)}"
        )
    given: dict[int, Job | None] = {}
    for each in jobs:
        id_ = id_of(each)
        if isinstance(each, Job) or id_ not in given:
            given[id_] = each if isinstance(each, Job) else None
    refuse_unstored(given)
    return given


def _is_first(return_when: object) -> bool:
    if not isinstance(return_when, str):
        raise TypeError(f'return_when must be "all" or "first", got {short_repr(return_when)}')
    if return_when not in ("all", "first"):
        raise ValueError(f'return_when must be "all" or "first", got {short_repr(return_when)}')
    return return_when == "first"
