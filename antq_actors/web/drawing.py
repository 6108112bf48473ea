"""Small pictures as numbers: what the templates write into the attributes of an SVG. Pure.

No style is in them, as the policy of content allows none in a page: sizes are attributes.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor, log10
from typing import TYPE_CHECKING, Final

from antq_actors.insights.charts import BEFORE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from antq_actors.insights.charts import Charts, Series

WIDTH: Final = 720
HEIGHT: Final = 150
LEFT: Final = 44
"""Room for the numbers of the axis."""
BOTTOM: Final = 20
TOP: Final = 8
_MOST_LABELS: Final = 7
_MOST_ROWS: Final = 5


@dataclass(frozen=True, slots=True)
class Line:
    """A series of a chart, drawn."""

    name: str
    points: str
    """Of its polylines, one after the other where values are missing, separated by "|"."""
    shown: float | None
    """Its sum; of seconds, the last value."""
    number: int = 1
    """Says its colour: that of a series and of the same one a week before are one."""
    is_before: bool = False
    """Whether it is a week before what the chart is about; it is drawn quieter."""

    @property
    def parts(self) -> list[str]:
        """The points of each of its polylines."""
        return self.points.split("|") if self.points else []


@dataclass(frozen=True, slots=True)
class Tick:
    """A number or a time at an axis."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class DrawnMark:
    """Something that happened, as a line across the chart."""

    x: float
    kind: str
    text: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A chart with its axes."""

    width: int
    height: int
    left: int
    bottom: float
    """Where the axis of time is."""
    lines: tuple[Line, ...]
    rows: tuple[Tick, ...]
    times: tuple[tuple[float, datetime], ...]
    marks: tuple[DrawnMark, ...]


def sparkline(values: Sequence[float | None], width: int = 60, height: int = 16) -> str:
    """Return the points of a polyline that shows *values*, the highest of them at the top.

    >>> sparkline([0, 2, 1], 60, 16)
    '0,15 30,1 60,8'
    """
    most = max((value for value in values if value is not None), default=0) or 1
    step = width / max(1, len(values) - 1)
    return " ".join(
        f"{_text(number * step)},{_text(height - 1 - (height - 2) * (value or 0) / most)}"
        for number, value in enumerate(values)
    )


def picture(charts: Charts, series: Sequence[Series]) -> Picture:
    """Return the picture of some of the series of *charts*, which have one unit."""
    bottom = float(HEIGHT - BOTTOM)
    most = max((value for each in series for value in each.values if value is not None), default=0)
    scale = steps_of(most)
    x_step = (WIDTH - LEFT) / max(1, len(charts.at) - 1)

    def y(value: float) -> float:
        return bottom - (bottom - TOP) * value / scale[-1]

    numbers = {name: n for n, name in enumerate(dict.fromkeys(map(_plain_name, series)), 1)}
    lines = tuple(
        Line(
            label_of(each.name),
            "|".join(_runs(each.values, x_step, y)),
            _shown(each),
            numbers[_plain_name(each)],
            each.name.endswith(BEFORE),
        )
        for each in series
    )
    every = max(1, ceil(len(charts.at) / _MOST_LABELS))
    times = tuple((LEFT + n * x_step, charts.at[n]) for n in range(0, len(charts.at), every))
    rows = tuple(Tick(y(value), _text(value)) for value in scale)
    return Picture(
        width=WIDTH,
        height=HEIGHT,
        left=LEFT,
        bottom=bottom,
        lines=lines,
        rows=rows,
        times=times,
        marks=tuple(_marks(charts)),
    )


def label_of(name: str) -> str:
    """Return what a series is called where it is shown.

    >>> label_of("completed"), label_of("completed_week_before")
    ('completed', 'completed, a week before')
    """
    return f"{name.removesuffix(BEFORE)}, a week before" if name.endswith(BEFORE) else name


def _plain_name(series: Series) -> str:
    return series.name.removesuffix(BEFORE)


def _shown(series: Series) -> float | None:
    values = [value for value in series.values if value is not None]
    if series.unit == "jobs":
        return round(sum(values), 3)
    return values[-1] if values else None


def _runs(values: Sequence[float | None], step: float, y: Callable[[float], float]) -> list[str]:
    """Return the points of each run of values that are there."""
    runs: list[list[str]] = [[]]
    for number, value in enumerate(values):
        if value is None:
            runs.append([])
        else:
            runs[-1].append(f"{_text(LEFT + number * step)},{_text(y(value))}")
    return [" ".join(run) for run in runs if run]


def _marks(charts: Charts) -> list[DrawnMark]:
    start = charts.at[0]
    span = charts.step * max(1, len(charts.at) - 1)
    return [
        DrawnMark(
            LEFT + (WIDTH - LEFT) * min(1.0, (mark.at - start).total_seconds() / span),
            mark.kind,
            mark.text,
            mark.at,
        )
        for mark in charts.marks
        if mark.at >= start
    ]


def steps_of(most: float) -> tuple[float, ...]:
    """Return the numbers of an axis that goes from 0 to at least *most*, round ones.

    >>> [steps_of(most) for most in (0, 3, 90, 0.7)]
    [(0, 1), (0, 1, 2, 3), (0, 20, 40, 60, 80, 100), (0, 0.2, 0.4, 0.6, 0.8)]
    """
    if most <= 0:
        return (0, 1)
    size = 10.0 ** floor(log10(most))
    step = next(each * size for each in (0.2, 0.5, 1, 2) if most / (each * size) <= _MOST_ROWS)
    if most >= 1:
        step = max(1.0, step)
    count = ceil(round(most / step, 6))
    return tuple(_plain(number * step) for number in range(count + 1))


def _plain(value: float) -> float:
    rounded = round(value, 6)
    return int(rounded) if rounded == int(rounded) else rounded


def _text(value: float) -> str:
    return f"{round(value, 1):g}" if abs(value) < 1_000_000 else f"{value:.0f}"  # noqa: PLR2004
