"""Times in the local time zone, for people; JSON has them in UTC."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


def moment(when: datetime, *, milliseconds: bool = False) -> str:
    """Return a time in the time zone of this machine, with its offset from UTC.

    >>> from datetime import UTC, datetime
    >>> len(moment(datetime(2030, 5, 1, 9, 0, 12, 345678, tzinfo=UTC)))
    25
    """
    try:
        local = when.astimezone()
    except (OverflowError, ValueError, OSError):  # near the limits of datetime
        local = when
    timespec = "milliseconds" if milliseconds else "seconds"
    return local.isoformat(" ", timespec)
