"""The supervision trees of a node, with what waits in a ring, and what runs on without an actor."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import msgspec

from antq_actors.app.node_report import TreeReport, report
from antq_actors.app.node_socket import NodeUnreachable, ask
from antq_actors.checks import short_repr, whole
from antq_actors.introspection import NOT_SHOWN
from antq_actors.otp.inspect.snapshot import ActorView
from antq_actors.otp.kernel.errors import CallExit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from antq_actors.app.node_report import Orphan
    from antq_actors.insights.source import Source
    from antq_actors.otp.inspect.recent import Before, TreeEvent
    from antq_actors.otp.inspect.waits import Cycle
    from antq_actors.otp.messaging.names import Destination


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeView:
    """The trees of a node."""

    node: int
    """0 for a process that runs no queues."""
    at: datetime | None = field(default=None, metadata=NOT_SHOWN)
    """When it was looked at, by the node's clock; None: there is no tree."""
    clock: float = field(default=0.0, repr=False, metadata=NOT_SHOWN)
    """The same on the node's monotonic clock."""
    trees: tuple[ActorView, ...]
    cycles: tuple[Cycle, ...]
    orphans: tuple[Orphan, ...]
    events: tuple[TreeEvent, ...]
    """What supervisors did in the last ten minutes, the oldest first."""
    before: tuple[Before, ...] = field(default=(), repr=False, metadata=NOT_SHOWN)
    """What each event changed, as it was before."""
    jobs: Mapping[str, int] = field(metadata=NOT_SHOWN)
    """The jobs that worker actors perform, by the ids of the actors."""
    is_volatile: bool = field(default=False, metadata=NOT_SHOWN)
    """Whether the jobs end with the process."""
    missing: str | None
    """Why there is no tree; None: there is one."""


def read_tree(
    source: Source,
    node: int | None = None,
    further: Sequence[Destination] = (),
    shown: str | None = None,
) -> TreeView:
    """Read the trees of a node; None: of this process if there are *further*, else the first node.

    *further*: roots of other trees of this process; those that have ended are left out. The actor
    with the id *shown* is there also if it is one of many that are folded. Raises TypeError for
    what is no number, LookupError for a node that there is not.
    """
    node = node_of(source, node, further)
    own = source.runtime.node.opened_number or 0
    if node == own:
        here = _view(own, [*_living([source.app.root, *further], shown)])
        return replace(here, is_volatile=source.app.is_volatile)
    try:
        answer = ask(source.runtime.path, node, "tree", {"shown": shown})
    except NodeUnreachable as error:
        return no_tree(node, str(error))
    return _view(node, [msgspec.convert(answer, TreeReport)])


def no_tree(node: int, why: str) -> TreeView:
    """Return the view of a node of which there is no tree."""
    return _view(node, (), why)


def node_of(source: Source, node: int | None, further: Sequence[Destination] = ()) -> int:
    """Return the number of the node that is asked about, 0 for this process if it is none.

    None: this process if there are *further* trees in it, else the first node. Raises TypeError for
    what is no number, LookupError for a node that there is not.
    """
    if node is not None and whole(node) is None:
        raise TypeError(f"node must be the number of a node or None, got {short_repr(node)}")
    own = source.runtime.node.opened_number or 0
    numbers = sorted(each.number for each in source.app.nodes() if each.alive)
    if node is None:
        return own if further or not numbers else numbers[0]
    if node != own and node not in numbers:
        raise LookupError(f"there is no living node {node}")
    return node


def search_below(
    source: Source,
    supervisor: str,
    text: str,
    node: int | None = None,
    further: Sequence[Destination] = (),
) -> tuple[ActorView, ...]:
    """Return children of a supervisor whose names have *text*: of those that are folded, too.

    Raises LookupError for a supervisor or a node that is not there, and NodeUnreachable.
    """
    options = {"actor": supervisor, "text": text}
    number = node_of(source, node, further)
    found: tuple[ActorView, ...] = source.ask_node(
        number, "children", options, tuple[ActorView, ...], further=further
    )
    return found


def _living(roots: Sequence[Any], shown: str | None) -> Iterator[TreeReport]:
    for root in roots:
        with suppress(CallExit):  # it has ended, and is there no more
            yield report(root, shown)


def _view(node: int, reports: Sequence[TreeReport], missing: str | None = None) -> TreeView:
    kept = sorted(
        (pair for each in reports for pair in zip(each.events, each.before, strict=True)),
        key=lambda pair: pair[1].clock,
    )
    return TreeView(
        node=node,
        at=reports[-1].at if reports else None,
        clock=reports[-1].clock if reports else 0.0,
        trees=tuple(each.tree for each in reports),
        cycles=tuple({frozenset(c.actors): c for each in reports for c in each.cycles}.values()),
        orphans=reports[0].orphans if reports else (),
        events=tuple(event for event, _ in kept),
        before=tuple(before for _, before in kept),
        jobs={actor: job for each in reports for actor, job in each.jobs.items()},
        missing=missing,
    )
