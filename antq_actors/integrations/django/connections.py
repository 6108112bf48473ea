"""The middleware of Django around every job: connections that are no good any more are closed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import django
from asgiref.sync import sync_to_async
from django import db
from django.apps import apps

from antq_actors.jobs.middleware import Middleware

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from antq_actors.jobs.job import Job

T = TypeVar("T")


class Connections(Middleware):
    """Closes old connections to databases before and after each job, as Django does for requests.

    A process that performs jobs sets Django up before that, by ``DJANGO_SETTINGS_MODULE``.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        return (_in_another_process, ())

    def setup(self) -> None:
        """Set Django up, unless it is."""
        set_up_django()

    def around_job(self, job: Job, call: Callable[[], T]) -> T:  # noqa: ARG002 - any job
        """Perform a job between two looks at the connections of this thread."""
        db.close_old_connections()
        try:
            return call()
        finally:
            db.close_old_connections()

    async def around_job_async(self, job: Job, call: Callable[[], Awaitable[T]]) -> T:  # noqa: ARG002 - any job
        """Do the same for a coroutine, whose queries run in the thread of ``sync_to_async``."""
        await sync_to_async(db.close_old_connections)()
        try:
            return await call()
        finally:
            await sync_to_async(db.close_old_connections)()


def set_up_django() -> None:
    """Call ``django.setup``, unless it was called in this process."""
    if not apps.ready:
        django.setup()


def _in_another_process() -> Connections:
    """Return the middleware where jobs are performed, with Django set up for their workers."""
    set_up_django()
    return Connections()
