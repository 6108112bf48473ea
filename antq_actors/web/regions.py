"""A part of a page alone, fetched anew when something has changed.

What is asked again without a change in between is answered 304, and what several viewers ask at
once is rendered once.
"""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from concurrent.futures import Future
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING, Final

from starlette.responses import HTMLResponse, Response

from antq_actors.web.refusals import bad_field, not_found
from antq_actors.web.rendering import encoded, has_region, is_compressed, render_region
from antq_actors.web.routes import Page
from antq_actors.web.settings import settings_of

if TYPE_CHECKING:
    from antq_actors.insights.changes import Version
    from antq_actors.web.live import Pace, Streams
    from antq_actors.web.view import View

AGE_SECONDS: Final = 10
"""After so long, a region is rendered anew without a change: what it shows has become older."""
MOST_KEPT: Final = 32
REQUEST_SECONDS: Final = 0.002
"""What a request takes of a processor beside that, about: of the server, and to hand it over."""

Sent = tuple[bytes, dict[str, str]]
"""A region as it is sent, with its headers."""


class Regions:
    """Renders regions, and keeps the last ones."""

    def __init__(self, streams: Streams, pace: Pace) -> None:
        self._streams = streams
        self._pace = pace
        self._kept: OrderedDict[str, Future[Sent]] = OrderedDict()
        """Those that were rendered, or are being rendered, by their tags."""
        self._lock = Lock()

    def show(self, view: View) -> Response:
        """Return the region that a request names. Raises Refusal for one that there is not."""
        began = time.thread_time()
        try:
            return self._show(view)
        finally:
            self._pace.note(time.thread_time() - began + REQUEST_SECONDS)

    def _show(self, view: View) -> Response:
        page = self._page(view)
        view = replace(view, params=_params(page, view), path=_page_path(page, view))
        tag = _tag(view, self._streams.version())
        if view.request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers={"etag": tag})
        body, headers = self._rendered(tag, page, view)
        return HTMLResponse(body, headers=headers | {"etag": tag})

    def _rendered(self, tag: str, page: Page, view: View) -> Sent:
        """Return a region, rendered once: who asks for it meanwhile waits for the first."""
        with self._lock:
            kept = self._kept.get(tag)
            if kept is None:
                mine = self._kept[tag] = Future[Sent]()
                if len(self._kept) > MOST_KEPT:
                    self._kept.popitem(last=False)
        if kept is not None:
            return kept.result()
        try:
            mine.set_result(encoded(view.request, _render(page, view)))
        except BaseException as error:
            with self._lock:
                self._kept.pop(tag, None)
            mine.set_exception(error)
            raise
        return mine.result()

    def _page(self, view: View) -> Page:
        name = str(view.params["name"])
        for route in view.routes:
            if isinstance(route, Page) and route.name == name and has_region(route):
                return route
        raise not_found(f"There is no region {name}.")


def _render(page: Page, view: View) -> str:
    found = page.read(view)
    if isinstance(found, Response):  # which says what is wrong with the request
        raise bad_field("this part of a page is asked for what its page does not show")
    return render_region(view, page.name, found, **page.more(view, found))


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
        is_compressed(view.request),
        view.root,
        view.request.url.path,
        sorted((name, *values) for name, values in view.query.items()),
    )
    return f'"{hashlib.sha256(repr(parts).encode()).hexdigest()[:24]}"'
