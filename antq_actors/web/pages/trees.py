"""The page of the supervision trees."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from antq_actors.web.paging import node_in
from antq_actors.web.routes import Page

if TYPE_CHECKING:
    from collections.abc import Sequence

    from antq_actors.web.routes import Route
    from antq_actors.web.view import View


def _tree(view: View) -> Any:
    return view.insights.tree(node_in(view))


ROUTES: Final[Sequence[Route]] = (Page(path="/tree", name="tree", read=_tree, has_page=False),)
