"""The results as pictures: how many jobs a second each contestant takes and performs, how soon."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any, Final

from comparison.contestants import CONTESTANTS, Contestant
from comparison.tables import number

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from comparison.rounds import Results

WIDTH_INCHES: Final = 10.8
OURS: Final = "#2f5d9b"
THEIRS: Final = "#b9c1cb"
RATES: Final = (
    ("Enqueued by one thread", "enqueue, one"),
    ("Performed, 1,000 waiting", "drain, best"),
    ("Arriving one by one,\n99 % performed within 50 ms", "sustained, rate"),
)
LATENCIES: Final = (
    ("An idle system", "idle, p50"),
    ("Jobs arriving one by one,\nat half the highest rate", "sustained, p50"),
)
KINDS: Final = ((True, "durable: on disk before it is acknowledged"), (False, "not durable"))


def draw(results: Results, folder: Path) -> list[Path]:
    """Draw all plots into *folder* and return their files."""
    # Only here: whoever wants no pictures needs no matplotlib.
    import matplotlib as mpl  # noqa: PLC0415

    mpl.use("Agg")
    folder.mkdir(parents=True, exist_ok=True)
    rates, latencies = folder / "rates.png", folder / "latency.png"
    _draw_bars(results, rates, RATES, "jobs/s (more is better)")
    _draw_bars(results, latencies, LATENCIES, "ms until performed, median (less is better)")
    return [rates, latencies]


def _draw_bars(
    results: Results, file: Path, measures: Sequence[tuple[str, str]], unit: str
) -> None:
    """Draw bars for each measure, those of each kind of contestants in a row."""
    from matplotlib import pyplot as plt  # noqa: PLC0415 - as in draw()

    rows, columns = len(KINDS), len(measures)
    size = (WIDTH_INCHES, 3.2 * rows)
    figure, grid = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")
    for row, (durable, kind) in zip(grid, KINDS, strict=True):
        for axes, (title, measure) in zip(row, measures, strict=True):
            _bars(axes, results, durable, measure)
            axes.set_title(f"{title}\n{kind}", fontsize=9)
            axes.set_xlabel(unit, fontsize=8)
    figure.savefig(file, dpi=110, bbox_inches="tight")


def _bars(axes: Any, results: Results, durable: bool, measure: str) -> None:  # noqa: FBT001 - of KINDS
    """Draw a bar with its number for each contestant of a kind that has one, ours first."""
    found = [
        (one, rounds)
        for one in CONTESTANTS
        if one.durable is durable and (rounds := _of(results, one, measure))
    ]
    names = [one.name.partition(",")[0] for one, _ in found]
    widths = [statistics.median(rounds) for _, rounds in found]
    bars = axes.barh(names, widths, color=[OURS if one.is_ours else THEIRS for one, _ in found])
    axes.bar_label(bars, [number(rounds) for _, rounds in found], fontsize=7, padding=2)
    axes.invert_yaxis()
    axes.margins(x=0.2)
    axes.tick_params(labelsize=7)
    axes.xaxis.set_major_formatter("{x:,g}")
    axes.locator_params(axis="x", nbins=4)
    axes.spines[["top", "right"]].set_visible(False)


def _of(results: Results, one: Contestant, measure: str) -> list[float]:
    """Return what each round has given."""
    return results.values.get(one.name, {}).get(measure, [])
