"""Durations as users give them: a number of seconds or a timedelta."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Final

from antq_actors.jobs import instant
from antq_actors.jobs.number import real

LONGEST: Final = instant.LATEST / instant.SECOND
"""Seconds from 1970 to the last instant a datetime can show; no duration may be longer."""

_SHOWN: Final = 80
"""Most characters of a value in an error."""

_EXAMPLE: Final = 30
"""Most characters of a value in what an error says to write."""


def to_seconds(value: object, what: str) -> float:
    """Return *value* in seconds, zero or more; *what* is its name in the errors.

    Raises TypeError for what is no real number and no timedelta, ValueError for what is negative,
    not finite or longer than the calendar.

    >>> to_seconds(timedelta(minutes=1), "timeout")
    60.0
    """
    # An int of 400 digits fits no float; the comparison below still refuses it.
    seconds = value.total_seconds() if isinstance(value, timedelta) else real(value)
    if seconds is None:
        raise TypeError(
            f"{what} must be a number of seconds or a timedelta, got {short_repr(value)}"
        )

    if isinstance(seconds, float) and not math.isfinite(seconds):
        raise ValueError(f"{what} must be finite, got {seconds}")
    if seconds < 0:
        raise ValueError(f"{what} must not be negative, got {short_repr(value)}")
    if seconds > LONGEST:
        raise ValueError(f"{what} is too long: {short_repr(value)} ends after the year 9999")
    return float(seconds)


def example_repr(value: object) -> str:
    """Show *value* as it is written, in an example of an error; … for what is long."""
    try:
        shown = repr(value)
    except Exception:  # noqa: BLE001 - the error about a value must not be one of its repr
        return "…"
    return shown if len(shown) <= _EXAMPLE else "…"


def short_repr(value: object) -> str:
    """Show *value* and its type in an error, whatever its ``repr`` does."""
    try:
        shown = repr(value)
    except Exception:  # noqa: BLE001 - the error about a value must not be one of its repr
        return f"a {type(value).__qualname__}"
    if len(shown) > _SHOWN:
        shown = f"{shown[:_SHOWN]}…"
    return f"{shown} ({type(value).__qualname__})"
