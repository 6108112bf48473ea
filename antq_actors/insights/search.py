"""Which jobs a filter finds: a page of them and how many there are, within a budget of time.

A filter of statuses and queues alone is answered by the index and the counts of lanes. For any
other, jobs are read and looked at in small transactions, from the cursor on: first until the page
is full, then to count, until the budget is spent. So a page never takes much longer than that, and
what was not looked at is said. The ids are what pages continue by.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, NamedTuple

from antq_actors.checks import real, short_repr, whole
from antq_actors.insights.candidates import COSTS, Candidate
from antq_actors.insights.filter_values import Bounds
from antq_actors.insights.filters import Filter
from antq_actors.insights.items import items_of
from antq_actors.insights.values import JobPage
from antq_actors.jobs import instant
from antq_actors.jobs.state import ENDED, WAITING, Status
from antq_actors.storage.format.records import Span
from antq_actors.storage.jobs.reader import JobReader
from antq_actors.storage.jobs.search import Named, SearchPage
from antq_actors.storage.lmdb import keys

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from antq_actors.insights.source import Source
    from antq_actors.insights.values import JobItem
    from antq_actors.jobs.state import StoredJob
    from antq_actors.storage.jobs.entry_reader import RawJob
    from antq_actors.storage.jobs.search import Lanes

NEWEST: Final = "newest"
OLDEST: Final = "oldest"
BUDGET_SECONDS: Final = 0.05
PAGE_JOBS: Final = 50

_FIRST_JOBS: Final = 100
"""Of the first transaction of a search; each next one has twice as many."""
_MOST_JOBS: Final = 800
_FEWEST_JOBS: Final = 20
"""Of a transaction when little time is left."""
_PAGE_IDS: Final = 5_000
"""Ids that are read in one transaction, without their jobs."""
_MOST_LISTED: Final = 2**32
"""Of a page: as many as anyone asks for, and few enough for what counts them."""
_BY_LANE: Final = frozenset({"status", "queue"})


class PageOf(NamedTuple):
    """Which page of a list is asked for."""

    after: int | None = None
    before: int | None = None
    limit: int = PAGE_JOBS
    order: str = NEWEST

    def check(self) -> PageOf:
        """Return it with plain numbers. Raises TypeError, ValueError."""
        after, before = _cursor(self.after, "after"), _cursor(self.before, "before")
        if after is not None and before is not None:
            raise ValueError("give after or before, not both: a page is on one side of a cursor")
        limit = whole(self.limit)
        if limit is None:
            raise TypeError(f"limit must be a whole number, got {short_repr(self.limit)}")
        if limit < 1:
            raise ValueError(f"limit must be at least 1, got {short_repr(limit)}")
        if self.order not in (NEWEST, OLDEST):
            raise ValueError(f"order must be 'newest' or 'oldest', got {short_repr(self.order)}")
        return PageOf(after, before, min(limit, _MOST_LISTED), self.order)

    def span(self) -> Span:
        """Return the ids behind the cursor, in the order in which they are looked at."""
        if self.before is None:
            return _beyond(self.after, newest_first=self.order == NEWEST)
        return _beyond(self.before, newest_first=self.order == OLDEST)


def find_jobs(source: Source, filter_: str | Filter, page: PageOf, budget: float) -> JobPage:
    """Return the page of the jobs that a filter finds.

    Raises FilterError, and TypeError or ValueError for a cursor, a limit or a budget that is none.
    """
    search = Search(source, filter_, budget)
    page = page.check()
    if page.before is None:
        return _forward(source, search, page)
    return _backward(source, search, page)


def read_some(source: Source, ids: Sequence[int]) -> list[JobItem]:
    """Read the jobs with these ids, in this order; one that is gone is left out."""
    stored = source.store.read(JobReader.stored_among, ids)
    return items_of(source, [each.decode() for each in stored])


def _forward(source: Source, search: Search, page: PageOf) -> JobPage:
    span = page.span()
    taken = search.take(span, page.limit)
    items = items_of(source, taken.jobs)
    following = previous = None
    if taken.is_full:
        following = items[-1].id
    elif not taken.is_last:
        following = taken.last
    if page.after is not None:
        previous = items[0].id if items else page.after + (1 if page.order == OLDEST else -1)
    return _page(search, span, taken, items, next=following, previous=previous)


def _backward(source: Source, search: Search, page: PageOf) -> JobPage:
    span = page.span()
    taken = search.take(span, page.limit)
    if taken.is_last and len(taken.jobs) < page.limit:  # so it is the first page
        search.searched = 0  # what was looked at is looked at again
        return _forward(source, search, page._replace(before=None))
    items = items_of(source, taken.jobs)[::-1]
    previous = None
    if taken.is_full:
        previous = items[0].id
    elif not taken.is_last:
        previous = taken.last
    following = items[-1].id if items else page.before
    return _page(search, span, taken, items, next=following, previous=previous)


def _page(
    search: Search, span: Span, taken: Taken, items: list[JobItem], **cursors: int | None
) -> JobPage:
    count, is_exact = search.count(span, taken)
    return JobPage(
        items=tuple(items),
        **cursors,
        count=count,
        exact=is_exact,
        searched=search.searched,
        complete=is_exact,
    )


class Taken(NamedTuple):
    """What a search has found on one side of a cursor."""

    jobs: list[StoredJob]
    """The first ones, as many as were asked for."""
    found: int
    """How many were found in what was looked at."""
    last: int | None
    """The id of the last job that was looked at; None: there was none."""
    is_last: bool
    """Whether nothing is behind it."""
    is_full: bool
    """Whether more than what was asked for was found."""


class Search:
    """A filter, and the time that is left to look for what passes it.

    *with_errors*: it is about jobs that have errors, and all of these are read. Raises
    FilterError, TypeError and ValueError.
    """

    def __init__(
        self, source: Source, filter_: str | Filter, budget: float, *, with_errors: bool = False
    ) -> None:
        self.filter = filter_ if isinstance(filter_, Filter) else Filter.parse(filter_)
        seconds = real(budget)
        if seconds is None:
            raise TypeError(f"budget must be a number of seconds, got {short_repr(budget)}")
        if not seconds >= 0:
            raise ValueError(f"budget must be 0 seconds or more, got {short_repr(budget)}")
        self._began = time.monotonic()
        self._deadline = self._began + seconds
        self._store, self._redactor = source.store, source.redactor
        self.now = source.now()
        self.searched = 0
        """Jobs that were looked at."""
        self._size = _FIRST_JOBS
        self._ids = _id_bounds(self.filter, self.now)
        self._lanes = _lanes_of(self.filter, self.now)
        self._roots = self._read_roots()
        self._named = self._read_named()
        needs_error = with_errors or bool(self.filter.required("error"))
        self._by_error = self._named is None and needs_error and self._has_fewer_errors()
        is_by_index = self._by_error or self._named is not None
        terms = [each for each in self.filter.terms if is_by_index or each.name not in _BY_LANE]
        self._terms = sorted(terms, key=lambda term: COSTS.index(term.name))
        newest = 1 if any(term.name == "error" for term in terms) else 0
        self._errors = None if with_errors else newest
        self.is_by_lane = not self._terms and not is_by_index and not with_errors
        """Whether the counts of lanes say how many jobs pass."""

    @property
    def is_over(self) -> bool:
        """Whether the budget is spent."""
        return time.monotonic() >= self._deadline

    def take(self, span: Span, limit: int) -> Taken:
        """Return the first jobs of *span* that pass, up to *limit*, with all of their errors."""
        found: list[int] = []
        pages = self.pages(span, limit + 1 if self.is_by_lane else None)
        while True:
            page = next(pages)
            found += [each.id for each in page.jobs if self.passes(each)]
            if page.is_last or len(found) > limit or self.is_over:
                break
        jobs = self._read_whole(found[:limit])
        return Taken(jobs, len(found), page.last, page.is_last, len(found) > limit)

    def count(self, span: Span, taken: Taken) -> tuple[int, bool]:
        """Return how many jobs pass in all, and whether that is exact.

        *taken*: what was found in *span*; the rest of it is looked at, and what is before it.
        """
        if self.is_by_lane:
            return self._store.read(JobReader.count_lanes, self._lanes), True
        count, is_exact = taken.found, True
        rests = [] if taken.is_last or taken.last is None else [span.beyond(taken.last)]
        if span.newest_first and span.before is not None:
            rests.append(Span(after=span.before - 1))
        elif not span.newest_first and span.after:
            rests.append(Span(before=span.after + 1, newest_first=True))
        for rest in rests:
            found, is_whole = self._count_in(rest)
            count, is_exact = count + found, is_exact and is_whole
        return count, is_exact

    def _count_in(self, span: Span) -> tuple[int, bool]:
        count = 0
        pages = self.pages(span)
        while not self.is_over:
            page = next(pages)
            count += sum(map(self.passes, page.jobs))
            if page.is_last:
                return count, True
        return count, False

    def count_by_status(self) -> Mapping[Status, int]:
        """Return how many jobs of each status pass, where the counts of lanes say so."""
        return self._store.read(JobReader.count_by_status, self._lanes)

    def ids_by_lane(self) -> Iterator[list[int]]:
        """Yield the ids of the jobs that pass, ascending, where their lanes say so."""
        after = 0
        while ids := self._store.read(JobReader.ids_in_lanes, self._lanes, after, _PAGE_IDS):
            yield ids
            after = ids[-1]

    # ---- what is looked at ----------------------------------------------------------------

    def pages(self, span: Span, size: int | None = None) -> Iterator[SearchPage]:
        """Yield the jobs of *span* that may pass, page by page; *size*: of the first page."""
        low, high = self._ids
        span = span._replace(
            after=max(span.after, low - 1),
            before=high + 1 if span.before is None else min(span.before, high + 1),
        )
        named = None if self._named is None else _in_span(self._named, span)
        while True:
            size = size or self._next_size()
            if named is not None:
                ids, named = named[:size], named[size:]
                jobs = self._store.read(JobReader.search_named, ids, errors=self._errors)
                page = SearchPage(jobs, ids[-1] if ids else None, not named)
            else:
                page = self._read_page(span, size)
                span = span if page.last is None else span.beyond(page.last)
            size = None
            self.searched += len(page.jobs)
            yield page

    def _read_page(self, span: Span, size: int) -> SearchPage:
        if self._by_error:
            return self._store.read(JobReader.search_failed, span, size=size, errors=self._errors)
        return self._store.read(
            JobReader.search_page, self._lanes, span, size=size, errors=self._errors
        )

    def _has_fewer_errors(self) -> bool:
        return self._store.read(JobReader.has_fewer_errors, self._lanes)

    def _next_size(self) -> int:
        """Return how many jobs to read next: ever more, but no more than there is time for."""
        size, self._size = self._size, min(2 * self._size, _MOST_JOBS)
        now = time.monotonic()
        if not self.searched or now <= self._began:
            return size
        in_time = self.searched * (self._deadline - now) / (now - self._began)
        return int(min(size, max(_FEWEST_JOBS, in_time)))

    def passes(self, raw: RawJob) -> bool:
        """Return whether a job that was read passes the filter."""
        candidate = Candidate(raw, self._redactor, self._roots)
        return all(term.holds(candidate.find(term), self.now) for term in self._terms)

    def _read_whole(self, ids: list[int]) -> list[StoredJob]:
        """Read jobs again, with all of their errors; one that is gone by now is left out."""
        return [each.decode() for each in self._store.read(JobReader.stored_among, ids)]

    def _read_roots(self) -> dict[int, int]:
        batches, workflows = self._numbers("batch"), self._numbers("workflow")
        if not batches and not workflows:
            return {}
        return self._store.read(JobReader.roots_of_groups, batches, workflows)

    def _numbers(self, name: str) -> set[int]:
        """Return the numbers that the filter has for a key."""
        values = [value for term in self.filter.terms if term.name == name for value in term.values]
        return {value.low for value in values if isinstance(value, Bounds) and value.low}

    def _read_named(self) -> list[int] | None:
        """Read the ids of the jobs that an index names; None: all in the lanes are looked at."""
        required = self.filter.required
        ended = groups = None
        for term in required("ended"):
            low, high = term.bounds(self.now)
            ended = max(low or 0, 0), min(instant.LATEST if high is None else high, instant.LATEST)
        if required("batch") or required("workflow"):
            groups = frozenset(self._roots)
        named = Named(ended, groups)
        if named == Named():
            return None
        most = self._store.read(JobReader.count_lanes, self._lanes)
        return self._store.read(JobReader.named_ids, named, most)


def _lanes_of(filter_: Filter, now: int) -> Lanes | None:
    """Return the lanes in which there may be jobs that pass; None: there may be in any."""
    by_status = [term for term in filter_.terms if term.name == "status"]
    by_queue = [term for term in filter_.terms if term.name == "queue"]
    statuses = {each for each in Status if all(term.holds(each, now) for term in by_status)}
    if filter_.required("ended"):
        statuses &= ENDED
    if filter_.required("due"):
        statuses &= WAITING
    if filter_.required("node"):
        statuses &= {Status.RUNNING}
    if not by_queue and len(statuses) == len(Status):
        return None
    return lambda status, queue: (
        status in statuses and all(term.holds(queue, now) for term in by_queue)
    )


def _id_bounds(filter_: Filter, now: int) -> tuple[int, int]:
    """Return the smallest and the largest id that may pass."""
    low, high = 1, keys.LARGEST_ID
    for term in filter_.required("id"):
        least, most = term.bounds(now)
        low = max(low, least or 1)
        high = high if most is None else min(high, most)
    return low, high


def _beyond(cursor: int | None, *, newest_first: bool) -> Span:
    if cursor is None:
        return Span(newest_first=newest_first)
    if newest_first:
        return Span(before=cursor, newest_first=True)
    return Span(after=cursor)


def _in_span(ids: Sequence[int], span: Span) -> list[int]:
    chosen = [id_ for id_ in ids if id_ > span.after and (span.before is None or id_ < span.before)]
    return chosen[::-1] if span.newest_first else chosen


def _cursor(value: object, what: str) -> int | None:
    number = whole(value)
    if number is None and value is not None:
        raise TypeError(f"{what} must be the id of a job or None, got {short_repr(value)}")
    return number
