"""``antq show``, ``nodes`` and ``count``."""

from typing import Annotated, TypeAlias

import typer

from antq_actors import Job, Status
from antq_actors.cli import output, overview, render, tables
from antq_actors.cli.listing import AsJson, Queue, Statuses, WorkerName, hinted
from antq_actors.cli.store import StorePath, opened
from antq_actors.storage.locks.node_info import NodeInfo

JobId: TypeAlias = Annotated[int, typer.Argument(metavar="ID", help="The job's id.")]


def show(id: JobId, path: StorePath, *, as_json: AsJson = False) -> None:  # noqa: A002 - what it is
    """Show one job with its errors and stack traces, and where it runs.

    \b
    Example:
      antq show 4711 --path jobs
    """
    with opened(path) as app:
        _print_job(app.get_job(id), app.nodes(), as_json=as_json)


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
    worker: WorkerName = None,
    by_status: Annotated[bool, typer.Option("--by-status", help="One line per status.")] = False,
    as_json: AsJson = False,
) -> None:
    """Count jobs, as fast with ten million as with ten.

    With --worker it reads each job that matches the other filters. Standard error names each queue
    that has waiting jobs and that no live process runs.

    \b
    Examples:
      antq count --path jobs --status enqueued
      antq count --path jobs --by-status
    """
    with opened(path) as app, hinted():
        # In one query: between two, a job may change its status and be counted twice or never.
        total = app.count_jobs(status=status or None, queue=queue, worker=worker)
        chosen = status or Status if total and (as_json or by_status) else ()
        counts = dict.fromkeys(map(str, status or Status), 0) | {
            str(each): app.count_jobs(status=each, queue=queue, worker=worker) for each in chosen
        }
        unserved = {}
        if total and not overview.WAITING.isdisjoint(status or Status):
            unserved = overview.unserved(app, app.nodes(), queue)
    for line in overview.in_words(unserved):
        output.note(line)
    if not (as_json or by_status):
        output.write(str(total))
    elif as_json:
        render.write_json(counts)
    else:
        for name, number in counts.items():
            output.write(f"{name:<10} {number:>9}")


def _print_job(job: Job, nodes: list[NodeInfo], *, as_json: bool) -> None:
    if as_json:
        render.write_json(job)
    else:
        place = overview.where(job, nodes) if job.node else ""
        output.write(render.text(job, place))
