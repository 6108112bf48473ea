"""What happened to jobs over a span of time, as series of numbers, from the table of charts.

The store has counts by the minute for a day and by the hour for 21 days, of each queue, worker and
node. What this process has counted and not written yet is added to them. How long jobs waited and
ran is stored in buckets, so percentiles are exact to about an eighth.

A window can be compared with the same one a week before. Of that the store has hours alone: the
jobs of an hour are spread evenly over shorter steps, and its percentiles are those of each of them.
"""

from __future__ import annotations

import csv
import io
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple

from antq_actors.checks import short_repr
from antq_actors.jobs.instant import SECOND, datetime_for_display
from antq_actors.storage.jobs import chart_counts
from antq_actors.storage.jobs.chart_counts import MINUTE, bounds_of
from antq_actors.storage.jobs.charts import DAY, HOUR, pending_marks, pending_rows
from antq_actors.storage.jobs.reader import JobReader

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from antq_actors.insights.source import Source
    from antq_actors.jobs.instant import Instant
    from antq_actors.storage.jobs.chart_counts import Kind
    from antq_actors.storage.jobs.charts import ChartRow


class _Span(NamedTuple):
    length: Instant
    step: Instant


WINDOWS: Final[Mapping[str, _Span]] = {
    "15m": _Span(15 * MINUTE, MINUTE),
    "1h": _Span(HOUR, MINUTE),
    "6h": _Span(6 * HOUR, 5 * MINUTE),
    "24h": _Span(24 * HOUR, 15 * MINUTE),
    "7d": _Span(7 * 24 * HOUR, HOUR),
    "14d": _Span(14 * 24 * HOUR, HOUR),
}
"""The spans of time that are shown, and their steps."""

WEEK: Final = "week"
"""What a window is compared with: the same one a week before."""
BEFORE: Final = "_week_before"
"""At the end of the names of the series that a window is compared with."""

MOST_QUEUES: Final = 20
"""Queues that have series of their own, the busiest ones."""
MOST_MARKS: Final = 200
"""Marks that are shown, the newest ones."""
RUN_BOUNDS: Final = (0.001, 0.01, 0.1, 1.0, 10.0, 60.0, 600.0)
"""Seconds at which the run times of jobs are split for a heat map; those beyond are the last."""

JOBS: Final = "jobs"
SECONDS: Final = "s"
"""The units of series."""

COUNTED: Final[Mapping[str, tuple[int, ...]]] = {
    "enqueued": (chart_counts.ENQUEUED,),
    "started": (chart_counts.WAITED,),
    "completed": (chart_counts.COMPLETED,),
    "failed": (chart_counts.FAILED,),
    "retrying": (chart_counts.RETRYING,),
    "cancelled": (chart_counts.CANCELLED,),
    "snoozed": (chart_counts.SNOOZED,),
    "interrupted": (chart_counts.INTERRUPTED,),
    "failures": (chart_counts.FAILED, chart_counts.RETRYING),
}
"""The series of numbers of jobs, and what they count. A failure is an attempt that failed, whether
it was the last one of its job or not."""
_OF_QUEUE: Final = ("enqueued", "completed", "failures")
_PERCENTILES: Final = ((50, 0.5), (95, 0.95))


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a chart."""

    name: str
    queue: str | None
    """The queue that it is about; None: all."""
    worker: str | None
    node: int | None
    unit: str
    """``jobs``, how many in each step; ``s``, seconds."""
    values: tuple[float | None, ...]
    """One for each step; None: nothing was measured in it."""


@dataclass(frozen=True, slots=True)
class ChartMark:
    """Something that happened beside jobs, which may explain what charts show."""

    at: datetime
    kind: str
    """``node_up``, ``node_down``, ``deployed``, ``gave_up`` (a supervisor), ``paused``,
    ``resumed``, or ``audit``, for all else that was done by hand."""
    text: str


@dataclass(frozen=True, slots=True)
class Charts:
    """What happened to jobs in a window of time that ends now."""

    window: str
    step: float
    """Seconds of each step. The last one has not ended yet."""
    at: tuple[datetime, ...]
    """When each step begins."""
    series: tuple[Series, ...]
    marks: tuple[ChartMark, ...]


def read_charts(
    source: Source,
    window: str = "1h",
    *,
    queue: str | None = None,
    worker: str | None = None,
    node: int | None = None,
    compare: str | None = None,
) -> Charts:
    """Read what happened to jobs in a *window*, of a queue, worker and node or of all.

    *worker* is a stored name, or what follows its colon. *compare*: ``"week"`` adds the series of
    the same window a week before, whose names end in ``_week_before``. Raises TypeError and
    ValueError.
    """
    _check(window, queue, worker, node, compare)
    about = About(queue, worker, node)
    length, step = WINDOWS[window]
    now = source.now()
    end = now - now % step + step
    start = end - length
    store = source.store
    found = store.read(JobReader.charts, start, end, by_hour=step >= HOUR)
    at = [start + number * step for number in range(length // step)]
    rows = (row for row in (*found.rows, *pending_rows(store.counts)) if start <= row.at < end)
    steps = _by_step(rows, start, step, len(at), about)
    series = [*_totals(steps, about)]
    if compare is not None:
        series += _week_before(source, start - 7 * DAY, step, len(at), about)
    if queue is None:
        series += _of_queues(steps, about)
    marks = [
        ChartMark(datetime_for_display(each.at), each.kind, each.text)
        for each in sorted((*found.marks, *pending_marks(store.counts)))
        if start <= each.at < end
    ]
    return Charts(
        window,
        step / SECOND,
        tuple(map(datetime_for_display, at)),
        tuple(series),
        tuple(marks[-MOST_MARKS:]),
    )


def _check(window: object, queue: object, worker: object, node: object, compare: object) -> None:
    if not isinstance(window, str) or window not in WINDOWS:
        raise ValueError(f"window is one of {', '.join(WINDOWS)}, got {short_repr(window)}")
    for name, value in (("queue", queue), ("worker", worker)):
        if value is not None and not isinstance(value, str):
            raise TypeError(f"{name} must be a name (str) or None, got {short_repr(value)}")
    if node is not None and (isinstance(node, bool) or not isinstance(node, int)):
        raise TypeError(f"node must be the number of a node (int) or None, got {short_repr(node)}")
    if compare not in (None, WEEK):
        raise ValueError(f"compare is {WEEK!r} or None, got {short_repr(compare)}")


# ---- from counts to series ------------------------------------------------------------------


class About(NamedTuple):
    """What series are about; None: all."""

    queue: str | None
    worker: str | None
    node: int | None

    def has(self, kind: Kind) -> bool:
        """Return whether what was counted of a queue and a worker belongs to it."""
        if self.queue not in (None, kind.queue):
            return False
        return self.worker in (None, kind.worker, kind.worker.rpartition(":")[2])


class _Step:
    """What was counted in one step."""

    def __init__(self) -> None:
        self.counts: Counter[int] = Counter()
        self.waits: Counter[int] = Counter()
        self.runs: Counter[int] = Counter()
        self.of_queues: dict[str, Counter[int]] = {}

    def add(self, kind: Kind) -> None:
        """Add what was counted of a queue and a worker."""
        self.counts.update(kind.counts)
        self.waits.update(kind.waits)
        self.runs.update(kind.runs)
        self.of_queues.setdefault(kind.queue, Counter()).update(kind.counts)


def _by_step(
    rows: Iterable[ChartRow], start: Instant, step: Instant, count: int, about: About
) -> list[_Step]:
    steps = [_Step() for _ in range(count)]
    for row in rows:
        if about.node not in (None, row.node):
            continue
        one = steps[(row.at - start) // step]
        for kind in row.kinds:
            if about.has(kind):
                one.add(kind)
    return steps


def _totals(steps: Sequence[_Step], about: About) -> Iterator[Series]:
    """Yield the series of all that is wanted."""
    for name, what in COUNTED.items():
        yield Series(name, *about, JOBS, tuple(_sum(each.counts, what) for each in steps))
    for percent, share in _PERCENTILES:
        waits = tuple(percentile(each.waits, share) for each in steps)
        yield Series(f"wait_p{percent}", *about, SECONDS, waits)
        runs = tuple(percentile(each.runs, share) for each in steps)
        yield Series(f"run_p{percent}", *about, SECONDS, runs)
    split = [split_runs(each.runs) for each in steps]
    for position, name in enumerate(RUN_NAMES):
        yield Series(name, *about, JOBS, tuple(each[position] for each in split))


def _week_before(
    source: Source, start: Instant, step: Instant, count: int, about: About
) -> Iterator[Series]:
    """Yield the series of as many steps from *start* on, from counts by the hour.

    Before the first hour that the store has, nothing was measured.
    """
    first, end = start - start % HOUR, start + count * step
    end += -end % HOUR
    found = source.store.read(JobReader.charts, first, end, by_hour=True)
    pending = pending_rows(source.store.counts)  # of a process that had nothing to write since
    rows = (row for row in (*found.rows, *pending) if first <= row.at < end)
    hours = _by_step(rows, first, HOUR, (end - first) // HOUR, about)
    shown = [(start + number * step - first) // HOUR for number in range(count)]
    known = min(row.at - row.at % HOUR for row in pending) if pending else end
    if found.since is not None:
        known = min(known, found.since)
    share = min(1.0, step / HOUR)
    for each in _totals(hours, about):
        if each.name in RUN_NAMES:
            continue
        factor = share if each.unit == JOBS else 1.0
        values = [
            None if value is None or first + hour * HOUR < known else _plain(value * factor)
            for hour, value in enumerate(each.values)
        ]
        yield replace(each, name=each.name + BEFORE, values=tuple(values[hour] for hour in shown))


def _plain(value: float) -> float:
    rounded = round(value, 6)
    return int(rounded) if rounded == int(rounded) else rounded


def _of_queues(steps: Sequence[_Step], about: About) -> Iterator[Series]:
    """Yield series of each of the busiest queues, by name."""
    sizes: Counter[str] = Counter()
    for each in steps:
        for queue, counts in each.of_queues.items():
            sizes[queue] += counts.total()
    for queue in sorted(name for name, _ in sizes.most_common(MOST_QUEUES)):
        for name in _OF_QUEUE:
            found = (each.of_queues.get(queue, Counter()) for each in steps)
            values = tuple(_sum(counts, COUNTED[name]) for counts in found)
            yield Series(name, queue, about.worker, about.node, JOBS, values)


def _sum(counts: Mapping[int, int], what: Iterable[int]) -> int:
    return sum(counts.get(each, 0) for each in what)


RUN_NAMES: Final = (*(f"run_to_{bound:g}" for bound in RUN_BOUNDS), "run_beyond")
"""The series of a heat map of run times: jobs that ran up to so many seconds, and no less than the
bound before."""


def split_runs(buckets: Mapping[int, int]) -> list[int]:
    """Return how many jobs ran up to each bound of a heat map, and beyond the last.

    A bucket is where its middle is.
    """
    found = [0] * len(RUN_NAMES)
    for bucket, number in buckets.items():
        found[bisect_left(RUN_BOUNDS, _middle(bucket))] += number
    return found


def percentile(buckets: Mapping[int, int], share: float) -> float | None:
    """Return the seconds that a *share* of what is in *buckets* does not exceed; None: it is empty.

    >>> percentile({}, 0.5) is None
    True
    >>> round(percentile({79: 9, 99: 1}, 0.5), 2)
    1.97
    """
    left = share * sum(buckets.values())
    for bucket in sorted(buckets):
        left -= buckets[bucket]
        if left <= 0:
            return _middle(bucket)
    return None


def _middle(bucket: int) -> float:
    """Return the seconds in the middle of a bucket."""
    least, following = bounds_of(bucket)
    return (least + following - 1) / 2 / SECOND


# ---- as CSV ---------------------------------------------------------------------------------


def as_csv(charts: Charts) -> str:
    """Return *charts* as CSV, one row for each step and one column for each series.

    A column is headed by the name of its series, by what that is about, and by its unit.
    """
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["at", *map(_heading, charts.series)])
    for number, at in enumerate(charts.at):
        values = (each.values[number] for each in charts.series)
        rows.writerow([at.isoformat(), *("" if value is None else value for value in values)])
    return text.getvalue()


def _heading(series: Series) -> str:
    about = {"queue": series.queue, "worker": series.worker, "node": series.node}
    named = ", ".join(f"{name} {value}" for name, value in about.items() if value is not None)
    unit = f" ({series.unit})"
    return f"{series.name}{unit}: {named}" if named else f"{series.name}{unit}"
