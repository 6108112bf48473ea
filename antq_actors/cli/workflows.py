"""``antq workflows`` and ``antq workflow``: which there are, how far they are, and changing one."""

from typing import Annotated, Any

import typer

from antq_actors.app.workflow_run import WorkflowRun, WorkflowStatus
from antq_actors.cli import output, render
from antq_actors.cli.listing import AsJson
from antq_actors.cli.output import one_line
from antq_actors.cli.render import PlainTable
from antq_actors.cli.store import StorePath, open_store
from antq_actors.jobs.job import COMPOSED, UPSTREAM, Job
from antq_actors.jobs.state import ENDED

_COLUMNS = ("id", "name", "key", "jobs", "left", "state")
_INDENT = "  "


def workflows(
    path: StorePath,
    *,
    is_open: Annotated[
        bool, typer.Option("--open", help="Only workflows that have not ended.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List workflows by id, with how far they are.

    \b
    Example:
      antq workflows --path jobs --open
    """
    with open_store(path) as app:
        runs = app.workflows(open=True if is_open else None)
        found = [(run, run.status(), run.incomplete) for run in runs]
        alive = {node.number for node in app.nodes() if node.alive}
    if as_json:
        render.write_json([_flat(run, status) for run, status, _ in found])
    elif found:
        table = PlainTable(*_COLUMNS)
        for run, status, node in found:
            state = _state(status, node, is_alive=node in alive)
            total = sum(status.nodes.values())
            ended = sum(n for each, n in status.nodes.items() if each in ENDED)
            key = "" if run.key is None else one_line(run.key)
            row = (str(run.id), one_line(run.name), key, str(total), str(total - ended), state)
            table.add(*row)
        render.write_table(table)
    else:
        render.write_table("There is no workflow.")


def workflow(
    number: Annotated[int, typer.Argument(metavar="ID", help="The workflow's id.")],
    *,
    path: StorePath,
    cancel: Annotated[bool, typer.Option("--cancel", help="Cancel what has not ended.")] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Retry its failed jobs.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show one workflow with its jobs, each below what it waits for; or change it.

    \b
    Examples:
      antq workflow 4711 --path jobs
      antq workflow 4711 --retry-failed --path jobs
    """
    if cancel and retry_failed:
        raise typer.BadParameter("give one of --cancel and --retry-failed")
    with open_store(path) as app:
        run = app.get_workflow(number)
        if cancel:
            run.cancel()
            output.report(f"workflow {run.id} is cancelled")
        elif retry_failed:
            run.retry_failed()
            output.report(f"the failed jobs of workflow {run.id} are retried")
        elif as_json:
            shown = {**_flat(run, run.status()), "jobs": run.jobs()}
            render.write_json(shown)
        else:
            jobs = run.jobs()
            depths = _depths(jobs)
            output.write(one_line(run.name))
            for job in jobs:
                row = f"{job.id} {one_line(job.worker)} {job.status}"
                output.write(f"{_INDENT * depths[job.id]}{row}")


def _flat(run: WorkflowRun, status: WorkflowStatus) -> dict[str, Any]:
    return {
        "id": run.id,
        "name": run.name,
        "key": run.key,
        "open": status.open,
        "nodes": dict(status.nodes),
    }


def _state(status: WorkflowStatus, node: int, *, is_alive: bool) -> str:
    """Return how far a workflow is, and whether the process that stores it has died."""
    if not status.open:
        return "ended"
    if not node:
        return "open"
    return "being stored" if is_alive else f"incomplete, and its node {node} is dead"


def _depths(jobs: list[Job]) -> dict[int, int]:
    """Return how deep each job is below those that wait for nothing; they are in their order."""
    depths: dict[int, int] = {}
    of_groups: dict[int, int] = {}
    for job in jobs:
        known = job.__dict__.get(UPSTREAM)
        before = [
            (of_groups if node.is_group else depths).get(node.number, -1)
            for node in (() if known is None else known.nodes)
        ]
        depths[job.id] = depth = 1 + max(before, default=-1)
        composed = job.__dict__.get(COMPOSED)
        if composed is not None:
            of_groups[composed.group] = max(of_groups.get(composed.group, 0), depth)
    return depths
