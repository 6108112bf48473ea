"""Refusals of the store: since when, how soon to repeat a request, and when to log that again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from antq_actors.backoff import Backoff

STORE_BACKOFF: Final = Backoff(first=0.2, longest=3.0)
"""Seconds between two tries of a store that refuses: few enough that its recovery is soon seen."""

REMINDER_SECONDS: Final = 30.0
"""After so long it is logged again that the store still refuses."""


class Retry(NamedTuple):
    """The store refused: repeat the request in so many seconds."""

    seconds: float
    is_logged: bool
    """Whether it is time to log a warning."""


@dataclass(slots=True)
class Outage:
    """Refusals of the store in a row, by a clock that never jumps.

    A full disk, a failing one, or a file system that became read-only may be well again in a
    minute. So its users keep what they have, log a warning, and try again later. Whether a
    store is broken for good is for the storage actor to decide, which then crashes until the root
    gives up.

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
    _logged: float = 0.0

    def refused(self, now: float) -> bool:
        """Note that the store refused a queue or a service; return whether to log that."""
        self.refusals += 1
        if self.refusals == 1:
            self._began = now
        elif now - self._logged < REMINDER_SECONDS:
            return False
        self._logged = now
        return True

    def over(self, now: float) -> float | None:
        """Note that the store replied to a queue or a service; return the seconds of the outage."""
        if not self.refusals:
            return None
        self.refusals = 0
        return now - self._began
