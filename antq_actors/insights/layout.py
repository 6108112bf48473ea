"""Where the actors of a tree are drawn: a tidy tree, from left to right.

The depth of an actor is its column. A parent is in the middle of its children, siblings keep their
order, and no two actors of a column are closer than a row. Subtrees are pushed together until they
would touch: for that each has its contour, its first and last row in each column (Reingold and
Tilford, 1981).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from antq_actors.otp.inspect.snapshot import ActorView


@dataclass(frozen=True, slots=True)
class Place:
    """Where an actor is drawn."""

    actor: ActorView
    column: int
    row: float
    parent: Place | None
    """Of the actor that it is drawn below; None: of a root."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """Trees, one below the other."""

    places: tuple[Place, ...]
    """Parents first."""
    columns: int
    rows: float
    """What the last row is, and one: how many fit."""


@dataclass(slots=True)
class _Branch:
    """An actor with what is below it, in rows that count from the actor's own."""

    actor: ActorView
    children: list[_Branch]
    offsets: list[float]
    """The rows of the children."""
    top: list[float]
    """The first row in each column, from the actor's own on."""
    bottom: list[float]


def layout(trees: Sequence[ActorView]) -> Drawing:
    """Return where the actors of *trees* are drawn, the first root in column 0."""
    places: list[Place] = []
    end = 0.0
    for tree in trees:
        branch = _branch(tree)
        row = end - min(branch.top)
        places += _placed(branch, row)
        end = row + max(branch.bottom) + 1
    columns = max((place.column for place in places), default=-1) + 1
    return Drawing(tuple(places), columns, end)


def _branch(root: ActorView) -> _Branch:
    """Return a tree with the rows of all its actors, each counted from its parent's."""
    made: dict[str, _Branch] = {}
    for actor in reversed([*root.walk()]):  # children first
        made[actor.id] = _joined(actor, [made.pop(child.id) for child in actor.children])
    return made[root.id]


def _joined(actor: ActorView, children: list[_Branch]) -> _Branch:
    """Return an actor in the middle of its children, which are as close as they can be."""
    offsets: list[float] = []
    top: list[float] = []
    bottom: list[float] = []
    for child in children:
        offset = max(
            (below - above for below, above in zip(bottom, child.top, strict=False)), default=-1.0
        )
        offsets.append(offset + 1)
        _extend(top, child.top, offset + 1, keep=True)
        _extend(bottom, child.bottom, offset + 1, keep=False)
    middle = (offsets[0] + offsets[-1]) / 2 if offsets else 0.0
    return _Branch(
        actor,
        children,
        [offset - middle for offset in offsets],
        [0.0, *(row - middle for row in top)],
        [0.0, *(row - middle for row in bottom)],
    )


def _extend(contour: list[float], other: list[float], offset: float, *, keep: bool) -> None:
    """Add the contour of a further child: where both have a row, the first one's is kept or not."""
    shared = min(len(contour), len(other))
    if not keep:
        contour[:shared] = [row + offset for row in other[:shared]]
    contour += [row + offset for row in other[shared:]]


def _placed(branch: _Branch, row: float) -> Iterator[Place]:
    waiting: list[tuple[_Branch, int, float, Place | None]] = [(branch, 0, row, None)]
    while waiting:
        each, column, at, parent = waiting.pop()
        place = Place(each.actor, column, at, parent)
        yield place
        waiting += [
            (child, column + 1, at + offset, place)
            for child, offset in reversed([*zip(each.children, each.offsets, strict=True)])
        ]
