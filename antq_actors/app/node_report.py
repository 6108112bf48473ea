"""What a node reports of itself, its supervision tree with the jobs that run; and what it does."""

from __future__ import annotations

import os
import sys
import time
import traceback
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec

from antq_actors.checks import short_repr
from antq_actors.errors import AntqError
from antq_actors.otp.inspect.harm import harm
from antq_actors.otp.inspect.recent import Before, TreeEvent, recent
from antq_actors.otp.inspect.sequence import Recording, record_actor, recording_of
from antq_actors.otp.inspect.snapshot import (
    ActorView,
    leads_to,
    place_of,
    search_children,
    snapshot,
)
from antq_actors.otp.inspect.waits import Cycle, broken_cycles, waiting_cycles
from antq_actors.otp.kernel.errors import CallExit, CallTimeout
from antq_actors.otp.kernel.stopping import orphans
from antq_actors.otp.messaging.names import find_living

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from antq_actors.otp.inspect.harm import Harm
    from antq_actors.otp.kernel.cell import ActorCell
    from antq_actors.otp.messaging.names import Destination

DEFAULT_SECONDS: Final = 5.0
"""For which an actor hangs or is slow."""
NO_CHAOS: Final = "ANTQ_NO_CHAOS"
"""The variable of the environment with which a node refuses harm, whoever asks for it."""


class Orphan(msgspec.Struct, frozen=True):
    """A thread that was abandoned while it was busy, and still runs."""

    name: str
    stack: str


class TreeReport(msgspec.Struct, frozen=True):
    """A supervision tree, as one process sees it."""

    at: datetime
    clock: float
    """When it was looked at, on the monotonic clock of the process."""
    tree: ActorView
    jobs: dict[str, int]
    """The jobs that worker actors perform, by the ids of the actors."""
    orphans: tuple[Orphan, ...]
    events: tuple[TreeEvent, ...]
    """What supervisors did lately, the oldest first."""
    before: tuple[Before, ...]
    """What each event changed, as it was before."""
    cycles: tuple[Cycle, ...]
    """Rings of actors that wait now, or that a call would have closed lately."""


def report(root: Destination, shown: str | None = None) -> TreeReport:
    """Return the tree below *root* in this process. Raises CallExit(NoProc()).

    The actor with the id *shown* is there also if it is one of many that are folded.
    """
    jobs: dict[str, int] = {}
    cells: list[ActorCell] = []

    def note(id_: str, cell: ActorCell) -> None:
        cells.append(cell)
        attempt = getattr(cell, "attempt", None)
        if attempt is not None:
            jobs[id_] = attempt.job.id

    begin = time.monotonic()
    tree = snapshot(root, note, shown)
    begin -= tree.uptime
    kept = recent(tree.id, begin)
    return TreeReport(
        at=datetime.now(UTC),
        clock=time.monotonic(),  # afterwards: nothing seems to have been there before it started
        tree=tree,
        jobs=jobs,
        orphans=tuple(_orphans()),
        events=tuple(event for event, _ in kept),
        before=tuple(before for _, before in kept),
        cycles=tuple(_cycles(cells, broken_cycles(tree.id, begin))),
    )


def _cycles(cells: Sequence[ActorCell], closed: Iterable[Cycle]) -> Iterator[Cycle]:
    """Yield the rings that wait now, then those that a call would have closed."""
    now = set()
    for cycle in waiting_cycles(cells):
        now.add(frozenset(cycle.actors))
        yield cycle
    yield from (cycle for cycle in closed if frozenset(cycle.actors) not in now)


def _orphans() -> Iterator[Orphan]:
    for thread in orphans():
        yield Orphan(thread.name, stack_of(thread.ident))


def stack_of(thread: int | None) -> str:
    """Return what a thread of this process is at, the newest frame last; "" if it has ended."""
    frames = sys._current_frames()  # noqa: SLF001 - there is no other way to another thread's
    frame = None if thread is None else frames.get(thread)
    return "" if frame is None else "".join(traceback.format_stack(frame))


def answers(
    root: Callable[[], Destination],
    job_stack: Callable[[str, int], str | None],
    drain: Callable[[], int],
) -> Mapping[str, Callable[[Mapping[str, Any]], Any]]:
    """Return what a node answers, by question.

    *root* returns the root of its tree, *job_stack* where the thread of a job of a queue is;
    *drain* ends the node once its jobs have ended, and returns how many run.
    """
    return {
        "tree": lambda options: report(root(), options.get("shown")),
        "stack": lambda options: job_stack(str(options["queue"]), int(options["job"])),
        "drain": lambda _options: drain(),
        **{name: _of(root, answer) for name, answer in ABOUT_ACTORS.items()},
    }


def _of(root: Callable[[], Destination], answer: AboutActors) -> Callable[[Mapping[str, Any]], Any]:
    return lambda options: answer([root()], options)


class ChaosRefused(AntqError):
    """Harm cannot be done to an actor, as things stand; the message says why."""


def check_chaos_allowed() -> None:
    """Raise ChaosRefused where the environment of this process says that no harm is done to it."""
    if os.environ.get(NO_CHAOS):
        raise ChaosRefused(f"harm is refused by this node, whose environment has {NO_CHAOS}")


def do_harm(roots: Iterable[Destination], options: Mapping[str, Any]) -> Harm:
    """Do harm to an actor below one of *roots*, as *options* say: actor, verb, seconds.

    Raises ValueError, LookupError and ChaosRefused.
    """
    check_chaos_allowed()
    actor, verb = str(options["actor"]), str(options["verb"])
    seconds = float(options.get("seconds") or DEFAULT_SECONDS)
    root = _root_above(roots, actor)
    try:
        return harm(root, actor, verb, seconds)
    except CallTimeout:
        raise ChaosRefused(
            f"{actor} is busy or suspended, and so cannot {verb}: it takes no message. kill ends it"
            " at once"
        ) from None


def _record(roots: Iterable[Destination], options: Mapping[str, Any]) -> Recording:
    """Record what an actor does: actor, messages, seconds."""
    actor = str(options["actor"])
    root = _root_above(roots, actor)
    return record_actor(root, actor, int(options["messages"]), float(options["seconds"]))


def _recording(_roots: Iterable[Destination], options: Mapping[str, Any]) -> Recording:
    found = recording_of(str(options["actor"]))
    if found is None:
        raise LookupError(f"nothing was recorded of {short_repr(options['actor'])}")
    return found


def _children(roots: Iterable[Destination], options: Mapping[str, Any]) -> tuple[ActorView, ...]:
    """Search the children of a supervisor by name: actor, text."""
    actor = str(options["actor"])
    return search_children(_root_above(roots, actor), actor, str(options["text"]))


def _root_above(roots: Iterable[Destination], actor: str) -> Destination:
    for root in roots:
        with suppress(CallExit):  # it has ended, and is there no more
            if leads_to(place_of(find_living(root)), actor):
                return root
    raise LookupError(f"there is no actor {short_repr(actor)} in the tree")


AboutActors: TypeAlias = "Callable[[Iterable[Destination], Mapping[str, Any]], Any]"

ABOUT_ACTORS: Final[Mapping[str, AboutActors]] = {
    "harm": do_harm,
    "record": _record,
    "recording": _recording,
    "children": _children,
}
"""What is answered about actors below some roots, by question."""
