"""``antq limits`` and ``antq limit``: what may start, and changing it at runtime."""

import json
import math
from enum import StrEnum
from typing import Annotated, Any, Final, TypeAlias

import typer

from antq_actors.app.limit_handle import LimitHandle
from antq_actors.cli import output, render
from antq_actors.cli.listing import AsJson
from antq_actors.cli.output import local_time, printable
from antq_actors.cli.render import PlainTable
from antq_actors.cli.store import StorePath, open_store
from antq_actors.flow.limits import LimitInfo

LimitName: TypeAlias = Annotated[str, typer.Argument(metavar="NAME", help="The limit's name.")]


class LimitVerb(StrEnum):
    """What ``antq limit`` does."""

    SET = "set"
    PAUSE = "pause"
    RESUME = "resume"
    RESET = "reset"


class LimitKindOption(StrEnum):
    """Which limit of a name is meant."""

    CONCURRENCY = "concurrency"
    RATE = "rate"


Verb: TypeAlias = Annotated[LimitVerb, typer.Argument(help="What to do.")]

_DONE: Final = {
    LimitVerb.SET: "has new numbers",
    LimitVerb.PAUSE: "is paused",
    LimitVerb.RESUME: "is resumed",
    LimitVerb.RESET: "has the numbers of the code",
}


def limits(path: StorePath, *, as_json: AsJson = False) -> None:
    """Show the limits of a store: their numbers in force, and what waits for them.

    \b
    Example:
      antq limits --path jobs
    """
    with open_store(path) as app:
        found = app.limits()
    if as_json:
        render.write_json(found)
    else:
        render.write_table(_table(found) if found else "No limit is known to this store.")


def limit(
    name: LimitName,
    verb: Verb,
    *,
    path: StorePath,
    number: Annotated[int | None, typer.Option("--limit", help="The new number.")] = None,
    per: Annotated[float | None, typer.Option("--per", help="The new span, in seconds.")] = None,
    burst: Annotated[int | None, typer.Option("--burst", help="The new burst.")] = None,
    kind: Annotated[
        LimitKindOption | None,
        typer.Option("--kind", help="Which one, if the name has a concurrency and a rate."),
    ] = None,
    seconds: Annotated[
        float | None, typer.Option("--seconds", help="How long to pause; without it until resume.")
    ] = None,
    key: Annotated[
        str | None, typer.Option("--key", help="For this key alone: JSON, or else text.")
    ] = None,
) -> None:
    """Change a limit on every node: other numbers, a pause, or back to what the code says.

    What is changed is kept over restarts. Without --key it is for all keys; what was set for a key
    stays. Several arguments that are one key are a JSON list.

    \b
    Examples:
      antq limit stripe set --limit 20 --per 60 --path jobs
      antq limit stripe pause --seconds 300 --key acme --path jobs
      antq limit stripe reset --path jobs
    """
    numbers = {"limit": number, "per": per, "burst": burst, "kind": kind and kind.value}
    _refuse_stray(verb, numbers, seconds)
    with open_store(path) as app:
        handle = app.limit(name)
        try:
            _do(handle, verb, None if key is None else _key(key), numbers, seconds)
        except (TypeError, ValueError) as error:
            raise typer.BadParameter(str(error)) from None
    at = "" if key is None else f" at key {key}"
    output.report(printable(f"Limit {name!r}{at} {_DONE[verb]}."))


def _refuse_stray(verb: LimitVerb, numbers: dict[str, Any], seconds: float | None) -> None:
    """Refuse options of ``antq limit`` that the verb does not have, as wrong usage."""
    if verb is not LimitVerb.SET:
        for option, value in numbers.items():
            if value is not None:
                raise typer.BadParameter(f"it is for set, not for {verb}", param_hint=f"--{option}")
    if verb is not LimitVerb.PAUSE and seconds is not None:
        raise typer.BadParameter(f"it is for pause, not for {verb}", param_hint="--seconds")


def _do(
    handle: LimitHandle,
    verb: LimitVerb,
    key: Any,
    numbers: dict[str, Any],
    seconds: float | None,
) -> None:
    match verb:
        case LimitVerb.SET:
            handle.set(**numbers, key=key)
        case LimitVerb.PAUSE:
            handle.pause(key, seconds)
        case LimitVerb.RESUME:
            handle.resume(key)
        case LimitVerb.RESET:
            handle.reset(key)


def _key(text: str) -> Any:
    """Return the key of ``--key``: what it is as JSON, a list as a tuple, or else the text.

    >>> _key("5"), _key("acme"), _key('["acme", 5]')
    (5, 'acme', ('acme', 5))
    """
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except ValueError:
        return text
    if value is None:
        raise typer.BadParameter("a key that is null cannot be named", param_hint="--key")
    return tuple(value) if isinstance(value, list) else value


def _refuse_constant(text: str) -> float:
    raise ValueError(text)  # NaN and Infinity are no JSON


def _table(found: list[LimitInfo]) -> PlainTable:
    table = PlainTable("name", "kind", "limit", "burst", "keys", "running", "waiting", "opens at")
    for info in found:
        table.add(
            printable(info.name),
            info.kind,
            str(info.limit) if info.per is None else f"{info.limit} in {_seconds(info.per)} s",
            "" if info.burst is None else str(info.burst),
            str(info.keys),
            str(info.running),
            str(info.waiting),
            "" if info.opens_at is None else local_time(info.opens_at),
        )
    return table


def _seconds(seconds: float) -> str:
    return str(int(seconds)) if math.floor(seconds) == seconds else repr(seconds)
