"""``antq enqueue``: store one job, for a worker in the user's code."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias

import typer

from antq_actors import AntQ, Job, Status
from antq_actors.app import job_process
from antq_actors.checks import short_repr
from antq_actors.cli import output, render, user_code
from antq_actors.cli.listing import (
    AsJson,
    ScheduleAt,
    ScheduleIn,
    parse_args,
    parse_time,
    read_json,
)
from antq_actors.cli.maintenance import EncryptionKeyFile, KeyFile
from antq_actors.cli.output import local_time
from antq_actors.cli.store import StorePath, check_exists, of_site, started
from antq_actors.jobs import current_app, resolver

FORM: Final = "MODULE:WORKER"


Target: TypeAlias = Annotated[
    str, typer.Argument(metavar=FORM, help="A worker class, or a function with @worker.")
]
Args: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KEY=VALUE",
        help="An argument; VALUE is JSON, or else text: n=7 is a number, n='\"7\"' a text.",
    ),
]
ArgsJson: TypeAlias = Annotated[
    str | None,
    typer.Option(metavar="OBJECT", help="All arguments as one JSON object."),
]
Queue: TypeAlias = Annotated[
    str | None, typer.Option(help="The queue; the default is the worker's.")
]
Priority: TypeAlias = Annotated[
    int | None, typer.Option(help="-128 to 127; a larger number is first.")
]
MaxAttempts: TypeAlias = Annotated[int | None, typer.Option(help="Attempts before the job fails.")]
Timeout: TypeAlias = Annotated[float | None, typer.Option(help="Seconds an attempt may take.")]


def enqueue(
    target: Target,
    path: StorePath,
    *,
    arg: Args = None,
    args_json: ArgsJson = None,
    queue: Queue = None,
    schedule_in: ScheduleIn = None,
    schedule_at: ScheduleAt = None,
    priority: Priority = None,
    max_attempts: MaxAttempts = None,
    timeout: Timeout = None,
    key_file: KeyFile = None,
    encryption_key_file: EncryptionKeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Enqueue one job.

    MODULE is searched for in the current directory first. If it has an application on this path,
    that application stores the job, with its keys and its list of queues. It runs no queues. In a
    store whose jobs are encrypted, a job is refused without an encryption key.

    \b
    Examples:
      antq enqueue shop.mail:SendReceipt --path jobs --arg order=4711 --arg email=jane@example.com
      antq enqueue shop.reports:monthly --path jobs --args-json '{"month": 5}' --in 3600
    """
    if schedule_in is not None and schedule_at is not None:
        raise typer.BadParameter("give --in or --at, not both", param_hint="--at")
    args = args_of(arg or [], args_json)
    options = {
        "queue": queue,
        "schedule_in": schedule_in,
        "schedule_at": None if schedule_at is None else parse_time(schedule_at, "--at"),
        "priority": priority,
        "max_attempts": max_attempts,
        "timeout": timeout,
    }
    given = {name: value for name, value in options.items() if value is not None}
    check_exists(path)
    with job_process.enqueue_only():
        worker, module = load_worker(target)
        with application_on(module, path, key_file, encryption_key_file) as app:
            job = _enqueue(app, worker, args, given)
    if as_json:
        render.write_json(job)
    else:
        output.report(f"Job {job.id} is {job.status}{_when(job)} in queue {job.queue_name!r}.")


def args_of(pairs: list[str], args_json: str | None) -> dict[str, Any]:
    """Return the arguments of a job that a command was given; anything else is wrong usage."""
    if args_json is None:
        return parse_args(pairs)
    if pairs:
        raise typer.BadParameter("give --arg or --args-json, not both", param_hint="--args-json")
    try:
        args = read_json(args_json)
    except (ValueError, RecursionError) as error:
        raise typer.BadParameter(f"this is not JSON: {error}", param_hint="--args-json") from None
    if not isinstance(args, dict):
        raise typer.BadParameter(
            f'{short_repr(args)} is not an object; write for example {{"order": 4711}}',
            param_hint="--args-json",
        )
    return args


def load_worker(target: str) -> tuple[resolver.AnyWorker, Any]:
    """Import and return the worker that a command names; anything else is wrong usage."""
    place = user_code.parse_target(target, FORM, "shop.mail:SendReceipt")
    module = user_code.import_module(place.module, FORM)
    with user_code.errors_shown(f"'{target}'"):
        try:
            found = user_code.find_attribute(module, place.name)
        except AttributeError:
            is_worker = resolver.is_worker
            names = [name for name, value in vars(module).items() if is_worker(value)]
            known = f"; its workers are {', '.join(names)}" if names else ""
            raise user_code.wrong_usage(
                f"module '{place.module}' has no '{place.name}'{known}", FORM
            ) from None
    if not resolver.is_worker(found):
        raise user_code.wrong_usage(
            f"'{target}' is {short_repr(found)}; a subclass of Worker is needed, or a function"
            " decorated with @worker",
            FORM,
        )
    return found, module


@contextmanager
def application_on(
    module: Any, path: Path, key_file: Path | None, encryption_key_file: Path | None
) -> Iterator[AntQ]:
    """Start the application for a command on *path*: that of the module, if possible."""
    apps = [of_site(path), *vars(module).values(), *current_app.applications()]
    own = next((app for app in apps if isinstance(app, AntQ) and _is_on(app, path)), None)
    app = own or AntQ(
        path,
        start_queues=False,
        signing_key_file=key_file,
        encryption_key_file=encryption_key_file,
    )
    with started(app) as running:
        yield running


def _is_on(app: AntQ, path: Path) -> bool:
    return not app.is_volatile and os.path.realpath(app.path) == os.path.realpath(path)


def _enqueue(
    app: AntQ,
    worker: resolver.AnyWorker,
    args: Mapping[str, Any],
    options: Mapping[str, Any],
) -> Job:
    try:
        return app.enqueue(worker, args, **options)
    except (TypeError, ValueError) as error:
        raise typer.BadParameter(str(error)) from None


def _when(job: Job) -> str:
    if job.status is not Status.SCHEDULED or job.scheduled_at is None:
        return ""
    return f" for {local_time(job.scheduled_at)}"
