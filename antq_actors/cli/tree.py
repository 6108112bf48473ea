"""``antq tree``: the supervision tree of a node, as text or as JSON."""

from collections.abc import Iterator
from typing import Annotated

import typer

from antq_actors.cli import output, render
from antq_actors.cli.listing import AsJson
from antq_actors.cli.output import one_line
from antq_actors.cli.store import StorePath, open_shown_store
from antq_actors.errors import AntqError
from antq_actors.insights import Insights
from antq_actors.insights.as_json import as_json as api_json
from antq_actors.insights.trees import TreeView, no_tree
from antq_actors.otp.inspect.snapshot import ActorView
from antq_actors.otp.inspect.tree import LONG

NodeNumber = Annotated[
    int | None, typer.Option("--node", "-n", min=1, help="Its number; by default the first node.")
]
NOBODY = "no process runs queues of this store; `antq start MODULE:APP` does"


def tree(path: StorePath, *, node: NodeNumber = None, as_json: AsJson = False) -> None:
    """Show the supervision tree of a node: its actors, their restarts, and what they are at.

    \b
    Example:
      antq tree --path jobs
    """
    with open_shown_store(path) as app:
        if node is None and not any(each.alive for each in app.nodes()):
            found = no_tree(0, NOBODY)
        else:
            try:
                found = Insights(app).tree(node)
            except LookupError as error:
                raise AntqError(str(error)) from None
    if as_json:
        render.write_json(api_json(found))
        return
    for line in _lines(found):
        output.write(line)


def _lines(view: TreeView) -> Iterator[str]:
    if view.missing is not None:
        yield one_line(f"There is no tree: {view.missing}.")
        return
    yield f"Node {view.node}"
    for root in view.trees:
        yield _line(root, view)
        yield from _below(root, view)
    for cycle in view.cycles:
        since = "wait for each other" if cycle.at is None else "would have waited for each other"
        yield one_line(f"cycle: {' → '.join(cycle.names)} {since}")
    for orphan in view.orphans:
        yield one_line(f"orphan: the thread {orphan.name} runs on without its actor")
    for event in view.events:
        also = f", with {len(event.siblings)} siblings" if event.siblings else ""
        outcome = "" if event.outcome is None else f"; its supervisor: {event.outcome}{also}"
        at = output.local_time(event.at)
        yield one_line(f"{at}  {event.actor} {event.kind}: {event.reason}{outcome}")


def _below(actor: ActorView, view: TreeView, before: str = "") -> Iterator[str]:
    count = len(actor.children) + (actor.folded is not None)
    for number, child in enumerate(actor.children, 1):
        corner, rail = ("└── ", "    ") if number == count else ("├── ", "│   ")
        yield before + corner + _line(child, view)
        yield from _below(child, view, before + rail)
    if actor.folded is not None:
        shown = len(actor.children)
        yield f"{before}└── {actor.folded.count:,} children, of which {shown} are shown"


def _line(actor: ActorView, view: TreeView) -> str:
    """Return an actor with what is not as it is of nearly all."""
    facts = [actor.kind, actor.state]
    if actor.id in view.jobs:
        facts.append(f"job {view.jobs[actor.id]}")
    if actor.restarts:
        facts.append(f"restarts {actor.restarts}")
    if actor.mailbox:
        facts.append(f"mailbox {actor.mailbox}")
    if actor.last_exit is not None:
        facts.append(f"last exit {actor.last_exit}")
    if actor.budget is not None and actor.budget.used:
        facts.append(f"{actor.budget.left} of {actor.budget.max} restarts left")
    if actor.handling is not None and actor.handling.seconds >= LONG:
        facts.append(f"in {actor.handling.callback} for {actor.handling.seconds:.1f} s")
    if actor.waits_for is not None:
        facts.append(f"waits for {actor.waits_for}")
    return one_line(f"{actor.name}  [{', '.join(facts)}]")
