"""The parts of the documentation that are made of a run: between markers, the rest is prose."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from comparison.contestants import CONTESTANTS, PEERS
from comparison.tables import summary, tables

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from comparison.rounds import Results

COMPARISON: Final = "comparison"
OURS: Final = "ours"
FIGURES: Final = "figures"


def write(
    page: Path, machine: Mapping[str, str], results: Results, plots: Iterable[Path], own: str
) -> None:
    """Renew the marked parts of *page*: the comparison, and the table of our *own* measures."""
    text = page.read_text(encoding="utf-8")
    if results.values:
        text = renewed(text, COMPARISON, _comparison(page, machine, results, plots))
    if own:
        text = renewed(text, OURS, f"```\n{own}\n```")
    page.write_text(text, encoding="utf-8")


def write_summary(page: Path, results: Results) -> None:
    """Renew the short table in *page*, where our figures are beside those of the best peer."""
    if results.values:
        text = page.read_text(encoding="utf-8")
        short = summary(results).to_markdown().partition("\n\n")[2]
        page.write_text(renewed(text, FIGURES, short), encoding="utf-8")


def renewed(text: str, part: str, content: str) -> str:
    """Put *content* between the markers of *part* in *text*. Raises ValueError without them."""
    begin, end = f"<!-- {part}: begin -->\n", f"<!-- {part}: end -->"
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"the page has no lines '{begin.strip()}' and '{end}' to write between")
    return f"{before}{begin}\n{content}\n\n{end}{after}"


def _comparison(
    page: Path, machine: Mapping[str, str], results: Results, plots: Iterable[Path]
) -> str:
    parts = ["\n".join(["| | |", "|---|---|", *_described(machine, results)])]
    parts += [table.to_markdown() for table in tables(results)]
    parts += [
        f"![{plot.stem} of all contestants]({os.path.relpath(plot, page.parent)})" for plot in plots
    ]
    if results.skipped:
        lines = [f"- {what}: {why}" for what, why in results.skipped.items()]
        parts.append("\n".join(["### Without a number", "", *lines]))
    return "\n\n".join(parts)


def _described(machine: Mapping[str, str], results: Results) -> Iterable[str]:
    yield from (f"| {what} | {value} |" for what, value in machine.items())
    rounds = max(len(values) for found in results.values.values() for values in found.values())
    yield f"| rounds | {rounds} |"
    for peer in PEERS:
        versions = results.versions.get(peer.name)
        if versions is not None:
            packages = ", ".join(f"{name} {version}" for name, version in versions.items())
            ways = "; ".join(one.settings for one in CONTESTANTS if one.peer == peer)
            yield f"| {peer.title} | {packages} ({ways}) |"
    for server in ("redis", "postgresql"):
        if server in results.versions:
            yield f"| server | {server} {results.versions[server][server]} |"
