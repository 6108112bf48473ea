"""The life of a job as its page shows it: stops, the spans between them, and what was beside it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import log1p
from statistics import median
from typing import TYPE_CHECKING, Final

from antq_actors.jobs.state import ENDED, WAITING, Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from antq_actors.insights.charts import ChartMark, Charts
    from antq_actors.insights.values import FilmStop, JobView
    from antq_actors.web.job_args import Budget, Cut

BAR_WIDTH: Final = 1_000
"""Units of the drawing in which a film's spans are."""
_LEAST_BAR: Final = 6
_ERROR_CHARACTERS: Final = 1_000
_MOST_MARKS: Final = 20

WINDOWS: Final = (("1h", 1), ("6h", 6), ("24h", 24), ("7d", 168), ("14d", 336))
"""Of charts, each with its hours."""


@dataclass(frozen=True, slots=True)
class Stop:
    """A stop of the film."""

    number: int
    status: str
    at: datetime
    text: str
    """What the slider says of it."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A span between two stops, or a part of one: how it was spent."""

    kind: str
    """A status; ``due`` and ``not-due`` of those that wait."""
    seconds: float
    x: float
    width: float


@dataclass(frozen=True, slots=True)
class Film:
    """The life of a job: its stops, the spans between them, and the stop that is shown."""

    stops: tuple[Stop, ...]
    bars: tuple[Bar, ...]
    shown: FilmStop
    number: int
    error: Cut | None
    changes: tuple[tuple[str, str, str], ...]
    """What differs from the stop before: a name, what it was, and what it is."""


@dataclass(frozen=True, slots=True)
class Beside:
    """What the life of a job is compared with."""

    waited: float | None
    """Seconds that half of the jobs of its worker waited lately; None: none was measured."""
    ran: float | None
    """Seconds that half of them ran."""
    marks: tuple[ChartMark, ...]
    """What happened beside it while it lived."""


def film_of(stops: Sequence[FilmStop], number: int, now: datetime, budget: Budget) -> Film:
    """Return the film with the stop of a *number* shown."""
    shown = stops[number]
    error = None
    if shown.error is not None:
        error = budget.cut(shown.error.summary, _ERROR_CHARACTERS, f"film.{number}")
    return Film(
        stops=tuple(
            Stop(
                at,
                each.status.value,
                each.at,
                f"{each.status.value}, {each.at:%Y-%m-%d %H:%M:%S} UTC",
            )
            for at, each in enumerate(stops)
        ),
        bars=tuple(bars_of(stops, now)),
        shown=shown,
        number=number,
        error=error,
        changes=tuple(
            (name, short_text(was), short_text(is_)) for name, (was, is_) in shown.changes.items()
        ),
    )


def short_text(value: object) -> str:
    """Return what a stop has, on one line."""
    if value is None:
        return "–"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S} UTC"
    text = str(value.value) if isinstance(value, Status) else str(value)
    line = " ".join(text[:400].split())
    return line if len(line) <= 200 else line[:199] + "…"  # noqa: PLR2004 - characters of a line


def bars_of(stops: Sequence[FilmStop], now: datetime) -> list[Bar]:
    """Return the spans of a life, drawn so that short ones are seen and long ones folded."""
    spans: list[tuple[str, float]] = []
    for at, stop in enumerate(stops):
        if at + 1 < len(stops):
            until = stops[at + 1].at
        elif stop.status in ENDED:
            break
        else:
            until = now
        spans += _parts(stop, until)
    widths = [_LEAST_BAR + 40 * log1p(seconds) for _, seconds in spans]
    scale = BAR_WIDTH / sum(widths) if widths else 0.0
    bars, x = [], 0.0
    for (kind, seconds), width in zip(spans, widths, strict=True):
        bars.append(Bar(kind, seconds, round(x, 1), round(width * scale, 1)))
        x += width * scale
    return bars


def _parts(stop: FilmStop, until: datetime) -> list[tuple[str, float]]:
    """Return how the time from a stop until the next was spent."""
    whole = max(0.0, (until - stop.at).total_seconds())
    if stop.status not in WAITING:
        return [(stop.status.value, whole)]
    early = 0.0 if stop.due is None else (min(stop.due, until) - stop.at).total_seconds()
    parts = [("not-due", max(0.0, early)), ("due", whole - max(0.0, early))]
    return [part for part in parts if part[1] > 0] or [("due", whole)]


# ---- what was beside it ---------------------------------------------------------------------


def window_of(job: JobView, now: datetime) -> str:
    """Return the shortest window of charts in which the life of a job is, or the longest."""
    age = now - job.inserted_at
    return next((name for name, hours in WINDOWS if age < timedelta(hours=hours)), WINDOWS[-1][0])


def beside_of(job: JobView, charts: Charts, now: datetime) -> Beside:
    """Return what the life of a job is compared with, from the *charts* of its worker."""
    end = job.ended_at or now
    marks = [mark for mark in charts.marks if job.inserted_at <= mark.at <= end]
    return Beside(
        _middle(charts, "wait_p50"), _middle(charts, "run_p50"), tuple(marks[-_MOST_MARKS:])
    )


def _middle(charts: Charts, name: str) -> float | None:
    """Return the median of what was measured in a series, of all queues."""
    found = [
        value
        for each in charts.series
        if each.name == name and each.queue is None
        for value in each.values
        if value is not None
    ]
    return median(found) if found else None
