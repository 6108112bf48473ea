"""How long to wait before a start that failed is tried again."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, fields
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits between the failing restarts of a child, each longer than the one before.

    A supervisor tries at once to start a child that ended. When that start fails, OTP tries again
    at once (otp rule 31), and a child whose disk is away for a second uses up the restarts of its
    supervisor in a few milliseconds. With a backoff the next try comes after *first*, then *first*
    times *factor*, …, at most *longest* seconds (or timedeltas). Meanwhile the child is
    ``RESTARTING``, and requests are answered. Each try still counts within ``max_seconds``: with
    waits that are long against that window, the supervisor goes on trying for ever.

    >>> backoff = Backoff(first=0.1, longest=0.5)
    >>> [backoff.delay(failures) for failures in (1, 2, 3, 4, 5)]
    [0.1, 0.2, 0.4, 0.5, 0.5]
    """

    first: float | timedelta = 0.1
    longest: float | timedelta = 5.0
    factor: float = 2.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, timedelta) and field.name != "factor":
                value = value.total_seconds()
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise TypeError(f"{field.name} of a Backoff must be a number, got {value!r}")
            least = 1.0 if field.name == "factor" else 0.0
            if not least <= value < math.inf:  # also catches NaN
                raise ValueError(
                    f"{field.name} of a Backoff must be {least:g} or more and finite, got {value!r}"
                )
            object.__setattr__(self, field.name, float(min(value, sys.float_info.max)))

    def delay(self, failures: int) -> float:
        """Answer the seconds to wait after *failures* failed starts in a row, at least one."""
        first, longest = float(self.first), float(self.longest)  # type: ignore[arg-type]  # seconds now
        try:
            return min(longest, first * self.factor ** (failures - 1))
        except OverflowError:
            return longest


def check_backoff(backoff: object) -> None:
    """Raise TypeError unless *backoff* is one, or None."""
    if backoff is not None and not isinstance(backoff, Backoff):
        raise TypeError(
            f"backoff must be a Backoff or None, got {backoff!r}; write Backoff(first=0.1)"
        )


def delay_of(backoff: Backoff | None, failures: int) -> float:
    """Answer the seconds to wait after *failures* failed starts; without a *backoff* none."""
    return 0.0 if backoff is None else backoff.delay(failures)
