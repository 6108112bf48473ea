"""Which jobs a list is about: what a caller asked for, checked where it is written."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

from antq_actors.checks import check_flag, did_you_mean, short_repr, whole
from antq_actors.jobs import instant
from antq_actors.jobs.attempt_error import summary
from antq_actors.jobs.new_job import check_args
from antq_actors.jobs.state import Status
from antq_actors.storage.format.display import display_args
from antq_actors.storage.format.records import Span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.resolver import AnyWorker
    from antq_actors.jobs.state import Statuses, StoredJob


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


class Period(NamedTuple):
    """A stretch of time, without its ends; None: it has none on that side."""

    after: Instant | None = None
    before: Instant | None = None

    def has(self, moment: Instant | None) -> bool:
        """Return whether *moment* lies in it; None never does."""
        if moment is None:
            return False
        return (self.after is None or moment > self.after) and (
            self.before is None or moment < self.before
        )


_ALWAYS = Period()


class Wanted(NamedTuple):
    """What a job must have that only reading it tells."""

    args: Mapping[str, Any] | None = None
    """A subset of its arguments."""
    inserted: Period = _ALWAYS
    """When it was enqueued."""
    failed: Period = _ALWAYS
    """When it failed for good."""
    error: str | None = None
    """A part of its newest error."""

    def statuses(self, chosen: frozenset[Status] | None) -> frozenset[Status] | None:
        """Return those of the *chosen* statuses that such a job can have; None: any."""
        if self.failed == _ALWAYS:
            return chosen
        failed = frozenset([Status.FAILED])
        return failed if chosen is None else failed & chosen

    def accept(self) -> Callable[[StoredJob], bool] | None:
        """Return what tells whether a job has all of it; None when every job does."""
        return None if self == _ANY else self._accepts

    def _accepts(self, job: StoredJob) -> bool:
        if self.inserted != _ALWAYS and not self.inserted.has(job.spec.inserted_at):
            return False
        if self.failed != _ALWAYS and not self.failed.has(job.state.ended_at):
            return False
        if self.error is not None and not _newest_has(job, self.error):
            return False
        return self.args is None or _has(display_args(job.spec.args), self.args)


_ANY = Wanted()


def wanted_of(filters: ListFilters) -> Wanted:
    """Return what is asked for besides ids, status, queue and worker.

    Raises TypeError or ValueError.
    """
    error = filters.get("error")
    if error is not None and not isinstance(error, str):
        raise TypeError(f"error must be a part of the error's text (str), got {short_repr(error)}")
    return Wanted(
        check_args(filters.get("args")) or None,
        _period(filters, "inserted"),
        _period(filters, "failed"),
        error,
    )


def refuse_unknown(filters: Iterable[str], verb: str) -> None:
    """Raise TypeError for what is no filter of ``list_jobs``."""
    for name in filters:
        if name not in ListFilters.__annotations__:
            hint = did_you_mean(name, ListFilters.__annotations__)
            raise TypeError(f"{verb}() got an unexpected keyword argument {name!r}{hint}")


def span_of(after: object, before: object, newest_first: object) -> Span:
    """Return which ids are wanted. Raises TypeError."""
    newest = check_flag(newest_first, "newest_first")
    return Span(_number(after, "after") or 0, _number(before, "before"), newest)


def checked_limit(limit: object) -> int | None:
    """Return *limit* if it is a number; else raise TypeError."""
    return _number(limit, "limit")


def not_negative(limit: object) -> int | None:
    """Return *limit* if it can be a limit; else raise TypeError or ValueError."""
    number = checked_limit(limit)
    if number is not None and number < 0:
        raise ValueError(f"limit must be at least 0, or None for no limit, got {short_repr(limit)}")
    return number


def checked_queue(queue: object, what: str) -> str | None:
    """Return *queue* if it can be a filter; else raise TypeError, calling it *what*."""
    if queue is None or isinstance(queue, str):
        return queue
    raise TypeError(f"{what} must be a name (str) or None, got {short_repr(queue)}")


def _period(filters: Mapping[str, Any], what: str) -> Period:
    after, before = f"{what}_after", f"{what}_before"
    return Period(_moment(filters.get(after), after), _moment(filters.get(before), before))


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


def _newest_has(job: StoredJob, part: str) -> bool:
    """Return whether the newest error of *job*, as it is shown, has this *part*."""
    if not job.errors:
        return False
    newest = job.errors[0]
    return part in summary(newest.error, newest.error_type)


def _has(args: Any, wanted: Mapping[str, Any]) -> bool:
    """Return whether *wanted* is a subset of *args*; mappings within are subsets too."""
    if not isinstance(args, Mapping):
        return False
    for key, value in wanted.items():
        if key not in args:
            return False
        if isinstance(value, Mapping):
            if not _has(args[key], value):
                return False
        elif args[key] != value:
            return False
    return True
