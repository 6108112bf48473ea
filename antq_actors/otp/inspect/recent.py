"""What supervisors did lately, kept for those who come later: the events that are logged as well.

Others are not made unless someone listens, so keeping these costs nothing as long as all is well.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from antq_actors.otp.events import (
    BootFailed,
    ChildExited,
    ChildTerminated,
    GaveUp,
    Outcome,
    RestartFailed,
    stream,
)
from antq_actors.otp.inspect.snapshot import id_of
from antq_actors.otp.kernel.reasons import is_orderly

if TYPE_CHECKING:
    from antq_actors.otp.events import Event

KEPT_SECONDS: Final = 600.0
MOST_KEPT: Final = 1_000


@dataclass(frozen=True, slots=True)
class TreeEvent:
    """Something that a supervisor did."""

    at: float
    """Seconds since the epoch."""
    kind: str
    """"exited", "terminated", "restart failed", "gave up" or "boot failed"."""
    actor: str
    """The id of the child that it is about."""
    reason: str
    outcome: str | None = None
    """What the supervisor does about a child that ended."""
    siblings: tuple[str, ...] = ()
    """Ids of those that are started again with it."""


_kept: Final[deque[TreeEvent]] = deque(maxlen=MOST_KEPT)


def record() -> None:
    """Keep what supervisors of this process do from now on. Calling it again does nothing."""
    stream.recorder = _note


def recent(root: str | None = None) -> list[TreeEvent]:
    """Return what is kept, the oldest first; with *root* that of actors below this id."""
    since = time.time() - KEPT_SECONDS
    return [
        event
        for event in list(_kept)
        if event.at >= since and (root is None or event.actor.startswith(root + "/"))
    ]


def _note(event: Event) -> None:
    found = _kept_of(event)
    if found is not None:
        _kept.append(found)


def _kept_of(event: Any) -> TreeEvent | None:
    """Return what is kept of an event; None: it is an everyday one."""
    now = time.time()
    child: Any = None
    reason: Any
    match event:
        case ChildExited():
            return _kept_of_exit(event, now)
        case ChildTerminated(is_clean=False):
            kind, child, reason = "terminated", event.ref.cell, event.reason
        case RestartFailed():
            kind, reason = "restart failed", event.error
        case GaveUp():
            kind, reason = "gave up", event.reason
        case BootFailed():
            kind, reason = "boot failed", event.error
        case _:
            return None
    actor = id_of(event.supervisor.cell, event.child_id, child)
    return TreeEvent(now, kind, actor, _text(reason))


def _kept_of_exit(event: ChildExited, now: float) -> TreeEvent | None:
    if event.outcome is Outcome.LEAVES and (
        is_orderly(event.reason)
        or getattr(event.ref.actor_class, "end_is_reported_elsewhere", False)
    ):
        return None
    supervisor = event.supervisor.cell
    actor = id_of(supervisor, event.child_id, event.ref.cell)
    siblings = tuple(id_of(supervisor, each) for each in event.siblings)
    return TreeEvent(now, "exited", actor, _text(event.reason), event.outcome.value, siblings)


def _text(reason: Any) -> str:
    try:
        return str(reason)
    except Exception as error:  # noqa: BLE001 - the str of an exception is anyone's code
        return f"{type(reason).__name__}, whose text cannot be had: {type(error).__name__}"
