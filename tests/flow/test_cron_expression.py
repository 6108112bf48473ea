"""Cron expressions: the instants that they name in UTC, and what cannot be read."""

import pickle
from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest
from cronsim import CronSim
from hypothesis import assume, given
from hypothesis import strategies as st
from support.instants import EPOCH, at, next_instants

from antq_actors.errors import ConfigError, CronError
from antq_actors.flow.cron import Cron
from antq_actors.flow.cron_expression import read_expression


@pytest.fixture(autouse=True)
def read_anew():
    """Read each expression in the test that is about it, not where it came first."""
    read_expression.cache_clear()


@pytest.mark.parametrize(
    ("expression", "following"),
    [
        ("0 3 * * *", ["2026-01-01T03:00:00", "2026-01-02T03:00:00"]),
        ("30 4 1,15 * 5", ["2026-01-01T04:30:00", "2026-01-02T04:30:00", "2026-01-09T04:30:00"]),
        ("30 4 */9 * 5", ["2026-04-10T04:30:00", "2026-05-01T04:30:00"]),  # both must match
        ("0 0 L * *", ["2026-01-31T00:00:00", "2026-02-28T00:00:00"]),
        ("0 0 LW * *", ["2026-01-30T00:00:00", "2026-02-27T00:00:00"]),
        ("0 9 * * 5#2", ["2026-01-09T09:00:00", "2026-02-13T09:00:00"]),
        ("0 9 * * Fri#2", ["2026-01-09T09:00:00", "2026-02-13T09:00:00"]),
        ("0 9 * * 0L", ["2026-01-25T09:00:00", "2026-02-22T09:00:00"]),
        ("0 0 * * SUN", ["2026-01-04T00:00:00", "2026-01-11T00:00:00"]),
        ("0 0 * * 7", ["2026-01-04T00:00:00", "2026-01-11T00:00:00"]),
        ("0 0 1 fEb,Dec *", ["2026-02-01T00:00:00", "2026-12-01T00:00:00"]),
        ("10-20/5 * * * *", ["2026-01-01T00:10:00", "2026-01-01T00:15:00", "2026-01-01T00:20:00"]),
        ("50/5 23 * * *", ["2026-01-01T23:50:00", "2026-01-01T23:55:00", "2026-01-02T23:50:00"]),
        ("*/20 0 3 * * *", ["2026-01-01T03:00:00", "2026-01-01T03:00:20", "2026-01-01T03:00:40"]),
        ("* * * * * *", ["2026-01-01T00:00:01", "2026-01-01T00:00:02"]),
        ("15 * * * * *", ["2026-01-01T00:00:15", "2026-01-01T00:01:15"]),
        ("@hourly", ["2026-01-01T01:00:00", "2026-01-01T02:00:00"]),
        ("@daily", ["2026-01-02T00:00:00"]),
        ("@Midnight", ["2026-01-02T00:00:00"]),
        ("@weekly", ["2026-01-04T00:00:00"]),
        ("@monthly", ["2026-02-01T00:00:00"]),
        ("@yearly", ["2027-01-01T00:00:00"]),
        (" @annually ", ["2027-01-01T00:00:00"]),
        ("0 0 29 2 *", ["2028-02-29T00:00:00", "2032-02-29T00:00:00"]),
        ("0 0 * 2 MON#5", ["2044-02-29T00:00:00", "2072-02-29T00:00:00", "2112-02-29T00:00:00"]),
        ("0 0 30 2 mon", ["2026-02-02T00:00:00"]),  # either may match, and a Monday does
    ],
)
def test_an_expression_names_instants(expression, following):
    assert next_instants(Cron(expression), (2026, 1, 1), len(following)) == following


@pytest.mark.parametrize(
    ("expression", "field"),
    [
        ("61 * * * *", "minute"),
        ("-1 * * * *", "minute"),
        ("*/0 * * * *", "minute"),
        ("5,, * * * *", "minute"),
        (f"{'9' * 5000} * * * *", "minute"),
        ("0 24 * * *", "hour"),
        ("0 5-3 * * *", "hour"),
        ("0 0 0 * *", "day"),
        ("0 0 5#2 * *", "day"),
        ("0 0 30 2 *", "day"),
        ("0 0 31 feb,apr,jun,sep,nov *", "day"),
        ("0 0 */30 * mon#2", "day"),
        ("0 0 * foo *", "month"),
        ("0 0 * 13 *", "month"),
        ("0 0 * * 8", "weekday"),
        ("0 0 * * 5#6", "weekday"),
        ("0 0 * * L", "weekday"),
        ("x * * * * *", "second"),
        ("60 * * * * *", "second"),
    ],
)
def test_an_error_names_the_expression_and_the_field(expression, field):
    with pytest.raises(CronError) as caught:
        Cron(expression)

    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, ConfigError)
    assert expression[:70] in str(caught.value)
    assert field in str(caught.value)
    copy = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - what it has just written
    assert copy.args == caught.value.args


MANY = "or * for each, or a list (1,3), range (1-5) or step (*/5) of these"
NINES = "9" * 199


@pytest.mark.parametrize(
    ("expression", "field", "said"),
    [
        ("X * * * * *", "second", f"cannot be read: 'x'; write 0 to 59, {MANY}"),
        ("61 * * * *", "minute", f"cannot be read: '61'; write 0 to 59, {MANY}"),
        ("0 24 * * *", "hour", f"cannot be read: '24'; write 0 to 23, {MANY}"),
        (
            "0 0 0 * *",
            "day",
            (
                "cannot be read: '0'; write 1 to 31, L for the month's last day, or LW for its last"
                f" weekday, {MANY}"
            ),
        ),
        ("0 0 * 13 *", "month", f"cannot be read: '13'; write 1 to 12, or jan to dec, {MANY}"),
        (
            "0 0 * * 8",
            "weekday",
            (
                "cannot be read: '8'; write 0 to 7, where 0 and 7 are sun, or sun to sat; 5L is the"
                f" last Friday, 5#2 the second, {MANY}"
            ),
        ),
    ],
)
def test_an_error_shows_the_field_and_says_what_it_takes(expression, field, said):
    with pytest.raises(CronError) as caught:
        Cron(expression)

    assert str(caught.value) == f"the {field} of the cron expression {expression!r} {said}"


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        (
            "0 0 30 2 *",
            (
                "'0 0 30 2 *' never matches: no month that it names has a day that it names, by day"
                " and weekday"
            ),
        ),
        (
            "",
            (
                "'' has 0 fields; write five, for minute, hour, day, month and weekday, or six,"
                " with the second before them"
            ),
        ),
        (
            "* * * *",
            (
                "'* * * *' has 4 fields; write five, for minute, hour, day, month and weekday, or"
                " six, with the second before them"
            ),
        ),
        (
            "* * * * * * *",
            (
                "'* * * * * * *' has 7 fields; write five, for minute, hour, day, month and"
                " weekday, or six, with the second before them"
            ),
        ),
        ("@weekl", "'@weekl' is no nickname; did you mean '@weekly'?"),
        ("@rebot", "'@rebot' is no nickname; did you mean '@reboot'?"),
        (
            "@every 5m",
            (
                "'@every 5m' is no nickname; known are @annually, @daily, @hourly, @midnight,"
                " @monthly, @reboot, @weekly, @yearly"
            ),
        ),
    ],
)
def test_what_is_no_expression_is_refused(expression, said):
    with pytest.raises(CronError) as caught:
        Cron(expression)

    assert str(caught.value) == f"the cron expression {said}"


def test_a_long_expression_is_cut_in_its_error():
    with pytest.raises(CronError) as caught:
        Cron(f"{NINES}9 * * * *")

    assert str(caught.value) == (
        f"the minute of the cron expression '{NINES}… cannot be read: '{NINES}…; write 0 to 59,"
        f" {MANY}"
    )
    with pytest.raises(CronError, match=f"'{NINES[1:]}'; write"):
        Cron(f"{NINES[1:]} * * * *")


@given(
    st.tuples(
        st.sampled_from(["*", "*/7", "0", "5,50", "10-40/3", "59/15"]),
        st.sampled_from(["*", "*/5", "3", "1,22", "9-17"]),
        st.sampled_from(["*", "*/9", "1", "31", "L", "LW", "5-20"]),
        st.sampled_from(["*", "2", "jan,jul", "*/5"]),
        st.sampled_from(["*", "*/3", "1-5", "0#2", "5L", "sat,7"]),
    ),
    st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1)),  # noqa: DTZ001
)
def test_in_utc_the_instants_are_those_of_cronsim(fields, moment):
    expression = " ".join(fields)
    assume(fields[2:4] != ("31", "2"))
    sim = CronSim(expression, moment.replace(tzinfo=UTC))

    expected = [instant.isoformat()[:-6] for instant in islice(sim, 3)]

    entry = Cron(expression)
    found = next_instants(entry, moment.timetuple()[:6], 3)
    assert found == expected


def test_a_long_description_is_cut():
    pairs = ",".join(f"{n}-{n + 2}" for n in range(58))
    entry = Cron(f"{pairs} {pairs} 3 * * *")

    assert len(entry.description) == 1_000
    assert entry.description.endswith("…")


def test_the_last_times_are_found_from_behind():
    fast = Cron("*/20 10,40 3,5 28-31 1,3 *")

    def newest(start, end, most):
        found = fast.newest(at(*start), at(*end), most)
        return [(EPOCH + timedelta(microseconds=each)).isoformat()[5:-6] for each in found]

    assert newest((2026, 1, 1), (2026, 3, 28), 2) == ["01-31T05:40:20", "01-31T05:40:40"]
    assert newest((2026, 1, 1), (2026, 3, 28, 3, 10), 1) == ["01-31T05:40:40"]
    assert newest((2026, 1, 1), (2026, 3, 28, 3, 10, 1), 1) == ["03-28T03:10:00"]
    assert newest((2026, 1, 1), (2026, 3, 28, 4), 1) == ["03-28T03:40:40"]
    assert newest((2026, 1, 1), (2026, 3, 28, 5, 10), 1) == ["03-28T03:40:40"]
    assert newest((2026, 1, 31, 5, 40, 40), (2026, 3, 28), 9) == ["01-31T05:40:40"]
    assert newest((2026, 1, 31, 5, 40, 41), (2026, 3, 28), 9) == []
    assert newest((2026, 1, 1), (2026, 12, 31), 10**6)[0] == "01-28T03:10:00"


def test_times_are_counted_within_days_and_hours():
    fast = Cron("*/20 10,40 3,5 28-31 1,3 *")

    def count(start, end):
        return fast.count_between(at(*start), at(*end))

    assert count((2026, 1, 1), (2027, 1, 1)) == 2 * 4 * 12
    assert count((2026, 1, 28, 3, 10), (2026, 1, 28, 3, 10, 1)) == 1
    assert count((2026, 1, 28, 3, 10, 1), (2026, 1, 28, 3, 10, 20)) == 0
    assert count((2026, 1, 28, 3, 40, 20), (2026, 1, 28, 5, 10, 20)) == 3
    assert count((2026, 1, 28, 4), (2026, 1, 28, 5)) == 0
    assert count((2026, 1, 28, 4), (2026, 1, 29, 3, 30)) == 9
    assert count((2026, 1, 28, 4), (2026, 1, 28, 3)) == 0


@pytest.mark.parametrize(
    ("expression", "is_fixed"),
    [
        ("30 2 * * *", True),
        ("* 30 2 * * *", True),
        ("0-59 2 */2 * *", True),
        ("*/30 2 1 1 1", False),
        ("30 */2 1 1 1", False),
        ("* * * * *", False),
    ],
)
def test_times_of_day_are_fixed_where_neither_minute_nor_hour_begins_with_a_star(
    expression, is_fixed
):
    assert read_expression(expression).is_fixed is is_fixed


def test_a_time_is_looked_for_within_its_span():
    three, day = 3 * 3_600, 86_400
    daily = read_expression("0 3 * * *")

    assert [daily.first(0, end) for end in (three, three + 1)] == [None, three]
    assert [daily.last(start, day) for start in (three, three + 1)] == [three, None]
