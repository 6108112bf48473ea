"""What a workflow is made of, before it is stored: names, and what each waits for.

A vertex is a job, or a group of jobs that is waited for as one. It may wait for what is added
later, by its name; so whether the names are there and the order makes sense is known at the end.

This file decides and never acts: it knows no job, no store and no clock.
"""

from __future__ import annotations

import graphlib
import heapq
from typing import TYPE_CHECKING, NamedTuple

from antq_actors.checks import list_known
from antq_actors.errors import CycleError, UnknownNode, WorkflowError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class NameTakenError(WorkflowError, ValueError):
    """A node was given a name that another one of its workflow has."""


class Vertex(NamedTuple):
    """A job or a group of a workflow that is being described."""

    name: str
    after: Mapping[int | str, str]
    """What it waits for, by position or by name, and the condition of each."""


class Graph:
    """The vertices of a workflow in the order in which they were added.

    >>> graph = Graph()
    >>> graph.add(None, "Fetch", {})
    0
    >>> graph.add(None, "Fetch", {0: "success"})
    1
    >>> [vertex.name for vertex in graph.vertices]
    ['Fetch', 'Fetch-2']
    """

    def __init__(self) -> None:
        self.vertices: list[Vertex] = []
        self.positions: dict[str, int] = {}
        """Those of vertices, by name."""
        self._numbers: dict[str, int] = {}
        """The number that made each default name unique last."""

    def add(self, name: str | None, default: str, after: Mapping[int | str, str]) -> int:
        """Add a vertex of a name, or of a *default* one made unique; return its position.

        Raises WorkflowError for a name that is there.
        """
        if name is None:
            name = self.free_name(default)
        elif name in self.positions:
            raise NameTakenError(
                f"the workflow has a node {name!r} already; give each a name of its own"
            )
        position = len(self.vertices)
        self.vertices.append(Vertex(name, after))
        self.positions[name] = position
        return position

    def free_name(self, default: str) -> str:
        """Return the name of a vertex that has none: *default*, with a number if that is taken."""
        name = default
        while name in self.positions:
            self._numbers[default] = number = self._numbers.get(default, 1) + 1
            name = f"{default}-{number}"
        return name

    def upstream(self, position: int) -> dict[int, str]:
        """Return the positions of what a vertex waits for, and the conditions.

        Raises UnknownNode for a name that no vertex has.
        """
        vertex = self.vertices[position]
        found: dict[int, str] = {}
        for which, condition in vertex.after.items():
            if isinstance(which, str):
                if which not in self.positions:
                    raise UnknownNode(
                        f"node {vertex.name!r} waits for {which!r}, and the workflow has no node of"
                        f" that name{list_known(which, self.positions)}"
                    )
                found.setdefault(self.positions[which], condition)
            else:
                found[which] = condition
        return found

    def in_order(self) -> list[int]:
        """Return the positions of all vertices, each behind what it waits for, else as added.

        Raises UnknownNode, and CycleError for vertices that wait for each other.
        """
        sorter: graphlib.TopologicalSorter[int] = graphlib.TopologicalSorter(
            {position: self.upstream(position) for position in range(len(self.vertices))}
        )
        try:
            sorter.prepare()
        except graphlib.CycleError as error:
            raise _cycle(self.vertices[position].name for position in error.args[1][1:]) from None
        ordered: list[int] = []
        ready: list[int] = []
        while sorter.is_active():
            for position in sorter.get_ready():
                heapq.heappush(ready, position)
            position = heapq.heappop(ready)
            ordered.append(position)
            sorter.done(position)
        return ordered

    def with_dependents(self) -> frozenset[int]:
        """Return the positions of the vertices for which another one waits. Raises UnknownNode."""
        positions = range(len(self.vertices))
        return frozenset(which for position in positions for which in self.upstream(position))


def _cycle(names: Iterable[str]) -> CycleError:
    ring = tuple(names)
    text = " -> ".join(repr(name) for name in (*ring, ring[0]))
    return CycleError(f"these nodes wait for each other, so none could begin: {text}", ring)
