"""The pages about the whole: Overview, and About with what a visitor sets for themselves."""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import RedirectResponse, Response

import antq_actors
from antq_actors.insights.access import Access
from antq_actors.web.drawing import picture
from antq_actors.web.routes import Page, Verb
from antq_actors.web.settings import VIEW_FIELDS, keep_settings, keep_views
from antq_actors.web.static_files import vendored

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from antq_actors.insights.charts import Charts
    from antq_actors.web.options import Options
    from antq_actors.web.routes import Route
    from antq_actors.web.view import View


@dataclass(frozen=True, slots=True)
class About:
    """What the page About shows."""

    version: str
    options: Options


def _overview(view: View) -> Any:
    return view.insights.overview()


HOUR_SERIES: Final = ("enqueued", "completed", "failures")
"""What the chart of an hour shows."""
MOST_EVENTS: Final = 20

_WORDS: Final = {
    "queue": "Queue",
    "nodes": "Nodes",
    "jobs": "Jobs",
    "tree": "Tree",
    "store": "Store",
}
"""What a page that needs attention is called, by its path."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something of note that happened lately."""

    at: datetime
    kind: str
    text: str


def hour_chart(charts: Charts, queue: str | None = None) -> dict[str, Any]:
    """Return what `charting.chart` shows of the last hour, of a queue or of all."""
    about = [each for each in charts.series if each.queue == queue]
    series = [each for name in HOUR_SERIES for each in about if each.name == name]
    return {"charts": charts, "series": series, "drawn": picture(charts, series)}


def _more(view: View, _overview: Any) -> dict[str, Any]:
    charts = view.insights.charts("1h")
    return {**hour_chart(charts), "events": _events(view, charts), "places": _WORDS}


def _events(view: View, charts: Charts) -> list[Event]:
    """Return what happened in the last hour that is of note, the newest first."""
    found = [Event(mark.at, mark.kind, mark.text) for mark in charts.marks]
    for each in view.insights.tree().events:
        if each.kind == "gave up":
            continue  # it is a mark
        outcome = f", {each.outcome}" if each.outcome else ""
        text = f"{each.actor} {each.kind}{outcome}: {each.reason}"
        found.append(Event(each.at, each.kind, text))
    found.sort(key=attrgetter("at"), reverse=True)
    return [each for each in found if each.at >= charts.at[0]][:MOST_EVENTS]


def _about(view: View) -> Any:
    return About(version=antq_actors.__version__, options=view.options)


KEYBOARD: Final = (
    (("/",), "Go to the filter"),
    (("?",), "Show this page"),
    (("g", "o"), "Overview; with j, q, t, m: Jobs, Queues, Tree, Metrics"),
    (("j", "k"), "Next and previous row"),
    (("x",), "Tick the job of the row"),
    (("r", "c", "p"), "Retry, cancel, pause or resume"),
    ((".",), "Show new jobs"),
    (("t",), "Next theme"),
    (("Ctrl+K",), "Go anywhere"),
)
"""The shortcuts, as the page About shows them."""


def _keyboard(_view: View, _about: Any) -> dict[str, Any]:
    return {"keyboard": KEYBOARD, "vendored": vendored()}


def _settings(view: View) -> Response:
    """Keep what a visitor has set, and lead back to where they were."""
    default = view.next_page("overview")
    response = RedirectResponse(view.came_from() or default, status_code=303)
    is_secure = view.request.url.scheme == "https"
    keep_settings(response, view.fields, view.root, is_secure=is_secure)
    listed = keep_views(response, view, is_secure=is_secure)
    if listed is not None and view.sent("next") == "jobs":
        response.headers["location"] = view.url("/jobs", **listed)
    return response


ROUTES: Final[Sequence[Route]] = (
    Page(path="/", name="overview", read=_overview, more=_more),
    Page(path="/about", name="about", read=_about, more=_keyboard, has_api=False),
    Verb(
        path="/settings",
        act=_settings,
        words="Set",
        fields=frozenset({"theme", "zone", "keys", "quiz"}) | VIEW_FIELDS,
        level=Access.READ,
        has_api=False,
    ),
)
