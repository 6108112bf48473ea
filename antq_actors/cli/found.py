"""``antq retry --filter`` and its like: a change of all jobs that a filter in one line finds.

It is a task of the store: if this command is killed, nodes go on with it. Ctrl-C stops it.
"""

import getpass
import sys
import threading
from collections.abc import Mapping
from typing import Annotated, Any, Final, NamedTuple, TypeAlias

import typer

from antq_actors import AntQ
from antq_actors.cli import output
from antq_actors.cli.changes import REFUSED
from antq_actors.cli.listing import refuse_both
from antq_actors.cli.store import StorePath, open_store
from antq_actors.insights import Insights, change_jobs
from antq_actors.insights.bulk import stop_jobs
from antq_actors.insights.bulk_order import NEEDS_REASON_ABOVE
from antq_actors.insights.values import BulkPreview, BulkView

Reason: TypeAlias = Annotated[
    str | None,
    typer.Option(metavar="TEXT", help="Why, for the audit; with --filter, above 1,000 jobs."),
]

_LOOK_SECONDS: Final = 0.05
"""Between two looks at how far the change is."""


class FoundJobs(NamedTuple):
    """Which jobs a command changes, and how."""

    verb: str
    filter: str
    spread: float | None = None
    reason: str | None = None
    dry_run: bool = False
    yes: bool = False


def change_found(path: StorePath, found: FoundJobs, others: Mapping[str, Any]) -> int:
    """Change all jobs that a filter finds, print how many; return the exit code.

    *others*: options whose place the filter takes, so that they have to be None.
    """
    refuse_both(dict(others))
    with open_store(path) as app:
        preview = _looked_up(app, found)
        if found.dry_run or not preview.matches:
            output.write(str(preview.changes))
            _tell_refused(preview)
            return 0
        if preview.matches > NEEDS_REASON_ABOVE and not found.reason:
            raise typer.BadParameter(
                f"{preview.matches:,} jobs match; say why they are to be changed",
                param_hint="--reason",
            )
        if preview.matches > NEEDS_REASON_ABOVE and not found.yes:
            question = f"antq: {found.verb} {preview.changes} jobs? Answer y, or give --yes: "
            if output.ask(question) not in {"y", "yes"}:
                output.write_stderr("nothing was changed")
                return REFUSED
        _tell_done(_carry_out(app, found, preview))
    return 0


def _looked_up(app: AntQ, found: FoundJobs) -> BulkPreview:
    try:
        return Insights(app).bulk_preview(
            found.verb, found.filter, spread=found.spread or 0.0, budget=float("inf")
        )
    except ValueError as error:
        hint = "--spread" if str(error).startswith("spread") else "--filter"
        raise typer.BadParameter(str(error), param_hint=hint) from None


def _carry_out(app: AntQ, found: FoundJobs, preview: BulkPreview) -> BulkView:
    """Begin the change, and wait for its end."""
    begun = change_jobs(
        app,
        found.verb,
        found.filter,
        expect=preview.matches,
        reason=found.reason,
        spread=found.spread or 0.0,
        name=user_name(),
    )
    try:
        return _awaited(app, begun)
    except KeyboardInterrupt:
        stopped = stop_jobs(app, begun)
        output.write_stderr(f"stopped; {stopped.changed} jobs are changed")
        raise


def _awaited(app: AntQ, begun: int) -> BulkView:
    look = Insights(app)
    is_seen = sys.stderr is not None and not sys.stderr.closed and sys.stderr.isatty()
    pause = threading.Event()
    while (change := look.bulk(begun)).state == "running":
        if is_seen:
            output.write_over(f"{change.changed} of {change.total} jobs")
        pause.wait(_LOOK_SECONDS)
    if is_seen:
        output.write_over("")
    return change


def _tell_done(change: BulkView) -> None:
    output.report(str(change.changed))
    if change.state == "stopped":
        output.write_stderr(f"stopped by someone else, after {change.changed} of {change.total}")
    if change.skipped or change.refused:
        output.write_stderr(
            f"{change.skipped} skipped, as they had changed; {change.refused} refused: --dry-run"
            " says why"
        )


def _tell_refused(preview: BulkPreview) -> None:
    for each in preview.refused:
        output.write_stderr(f"{each.count} refused: {each.reason}")


def user_name() -> str | None:
    """Return the name of who calls the command; None: the system has none."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return None
