"""``antq reschedule`` of a job; ``pause`` and ``resume`` of queues.

Each takes several. If one is refused, its error is printed, and the others are changed all the
same.
"""

from collections.abc import Callable, Iterable
from typing import Annotated, TypeAlias, TypeVar

import typer

from antq_actors import AntQ, AntqError, InvalidSchedule, StorageError
from antq_actors.cli import output
from antq_actors.cli.jobs import JobId
from antq_actors.cli.listing import ScheduleAt, ScheduleIn, parse_time
from antq_actors.cli.output import local_time
from antq_actors.cli.store import StorePath, open_store

QueueNames: TypeAlias = Annotated[
    list[str], typer.Argument(metavar="QUEUE", help="The queues' names.")
]

REFUSED = 1
"""The exit code when something was refused."""

T = TypeVar("T")


def reschedule(
    id: JobId,  # noqa: A002 - what it is
    path: StorePath,
    *,
    schedule_in: ScheduleIn = None,
    schedule_at: ScheduleAt = None,
) -> int:
    """Change when a scheduled, retrying or enqueued job is due.

    \b
    Examples:
      antq reschedule 4711 --in 3600 --path jobs
      antq reschedule 4711 --at 2030-05-01T09:00+02:00 --path jobs
    """
    if (schedule_in is None) == (schedule_at is None):
        raise typer.BadParameter("give --in or --at, one of the two", param_hint="--in")
    at = None if schedule_at is None else parse_time(schedule_at, "--at")

    def change(app: AntQ, id_: int) -> str:
        try:
            job = app.reschedule(id_, schedule_at=at, schedule_in=schedule_in)
        except InvalidSchedule as error:
            raise typer.BadParameter(str(error), param_hint="--in") from None
        when = "" if job.scheduled_at is None else f", due at {local_time(job.scheduled_at)}"
        return f"Job {id_} is {job.status}{when}."

    return change_each([id], path, change)


def pause(queues: QueueNames, path: StorePath) -> int:
    """Pause queues in every process on the path; they stay paused after a restart.

    Running jobs go on.

    \b
    Example:
      antq pause mail --path jobs
    """
    return change_each(queues, path, _pause)


def resume(queues: QueueNames, path: StorePath) -> int:
    """Resume paused queues, in every process on the path.

    \b
    Example:
      antq resume mail --path jobs
    """
    return change_each(queues, path, _resume)


def change_each(items: Iterable[T], path: StorePath, change: Callable[[AntQ, T], str]) -> int:
    """Change each job or queue for a command, print what came of it; return the exit code."""
    code = 0
    with open_store(path) as app:
        for item in items:
            try:
                done = change(app, item)
            except StorageError:
                raise  # the other items would get the same error
            except AntqError as error:
                text = " ".join(str(error).split())
                named = text if str(item) in text else f"{item}: {text}"
                output.write_stderr(f"antq: {output.printable(named)}")
                code = REFUSED
            else:
                output.report(output.printable(done))
    return code


def _pause(app: AntQ, name: str) -> str:
    app.queue(name).pause()
    return f"Queue {name!r} is paused."


def _resume(app: AntQ, name: str) -> str:
    app.queue(name).resume()
    return f"Queue {name!r} is resumed."
