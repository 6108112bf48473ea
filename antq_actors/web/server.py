"""Serves a dashboard by itself, for ``antq web`` and ``antq start --web``: where, and to whom."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import stat
import threading
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final

from antq_actors.checks import short_repr
from antq_actors.errors import StartError
from antq_actors.insights.access import Access, Visitor
from antq_actors.web.application import Dashboard
from antq_actors.web.options import Options, check_tokens
from antq_actors.web.saved_views import read_views
from antq_actors.web.ways_in import Passwords, UrlToken

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from antq_actors import AntQ
    from antq_actors.web.routes import Route

TOKEN_VARIABLE: Final = "ANTQ_WEB_TOKEN"  # noqa: S105 - its name
SHORTEST_SECRET: Final = 16
"""Characters that a secret of an ``--auth`` file needs at least."""
LOOK_SECONDS: Final = 1.0
"""How often the server looks at its clock."""
STOP_SECONDS: Final = 1.0
"""What requests that are under way get when the server stops."""
_OTHERS_MAY: Final = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """How a dashboard is served by itself. What is wrong with it is raised as ValueError."""

    host: str = "127.0.0.1"
    port: int = 8420
    uds: Path | None = None
    auth: Path | None = None
    hosts: Sequence[str] = ()
    is_read_only: bool = False
    chaos: bool = False
    prometheus: bool = False
    views: Path | None = None
    """The TOML file of the lists of jobs that all visitors see."""

    def __post_init__(self) -> None:
        """Raise ValueError for an address that others reach, without an ``--auth`` file."""
        if self.uds is None and self.auth is None and not _is_loopback(self.host):
            raise ValueError(
                f"others could reach {self.host}, so --auth FILE is needed: lines"
                " NAME:LEVEL:SECRET, in a file of mode 0600"
            )

    @property
    def level(self) -> Access:
        """What someone with the token of the URL may do."""
        if self.is_read_only:
            return Access.READ
        return Access.CHAOS if self.chaos else Access.OPERATE


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


class WebServer:
    """A dashboard with its server, in a thread of this process."""

    def __init__(
        self,
        app: AntQ,
        serving: Serving,
        environ: Mapping[str, str] = os.environ,
        *,
        trees: Sequence[Any] = (),
        further: Sequence[Route] = (),
    ) -> None:
        """Read the secrets. Raises ValueError for those that are wrong, which it does not show.

        *trees* are shown beside the application's own; *further* are routes beside those of every
        dashboard.
        """
        self._serving = serving
        self._token: str | None = None
        if serving.auth is not None:
            most = Access.READ if serving.is_read_only else Access.CHAOS
            users = {
                name: (secret, min(level, most))
                for name, (secret, level) in read_auth(serving.auth).items()
            }
            tokens = {secret: Visitor(level, name) for name, (secret, level) in users.items()}
            way_in: Any = Passwords(users)
        else:
            given = environ.get(TOKEN_VARIABLE)
            if given is not None:
                check_tokens([given], TOKEN_VARIABLE)
            tokens = {} if given is None else {given: Visitor(serving.level)}
            self._token = given or secrets.token_urlsafe(32)
            way_in = UrlToken(self._token, serving.level)
        options = Options(
            tokens=tokens or None,
            trees=tuple(trees),
            hosts=tuple(serving.hosts),
            prometheus=serving.prometheus,
            chaos=serving.chaos,
            views=() if serving.views is None else read_views(serving.views),
        )
        self._dashboard = Dashboard(app, options, way_in, further)
        self._listener: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self._server: Any = None

    def listen(self) -> None:
        """Take the address; it is served from `start` on. Raises StartError."""
        if self._listener is None:
            self._listener = self._bind()

    def start(self) -> str:
        """Serve, and return the URL. Raises StartError where the address cannot be had."""
        import uvicorn  # noqa: PLC0415 - a dashboard that is mounted has a server already

        self.listen()
        listener: Any = self._listener
        config = uvicorn.Config(
            self._dashboard,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=int(STOP_SECONDS),
        )
        self._server = _quiet(uvicorn.Server)(config)
        self._thread = threading.Thread(
            target=self._server.run, args=([listener],), name="antq web", daemon=True
        )
        self._thread.start()
        return self._url(listener)

    def stop(self) -> None:
        """End it: streams at once; requests that are under way get `STOP_SECONDS`."""
        if self._thread is not None:
            self._dashboard.close()
            self._server.end()
            self._thread.join(2 * STOP_SECONDS)
        if self._listener is None:
            return
        self._listener.close()
        if self._serving.uds is not None:
            self._serving.uds.unlink(missing_ok=True)

    def _bind(self) -> socket.socket:
        serving = self._serving
        try:
            if serving.uds is not None:
                return _bind_unix(serving.uds)
            family = socket.AF_INET6 if ":" in serving.host else socket.AF_INET
            return socket.create_server((serving.host, serving.port), family=family)
        except (OSError, OverflowError) as error:
            where = serving.uds or f"{serving.host}:{serving.port}"
            raise StartError(f"cannot listen at {where}: {error}") from None

    def _url(self, listener: socket.socket) -> str:
        if self._serving.uds is not None:
            return f"http+unix://{self._serving.uds}"
        host, port = listener.getsockname()[:2]
        place = f"[{host}]" if ":" in host else host
        token = "" if self._token is None else f"?t={self._token}"
        return f"http://{place}:{port}/{token}"


def _quiet(server: Any) -> Any:
    """Return a class of servers that look once a second whether they end, and are told when."""

    class Quiet(server):  # type: ignore[misc] # uvicorn is only there where a dashboard is served
        """A server that takes next to no processor time while nobody asks anything.

        uvicorn's own looks ten times a second.
        """

        _loop: asyncio.AbstractEventLoop | None = None

        async def main_loop(self) -> None:
            """Look until it ends; each look also renews the date that answers bear."""
            self._told = asyncio.Event()
            self._loop = asyncio.get_running_loop()
            while not await self.on_tick(0):
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_SECONDS):
                        await self._told.wait()

        def end(self) -> None:
            """End it at once, from any thread."""
            self.should_exit = True
            if self._loop is not None:
                with suppress(RuntimeError):  # it has ended meanwhile
                    self._loop.call_soon_threadsafe(self._told.set)

    return Quiet


def _bind_unix(path: Path) -> socket.socket:
    """Return a socket at *path*, for the owner alone. One that a dead process left is replaced."""
    listener = socket.socket(socket.AF_UNIX)
    mask = os.umask(0o177)
    try:
        if path.is_socket():
            with socket.socket(socket.AF_UNIX) as other:
                is_in_use = other.connect_ex(str(path)) == 0
            if not is_in_use:
                path.unlink()
        listener.bind(str(path))
    except BaseException:
        listener.close()
        raise
    finally:
        os.umask(mask)
    listener.listen()
    return listener


def read_auth(path: Path) -> dict[str, tuple[str, Access]]:
    """Return the secret and the level of each name in an ``--auth`` file.

    Raises ValueError that names the line, and shows no secret.
    """
    try:
        mode = path.stat().st_mode
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"the --auth file {path} cannot be read: {error}") from None
    if mode & _OTHERS_MAY:
        raise ValueError(
            f"others may read or write {path} (mode {stat.S_IMODE(mode):04o}): run chmod 600 {path}"
        )
    users: dict[str, tuple[str, Access]] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            name, level, secret = _user_of(line)
        except ValueError as error:
            raise ValueError(f"line {number} of {path}: {error}") from None
        if name in users:
            raise ValueError(f"line {number} of {path}: {name!r} is there twice")
        users[name] = secret, level
    if not users:
        raise ValueError(f"{path} has no line NAME:LEVEL:SECRET")
    return users


def _user_of(line: str) -> tuple[str, Access, str]:
    name, _, rest = line.partition(":")
    level, separator, secret = rest.partition(":")
    if not (name and separator):
        raise ValueError("it must be NAME:LEVEL:SECRET")
    if len(secret) < SHORTEST_SECRET:
        raise ValueError(f"the secret must have at least {SHORTEST_SECRET} characters")
    if not (secret.isascii() and secret.isprintable() and " " not in secret):
        raise ValueError("the secret must be of ASCII without blanks")
    access = Access.named(level)
    if access is Access.NONE:
        raise ValueError(
            f"the level none lets nobody in; leave the line out, for {short_repr(name)}"
        )
    return name, access, secret
