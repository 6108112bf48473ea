"""Many jobs changed at once: what would become of them, and then that it is done.

A filter is looked up here, where what is hidden is known, and the ids of the jobs that it finds are
stored with the task that changes them (:mod:`antq_actors.storage.jobs.bulk_tasks`). So what is
changed is what was counted, and it goes on when this process has ended.
"""

from __future__ import annotations

import time
from array import array
from collections import Counter
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from antq_actors.checks import real, short_repr
from antq_actors.errors import AlreadyExists, AntqError, BulkNotFound, LimitReached
from antq_actors.insights.access import Access, Visitor
from antq_actors.insights.bulk_order import (
    NEEDS_REASON_ABOVE,
    BulkOrder,
    checked_order,
    frozen,
    python_line,
    shell_line,
    whole_number,
)
from antq_actors.insights.filters import Filter, short
from antq_actors.insights.items import items_of
from antq_actors.insights.search import Search
from antq_actors.insights.source import Source
from antq_actors.insights.values import BulkPreview, BulkView, Refused
from antq_actors.jobs import instant
from antq_actors.jobs.audit import AuditEntry
from antq_actors.jobs.state import Status
from antq_actors.storage.acting import log_action, new_token
from antq_actors.storage.format.records import Span
from antq_actors.storage.jobs import bulk_table, rehearsal
from antq_actors.storage.jobs.bulk_table import BulkRecord
from antq_actors.storage.jobs.job_store import JobStore
from antq_actors.storage.jobs.reader import JobReader
from antq_actors.storage.jobs.undo_table import MOST_CANCELLED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from antq_actors.app.antq import AntQ
    from antq_actors.jobs.instant import Instant
    from antq_actors.storage.jobs.bulk_table import SeenBulk
    from antq_actors.storage.jobs.entry_reader import RawJob

BUDGET_SECONDS: Final = 0.25
"""Seconds for which a dry run looks for jobs."""
_SAMPLE_JOBS: Final = 5
_MOST_REHEARSED: Final = 1_000
"""Jobs of which a dry run finds out whether something else keeps them from being retried."""
_PAGE_JOBS: Final = 500


class MatchesChanged(AntqError):
    """Not as many jobs match as in the dry run; the message has both numbers."""


class BegunBulk(NamedTuple):
    """A bulk change that has begun."""

    id: int
    undo: str | None
    """The token that undoes it, for a while after its last change; None: nothing does."""


@dataclass(slots=True)
class _Found:
    """The jobs that an order is about, as they are found."""

    now: Instant
    ids: array[int] = field(default_factory=lambda: array("Q"))
    changeable: array[int] = field(default_factory=lambda: array("Q"))
    """Those of them that would be changed, as far as they were looked at."""
    refused: Counter[str] = field(default_factory=Counter)
    """Why others are not changed, and how many."""
    total: int = 0
    running: int = 0
    """How many of all are running."""
    is_whole: bool = True
    """Whether these are all."""

    def add(self, order: BulkOrder, raw: RawJob) -> None:
        """Note one more job."""
        self.ids.append(raw.id)
        self.total += 1
        self.running += raw.state.status is Status.RUNNING
        why = order.refusal(raw.state, self.now)
        if why is None:
            self.changeable.append(raw.id)
        else:
            self.refused[why] += 1

    def count(self, order: BulkOrder, by_status: Mapping[Status, int]) -> None:
        """Note how many jobs there are of each status, instead of those that were looked at."""
        self.total = sum(by_status.values())
        self.running = by_status.get(Status.RUNNING, 0)
        self.refused = Counter()
        for status, number in by_status.items():
            why = order.refusal_of(status)
            if why is not None and number:
                self.refused[why] += number

    @property
    def changes(self) -> int:
        """How many of the jobs would be changed."""
        return self.total - self.refused.total()


def preview_bulk(
    source: Source,
    verb: object,
    filter_: str | Filter | None,
    ids: Iterable[object] | None,
    *,
    spread: object = None,
    budget: float = BUDGET_SECONDS,
) -> BulkPreview:
    """Return what would become of the jobs. Raises FilterError, TypeError, ValueError."""
    order = checked_order(verb, filter_, ids, spread)
    seconds = real(budget)
    if seconds is None or not seconds >= 0:
        raise ValueError(f"budget must be 0 seconds or more, got {short_repr(budget)}")
    found = _find(source, order, seconds)
    if order.verb == bulk_table.RETRY:
        _rehearse(source, found)
    sample = source.store.read(JobReader.stored_among, list(found.changeable[:_SAMPLE_JOBS]))
    path = None if source.app.is_volatile else str(source.app.path)
    return BulkPreview(
        matches=found.total,
        exact=found.is_whole,
        changes=found.changes,
        refused=tuple(Refused(*each) for each in found.refused.most_common()),
        sample=tuple(items_of(source, [each.decode() for each in sample])),
        cli=shell_line(order, path),
        python=python_line(order, found.total),
    )


def begin_bulk(
    source: Source,
    visitor: Visitor,
    verb: object,
    filter_: str | Filter | None,
    ids: Iterable[object] | None,
    *,
    expect: object,
    reason: str | None = None,
    spread: object = None,
) -> BegunBulk:
    """Begin to change the jobs, which goes on by itself; return what that is called.

    Raises Forbidden; FilterError, TypeError and ValueError for what is asked for; MatchesChanged
    if not as many jobs match as *expect* says. Then nothing is changed.
    """
    visitor.check(Access.OPERATE)
    order = checked_order(verb, filter_, ids, spread)
    expected = _checked_expect(expect)
    reason = _checked_reason(reason, expected)
    found = _find_all(source, order)
    if found.total != expected:
        raise MatchesChanged(
            f"{found.total:,} jobs match now, and the dry run gave {expected:,}: look at them"
            " again, then begin with the new number"
        )
    record = _record(order, found, visitor.name)
    text, pages = str(order.filter), list(bulk_table.pages_of(found.ids))
    id_ = source.store.write(JobStore.begin_bulk, record, text, reason, pages)
    source.runtime.do_tasks()
    at = instant.datetime_for_display(found.now)
    log_action(AuditEntry(at, visitor.name, f"bulk {order.verb}", text, found.changes, reason))
    return BegunBulk(id_, record.token)


def _record(order: BulkOrder, found: _Found, by: str | None) -> BulkRecord:
    return BulkRecord(
        verb=order.verb,
        total=found.total,
        began=found.now,
        by=by,
        token=_token_of(order, found),
        is_strict=order.is_strict,
        takes_completed=order.takes_completed,
        spread=order.spread,
        spread_jobs=found.changes,
        at=found.now,
    )


def stop_bulk(source: Source, visitor: Visitor, id_: object) -> BulkView:
    """Stop a bulk change; what is done is done. Raises Forbidden, BulkNotFound, BulkEnded."""
    visitor.check(Access.OPERATE)
    number = _checked_id(id_)
    source.store.write(JobStore.stop_bulk, number, now=source.now())
    return read_bulk(source, number)


def read_bulk(source: Source, id_: object) -> BulkView:
    """Return how far a bulk change is. Raises BulkNotFound."""
    number = _checked_id(id_)
    seen = source.store.read(JobReader.bulk, number)
    if seen is None:
        raise BulkNotFound(
            f"no bulk change has the id {number}; the newest {bulk_table.MOST_ENDED} that have"
            " ended are kept"
        )
    if seen.record.state == bulk_table.RUNNING:
        source.runtime.do_tasks()  # the process that has begun it may be gone, and no node be there
    return _view(number, seen)


def change_jobs(
    app: AntQ,
    verb: str,
    filter: str | Filter | None = None,  # noqa: A002 - what it is
    *,
    ids: Iterable[int] | None = None,
    expect: int,
    reason: str | None = None,
    spread: float = 0.0,
    name: str | None = None,
) -> int:
    """Begin to retry, cancel, delete or run now many jobs; return the id of that change.

    *verb* is ``"retry"``, ``"cancel"``, ``"delete"`` or ``"run-now"``, and *filter* finds the jobs,
    or they are named by their *ids*. *expect* is how many that are, as
    ``Insights(app).bulk_preview(…)`` says. The change is stored, and nodes go on with it, 500 jobs
    a transaction, also when this process ends; ``Insights(app).bulk(id)`` tells how far it is.
    *spread*: seconds over which retried jobs, and those that are run now, come due. *reason* is
    needed for more than 1,000 jobs; it goes into the audit, with who does it, *name*.

    Raises FilterError, TypeError, ValueError, NotStarted and StorageError; MatchesChanged if not as
    many jobs match. Then nothing is changed.
    """
    visitor = Visitor(Access.OPERATE, name)
    return begin_bulk(
        Source(app), visitor, verb, filter, ids, expect=expect, reason=reason, spread=spread
    ).id


def stop_jobs(app: AntQ, id: int) -> BulkView:  # noqa: A002 - as the field is named
    """Stop a change that :func:`change_jobs` has begun; what is done is done.

    Raises BulkNotFound, and BulkEnded if it has ended.
    """
    return stop_bulk(Source(app), Visitor(Access.OPERATE), id)


def frozen_filter(source: Source, filter_: str | Filter) -> Filter:
    """Return a filter that finds what *filter_* finds now, and nothing that comes later."""
    found = filter_ if isinstance(filter_, Filter) else Filter.parse(filter_)
    return frozen(found, source.now(), source.store.read(JobReader.last_id))


# ---- what is found --------------------------------------------------------------------------


def _find(source: Source, order: BulkOrder, budget: float) -> _Found:
    """Return the jobs that an order is about, those that are found within *budget* seconds.

    Where the counts of lanes say how many there are, they are told all the same.
    """
    search = None if order.ids is not None else Search(source, order.filter, float("inf"))
    found = _Found(source.now() if search is None else search.now)
    deadline = time.monotonic() + budget
    pages = _named(source, order.ids or ()) if search is None else _passing(search)
    for page in pages:
        for raw in page:
            found.add(order, raw)
        if time.monotonic() >= deadline:
            found.is_whole = next(pages, None) is None
            break
    if search is not None and search.is_by_lane and not found.is_whole:
        found.count(order, search.count_by_status())
        found.is_whole = True
    return found


def _find_all(source: Source, order: BulkOrder) -> _Found:
    """Return all jobs that an order is about."""
    if order.ids is None:
        search = Search(source, order.filter, float("inf"))
        if search.is_by_lane:
            found = _Found(search.now)
            for ids in search.ids_by_lane():
                found.ids.extend(ids)
            found.count(order, search.count_by_status())
            found.total = len(found.ids)
            return found
    return _find(source, order, float("inf"))


def _named(source: Source, ids: Sequence[int]) -> Iterator[Sequence[RawJob]]:
    left = iter(ids)
    while some := list(islice(left, _PAGE_JOBS)):
        yield source.store.read(JobReader.search_named, some, errors=0)


def _passing(search: Search) -> Iterator[Sequence[RawJob]]:
    for page in search.pages(Span()):
        yield [raw for raw in page.jobs if search.passes(raw)]
        if page.is_last:
            return


def _token_of(order: BulkOrder, found: _Found) -> str | None:
    """Return a token that undoes the change; None: it cannot be undone.

    What runs is told to end, and cannot be told otherwise.
    """
    is_undoable = order.verb == bulk_table.CANCEL and not found.running
    return new_token() if is_undoable and 0 < found.changes <= MOST_CANCELLED else None


def _rehearse(source: Source, found: _Found) -> None:
    """Find out which jobs another one, or a limit, keeps from being retried."""
    ids = list(found.changeable[:_MOST_REHEARSED])
    refused = source.store.read(rehearsal.refused_retries, ids, found.now)
    found.refused.update(map(_why_refused, refused))


def _why_refused(error: AntqError) -> str:
    if isinstance(error, AlreadyExists):
        return "a unique job with the same arguments is in the way"
    if isinstance(error, LimitReached):
        return "a limit is full, and refuses more jobs"
    return "another job of its workflow has to be retried first"


# ---- what is given, and what is shown -------------------------------------------------------


def _checked_expect(expect: object) -> int:
    number = whole_number(expect)
    if number is None or number < 0:
        raise ValueError(
            "expect must be how many jobs the dry run has found (its `matches`), got"
            f" {short_repr(expect)}"
        )
    return number


def _checked_reason(reason: Any, jobs: int) -> str | None:
    if reason is not None and not isinstance(reason, str):
        raise TypeError(f"reason must be text (str) or None, got {short_repr(reason)}")
    if reason and reason.strip():
        return str(reason)
    if jobs > NEEDS_REASON_ABOVE:
        raise ValueError(
            f"reason is needed to change more than {NEEDS_REASON_ABOVE:,} jobs at once: say why, in"
            " a few words"
        )
    return None


def _checked_id(id_: object) -> int:
    number = whole_number(id_)
    if number is None:
        raise TypeError(f"a bulk change has a number, such as 3, got {short(short_repr(id_))}")
    return number


def _view(id_: int, seen: SeenBulk) -> BulkView:
    record = seen.record
    return BulkView(
        id=id_,
        verb=record.verb,
        filter=seen.filter,
        state=record.state,
        total=record.total,
        changed=record.changed,
        skipped=record.skipped,
        refused=record.refused,
        by=record.by,
        at=instant.datetime_for_display(record.at),
    )
