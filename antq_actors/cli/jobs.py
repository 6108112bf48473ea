"""``antq list``, ``show``, ``nodes``, ``count``, ``cancel`` and ``retry``."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias

import typer

from antq_actors import Job, Status
from antq_actors.cli import output, overview, render, tables
from antq_actors.cli.store import StorePath, opened
from antq_actors.storage.node_info import NodeInfo

JobId: TypeAlias = Annotated[int, typer.Argument(metavar="ID", help="The job's id.")]
Statuses: TypeAlias = Annotated[
    list[Status] | None,
    typer.Option("--status", metavar="STATUS", help=f"{', '.join(Status)}; may be repeated."),
]
Queue: TypeAlias = Annotated[str | None, typer.Option("--queue", help="Only this queue.")]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]

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
        render.write_json(jobs)
    elif jobs:
        tables.write_table(tables.table(jobs))
        if len(jobs) == limit:
            output.note(f"There may be more: --after {jobs[-1].id}")
    else:
        hint = f" --worker takes the stored name, {_STORED_NAME}." if worker else ""
        output.note(f"No jobs match.{hint}")


def show(id: JobId, path: StorePath, *, as_json: AsJson = False) -> None:  # noqa: A002 - what it is
    """Show one job with its errors and stack traces, and where it runs.

    \b
    Example:
      antq show 4711 --path jobs
    """
    with opened(path) as app:
        _print_job(app.get_worker(id), app.nodes(), as_json=as_json)


def nodes(path: StorePath, *, as_json: AsJson = False) -> None:
    """Show which processes run which queues, and how many jobs.

    \b
    Example:
      antq nodes --path jobs
    """
    with opened(path) as app:
        found = overview.facts(app)
    if as_json:
        render.write_json(found)
        return
    for table in overview.tables(found):
        tables.write_table(table)


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
            output.write(str(app.count_workers(status=status or None, queue_name=queue)))
            return
        counts = {
            str(each): app.count_workers(status=each, queue_name=queue) for each in status or Status
        }
    if as_json:
        render.write_json(counts)
    else:
        for name, number in counts.items():
            output.write(f"{name:<10} {number:>9}")


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
        output.report(f"Job {job.id} is running, and was told to end.")
    else:
        output.report(f"Job {job.id} is {job.status}.")


def retry(id: JobId, path: StorePath) -> None:  # noqa: A002 - what it is
    """Enqueue an ended job again.

    It may be failed, cancelled or completed, and has all its attempts before it.

    \b
    Example:
      antq retry 4711 --path jobs
    """
    with opened(path) as app:
        job = app.retry_worker(id)
    output.report(f"Job {job.id} is {job.status}.")


def _print_job(job: Job, nodes: list[NodeInfo], *, as_json: bool) -> None:
    if as_json:
        render.write_json(job)
    else:
        place = overview.where(job, nodes) if job.node else ""
        output.write(render.text(job, place))


def _parse_args(pairs: list[str]) -> Mapping[str, Any]:
    return dict(_parse_arg(pair) for pair in pairs)


def _parse_arg(pair: str) -> tuple[str, Any]:
    key, separator, value = pair.partition("=")
    if not separator or not key:
        raise typer.BadParameter(f"'{pair}' is not KEY=VALUE", param_hint="--arg")
    try:
        return key, json.loads(value)
    except RecursionError:
        raise typer.BadParameter(f"'{key}' is nested too deep", param_hint="--arg") from None
    except ValueError:
        return key, value
