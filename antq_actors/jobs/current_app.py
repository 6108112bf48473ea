"""Which applications run in this process, for those who enqueue without naming one.

The application enters itself here when it has started and leaves when it stops. This file knows
nothing else of it, so that a module that defines workers imports no actor and no store.

A job process, which performs jobs for the queue of another process, has the application of that
one: its parent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol, Unpack

from antq_actors.errors import NotStarted

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from antq_actors.jobs.job import Job
    from antq_actors.jobs.options import JobOptions


class Application(Protocol):
    """What a running application does for a worker."""

    @property
    def default_queue(self) -> str:
        """The queue of workers that name none: the first one configured."""

    def enqueue(
        self,
        worker: Any,  # AnyWorker, which is defined above this file
        args: Mapping[str, Any] | None = None,
        /,
        **options: Unpack[JobOptions],
    ) -> Job:
        """Store a job of *worker* and answer it."""


class Parent(Protocol):
    """The application for whose queue this process performs jobs, in another process."""

    @property
    def path(self) -> Path | None:
        """The directory it was described with; None: it is volatile."""

    def call(self, method: str, /, *args: Any, **options: Any) -> Any:
        """Have it do what *method* names. Raises what that raises there."""


# Changed and read by single list operations only: a lock would be carried, perhaps locked, into
# every forked child.
running: Final[list[tuple[str, Application]]] = []
"""The applications that run, with the names of their root supervisors; the last one is current."""
_parents: Final[list[Parent]] = []


def enter(application: Application, name: str = "") -> None:
    """Note that *application* runs; until it leaves, it is the current one.

    *name*: that of its root supervisor.
    """
    running.append((name, application))


def leave(application: Application) -> None:
    """Note that *application* no longer runs; the one started before it becomes current."""
    for position, (_, known) in enumerate(running):
        if known is application:
            del running[position]
            return


def fall_behind(application: Application) -> None:
    """Note that *application* ended by itself: it is current only while no other one runs.

    Who enqueues there hears why it ended, until it is stopped.
    """
    for position, (name, known) in enumerate(running):
        if known is application:
            del running[position]
            running.insert(0, (name, application))
            return


def named(name: str) -> Application | None:
    """Return the application whose root supervisor has this name, if it runs."""
    return next((application for known, application in list(running) if known == name), None)


def enter_job_process(parent: Parent) -> None:
    """Note that this process performs jobs for a queue of *parent*."""
    _parents.append(parent)


def leave_job_process() -> None:
    """Note that this process is an ordinary one: a fork that a job has made."""
    _parents.clear()


def parent() -> Parent | None:
    """Return the application whose job process this is; None in every other process."""
    return next(iter(_parents), None)


def applications() -> list[Application]:
    """Return all applications that run, the one started last first."""
    return [application for _, application in reversed(running)]


def current() -> Application:
    """Return the application started last that still runs. Raises NotStarted without one."""
    for _, application in running[-1:]:
        return application
    raise not_started()


def not_started() -> NotStarted:
    """Return the error of `current` without an application."""
    return NotStarted(
        "no application is running in this process, so there is nowhere to store a job."
        " Start one first, or enqueue on a particular one:\n\n"
        "    app = AntQ(path).start()\n"
        "    app.enqueue(worker, args)"
    )


def latest() -> Application | None:
    """Return the application started last that still runs, or None."""
    return next((application for _, application in running[-1:]), None)
