"""The dashboard in a site that speaks WSGI: Flask, Django without an ASGI server, and so on.

The same application behind a2wsgi. There are no streams: one would hold a thread of the server as
long as a page is open, so pages ask instead every few seconds whether something has changed.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, MutableMapping

    Environ = MutableMapping[str, Any]
    Dashboard = Callable[[Any, Any, Any], Awaitable[None]]
    Served = Callable[[Environ, Any], Iterable[bytes]]

WSGI: Final = "antq.wsgi"
"""Set in the scope of a request that comes over WSGI."""

_BAD: Final = b"The request is not HTTP as it should be.\n"


class WsgiDashboard:
    """A dashboard as a WSGI application."""

    def __init__(self, dashboard: Dashboard) -> None:
        self._dashboard = dashboard
        self._served: tuple[int, Served] | None = None
        self._lock = threading.Lock()

    def __call__(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        """Return the answer to a request of WSGI."""
        if not _is_readable(environ):
            start_response("400 Bad Request", [("Content-Type", "text/plain; charset=utf-8")])
            return [_BAD]
        return self._in_this_process()(environ, start_response)

    def _in_this_process(self) -> Served:
        """Return what serves requests of this process: its event loop has a thread of its own.

        Made at the first request, since a server forks after it has loaded the site.
        """
        with self._lock:
            if self._served is None or self._served[0] != os.getpid():
                from a2wsgi import ASGIMiddleware  # noqa: PLC0415 - sites of ASGI do without

                served: Any = ASGIMiddleware(self._mark)
                self._served = os.getpid(), served
            return self._served[1]

    async def _mark(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve a request that says in its scope where it came from."""
        await self._dashboard({**scope, WSGI: True}, receive, send)


def _is_readable(environ: Environ) -> bool:
    """Return whether a request can be passed on: its path is UTF-8, its query ASCII."""
    try:
        for name in ("SCRIPT_NAME", "PATH_INFO"):
            str(environ.get(name, "")).encode("latin-1").decode()
        str(environ.get("QUERY_STRING", "")).encode("ascii")
        int(environ.get("CONTENT_LENGTH") or 0)
    except ValueError:
        return False
    return True
