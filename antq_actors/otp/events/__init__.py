"""What supervisors do, as typed values: one type for each thing that can happen.

    a child --starts---------> ChildStarted or ChildIgnored; BootFailed ends its supervisor
            --ends by itself-> ChildExited, then by its outcome: ChildStarted again or
                               RestartFailed; GaveUp
            --is told to end-> ChildTerminated

`subscribe` and `EventStream` (`stream.py`) hear of them; `event_log.py` makes log lines of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeAlias

from antq_actors.exports import shown

if TYPE_CHECKING:
    from collections.abc import Hashable

    from antq_actors.otp.kernel.reasons import ExitReason
    from antq_actors.otp.kernel.ref import ServerRef


__all__ = [
    "BootFailed",
    "ChildExited",
    "ChildIgnored",
    "ChildStarted",
    "ChildTerminated",
    "Event",
    "GaveUp",
    "Outcome",
    "RestartFailed",
    "Unexpected",
]


@dataclass(frozen=True, slots=True)
class ChildStarted:
    """A child runs: at boot, because someone asked for it, or again."""

    supervisor: ServerRef
    child_id: Hashable
    ref: ServerRef
    incarnation: int
    """1 for its first start, one more with each."""


@dataclass(frozen=True, slots=True)
class ChildIgnored:
    """The ``init`` of a child answered IGNORE: it does not run, and that is no failure."""

    supervisor: ServerRef
    child_id: Hashable


class Outcome(StrEnum):
    """What a supervisor does about a child that ended."""

    RESTARTS = "restarts"
    """The child is started again, perhaps with siblings."""
    LEAVES = "leaves"
    """It does not come back, and all others go on."""
    SHUTS_DOWN = "shuts down"
    """It was significant: the supervisor ends with ``Shutdown()`` (otp rule 54)."""
    STOPS_TOO = "stops, too"
    """pykka's ``ActorRegistry.stop_all()`` is on its way through the tree: nobody comes back."""
    GIVES_UP = "gives up"
    """It should come back, and that would be one restart too many: see `GaveUp`."""


@dataclass(frozen=True, slots=True)
class ChildExited:
    """A child ended, and its supervisor had not told it to."""

    supervisor: ServerRef
    child_id: Hashable
    ref: ServerRef
    reason: ExitReason
    outcome: Outcome
    siblings: tuple[Hashable, ...] = ()
    """Who else is stopped for that and started with it, in start order."""


@dataclass(frozen=True, slots=True)
class ChildTerminated:
    """A supervisor told a child to end, and it has."""

    supervisor: ServerRef
    child_id: Hashable
    ref: ServerRef
    reason: ExitReason
    shutdown: Any
    """The time it had for that: seconds, or BRUTAL_KILL."""
    is_clean: bool
    """Whether it ended as told and in time (otp rule 43)."""


@dataclass(frozen=True, slots=True)
class RestartFailed:
    """A child did not start again; its supervisor will try once more."""

    supervisor: ServerRef
    child_id: Hashable
    error: Exception
    retry_in: float
    """Seconds until then."""


@dataclass(frozen=True, slots=True)
class GaveUp:
    """There were more restarts than the supervisor bears: it ends with ``Shutdown()``."""

    supervisor: ServerRef
    child_id: Hashable
    """The child whose restart was one too many."""
    reason: ExitReason | None
    """Why that child ended."""
    max_restarts: int
    max_seconds: float


@dataclass(frozen=True, slots=True)
class BootFailed:
    """A supervisor could not start, because a child did not."""

    supervisor: ServerRef
    child_id: Hashable
    error: Exception


@dataclass(frozen=True, slots=True)
class Unexpected:
    """A supervisor got a message that no supervisor understands, and ignores it."""

    supervisor: ServerRef
    message: Any


Event: TypeAlias = (
    ChildStarted
    | ChildIgnored
    | ChildExited
    | ChildTerminated
    | RestartFailed
    | GaveUp
    | BootFailed
    | Unexpected
)
"""Everything a supervisor does; each has the ``supervisor`` that did it."""


def __dir__() -> list[str]:
    return shown(globals())
