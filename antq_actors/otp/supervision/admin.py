"""The options of a supervisor, the requests that it handles, and how it refuses them.

A handler that raises ends its actor, and a supervisor must not end because a caller named a child
that does not exist. So a refusal is a reply, which is raised in the caller's thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from antq_actors.backoff import Backoff
from antq_actors.checks import close_matches
from antq_actors.otp.kernel.child_spec import AutoShutdown, Strategy, member_hint
from antq_actors.otp.kernel.messages import NOREPLY, Marker
from antq_actors.otp.messaging.calls import call, reply_error
from antq_actors.otp.supervision.restart import RestartIntensity, State

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

    from antq_actors.otp.actors.task_actor import TaskCell
    from antq_actors.otp.kernel.child_spec import ChildSpec, ChildType
    from antq_actors.otp.messaging.names import Destination
    from antq_actors.otp.supervision.restart import Child

RESTARTING: Final = Marker("RESTARTING")
"""In place of a ref: the child ended, starting it again failed, and will be tried again."""


Start: TypeAlias = "tuple[ChildSpec, tuple[Any, ...]]"
"""A spec, and what its start function is given besides the spec's own arguments."""


class ChildInfo(NamedTuple):
    """One child, as ``which_children`` returns it."""

    id: Hashable
    """None under a DynamicSupervisor, which knows its children by ref."""
    ref: Any
    """The running actor, ``RESTARTING``, or None."""
    type: ChildType


class Counts(NamedTuple):
    """What ``count_children`` counts."""

    specs: int
    """All children, running or not."""
    active: int
    """Those whose actors are alive."""
    supervisors: int
    workers: int
    """Children of type "worker", running or not."""


class StartChild(NamedTuple):
    """Start a child. The reply is its ref or IGNORE."""

    spec: ChildSpec


class StartChildren(NamedTuple):
    """Start many children. The reply has for each its ref, IGNORE, or the error."""

    starts: Sequence[Start]


class StartTasks(NamedTuple):
    """Start task cells as children of one spec. The reply has those that did not start, and why."""

    spec: ChildSpec
    cells: Sequence[TaskCell]


class TerminateChild(NamedTuple):
    """Stop a child by id, or by ref under a DynamicSupervisor."""

    child: Any


class RestartChild(NamedTuple):
    """Start a child that does not run."""

    id: Hashable


class DeleteChild(NamedTuple):
    """Forget a child that does not run."""

    id: Hashable


class GetChildSpec(NamedTuple):
    """Get the spec of a child."""

    id: Hashable


class WhichChildren(NamedTuple):
    """Get a list of `ChildInfo`."""


class CountChildren(NamedTuple):
    """Get the `Counts`."""


def count(children: Iterable[Child]) -> Counts:
    """Return the numbers of all, living and supervising *children*, as OTP does (rule 57)."""
    specs = active = supervisors = 0
    for child in children:
        specs += 1
        active += child.is_running and child.ref.cell.reason is None
        supervisors += child.spec.type == "supervisor"
    return Counts(specs, active, supervisors, workers=specs - supervisors)


def call_supervisor(sup: Destination, request: object) -> Any:
    """Call the supervisor *sup* with *request* and wait without a time limit, as OTP does."""
    return call(sup, request, timeout=None)


def refuse(from_: Any, error: Exception) -> Any:
    """Reply to a supervisor's caller by raising *error* there; the supervisor goes on."""
    if from_ is None:  # a plain ask: what is raised here goes to its caller only
        raise error
    reply_error(from_, error)
    return NOREPLY


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisorOptions:
    """How a supervisor treats its children; checked when made."""

    strategy: Strategy = Strategy.ONE_FOR_ONE
    """Who is started again together with a child that is."""
    max_restarts: int = 3
    """Restarts allowed within `max_seconds`; at one more, the supervisor gives up."""
    max_seconds: float = 5.0
    """The window of `max_restarts`, in seconds."""
    auto_shutdown: AutoShutdown = AutoShutdown.NEVER
    """Whether it stops when its significant children have ended."""

    backoff: Backoff | None = None
    """How long to wait between failing restarts; None: not at all, as in OTP."""

    def __post_init__(self) -> None:
        RestartIntensity(self.max_restarts, self.max_seconds)
        if not isinstance(self.strategy, Strategy):
            raise TypeError(
                f"strategy must be a Strategy, got {self.strategy!r}{member_hint(Strategy)}"
            )
        if not isinstance(self.auto_shutdown, AutoShutdown):
            raise TypeError(
                f"auto_shutdown must be an AutoShutdown, got {self.auto_shutdown!r}"
                f"{member_hint(AutoShutdown)}"
            )

        check_backoff(self.backoff)

    def initial_state(self) -> State:
        """Return the initial state of a supervisor with these settings, before it has children."""
        return State(
            strategy=self.strategy,
            auto_shutdown=self.auto_shutdown,
            intensity=RestartIntensity(self.max_restarts, self.max_seconds),
        )

    @classmethod
    def of(cls, options: object) -> SupervisorOptions:
        """Return the options that a mapping has; TypeError for an unknown name."""
        if not isinstance(options, Mapping):
            raise TypeError(f"the options of init_children are a mapping, got {options!r}")
        known = [field.name for field in fields(cls)]
        for name in options:
            if name not in known:
                close = close_matches(str(name), known)
                hint = f"; did you mean {close[0]!r}?" if close else f"; there are {known}"
                raise TypeError(f"unknown supervisor option {name!r}{hint}")
        return cls(**options)


def check_pair(made: object) -> tuple[Any, Any]:
    """Return what ``init_children`` returned; TypeError unless it is children and options."""
    if not isinstance(made, tuple) or len(made) != 2:  # noqa: PLR2004 - a pair
        raise TypeError(
            "init_children returns (children, options) or IGNORE, with the options a mapping or"
            f" None, got {made!r}"
        )
    return made


__all__ = ["Backoff", "check_backoff", "delay_of"]


def check_backoff(backoff: object) -> None:
    """Raise TypeError unless *backoff* is a Backoff, or None."""
    if backoff is not None and not isinstance(backoff, Backoff):
        raise TypeError(
            f"backoff must be a Backoff or None, got {backoff!r}; write Backoff(first=0.1)"
        )


def delay_of(backoff: Backoff | None, failures: int, chance: float) -> float:
    """Return the seconds to wait after *failures* failed starts of a child; 0 without a *backoff*.

    *chance* is a random number from 0 to 1, for its jitter.
    """
    return 0.0 if backoff is None else backoff.delay(failures, chance=chance)
