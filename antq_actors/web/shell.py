"""What is around every page: the rail, the name of the store, the level of the visitor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from antq_actors.web.notices import notice_of
from antq_actors.web.settings import own_views
from antq_actors.web.view import NEXT_PAGES
from antq_actors.web.wsgi import WSGI

if TYPE_CHECKING:
    from collections.abc import Mapping

    from antq_actors.insights.access import Access
    from antq_actors.web.notices import Notice
    from antq_actors.web.saved_views import SavedView
    from antq_actors.web.view import View


@dataclass(frozen=True, slots=True)
class Place:
    """A link of the rail."""

    word: str
    """What it is called, in the rail, the heading and the title."""
    name: str
    """Of ``data-testid``, behind "nav-"."""
    path: str
    key: str | None = None
    """What leads there from the keyboard, after g."""


RAIL: Final = (
    Place("Overview", "overview", "/", "o"),
    Place("Jobs", "jobs", "/jobs", "j"),
    Place("Queues", "queues", "/queues", "q"),
    Place("Tree", "tree", "/tree", "t"),
    Place("Nodes", "nodes", "/nodes"),
    Place("Errors", "errors", "/errors"),
    Place("Metrics", "charts", "/charts", "m"),
    Place("Crons", "crons", "/crons"),
    Place("Limits", "limits", "/limits"),
    Place("Workflows", "workflows", "/workflows"),
    Place("Store", "store", "/store"),
    Place("Audit", "audit", "/audit"),
    Place("Learn", "learn", "/learn"),
)

_BELOW: Final = {
    "job": "jobs",
    "bulk": "jobs",
    "bulk_progress": "jobs",
    "queue": "queues",
    "prediction": "tree",
    "chaos": "tree",
    "error": "errors",
    "cron": "crons",
    "limit": "limits",
    "workflow": "workflows",
    "batch": "workflows",
    "batches": "workflows",
}
"""The place of the rail that other pages are below of."""


@dataclass(frozen=True, slots=True)
class Shell:
    """What the frame of a page shows."""

    store: str
    access: Access
    places: tuple[Place, ...]
    current: str
    """The name of the place of the page."""
    views: tuple[SavedView, ...]
    """Those of the team, and the visitor's own."""
    waiting: int
    failed: int
    is_chaos: bool
    is_streaming: bool
    """Whether pages hear of changes; else they ask."""
    notice: Notice | None
    next: str
    """What a form of the page names as ``next``."""
    about: Mapping[str, str]
    """The query that says of which job or queue, or part of a list, that page is."""


def shell_of(view: View, page: str) -> Shell:
    """Return what is around a page."""
    counts = view.insights.counts()
    return Shell(
        store=store_name(view),
        access=view.visitor.access,
        places=tuple(each for each in RAIL if view.routes.has_page(each.path)),
        current=_BELOW.get(page, page),
        views=(*view.options.views, *own_views(view.request)),
        waiting=counts.waiting,
        failed=counts.failed,
        is_streaming=WSGI not in view.request.scope,
        notice=notice_of(view),
        next=next(each for each in (page, _BELOW.get(page), "overview") if each in NEXT_PAGES),
        about=_about(view),
        is_chaos=view.options.chaos and view.visitor.access.name == "CHAOS",
    )


def _about(view: View) -> dict[str, str]:
    """Return the query that makes ``next`` lead to the page of a view."""
    here = {"id": view.params.get("id"), "name": view.query.get("name", [None])[0]}
    return {**view.place, **{name: str(value) for name, value in here.items() if value is not None}}


def store_name(view: View) -> str:
    """Return the last part of the store's path; "volatile" for one in memory."""
    return "volatile" if view.app.is_volatile else view.app.path.name
