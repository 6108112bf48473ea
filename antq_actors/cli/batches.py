"""``antq batches``: how far batches are; one is closed or cancelled, or what failed is retried."""

from typing import Annotated

import msgspec
import typer

from antq_actors.app import AntQ
from antq_actors.cli import output, render
from antq_actors.cli.listing import AsJson
from antq_actors.cli.output import one_line
from antq_actors.cli.render import PlainTable
from antq_actors.cli.store import StorePath, open_store
from antq_actors.jobs.batch import Batch, BatchStatus

_COLUMNS = ("id", "name", "members", "completed", "failed", "cancelled", "left", "state")


def batches(
    path: StorePath,
    *,
    is_open: Annotated[
        bool, typer.Option("--open", help="Only batches that have not ended.")
    ] = False,
    close: Annotated[
        int | None,
        typer.Option("--close", metavar="ID", help="Close this batch, so that it can end."),
    ] = None,
    cancel: Annotated[
        int | None, typer.Option("--cancel", metavar="ID", help="Cancel this batch.")
    ] = None,
    retry_failed: Annotated[
        int | None,
        typer.Option("--retry-failed", metavar="ID", help="Retry the failed members of this one."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List batches by id, with how far they are; or close, cancel or retry one.

    \b
    Examples:
      antq batches --path jobs --open
      antq batches --path jobs --cancel 4711
    """
    if sum(id_ is not None for id_ in (close, cancel, retry_failed)) > 1:
        raise typer.BadParameter("give one of --close, --cancel and --retry-failed")
    with open_store(path) as app:
        if close is not None:
            app.get_batch(close).close()
            output.report(f"batch {close} is closed")
            return
        if cancel is not None:
            app.get_batch(cancel).cancel()
            output.report(f"batch {cancel} is cancelled")
            return
        if retry_failed is not None:
            app.get_batch(retry_failed).retry_failed()
            output.report(f"the failed members of batch {retry_failed} are retried")
            return
        found = [(batch, batch.status()) for batch in app.batches(open=True if is_open else None)]
        if as_json:
            render.write_json([_flat(*each) for each in found])
        elif found:
            render.write_table(_table(app, found))
        else:
            render.write_table("There is no batch.")


def _flat(batch: Batch, status: BatchStatus) -> dict[str, object]:
    return {"id": batch.id, "name": batch.name, **msgspec.structs.asdict(status)}


def _table(app: AntQ, found: list[tuple[Batch, BatchStatus]]) -> PlainTable:
    holders: dict[int, tuple[int, bool]] = app.antq_batch("holders")
    table = PlainTable(*_COLUMNS)
    for batch, status in found:
        table.add(
            str(batch.id),
            one_line(batch.name),
            str(status.total),
            str(status.completed),
            str(status.failed),
            str(status.cancelled),
            str(status.total - status.ended),
            _state(status, holders.get(batch.id)),
        )
    return table


def _state(status: BatchStatus, holder: tuple[int, bool] | None) -> str:
    """Return how far a batch is, and whether the process that adds its members has died."""
    if not status.open:
        return "ended"
    if status.closed:
        return "closed"
    if holder is not None and not holder[1]:
        return f"not closed, and its node {holder[0]} is dead"
    return "not closed"
