"""Rings of actors that wait for each other: those that wait now, and those that a call closed.

A call that would close a ring fails with CallCycle, so what waits now waits by pykka's ``ask``,
which nothing breaks. Both are shown with where each thread is.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from traceback import StackSummary, walk_stack
from typing import TYPE_CHECKING, Final, NamedTuple

from antq_actors.otp.inspect.snapshot import place_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from antq_actors.otp.kernel.cell import ActorCell

KEPT_SECONDS: Final = 600.0
"""For which a ring is kept that a call closed."""
MOST_KEPT: Final = 100
MOST_STACKS: Final = 10
"""Actors of a ring whose stacks are kept."""
MOST_FRAMES: Final = 40
"""The innermost frames of a stack."""


@dataclass(frozen=True, slots=True)
class Cycle:
    """Actors that wait for each other, each for the next, the last for the first."""

    actors: tuple[str, ...]
    """Their ids."""
    names: tuple[str, ...] = ()
    """How they are called, in the same order."""
    stacks: tuple[str, ...] = ()
    """Where the thread of each is, the innermost frame last; of a long ring those of the first."""
    at: datetime | None = None
    """When a call that would have closed the ring failed with CallCycle; None: it waits now."""


class _Broken(NamedTuple):
    """A ring that a call would have closed."""

    at: datetime
    clock: float
    """The same on the monotonic clock."""
    actors: tuple[str, ...]
    names: tuple[str, ...]
    stacks: tuple[StackSummary | None, ...]


_broken: Final[deque[_Broken]] = deque(maxlen=MOST_KEPT)


def note_cycle(cycle: Sequence[ActorCell]) -> None:
    """Keep a ring that a call would have closed, in the thread of the actor that called."""
    names = tuple(str(cell) for cell in cycle)
    actors = tuple(place_of(cell) for cell in cycle)
    stacks = tuple(_frames(cell) for cell in cycle[:MOST_STACKS])
    _broken.append(_Broken(datetime.now(UTC), time.monotonic(), actors, names, stacks))


def broken_cycles(root: str, begin: float) -> Iterator[Cycle]:
    """Yield the rings of the last ten minutes that calls would have closed, the newest first.

    Those with an actor below the id *root*, since *begin* on the monotonic clock.
    """
    since = max(begin, time.monotonic() - KEPT_SECONDS)
    seen: set[tuple[str, ...]] = set()
    for cycle in reversed(list(_broken)):
        is_below = any(each == root or each.startswith(root + "/") for each in cycle.actors)
        if cycle.clock < since or cycle.actors in seen or not is_below:
            continue
        seen.add(cycle.actors)
        stacks = tuple(_text(each) for each in cycle.stacks)
        yield Cycle(cycle.actors, cycle.names, stacks, cycle.at)


def waiting_cycles(cells: Iterable[ActorCell]) -> Iterator[Cycle]:
    """Yield the rings in which these actors, or those that they wait for, wait now."""
    seen: set[ActorCell] = set()
    for start in cells:
        path: list[ActorCell] = []
        at: ActorCell | None = start
        while at is not None and at.reason is None and at not in seen and at not in path:
            path.append(at)
            at = at.awaited()
        if at is not None and at in path:
            cycle = path[path.index(at) :]
            if _waits_all(cycle):
                names = tuple(str(cell) for cell in cycle)
                stacks = tuple(_text(_frames(cell)) for cell in cycle[:MOST_STACKS])
                yield Cycle(tuple(place_of(cell) for cell in cycle), names, stacks)
        seen.update(path)


def _waits_all(cycle: Sequence[ActorCell]) -> bool:
    """Return whether each actor of *cycle* waits for the next at the same time.

    They were read one after another. An actor that is at the same message before and after has
    answered nobody in between, so what waited for it then does so still.
    """
    before = [cell.current_message for cell in cycle]
    waits = all(
        cell.awaited() is awaited
        for cell, awaited in zip(cycle, (*cycle[1:], cycle[0]), strict=True)
    )
    return waits and all(
        cell.current_message is message for cell, message in zip(cycle, before, strict=True)
    )


def _frames(cell: ActorCell) -> StackSummary | None:
    thread = cell.thread
    if thread is None or thread.ident is None:
        return None
    frame = sys._current_frames().get(thread.ident)  # noqa: SLF001 - there is no other way
    if frame is None:
        return None
    # The lines are read from the files when somebody looks.
    found = StackSummary.extract(walk_stack(frame), limit=MOST_FRAMES, lookup_lines=False)
    found.reverse()
    return found


def _text(frames: StackSummary | None) -> str:
    return "" if frames is None else "".join(frames.format())
