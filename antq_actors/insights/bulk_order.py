"""What is asked for of many jobs at once, checked; which jobs it changes, and which it refuses.

This file decides by a job's state alone, and reads nothing.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from antq_actors.checks import did_you_mean, short_repr, to_seconds, whole
from antq_actors.insights.filter_values import Bounds, Text
from antq_actors.insights.filters import Filter, Term
from antq_actors.jobs import instant
from antq_actors.jobs.state import ACTIVE, CLAIMABLE, ENDED, Status
from antq_actors.storage.jobs.bulk_table import CANCEL, DELETE, RETRY, RUN_NOW, VERBS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.state import JobState

MOST_IDS: Final = 10_000
"""Jobs that are named one by one; more are found by a filter."""
NEEDS_REASON_ABOVE: Final = 1_000
"""Jobs that are changed at once without a word why."""

_NUMBER: Final = re.compile(r"[0-9]{1,19}")

_CHANGES_WITH_TIME: Final = frozenset(
    {"status", "error", "node", "attempts", "started", "ended", "due"}
)
"""The keys of filters about what a job is now, and may not be any more when its turn comes."""


@dataclass(frozen=True, slots=True)
class BulkOrder:
    """What is to be done with which jobs."""

    verb: str
    filter: Filter
    """What finds them; of those that are named, their ids."""
    ids: tuple[int, ...] | None = None
    """Those that are named, ascending; None: what the filter finds."""
    spread: Instant = 0
    """Microseconds over which retried jobs, and those that are run now, come due."""

    @property
    def takes_completed(self) -> bool:
        """Whether completed jobs are retried: who means these says so, or ticks them."""
        if self.ids is not None:
            return True
        statuses = (value for term in self.filter.required("status") for value in term.values)
        return any(isinstance(each, Text) and each.text == Status.COMPLETED for each in statuses)

    @property
    def is_strict(self) -> bool:
        """Whether a job that changes between being found and its turn is left as it is."""
        is_about_now = any(term.name in _CHANGES_WITH_TIME for term in self.filter.terms)
        return self.verb == RETRY or is_about_now

    def refusal(self, state: JobState, now: Instant) -> str | None:
        """Return why a job in this state is not changed; None: it is."""
        by_status = self.refusal_of(state.status)
        if by_status is not None:
            return by_status
        if self.verb == CANCEL and state.cancelling:
            return "running: they are being cancelled already"
        due = state.scheduled_at
        is_due = due is not None and due <= now
        return _DUE_ALREADY if self.verb == RUN_NOW and is_due else None

    def refusal_of(self, status: Status) -> str | None:
        """Return why no job of a status is changed; None: some are."""
        if self.verb == RETRY and status is Status.COMPLETED and not self.takes_completed:
            return "completed: they run again only if the filter has status:completed"
        if status not in _POSSIBLE[self.verb]:
            return f"{status}: only jobs that {_WHAT_IS_POSSIBLE[self.verb]}"
        return _DUE_ALREADY if self.verb == RUN_NOW and status is Status.ENQUEUED else None


_POSSIBLE: Final[Mapping[str, frozenset[Status]]] = {
    RETRY: ENDED,
    CANCEL: ACTIVE,
    DELETE: frozenset(Status),
    RUN_NOW: frozenset(CLAIMABLE),
}
_WHAT_IS_POSSIBLE: Final[Mapping[str, str]] = {
    RETRY: "have ended can be retried",
    CANCEL: "have not ended can be cancelled",
    RUN_NOW: "wait for their time can be run now",
}


_DUE_ALREADY: Final = "they are due already"


def checked_order(
    verb: object, filter_: str | Filter | None, ids: Iterable[object] | None, spread: object = None
) -> BulkOrder:
    """Return what is asked for. Raises FilterError, TypeError, ValueError."""
    name = _checked_verb(verb)
    microseconds = _checked_spread(name, spread)
    numbers = _checked_ids(ids)
    if numbers and filter_:
        raise ValueError("give a filter (q) or ids (id), not both")
    if numbers:
        return BulkOrder(name, _filter_of(numbers), numbers, microseconds)
    if filter_ is None:
        raise ValueError("give a filter (q), such as 'status:failed queue:mail', or ids (id)")
    found = filter_ if isinstance(filter_, Filter) else Filter.parse(filter_)
    return BulkOrder(name, found, None, microseconds)


def _checked_verb(verb: object) -> str:
    if isinstance(verb, str) and verb in VERBS:
        return str(verb)
    hint = did_you_mean(verb, VERBS) if isinstance(verb, str) else f"; one of {', '.join(VERBS)}"
    raise ValueError(f"verb must be one of {', '.join(VERBS)}, got {short_repr(verb)}{hint}")


def _checked_spread(verb: str, spread: object) -> Instant:
    if spread is None or spread == "":
        return 0
    try:
        seconds = to_seconds(_number(spread), "spread")
    except (TypeError, ValueError) as error:
        raise ValueError(f"{error}; write for example 600, for ten minutes") from None
    if seconds and verb in {CANCEL, DELETE}:
        raise ValueError(f"spread is for retry and run-now: nothing comes due by a {verb}")
    return round(seconds * instant.SECOND)


def _number(value: object) -> object:
    """Return the number that a text writes; anything else as it is."""
    if not isinstance(value, str):
        return value
    try:
        return float(value)
    except ValueError:
        return value


def _checked_ids(ids: Iterable[object] | None) -> tuple[int, ...]:
    found: set[int] = set()
    for each in ids or ():
        number = whole_number(each)
        if number is None or number < 1:
            raise ValueError(f"id must be the number of a job, such as 17, got {short_repr(each)}")
        found.add(number)
    if len(found) > MOST_IDS:
        raise ValueError(
            f"at most {MOST_IDS:,} jobs are named by id, got {len(found):,}; give a filter, such as"
            " id:1000..90000"
        )
    return tuple(sorted(found))


def whole_number(value: object) -> int | None:
    """Return the whole number that a field has, also as text; None: it is none."""
    if not isinstance(value, str):
        return whole(value)
    return int(value) if _NUMBER.fullmatch(value) else None


def _filter_of(ids: Sequence[int]) -> Filter:
    return Filter((Term("id", tuple(_runs_of(ids))),))


def _runs_of(ids: Sequence[int]) -> Iterator[Bounds]:
    """Yield ascending ids as bounds, those that follow each other together."""
    first = last = ids[0]
    for each in ids[1:]:
        if each > last + 1:
            yield Bounds(first, last)
            first = each
        last = each
    yield Bounds(first, last)


def frozen(filter_: Filter, now: Instant, last_id: int) -> Filter:
    """Return a filter that finds what *filter_* finds now, and nothing that comes later.

    Ages become instants, and where all jobs have ended, it is by now that they have. So a number
    that was shown is right for longer than it takes to confirm it.

    >>> str(frozen(Filter.parse("status:failed inserted:<1h"), 3_600_000_000, 9))
    'status:failed inserted:>1970-01-01T00:00:00Z id:<=9 ended:<=1970-01-01T01:00:00Z'
    """
    terms = [_with_instants(term, now) for term in filter_.terms]
    terms.append(Term("id", (Bounds(None, last_id),)))
    if _have_all_ended(filter_, now):
        terms.append(Term("ended", (Bounds(None, now),)))
    return Filter(tuple(terms))


def _with_instants(term: Term, now: Instant) -> Term:
    values: list[Any] = [
        value if isinstance(value, Text | Bounds) else value.bounds(now, is_wait=term.key == "due")
        for value in term.values
    ]
    return term._replace(values=tuple(values))


def _have_all_ended(filter_: Filter, now: Instant) -> bool:
    by_status = filter_.required("status")
    possible = [each for each in Status if all(term.holds(each, now) for term in by_status)]
    return bool(by_status) and ENDED.issuperset(possible)


def shell_line(order: BulkOrder, path: str | None) -> str:
    """Return the line for a shell that does the same; *path*: where the store is, if it is kept."""
    words = ["antq", order.verb]
    if order.ids is None:
        words += ["--filter", str(order.filter)]
    else:
        words += map(str, order.ids)
    if order.spread:
        words += ["--spread", _seconds(order.spread)]
    if path is not None:
        words += ["--path", path]
    return shlex.join(words)


def python_line(order: BulkOrder, matches: int) -> str:
    """Return the line of Python that does the same, of an application ``app``."""
    given = ["app", repr(order.verb)]
    given.append(repr(str(order.filter)) if order.ids is None else f"ids={list(order.ids)!r}")
    given.append(f"expect={matches}")
    if matches > NEEDS_REASON_ABOVE:
        given.append("reason='…'")
    if order.spread:
        given.append(f"spread={_seconds(order.spread)}")
    return f"from antq_actors.insights import change_jobs; change_jobs({', '.join(given)})"


def _seconds(microseconds: Instant) -> str:
    seconds = microseconds / instant.SECOND
    return f"{seconds:.0f}" if seconds.is_integer() else repr(seconds)
