"""When a child exits: does it come back, and who comes back with it?

This file decides and never acts: it starts nothing, stops nothing and reads no clock. An event is
a function, (state, what happened, now) -> (state, what to do), and a supervisor carries it out.
That is why every rule here can be tested as plain values.

    a child's exit --temporary, or transient and orderly--> Leave, or ShutDown (auto_shutdown)
                   --otherwise----------------------------> StartAgain, or GiveUp
    a failed start --retry-------------------------------->    (intensity)

The children of a supervisor are a tuple in start order. Nothing here is ever changed, so whoever
holds an old value (see `tree.py`) may go on reading it.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from antq_actors.checks import check_whole, is_number
from antq_actors.otp.kernel.child_spec import AutoShutdown, Restart, Strategy
from antq_actors.otp.kernel.reasons import is_orderly

if TYPE_CHECKING:
    from collections.abc import Hashable

    from antq_actors.otp.kernel.child_spec import ChildSpec
    from antq_actors.otp.kernel.reasons import ExitReason


@dataclass(frozen=True, slots=True)
class RestartIntensity:
    """How often children may restart before their supervisor gives up.

    At most *max_restarts* restarts may fall within any *max_seconds*. One more, and the
    supervisor stops its children and then itself, so that its own supervisor can start
    the whole branch again from a clean state.

    >>> intensity = RestartIntensity(max_restarts=2, max_seconds=5.0)
    >>> intensity = intensity.record(0.0).record(1.0)
    >>> intensity.is_exceeded, intensity.left(now=1.0), intensity.record(2.0).is_exceeded
    (False, 0, True)
    """

    max_restarts: int = 3
    max_seconds: float = 5.0
    recent: tuple[float, ...] = ()
    """When the restarts in the window were, on a monotonic clock; the last one included."""

    def __post_init__(self) -> None:
        check_whole(self.max_restarts, "max_restarts", 0)
        seconds: object = self.max_seconds
        if isinstance(seconds, timedelta):
            seconds = seconds.total_seconds()
        if not is_number(seconds):
            raise TypeError(f"max_seconds must be seconds, got {seconds!r}")
        if not seconds > 0:  # also catches NaN
            raise ValueError(f"max_seconds must be more than 0, got {seconds!r}")
        object.__setattr__(self, "max_seconds", float(min(seconds, sys.float_info.max)))

    def record(self, now: float) -> RestartIntensity:
        """Return this with a child's restart at *now* counted, on a monotonic clock (rule 28)."""
        return replace(self, recent=(*self._within(now), now))

    @property
    def is_exceeded(self) -> bool:
        """Whether the last restart of a child was one too many."""
        return len(self.recent) > self.max_restarts

    def left(self, now: float) -> int:
        """Return how many restarts of children are still allowed at *now*."""
        return max(0, self.max_restarts - len(self._within(now)))

    def _within(self, now: float) -> tuple[float, ...]:
        # The boundary is inclusive: a restart exactly max_seconds ago still counts.
        return tuple(then for then in self.recent if now - then <= self.max_seconds)


class ChildState(StrEnum):
    """Where a child is in its life."""

    RUNNING = "running"
    RESTARTING = "restarting"
    """It ended, its new start failed, and another is to come."""
    STOPPED = "stopped"
    """It does not run, and is started only on request or together with its group."""
    SUSPENDED = "suspended"
    """It runs, and `suspend` makes its messages wait; only ``tree`` says so."""


class Child(NamedTuple):
    """One line of a supervisor's table."""

    spec: ChildSpec
    state: ChildState = ChildState.STOPPED
    ref: Any = None
    """The actor while it runs, else None."""
    incarnation: int = 0
    """How many times it was started."""
    restarts: int = 0
    """How many of those were its supervisor's own decision."""
    last_exit: ExitReason | None = None
    """Why the incarnation before this one ended, or this one if it does not run."""
    started_at: float = math.nan
    """When the last start succeeded, on the monotonic clock."""
    failed_starts: int = 0
    """How many starts in a row have failed since it ended."""

    @property
    def is_running(self) -> bool:
        """Whether the child's actor runs, as far as its supervisor knows."""
        return self.state is ChildState.RUNNING

    @property
    def is_temporary(self) -> bool:
        """Whether the supervisor forgets the child when it has ended."""
        return self.spec.restart is Restart.TEMPORARY


Children: TypeAlias = tuple[Child, ...]


@dataclass(frozen=True, slots=True)
class State:
    """All that a supervisor decides by: its children, and what counts for their restarts."""

    children: Children = ()
    strategy: Strategy = Strategy.ONE_FOR_ONE
    auto_shutdown: AutoShutdown = AutoShutdown.NEVER
    intensity: RestartIntensity = RestartIntensity()

    def having(self, children: Children) -> State:
        """Return the same state of a supervisor with other children."""
        return replace(self, children=children)


class Rules(NamedTuple):
    """What of a supervisor's state decides about restarts, beside its children."""

    strategy: Strategy
    auto_shutdown: AutoShutdown
    intensity: RestartIntensity
    is_dynamic: bool = False
    """Whether each child is on its own, and no two need different ids."""


@dataclass(frozen=True, slots=True)
class Leave:
    """Restart no child; the supervisor goes on."""


@dataclass(frozen=True, slots=True)
class StartAgain:
    """Terminate the children *stop* one by one, then start *start* one by one.

    *stop* is in reverse start order and *start* in start order. A start that fails ends the
    sequence: see `start_failed`.
    """

    stop: tuple[Hashable, ...]
    start: tuple[Hashable, ...]


@dataclass(frozen=True, slots=True)
class GiveUp:
    """There were too many restarts: terminate all children, then end."""

    child: Child
    """The one whose restart was one too many."""


@dataclass(frozen=True, slots=True)
class ShutDown:
    """The significant children have ended: terminate the others, then end."""


Action: TypeAlias = Leave | StartAgain | GiveUp | ShutDown


def comes_back(restart: Restart, reason: ExitReason) -> bool:
    """Return whether a child that ended for *reason* is restarted; OTP's table (otp 1.3)."""
    match restart:
        case Restart.PERMANENT:
            return True
        case Restart.TRANSIENT:
            return not is_orderly(reason)
        case Restart.TEMPORARY:
            return False


def exited(
    state: State, child_id: Hashable, reason: ExitReason, now: float
) -> tuple[State, Action]:
    """Decide what a supervisor does when its running child *child_id* ended by itself.

    Siblings are touched only if the child is to come back (rule 16).
    """
    child = find(state.children, child_id)
    state = state.having(stopped(state.children, child_id, reason))
    if comes_back(child.spec.restart, reason):
        return _again(state, child_id, now)

    if child.spec.significant and _is_last_one_needed(state.children, state.auto_shutdown):
        return state, ShutDown()
    return state, Leave()


def retry(state: State, child_id: Hashable, now: float) -> tuple[State, Action]:
    """Decide what a supervisor does when a start of *child_id* failed and it is time to try again.

    Every try counts (rule 31). A child that is not ``RESTARTING`` (any more) is left alone: it
    was terminated or started with its siblings in the meantime.
    """
    child = get(state.children, child_id)
    if child is None or child.state is not ChildState.RESTARTING:
        return state, Leave()
    return _again(state, child_id, now)


def exited_alone(
    child: Child, reason: ExitReason, intensity: RestartIntensity, now: float
) -> tuple[RestartIntensity, Leave | StartAgain | GiveUp]:
    """Decide what a dynamic supervisor does when its *child* ended by itself."""
    if not comes_back(child.spec.restart, reason):
        return intensity, Leave()
    return retry_alone(child, intensity, now)


def retry_alone(
    child: Child, intensity: RestartIntensity, now: float
) -> tuple[RestartIntensity, StartAgain | GiveUp]:
    """Decide whether a dynamic supervisor starts *child* again, now that it is time."""
    intensity = intensity.record(now)
    if intensity.is_exceeded:
        return intensity, GiveUp(child)
    return intensity, StartAgain(stop=(), start=(child.ref,))


def start_failed(children: Children, plan: StartAgain, child_id: Hashable) -> Children:
    """Return a supervisor's table after the start of *child_id* within *plan* failed.

    Those started before it stay up, those after it stay down until the retry (rules 35–37).
    """
    for later in plan.start[plan.start.index(child_id) + 1 :]:
        children = _with(children, later, state=ChildState.STOPPED)
    failed = find(children, child_id).failed_starts + 1
    return _with(children, child_id, state=ChildState.RESTARTING, failed_starts=failed)


def started(
    children: Children, child_id: Hashable, ref: Any, *, now: float, by_itself: bool
) -> Children:
    """Return a supervisor's table after *child_id* was started; *by_itself*: it was a restart."""
    child = find(children, child_id)
    return _with(
        children,
        child_id,
        state=ChildState.RUNNING,
        ref=ref,
        incarnation=child.incarnation + 1,
        restarts=child.restarts + (1 if by_itself and child.incarnation else 0),
        started_at=now,
        failed_starts=0,
    )


def ignored(children: Children, child_id: Hashable) -> Children:
    """Return a supervisor's table after a start returned IGNORE: a temporary child is dropped."""
    if find(children, child_id).is_temporary:
        return without(children, child_id)
    return _with(children, child_id, state=ChildState.STOPPED)


def stopped(children: Children, child_id: Hashable, reason: ExitReason | None) -> Children:
    """Return a supervisor's table after a child ended for *reason*: a temporary one is dropped.

    None if it did not run, and only a retry was called off.
    """
    child = find(children, child_id)
    if child.is_temporary:
        return without(children, child_id)
    return _with(
        children,
        child_id,
        state=ChildState.STOPPED,
        ref=None,
        last_exit=child.last_exit if reason is None else reason,
        failed_starts=0,
    )


def added(children: Children, spec: ChildSpec) -> Children:
    """Return a supervisor's table with a new child at the end, where rest_for_one expects it."""
    return (*children, Child(spec))


def without(children: Children, child_id: Hashable) -> Children:
    """Return a supervisor's table without the child *child_id*."""
    return tuple(child for child in children if child.spec.id != child_id)


def get(children: Children, child_id: Hashable) -> Child | None:
    """Return the child with this id from a supervisor's table; None if there is none."""
    return next((child for child in children if child.spec.id == child_id), None)


def find(children: Children, child_id: Hashable) -> Child:
    """Return the child with this id from a supervisor's table, or raise LookupError."""
    child = get(children, child_id)
    if child is None:
        raise LookupError(child_id)
    return child


def stop_order(children: Children) -> tuple[Hashable, ...]:
    """Return the ids of a supervisor's running children, the last started first (rule 20)."""
    return tuple(child.spec.id for child in reversed(children) if child.is_running)


def _again(state: State, child_id: Hashable, now: float) -> tuple[State, StartAgain | GiveUp]:
    intensity = state.intensity.record(now)
    children = state.children
    if intensity.is_exceeded:
        children = _with(children, child_id, state=ChildState.STOPPED)
        state = replace(state, children=children, intensity=intensity)
        return state, GiveUp(find(children, child_id))

    children = _with(children, child_id, state=ChildState.RESTARTING)
    group = _group(children, child_id, state.strategy)
    # A group starts all its specs, also those whose children were not running (rule 24).
    start = tuple(c.spec.id for c in group if not (c.is_temporary and c.is_running))
    state = replace(state, children=children, intensity=intensity)
    return state, StartAgain(stop=stop_order(group), start=start)


def _group(children: Children, child_id: Hashable, strategy: Strategy) -> Children:
    place = _place(children, child_id)
    match strategy:
        case Strategy.ONE_FOR_ONE:
            return children[place : place + 1]
        case Strategy.ONE_FOR_ALL:
            return children
        case Strategy.REST_FOR_ONE:
            return children[place:]


def _is_last_one_needed(children: Children, auto_shutdown: AutoShutdown) -> bool:
    match auto_shutdown:
        case AutoShutdown.NEVER:
            return False
        case AutoShutdown.ANY_SIGNIFICANT:
            return True
        case AutoShutdown.ALL_SIGNIFICANT:
            return all(
                child.state is ChildState.STOPPED for child in children if child.spec.significant
            )


def _with(children: Children, child_id: Hashable, **changes: Any) -> Children:
    place = _place(children, child_id)
    return (*children[:place], children[place]._replace(**changes), *children[place + 1 :])


def _place(children: Children, child_id: Hashable) -> int:
    return next(i for i, child in enumerate(children) if child.spec.id == child_id)
