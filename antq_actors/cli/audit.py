"""``antq audit``: what was done to a store by hand, by whom and why.

It reads pages as the dashboard does, so ``--after`` goes on where a table ended.
"""

from typing import Annotated

import typer

from antq_actors.cli import output, render
from antq_actors.cli.listing import AsJson
from antq_actors.cli.output import local_time, one_line
from antq_actors.cli.render import PlainTable
from antq_actors.cli.store import StorePath, open_shown_store
from antq_actors.insights import Insights
from antq_actors.insights.as_json import as_json as api_json
from antq_actors.insights.audit import MOST_ENTRIES, PAGE_ENTRIES, AuditPage
from antq_actors.jobs.audit import AuditEntry

Limit = Annotated[
    int, typer.Option("--limit", min=1, max=MOST_ENTRIES, help="Show at most this many.")
]
After = Annotated[
    int | None, typer.Option("--after", min=0, help="Go on with older ones than this.")
]


def audit(
    path: StorePath, *, limit: Limit = PAGE_ENTRIES, after: After = None, as_json: AsJson = False
) -> None:
    """Show what was done by hand, by whom and why, the newest first.

    Only what people do in the dashboard is noted, not what programs and commands do. The newest
    10,000 entries are kept.

    \b
    Examples:
      antq audit --path jobs
      antq audit --path jobs --limit 1000 --json
    """
    with open_shown_store(path) as app:
        found = Insights(app).audit_page(after=after, limit=limit)
    if as_json:
        render.write_json(api_json(found))
        return
    nothing = "Nothing was done by hand." if after is None else "Nothing older is kept."
    render.write_table(_table(found) if found.items else nothing)
    if found.next is not None:
        output.write_stderr(f"There are older ones: --after {found.next}")


def _table(found: AuditPage) -> PlainTable:
    table = PlainTable("at", "by", "verb", "target", "count", "reason")
    for entry in found.items:
        table.add(*_row(entry))
    return table


def _row(entry: AuditEntry) -> tuple[str, ...]:
    texts = (entry.name, entry.verb, entry.target, entry.reason)
    name, verb, target, reason = ("-" if text is None else one_line(text) for text in texts)
    return local_time(entry.at), name, verb, target, f"{entry.count:,}", reason
