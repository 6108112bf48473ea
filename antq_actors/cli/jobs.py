"""``antq show``, ``history``, ``nodes``, ``count``: jobs, and who runs the queues of a path."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, TypeAlias

import typer
from rich.text import Text

from antq_actors import ACTIVE, AntQ, Job, Status
from antq_actors.app.results import ShownResult
from antq_actors.cli import output, render
from antq_actors.cli.listing import AsJson, Queue, Statuses, WorkerName, hints_printed
from antq_actors.cli.output import local_time, printable
from antq_actors.cli.render import PlainTable
from antq_actors.cli.store import StorePath, open_store
from antq_actors.jobs.instant import to_datetime
from antq_actors.jobs.steps import KeptStep, ListSteps
from antq_actors.storage.locks.node_lock import NodeInfo

JobId: TypeAlias = Annotated[int, typer.Argument(metavar="ID", help="The job's id.")]


def show(id: JobId, path: StorePath, *, as_json: AsJson = False) -> None:  # noqa: A002 - what it is
    """Show one job with its result, steps, errors and stack traces, and where it runs.

    A result that its worker keeps is shown as plain data, and nothing of it is unpickled.

    \b
    Example:
      antq show 4711 --path jobs
    """
    with open_store(path) as app:
        result = app.antq_shown_result(id)
        steps = app.antq_steps(ListSteps(id))
        _print_job(app.get_job(id), app.nodes(), steps, result, as_json=as_json)


def history(id: JobId, path: StorePath, *, as_json: AsJson = False) -> None:  # noqa: A002 - the same
    """Show what happened to one job, from its insertion to how it stands.

    \b
    Example:
      antq history 4711 --path jobs
    """
    with open_store(path) as app:
        found = app.history(id)
    if as_json:
        render.write_json(found)
        return
    table = PlainTable("when", "status", "attempt", "node", "cause")
    for each in found:
        table.add(
            local_time(each.at),
            each.status,
            str(each.attempt or ""),
            str(each.node or ""),
            output.one_line(each.cause or ""),
        )
    render.write_table(table)


def nodes(path: StorePath, *, as_json: AsJson = False) -> None:
    """Show which processes run which queues, and how many jobs.

    \b
    Example:
      antq nodes --path jobs
    """
    with open_store(path) as app:
        found = _nodes_and_queues(app)
    if as_json:
        render.write_json(found)
        return
    for table in _node_tables(found):
        render.write_table(table)


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
    with open_store(path) as app, hints_printed():
        # In one query: between two, a job may change its status and be counted twice or never.
        total = app.count_jobs(status=status or None, queue=queue, worker=worker)
        chosen = status or Status if total and (as_json or by_status) else ()
        counts = dict.fromkeys(map(str, status or Status), 0) | {
            str(each): app.count_jobs(status=each, queue=queue, worker=worker) for each in chosen
        }
        unserved = {}
        if total and not WAITING.isdisjoint(status or Status):
            unserved = _unserved(app, app.nodes(), queue)
    for line in _unserved_lines(unserved):
        output.write_stderr(line)
    if not (as_json or by_status):
        output.write(str(total))
    elif as_json:
        render.write_json(counts)
    else:
        for name, number in counts.items():
            output.write(f"{name:<10} {number:>9}")


def _print_job(
    job: Job,
    nodes: list[NodeInfo],
    steps: Sequence[KeptStep],
    result: ShownResult | None,
    *,
    as_json: bool,
) -> None:
    taken = [(step.name, to_datetime(step.at)) for step in steps]
    if as_json:
        shown: dict[str, Any] = {"steps": [{"name": name, "at": at} for name, at in taken]}
        if result is not None and result.why_not is None:
            shown["result"] = result.value
        render.write_json({**render.json_value(job), **shown})
    else:
        place = _running_at(job, nodes) if job.node else ""
        output.write(render.job_text(job, place, taken, result))


WAITING: Final = ACTIVE - {Status.RUNNING}


def _nodes_and_queues(app: AntQ) -> dict[str, Any]:
    """Return what ``antq nodes`` shows of the store's processes and queues, as for JSON."""
    nodes = app.nodes()
    names = {name for node in nodes for name in node.queues} | set(app.queue_names())
    return {
        "nodes": nodes,
        "queues": {name: _queue(app, name, nodes) for name in sorted(names)},
        "unserved": _unserved(app, nodes),
    }


def _unserved(app: AntQ, nodes: Sequence[NodeInfo], queue: str | None = None) -> dict[str, int]:
    """Return for a command how many jobs wait in queues, or in *queue*, that no live node runs.

    It is empty while no node is alive, since all jobs wait then, and while a live node has not
    reported which queues it runs.
    """
    living = [node for node in nodes if node.alive]
    if not living or not all(node.pid for node in living):
        return {}
    served = {name for node in living for name in node.queues}
    names = [name for name in app.queue_names() if name not in served and queue in (None, name)]
    waiting = {name: app.count_jobs(status=WAITING, queue=name) for name in names}
    return {name: number for name, number in waiting.items() if number}


def _unserved_lines(unserved: Mapping[str, int]) -> list[str]:
    """Return the lines that a command prints for queues with jobs that no process runs."""
    return [
        f"{printable(name)}: {number} wait{'s' if number == 1 else ''}, no node runs it"
        for name, number in unserved.items()
    ]


def _node_tables(found: dict[str, Any]) -> list[PlainTable | str]:
    """Return what ``antq nodes`` found, as tables for a terminal."""
    nodes = PlainTable("node", "process", "running", "queues: slots and executor")
    for node in found["nodes"]:
        where = f"{node.pid} on {printable(node.host)}" if node.pid else "unknown"
        nodes.add(
            str(node.number),
            Text(where) if node.alive else Text(f"{where}, died", "bold red"),
            str(node.running),
            printable(_of_node(node)),
        )
    queues = PlainTable("queue", "", *Status, "due", "since")
    for name, queue in found["queues"].items():
        counts = [str(queue["counts"][status]) for status in Status]
        since = local_time(queue["oldest_due"]) if queue["oldest_due"] else ""
        paused = "paused" if queue["paused"] else ""
        queues.add(printable(name), paused, *counts, str(queue["due"]), since)
    first = nodes if found["nodes"] else "No process runs queues of this path."
    lines = _unserved_lines(found["unserved"])
    return [first, "", queues, *(["", *lines] if lines else [])]


def _running_at(job: Job, nodes: list[NodeInfo]) -> str:
    """Return for ``antq show`` in which process, host and executor a job is running."""
    node = next((each for each in nodes if each.number == job.node), None)
    if node is None or not node.pid:
        return f"node {job.node}"
    queue = node.queues.get(job.queue_name)
    executor = f", executor {queue.executor}" if queue is not None and queue.executor else ""
    return f"node {job.node}: process {node.pid} on {node.host}{executor}"


def _of_node(node: NodeInfo) -> str:
    return ", ".join(
        f"{name}: {queue.concurrency} {queue.executor or ''}".rstrip()
        for name, queue in node.queues.items()
    )


def _queue(app: AntQ, name: str, nodes: list[NodeInfo]) -> dict[str, Any]:
    status = app.queue(name).status()
    return {
        "paused": status.paused,
        "counts": {str(each): number for each, number in status.counts.items()},
        "due": status.due,
        "oldest_due": status.oldest_due,
        "nodes": [node.number for node in nodes if name in node.queues],
    }
