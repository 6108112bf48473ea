"""What must be true of the starts of jobs with limits, from when and in which order they started.

Like checker.py, this file decides and reads no file. Times are in seconds.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise


def most_in_a_span(starts: Iterable[float], per: float) -> int:
    """Return the largest number of *starts* in any half-open span of *per*."""
    ascending = sorted(starts)
    return max(
        (bisect_left(ascending, first + per) - n for n, first in enumerate(ascending)), default=0
    )


def share_used(starts: Iterable[float], per_second: float, burst: int) -> float:
    """Return how many of the starts that a rate allowed from the first to the last there were."""
    ascending = sorted(starts)
    return len(ascending) / (burst + per_second * (ascending[-1] - ascending[0]))


def lateness(starts: Iterable[float], per_second: float, burst: int) -> list[float]:
    """Return by how much each start came after the instant from which the rate allowed it.

    As long as jobs wait all the time, of which the last few are not.
    """
    late = []
    full_at = 0.0
    for start in sorted(starts):
        if full_at:
            late.append(max(0.0, start - (full_at - (burst - 1) / per_second)))
        full_at = max(full_at, start) + 1 / per_second
    return late


def out_of_order(chains: Mapping[str, Sequence[int]]) -> list[str]:
    """Return where a chain started a job after a later one; the same one may start again."""
    return [
        f"chain {name}: {later} started after {earlier}"
        for name, numbers in chains.items()
        for earlier, later in pairwise(numbers)
        if later < earlier
    ]
