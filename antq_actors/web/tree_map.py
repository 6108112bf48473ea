"""A supervision tree as a picture: the boxes of its actors, and the lines between them. Pure.

Where the actors are is decided by `insights.layout`; here are sizes, and who waits for whom.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from antq_actors.insights.layout import layout

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from antq_actors.insights.layout import Place
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
    """``child``, ``waits`` for a wait of one for another, ``cycle`` for one of a cycle."""


@dataclass(frozen=True, slots=True)
class TreeMap:
    """A picture of trees below each other."""

    width: float
    height: float
    boxes: tuple[Placed, ...]
    edges: tuple[Edge, ...]


def tree_map(view: TreeView) -> TreeMap:
    """Return the picture of the trees of a node, with who waits for whom."""
    drawing = layout(view.trees)
    boxes = {place.actor.id: _box(place) for place in drawing.places}
    edges = [
        Edge(_down(boxes[place.parent.actor.id], boxes[place.actor.id]), "child")
        for place in drawing.places
        if place.parent is not None
    ]
    cycles = {pair for cycle in view.cycles for pair in _pairs(cycle.actors)}
    waits = {
        (each.actor.id, each.actor.waits_for) for each in boxes.values() if each.actor.waits_for
    }
    for waiting, awaited in sorted(waits | cycles):
        if waiting in boxes and awaited in boxes:
            kind = "cycle" if (waiting, awaited) in cycles else "waits"
            edges.append(Edge(_across(boxes[waiting], boxes[awaited]), kind))
    return TreeMap(
        width=MARGIN + drawing.columns * COLUMN,
        height=2 * MARGIN + drawing.rows * ROW,
        boxes=tuple(boxes.values()),
        edges=tuple(edges),
    )


def _pairs(cycle: Sequence[str]) -> Iterator[tuple[str, str]]:
    for number, actor in enumerate(cycle):
        yield actor, cycle[(number + 1) % len(cycle)]


def _box(place: Place) -> Placed:
    return Placed(
        place.actor, place.column, MARGIN + place.column * COLUMN, MARGIN + place.row * ROW
    )


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
