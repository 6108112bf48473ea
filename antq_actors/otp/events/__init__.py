"""What supervisors do, as typed values: one type for each thing that can happen.

    a child --starts---------> ChildStarted or ChildIgnored; BootFailed ends its supervisor
            --ends by itself-> ChildExited, then by its outcome: ChildStarted again or
                               RestartFailed; GaveUp
            --is terminated-> ChildTerminated

`subscribe` and `EventStream` (`stream.py`) deliver them, which also logs some of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeAlias

from antq_actors.introspection import shown

if TYPE_CHECKING:
    from collections.abc import Hashable

    from antq_actors.otp.kernel.cell import ServerRef
    from antq_actors.otp.kernel.reasons import ExitReason


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
    """A child has started: at boot, on request, or again."""

    supervisor: ServerRef
    child_id: Hashable
    ref: ServerRef
    incarnation: int
    """1 for its first start, one more with each."""


@dataclass(frozen=True, slots=True)
class ChildIgnored:
    """The ``init`` of a child returned IGNORE: it does not run, which is no failure."""

    supervisor: ServerRef
    child_id: Hashable


class Outcome(StrEnum):
    """What a supervisor does about a child that ended."""

    RESTARTS = "restarts"
    """The child is started again, perhaps with siblings."""
    LEAVES = "leaves"
    """It is not restarted, and all others go on."""
    SHUTS_DOWN = "shuts down"
    """It was significant: the supervisor ends with ``Shutdown()`` (otp rule 54)."""
    STOPS_TOO = "stops, too"
    """pykka's ``ActorRegistry.stop_all()`` is on its way through the tree: nothing is restarted."""
    GIVES_UP = "gives up"
    """It should be restarted, but that would be one restart too many: see `GaveUp`."""


@dataclass(frozen=True, slots=True)
class ChildExited:
    """A child ended that its supervisor had not terminated."""

    supervisor: ServerRef
    child_id: Hashable
    ref: ServerRef
    reason: ExitReason
    outcome: Outcome
    siblings: tuple[Hashable, ...] = ()
    """The siblings that are stopped and started with it, in start order."""


@dataclass(frozen=True, slots=True)
class ChildTerminated:
    """A supervisor has terminated a child."""

    supervisor: ServerRef
    child_id: Hashable
    ref: ServerRef
    reason: ExitReason
    shutdown: Any
    """Its shutdown time: seconds, or BRUTAL_KILL."""
    is_clean: bool
    """Whether it ended in time and with the right reason (otp rule 43)."""


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
    """There were more restarts than the supervisor allows: it ends with ``Shutdown()``."""

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
    """A supervisor ignores a message that it does not understand."""

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
