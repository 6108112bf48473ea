"""Which applications run in this process, for those who enqueue without naming one.

The application enters itself here when it has started and leaves when it stops. This file knows
nothing else of it, so that a module that defines workers imports no actor and no store.

A job process, which performs jobs for the queue of another process, has the application of that
one: its parent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol, Unpack

from antq_actors.errors import NotStarted
from antq_actors.jobs.control import AttemptApplication
from antq_actors.jobs.job import current_application

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from antq_actors.jobs.job import Job
    from antq_actors.jobs.options import JobOptions


class Application(AttemptApplication, Protocol):
    """What a running application does for a worker."""

    @property
    def default_queue(self) -> str:
        """The queue of workers that name none: the first one that the application configures."""

    def enqueue(
        self,
        worker: Any,  # AnyWorker, which is defined above this file
        args: Mapping[str, Any] | None = None,
        /,
        **options: Unpack[JobOptions],
    ) -> Job:
        """Store a job of *worker* in the application's store and return it."""


class ParentApplication(AttemptApplication, Protocol):
    """The application for whose queue this process performs jobs, in another process."""

    middleware: Any
    """What is called around jobs in this process; None: nothing."""

    @property
    def path(self) -> Path | None:
        """The directory that the parent's application was described with; None: it is volatile."""

    def call(self, method: str, /, *args: Any, **options: Any) -> Any:
        """Have the parent process do *method* of its application; raise what that raises."""

    def enqueue_within(
        self,
        middleware: Any,
        worker: Any,
        args: Mapping[str, Any] | None,
        options: Mapping[str, Any],
    ) -> Job:
        """Have the parent process store a job, within the middleware of this process."""


# Changed and read by single list operations only: a lock would be carried, perhaps locked, into
# every forked child.
running: Final[list[tuple[str, Application]]] = []
"""The applications that run, with the names of their root supervisors; the last one is current."""
_parents: Final[list[ParentApplication]] = []


def enter(application: Application, name: str = "") -> None:
    """Make the running *application* the one to which this process's workers enqueue.

    *name*: that of its root supervisor.
    """
    running.append((name, application))


def leave(application: Application) -> None:
    """Remove an *application* that was stopped; workers enqueue to the one started before it."""
    for position, (_, known) in enumerate(running):
        if known is application:
            del running[position]
            return


def fall_behind(application: Application) -> None:
    """Let workers enqueue to an *application* that ended by itself only while no other one runs.

    Enqueueing to it raises why it ended, until it is stopped.
    """
    for position, (name, known) in enumerate(running):
        if known is application:
            del running[position]
            running.insert(0, (name, application))
            return


def named(name: str) -> Application | None:
    """Return the running application whose root supervisor has this name, or None."""
    return next((application for known, application in list(running) if known == name), None)


def enter_job_process(parent: ParentApplication) -> None:
    """Make *parent* the application to which jobs performed in this job process enqueue others."""
    _parents.append(parent)


def leave_job_process() -> None:
    """Note that this OS process performs no jobs of a parent: it is a fork that a job has made."""
    _parents.clear()


def parent() -> ParentApplication | None:
    """Return the application whose job process this OS process is; None in every other one."""
    return next(iter(_parents), None)


def carry_out(
    application: Application, method: str, args: Sequence[Any], options: Mapping[str, Any]
) -> Any:
    """Do a *method* of an application that another process calls; return what it returns.

    ``queue.pause`` and its like are those of the handle that the first argument names. A property
    is read.
    """
    subject: Any = application
    handle, _, verb = method.rpartition(".")
    if handle:
        name, *args = args
        subject = getattr(subject, handle)(name)
    found = getattr(subject, verb)
    return found(*args, **options) if callable(found) else found


def of_queue(root: str) -> Application:
    """Return the application that runs here under the root supervisor named *root*.

    Raises NotStarted.
    """
    application = named(root)
    if application is None:
        raise NotStarted("the application of this job has not started yet, or has stopped")
    return application


def applications() -> list[Application]:
    """Return all applications that run in this process, the one started last first."""
    return [application for _, application in reversed(running)]


def current() -> Application:
    """Return the application that workers enqueue to: the last started one. Raises NotStarted."""
    for _, application in running[-1:]:
        return application
    raise not_started()


current_application.append(current)


def not_started() -> NotStarted:
    """Return the error of `current` in a process without a running application."""
    return NotStarted(
        "no application is running in this process, so there is nowhere to store a job."
        " Start one first, or enqueue on a particular one:\n\n"
        "    app = AntQ(path).start()\n"
        "    app.enqueue(worker, args)"
    )


def latest() -> Application | None:
    """Return the application of this process that was started last and still runs, or None."""
    return next((application for _, application in running[-1:]), None)
