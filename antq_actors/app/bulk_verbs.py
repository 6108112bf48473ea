"""What an application does with all jobs that a filter finds, and Ant's names for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

from antq_actors.app import bulk
from antq_actors.app.bulk import (
    AntsFilters,
    AntsRetryFilters,
    BulkFilters,
    BulkOutcome,
    RetryFilters,
)
from antq_actors.app.known_names import warned
from antq_actors.jobs.worker import in_thread

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime, timedelta

    from antq_actors.app.bulk import BulkChange, BulkVerb
    from antq_actors.app.remote import RemoteRuntime
    from antq_actors.app.runtime import Runtime
    from antq_actors.jobs.resolver import AnyWorker
    from antq_actors.jobs.state import Statuses


class BulkVerbs:
    """Retries, cancels and deletes the jobs that a filter finds; `AntQ` says how it runs."""

    def _runtime(self) -> Runtime | RemoteRuntime:
        raise NotImplementedError

    def _hints(self, queue: str | None, worker: AnyWorker | str | None) -> Sequence[str]:
        raise NotImplementedError

    def retry_jobs(
        self,
        *,
        status: Statuses | None = "failed",
        queue: str | None = None,
        worker: AnyWorker | str | None = None,
        args: Mapping[str, Any] | None = None,
        error: str | None = None,
        failed_after: datetime | None = None,
        failed_before: datetime | None = None,
        inserted_after: datetime | None = None,
        inserted_before: datetime | None = None,
        spread: float | timedelta = 0.0,
        limit: int | None = None,
        dry_run: bool = False,
    ) -> BulkOutcome:
        """Enqueue the ended jobs that pass all given filters again, by id, and return how many.

        The filters are those of :meth:`list_jobs`; *status* is failed, cancelled or completed, one
        or several, None all three. Each job is retried as :meth:`retry_job` does it. *spread*: so
        many seconds over which they are due, evenly, instead of all at once: they are ``scheduled``
        then. *limit*: at most so many are retried. *dry_run*: none is; how many would be.

        >>> from antq_actors import AntQ, Worker
        >>> class Resize(Worker):
        ...     def perform(self, job): ...
        >>> with AntQ().start(queues=False) as app:
        ...     ids = app.enqueue_many(Resize, [{"n": n} for n in range(5)])
        ...     cancelled = app.cancel_jobs(worker=Resize)
        ...     retried = app.retry_jobs(status="cancelled", args={"n": 3}, spread=600)
        >>> cancelled.changed, retried
        (5, BulkOutcome(changed=1, skipped=0, refused=0))

        500 jobs are changed in a transaction, and other work is done in between. If the program
        dies on the way, those that are retried are retried: call it again. A job that fails again
        in the meantime is not retried a second time. By *status* and *queue* no job is read that is
        not changed; no arguments are decoded unless *args* asks for them.

        Raises ValueError without a filter, and for a status that a retry cannot change; what
        :meth:`list_jobs` raises; and TypeError or ValueError for a *spread* that makes no sense.
        """
        return warned(self._changed("retry", _filters(locals()), RetryFilters, "retry_jobs"))

    def cancel_jobs(
        self,
        *,
        status: Statuses | None = None,
        queue: str | None = None,
        worker: AnyWorker | str | None = None,
        args: Mapping[str, Any] | None = None,
        error: str | None = None,
        failed_after: datetime | None = None,
        failed_before: datetime | None = None,
        inserted_after: datetime | None = None,
        inserted_before: datetime | None = None,
        limit: int | None = None,
        dry_run: bool = False,
    ) -> BulkOutcome:
        """Cancel the jobs that pass all given filters, by id, and return how many.

        Each is cancelled as :meth:`cancel_job` does it: one that runs is told to end. *status* is
        one or several of those of jobs that have not ended, None all of them. Else it works as
        :meth:`retry_jobs` does. A job that is enqueued in the meantime is not cancelled.
        """
        return warned(self._changed("cancel", _filters(locals()), BulkFilters, "cancel_jobs"))

    def delete_jobs(
        self,
        *,
        status: Statuses | None = None,
        queue: str | None = None,
        worker: AnyWorker | str | None = None,
        args: Mapping[str, Any] | None = None,
        error: str | None = None,
        failed_after: datetime | None = None,
        failed_before: datetime | None = None,
        inserted_after: datetime | None = None,
        inserted_before: datetime | None = None,
        limit: int | None = None,
        dry_run: bool = False,
    ) -> BulkOutcome:
        """Delete the jobs that pass all given filters, by id, and return how many.

        Each is deleted as :meth:`delete_job` does it; one that runs is not stopped. *status* is any
        or several, None all. Else it works as :meth:`retry_jobs` does.
        """
        return warned(self._changed("delete", _filters(locals()), BulkFilters, "delete_jobs"))

    # ---- Ant's names ------------------------------------------------------------------------

    def retry_workers(self, **filters: Unpack[AntsRetryFilters]) -> BulkOutcome:
        """Do what :meth:`retry_jobs` does, with ``queue_name=`` for the queue."""
        return warned(self._changed("retry", filters, AntsRetryFilters, "retry_workers"))

    def cancel_workers(self, **filters: Unpack[AntsFilters]) -> BulkOutcome:
        """Do what :meth:`cancel_jobs` does, with ``queue_name=`` for the queue."""
        return warned(self._changed("cancel", filters, AntsFilters, "cancel_workers"))

    def delete_workers(self, **filters: Unpack[AntsFilters]) -> BulkOutcome:
        """Do what :meth:`delete_jobs` does, with ``queue_name=`` for the queue."""
        return warned(self._changed("delete", filters, AntsFilters, "delete_workers"))

    # ---- for coroutines ---------------------------------------------------------------------

    async def aretry_jobs(self, **filters: Unpack[RetryFilters]) -> BulkOutcome:
        """Do what :meth:`retry_jobs` does, without stopping the event loop that awaits it.

        *filters* are the same.
        """
        return warned(await in_thread(self._changed, "retry", filters, RetryFilters, "aretry_jobs"))

    async def acancel_jobs(self, **filters: Unpack[BulkFilters]) -> BulkOutcome:
        """Do what :meth:`cancel_jobs` does, without stopping the event loop that awaits it.

        *filters* are the same.
        """
        changed = await in_thread(self._changed, "cancel", filters, BulkFilters, "acancel_jobs")
        return warned(changed)

    async def adelete_jobs(self, **filters: Unpack[BulkFilters]) -> BulkOutcome:
        """Do what :meth:`delete_jobs` does, without stopping the event loop that awaits it.

        *filters* are the same.
        """
        changed = await in_thread(self._changed, "delete", filters, BulkFilters, "adelete_jobs")
        return warned(changed)

    # ---- inside, and what the application of a job process has its parent do -----------------

    def _changed(
        self, verb: BulkVerb, filters: Any, known: type, called: str
    ) -> tuple[BulkOutcome, Sequence[str]]:
        """Change all jobs that pass the filters; return how many, and what to warn of if none."""
        ours = bulk.known_filters(filters, known, called)
        change = bulk.checked(verb, ours)
        outcome = bulk.carry_out(change, self._runtime().bulk)
        if outcome != BulkOutcome() or change.limit == 0:
            return outcome, ()
        return outcome, self._hints(change.filter.queue_name, ours.get("worker"))

    def _begin_bulk(self, change: BulkChange) -> BulkChange:
        return self._runtime().bulk.begin_bulk(change)

    def _step_bulk(self, change: BulkChange) -> BulkChange:
        return self._runtime().bulk.step_bulk(change)


def _filters(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the filters among the *parameters* of a method: all of them but ``self``."""
    return {name: value for name, value in parameters.items() if name != "self"}
