"""What is clearly slower than it was? Decides from numbers alone, and measures nothing.

A ratio of two things measured in the same round wanders less than either, but it does wander. So
a loss is clear only if it is both: large, and larger than the rounds differ among themselves.
"""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FLOOR: Final = 0.7
"""Share of the baseline's median below which a median is a loss."""


class Compared(NamedTuple):
    """One ratio, now and in the baseline."""

    name: str
    before: float
    """The median of the baseline's rounds."""
    now: float
    """The median of the rounds of now."""
    is_lost: bool

    @property
    def left(self) -> float:
        """The share that is left of what was."""
        return self.now / self.before


def compare(
    baseline: Mapping[str, Sequence[float]], found: Mapping[str, Sequence[float]]
) -> list[Compared]:
    """Return every ratio of *found* beside the baseline's; a larger ratio is the better one.

    It is lost when its median is below ``FLOOR`` times the baseline's, and the middle half of its
    rounds is below the middle half of the baseline's. Raises ValueError unless both have the same
    ratios.
    """
    if baseline.keys() != found.keys():
        raise ValueError(
            f"only one of the baseline and this run has {sorted(baseline.keys() ^ found.keys())};"
            " write a new baseline with --update"
        )
    return [_compared(name, baseline[name], rounds) for name, rounds in found.items()]


def _compared(name: str, before: Sequence[float], now: Sequence[float]) -> Compared:
    was_least, was, _ = _quartiles(before)
    _, is_, is_most = _quartiles(now)
    return Compared(name, was, is_, is_lost=is_ < FLOOR * was and is_most < was_least)


def _quartiles(rounds: Sequence[float]) -> Sequence[float]:
    if len(rounds) == 1:
        return 3 * tuple(rounds)
    return statistics.quantiles(rounds, n=4, method="inclusive")
