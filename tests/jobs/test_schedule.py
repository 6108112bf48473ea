"""When a job is due, from schedule_in and schedule_at."""

import math
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antq_actors.errors import InvalidSchedule
from antq_actors.jobs import instant
from antq_actors.jobs.new_job import due

MOMENT = datetime(2026, 7, 1, 12, tzinfo=UTC)
NOW = instant.from_datetime(MOMENT)


def test_no_schedule_is_no_due_time():
    assert due(None, None, NOW) is None


@pytest.mark.parametrize("seconds", [0, 0.0, timedelta()])
def test_zero_seconds_mean_now(seconds):
    assert due(seconds, None, NOW) == NOW


@pytest.mark.parametrize("seconds", [90, 90.0, timedelta(seconds=90)])
def test_seconds_may_be_an_int_a_float_or_a_timedelta(seconds):
    assert due(seconds, None, NOW) == NOW + 90 * instant.SECOND


def test_a_moment_in_the_past_means_now():
    assert due(None, MOMENT - timedelta(days=1), NOW) == NOW


def test_a_moment_is_the_same_in_every_zone():
    there = (MOMENT + timedelta(hours=1)).astimezone(timezone(timedelta(hours=9)))

    assert due(None, there, NOW) == NOW + 3600 * instant.SECOND


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-1, "negative"),
        (-0.001, "negative"),
        (timedelta(seconds=-1), "negative"),
        (math.nan, "finite"),
        (math.inf, "finite"),
        (-math.inf, "finite"),
        (10**30, "9999"),
        (10**400, "9999"),
        (1e300, "9999"),
        (instant.LATEST / instant.SECOND, "9999"),
        (timedelta.max, "9999"),
    ],
)
def test_seconds_that_name_no_usable_instant_are_refused(seconds, said):
    with pytest.raises(InvalidSchedule, match=said):
        due(seconds, None, NOW)


@pytest.mark.parametrize("seconds", ["5000", True, [1], b"1", 1j])
def test_seconds_of_the_wrong_type_are_an_invalid_schedule_and_a_type_error(seconds):
    with pytest.raises(InvalidSchedule, match="schedule_in must be a number") as refused:
        due(seconds, None, NOW)

    assert isinstance(refused.value, TypeError)


@pytest.mark.parametrize("moment", ["2026-07-01", 1751371200, MOMENT.date(), True])
def test_a_moment_of_the_wrong_type_is_an_invalid_schedule_and_a_type_error(moment):
    with pytest.raises(InvalidSchedule, match="schedule_at must be a datetime") as refused:
        due(None, moment, NOW)

    assert isinstance(refused.value, TypeError)


def test_a_naive_moment_is_refused():
    with pytest.raises(InvalidSchedule, match="no time zone"):
        due(None, datetime(2026, 7, 1), NOW)  # noqa: DTZ001 - that is the case


def test_a_moment_after_the_calendar_of_utc_is_refused():
    latest = datetime.max.replace(tzinfo=timezone(timedelta(hours=-5)))

    with pytest.raises(InvalidSchedule, match="9999"):
        due(None, latest, NOW)


def test_both_together_are_refused_even_if_both_are_zero():
    with pytest.raises(InvalidSchedule, match="both"):
        due(0, MOMENT, NOW)


@given(st.floats(0, 1e9))
def test_seconds_are_exact_to_the_microsecond(seconds):
    assert abs(due(seconds, None, NOW) - NOW - seconds * instant.SECOND) <= 1
