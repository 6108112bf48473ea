"""A supervision tree laid out as a picture: where each actor is, and the lines between them. Pure.

Levels are columns, from left to right, and each leaf has a row of its own, so that a page is long
rather than wide; a parent is beside the middle of its children. No two boxes overlap.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from antq_actors.insights.trees import TreeView
    from antq_actors.otp.inspect.snapshot import ActorView

BOX_WIDTH: Final = 150
BOX_HEIGHT: Final = 38
COLUMN: Final = 186
ROW: Final = 46
MARGIN: Final = 6


@dataclass(frozen=True, slots=True)
class Placed:
    """An actor, and where its box is."""

    actor: ActorView
    level: int
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Edge:
    """A line between two boxes."""

    path: str
    kind: str
    """``child``, ``waits`` for a wait of one for another, ``cycle`` for one of a ring."""


@dataclass(frozen=True, slots=True)
class TreeMap:
    """A picture of trees below each other."""

    width: float
    height: float
    boxes: tuple[Placed, ...]
    edges: tuple[Edge, ...]


def tree_map(view: TreeView) -> TreeMap:
    """Return the picture of the trees of a node, with who waits for whom."""
    boxes: list[Placed] = []
    for tree in view.trees:
        boxes += _placed(tree, max((each.y + ROW for each in boxes), default=MARGIN), 0)
    at = {each.actor.id: each for each in boxes}
    edges = [
        Edge(_down(each, at[child.id]), "child") for each in boxes for child in each.actor.children
    ]
    ring = {pair for cycle in view.cycles for pair in _pairs(cycle.actors)}
    waits = {(each.actor.id, each.actor.waits_for) for each in boxes if each.actor.waits_for}
    for waiting, awaited in sorted(waits | ring):
        if waiting in at and awaited in at:
            kind = "cycle" if (waiting, awaited) in ring else "waits"
            edges.append(Edge(_across(at[waiting], at[awaited]), kind))
    return TreeMap(
        width=max((each.x for each in boxes), default=0.0) + COLUMN,
        height=max((each.y for each in boxes), default=0.0) + BOX_HEIGHT + MARGIN,
        boxes=tuple(boxes),
        edges=tuple(edges),
    )


def _pairs(ring: Sequence[str]) -> Iterator[tuple[str, str]]:
    for number, actor in enumerate(ring):
        yield actor, ring[(number + 1) % len(ring)]


def _placed(actor: ActorView, top: float, level: int) -> list[Placed]:
    """Return an actor and those below it, in rows that begin at *top*."""
    below: list[Placed] = []
    middles = []
    begin = top
    for child in actor.children:
        part = _placed(child, begin, level + 1)
        below += part
        middles.append(part[0].y)
        begin = max(each.y for each in part) + ROW
    y = (middles[0] + middles[-1]) / 2 if middles else top
    return [Placed(actor, level, MARGIN + level * COLUMN, y), *below]


def _down(upper: Placed, lower: Placed) -> str:
    x, y = upper.x + BOX_WIDTH, upper.y + BOX_HEIGHT / 2
    to_x, to_y = lower.x, lower.y + BOX_HEIGHT / 2
    return f"M{x:g} {y:g}H{(x + to_x) / 2:g}V{to_y:g}H{to_x:g}"


def _across(waiting: Placed, awaited: Placed) -> str:
    """Return a line that leaves and arrives at the right of the boxes, beside those of children."""
    x, y = waiting.x + BOX_WIDTH, waiting.y + BOX_HEIGHT * 0.7
    to_x, to_y = awaited.x + BOX_WIDTH, awaited.y + BOX_HEIGHT * 0.7
    bend = max(x, to_x) + 30
    return f"M{x:g} {y:g}C{bend:g} {y:g} {bend:g} {to_y:g} {to_x:g} {to_y:g}"
