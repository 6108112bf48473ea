"""How long to wait: seconds or a timedelta, checked before anything is sent."""

from __future__ import annotations

import math
import sys
import threading
from datetime import timedelta


def seconds(timeout: float | timedelta | None, what: str = "timeout") -> float | None:
    """Answer *timeout* in seconds; None means no limit, as does more than a lock can wait.

    Raises TypeError for what is no time, ValueError for a negative one or NaN, both naming *what*.

    >>> seconds(timedelta(minutes=1)), seconds(2), seconds(float("inf"))
    (60.0, 2, None)
    """
    if timeout is None or (type(timeout) is float and 0 <= timeout < threading.TIMEOUT_MAX):
        return timeout  # nearly always, and every call asks
    if isinstance(timeout, timedelta):
        timeout = timeout.total_seconds()
    if isinstance(timeout, bool) or not isinstance(timeout, int | float):
        raise TypeError(f"{what} must be seconds, a timedelta or None, got {timeout!r}")
    if not timeout >= 0:  # also catches NaN
        raise ValueError(f"{what} must be 0 seconds or more, got {timeout!r}")
    return timeout if timeout < threading.TIMEOUT_MAX else None


def finite_seconds(given: float | timedelta | None, what: str) -> float:
    """Return *given* in seconds, however many, for what happens when they are over.

    Raises what `seconds` raises, and ValueError for None and infinity, too.
    """
    checked = seconds(given, what)
    if checked is not None:
        return checked
    if isinstance(given, timedelta):
        return given.total_seconds()
    if given is None or given == math.inf:
        raise ValueError(f"{what} must be 0 or more, and finite, got {given!r}")
    return float(min(given, sys.float_info.max))  # an int may be more
