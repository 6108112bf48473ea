"""The pages of those who keep it running: Errors, Metrics, Store, Audit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from antq_actors.web.paging import node_in
from antq_actors.web.routes import Page

if TYPE_CHECKING:
    from collections.abc import Sequence

    from antq_actors.web.routes import Route
    from antq_actors.web.view import View


def _errors(view: View) -> Any:
    return view.insights.errors(view.one("q", "") or "")


def _error(view: View) -> Any:
    return view.insights.error(view.needed("fingerprint"))


def _charts(view: View) -> Any:
    return view.insights.charts(
        view.one("window", "1h") or "1h",
        queue=view.one("queue") or None,
        worker=view.one("worker") or None,
        node=node_in(view),
    )


def _store(view: View) -> Any:
    return view.insights.store()


ROUTES: Final[Sequence[Route]] = (
    Page(path="/errors", name="errors", read=_errors, has_page=False),
    Page(path="/error", name="error", read=_error, has_page=False),
    Page(path="/charts", name="charts", read=_charts, has_page=False),
    Page(path="/store", name="store", read=_store, has_page=False),
)
