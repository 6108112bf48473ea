"""How fast queues work lately, and how long jobs of a worker take, from the counts of charts."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from antq_actors.insights.charts import COUNTED, percentile
from antq_actors.jobs.instant import SECOND
from antq_actors.storage.jobs.chart_counts import MINUTE
from antq_actors.storage.jobs.charts import DAY, HOUR, pending_rows
from antq_actors.storage.jobs.reader import JobReader

if TYPE_CHECKING:
    from collections.abc import Mapping

    from antq_actors.insights.source import Source
    from antq_actors.jobs.instant import Instant
    from antq_actors.storage.jobs.charts import ChartRow

LATELY: Final = 5 * MINUTE
"""The time over which rates are, beside that of the running minute."""
SLOW_SHARE: Final = 0.95
_OUT: Final = (*COUNTED["completed"], *COUNTED["failed"], *COUNTED["cancelled"])


@dataclass(frozen=True, slots=True)
class Rate:
    """Jobs a minute."""

    in_: float
    """That came in."""
    out: float
    """That ended, however that was."""
    failed: float
    """Attempts that failed."""


def rates(source: Source) -> Mapping[str, Rate]:
    """Read how many jobs of each queue came in and ended a minute, over the last five."""
    now = source.now()
    start = now - now % MINUTE - LATELY
    counts: dict[str, Counter[int]] = defaultdict(Counter)
    for row in _rows(source, start, now, by_hour=False):
        for kind in row.kinds:
            counts[kind.queue].update(kind.counts)
    minutes = (now - start) / MINUTE
    found: dict[str, Rate] = defaultdict(lambda: Rate(0.0, 0.0, 0.0))
    for queue, counted in counts.items():
        found[queue] = Rate(
            in_=sum(counted[each] for each in COUNTED["enqueued"]) / minutes,
            out=sum(counted[each] for each in _OUT) / minutes,
            failed=sum(counted[each] for each in COUNTED["failures"]) / minutes,
        )
    return found


def slow_ends(source: Source) -> dict[str, float]:
    """Read within how many seconds 19 of 20 jobs of each worker have ended, this hour and last."""
    now = source.now()
    runs: dict[str, Counter[int]] = defaultdict(Counter)
    for row in _rows(source, now - now % HOUR - HOUR, now, by_hour=True):
        for kind in row.kinds:
            runs[kind.worker].update(kind.runs)
    found = {worker: percentile(buckets, SLOW_SHARE) for worker, buckets in runs.items()}
    return {worker: seconds for worker, seconds in found.items() if seconds is not None}


def counted_workers(source: Source) -> set[str]:
    """Read the names of the workers of which anything happened to a job within a day."""
    now = source.now()
    rows = _rows(source, now - now % HOUR - DAY, now, by_hour=True)
    return {kind.worker for row in rows for kind in row.kinds}


def _rows(source: Source, start: Instant, now: Instant, *, by_hour: bool) -> list[ChartRow]:
    store = source.store
    stored = store.read(JobReader.charts, start, now + SECOND, by_hour=by_hour).rows
    return [*stored, *(row for row in pending_rows(store.counts) if row.at >= start)]
