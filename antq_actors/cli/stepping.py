"""``antq preview``, ``step`` and ``breakpoint``: a queue that is let on job by job."""

from enum import StrEnum
from typing import Annotated, Any, Final, TypeAlias

import typer

from antq_actors import Breakpoint, QueueHandle, Upcoming
from antq_actors.cli import output, render
from antq_actors.cli.listing import AsJson, hints_printed, parse_args
from antq_actors.cli.output import printable
from antq_actors.cli.render import MAX_ARGS_CHARACTERS, PlainTable, mapping_text
from antq_actors.cli.store import StorePath, open_store

QueueName: TypeAlias = Annotated[str, typer.Argument(metavar="QUEUE", help="The queue's name.")]


class On(StrEnum):
    """When a breakpoint stops its queue."""

    CLAIM = "claim"
    FAILURE = "failure"


_WHEN: Final = {On.CLAIM: "before such a job starts", On.FAILURE: "after one has failed"}


def preview(
    queue: QueueName,
    path: StorePath,
    *,
    n: Annotated[int, typer.Option("-n", min=1, help="The most jobs to show.")] = 10,
    as_json: AsJson = False,
) -> None:
    """Show which jobs of a queue would start next, and what puts each at its place.

    They are those that could start now. What a step has let through is not among them.

    \b
    Example:
      antq preview mail -n 5 --path jobs
    """
    with open_store(path) as app:
        found = app.queue(queue).preview(n)
    if as_json:
        render.write_json(found)
    elif found:
        render.write_table(_upcoming_table(found))
    else:
        output.write_stderr("No job of this queue could start now.")


def step(
    queue: QueueName,
    path: StorePath,
    *,
    n: Annotated[
        int | None, typer.Option("-n", min=1, help="How many jobs; one unless given.")
    ] = None,
    id: Annotated[  # noqa: A002 - what it is
        int | None, typer.Option("--id", help="This job, at whatever place it is.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Let the next jobs of a paused queue start; those behind them wait.

    \b
    Examples:
      antq step mail --path jobs
      antq step mail -n 5 --path jobs
      antq step mail --id 4711 --path jobs
    """
    if n is not None and id is not None:
        raise typer.BadParameter("give -n or --id, one of the two", param_hint="--id")
    with open_store(path) as app:
        try:
            ids = app.queue(queue).step(n or 1, job=id)
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="--id") from None
    if as_json:
        render.write_json({"changed": len(ids), "ids": ids})
    elif ids:
        word = "Job" if len(ids) == 1 else "Jobs"
        output.report(f"{word} {', '.join(map(str, ids))} may start.")
    else:
        output.report("No job of this queue could start now.")


def breakpoint(  # noqa: A001 - what it is
    queue: QueueName,
    path: StorePath,
    *,
    worker: Annotated[
        str | None,
        typer.Option("--worker", help="At jobs of this worker, such as shop.mail:SendReceipt."),
    ] = None,
    arg: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE", help="At jobs with this argument; VALUE is JSON, or else text."
        ),
    ] = None,
    on: Annotated[
        On | None, typer.Option("--on", help="Before a job starts, or after it has failed.")
    ] = None,
    as_list: Annotated[bool, typer.Option("--list", help="Show those that there are.")] = False,
    remove: Annotated[
        int | None, typer.Option("--remove", metavar="N", help="Remove the one with this number.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Pause a queue by itself at a job of a worker or with an argument, on every node.

    Without --worker and --arg it is any job. It is kept until it is removed.

    \b
    Examples:
      antq breakpoint mail --worker shop.mail:SendReceipt --on failure --path jobs
      antq breakpoint mail --arg user=42 --path jobs
      antq breakpoint mail --list --path jobs
      antq breakpoint mail --remove 3 --path jobs
    """
    is_new = not as_list and remove is None
    if as_list and remove is not None:
        raise typer.BadParameter("give --list or --remove, one of the two", param_hint="--list")
    for option, value in {"--worker": worker, "--arg": arg, "--on": on}.items():
        if value and not is_new:
            raise typer.BadParameter("it is for a new breakpoint", param_hint=option)
    with open_store(path) as app:
        handle = app.queue(queue)
        if as_list:
            _show(handle.breakpoints(), as_json=as_json)
        elif remove is not None:
            _remove(handle, remove, as_json=as_json)
        else:
            _add(handle, worker, parse_args(arg or []), on or On.CLAIM, as_json=as_json)
            if worker is not None:
                with hints_printed():  # of a name that nothing knows
                    app.list_jobs(worker=worker, limit=1)


def _add(
    handle: QueueHandle, worker: str | None, args: dict[str, Any], on: On, *, as_json: bool
) -> None:
    number = handle.add_breakpoint(worker=worker, args=args or None, on=on.value)
    if as_json:
        (added,) = (each for each in handle.breakpoints() if each.id == number)
        render.write_json(added)
    else:
        output.report(
            printable(f"Breakpoint {number}: queue {handle.name!r} is paused {_WHEN[on]}.")
        )


def _remove(handle: QueueHandle, number: int, *, as_json: bool) -> None:
    try:
        handle.remove_breakpoint(number)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--remove") from None
    if as_json:
        render.write_json({"removed": number})
    else:
        output.report(f"Breakpoint {number} is removed.")


def _show(found: list[Breakpoint], *, as_json: bool) -> None:
    if as_json:
        render.write_json(found)
    elif found:
        render.write_table(_breakpoint_table(found))
    else:
        output.write_stderr("This queue has no breakpoints.")


def _upcoming_table(found: list[Upcoming]) -> PlainTable:
    table = PlainTable("id", "worker", "rule")
    for each in found:
        table.add(str(each.id), printable(each.worker), each.rule)
    return table


def _breakpoint_table(found: list[Breakpoint]) -> PlainTable:
    table = PlainTable("id", "worker", "arguments", "on", "hits")
    for each in found:
        args = (
            "any" if each.args is None else printable(mapping_text(each.args))[:MAX_ARGS_CHARACTERS]
        )
        worker = "any" if each.worker is None else printable(each.worker)
        table.add(str(each.id), worker, args, each.on, str(each.hits))
    return table
