"""``antq list``, ``show``, ``count``, ``cancel`` and ``retry``."""

import json
import sys
from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias

import typer
from rich.console import Console

from antq_actors import AntQ, Job, Status
from antq_actors.cli import overview, render
from antq_actors.cli.store import StorePath, opened
from antq_actors.storage.node_info import NodeInfo

JobId: TypeAlias = Annotated[int, typer.Argument(metavar="ID", help="The job's id.")]
Statuses: TypeAlias = Annotated[
    list[Status] | None,
    typer.Option("--status", metavar="STATUS", help=f"{', '.join(Status)}; may be repeated."),
]
Queue: TypeAlias = Annotated[str | None, typer.Option("--queue", help="Only this queue.")]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]

_PIPE_WIDTH = 1_000
_STORED_NAME = "such as shop.mail:SendReceipt"


def list_jobs(
    *,
    path: StorePath,
    status: Statuses = None,
    queue: Queue = None,
    worker: Annotated[str | None, typer.Option(help=f"Only this worker, {_STORED_NAME}.")] = None,
    arg: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE", help="Only jobs with this argument; VALUE is JSON, else text."
        ),
    ] = None,
    after: Annotated[
        int | None, typer.Option(metavar="ID", help="Only ids above this one.")
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="At most so many.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List jobs by id. All given filters hold.

    \b
    Examples:
      antq list --path jobs --status failed --status retrying
      antq list --path jobs --arg email=jane.smith734@yahoo.com --json
      antq list --path jobs --after 4711 --limit 100
    """
    with opened(path) as app:
        jobs = app.list_workers(
            status=status or None,
            queue_name=queue,
            worker=worker,
            args=_parse_args(arg or []) or None,
            after=after,
            limit=limit,
        )
    if as_json:
        typer.echo(render.as_json(jobs))
    elif jobs:
        _console().print(render.table(jobs))
        if len(jobs) == limit:
            typer.echo(f"There may be more: --after {jobs[-1].id}", err=True)
    else:
        hint = f" --worker takes the stored name, {_STORED_NAME}." if worker else ""
        typer.echo(f"No jobs match.{hint}", err=True)


def show(
    *,
    id: Annotated[  # noqa: A002 - what it is
        int | None, typer.Argument(metavar="[ID]", help="The job's id; without: what runs where.")
    ] = None,
    path: StorePath,
    as_json: AsJson = False,
) -> None:
    """Show one job with its errors and stack traces; or, without an id, what runs where.

    \b
    Examples:
      antq show 4711 --path jobs
      antq show --path jobs
    """
    with opened(path) as app:
        if id is None:
            _print_overview(app, as_json=as_json)
        else:
            _print_job(app.get_worker(id), app.nodes(), as_json=as_json)


def count(
    *,
    path: StorePath,
    status: Statuses = None,
    queue: Queue = None,
    by_status: Annotated[bool, typer.Option("--by-status", help="One line a status.")] = False,
    as_json: AsJson = False,
) -> None:
    """Count jobs, as fast with ten million as with ten.

    \b
    Examples:
      antq count --path jobs --status enqueued
      antq count --path jobs --by-status
    """
    with opened(path) as app:
        if not (as_json or by_status):
            # In one look: between two, a job may change its status and be counted twice or never.
            typer.echo(app.count_workers(status=status or None, queue_name=queue))
            return
        counts = {
            str(each): app.count_workers(status=each, queue_name=queue) for each in status or Status
        }
    if as_json:
        typer.echo(render.as_json(counts))
    else:
        for name, number in counts.items():
            typer.echo(f"{name:<10} {number:>9}")


def cancel(id: JobId, path: StorePath) -> None:  # noqa: A002 - what it is
    """Cancel a job that has not ended.

    Of one that runs, the process that runs it is asked to end it: it is cancelled in a moment.

    \b
    Example:
      antq cancel 4711 --path jobs
    """
    with opened(path) as app:
        job = app.cancel_worker(id)
    if job.status is Status.RUNNING:
        typer.echo(f"Job {job.id} is running, and was told to end.")
    else:
        typer.echo(f"Job {job.id} is {job.status}.")


def retry(id: JobId, path: StorePath) -> None:  # noqa: A002 - what it is
    """Enqueue an ended job again.

    It may be failed, cancelled or completed, and has all its attempts before it.

    \b
    Example:
      antq retry 4711 --path jobs
    """
    with opened(path) as app:
        job = app.retry_worker(id)
    typer.echo(f"Job {job.id} is {job.status}.")


def _print_overview(app: AntQ, *, as_json: bool) -> None:
    found = overview.facts(app)
    if as_json:
        typer.echo(render.as_json(found))
        return
    for table in overview.tables(found):
        _console().print(table)


def _print_job(job: Job, nodes: list[NodeInfo], *, as_json: bool) -> None:
    if as_json:
        typer.echo(render.as_json(job))
    else:
        place = overview.where(job.node, nodes) if job.node else ""
        typer.echo(render.text(job, place))


def _parse_args(pairs: list[str]) -> Mapping[str, Any]:
    return dict(_parse_arg(pair) for pair in pairs)


def _parse_arg(pair: str) -> tuple[str, Any]:
    key, separator, value = pair.partition("=")
    if not separator or not key:
        raise typer.BadParameter(f"'{pair}' is not KEY=VALUE", param_hint="--arg")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


def _console() -> Console:
    """Answer a console as wide as the terminal, and wide enough for a pipe."""
    return Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH, highlight=False)
