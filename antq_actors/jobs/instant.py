"""Instants as whole microseconds since the epoch, UTC.

An ``int`` sorts as it is stored, compares without a time zone and costs nothing to copy; users
see aware datetimes.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

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
    """Read the system clock; return its time in microseconds, as jobs store it."""
    return time.time_ns() // 1_000


class StoppableClock:
    """A clock for tests, that may stand still; called, it tells the time in microseconds."""

    is_stopped: bool = False
    """Whether it stands still until it is set: then no timer comes to what is due."""

    def __call__(self) -> Instant:
        """Return its time."""
        raise NotImplementedError


def seconds_until(moment: Instant, clock: Callable[[], Instant]) -> float | None:
    """Return in how many seconds it is that time by a *clock*; None: never, as it stands still."""
    if isinstance(clock, StoppableClock) and clock.is_stopped:
        return None
    return (moment - clock()) / SECOND


def to_datetime(instant: Instant) -> datetime:
    """Convert the *instant* of a job to an aware datetime in UTC, exactly.

    >>> to_datetime(1_500_000)
    datetime.datetime(1970, 1, 1, 0, 0, 1, 500000, tzinfo=datetime.timezone.utc)
    """
    return _EPOCH + timedelta(0, 0, instant)


@lru_cache(maxsize=256)  # jobs that were enqueued or claimed together share their instants
def datetime_for_display(instant: Instant) -> datetime:
    """Convert the *instant* of a job, whatever it is, to the nearest datetime there is."""
    if _EARLIEST <= instant <= LATEST:
        return _EPOCH + timedelta(0, 0, instant)
    return to_datetime(_EARLIEST if instant < 0 else LATEST)


def from_datetime(moment: datetime) -> Instant:
    """Convert an aware *moment* to the instant that a job stores, exactly."""
    return (moment - _EPOCH) // _MICROSECOND


def after(instant: Instant, seconds: float) -> Instant:
    """Return when a job is due, *seconds* after *instant*, never later than a datetime can show."""
    return min(instant + round(min(seconds, LATEST / SECOND) * SECOND), LATEST)
