"""When the times of a cron expression are, in a time zone whose clocks are changed.

Debian's rule: an expression of which neither the minute nor the hour begins with ``*`` names times
of day. Each of them comes once: one that the clocks leave out at the end of the gap, several in one
gap together; one that the clocks show twice at its first. Any other expression goes by the time
that passes: it matches whenever the clock shows what it names, so nothing is doubled and nothing is
left out.

A year of a zone is a few spans in which its offset is the same. In a span a time of the wall clock
is an instant and back again by a subtraction, whatever the offset is, so half hours, two hours and
a whole day need no rule of their own. All here is in whole seconds since 1970-01-01 00:00 UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple
from zoneinfo import ZoneInfo, available_timezones

from antq_actors.checks import close_matches
from antq_actors.errors import CronError
from antq_actors.flow.cron_expression import DAY

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from antq_actors.flow.cron_expression import CronExpression

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()

_FIRST_YEAR: Final = 2
_LAST_YEAR: Final = 9998
"""The years that have whole years around them, which a datetime can show."""

_CYCLE: Final = 400
"""Years after which the calendar is the same again, to the weekday."""

_CHANGING: Final = range(1800, 2101)
"""The years for which zones list changes. Before them no clock was changed, and after them a rule
says for each year alike when it is."""

_FURTHEST: Final = 2 * DAY
"""More than any clock differs from UTC, and than any change moves one."""

_LONGEST_SHOWN: Final = 100
"""Most characters of a zone's name in an error."""

_OF_THE_MACHINE: Final = frozenset({"localtime", "posixrules"})
"""Files beside those of zones, which say what the machine is set to."""


class _Span(NamedTuple):
    """A part of a year in which the offset of a zone is the same."""

    start: int
    end: int
    offset: int
    shown: int
    """What the wall clock has shown before it: up to here, exclusive. Less than what it shows at
    the start after a gap, more where it shows times for the second time."""


@dataclass(frozen=True, slots=True)
class CronTimes:
    """The instants of an expression in a zone, in whole seconds since 1970-01-01 00:00 UTC."""

    expression: CronExpression
    zone: ZoneInfo

    def first(self, start: int) -> int | None:
        """Return the first instant from *start* on; None: there is none in this calendar."""
        year = max(_year(start), _FIRST_YEAR)
        while year <= _LAST_YEAR:
            for span in _spans_of(self.zone, year):
                found = self._first_in(span, start) if span.end > start else None
                if found is not None:
                    return found
            # The next time on any clock may be decades away; the years before it are left out.
            beyond = _begin(year + 1) - _FURTHEST
            wall = self.expression.first(beyond, _begin(_LAST_YEAR + 1))
            if wall is None:
                return None
            year = max(year + 1, _year(wall - _FURTHEST))
        return None

    def back(self, start: int, end: int) -> Iterator[int]:
        """Yield the instants in [*start*, *end*), the last one first."""
        for year in range(min(_year(end), _LAST_YEAR), max(_year(start), _FIRST_YEAR) - 1, -1):
            for span in reversed(_spans_of(self.zone, year)):
                found = self._last_in(span, end)
                while found is not None and found >= start:
                    yield found
                    found = self._last_in(span, found)
                if found is not None:
                    return

    def count(self, start: int, end: int, most: int | None) -> int:
        """Return how many instants are in [*start*, *end*); it may stop counting at *most*."""
        found = 0
        for year in range(max(_year(start), _FIRST_YEAR), min(_year(end), _LAST_YEAR) + 1):
            if start <= _begin(year) and _begin(year + 1) <= end:
                found += _count_year(self, _alike(year))
            else:
                found += self._count(year, start, end)
            if most is not None and found >= most:
                return most
        return found

    def _count(self, year: int, start: int, end: int) -> int:
        return sum(self._count_in(span, start, end) for span in _spans_of(self.zone, year))

    def _first_in(self, span: _Span, start: int) -> int | None:
        if start <= span.start and self._has_gap(span):
            return span.start
        wall = self.expression.first(
            max(self._begins(span), start + span.offset), span.end + span.offset
        )
        return None if wall is None else wall - span.offset

    def _last_in(self, span: _Span, end: int) -> int | None:
        """Return the last instant of a *span* before *end*."""
        wall = self.expression.last(self._begins(span), min(span.end, end) + span.offset)
        if wall is not None:
            return wall - span.offset
        return span.start if span.start < end and self._has_gap(span) else None

    def _count_in(self, span: _Span, start: int, end: int) -> int:
        begins = self._begins(span)
        found = self.expression.count(
            max(begins, start + span.offset), min(span.end, end) + span.offset
        )
        if (
            start <= span.start < end
            and self._has_gap(span)
            and self.expression.first(begins, begins + 1) is None  # else it is counted already
        ):
            found += 1
        return found

    def _begins(self, span: _Span) -> int:
        """Return the first time on the wall clock that counts in a *span*."""
        begins = span.start + span.offset
        return max(begins, span.shown) if self.expression.is_fixed else begins

    def _has_gap(self, span: _Span) -> bool:
        """Return whether a time of day was left out before a *span*."""
        begins = span.start + span.offset
        return (
            self.expression.is_fixed
            and span.shown < begins
            and self.expression.first(span.shown, begins) is not None
        )


# ---- zones --------------------------------------------------------------------------------------


def load_zone(name: str) -> ZoneInfo:
    """Return the time zone *name*. Raises CronError, which names it, if it is not known here."""
    try:
        if name not in _OF_THE_MACHINE:
            return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # not found, no key, a folder
        pass
    known = available_timezones() - _OF_THE_MACHINE
    close = close_matches(name, known)
    hint = f"; did you mean {close[0]!r}?" if close else ", such as 'Europe/Berlin'"
    raise CronError(
        f"the time zone tz={name[:_LONGEST_SHOWN]!r} is not known here; write the IANA name of one"
        f"{hint}"
    )


def _alike(year: int) -> int:
    """Return the same year of the calendar's cycle near those in which zones change."""
    if year in _CHANGING:
        return year
    if year < _CHANGING.start:
        return _CHANGING.start - 1 - (_CHANGING.start - 1 - year) % _CYCLE
    return _CHANGING.stop + (year - _CHANGING.stop) % _CYCLE


@lru_cache(maxsize=2048)
def _count_year(times: CronTimes, year: int) -> int:
    """Return how many instants a whole *year* in UTC has."""
    return times._count(year, _begin(year), _begin(year + 1))  # noqa: SLF001 - of this file


def _spans_of(zone: ZoneInfo, year: int) -> Sequence[_Span]:
    """Return the spans of a *year* in UTC, also of one that is thousands of years away."""
    alike = _alike(year)
    spans = _spans(zone, alike)
    if alike == year:
        return spans
    moved = _begin(year) - _begin(alike)
    return [
        _Span(span.start + moved, span.end + moved, span.offset, span.shown + moved)
        for span in spans
    ]


@lru_cache(maxsize=4096)
def _spans(zone: ZoneInfo, year: int) -> tuple[_Span, ...]:
    """Return the spans of a *year* in UTC.

    Days are compared, so two changes within one day would be missed where the second one undoes
    the first; no zone has had that.
    """
    begin, end = _begin(year), _begin(year + 1)
    days = [(day, _offset(zone, day)) for day in range(begin - _FURTHEST, end + 1, DAY)]
    spans: list[_Span] = []
    start, offset = days[0]
    shown = start + offset
    for (day, before), (next_day, after) in pairwise([*days, (end, None)]):
        if before == after:
            continue
        until = end if after is None else _change(zone, day, next_day)
        if until > max(start, begin):
            begins = max(start, begin)
            # What was left out before this year belongs to the year before.
            seen = shown if start >= begin else max(shown, begins + offset)
            spans.append(_Span(begins, until, offset, seen))
        shown = max(shown, until + offset)
        start = until
        offset = offset if after is None else after
    return tuple(spans)


def _change(zone: ZoneInfo, before: int, after: int) -> int:
    """Return the instant after *before*, and up to *after*, at which the offset changes."""
    offset = _offset(zone, before)
    while after - before > 1:
        middle = (before + after) // 2
        if _offset(zone, middle) == offset:
            before = middle
        else:
            after = middle
    return after


def _offset(zone: ZoneInfo, second: int) -> int:
    moment = (_EPOCH + timedelta(seconds=second)).astimezone(zone)
    return (moment.replace(tzinfo=UTC) - _EPOCH) // timedelta(seconds=1) - second


def _begin(year: int) -> int:
    return (date(year, 1, 1).toordinal() - _EPOCH_DAY) * DAY


def _year(second: int) -> int:
    """Return the year of an instant in UTC, or the nearest one that the calendar has."""
    day = min(max(second // DAY + _EPOCH_DAY, 1), date.max.toordinal())
    return date.fromordinal(day).year
