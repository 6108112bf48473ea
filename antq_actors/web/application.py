"""The dashboard as an ASGI application: who may come in, which route it is, what is answered.

    request ─▶ host ─▶ way in ─▶ route ─▶ level ─▶ origin (POST) ─▶ page or verb, in a thread

Each step may refuse it, and what is refused changes nothing.
"""

from __future__ import annotations

import json
import logging
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, unquote

import anyio
import anyio.to_thread
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from antq_actors.insights.access import Access
from antq_actors.insights.as_json import as_json
from antq_actors.insights.doing import Done
from antq_actors.insights.reader import Insights
from antq_actors.web import static_files
from antq_actors.web.guard import is_own_host, is_same_origin, security_headers
from antq_actors.web.live import Pace, Streams
from antq_actors.web.notices import with_done
from antq_actors.web.refusals import Refusal, not_found, refusal_of
from antq_actors.web.regions import Regions
from antq_actors.web.rendering import render, render_refusal
from antq_actors.web.results import Results
from antq_actors.web.routes import COMMON_FIELDS, FORM_FIELDS, Download, Method, Page, Routes, Verb
from antq_actors.web.site import ALL_ROUTES
from antq_actors.web.view import View, body_of, form_of, json_of, query_of
from antq_actors.web.ways_in import OuterSite, bearer_of
from antq_actors.web.wsgi import WSGI, WsgiDashboard

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping, Sequence

    from antq_actors import AntQ
    from antq_actors.insights.access import Visitor
    from antq_actors.web.options import Options
    from antq_actors.web.routes import Route
    from antq_actors.web.ways_in import WayIn

    Scope = MutableMapping[str, Any]

log: Final = logging.getLogger("antq_actors.web")

API: Final = "/api/v1"
METRICS: Final = "/metrics"
"""Where Prometheus asks, if it may: with a Bearer token, too."""
UNAUTHORIZED: Final = 401
THREADS: Final = 4
"""Requests that are answered at once; others wait, so that viewers cannot take all of a process."""


class Dashboard:
    """The dashboard of an application: an ASGI application, to be mounted in a site."""

    def __init__(
        self,
        app: AntQ,
        options: Options,
        way_in: WayIn | None = None,
        further: Sequence[Route] = (),
    ) -> None:
        self._app = app
        self._options = options
        self._way_in = way_in or OuterSite(options.access)
        self._insights = Insights(app, redact=options.redact)
        self._pace = Pace()
        self._streams = Streams(self._insights, self._pace)
        self._results = Results()
        self._regions = Regions(self._streams, self._pace)
        live = Download(path="/live", name="live", read=self._stream)
        region = Download(path="/region/{name}", name="region", read=self._regions.show)
        metrics = _metrics_of(app) if options.prometheus else ()
        self.routes = Routes((*ALL_ROUTES, *further, *metrics, live, region))
        """All that is answered, for those who look at what there is."""
        self._headers = [
            (name.encode(), value.encode())
            for name, value in security_headers(options.frame_ancestors, options.csp).items()
        ]
        self._limiter = anyio.CapacityLimiter(THREADS)
        self._wsgi = WsgiDashboard(self)

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Let a request of HTTP in, and send its answer; a lifespan and websockets it has none."""
        if scope["type"] == "lifespan":
            await _no_lifespan(receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1000})
            return
        scope = _with_root(scope)
        request = Request(scope, receive)
        if (to_itself := _to_mount(request)) is not None:
            await to_itself(scope, receive, send)
            return
        scope["antq.path"] = path = path_below(scope)
        is_api = path == API or path.startswith(API + "/")
        try:
            response = await self._answer(request, path, is_api=is_api)
        except Refusal as refusal:
            response = self._refused(request, refusal, is_api=is_api)
        await response(scope, receive, partial(_send_with, self._headers, send))

    async def _answer(self, request: Request, path: str, *, is_api: bool) -> Response:
        hosts = self._options.hosts
        if hosts is not None and not is_own_host(request.headers.get("host"), hosts):
            raise Refusal(400, "bad_host", "This is not a name of this site.")
        if (open_to_all := self._for_everybody(request, path)) is not None:
            return open_to_all
        if is_api:
            visitor = bearer_of(request, self._options.tokens)
            if visitor is None:
                raise Refusal(401, "unauthorized", "A Bearer token of this dashboard is needed.")
            path = path.removeprefix(API) or "/"
            path = "/" if path == "/overview" else path
        else:
            if (entry := self._way_in.enter(request)) is not None:
                return entry
            is_scrape = path == METRICS and self._options.prometheus
            program = bearer_of(request, self._options.tokens) if is_scrape else None
            visitor = program or await self._way_in.visitor(request)
            if visitor.access is Access.NONE:
                status, sentence, _ = self._way_in.refusal()
                raise Refusal(status, "forbidden", sentence)
        request.scope["antq.visitor"] = visitor
        return await self._route(request, path, visitor, is_api=is_api)

    def _for_everybody(self, request: Request, path: str) -> Response | None:
        """Return the answer to what needs no access; None: it is something else."""
        if request.method not in ("GET", "HEAD"):
            return None
        if path == "/healthz":
            return self._health()
        if path.startswith("/static/"):
            digest, _, name = path.removeprefix("/static/").partition("/")
            found = static_files.serve(request, digest, name)
            if found is None:
                raise not_found("There is no such file.")
            return found
        return None

    async def _route(
        self, request: Request, path: str, visitor: Visitor, *, is_api: bool
    ) -> Response:
        routes, params = self.routes.find(path)
        routes = {
            method: route
            for method, route in routes.items()
            if (route.has_api if is_api else route.has_page or isinstance(route, Download))
        }
        view = request.scope["antq.view"] = View(
            request=request,
            app=self._app,
            insights=self._insights,
            options=self._options,
            routes=self.routes,
            results=self._results,
            visitor=visitor,
            is_api=is_api,
            path=path,
            params=params,
            query=query_of(request.scope["query_string"]),
        )
        if not routes:
            raise not_found(f"There is no page {path}.")
        method = Method.GET if request.method == "HEAD" else request.method
        route = routes.get(method)  # type: ignore[call-overload]
        if route is None:
            raise Refusal(405, "method_not_allowed", f"This takes {' or '.join(sorted(routes))}.")
        is_off = route.level is Access.CHAOS and not self._options.chaos
        if is_off or visitor.access < route.level:
            off = " and a dashboard with chaos=True" if is_off else ""
            sentence = f"This takes the level {route.level.name}{off}."
            raise Refusal(403, "forbidden", sentence)
        if isinstance(route, Page):
            return await self._in_thread(partial(_show, route, view))
        await _take_fields(route, view)
        return await self._in_thread(partial(_carry_out, route, view))

    async def _in_thread(self, work: Callable[[], Response]) -> Response:
        try:
            return await anyio.to_thread.run_sync(work, limiter=self._limiter)
        except Exception as error:
            refusal = refusal_of(error)
            if refusal is None:
                log.exception("a request of the dashboard failed")
                refusal = Refusal(500, type(error).__name__, "This is a fault of the dashboard.")
            raise refusal from error

    def wsgi(self) -> WsgiDashboard:
        """Return it as a WSGI application, always the same one. Its pages ask for changes."""
        return self._wsgi

    def close(self) -> None:
        """End the open streams within a moment, because the server stops; none begins any more."""
        self._streams.is_closing = True

    def _stream(self, view: View) -> Response:
        if view.request.scope.get(WSGI):
            raise Refusal(503, "no_streams", "Over WSGI there are no streams; pages ask instead.")
        return self._streams.enter(view.visitor.name)

    def _health(self) -> Response:
        is_well = self._app.antq_is_running
        status = "ok" if is_well else "away"
        return _json({"status": status}, 200 if is_well else 503)

    def _refused(self, request: Request, refusal: Refusal, *, is_api: bool) -> Response:
        headers = {}
        if refusal.status == UNAUTHORIZED:
            headers = {"www-authenticate": "Bearer"} if is_api else self._way_in.refusal()[2]
        if is_api:
            error = {"code": refusal.code, "message": refusal.message, "hint": refusal.hint}
            return _json({"error": error}, refusal.status, headers)
        return render_refusal(request, refusal, headers)


def _metrics_of(app: AntQ) -> tuple[Route, ...]:
    """Return the route of the metrics for Prometheus, whose extra is needed for it alone."""
    from antq_actors.telemetry.prometheus import scrape  # noqa: PLC0415 - needs an extra

    read = scrape(app)

    def answer(_view: View) -> Response:
        text, kind = read()
        return Response(text, headers={"content-type": kind})

    return (Download(path=METRICS, name="metrics", read=answer),)


def _show(route: Page, view: View) -> Response:
    mark = None if view.is_api else view.insights.version().mark  # before anything is read
    found = route.read(view)
    if isinstance(found, Response):
        return found
    if view.is_api:
        return _json(as_json(found))
    return render(view, route.name, found, mark=mark, **route.more(view, found))


async def _take_fields(verb: Verb, view: View) -> None:
    """Read what a verb was sent. Raises Refusal for what no page of this site sent."""
    request = view.request
    if view.is_api:
        view.fields = json_of(request, await body_of(request))
        known = verb.fields | COMMON_FIELDS
    else:
        if not is_same_origin(request.headers):
            raise Refusal(403, "cross_origin", "The request came from a page of another site.")
        view.fields = form_of(request, await body_of(request))
        known = verb.fields | COMMON_FIELDS | FORM_FIELDS
    for name in view.fields:
        if name not in known:
            names = ", ".join(sorted(known))
            raise Refusal(400, "bad_field", f"there is no field {name!r} here, only {names}")


def _carry_out(verb: Verb, view: View) -> Response:
    """Carry out a verb; or return the page that asks, where it was not confirmed."""
    if view.is_api:
        done = verb.act(view)
        if isinstance(done, Response):
            return done
        return _json(as_json(done.answer() if isinstance(done, Done) else done))
    where = view.next_page(verb.next)
    if verb.is_asked(view.fields):
        if verb.ask is not None:
            return verb.ask(view)
        sent = {name: view.sent(name) for name in view.fields if name not in FORM_FIELDS}
        return render(view, "asked", verb, sent=sent, where=view.sent("next"), back=where)
    done = verb.act(view)
    if isinstance(done, Response):
        return done
    return RedirectResponse(with_done(view, where, verb, done), status_code=303)


def _json(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    content = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return Response(content, status, dict(headers or {}), media_type="application/json")


async def _send_with(headers: list[tuple[bytes, bytes]], send: Any, message: Any) -> None:
    """Send a message of ASGI; the begin of an answer with the *headers* that it lacks."""
    if message["type"] == "http.response.start":
        there = {name.lower() for name, _ in message["headers"]}
        more = [(name, value) for name, value in headers if name not in there]
        message = {**message, "headers": [*message["headers"], *more]}
    await send(message)


def path_below(scope: Scope) -> str:
    """Return the path of a request below the mount, with a slash in front."""
    path, root = str(scope["path"]), str(scope.get("root_path", ""))
    below = path.removeprefix(root) if path == root or path.startswith(root + "/") else path
    return below or "/"


def _with_root(scope: Scope) -> Scope:
    """Return the scope of a request with the path of the mount, also below a mount of Litestar.

    That takes it from the path without telling; what was asked for is in ``raw_path``.
    """
    path, asked = str(scope["path"]), unquote((scope.get("raw_path") or b"").decode("latin-1"))
    if asked in ("", path) or not asked.rstrip("/").endswith(path.rstrip("/")):
        return scope
    root = asked.rstrip("/").removesuffix(path.rstrip("/"))
    return {**scope, "root_path": root, "path": asked}


def _to_mount(request: Request) -> Response | None:
    """Return the redirect from the path of the mount to the same with a slash.

    None: it has one. Without, the links of the page, which are relative, would lead beside it.
    """
    root, query = (
        request.scope.get("root_path", ""),
        request.scope["query_string"].decode("latin-1"),
    )
    if not root or request.scope["path"] != root or root.endswith("/"):
        return None
    last = quote(root.rpartition("/")[2])
    return RedirectResponse(f"./{last}/" + (f"?{query}" if query else ""), status_code=307)


async def _no_lifespan(receive: Any, send: Any) -> None:
    while True:
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return
