"""The results as tables: contestants below each other, ours first, and a ratio to ours."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from comparison.contestants import CONTESTANTS, Contestant

if TYPE_CHECKING:
    from collections.abc import Iterator

    from comparison.rounds import Results

NOTHING: Final = "–"


@dataclass(frozen=True, slots=True)
class Table:
    """Headings, and rows of as many cells."""

    title: str
    headings: list[str]
    rows: list[list[str]]

    def to_text(self) -> str:
        """Return it for a terminal."""
        widths = [max(map(len, column)) for column in zip(self.headings, *self.rows, strict=True)]
        lines = [
            "  ".join(
                cell.ljust(width) if at == 0 else cell.rjust(width)
                for at, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in (self.headings, *self.rows)
        ]
        return "\n".join([self.title, *lines])

    def to_markdown(self) -> str:
        """Return it for a page."""
        rule = ["---", *["---:"] * (len(self.headings) - 1)]
        lines = [f"| {' | '.join(row)} |" for row in (self.headings, rule, *self.rows)]
        return "\n".join([f"### {self.title}", "", *lines])


@dataclass(frozen=True, slots=True)
class Plan:
    """Which measures make a table, and of which there is a ratio."""

    title: str
    columns: tuple[tuple[str, str], ...]
    """Heading and measure."""
    ratio_of: str
    """The measure that is compared: ours by theirs."""


PLANS: Final = (
    Plan(
        "Enqueueing, jobs/s",
        (
            ("1 thread", "enqueue, one"),
            ("8 threads", "enqueue, threads"),
            ("in bulk", "enqueue, bulk"),
        ),
        "enqueue, one",
    ),
    Plan(
        "Draining 1,000 waiting jobs, jobs/s, by concurrency",
        (
            *((f"{concurrency}", f"drain, {concurrency}") for concurrency in (1, 5, 10, 50, 500)),
            ("best", "drain, best"),
        ),
        "drain, best",
    ),
    Plan(
        "Draining with 100,000 waiting jobs, at the best concurrency, jobs/s",
        (("100,000 waiting", "drain, stored"), ("1,000 waiting", "drain, best")),
        "drain, stored",
    ),
    Plan(
        "Latency on an idle system, ms",
        (("p50", "idle, p50"), ("p99", "idle, p99"), ("max", "idle, max")),
        "idle, p50",
    ),
    Plan(
        "Latency under half load, ms",
        (
            ("p50", "load, p50"),
            ("p99", "load, p99"),
            ("max", "load, max"),
            ("jobs/s performed", "load, rate"),
        ),
        "load, p50",
    ),
    Plan(
        "Arriving one by one, performed beside it: the highest rate with a p99 < 50 ms",
        (
            ("jobs/s", "sustained, rate"),
            ("p50 at half of it, ms", "sustained, p50"),
            ("p99 at half of it, ms", "sustained, p99"),
        ),
        "sustained, rate",
    ),
    Plan(
        "An idle system: memory in MB, start and stop in s",
        (("memory", "idle, memory"), ("start", "idle, start"), ("stop", "idle, stop")),
        "idle, memory",
    ),
)


@dataclass(frozen=True, slots=True)
class Row:
    """A measure of the short table, and whether more of it is better."""

    title: str
    measure: str
    is_rate: bool = True


SUMMARY: Final = (
    Row("Enqueued by one thread, jobs/s", "enqueue, one"),
    Row("Performed, 1,000 waiting, jobs/s", "drain, best"),
    Row("Performed, 100,000 waiting, jobs/s", "drain, stored"),
    Row("Arriving one by one, 99 % within 50 ms, jobs/s", "sustained, rate"),
    Row("From enqueueing to performing, idle, ms", "idle, p50", is_rate=False),
)


def summary(results: Results) -> Table:
    """Return the short table: ours beside the best of the peers, with its name, of each kind."""
    headings = ["", "antq_actors", "best peer", "ours ÷ theirs"]
    rows = []
    for durable, kind in ((True, "durable"), (False, "not durable")):
        ours = next(one for one in CONTESTANTS if one.is_ours and one.durable == durable)
        peers = [one for one in CONTESTANTS if not one.is_ours and one.durable == durable]
        for row in SUMMARY:
            best = _best(peers, row, results)
            mine = results.values.get(ours.name, {}).get(row.measure, [])
            if best is None or not mine:
                continue
            theirs = f"{number(results.values[best.name][row.measure])} ({best.peer.title})"
            compared = ratio(best, row.measure, results)
            rows.append([f"{row.title}, {kind}", number(mine), theirs, compared])
    return Table("In short", headings, rows)


def _best(peers: list[Contestant], row: Row, results: Results) -> Contestant | None:
    """Return the peer with the best median of a measure; None: no peer has one."""
    medians = {
        one: statistics.median(found)
        for one in peers
        if (found := results.values.get(one.name, {}).get(row.measure))
    }
    choose = max if row.is_rate else min
    return choose(medians, key=medians.__getitem__) if medians else None


def tables(results: Results) -> list[Table]:
    """Return all tables that have a row; a contestant without any number is in none."""
    return [made for made in (_table(plan, results) for plan in PLANS) if made.rows]


def _table(plan: Plan, results: Results) -> Table:
    headings = ["", *(heading for heading, _ in plan.columns), f"ours ÷ theirs{_which(plan)}"]
    rows = []
    for one in _in_order():
        measured = results.values.get(one.name, {})
        cells = [number(measured.get(measure, [])) for _, measure in plan.columns]
        if set(cells) != {NOTHING}:
            rows.append([one.name, *cells, ratio(one, plan.ratio_of, results)])
    return Table(plan.title, headings, rows)


def _which(plan: Plan) -> str:
    """Name the column that is compared, where there are others."""
    return next(f", {heading}" for heading, measure in plan.columns if measure == plan.ratio_of)


def _in_order() -> Iterator[Contestant]:
    """Go through all: the durable ones, then the others."""
    yield from sorted(CONTESTANTS, key=lambda one: not one.durable)


def ratio(one: Contestant, measure: str, results: Results) -> str:
    """Compare ours with *one*, equally durable, round by round; nothing for ours itself."""
    ours = next(mine for mine in CONTESTANTS if mine.is_ours and mine.durable == one.durable)
    pairs = zip(
        results.values.get(ours.name, {}).get(measure, []),
        results.values.get(one.name, {}).get(measure, []),
        strict=False,  # one that began to fail has fewer rounds
    )
    ratios = [mine / theirs for mine, theirs in pairs if theirs]
    if one.name == ours.name or not ratios:
        return NOTHING
    return f"{number(ratios)} ×"


def number(rounds: list[float]) -> str:
    """Write the median of *rounds*, with as many digits as it deserves."""
    if not rounds:
        return NOTHING
    median = statistics.median(rounds)
    return (
        f"{median:,.0f}" if median >= 100 else f"{median:.2g}" if median < 10 else f"{median:.0f}"
    )
