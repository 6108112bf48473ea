"""Instants as whole microseconds since the epoch, UTC, and when a new job is due.

An ``int`` sorts as it is stored, compares without a time zone and costs nothing to copy; users
see aware datetimes.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, TypeAlias

from antq_actors.checks import short_repr, to_seconds
from antq_actors.errors import InvalidSchedule

Instant: TypeAlias = int
"""Microseconds since 1970-01-01 00:00 UTC."""

SECOND: Final = 1_000_000
"""Microseconds in a second."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

LATEST: Final[Instant] = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND
"""The last instant a datetime can show."""


_EARLIEST: Final[Instant] = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND


def now() -> Instant:
    """Return the system clock's time."""
    return time.time_ns() // 1_000


def to_datetime(instant: Instant) -> datetime:
    """Show *instant* as an aware datetime in UTC, exactly.

    >>> to_datetime(1_500_000)
    datetime.datetime(1970, 1, 1, 0, 0, 1, 500000, tzinfo=datetime.timezone.utc)
    """
    return _EPOCH + timedelta(0, 0, instant)


@lru_cache(maxsize=256)  # jobs that were enqueued or claimed together share their instants
def datetime_for_display(instant: Instant) -> datetime:
    """Show *instant*, whatever it is, as the nearest datetime there is."""
    if _EARLIEST <= instant <= LATEST:
        return _EPOCH + timedelta(0, 0, instant)
    return to_datetime(_EARLIEST if instant < 0 else LATEST)


def from_datetime(moment: datetime) -> Instant:
    """Return the instant of an aware *moment*, exactly."""
    return (moment - _EPOCH) // _MICROSECOND


def after(instant: Instant, seconds: float) -> Instant:
    """Return the instant *seconds* after *instant*, never later than a datetime can show."""
    return min(instant + round(min(seconds, LATEST / SECOND) * SECOND), LATEST)


ScheduleIn: TypeAlias = float | timedelta | None
ScheduleAt: TypeAlias = datetime | None


class InvalidScheduleTypeError(InvalidSchedule, TypeError):
    """A schedule of the wrong type: an InvalidSchedule that is a TypeError as well."""


def due(schedule_in: ScheduleIn, schedule_at: ScheduleAt, now: Instant) -> Instant | None:
    """Return when a job asked for at *now* becomes due; None when it is not scheduled.

    Zero seconds and a moment in the past mean now. Raises InvalidSchedule when both are given,
    and for what is negative, not finite, naive, of the wrong type or after the year 9999.
    """
    if schedule_in is not None and schedule_at is not None:
        raise InvalidSchedule(
            f"both schedule_in={schedule_in!r} and schedule_at={schedule_at!r} are given;"
            " give one of them"
        )
    if schedule_in is not None:
        return _due_in(schedule_in, now)
    if schedule_at is not None:
        return max(_due_at(schedule_at), now)
    return None


def _due_in(schedule_in: float | timedelta, now: Instant) -> Instant:
    try:
        seconds = to_seconds(schedule_in, "schedule_in")
    except TypeError as error:
        raise InvalidScheduleTypeError(str(error)) from None
    except ValueError as error:
        raise InvalidSchedule(str(error)) from None

    when = now + round(seconds * SECOND)
    if when > LATEST:
        raise InvalidSchedule(f"schedule_in={short_repr(schedule_in)} ends after the year 9999")
    return when


def _due_at(schedule_at: datetime) -> Instant:
    if not isinstance(schedule_at, datetime):
        raise InvalidScheduleTypeError(
            f"schedule_at must be a datetime with a time zone, got {short_repr(schedule_at)}"
        )
    if schedule_at.utcoffset() is None:
        raise InvalidSchedule(
            f"schedule_at={schedule_at.isoformat()} has no time zone; write for example"
            " datetime.now(UTC) + timedelta(hours=1)"
        )
    when = from_datetime(schedule_at)
    if when > LATEST:
        raise InvalidSchedule(
            f"schedule_at={schedule_at.isoformat()} is after the year 9999 in UTC"
        )
    return when
