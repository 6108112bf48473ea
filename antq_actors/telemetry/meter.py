"""What an application has done in this process, counted: its ended executions and its commits.

It counts as events pass, in the threads that tell them, and so misses none; jobs that change
together are one step. It knows no library of metrics.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from dataclasses import dataclass, field
from itertools import accumulate, repeat
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from weakref import WeakKeyDictionary

from antq_actors.events import Committed, JobEnded, Several

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from antq_actors.events import Told
    from antq_actors.events.hub import Hub

BOUNDS: Final = (
    *(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
    *(30.0, 60.0, 120.0, 300.0, 600.0, 1800.0),
)
"""The upper ends of the buckets of all histograms, in seconds: jobs may take half an hour."""


class Distribution(NamedTuple):
    """How many values were observed up to each of BOUNDS, and in all, and their sum."""

    cumulative: tuple[int, ...]
    total: float


class Histogram:
    """Counts values by the bucket that they fall in.

    >>> histogram = Histogram()
    >>> histogram.observe(0.005, times=2)
    >>> histogram.distribution().cumulative[:2]
    (2, 2)
    """

    __slots__ = ("_counts", "_sum")

    def __init__(self) -> None:
        self._counts = [0] * (len(BOUNDS) + 1)
        self._sum = 0.0

    def observe(self, value: float, times: int = 1) -> None:
        """Add a *value*, so many *times*."""
        self._counts[bisect_left(BOUNDS, value)] += times
        self._sum += value * times

    def observe_all(self, values: Sequence[float]) -> None:
        """Add all of some *values*."""
        for bucket in map(bisect_left, repeat(BOUNDS), values):
            self._counts[bucket] += 1
        self._sum += sum(values)

    def distribution(self) -> Distribution:
        """Return what was observed up to now."""
        return Distribution(tuple(accumulate(self._counts)), self._sum)


@dataclass(slots=True)
class _Kind:
    """What is known of the ended executions of one queue and worker."""

    outcomes: dict[str, int] = field(default_factory=dict)
    duration: Histogram = field(default_factory=Histogram)
    queue_time: Histogram = field(default_factory=Histogram)


class EndedJobs(NamedTuple):
    """The executions of one queue and worker that have ended."""

    queue: str
    worker: str
    outcomes: Mapping[str, int]
    """How many ended so."""
    duration: Distribution
    queue_time: Distribution


class Readings(NamedTuple):
    """What a meter has counted up to one moment."""

    ended: Sequence[EndedJobs]
    commits: Distribution
    """How long transactions of the store took."""


class Meter:
    """Counts what a hub tells; to be read from other threads under the hub's lock."""

    def __init__(self) -> None:
        self._kinds: dict[tuple[str, str], _Kind] = {}
        self._commits = Histogram()

    def take(self, told: Sequence[Told]) -> None:
        """Count what was told, each execution once."""
        for each in told:
            if type(each) is Several:
                if each.type is JobEnded:
                    self._ended(each.values, len(each.ids), each.queue_times)
            elif type(each) is JobEnded:
                self._ended(vars(each), 1)
            elif type(each) is Committed:
                self._commits.observe(each.took)

    def _ended(
        self, values: Mapping[str, Any], times: int, queue_times: Sequence[float] | None = None
    ) -> None:
        key = values["queue"], values["worker"]
        kind = self._kinds.get(key)
        if kind is None:
            kind = self._kinds[key] = _Kind()
        outcome = values["outcome"]
        kind.outcomes[outcome] = kind.outcomes.get(outcome, 0) + times
        kind.duration.observe(values["duration"], times)
        if queue_times is None:
            kind.queue_time.observe(values["queue_time"], times)
        else:
            kind.queue_time.observe_all(queue_times)

    def readings(self) -> Readings:
        """Return what was counted up to now."""
        ended = [
            EndedJobs(
                *(queue, worker, dict(kind.outcomes)),
                kind.duration.distribution(),
                kind.queue_time.distribution(),
            )
            for (queue, worker), kind in self._kinds.items()
        ]
        return Readings(ended, self._commits.distribution())


_meters: Final[WeakKeyDictionary[Hub, Meter]] = WeakKeyDictionary()
_making: Final = threading.RLock()


def meter_of(hub: Hub) -> Meter:
    """Return what counts the events of this hub; the first call makes it, and it counts for good.

    So what was counted never goes back, whoever asks.
    """
    with _making:
        meter = _meters.get(hub)
        if meter is None:
            meter = _meters[hub] = Meter()
            hub.tap(meter.take, (JobEnded, Committed))
        return meter


def read_meter(hub: Hub) -> Readings:
    """Return what was counted of the events of this hub."""
    meter = meter_of(hub)
    with hub.lock:
        return meter.readings()
