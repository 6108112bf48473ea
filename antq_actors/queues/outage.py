"""A time in which the store refuses what it is asked: how long it has lasted, and what to say.

A full disk, a failing one, or a file system that became read-only may be well again in a minute.
So whoever meets one keeps what it has, says so, and asks again later. Whether a store is broken
for good is for the storage actor to decide, which then crashes until the root gives up.

This file decides and never acts: it writes no log and reads no clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

REMINDER_SECONDS: Final = 30.0
"""Seconds after which it is said again that the store still refuses."""


@dataclass(slots=True)
class Outage:
    """Counts refusals in a row, by a clock that never jumps.

    >>> outage = Outage()
    >>> [outage.refused(now) for now in (0.0, 1.0, 29.0, 30.0, 31.0)]
    [True, False, False, True, False]
    >>> outage.refusals
    5
    >>> outage.over(40.0)
    40.0
    >>> outage.over(41.0) is None
    True
    """

    refusals: int = 0
    """In a row, up to now."""
    _began: float = 0.0
    _said: float = 0.0

    def refused(self, now: float) -> bool:
        """Note a refusal; tell whether it is one to speak of."""
        self.refusals += 1
        if self.refusals == 1:
            self._began = now
        elif now - self._said < REMINDER_SECONDS:
            return False
        self._said = now
        return True

    def over(self, now: float) -> float | None:
        """Note an answer; tell how many seconds the outage lasted, None if there was none."""
        if not self.refusals:
            return None
        self.refusals = 0
        return now - self._began
