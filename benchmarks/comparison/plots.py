"""The results as pictures: how many jobs a second each contestant takes and performs, how soon."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any, Final

from comparison.contestants import CONTESTANTS, Contestant
from comparison.tables import number

if TYPE_CHECKING:
    from pathlib import Path

    from comparison.rounds import Results

OURS: Final = "#2f5d9b"
THEIRS: Final = "#b9c1cb"
RATES: Final = (
    ("Enqueued by one thread", "enqueue, one"),
    ("Performed, 1,000 waiting", "drain, best"),
    ("Arriving one by one,\n99 % performed within 50 ms", "sustained, rate"),
)
KINDS: Final = ((True, "durable: on disk before it is acknowledged"), (False, "not durable"))


def draw(results: Results, folder: Path) -> list[Path]:
    """Draw all plots into *folder* and return their files."""
    # Only here: whoever wants no pictures needs no matplotlib.
    import matplotlib as mpl  # noqa: PLC0415

    mpl.use("Agg")
    folder.mkdir(parents=True, exist_ok=True)
    return [_rates(results, folder / "rates.png"), _latencies(results, folder / "latency.png")]


def _rates(results: Results, file: Path) -> Path:
    figure, grid = _figure(len(KINDS), len(RATES), 3.6 * len(RATES), 3.2 * len(KINDS))
    for row, (durable, kind) in zip(grid, KINDS, strict=True):
        for axes, (title, measure) in zip(row, RATES, strict=True):
            _bars(axes, results, durable, measure)
            axes.set_title(f"{title}\n{kind}", fontsize=9)
            axes.set_xlabel("jobs/s", fontsize=8)
    return _saved(figure, file)


def _latencies(results: Results, file: Path) -> Path:
    figure, (row,) = _figure(1, len(KINDS), 5.4 * len(KINDS), 3.2)
    for axes, (durable, kind) in zip(row, KINDS, strict=True):
        _bars(axes, results, durable, "idle, p50")
        axes.set_xscale("log")
        axes.set_title(f"From enqueueing to performing, idle system\n{kind}", fontsize=9)
        axes.set_xlabel("ms, median", fontsize=8)
    return _saved(figure, file)


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


def _figure(rows: int, columns: int, width: float, height: float) -> tuple[Any, Any]:
    from matplotlib import pyplot as plt  # noqa: PLC0415 - as in draw()

    return plt.subplots(rows, columns, figsize=(width, height), squeeze=False, layout="constrained")


def _saved(figure: Any, file: Path) -> Path:
    figure.savefig(file, dpi=110, bbox_inches="tight")
    return file


def _of(results: Results, one: Contestant, measure: str) -> list[float]:
    """Return what each round has given."""
    return results.values.get(one.name, {}).get(measure, [])
