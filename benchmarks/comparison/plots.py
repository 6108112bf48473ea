"""The results as pictures: how fast a backlog is drained, and how soon a new job is performed."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any, Final

from comparison.contestants import ALL, CONTESTANTS, PEERS, Contestant

if TYPE_CHECKING:
    from pathlib import Path

    from comparison.rounds import Results

SIZE: Final = (9.0, 5.0)


def draw(results: Results, folder: Path) -> list[Path]:
    """Draw all plots into *folder* and answer their files."""
    # Only here: whoever wants no pictures needs no matplotlib.
    import matplotlib as mpl  # noqa: PLC0415

    mpl.use("Agg")
    folder.mkdir(parents=True, exist_ok=True)
    return [_drains(results, folder / "drain.png"), _latencies(results, folder / "latency.png")]


def _drains(results: Results, file: Path) -> Path:
    figure, axes = _figure()
    for one in CONTESTANTS:
        medians = {at: _median(results, one, f"drain, {at}") for at in ALL}
        points = {at: median for at, median in medians.items() if median}
        if points:
            style = {"linestyle": _line(one), "color": f"C{PEERS.index(one.peer)}", "marker": "."}
            width = 2.5 if one.is_ours else 1.2
            axes.plot(list(points), list(points.values()), label=one.name, linewidth=width, **style)
    axes.set(xscale="log", yscale="log", xlabel="concurrency", ylabel="jobs/s")
    axes.set_xticks(ALL, [str(at) for at in ALL])
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.set_title("No-op jobs a second, 1,000 waiting (not durable: dashed)")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return _saved(figure, file)


def _line(one: Contestant) -> str:
    """Return a line of its own for each way in which a peer is run; the colour is the peer's."""
    if not one.durable:
        return "--"
    same = [other for other in CONTESTANTS if other.peer == one.peer and other.durable]
    return ("-", ":")[same.index(one)]


def _latencies(results: Results, file: Path) -> Path:
    figure, axes = _figure()
    shown = [one for one in reversed(CONTESTANTS) if _median(results, one, "idle, p50")]
    names = [one.name for one in shown]
    for share, color in (("p99", "#c9d6e8"), ("p50", "#2f5d9b")):
        widths = [_median(results, one, f"idle, {share}") for one in shown]
        axes.barh(names, widths, color=color, label=share)
    axes.set(xscale="log", xlim=(0.1, None), xlabel="ms from enqueueing to performing")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_title("Latency of one job on an idle system")
    axes.grid(axis="x", alpha=0.3)
    axes.legend(loc="upper right")
    return _saved(figure, file)


def _figure() -> tuple[Any, Any]:
    from matplotlib import pyplot as plt  # noqa: PLC0415 - as in draw()

    figure, axes = plt.subplots(figsize=SIZE)
    return figure, axes


def _saved(figure: Any, file: Path) -> Path:
    figure.savefig(file, dpi=110, bbox_inches="tight")
    return file


def _median(results: Results, one: Contestant, measure: str) -> float:
    """Return the median, 0 where there is none."""
    rounds = results.values.get(one.name, {}).get(measure, [])
    return statistics.median(rounds) if rounds else 0.0
