"""Jobs that a filter finds are changed page by page, each in a transaction, with room in between.

What is done is done: a program that dies on the way has changed the first pages, and calls again.
The ids that there are at the begin are the end of it, and the jobs of a status have to have had it
then. So what fails again in the meantime is not retried twice, and what is enqueued not cancelled.

A page is found by the index and told to the store by its ids; a job is read only where a filter
asks for what the index does not have, and by the caller's thread.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Protocol, TypeAlias, TypedDict

from antq_actors.app.queries import (
    DetailFilters,
    checked_queue,
    checked_statuses,
    detail_filters,
    not_negative,
    worker_name,
)
from antq_actors.checks import check_flag, did_you_mean, to_seconds
from antq_actors.introspection import explain_fields
from antq_actors.jobs import instant
from antq_actors.jobs.state import ACTIVE, ENDED, Status
from antq_actors.storage.format.records import BulkResult, Chosen, Filter, Span
from antq_actors.storage.jobs.bulk_tasks import due_at
from antq_actors.storage.jobs.job_store import JobStore
from antq_actors.storage.jobs.reader import JobReader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime, timedelta

    from antq_actors.app.enqueue import EnqueueTargets
    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.resolver import AnyWorker
    from antq_actors.jobs.state import Statuses
    from antq_actors.storage.client import StorageClient

PAGE_JOBS: Final = 500
"""Jobs that are changed in one transaction: a claim waits for it for some milliseconds."""
_GAP_SECONDS: Final = 0.003
"""Between two of these transactions: who waits for the lock, also in another process, wakes up and
writes in this time, what follows from it included. Else the next page would often be first."""
_COUNT_PAGE_JOBS: Final = 5_000
"""Ids that are read in one transaction where nothing is changed."""


@explain_fields
class BulkOutcome(NamedTuple):
    """What became of the jobs that were to be retried, cancelled or deleted."""

    changed: int = 0
    """Jobs that were changed; with ``dry_run``, jobs that would have been."""
    skipped: int = 0
    """Jobs that had changed in the meantime, and are left as they are."""
    refused: int = 0
    """Jobs that could not be retried, because a unique job is in their way or a limit is full."""


class _Filters(TypedDict, total=False):
    status: Statuses | None
    worker: AnyWorker | str | None
    args: Mapping[str, Any] | None
    error: str | None
    failed_after: datetime | None
    failed_before: datetime | None
    inserted_after: datetime | None
    inserted_before: datetime | None
    limit: int | None
    dry_run: bool


class BulkFilters(_Filters, total=False):
    """The filters of ``cancel_jobs`` and ``delete_jobs``, as their twins take them by keyword."""

    queue: str | None


class RetryFilters(BulkFilters, total=False):
    """The filters of ``retry_jobs``, as its twin takes them by keyword."""

    spread: float | timedelta


class AntsFilters(_Filters, total=False):
    """The filters of ``cancel_workers`` and ``delete_workers``."""

    queue_name: str | None


class AntsRetryFilters(AntsFilters, total=False):
    """The filters of ``retry_workers``."""

    spread: float | timedelta


BulkVerb: TypeAlias = Literal["retry", "cancel", "delete"]

_CHANGES: Final[Mapping[str, frozenset[Status]]] = {
    "retry": ENDED,
    "cancel": ACTIVE,
    "delete": frozenset(Status),
}
"""The statuses of jobs that a verb can change."""


class BulkChange(NamedTuple):
    """A change of many jobs: which ones, and how far it is."""

    verb: BulkVerb
    filter: Filter
    wanted: DetailFilters
    limit: int | None = None
    dry_run: bool = False
    spread: Instant = 0
    """Microseconds over which the retried jobs are due; 0: they are enqueued."""
    total: int = 0
    """How many jobs there are to be spread."""
    began: Instant = 0
    span: Span = Span()
    """The ids that are left."""
    outcome: BulkOutcome = BulkOutcome()
    queues: frozenset[str] = frozenset()
    """Those that got jobs to run."""
    is_done: bool = False

    @property
    def left(self) -> int | None:
        """How many more jobs may be changed; None: any number."""
        return None if self.limit is None else self.limit - self.outcome.changed

    @property
    def chosen(self) -> Chosen:
        """What jobs still have to be when it is their turn."""
        statuses = self.filter.statuses
        # Jobs of all statuses that have not ended change from one to the other, and are meant.
        is_any = statuses is None or statuses >= ACTIVE
        return Chosen(statuses, None if is_any else self.began)

    def dues(self, count: int) -> list[Instant]:
        """Return when the next *count* retried jobs are due; nothing: at once."""
        if not self.spread:
            return []
        first = self.outcome.changed
        return [
            due_at(number, self.total, self.began, self.spread)
            for number in range(first, first + count)
        ]

    def beyond(self, ids: Sequence[int], size: int) -> BulkChange:
        """Return this change behind these *ids*; fewer than *size* are its last ones."""
        span = self.span.beyond(ids[-1]) if ids else self.span
        return self._replace(span=span, is_done=len(ids) < size)

    def after(self, result: BulkResult) -> BulkChange:
        """Return this change with a page more of it done."""
        outcome = self.outcome
        return self._replace(
            outcome=BulkOutcome(
                outcome.changed + result.changed,
                outcome.skipped + result.skipped,
                outcome.refused + result.refused,
            ),
            queues=self.queues | result.queues,
        )


def checked(verb: BulkVerb, filters: Mapping[str, Any]) -> BulkChange:
    """Return the change that *verb* with these *filters* asks for. Raises TypeError, ValueError.

    Without any filter it is refused: then all jobs were meant, or the filters were forgotten.
    """
    given = checked_statuses(filters.get("status", "failed" if verb == "retry" else None))
    queue = checked_queue(filters.get("queue"), "queue")
    worker = worker_name(filters.get("worker"))
    wanted = detail_filters(filters)  # type: ignore[arg-type] # it takes those of a list, too
    change = BulkChange(
        verb,
        Filter(_possible(verb, given), queue, worker),
        wanted,
        not_negative(filters.get("limit")),
        check_flag(filters.get("dry_run", False), "dry_run"),
        round(to_seconds(filters.get("spread", 0.0), "spread") * instant.SECOND),
    )
    if given is None and queue is None and worker is None and wanted == DetailFilters():
        raise ValueError(
            f"{verb}_jobs() without a filter would {verb} all jobs; give one, such as queue=…, or"
            " status=… with all statuses that are meant"
        )
    return change


def _possible(verb: BulkVerb, given: frozenset[Status] | None) -> frozenset[Status] | None:
    """Return the *given* statuses, or those that *verb* can change; None: all that there are."""
    possible = _CHANGES[verb]
    if given is None:
        return possible if verb != "delete" else None
    if not given <= possible:
        odd = ", ".join(sorted(given - possible))
        known = ", ".join(each for each in Status if each in possible)
        raise ValueError(f"{verb}_jobs() cannot change jobs that are {odd}, only those: {known}")
    return given


def known_filters(filters: Any, known: type, called: str) -> dict[str, Any]:
    """Return the *filters* of a method that is *called* so, each under the name that we use.

    Raises TypeError for a name that is none of those that the TypedDict *known* has.
    """
    names = known.__annotations__
    for name in filters:
        if name not in names:
            hint = did_you_mean(name, names)
            raise TypeError(f"{called}() got an unexpected keyword argument {name!r}{hint}")
    return {"queue" if name == "queue_name" else name: value for name, value in filters.items()}


# ---- page by page -----------------------------------------------------------------------------


class BulkRunner(Protocol):
    """Does a change of many jobs step by step, here or in another process."""

    def begin_bulk(self, change: BulkChange) -> BulkChange:
        """Return *change* with its end: the jobs that there are now."""

    def step_bulk(self, change: BulkChange) -> BulkChange:
        """Change the jobs of one page; return *change* as it is after it."""


_report: Final[ContextVar[Callable[[BulkOutcome], None] | None]] = ContextVar(
    "antq_bulk_report", default=None
)


@contextmanager
def reported_to(report: Callable[[BulkOutcome], None]) -> Iterator[None]:
    """Call *report* in the ``with`` block after each page with what is done so far."""
    token = _report.set(report)
    try:
        yield
    finally:
        _report.reset(token)


def carry_out(change: BulkChange, runner: BulkRunner) -> BulkOutcome:
    """Do a *change* to its end; return what became of the jobs."""
    change = runner.begin_bulk(change)
    if change.spread and not change.dry_run:
        counted = _to_the_end(change._replace(dry_run=True), runner, None)
        change = change._replace(total=counted.changed)
    return _to_the_end(change, runner, _report.get())


def _to_the_end(
    change: BulkChange, runner: BulkRunner, report: Callable[[BulkOutcome], None] | None
) -> BulkOutcome:
    while not change.is_done and change.left != 0:
        change = runner.step_bulk(change)
        if report is not None:
            report(change.outcome)
        if not (change.is_done or change.dry_run):
            time.sleep(_GAP_SECONDS)
    return change.outcome


class BulkChanges:
    """Does changes of many jobs in the store of this process, step by step."""

    def __init__(
        self,
        store: StorageClient,
        clock: Callable[[], Instant],
        *,
        served: EnqueueTargets | None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._served = served

    def begin_bulk(self, change: BulkChange) -> BulkChange:
        """Read the store; return *change* with its end."""
        last = self._store.read(JobReader.last_id)
        return change._replace(began=self._clock(), span=Span(before=last + 1))

    def step_bulk(self, change: BulkChange) -> BulkChange:
        """Find a page of jobs in the store and change them; return *change* as it is after it."""
        if change.filter.worker is None and change.wanted == DetailFilters():
            ids, change = self._next_ids(change)
        else:
            ids, change = self._next_accepted(change)
        if change.dry_run:
            left = change.left
            return change.after(BulkResult(len(ids) if left is None else min(len(ids), left), 0, 0))
        if not ids:
            return change
        result = self._change(change, ids)
        for queue in result.queues - change.queues:
            if self._served is not None:
                self._served.note(queue, max_age=0.0)
        return change.after(result)

    def _next_ids(self, change: BulkChange) -> tuple[list[int], BulkChange]:
        """Read the next ids that pass filters which the index knows, and what is left then."""
        size = _COUNT_PAGE_JOBS if change.dry_run else PAGE_JOBS
        ids = self._store.read(JobReader.page_ids, change.filter, change.span, size=size)
        return ids, change.beyond(ids, size)

    def _next_accepted(self, change: BulkChange) -> tuple[list[int], BulkChange]:
        """Read a page of jobs; return the ids of those that pass all filters, and what is left."""
        page = self._store.read(JobReader.page, change.filter, change.span, size=PAGE_JOBS)
        worker, accept = change.filter.worker, change.wanted.accept()
        ids = [
            raw.id
            for raw in page
            if (worker is None or raw.worker == worker) and (accept is None or accept(raw.decode()))
        ]
        return ids, change.beyond([raw.id for raw in page], PAGE_JOBS)

    def _change(self, change: BulkChange, ids: Sequence[int]) -> BulkResult:
        now, limit = self._clock(), change.left
        if change.verb == "retry":
            dues = change.dues(len(ids))
            return self._store.write(
                JobStore.retry_many, ids, change.chosen, now=now, limit=limit, dues=dues
            )
        if change.verb == "cancel":
            return self._store.write(JobStore.cancel_many, ids, change.chosen, now=now, limit=limit)
        return self._delete(change, ids, now)

    def _delete(self, change: BulkChange, ids: Sequence[int], now: Instant) -> BulkResult:
        """Delete jobs, those with many steps in several transactions."""
        limit, deleted, skipped = change.left, 0, 0
        while ids and deleted != limit:
            left = None if limit is None else limit - deleted
            result = self._store.write(
                JobStore.delete_many, ids, change.chosen, now=now, limit=left
            )
            deleted += result.changed
            skipped += result.skipped
            ids = ids[result.changed + result.skipped :]
        return BulkResult(deleted, skipped, 0)
