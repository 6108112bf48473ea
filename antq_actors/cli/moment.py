"""How the command shows an instant to people; JSON has it in UTC."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


def moment(when: datetime, *, milliseconds: bool = False) -> str:
    """Return an instant in the time zone of this machine, with its offset from UTC.

    >>> from datetime import UTC, datetime
    >>> len(moment(datetime(2030, 5, 1, 9, 0, 12, 345678, tzinfo=UTC)))
    25
    """
    try:
        local = when.astimezone()
    except (OverflowError, ValueError, OSError):  # at the edges of what a datetime can be
        local = when
    timespec = "milliseconds" if milliseconds else "seconds"
    return local.isoformat(" ", timespec)
