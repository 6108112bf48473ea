"""How long to wait before something that failed is tried again.

This file decides and never acts: it reads no clock and draws no random number. Whoever waits draws
it, and passes it in.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from datetime import timedelta

from antq_actors.checks import is_number
from antq_actors.introspection import explain_fields


@explain_fields
@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits between failures in a row, each longer than the one before.

    As ``retry_delay`` of a worker it is the wait before the next attempt of a job; as ``backoff``
    of a supervisor the wait before the next try to start a child.

    The first wait is *first*, the next *first* times *factor*, …, at most *longest*; both are
    seconds or timedeltas. Each wait is then moved either way by up to the share *jitter* of it
    (0 to 1), so that what failed together is not tried again together.

    A supervisor tries at once to start a child that ended. When that start fails, OTP tries again
    at once (otp rule 31), and a child whose disk is away for a second uses up the restarts of its
    supervisor in a few milliseconds. With a backoff the child is ``RESTARTING`` in the meantime,
    and requests are answered. Each try still counts within ``max_seconds``: with waits that are
    long against that window, the supervisor goes on trying for ever.

    Raises TypeError for a setting of the wrong type, ValueError for one out of range.

    >>> backoff = Backoff(first=0.1, longest=0.5)
    >>> [backoff.delay(failures) for failures in (1, 2, 3, 4, 5)]
    [0.1, 0.2, 0.4, 0.5, 0.5]
    """

    first: float | timedelta = 0.1
    """The wait after the first failure."""
    longest: float | timedelta = 5.0
    """The longest wait, before jitter moves it."""
    factor: float = 2.0
    """How many times as long each wait is as the one before; 1 or more."""
    jitter: float = 0.0
    """The largest share of a wait by which it is moved either way, from 0 to 1."""

    def __post_init__(self) -> None:
        for name, least, most in _SETTINGS:
            value = getattr(self, name)
            if isinstance(value, timedelta) and name in _DURATIONS:
                value = value.total_seconds()
            if not is_number(value):
                raise TypeError(f"{name} of a Backoff must be a number, got {value!r}")
            if not least <= value <= most or value == math.inf:  # also catches NaN
                limit = "or more and finite" if most == math.inf else f"to {most:g}"
                raise ValueError(f"{name} of a Backoff must be {least:g} {limit}, got {value!r}")
            object.__setattr__(self, name, float(min(value, sys.float_info.max)))

    def delay(self, failures: int, *, chance: float = 0.5) -> float:
        """Return the seconds to wait after *failures* failures in a row, at least one.

        *chance*, from 0 to 1, is the random number that *jitter* needs: 0 is the shortest wait, 1
        the longest, and 0.5 the one that is not moved.

        >>> [Backoff(first=10, jitter=0.2).delay(1, chance=chance) for chance in (0, 0.5, 1)]
        [4.0, 5.0, 6.0]
        """
        first, longest = float(self.first), float(self.longest)  # type: ignore[arg-type]  # seconds now
        try:
            wait = min(longest, first * self.factor ** (failures - 1))
        except OverflowError:
            wait = longest
        return min(wait * (1.0 + self.jitter * (2.0 * chance - 1.0)), sys.float_info.max)


_DURATIONS = frozenset({"first", "longest"})
_SETTINGS = (
    ("first", 0.0, math.inf),
    ("longest", 0.0, math.inf),
    ("factor", 1.0, math.inf),
    ("jitter", 0.0, 1.0),
)
