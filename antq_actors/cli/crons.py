"""``antq crons`` and ``cron``: periodic entries, looked at and changed."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias

import typer

from antq_actors import AntQ, Cron, CronError, CronHandle, CronInfo, Every, JobNotFound
from antq_actors.app import job_process
from antq_actors.cli import output, render
from antq_actors.cli.enqueue import Args, ArgsJson, application_on, args_of, load_worker
from antq_actors.cli.listing import AsJson, parse_time
from antq_actors.cli.maintenance import EncryptionKeyFile, KeyFile
from antq_actors.cli.output import local_time, printable
from antq_actors.cli.render import PlainTable
from antq_actors.cli.store import StorePath, check_exists, open_store

Name: TypeAlias = Annotated[str, typer.Argument(metavar="NAME", help="The entry's name.")]
Action: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="ACTION", help="pause, resume, run, next, backfill, set or delete; default: show."
    ),
]
Given: TypeAlias = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[N | START END | EXPRESSION]",
        help="Of next: how many. Of backfill: two times. Of set: a cron expression.",
    ),
]
Count: TypeAlias = Annotated[int, typer.Option("-n", help="Of next: how many instants.")]
WorkerTarget: TypeAlias = Annotated[
    str | None, typer.Option("--worker", metavar="MODULE:WORKER", help="Of set: the worker.")
]
Period: TypeAlias = Annotated[
    float | None, typer.Option("--every", metavar="SECONDS", help="Of set: a period.")
]
Zone: TypeAlias = Annotated[str, typer.Option("--tz", help="Of set: the time zone.")]

Options: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--option",
        metavar="NAME=VALUE",
        help="Of set: another argument of Cron, such as overlap=cancel or max_attempts=3.",
    ),
]


def crons(path: StorePath, *, as_json: AsJson = False) -> None:
    """List periodic entries: when they fire next, and what has come of them.

    \b
    Example:
      antq crons --path jobs
    """
    with open_store(path) as app:
        found = app.crons()
        jobs = [] if as_json else [_last_job(app, info) for info in found]
    if as_json:
        render.write_json([asdict(info) for info in found])
    elif found:
        render.write_table(_table(found, jobs))


def cron(
    name: Name,
    path: StorePath,
    *,
    action: Action = "show",
    given: Given = None,
    count: Count = 5,
    worker: WorkerTarget = None,
    every: Period = None,
    tz: Zone = "UTC",
    option: Options = None,
    arg: Args = None,
    args_json: ArgsJson = None,
    key_file: KeyFile = None,
    encryption_key_file: EncryptionKeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Show one periodic entry, or change it.

    \b
    Examples:
      antq cron nightly --path jobs
      antq cron nightly pause --path jobs
      antq cron nightly next -n 3 --path jobs
      antq cron nightly backfill 2030-05-01 2030-05-08 --path jobs
      antq cron nightly set "0 3 * * *" --worker shop.reports:Nightly --tz Europe/Berlin --path jobs
    """
    values: list[Any] = list(given or ())
    if action == "set":
        options = {"tz": tz, **_options(option), "args": args_of(arg or [], args_json)}
        key_files = key_file, encryption_key_file
        _set(name, path, key_files, worker=worker, when=(values, every), options=options)
        output.report(f"Periodic entry {printable(repr(name))} is set.")
        return
    if action not in _ACTIONS:
        raise typer.BadParameter(
            f"'{action}' is no action; there are {', '.join([*_ACTIONS, 'set'])}",
            param_hint="ACTION",
        )
    if action == "backfill":
        if len(values) != len(("start", "end")):
            raise typer.BadParameter("give two times", param_hint="START END")
        values = [parse_time(each, "START END") for each in values]
    elif action == "next":
        values = [_count(values, count)]
    elif values:
        raise typer.BadParameter(f"{action} takes nothing more", param_hint="ACTION")
    with open_store(path) as app:
        found = _checked(_ACTIONS[action], app.cron(name), *values)
        job = _last_job(app, found) if action == "show" else ""
    _write(name, action, found, job, as_json=as_json)


_ACTIONS: Final[Mapping[str, Callable[..., Any]]] = {
    "show": CronHandle.info,
    "pause": CronHandle.pause,
    "resume": CronHandle.resume,
    "run": CronHandle.run_now,
    "next": CronHandle.next,
    "backfill": CronHandle.backfill,
    "delete": CronHandle.delete,
}
_DONE: Final = {"pause": "paused", "resume": "resumed", "delete": "deleted"}


def _count(values: list[Any], default: int) -> int:
    """Return how many instants ``antq cron NAME next`` shows; a number may follow it."""
    if not values:
        return default
    try:
        (number,) = map(int, values)
    except ValueError:
        raise typer.BadParameter(
            f"next takes how many, not {' '.join(values)!r}", param_hint="ACTION"
        ) from None
    return number


def _options(given: list[str] | None) -> dict[str, Any]:
    """Return the arguments of an entry that are given by name."""
    options = args_of(given or [], None)
    for name in ("worker", "name", "args"):
        if name in options:
            raise typer.BadParameter(f"{name} has a place of its own", param_hint="--option")
    if isinstance(anchor := options.get("anchor"), str):
        options["anchor"] = parse_time(anchor, "--option")
    return options


def _checked(function: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """Call *function*; what it refuses as a value that makes no sense is wrong usage."""
    try:
        return function(*args, **options)
    except CronError:
        raise
    except (TypeError, ValueError) as error:
        raise typer.BadParameter(str(error)) from None


def _set(
    name: str,
    path: Path,
    key_files: tuple[Path | None, Path | None],
    *,
    worker: str | None,
    when: tuple[list[Any], float | None],
    options: Mapping[str, Any],
) -> None:
    """Make or replace an entry, in the application of its worker's module if there is one."""
    values, every = when
    if (len(values) == 1) == (every is not None):
        raise typer.BadParameter("give a cron expression or --every", param_hint="EXPRESSION")
    if worker is None:
        raise CronError(f"the periodic entry {name!r} needs a worker: write --worker MODULE:WORKER")
    check_exists(path)
    with job_process.enqueue_only():
        found, module = load_worker(worker)
        kind, first = (Every, every) if every is not None else (Cron, values[0])
        entry = _checked(kind, first, worker=found, **options)
        with application_on(module, path, *key_files) as app:
            _checked(app.cron(name).set, entry)


def _last_job(app: AntQ, info: CronInfo) -> str:
    """Return the last job of an entry with its status, for people."""
    if info.last_job is None:
        return "-"
    try:
        return f"{info.last_job} {app.get_job(info.last_job).status}"
    except JobNotFound:
        return f"{info.last_job} deleted"


def _write(name: str, action: str, found: Any, job: str, *, as_json: bool) -> None:
    """Write what came of an action."""
    if action in _DONE:
        output.report(f"Periodic entry {printable(repr(name))} is {_DONE[action]}.")
    elif as_json:
        render.write_json(asdict(found) if action == "show" else found)
    elif action == "show":
        for key, value in asdict(found).items():
            shown = job if key == "last_job" else _cell(value)
            output.write(printable(f"{key:<14}{shown}"))
    elif action == "next":
        for at in found:
            output.write(at.isoformat(" "))
    elif action == "backfill":
        output.report(f"{len(found)} jobs are enqueued.")
    else:
        output.report(
            f"Job {found.id} is {found.status} in queue {printable(repr(found.queue_name))}."
        )


def _table(found: list[CronInfo], jobs: list[str]) -> PlainTable:
    table = PlainTable(
        "name", "when", "zone", "next", "last", "job", "missed", "skipped", "declared by", ""
    )
    for info, job in zip(found, jobs, strict=True):
        state = info.error or ("paused" if info.paused else "")
        cells = (info.name, info.expression, info.tz, _cell(info.next_at), _cell(info.last_at))
        rest = (job, str(info.missed), str(info.skipped), _cell(info.declared_by), state)
        table.add(*map(printable, (*cells, *rest)))
    return table


def _cell(value: Any) -> str:
    if value is None or value == ():
        return "-"
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    if hasattr(value, "isoformat"):
        return local_time(value)
    return str(value)
