"""The processes on a path and its queues, as text and JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rich.text import Text

from antq_actors import AntQ, Job, Status
from antq_actors.cli.moment import moment
from antq_actors.cli.output import printable
from antq_actors.cli.tables import PlainTable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from antq_actors.storage.locks.node_info import NodeInfo


WAITING: Final = frozenset({Status.ENQUEUED, Status.SCHEDULED, Status.RETRYING})


def facts(app: AntQ) -> dict[str, Any]:
    """Return the processes and the queues of a path, as JSON shows them."""
    nodes = app.nodes()
    names = {name for node in nodes for name in node.queues} | set(app.queue_names())
    return {
        "nodes": nodes,
        "queues": {name: _queue(app, name, nodes) for name in sorted(names)},
        "unserved": unserved(app, nodes),
    }


def unserved(app: AntQ, nodes: Sequence[NodeInfo], queue: str | None = None) -> dict[str, int]:
    """Return how many jobs wait in each queue, or in *queue*, that none of the live nodes runs.

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


def in_words(unserved: Mapping[str, int]) -> list[str]:
    """Return one line for each of these queues."""
    return [
        f"{printable(name)}: {number} wait{'s' if number == 1 else ''}, no node runs it"
        for name, number in unserved.items()
    ]


def tables(found: dict[str, Any]) -> list[PlainTable | str]:
    """Return the same as tables for a terminal."""
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
        since = moment(queue["oldest_due"]) if queue["oldest_due"] else ""
        paused = "paused" if queue["paused"] else ""
        queues.add(printable(name), paused, *counts, str(queue["due"]), since)
    first = nodes if found["nodes"] else "No process runs queues of this path."
    lines = in_words(found["unserved"])
    return [first, "", queues, *(["", *lines] if lines else [])]


def where(job: Job, nodes: list[NodeInfo]) -> str:
    """Return in a few words where a job is running."""
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
