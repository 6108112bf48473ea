"""``antq list``, and what it shares with other commands: filters, hints about unknown names."""

import inspect
import json
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias, TypeVar

import msgspec
import typer

from antq_actors import AntQ, Job, Status
from antq_actors.cli import output, render
from antq_actors.cli.store import StorePath, open_store
from antq_actors.insights import Filter, FilterError, Insights
from antq_actors.insights.as_json import as_json as shown_as_json
from antq_actors.insights.redaction import Redactor
from antq_actors.insights.values import JobPage

Statuses: TypeAlias = Annotated[
    list[Status] | None,
    typer.Option("--status", metavar="STATUS", help=f"{', '.join(Status)}; may be repeated."),
]
Queue: TypeAlias = Annotated[str | None, typer.Option("--queue", help="Only this queue.")]
WorkerName: TypeAlias = Annotated[
    str | None,
    typer.Option("--worker", help="Only this worker, such as shop.mail:SendReceipt."),
]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


Args: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KEY=VALUE", help="Only jobs with this argument; VALUE is JSON, or else text."
    ),
]
FilterText: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--filter",
        metavar="TEXT",
        help="Only jobs that this lets pass, such as 'status:failed -queue:low inserted:<1h'.",
    ),
]
Error: TypeAlias = Annotated[
    str | None,
    typer.Option(metavar="TEXT", help="Only jobs whose newest error contains this, case counts."),
]
FailedAfter: TypeAlias = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="Only jobs whose newest error is later than this."),
]
FailedBefore: TypeAlias = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="Only jobs whose newest error is earlier than this."),
]
InsertedAfter: TypeAlias = Annotated[
    str | None, typer.Option(metavar="TIME", help="Only jobs enqueued later than this.")
]
InsertedBefore: TypeAlias = Annotated[
    str | None, typer.Option(metavar="TIME", help="Only jobs enqueued earlier than this.")
]
ScheduleIn: TypeAlias = Annotated[
    float | None,
    typer.Option("--in", metavar="SECONDS", help="Earliest start, in seconds from now."),
]
ScheduleAt: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--at",
        metavar="TIME",
        help="Earliest start, such as 2030-05-01T09:00 (local) or 2030-05-01T09:00+02:00.",
    ),
]
Newest: TypeAlias = Annotated[
    bool | None,
    typer.Option(
        "--newest/--oldest",
        "--newest-first/--oldest-first",
        help="Which jobs come first. On a terminal the newest, unless --after is given; else"
        " the oldest.",
        show_default=False,
    ),
]
After: TypeAlias = Annotated[
    int | None, typer.Option(metavar="ID", help="Only ids above this one.")
]
Before: TypeAlias = Annotated[
    int | None, typer.Option(metavar="ID", help="Only ids below this one.")
]
Limit: TypeAlias = Annotated[int, typer.Option(min=0, help="The most jobs to list.")]

Filters: TypeAlias = dict[str, Any]
"""Filters as methods of an application take them, by the names of their parameters."""

T = TypeVar("T")


def job_filters(
    *,
    status: Statuses = None,
    queue: Queue = None,
    worker: WorkerName = None,
    arg: Args = None,
    error: Error = None,
    failed_after: FailedAfter = None,
    failed_before: FailedBefore = None,
    inserted_after: InsertedAfter = None,
    inserted_before: InsertedBefore = None,
) -> Filters:
    """Return the filters of a command as methods of an application take them; None: not given."""
    instants = {
        "failed_after": failed_after,
        "failed_before": failed_before,
        "inserted_after": inserted_after,
        "inserted_before": inserted_before,
    }
    return {
        "status": status or None,
        "queue": queue,
        "worker": worker,
        "args": parse_args(arg or []) or None,
        "error": error,
        **{
            name: None if text is None else parse_time(text, f"--{name.replace('_', '-')}")
            for name, text in instants.items()
        },
    }


def with_filters(command: Callable[..., T]) -> Callable[..., T]:
    """Return a command that has the options of :func:`job_filters`, and gets what it returns.

    The command takes it as *filters*; in its help the options are in that place.
    """
    options = inspect.signature(job_filters).parameters
    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(command).parameters.items():
        parameters.extend(options.values() if name == "filters" else [parameter])

    @wraps(command)
    def with_options(*args: Any, **given: Any) -> T:
        filters = job_filters(**{name: given.pop(name, None) for name in options})
        return command(*args, filters=filters, **given)

    with_options.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return with_options


@with_filters
def list_jobs(
    *,
    path: StorePath,
    filter: FilterText = None,  # noqa: A002 - the option's name
    filters: Filters,
    newest: Newest = None,
    after: After = None,
    before: Before = None,
    limit: Limit = 20,
    as_json: AsJson = False,
) -> None:
    """List jobs by id. A job must match all filters.

    A TIME is ISO 8601, such as 2030-05-01T09:00 (local) or 2030-05-01T09:00+02:00. --filter takes
    the place of the other filters; with it, --json prints a page as the JSON API answers it.

    \b
    Examples:
      antq list --path jobs --filter 'status:failed error:Timeout ended:<1h'
      antq list --path jobs --status failed --status retrying
      antq list --path jobs --newest --before 4711
      antq list --path jobs --arg email=jane.smith734@yahoo.com --json
      antq list --path jobs --after 4711 --limit 100
      antq list --path jobs --error timeout --failed-after 2030-05-01T09:00
    """
    newest_first = after is None and _is_a_terminal() if newest is None else newest
    if filter is not None:
        refuse_both(filters)
        _list_filtered(
            path, filter, newest=newest_first, ids=(after, before), limit=limit, as_json=as_json
        )
        return
    with open_store(path) as app, hints_printed():
        jobs = app.list_jobs(
            **filters,
            after=after,
            before=before,
            limit=limit,
            newest_first=newest_first,
        )
    jobs = [_without_secrets(job) for job in jobs]
    if as_json:
        render.write_json(jobs)
    elif jobs:
        render.write_table(render.job_table(jobs))
        if len(jobs) == limit:
            more = _next_page(jobs[-1], newest=newest, newest_first=newest_first)
            output.write_stderr(f"There may be more: {more}")
    else:
        output.write_stderr("No jobs match.")


_redactor: Final = Redactor()
SEARCH_SECONDS: Final = 5.0
"""Seconds for which a command looks for what a filter finds."""


def _without_secrets(job: Job) -> Job:
    """Return a job without the arguments and *meta* that their keys say are secret."""
    args, meta = _redactor.mapping("args", job.args), _redactor.mapping("meta", job.meta)
    if args is job.args and meta is job.meta:
        return job
    return msgspec.structs.replace(job, args=args, meta=meta)


_OPTIONS: Final = {"args": "--arg", "ids": "ids"}
"""What options are called, where that is not their name."""


def refuse_both(filters: Mapping[str, Any]) -> None:
    """Refuse options that --filter takes the place of as wrong usage."""
    for name, value in filters.items():
        if value is not None and value is not False:
            option = _OPTIONS.get(name) or f"--{name.replace('_', '-')}"
            raise typer.BadParameter(
                f"give either --filter or {option}; a filter is written as 'status:failed"
                " queue:mail arg.user.id:42 inserted:<1h'",
                param_hint="--filter",
            )


def parse_filter(text: str) -> Filter:
    """Return the filter that a command is given; another text is wrong usage."""
    try:
        return Filter.parse(text)
    except FilterError as error:
        raise typer.BadParameter(str(error), param_hint="--filter") from None


def _list_filtered(
    path: Path,
    text: str,
    *,
    newest: bool,
    ids: tuple[int | None, int | None],
    limit: int,
    as_json: bool,
) -> None:
    """List the jobs that a filter finds; *ids*: those above the first and below the second."""
    parse_filter(text)
    for sign, id_ in zip("><", ids, strict=True):
        text += "" if id_ is None else f" id:{sign}{max(id_, 0)}"
    if limit == 0:
        raise typer.BadParameter("with --filter it is at least 1", param_hint="--limit")
    with open_store(path) as app:
        page = _page_of(app, parse_filter(text), newest=newest, limit=limit)
    if as_json:
        render.write_json(shown_as_json(page))
        return
    if page.items:
        render.write_table(render.job_table(page.items))
    else:
        output.write_stderr("No jobs match." if page.complete else "No jobs match so far.")
    _write_rest(page, newest=newest)


def _page_of(app: AntQ, filter_: Filter, *, newest: bool, limit: int) -> JobPage:
    return Insights(app).jobs(
        filter_,
        limit=limit,
        budget=SEARCH_SECONDS,
        order="newest" if newest else "oldest",
    )


def _write_rest(page: JobPage, *, newest: bool) -> None:
    """Write to standard error how many jobs there are, and how to go on."""
    if page.next is None:
        return
    found = f"{page.count:,}" if page.exact else f"at least {page.count:,}"
    searched = "" if page.exact else f" among {page.searched:,} that were looked at"
    following = f"--newest --before {page.next}" if newest else f"--oldest --after {page.next}"
    output.write_stderr(f"{found} match{searched}. To go on: {following}")


@contextmanager
def hints_printed() -> Iterator[None]:
    """Write the warnings that a query raises about unknown names to standard error."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        yield
    for warning in caught:
        output.write_stderr(f"antq: {output.printable(str(warning.message))}")


def _is_a_terminal() -> bool:
    return sys.stdout is not None and not sys.stdout.closed and sys.stdout.isatty()


def _next_page(last: Job, *, newest: bool | None, newest_first: bool) -> str:
    """Return the options of ``antq list`` for the page after the job *last*."""
    if not newest_first:
        return f"--after {last.id}"
    return f"{'--newest ' if newest else ''}--before {last.id}"


def parse_time(text: str, option: str) -> datetime:
    """Return the time that an *option* gives; without an offset it is local time."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            f"'{text}' is not a time; write for example 2030-05-01T09:00 or 2030-05-01T09:00+02:00",
            param_hint=option,
        ) from None


def parse_args(pairs: list[str]) -> dict[str, Any]:
    """Return a job's arguments from several KEY=VALUE; VALUE is JSON, or else text.

    A pair of another form is wrong usage, and so is a key that is given twice.
    """
    args: dict[str, Any] = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator or not key:
            raise typer.BadParameter(f"'{pair}' is not KEY=VALUE", param_hint="--arg")
        if key in args:
            raise typer.BadParameter(f"'{key}' is given twice", param_hint="--arg")
        try:
            args[key] = read_json(value)
        except RecursionError:
            raise typer.BadParameter(f"'{key}' is nested too deeply", param_hint="--arg") from None
        except ValueError:
            args[key] = value
    return args


def read_json(text: str) -> Any:
    """Return the value of JSON text without NaN, Infinity. Raises ValueError and RecursionError."""
    return json.loads(text, parse_constant=_refuse_constant)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not valid JSON")
