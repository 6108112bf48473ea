"""What a cron expression means on a clock that is never changed; only this file knows cronsim.

cronsim reads the expression, decides which days match, by Vixie's rule, and describes it in words.
Found here are the times that match: on a wall clock, in whole seconds since 1970-01-01 00:00 as
that clock shows it. What a time zone makes of them is decided in `antq_actors.flow.cron_times`.
"""

from __future__ import annotations

from bisect import bisect_left
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from cronsim import CronSim, CronSimError
from cronsim.cronsim import Field

from antq_actors.checks import did_you_mean
from antq_actors.errors import CronError

if TYPE_CHECKING:
    from collections.abc import Iterator

DAY: Final = 86_400
"""Seconds of a day."""

REBOOT: Final = "@reboot"
"""The expression of what runs when the first node of a store starts, and at no time of day."""

LONGEST_DESCRIPTION: Final = 1_000
"""Most characters of a description."""

_HOUR: Final = 3_600
_LONGEST_SHOWN: Final = 200
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()
_LAST_DAY: Final = date.max.toordinal() - _EPOCH_DAY

_NICKNAMES: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}

_FIELDS: Final = (
    ("second", "0 to 59"),
    ("minute", "0 to 59"),
    ("hour", "0 to 23"),
    ("day", "1 to 31, L for the month's last day, or LW for its last weekday"),
    ("month", "1 to 12, or jan to dec"),
    (
        "weekday",
        "0 to 7, where 0 and 7 are sun, or sun to sat; 5L is the last Friday, 5#2 the second",
    ),
)
"""The names of the fields in cronsim's order, and what each of them takes."""

_SOME_DATE: Final = datetime(2001, 1, 1)  # noqa: DTZ001 - on a wall clock
_CALENDARS_BEGIN: Final = (_SOME_DATE.toordinal() - _EPOCH_DAY) * DAY
_CALENDARS_END: Final = _CALENDARS_BEGIN + (28 * 365 + 7) * DAY
"""The 28 years from 2001 on have all 14 calendars that a year can have: what matches at no time in
them never does."""


@lru_cache(maxsize=256)
def read_expression(text: str) -> CronExpression:
    """Return what the expression *text* means, which is not ``@reboot``.

    Raises CronError, which names the expression and the field, for what cannot be read and for what
    never matches.
    """
    parts = _translated(text).upper().split()
    if len(parts) not in (5, 6):
        raise CronError(
            f"the cron expression {_shown(text)} has {len(parts)} fields; write five, for"
            " minute, hour, day, month and weekday, or six, with the second before them"
        )
    parts = ["0"] * (6 - len(parts)) + parts
    try:
        expression = CronExpression(CronSim(" ".join(parts), _SOME_DATE))
    except (CronSimError, ValueError):  # ValueError: a number of thousands of digits
        _refuse_field(text, parts)
        raise _never(text) from None
    if expression.first(_CALENDARS_BEGIN, _CALENDARS_END) is None:
        raise _never(text)
    return expression


class CronExpression:
    """The times at which an expression matches, on a wall clock that is never changed.

    Times are whole seconds since 1970-01-01 00:00 on that clock.
    """

    __slots__ = ("_hours", "_sim", "_within_hour", "is_fixed")

    def __init__(self, sim: CronSim) -> None:
        self._sim = sim
        self._hours = sorted(sim.hours)
        self._within_hour = sorted(
            60 * minute + second for minute in sim.minutes for second in sim.seconds
        )
        self.is_fixed = not sim.parts[1].startswith("*") and not sim.parts[2].startswith("*")
        """Whether it names times of day: neither its minute nor its hour begins with ``*``."""

    @property
    def description(self) -> str:
        """The expression in words."""
        text = self._sim.explain()
        cut = LONGEST_DESCRIPTION - 1
        return text if len(text) <= LONGEST_DESCRIPTION else f"{text[:cut]}…"

    def first(self, start: int, end: int) -> int | None:
        """Return the first time that matches in [*start*, *end*), or None."""
        first_day, second = divmod(start, DAY)
        for day in self._days(first_day, -(-end // DAY)):
            time = self._first_in_day(second if day == first_day else 0)
            if time is not None:
                wall = day * DAY + time
                return wall if wall < end else None
        return None

    def last(self, start: int, end: int) -> int | None:
        """Return the last time that matches in [*start*, *end*), or None."""
        last_day, second = divmod(end - 1, DAY)
        for day in self._days_back(last_day, start // DAY):
            time = self._last_in_day(second + 1 if day == last_day else DAY)
            if time is not None:
                wall = day * DAY + time
                return wall if wall >= start else None
        return None

    def count(self, start: int, end: int) -> int:
        """Return how many times in [*start*, *end*) match, without going through them."""
        if end <= start:
            return 0
        return sum(
            self._count_in_day(min(end - day * DAY, DAY))
            - self._count_in_day(max(start - day * DAY, 0))
            for day in self._days(start // DAY, -(-end // DAY))
        )

    # ---- days ---------------------------------------------------------------------------------

    def _days(self, first: int, end: int) -> Iterator[int]:
        """Yield the days in [*first*, *end*) that match, counted from 1970-01-01."""
        if first >= min(end, _LAST_DAY):
            return
        months, match_day = self._sim.months, self._sim.match_day
        last = date.fromordinal(min(end, _LAST_DAY) - 1 + _EPOCH_DAY)
        day = date.fromordinal(first + _EPOCH_DAY)
        while day <= last:
            if day.month not in months:
                day = (day.replace(day=1) + timedelta(31)).replace(day=1)
                continue
            if match_day(day):
                yield day.toordinal() - _EPOCH_DAY
            day += timedelta(1)

    def _days_back(self, last: int, first: int) -> Iterator[int]:
        """Yield the days from *last* back to *first* that match."""
        if last < first:
            return
        months, match_day = self._sim.months, self._sim.match_day
        until = date.fromordinal(first + _EPOCH_DAY)
        day = date.fromordinal(last + _EPOCH_DAY)
        while day >= until:
            if day.month not in months:
                day = day.replace(day=1) - timedelta(1)
                continue
            if match_day(day):
                yield day.toordinal() - _EPOCH_DAY
            day -= timedelta(1)

    # ---- times of a day -----------------------------------------------------------------------

    def _first_in_day(self, second: int) -> int | None:
        """Return the first time of a day that matches, from *second* on."""
        hour, rest = divmod(second, _HOUR)
        place = bisect_left(self._hours, hour)
        if place < len(self._hours) and self._hours[place] == hour:
            within = bisect_left(self._within_hour, rest)
            if within < len(self._within_hour):
                return hour * _HOUR + self._within_hour[within]
            place += 1
        if place == len(self._hours):
            return None
        return self._hours[place] * _HOUR + self._within_hour[0]

    def _last_in_day(self, second: int) -> int | None:
        """Return the last time of a day that matches, before *second*."""
        hour, rest = divmod(second, _HOUR)
        if hour in self._sim.hours:
            within = bisect_left(self._within_hour, rest)
            if within:
                return hour * _HOUR + self._within_hour[within - 1]
        place = bisect_left(self._hours, hour)
        return self._hours[place - 1] * _HOUR + self._within_hour[-1] if place else None

    def _count_in_day(self, second: int) -> int:
        """Return how many times of a day match before *second*."""
        hour, rest = divmod(second, _HOUR)
        whole_hours = bisect_left(self._hours, hour) * len(self._within_hour)
        if hour not in self._sim.hours:
            return whole_hours
        return whole_hours + bisect_left(self._within_hour, rest)


# ---- what cannot be read ------------------------------------------------------------------------


def _translated(text: str) -> str:
    nickname = text.strip().lower()
    if not nickname.startswith("@"):
        return text
    if nickname not in _NICKNAMES:
        hint = did_you_mean(nickname, (*_NICKNAMES, REBOOT))
        raise CronError(f"the cron expression {_shown(text)} is no nickname{hint}")
    return _NICKNAMES[nickname]


def _refuse_field(text: str, parts: list[str]) -> None:
    """Raise CronError that names the first of an expression's *parts* that cannot be read."""
    for field, part in zip(Field, parts, strict=True):
        name, takes = _FIELDS[field]
        try:
            field.parse(part)
        except (CronSimError, ValueError):
            raise CronError(
                f"the {name} of the cron expression {_shown(text)} cannot be read:"
                f" {_shown(part.lower())}; write {takes}, or * for each, or a list (1,3), range"
                " (1-5) or step (*/5) of these"
            ) from None


def _never(text: str) -> CronError:
    return CronError(
        f"the cron expression {_shown(text)} never matches: no month that it names has a day"
        " that it names, by day and weekday"
    )


def _shown(text: str) -> str:
    shown = repr(text)
    return shown if len(shown) <= _LONGEST_SHOWN else f"{shown[:_LONGEST_SHOWN]}…"
