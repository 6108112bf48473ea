"""Finds out who sent a request: by the outer site, by the token of the URL, or by a password.

Secrets are compared in constant time, and never logged.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import inspect
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import anyio
import anyio.to_thread
from starlette.responses import RedirectResponse, Response

from antq_actors.checks import short_repr
from antq_actors.insights.access import Access, Visitor

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.requests import Request

log: Final = logging.getLogger("antq_actors.web")

COOKIE: Final = "antq_web"
"""The cookie of those that came with the token of the URL."""

FAILURE_SECONDS: Final = 0.5
"""How long a wrong password is not answered."""

NOBODY: Final = Visitor(Access.NONE)

NO_ACCESS: Final = (
    "This dashboard was mounted without access=, so it shows nothing to anyone. Say who may look:"
    " dashboard(app, access=lambda request: Access.READ if … else Access.NONE)"
)


class WayIn(Protocol):
    """How visitors are told apart."""

    async def visitor(self, request: Request) -> Visitor:
        """Return who sent a request."""

    def enter(self, request: Request) -> Response | None:
        """Return the answer to a request that only wants in; None: it wants something else."""

    def refusal(self) -> tuple[int, str, dict[str, str]]:
        """Return what someone without access is answered: the status, a sentence, headers."""


@dataclass(frozen=True, slots=True)
class OuterSite:
    """The site below which the dashboard is mounted decides: *access* is given each request."""

    access: Callable[[Request], Any] | None

    async def visitor(self, request: Request) -> Visitor:
        """Return what *access* says; nobody where it raises or returns anything else."""
        if self.access is None:
            return NOBODY
        try:
            found = await self._ask(self.access, request)
        except Exception:
            log.exception("access= of the dashboard raised, so the request was refused")
            return NOBODY
        if isinstance(found, Access):
            return Visitor(found)
        if isinstance(found, Visitor):
            return found
        log.error(
            "access= of the dashboard must return an Access or a Visitor, got %s, so the request"
            " was refused",
            short_repr(found),
        )
        return NOBODY

    async def _ask(self, access: Callable[[Request], Any], request: Request) -> Any:
        """Call *access*, in a thread: it may ask a database."""
        if inspect.iscoroutinefunction(access):
            return await access(request)
        found = await anyio.to_thread.run_sync(access, request)
        return await found if inspect.isawaitable(found) else found

    def enter(self, request: Request) -> Response | None:  # noqa: ARG002 - the protocol's
        """Return None: one comes in by the outer site."""
        return None

    def refusal(self) -> tuple[int, str, dict[str, str]]:
        """Return 403, with the line to add if *access* is missing."""
        sentence = "You have no access to this dashboard."
        return 403, NO_ACCESS if self.access is None else sentence, {}


class UrlToken:
    """The token of the URL that ``antq web`` prints: it becomes a cookie, as with Jupyter."""

    def __init__(self, token: str, level: Access) -> None:
        self._token = token.encode()
        self._visitor = Visitor(level)
        # Not the token itself: who reads the cookie cannot make the URL or use the API.
        self._cookie = hmac.new(self._token, COOKIE.encode(), hashlib.sha256).hexdigest()

    async def visitor(self, request: Request) -> Visitor:
        """Return the visitor, if the request has the cookie."""
        found = request.cookies.get(COOKIE, "")
        is_right = hmac.compare_digest(found.encode(errors="replace"), self._cookie.encode())
        return self._visitor if is_right else NOBODY

    def enter(self, request: Request) -> Response | None:
        """Return the redirect that leaves the token out of the URL; None: there is none in it."""
        given = request.query_params.get("t")
        if given is None or not hmac.compare_digest(given.encode(errors="replace"), self._token):
            return None
        root = request.scope.get("root_path", "") + "/"
        response = RedirectResponse(root, status_code=303)
        response.set_cookie(
            COOKIE,
            self._cookie,
            path=root,
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return response

    def refusal(self) -> tuple[int, str, dict[str, str]]:
        """Return 403, with where the URL is found."""
        return 403, "Open the URL that antq printed when it started: it has the token.", {}


class Passwords:
    """HTTP Basic, by the lines of the file of ``--auth``."""

    def __init__(self, users: Mapping[str, tuple[str, Access]]) -> None:
        self._users = {
            name.encode(): (secret.encode(), Visitor(level, name))
            for name, (secret, level) in users.items()
        }

    async def visitor(self, request: Request) -> Visitor:
        """Return the visitor of a name and its secret. A wrong one is answered late."""
        header = request.headers.get("authorization")
        if header is None:
            return NOBODY
        found = self._find(header)
        if found is NOBODY:
            log.warning("a wrong name or secret was refused")
            await anyio.sleep(FAILURE_SECONDS)
        return found

    def _find(self, header: str) -> Visitor:
        scheme, _, given = header.partition(" ")
        if scheme.lower() != "basic":
            return NOBODY
        try:
            name, _, secret = base64.b64decode(given, validate=True).partition(b":")
        except (binascii.Error, ValueError):
            return NOBODY
        known, visitor = self._users.get(name, (b"", NOBODY))
        return visitor if hmac.compare_digest(secret, known) else NOBODY

    def enter(self, request: Request) -> Response | None:  # noqa: ARG002 - the protocol's
        """Return None: one comes in by a header."""
        return None

    def refusal(self) -> tuple[int, str, dict[str, str]]:
        """Return 401, which makes a browser ask for a name and a secret."""
        challenge = {"www-authenticate": 'Basic realm="antq", charset="UTF-8"'}
        return 401, "A name and a secret of the --auth file are needed.", challenge


def bearer_of(request: Request, tokens: Mapping[str, Visitor] | None) -> Visitor | None:
    """Return whom the Bearer token of a request is for; None: it has none that is known."""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or tokens is None:
        return None
    secret, found = given.strip().encode(), None
    for token, visitor in tokens.items():  # all of them, so that the time tells nothing
        if hmac.compare_digest(secret, token.encode()):
            found = visitor
    return found
