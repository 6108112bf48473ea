"""The pages of queues and of the nodes that run them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from antq_actors.web.paging import Listed, listed
from antq_actors.web.routes import Page

if TYPE_CHECKING:
    from collections.abc import Sequence

    from antq_actors.web.routes import Route
    from antq_actors.web.view import View


def _queues(view: View) -> Listed:
    return listed(view, view.insights.queues(), lambda queue: queue.name)


def _queue(view: View) -> Any:
    return view.insights.queue(view.needed("name"))


def _nodes(view: View) -> Listed:
    return listed(view, view.insights.nodes(), lambda node: node.number)


ROUTES: Final[Sequence[Route]] = (
    Page(path="/queues", name="queues", read=_queues, has_page=False),
    Page(path="/queue", name="queue", read=_queue, has_page=False),
    Page(path="/nodes", name="nodes", read=_nodes, has_page=False),
)
