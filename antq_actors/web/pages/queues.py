"""The pages of queues and of the nodes that run them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from antq_actors.web.drawing import sparkline
from antq_actors.web.pages.overview import hour_chart
from antq_actors.web.paging import Listed, listed
from antq_actors.web.routes import Page

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from antq_actors.insights.charts import Charts
    from antq_actors.insights.nodes import NodeView
    from antq_actors.insights.queues import QueueDetail
    from antq_actors.web.routes import Route
    from antq_actors.web.view import View


def _queues(view: View) -> Listed:
    return listed(view, view.insights.queues(), lambda queue: queue.name)


def _queue(view: View) -> Any:
    return view.insights.queue(view.needed("name"))


def _sparks(view: View, _listed: Any) -> dict[str, Any]:
    series = view.insights.charts("1h").series
    return {
        "sparks": {
            each.queue: sparkline(each.values)
            for each in series
            if each.name == "enqueued" and each.queue is not None
        }
    }


@dataclass(frozen=True, slots=True)
class OnNode:
    """How a node runs a queue."""

    node: int
    slots: int
    """Jobs of it that it performs at once, at most, as it was set last."""
    configured: int | None
    """The same, as its process was started; None: that is not known."""
    running: int
    executor: str
    """What runs jobs whose worker names none."""


def on_nodes(queue: QueueDetail, nodes: Iterable[NodeView]) -> list[OnNode]:
    """Return how each living node runs a queue, by number."""
    infos = {each.node: each.queues.get(queue.name) for each in nodes}
    found = []
    for number in queue.nodes:
        info = infos.get(number)
        states = [each.state for each in queue.cells if each.node == number]
        found.append(
            OnNode(
                number,
                sum(state != "abandoned" for state in states),
                None if info is None else info.concurrency,
                states.count("running"),
                "thread" if info is None or info.executor is None else info.executor,
            )
        )
    return found


def _chart(view: View, queue: QueueDetail) -> dict[str, Any]:
    charts = view.insights.charts("1h", queue=queue.name)
    waits = [latest(charts, name) for name in ("wait_p50", "wait_p95")]
    rows = on_nodes(queue, view.insights.nodes())
    return {**hour_chart(charts, queue.name), "waits": waits, "on_nodes": rows}


def latest(charts: Charts, name: str) -> float | None:
    """Return the last value of a series that was measured; None: none was."""
    for each in charts.series:
        if each.name == name:
            return next((value for value in reversed(each.values) if value is not None), None)
    return None


def _nodes(view: View) -> Listed:
    return listed(view, view.insights.nodes(), lambda node: node.node)


ROUTES: Final[Sequence[Route]] = (
    Page(path="/queues", name="queues", read=_queues, more=_sparks),
    Page(path="/queue", name="queue", read=_queue, more=_chart),
    Page(path="/nodes", name="nodes", read=_nodes),
)
