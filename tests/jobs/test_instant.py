"""Instants and datetimes say the same."""

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from antq_actors.jobs import instant


@given(st.datetimes(min_value=datetime(1970, 1, 1), timezones=st.timezones()))  # noqa: DTZ001 - hypothesis adds the zone
def test_a_datetime_survives_the_way_through_an_instant(moment):
    assert instant.to_datetime(instant.from_datetime(moment)) == moment.astimezone(UTC)


def test_an_instant_is_the_same_in_every_zone():
    noon = datetime(2026, 7, 1, 12, tzinfo=UTC)

    there = noon.astimezone(timezone(timedelta(hours=-5)))

    assert instant.from_datetime(there) == instant.from_datetime(noon)


def test_the_latest_instant_is_the_last_one_a_datetime_shows():
    assert instant.to_datetime(instant.LATEST) == datetime.max.replace(tzinfo=UTC)
    assert instant.after(instant.LATEST, 1.0) == instant.LATEST
