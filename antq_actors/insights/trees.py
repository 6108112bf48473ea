"""The supervision trees of a node, with what waits in a ring, and what runs on without an actor."""

from __future__ import annotations

import sys
import traceback
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from antq_actors.otp.inspect.snapshot import snapshot
from antq_actors.otp.kernel.errors import CallExit
from antq_actors.otp.kernel.stopping import orphans

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from antq_actors.insights.source import Source
    from antq_actors.otp.inspect.snapshot import ActorView
    from antq_actors.otp.messaging.names import Destination


@dataclass(frozen=True, slots=True)
class Orphan:
    """A thread that was abandoned while it was busy, and still runs."""

    name: str
    stack: str


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
    missing: str | None
    """Why there is no tree; None: there is one."""


def read_tree(source: Source, further: Sequence[Destination] = ()) -> TreeView:
    """Read the trees of this process: the application's, and *further* ones that live."""
    trees = tuple(_living([source.app.root, *further]))
    return TreeView(
        node=source.runtime.node.opened_number or 0,
        trees=trees,
        cycles=tuple(cycles_in(trees)),
        orphans=tuple(read_orphans()),
        missing=None,
    )


def _living(roots: Sequence[Any]) -> Iterator[ActorView]:
    for root in roots:
        with suppress(CallExit):  # it has ended, and is there no more
            yield snapshot(root)


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


def read_orphans() -> Iterator[Orphan]:
    """Yield the abandoned threads of this process, with what they are at."""
    frames = sys._current_frames()  # noqa: SLF001 - there is no other way to another thread's stack
    for thread in orphans():
        frame = frames.get(thread.ident or 0)
        stack = "" if frame is None else "".join(traceback.format_stack(frame))
        yield Orphan(thread.name, stack)
