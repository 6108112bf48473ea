"""``antq charts``: what happened to jobs in the last minutes, hours and days."""

from enum import StrEnum
from typing import Annotated

import typer

from antq_actors.cli import output, render
from antq_actors.cli.listing import AsJson, Queue, WorkerName
from antq_actors.cli.output import local_time, printable
from antq_actors.cli.render import PlainTable
from antq_actors.cli.store import StorePath, open_store
from antq_actors.insights import Insights
from antq_actors.insights.as_json import as_json as plain
from antq_actors.insights.charts import Charts, as_csv

_COLUMNS = ("enqueued", "completed", "failures", "wait_p50", "wait_p95", "run_p50", "run_p95")


class Window(StrEnum):
    """How far back ``antq charts`` looks."""

    QUARTER = "15m"
    HOUR = "1h"
    QUARTER_DAY = "6h"
    DAY = "24h"
    WEEK = "7d"
    FORTNIGHT = "14d"


class Compare(StrEnum):
    """What ``antq charts`` compares with."""

    WEEK = "week"


def charts(
    path: StorePath,
    *,
    window: Annotated[Window, typer.Option("--window", help="How far back.")] = Window.HOUR,
    queue: Queue = None,
    worker: WorkerName = None,
    node: Annotated[int | None, typer.Option("--node", help="Only this node's number.")] = None,
    compare: Annotated[
        Compare | None,
        typer.Option("--compare", help="Add the same window a week before to --json and --csv."),
    ] = None,
    as_json: AsJson = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print every series as CSV.")] = False,
) -> None:
    """Show how many jobs came in and ended lately, and how long they waited and ran.

    Steps in which nothing happened are left out, but for --json and --csv. What happened less than
    ten seconds ago may be missing.

    \b
    Examples:
      antq charts --path jobs
      antq charts --window 7d --queue mail --csv --path jobs > mail.csv
    """
    if as_json and csv:
        raise typer.BadParameter("give --json or --csv, not both", param_hint="--csv")
    if compare and not (as_json or csv):
        raise typer.BadParameter("give --json or --csv with it", param_hint="--compare")
    with open_store(path) as app:
        found = Insights(app).charts(
            window.value, queue=queue, worker=worker, node=node, compare=compare and compare.value
        )
    if as_json:
        render.write_json(plain(found))
    elif csv:
        output.write(printable(as_csv(found)).rstrip("\n"))
    else:
        render.write_table(_table(found))
        for mark in found.marks:
            output.write(printable(f"{local_time(mark.at)}  {mark.text}"))


def _table(found: Charts) -> PlainTable | str:
    totals = {each.name: each for each in found.series[::-1] if each.name in _COLUMNS}
    columns = [totals[name] for name in _COLUMNS]
    table = PlainTable("from", *(name.replace("_p", " p") for name in _COLUMNS))
    is_empty = True
    for number, at in enumerate(found.at):
        values = [each.values[number] for each in columns]
        if any(values):
            is_empty = False
            table.add(local_time(at), *map(_cell, values))
    return f"Nothing happened in the last {found.window}." if is_empty else table


def _cell(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.3g} s" if isinstance(value, float) else str(value)
