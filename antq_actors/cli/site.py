"""The site of a web framework in ``antq start --app``: what it sets up is there for the jobs.

The lifespan of an ASGI site is entered before the queues start, and left when they have stopped.
Jobs run in the application context of a site that has one, such as Flask's.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Final

from antq_actors.cli import output, user_code
from antq_actors.errors import AntqError
from antq_actors.integrations.app_context import AppContext

if TYPE_CHECKING:
    from collections.abc import Iterator

    from antq_actors import AntQ

_TIMEOUT_SECONDS: Final = 60.0
"""For the start of a site, and for its end."""
_FORM: Final = "MODULE:SITE"


def load(place: str) -> Any:
    """Import and return the site at ``MODULE:SITE``. Raises AntqError after showing why."""
    where = user_code.parse_target(place, _FORM, "shop.web:site")
    module = user_code.import_module(where.module, _FORM)
    with user_code.errors_shown(f"'{place}'"):
        try:
            found = user_code.find_attribute(module, where.name)
        except AttributeError:
            raise user_code.wrong_usage(
                f"module '{where.module}' has no '{where.name}'", _FORM
            ) from None
        if inspect.iscoroutinefunction(found) and not _takes(found, "scope", "receive", "send"):
            raise user_code.wrong_usage(
                f"'{place}' is a coroutine function; a function that returns the site must be a"
                " plain one: what it awaits belongs in the lifespan of the site",
                _FORM,
            )
        is_site = hasattr(found, "app_context") or _is_asgi(found)
        return found if is_site or not callable(found) else found()


@contextmanager
def entered(place: str, app: AntQ) -> Iterator[None]:
    """Run what is within while the site at *place* is set up for the jobs of *app*.

    Its own lifespan leaves the application alone. Raises AntqError when its start fails.
    """
    site = load(place)
    if hasattr(site, "app_context"):
        if getattr(site, "extensions", {}).get("antq") is not app:  # whose jobs have it already
            app.antq_add_middleware(AppContext(site, place))
    elif not _is_asgi(site):
        raise user_code.wrong_usage(
            f"'{place}' is a {type(site).__name__}, which has no lifespan and no application"
            " context",
            _FORM,
        )
    app.antq_is_held = True
    try:
        with _Lifespan(place, site).entered() if _is_asgi(site) else nullcontext():
            yield
    finally:
        app.antq_is_held = False


def _is_asgi(site: Any) -> bool:
    if not callable(site) or inspect.isclass(site):
        return False
    if inspect.iscoroutinefunction(site) or inspect.iscoroutinefunction(type(site).__call__):
        return True
    # Such as middleware around a site, whose plain `__call__` returns its coroutine.
    return _takes(site, "scope", "receive", "send") and not _takes(site)


def _takes(function: Any, *arguments: object) -> bool:
    try:
        inspect.signature(function).bind(*arguments)
    except (TypeError, ValueError):
        return False
    return True


class _Lifespan:
    """The lifespan of an ASGI site, in a thread and an event loop of its own."""

    def __init__(self, place: str, site: Any) -> None:
        self._place = place
        self._site = site
        self._is_up = threading.Event()
        """Set when it has started, or will not."""
        self._failure: str | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._run()), name="antq-site", daemon=True
        )

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Run what is within between the site's start and its end. Raises AntqError."""
        self._thread.start()
        try:
            if not self._is_up.wait(_TIMEOUT_SECONDS):
                raise AntqError(f"'{self._place}' has not started within {_TIMEOUT_SECONDS:g} s")
            if self._failure is not None:
                raise AntqError(f"'{self._place}' could not start: {self._failure}")
            yield
        finally:
            if self._loop is not None and self._stop is not None and self._thread.is_alive():
                self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(_TIMEOUT_SECONDS)

    async def _run(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._messages = iter(("lifespan.startup", "lifespan.shutdown"))
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}
        try:
            await self._site(scope, self._receive, self._send)
        except Exception as error:  # noqa: BLE001 - the user's code can raise anything
            # As servers do: before the start is complete, the site has no lifespan at all. And one
            # that has told its failure may raise it as well.
            if self._is_up.is_set() and self._failure is None:
                output.write_stderr(output.printable(user_code.traceback_of(error)))
        finally:
            self._is_up.set()

    async def _receive(self) -> dict[str, str]:
        message = next(self._messages, None)
        if message != "lifespan.startup" and self._stop is not None:
            await self._stop.wait()
        return {"type": message or "lifespan.shutdown"}

    async def _send(self, message: dict[str, Any]) -> None:
        if message["type"] == "lifespan.startup.failed":
            lines = output.printable(message.get("message", "")).strip().splitlines()
            if len(lines) > 1:  # Starlette's is a traceback, which ends with the error
                output.write_stderr("\n".join(lines))
            self._failure = lines[-1] if lines else "it does not say why"
        elif message["type"] == "lifespan.shutdown.failed":
            output.write_stderr(output.printable(message.get("message", "")))
        self._is_up.set()
