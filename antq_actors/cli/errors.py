"""``antq errors``: the failures of a store, grouped by what they have in common."""

from typing import Final

from antq_actors.cli import output, render
from antq_actors.cli.listing import SEARCH_SECONDS, AsJson, FilterText, parse_filter
from antq_actors.cli.output import local_time, one_line, printable
from antq_actors.cli.render import PlainTable
from antq_actors.cli.store import StorePath, open_shown_store
from antq_actors.insights import Insights
from antq_actors.insights.as_json import as_json as shown_as_json
from antq_actors.insights.values import ErrorGroup, ErrorPage
from antq_actors.jobs.attempt_error import summary

_MOST_CHARACTERS: Final = 200
"""Of an error that a table shows."""


def errors(*, path: StorePath, filter: FilterText = None, as_json: AsJson = False) -> None:  # noqa: A002 - the option's name
    """Show the failures of jobs, grouped by what they have in common, the last one first.

    Alike are those of the same class of exception, raised in the same place. Numbers make no
    difference.

    \b
    Examples:
      antq errors --path jobs
      antq errors --path jobs --filter 'queue:mail inserted:<1d'
    """
    chosen = parse_filter(filter or "")
    with open_shown_store(path) as app:
        page = Insights(app).errors(chosen, budget=SEARCH_SECONDS)
    if as_json:
        render.write_json(shown_as_json(page))
        return
    render.write_table(_table(page) if page.items else "No job has failed.")
    if not page.complete:
        output.write_stderr(
            f"These are of the {page.searched:,} newest jobs. For older ones: --filter"
            f" 'id:<{page.next}'"
        )


def _table(page: ErrorPage) -> PlainTable:
    table = PlainTable("count", "last", "error", "in", "workers", "fingerprint")
    for group in page.items:
        table.add(
            str(group.count),
            local_time(group.last),
            one_line(_text(group)[:_MOST_CHARACTERS]),
            printable(group.frames[-1] if group.frames else ""),
            printable(", ".join(group.workers)),
            group.fingerprint,
        )
    return table


def _text(group: ErrorGroup) -> str:
    known = f" (known until {group.known})" if group.known else ""
    return f"{summary(str(group.text), group.error_type)}{known}"
