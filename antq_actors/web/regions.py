"""A part of a page alone, fetched anew when something has changed.

What is asked again without a change in between is answered 304, and what several viewers ask at
once is rendered once.
"""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING, Final

from starlette.responses import HTMLResponse, Response

from antq_actors.web.refusals import not_found
from antq_actors.web.rendering import has_region, render_region
from antq_actors.web.routes import Page
from antq_actors.web.settings import settings_of

if TYPE_CHECKING:
    from antq_actors.insights.changes import Version
    from antq_actors.web.live import Pace, Streams
    from antq_actors.web.view import View

AGE_SECONDS: Final = 10
"""After so long, a region is rendered anew without a change: what it shows has become older."""
MOST_KEPT: Final = 32


class Regions:
    """Renders regions, and keeps the last ones."""

    def __init__(self, streams: Streams, pace: Pace) -> None:
        self._streams = streams
        self._pace = pace
        self._kept: OrderedDict[str, str] = OrderedDict()
        self._lock = Lock()

    def show(self, view: View) -> Response:
        """Return the region that a request names. Raises Refusal for one that there is not."""
        page = self._page(view)
        view = replace(view, params=_params(page, view), path=_page_path(page, view))
        tag = _tag(view, self._streams.version())
        headers = {"etag": tag}
        if view.request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        with self._lock:
            text = self._kept.get(tag)
        if text is None:
            text = self._render(page, view)
            with self._lock:
                self._kept[tag] = text
                if len(self._kept) > MOST_KEPT:
                    self._kept.popitem(last=False)
        return HTMLResponse(text.encode("utf-8", "replace"), headers=headers)

    def _render(self, page: Page, view: View) -> str:
        start = time.thread_time()
        found = page.read(view)
        text = render_region(view, page.name, found, **page.more(view, found))
        self._pace.note(time.thread_time() - start)
        return text

    def _page(self, view: View) -> Page:
        name = str(view.params["name"])
        for route in view.routes:
            if isinstance(route, Page) and route.name == name and has_region(route):
                return route
        raise not_found(f"There is no region {name}.")


def _params(page: Page, view: View) -> dict[str, int]:
    """Return what the path of the page has: of a region, it is in the query."""
    if "{id:int}" not in page.path:
        return {}
    given = view.needed("id")
    if not (given.isascii() and given.isdigit()):
        raise not_found(f"There is nothing with the id {given!r}.")
    return {"id": int(given[:20])}


def _page_path(page: Page, view: View) -> str:
    """Return the path of the page, which its links are relative to."""
    return page.path.replace("{id:int}", (view.one("id") or ""))


def _tag(view: View, version: Version) -> str:
    """Return what is the same for regions that are the same."""
    parts = (
        version,
        view.now.timestamp() // AGE_SECONDS,
        view.visitor,
        settings_of(view.request),
        view.root,
        view.request.url.path,
        sorted((name, *values) for name, values in view.query.items()),
    )
    return f'"{hashlib.sha256(repr(parts).encode()).hexdigest()[:24]}"'
