"""When a new job is due, from what its caller asked for."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypeAlias

from antq_actors.checks import short_repr, to_seconds
from antq_actors.errors import InvalidSchedule
from antq_actors.jobs import instant

if TYPE_CHECKING:
    from antq_actors.jobs.instant import Instant

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

    when = now + round(seconds * instant.SECOND)
    if when > instant.LATEST:
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
    when = instant.from_datetime(schedule_at)
    if when > instant.LATEST:
        raise InvalidSchedule(
            f"schedule_at={schedule_at.isoformat()} is after the year 9999 in UTC"
        )
    return when
