"""Which rate to try next, in search of the highest at which latency stays below a bound.

Nothing here measures, reads a clock or starts a thread.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

LOWEST: Final = 10.0
"""Jobs/s; a contestant that is late at this rate has none."""
HIGHEST: Final = 100_000.0
"""Jobs/s; the search does not go beyond."""
PRECISION: Final = 1.05
"""The search ends when a rate that was too high is at most this times one that was not."""


def highest_rate(
    first: float, latency_at: Callable[[float], float], *, bound: float, tries: int
) -> float | None:
    """Return the highest rate tried whose latency was below *bound*; None: there was none.

    It begins with *first*, then doubles while the latency is below the bound, or halves while it is
    not, and then halves what is left between the two. It tries at most *tries* rates.
    """
    held, too_high = 0.0, math.inf
    rate: float | None = min(max(first, LOWEST), HIGHEST)
    for _ in range(tries):
        if rate is None:
            break
        if latency_at(rate) < bound:
            held = rate
        else:
            too_high = rate
        rate = _next_rate(held, too_high)
    return held or None


def _next_rate(held: float, too_high: float) -> float | None:
    """Return the rate to try next; None: the highest is known."""
    if too_high == math.inf:
        return min(2 * held, HIGHEST) if held < HIGHEST else None
    if not held:
        return max(too_high / 2, LOWEST) if too_high > LOWEST else None
    return math.sqrt(held * too_high) if too_high / held > PRECISION else None
