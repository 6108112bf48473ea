"""Cron expressions where clocks are changed, against a clock that is watched minute by minute."""

import calendar
import re
from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import pytest

from antq_actors.flow.cron import Cron

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)

ZONES = [
    ("Europe/Berlin", 2026),
    ("Europe/Dublin", 2026),
    ("America/New_York", 2026),
    ("America/St_Johns", 2026),
    ("America/Havana", 2026),
    ("America/Santiago", 2026),
    ("Australia/Lord_Howe", 2026),
    ("Antarctica/Troll", 2026),
    ("Pacific/Chatham", 2026),
    ("Pacific/Apia", 2011),
    ("Pacific/Kwajalein", 1993),
    ("Africa/Cairo", 2026),
    ("Africa/Casablanca", 2026),
    ("Asia/Gaza", 2026),
]
LEFT_OUT_A_DAY = {"Pacific/Apia", "Pacific/Kwajalein"}

FIXED = [
    *("0 3 * * *", "30 2 * * *", "15 2 * * *", "45 2,3 * * *", "0 2 * * *", "0 0 * * *"),
    *("0,30 1-3 * * *", "1-59/20 2 * * *", "5 0-23/2 * * *", "59 1 * * *", "59 23 * * *"),
    *(
        "30 0 * * sun",
        "30 2 L * *",
        "30 2 25-31 * 0",
        "0 4 * mar,oct *",
        "20,40 2-3 1-15 * mon-fri",
    ),
    *("0-59 2 * * *", "0 12 * * *", "7 1 * * 0L", "30 2 LW * *", "0 1,2,3,4 * * 7"),
]
WILDCARD = [
    *("* * * * *", "*/5 * * * *", "*/15 2 * * *", "*/30 */2 * * *", "0 */3 * * *", "0 * * * *"),
    *("30 * * * *", "*/7 1-3 * * *", "15,45 */1 * * *", "* 2 * * *", "*/45 0-4 * * *"),
    *("10 */2 * * sun", "*/20 * 1-7 * 1", "* 3 * * 0#5", "59 * * * *", "*/59 * * * *"),
    *("0 */23 * * *", "*/30 23,0 * * *", "5-10 */4 * * *", "*/10 2-3 * mar-apr,sep-nov *"),
]


# ---- what a clock shows -------------------------------------------------------------------------


def changes(zone, year):
    """Return the hours of *year* in which *zone* changes its offset."""
    hours = [datetime(year, 1, 1, tzinfo=UTC) + timedelta(hours=n) for n in range(8784)]
    shown = [hour.astimezone(zone).utcoffset() for hour in hours]
    return [hours[n] for n in range(8783) if shown[n] != shown[n + 1]]


def watched(zone, start, end, step):
    """Return each moment of [*start*, *end*) with what a clock in *zone* shows then."""
    moments = []
    while start < end:
        moments.append((start, start.astimezone(zone).replace(tzinfo=None)))
        start += step
    return moments


@cache
def windows(name, year):
    """Return the three days around each change, minute by minute."""
    zone, around = ZoneInfo(name), timedelta(hours=36)
    found = [
        watched(zone, change - around, change + around, MINUTE) for change in changes(zone, year)
    ]
    assert len(found) >= 1
    return found


# ---- Debian's cron, watching that clock ---------------------------------------------------------


def run_by_watching(moments, matches, *, is_fixed, step=MINUTE):
    """Return the moments at which cron runs a job, watching the clock from moment to moment."""
    ran = []
    seen = moments[0][1] - step  # the latest time that the clock has shown
    for moment, wall in moments:
        if not is_fixed:
            is_due = matches(wall)
        elif wall <= seen:
            is_due = False  # it shows it for the second time
        else:
            left_out = wall - seen > step and any(
                matches(seen + n * step) for n in range(1, (wall - seen) // step)
            )
            is_due = left_out or matches(wall)
        seen = max(seen, wall)
        if is_due:
            ran.append(moment)
    return ran


MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]


def numbers(field, least, most, names=(), first=0):
    """Return the numbers that a *field* names, without L and #."""
    found = set()
    for term in field.split(","):
        span, _, step = term.partition("/")
        begin, _, end = span.partition("-")
        low, high = (
            (least, most)
            if begin == "*"
            else (value(begin, names, first), value(end or begin, names, first))
        )
        if step and not end:
            high = most
        found |= set(range(low, high + 1, int(step or 1)))
    return found


def value(text, names, first):
    return names.index(text) + first if text in names else int(text)


def matcher(expression):
    """Return a function that looks whether a wall time matches, in whole seconds."""
    fields = expression.split()
    fields = ["0"] * (6 - len(fields)) + fields
    seconds, minutes = numbers(fields[0], 0, 59), numbers(fields[1], 0, 59)
    hours, months = numbers(fields[2], 0, 23), numbers(fields[4], 1, 12, MONTHS, 1)
    both = fields[3].startswith("*") or fields[5].startswith("*")

    @cache
    def matches_day(day):
        by_day, by_weekday = day_matches(fields[3], day), weekday_matches(fields[5], day)
        return by_day and by_weekday if both else by_day or by_weekday

    def matches(wall):
        return (
            wall.minute in minutes
            and wall.hour in hours
            and wall.second in seconds
            and wall.month in months
            and matches_day(wall.date())
        )

    return matches


def day_matches(field, day):
    last = calendar.monthrange(day.year, day.month)[1]
    if field == "L":
        return day.day == last
    if field == "LW":
        weekdays = [n for n in range(1, last + 1) if date(day.year, day.month, n).weekday() < 5]
        return day.day == weekdays[-1]
    return day.day in numbers(field, 1, 31)


def weekday_matches(field, day):
    weekday = day.isoweekday() % 7
    last = calendar.monthrange(day.year, day.month)[1]
    if field.endswith("L"):
        return weekday == int(field[:-1]) % 7 and day.day + 7 > last
    if "#" in field:
        name, nth = field.split("#")
        return weekday == value(name, DAYS, 0) % 7 and (day.day - 1) // 7 + 1 == int(nth)
    return weekday in {n % 7 for n in numbers(field, 0, 7, DAYS)}


# ---- both, side by side -------------------------------------------------------------------------


def instant(moment):
    return (moment - EPOCH) // timedelta(microseconds=1)


def ours(expression, zone, moments):
    entry = Cron(expression, tz=zone)
    start, end = instant(moments[0][0]), instant(moments[-1][0]) + 1
    found = list(entry.instants(start, end))
    assert entry.count_between(start, end) == len(found)
    assert entry.newest(start, end, len(found) + 1) == found
    return found


def is_fixed(expression):
    minute, hour = re.split(r"\s+", expression)[-5:-3]
    return not minute.startswith("*") and not hour.startswith("*")


@pytest.mark.parametrize(("zone", "year"), ZONES)
def test_expressions_match_as_a_watched_clock_says_around_each_change(zone, year):
    wrong = []
    for moments in windows(zone, year):
        for expression in FIXED + WILDCARD:
            ran = run_by_watching(moments, matcher(expression), is_fixed=is_fixed(expression))
            if ours(expression, zone, moments) != [instant(moment) for moment in ran]:
                wrong.append((expression, moments[0][0]))

    assert wrong == []


@pytest.mark.parametrize(("zone", "year"), ZONES)
@pytest.mark.parametrize(
    "expression",
    ["20,40 30 2 * * *", "*/17 15-45 1-3 * * *", "* 59 1,2,23 * * *", "5 */20 2 * * *"],
)
def test_expressions_with_seconds_follow_the_same_rule(expression, zone, year):
    for change in changes(ZoneInfo(zone), year)[:2]:
        around = timedelta(hours=3)
        moments = watched(ZoneInfo(zone), change - around, change + around, SECOND)

        ran = run_by_watching(
            moments, matcher(expression), is_fixed=is_fixed(expression), step=SECOND
        )

        assert ours(expression, zone, moments) == [instant(moment) for moment in ran]


def test_forty_expressions_are_tried_in_fourteen_zones():
    assert len(set(FIXED + WILDCARD)) >= 40
    assert len({zone for zone, _ in ZONES}) == 14
    assert {is_fixed(expression) for expression in FIXED} == {True}
    assert {is_fixed(expression) for expression in WILDCARD} == {False}


# ---- what has gone wrong elsewhere --------------------------------------------------------------


def span(zone, first_day, days):
    """Return the instants of the first and the last midnight of some days in *zone*."""
    start = datetime.combine(first_day, datetime.min.time(), ZoneInfo(zone))
    return instant(start), instant(start + timedelta(days=days))


def wall_times(expression, zone, first_day, days):
    """Return what clocks in *zone* show at the instants of these days."""
    return [
        (EPOCH + timedelta(microseconds=found)).astimezone(ZoneInfo(zone))
        for found in Cron(expression, tz=zone).instants(*span(zone, first_day, days))
    ]


@pytest.mark.parametrize(("zone", "year"), ZONES)
@pytest.mark.parametrize("time", [(11, 0), (2, 30), (0, 0), (23, 45)])
def test_a_time_of_day_comes_once_a_day_for_years(zone, year, time):
    hour, minute = time
    days = 4 * 365 + 1

    found = wall_times(f"{minute} {hour} * * *", zone, date(year - 2, 1, 1), days)

    # The midnights before and after a day that is left out come together.
    assert len(found) == days - (time == (0, 0) and zone in LEFT_OUT_A_DAY)
    assert sum((moment.hour, moment.minute) == time for moment in found) >= days - 8
    assert len({moment.date() for moment in found}) >= days - 1


@pytest.mark.parametrize(("zone", "year"), ZONES)
def test_each_hour_that_passes_has_its_instants_all_year(zone, year):
    start, end = span(zone, date(year, 1, 1), 365)
    minutes = (end - start) // (60 * 1_000_000)

    assert Cron("* * * * *", tz=zone).count_between(start, end) == minutes
    assert Cron("*/5 * * * *", tz=zone).count_between(start, end) == minutes // 5
    assert len(list(Cron("*/30 * * * *", tz=zone).instants(start, end))) == minutes // 30


def test_the_hour_that_is_shown_twice_is_filled_twice_by_what_goes_by_time_that_passes():
    found = wall_times("*/20 * * * *", "Europe/Berlin", date(2026, 10, 25), 1)

    assert [moment.minute for moment in found if moment.hour == 2] == [0, 20, 40, 0, 20, 40]


def test_a_time_shown_twice_comes_once_and_nothing_follows_in_the_hour_after_it():
    found = wall_times("30 2 * * *", "America/New_York", date(2026, 11, 1), 2)
    shown_twice = wall_times("30 1 * * *", "America/New_York", date(2026, 11, 1), 2)

    assert [(moment.day, moment.hour, moment.fold) for moment in found] == [(1, 2, 0), (2, 2, 0)]
    assert [(moment.day, moment.hour, moment.fold) for moment in shown_twice] == [
        *((1, 1, 0), (2, 1, 0)),
    ]


def test_the_instant_after_a_change_is_hours_away_and_not_months():
    for zone, year in ZONES:
        for change in changes(ZoneInfo(zone), year):
            following = Cron("0 4 * * *", tz=zone).next_after(instant(change + timedelta(hours=1)))

            assert following - instant(change) <= 27 * 3_600 * 1_000_000


def test_a_midnight_that_is_left_out_comes_when_its_day_begins():
    found = wall_times("@daily", "America/Havana", date(2026, 3, 8), 2)

    assert [(moment.day, moment.hour) for moment in found] == [(8, 1), (9, 0)]


def test_a_day_that_is_left_out_has_its_times_together_at_its_end():
    found = wall_times("0 9,15 * * *", "Pacific/Apia", date(2011, 12, 29), 3)

    assert [(moment.day, moment.hour) for moment in found] == [
        *((29, 9), (29, 15), (31, 0), (31, 9), (31, 15)),
    ]


def test_an_offset_of_minutes_and_seconds_is_followed():
    found = wall_times("*/15 * * * *", "Africa/Monrovia", date(1971, 12, 31), 9)

    assert {moment.minute for moment in found} == {0, 15, 30, 45}
    assert {moment.second for moment in found} == {0}


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Australia/Lord_Howe", "Africa/Casablanca"])
@pytest.mark.parametrize("year", [9, 1_399, 2_500, 3_000, 9_900])
def test_years_that_are_far_away_are_counted_as_they_are_listed(zone, year):
    start = instant(datetime(year, 5, 5, tzinfo=UTC))
    end = instant(datetime(year + 3, 2, 2, tzinfo=UTC))

    for expression in ("30 2 * * *", "0 */3 29-31 * */7", "0 0 29 2 *"):
        entry = Cron(expression, tz=zone)
        listed = list(entry.instants(start, end))
        assert entry.count_between(start, end) == len(listed)
        assert entry.newest(start, end, len(listed) + 1) == listed


@pytest.mark.parametrize(("zone", "year"), ZONES)
def test_the_rules_of_a_zone_are_the_same_for_each_year_that_is_far_away(zone, year):
    def shown(year):
        hours = [datetime(year, 1, 1, tzinfo=UTC) + timedelta(hours=n) for n in range(0, 8_760, 12)]
        return [hour.astimezone(ZoneInfo(zone)).utcoffset() for hour in hours]

    assert shown(2_101) == shown(2_501) == shown(8_901)
    assert len(set(shown(5) + shown(1_399) + shown(1_799))) == 1


def test_very_sparse_instants_of_all_years_are_counted():
    start, end = (
        instant(datetime(1, 1, 1, tzinfo=UTC)),
        instant(datetime(9_999, 12, 31, tzinfo=UTC)),
    )

    assert Cron("0 0 29 2 *", tz="Europe/Berlin").count_between(start, end) == 2_424
    assert Cron("0 0 1 1 *").count_between(start, end, 20_000) == 9_997
