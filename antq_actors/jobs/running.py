"""Which applications run in this process, for those who enqueue without naming one.

The application enters itself here when it has started and leaves when it stops. This file knows
nothing else of it, so that a module that defines workers imports no actor and no store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from antq_actors.errors import NotStarted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from antq_actors.jobs.job import Job
    from antq_actors.jobs.registry import AnyWorker


class Enqueuer(Protocol):
    """What a running application does for a worker."""

    @property
    def default_queue(self) -> str:
        """The queue of workers that name none: the first one configured."""

    def enqueue(
        self, worker: AnyWorker, args: Mapping[str, Any] | None = None, /, **options: Any
    ) -> Job:
        """Store a job of *worker* and answer it."""


# Changed and read by single list operations only: a lock would be carried, perhaps locked, into
# every forked child.
_running: Final[list[Enqueuer]] = []


def enter(application: Enqueuer) -> None:
    """Note that *application* runs; until it leaves, it is the current one."""
    _running.append(application)


def leave(application: Enqueuer) -> None:
    """Note that *application* no longer runs; the one started before it becomes current."""
    for position, known in enumerate(_running):
        if known is application:
            del _running[position]
            return


def fall_behind(application: Enqueuer) -> None:
    """Note that *application* ended by itself: it is current only while no other one runs.

    Who enqueues there hears why it ended, until it is stopped.
    """
    if any(known is application for known in _running):
        leave(application)
        _running.insert(0, application)


def current() -> Enqueuer:
    """Answer the application started last that still runs. Raises NotStarted without one."""
    application = latest()
    if application is None:
        raise NotStarted(
            "no application is running in this process, so there is nowhere to store a job."
            " Start one first, or enqueue on a particular one:\n\n"
            "    app = AntQ(path).start()\n"
            "    app.enqueue(worker, args)"
        )
    return application


def latest() -> Enqueuer | None:
    """Answer the application started last that still runs, or None."""
    return next(reversed(_running), None)
