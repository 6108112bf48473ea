"""The dashboard in a site of Django: a view that passes each request on to it.

Members of the staff may look, superusers change things, or whatever the function says that the
setting ``ANTQ_DASHBOARD_ACCESS`` names as "module:function"; it is given Django's request. Served
over ASGI, pages are told of changes; over WSGI they ask.
"""

from __future__ import annotations

import asyncio
import io
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from asgiref.sync import sync_to_async
from django import conf
from django.core.exceptions import ImproperlyConfigured
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpResponse, StreamingHttpResponse
from django.urls import re_path
from django.utils.module_loading import import_string

from antq_actors.checks import short_repr
from antq_actors.insights.access import Access, Visitor
from antq_actors.integrations.django import site
from antq_actors.web import dashboard

if TYPE_CHECKING:
    from collections.abc import Iterable

    from antq_actors import AntQ
    from antq_actors.web import Dashboard

log: Final = logging.getLogger("antq_actors.web")

SETTING: Final = "ANTQ_DASHBOARD_ACCESS"
_VISITOR: Final = "antq.django"
"""In the scope or the environ of a request: what its sender may do."""

_dashboards: Final[dict[int, tuple[AntQ, Dashboard]]] = {}
"""The dashboard of each application, by its ``id``; with the application, so that it stays one."""


def staff(request: Any) -> Visitor:
    """Return what a user of Django may do, if no setting says otherwise."""
    user = getattr(request, "user", None)
    if user is None or not user.is_active or not user.is_staff:
        return Visitor(Access.NONE)
    return Visitor(Access.OPERATE if user.is_superuser else Access.READ, user.get_username())


def access_of(request: Any) -> Any:
    """Return what the sender of a request may do: nothing where the site's function raises.

    Raises ImproperlyConfigured for a setting that names no function.
    """
    named = getattr(conf.settings, SETTING, None)
    ask = staff if named is None else _function(named)
    try:
        return ask(request)
    except Exception:
        log.exception("%s raised, so the request was refused", SETTING)
        return Access.NONE


def _function(named: object) -> Any:
    module, separator, name = named.partition(":") if isinstance(named, str) else ("", "", "")
    try:
        found = import_string(f"{module}.{name}") if separator else None
    except ImportError as error:
        raise ImproperlyConfigured(f"{SETTING}: {error}") from error
    if not callable(found):
        raise ImproperlyConfigured(
            f'{SETTING} must name a function as "module:function", got {short_repr(named)}'
        )
    return found


async def view(request: Any, below: str = "") -> Any:
    """Return what the dashboard answers to a request for what is *below* its place in the site.

    Raises ImproperlyConfigured, and for a host that is none of the site's DisallowedHost.
    """
    request.get_host()
    if not isinstance(request, ASGIRequest):
        return await sync_to_async(_over_wsgi)(request, below)
    access = await sync_to_async(access_of)(request)
    served = await sync_to_async(_dashboard)()
    scope = {
        **request.scope,
        "path": request.path,
        "query_string": request.META.get("QUERY_STRING", "").encode("latin-1", "replace"),
        "root_path": _prefix(request, below),
        _VISITOR: access,
    }
    return await _over_asgi(served, scope, request.body)


# The dashboard finds out by itself whether a form came from this site; it knows no token of Django.
view.csrf_exempt = True  # type: ignore[attr-defined]

urlpatterns: Final = [re_path(r"\A(?P<below>(?s:.*))\Z", view, name="antq_dashboard")]


def _prefix(request: Any, below: str) -> str:
    """Return the path of the dashboard in the site, without a slash at its end."""
    return str(request.path).removesuffix(below).rstrip("/")


def _dashboard() -> Dashboard:
    """Return the dashboard of the site's application, which is opened if it is not."""
    known = site.backends()
    if not known:
        raise ImproperlyConfigured("TASKS names no backend of antq, whose jobs could be shown")
    alias = "default" if "default" in known else next(iter(known))
    app = site.opened(alias, known[alias].antq_params)
    if id(app) not in _dashboards:
        _dashboards.clear()
        _dashboards[id(app)] = app, dashboard(app, access=_access_in_scope)
    return _dashboards[id(app)][1]


def _access_in_scope(request: Any) -> Any:
    environ = request.scope.get("wsgi_environ", {})
    return request.scope.get(_VISITOR, environ.get(_VISITOR))


def _over_wsgi(request: Any, below: str) -> HttpResponse:
    prefix = _prefix(request, below)
    environ = {
        **request.META,
        "SCRIPT_NAME": prefix.encode().decode("latin-1"),
        "PATH_INFO": request.path.removeprefix(prefix).encode().decode("latin-1"),
        "wsgi.input": io.BytesIO(request.body),  # middleware may have read it
        _VISITOR: access_of(request),
    }
    begun: list[Any] = []
    parts = _dashboard().wsgi()(environ, lambda *start: begun.extend(start[:2]))
    content = b"".join(parts)
    return _filled(HttpResponse(content, status=int(begun[0][:3])), begun[1])


async def _over_asgi(served: Dashboard, scope: Any, body: bytes) -> Any:
    """Return the answer of an ASGI application; one that goes on is passed on as it comes."""
    sent: asyncio.Queue[Any] = asyncio.Queue(1)
    to_receive = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Any:
        if to_receive:
            return to_receive.pop()
        return await asyncio.Event().wait()  # until the task is cancelled, as the reader has gone

    task = asyncio.create_task(_run(served, scope, receive, sent))
    start, first = await sent.get(), await sent.get()
    headers = [(name.decode("latin-1"), text.decode("latin-1")) for name, text in start["headers"]]
    if not first.get("more_body"):
        await _end(task)
        return _filled(HttpResponse(first.get("body", b""), status=start["status"]), headers)
    streamed = StreamingHttpResponse(_rest(task, sent, first), status=start["status"])
    return _filled(streamed, headers)


async def _run(served: Dashboard, scope: Any, receive: Any, sent: asyncio.Queue[Any]) -> None:
    """Run the application; where it raises, its answer ends, so that nobody waits for it."""
    try:
        await served(scope, receive, sent.put)
    except Exception:
        log.exception("a request of the dashboard failed")
        failed = {"type": "http.response.start", "status": 500, "headers": []}
        for message in (failed, {"type": "http.response.body", "body": b""}):
            await sent.put(message)


async def _rest(task: asyncio.Task[None], sent: asyncio.Queue[Any], message: Any) -> Any:
    try:
        while True:
            yield message.get("body", b"")
            if not message.get("more_body"):
                return
            message = await sent.get()
    finally:
        await _end(task)


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def _filled(response: Any, headers: Iterable[tuple[str, str]]) -> Any:
    """Return the *response* with these *headers*, and with no other."""
    del response["content-type"]
    for name, text in headers:
        if name.lower() == "set-cookie":
            response.cookies.load(text)
        else:
            response[name] = text
    return response
