"""Run an application with an ASGI site: Starlette, FastAPI, and whatever has a lifespan.

It starts before the site's own lifespan begins, and stops when that has ended; both in a thread, so
that the event loop of the server goes on. It needs no library; `AntQDep` needs FastAPI.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias

from antq_actors import AntQ
from antq_actors.app.config import check_runs_queues, check_timeout
from antq_actors.checks import short_repr
from antq_actors.errors import NotStarted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager
    from datetime import timedelta

    AntQDep: TypeAlias = AntQ  # the annotation of an endpoint's parameter: FastAPI injects it
    Lifespan: TypeAlias = Callable[[Any], AbstractAsyncContextManager[Any]]

STOP_SECONDS: Final = 10.0
"""Seconds that jobs which run in a server get when it stops."""

_applications: Final[dict[int, AntQ]] = {}
"""The application of each site, by its ``id``, between the begin and the end of its lifespan."""


def lifespan(
    app: AntQ, *, queues: bool | None = None, timeout: float | timedelta = STOP_SECONDS
) -> Lifespan:
    """Return a lifespan that runs *app* as long as a site.

    *queues* is for :meth:`AntQ.start`: False in a server that only enqueues, beside ``antq start``;
    *timeout*, in seconds, for :meth:`AntQ.stop`. An application that runs already is left running.
    What ``start`` raises fails the start of the server. Raises TypeError and ValueError.

    ``web = FastAPI(lifespan=lifespan(app, queues=False))``
    """
    return _running(app, queues, timeout)


def wrap(
    lifespan: Lifespan,
    app: AntQ,
    *,
    queues: bool | None = None,
    timeout: float | timedelta = STOP_SECONDS,
) -> Lifespan:
    """Return a lifespan that runs *app* around the *lifespan* that a site has already.

    The application runs before that begins and until it has ended; what it yields is passed on.
    The other arguments are those of :func:`lifespan`. Raises TypeError and ValueError.
    """
    if not callable(lifespan):
        raise TypeError(
            "lifespan must be a function of the site that returns an async context manager, got"
            f" {short_repr(lifespan)}"
        )
    outer = _running(app, queues, timeout)

    @asynccontextmanager
    async def both(site: Any) -> AsyncIterator[Any]:
        async with outer(site), lifespan(site) as state:
            yield state

    return both


def _running(app: AntQ, queues: bool | None, timeout: float | timedelta) -> Lifespan:  # noqa: FBT001 - as it was given
    """Return the lifespan that starts and stops *app*. Raises TypeError and ValueError."""
    check(app)
    check_runs_queues(queues)
    check_timeout(timeout)

    @asynccontextmanager
    async def running(site: Any) -> AsyncIterator[None]:
        is_ours = not (app.antq_is_held or app.antq_is_running)
        if is_ours:
            await _start(app, queues, timeout)
        try:
            _applications[id(site)] = app
            yield
        finally:
            _applications.pop(id(site), None)
            if is_ours:
                await _to_its_end(asyncio.to_thread(app.stop, timeout=timeout))

    return running


def check(app: object) -> None:
    """Raise TypeError for what is no application."""
    if not isinstance(app, AntQ):
        raise TypeError(f"app must be an AntQ application, got {short_repr(app)}")


async def _start(app: AntQ, queues: bool | None, timeout: float | timedelta) -> None:  # noqa: ASYNC109, FBT001 - its arguments
    """Start an application in a thread; stop it again if the server gives up meanwhile."""
    try:
        await _to_its_end(asyncio.to_thread(app.start, queues=queues))
    except asyncio.CancelledError:
        await _to_its_end(asyncio.to_thread(app.stop, timeout=timeout))
        raise


async def _to_its_end(work: Any) -> None:
    """Await what a thread does, also if this task is cancelled meanwhile, which is raised then."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            if task.cancelled():
                raise
            cancelled = error
        except BaseException:  # noqa: BLE001 - it is raised below
            break
    task.result()
    if cancelled is not None:
        raise cancelled


def application_of(site: Any) -> AntQ:
    """Return the application of a site's lifespan, or of the only one here. Raises NotStarted.

    A site that is mounted in another one has no lifespan of its own.
    """
    found = _applications.get(id(site))
    if found is not None:
        return found
    known = {id(app): app for app in _applications.values()}
    if len(known) == 1:
        return next(iter(known.values()))
    raise NotStarted(
        f"no application runs with {short_repr(site)}; write:"
        " FastAPI(lifespan=antq_actors.integrations.asgi.lifespan(app))"
    )


def __getattr__(name: str) -> Any:
    if name != "AntQDep":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from fastapi import Depends  # noqa: PLC0415 - for those that have it
        from fastapi.requests import HTTPConnection  # noqa: PLC0415 - the same
    except ModuleNotFoundError as error:
        if error.name != "fastapi":
            raise
        raise ImportError("AntQDep needs FastAPI: pip install fastapi") from None

    async def application(connection: Any) -> AntQ:
        return application_of(connection.app)

    application.__annotations__["connection"] = HTTPConnection  # which FastAPI looks up
    globals()[name] = dependency = Annotated[AntQ, Depends(application)]
    return dependency
