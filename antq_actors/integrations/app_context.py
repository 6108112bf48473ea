"""The application context of a Flask or Quart site around each job."""

from __future__ import annotations

import asyncio
import inspect
import sys
from contextvars import copy_context
from importlib import import_module
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar

from antq_actors.checks import short_repr
from antq_actors.errors import ConfigError
from antq_actors.jobs.middleware import Middleware

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from antq_actors.jobs.job import Job

T = TypeVar("T")


class AppContext(Middleware):
    """Performs jobs within the application context of a site.

    Functions that the site registered with ``teardown_appcontext`` get the exception of the job.
    """

    def __init__(self, site: Any, where: str | None = None) -> None:
        """Take the context of *site*; a job process finds the site by *where*, if that is given."""
        self._site = site
        self._where = where

    def __reduce__(self) -> tuple[Any, ...]:
        return (_elsewhere, (self._where,))

    def around_job(self, job: Job, call: Callable[[], T]) -> T:  # noqa: ARG002 - any job
        """Perform a job within the site's application context."""
        context = self._site.app_context()
        if not hasattr(context, "__aenter__"):
            with context:
                return call()
        # Quart's is entered by coroutines: they run in a context of variables that the job gets.
        variables = copy_context()
        with asyncio.Runner() as runner:
            runner.run(context.__aenter__(), context=variables)
            try:
                return variables.run(call)
            finally:
                runner.run(context.__aexit__(*sys.exc_info()), context=variables)

    async def around_job_async(self, job: Job, call: Callable[[], Awaitable[T]]) -> T:  # noqa: ARG002 - any job
        """Perform a coroutine within the site's application context."""
        context = self._site.app_context()
        if hasattr(context, "__aenter__"):
            async with context:
                return await call()
        with context:
            return await call()


def _elsewhere(where: str | None) -> Middleware:
    """Return the middleware in a job process; one that does nothing where no site is known."""
    return Middleware() if where is None else AppContext(site_at(where), where)


def check_place(where: object) -> None:
    """Raise ConfigError for what cannot be the place of a site; import nothing."""
    module, _, name = where.partition(":") if isinstance(where, str) else ("", "", "")
    if not (name and all(module.split(".")) and all(name.split("."))):
        raise ConfigError(
            "ANTQ_APP must be the place of a site, such as 'shop.web:site' or"
            f" 'shop.web:create_site', got {short_repr(where)}"
        )


def site_at(where: str) -> Any:
    """Import and return the site at ``"module:site"``, or of ``"module:create_site"``.

    Raises ConfigError.
    """
    check_place(where)
    module, _, name = where.partition(":")
    try:
        found = attrgetter(name)(import_module(module))
        if not hasattr(found, "app_context"):
            found = found()
    except Exception as error:
        raise ConfigError(
            f"ANTQ_APP {where!r} cannot be imported: {type(error).__name__}: {error}"
        ) from error
    if not hasattr(found, "app_context"):
        if inspect.iscoroutine(found):
            found.close()
        raise ConfigError(f"ANTQ_APP {where!r} is a {type(found).__name__} and no site")
    return found
