"""What a node reports of itself: its supervision tree, with the jobs that run there, and harm."""

from __future__ import annotations

import sys
import traceback
from typing import TYPE_CHECKING, Any, Final

import msgspec

from antq_actors.otp.inspect.harm import harm
from antq_actors.otp.inspect.recent import TreeEvent, recent
from antq_actors.otp.inspect.snapshot import ActorView, snapshot
from antq_actors.otp.kernel.stopping import orphans

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from antq_actors.otp.inspect.harm import Harm
    from antq_actors.otp.kernel.cell import ActorCell
    from antq_actors.otp.messaging.names import Destination

DEFAULT_SECONDS: Final = 5.0
"""For which an actor hangs or is slow."""


class Orphan(msgspec.Struct, frozen=True):
    """A thread that was abandoned while it was busy, and still runs."""

    name: str
    stack: str


class TreeReport(msgspec.Struct, frozen=True):
    """A supervision tree, as one process sees it."""

    tree: ActorView
    jobs: dict[str, int]
    """The jobs that worker actors perform, by the ids of the actors."""
    orphans: tuple[Orphan, ...]
    events: tuple[TreeEvent, ...]
    """What supervisors did lately, the oldest first."""


def report(root: Destination) -> TreeReport:
    """Return the tree below *root* in this process. Raises CallExit(NoProc())."""
    jobs: dict[str, int] = {}

    def note(id_: str, cell: ActorCell) -> None:
        attempt = getattr(cell, "attempt", None)
        if attempt is not None:
            jobs[id_] = attempt.job.id

    tree = snapshot(root, note)
    return TreeReport(tree, jobs, tuple(_orphans()), tuple(recent(tree.id)))


def _orphans() -> Iterator[Orphan]:
    for thread in orphans():
        yield Orphan(thread.name, stack_of(thread.ident))


def stack_of(thread: int | None) -> str:
    """Return what a thread of this process is at, the newest frame last; "" if it has ended."""
    frames = sys._current_frames()  # noqa: SLF001 - there is no other way to another thread's
    frame = None if thread is None else frames.get(thread)
    return "" if frame is None else "".join(traceback.format_stack(frame))


def answers(
    root: Callable[[], Destination], job_stack: Callable[[str, int], str | None]
) -> Mapping[str, Callable[[Mapping[str, Any]], Any]]:
    """Return what a node answers, by question.

    *root* returns the root of its tree, *job_stack* where the thread of a job of a queue is.
    """
    return {
        "tree": lambda _options: report(root()),
        "stack": lambda options: job_stack(str(options["queue"]), int(options["job"])),
        "harm": lambda options: do_harm(root(), options),
    }


def do_harm(root: Destination, options: Mapping[str, Any]) -> Harm:
    """Do harm to an actor, as *options* say: actor, verb, seconds."""
    seconds = float(options.get("seconds") or DEFAULT_SECONDS)
    return harm(root, str(options["actor"]), str(options["verb"]), seconds)
