"""The supervision trees of a node, with what waits in a ring, and what runs on without an actor."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import msgspec

from antq_actors.app.node_report import TreeReport, report
from antq_actors.app.node_socket import NodeUnreachable, ask
from antq_actors.checks import short_repr, whole
from antq_actors.otp.kernel.errors import CallExit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from antq_actors.app.node_report import Orphan
    from antq_actors.insights.source import Source
    from antq_actors.otp.inspect.recent import TreeEvent
    from antq_actors.otp.inspect.snapshot import ActorView
    from antq_actors.otp.messaging.names import Destination


@dataclass(frozen=True, slots=True)
class Cycle:
    """Actors that wait for each other, each for the next, the last for the first."""

    actors: tuple[str, ...]
    """Their ids."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeView:
    """The trees of a node."""

    node: int
    """0 for a process that runs no queues."""
    trees: tuple[ActorView, ...]
    cycles: tuple[Cycle, ...]
    orphans: tuple[Orphan, ...]
    events: tuple[TreeEvent, ...]
    """What supervisors did in the last ten minutes, the oldest first."""
    jobs: Mapping[str, int]
    """The jobs that worker actors perform, by the ids of the actors."""
    is_volatile: bool = False
    """Whether the jobs end with the process."""
    missing: str | None
    """Why there is no tree; None: there is one."""


def read_tree(
    source: Source, node: int | None = None, further: Sequence[Destination] = ()
) -> TreeView:
    """Read the trees of a node; None: of this process, or of the first node if it runs no queues.

    *further*: roots of other trees of this process. Raises TypeError for what is no number,
    LookupError for a node that there is not.
    """
    if node is not None and whole(node) is None:
        raise TypeError(f"node must be the number of a node or None, got {short_repr(node)}")
    own = source.runtime.node.opened_number or 0
    if node is None and (own or further):
        node = own
    numbers = sorted(each.number for each in source.app.nodes() if each.alive)
    if node is None and numbers:
        node = numbers[0]
    if node in (None, own):
        here = _view(own, [*_living([source.app.root, *further])])
        return replace(here, is_volatile=source.app.is_volatile)
    if node not in numbers:
        raise LookupError(f"there is no living node {node}")
    try:
        answer = ask(source.runtime.path, node, "tree", {})
    except NodeUnreachable as error:
        return _view(node, (), str(error))
    return _view(node, [msgspec.convert(answer, TreeReport)])


def _living(roots: Sequence[Any]) -> Iterator[TreeReport]:
    for root in roots:
        with suppress(CallExit):  # it has ended, and is there no more
            yield report(root)


def _view(node: int, reports: Sequence[TreeReport], missing: str | None = None) -> TreeView:
    trees = tuple(each.tree for each in reports)
    return TreeView(
        node=node,
        trees=trees,
        cycles=tuple(cycles_in(trees)),
        orphans=reports[0].orphans if reports else (),
        events=tuple(event for each in reports for event in each.events),
        jobs={actor: job for each in reports for actor, job in each.jobs.items()},
        missing=missing,
    )


def cycles_in(trees: Sequence[ActorView]) -> Iterator[Cycle]:
    """Yield the rings of actors that wait for each other now."""
    actors = [view for tree in trees for view in tree.walk()]
    ids = {view.name: view.id for view in actors}
    waits = {view.id: ids.get(view.waits_for or "") for view in actors}
    seen: set[str] = set()
    for start in waits:
        path: list[str] = []
        at: str | None = start
        while at is not None and at not in seen and at not in path:
            path.append(at)
            at = waits.get(at)
        if at in path:
            yield Cycle(tuple(path[path.index(at) :]))
        seen.update(path)
