"""``antq why``: what keeps a job, or all jobs of a queue, from running."""

from typing import Annotated, Any, TypeAlias

import msgspec
import typer

from antq_actors.cli import output, render, user_code
from antq_actors.cli.listing import AsJson
from antq_actors.cli.store import StorePath, open_store
from antq_actors.explain import Explanation, Reason

JobId: TypeAlias = Annotated[
    int | None, typer.Argument(metavar="ID", help="The job's id.", show_default=False)
]
Queue: TypeAlias = Annotated[
    str | None, typer.Option(help="The queue's name, for what keeps all of its jobs.")
]


def why(
    id: JobId = None,  # noqa: A002 - what it is
    *,
    path: StorePath,
    queue: Queue = None,
    as_json: AsJson = False,
) -> None:
    """Show why a job does not run, or why a queue does nothing.

    Whether the job's worker can be found is tried in the current directory; nothing is imported.

    \b
    Examples:
      antq why 4711 --path jobs
      antq why --queue mail --path jobs
    """
    if (id is None) == (queue is None):
        raise typer.BadParameter("give the id of a job, or --queue and its name", param_hint="ID")
    user_code.search_current_directory()
    with open_store(path) as app:
        found = app.explain_queue(queue) if queue is not None else app.explain(id or 0)
    if as_json:
        render.write_json(_as_plain(found))
    else:
        output.write(output.printable(found.text))


def _as_plain(explanation: Explanation) -> dict[str, Any]:
    """Return an explanation as a command writes it in JSON: each reason begins with its code."""
    return {
        "reasons": [_reason(reason) for reason in explanation.reasons],
        "text": explanation.text,
    }


def _reason(reason: Reason) -> dict[str, Any]:
    fields = msgspec.structs.asdict(reason)
    return {"code": reason.code, **{name: _named(value) for name, value in fields.items()}}


def _named(value: Any) -> Any:
    """Return named tuples as mappings, so that JSON has the names of their fields."""
    if isinstance(value, tuple):
        if hasattr(value, "_asdict"):
            return value._asdict()
        return [_named(each) for each in value]
    return value
