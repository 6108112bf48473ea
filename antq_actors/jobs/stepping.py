"""A queue that is looked into, job by job: what comes next, and where it stops by itself.

While a queue is paused, a *step* lets some of its next jobs through. A *breakpoint* pauses a queue
that runs. This file decides what these are about; what is stored of them, and the claims that
follow it, are elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, cast, get_args

from antq_actors.checks import short_repr
from antq_actors.introspection import explain_fields
from antq_actors.jobs.state import Status

if TYPE_CHECKING:
    from antq_actors.jobs.state import JobState

ClaimRule: TypeAlias = Literal["due scheduled", "due retrying", "priority", "id", "ticket"]
"""What puts a job at its place in the order of claims."""

StopsOn: TypeAlias = Literal["claim", "failure"]
"""When a breakpoint stops a queue: before a job starts, or after an attempt of it has failed."""

MOST_ARGS_BYTES: Final = 65_536
"""Of the arguments of a breakpoint, as they are stored."""

FAILURES: Final = frozenset({Status.RETRYING, Status.FAILED})
"""What a job is after an attempt of it that has failed."""


@explain_fields
@dataclass(frozen=True, slots=True)
class Upcoming:
    """A job that could start now, as ``QueueHandle.preview`` returns it."""

    id: int
    """Its id."""
    worker: str
    """The name of its worker, as it is stored."""
    rule: ClaimRule
    """What puts it at its place. ``"due scheduled"`` and ``"due retrying"``: its time has come, and
    such jobs go first, by their times. ``"priority"``: it has another one than 0. ``"ticket"``: it
    is in front of all its limits, since when it drew a number there. ``"id"``: it is the oldest of
    the others."""


@explain_fields
@dataclass(frozen=True, slots=True)
class Breakpoint:
    """What a queue stops at by itself, as ``QueueHandle.breakpoints`` returns it."""

    id: int
    """Its number, which no other breakpoint of the store ever gets."""
    worker: str | None
    """The name of the worker whose jobs it is about; None: of any."""
    args: Mapping[str, Any] | None
    """A nested subset of the arguments of the jobs that it is about; None: any."""
    on: StopsOn
    """``"claim"``: the queue stops before such a job starts. ``"failure"``: after an attempt of
    one has failed."""
    hits: int
    """How often it was reached."""


def rule_of(state: JobState) -> ClaimRule:
    """Return what puts a job in this state, which could start now, at its place among others."""
    if state.status is Status.SCHEDULED:
        return "due scheduled"
    if state.status is Status.RETRYING:
        return "due retrying"
    if state.priority:
        return "priority"
    return "id" if state.limited is None else "ticket"


def check_stops_on(on: object) -> StopsOn:
    """Return when a breakpoint is to stop its queue. Raises TypeError, ValueError."""
    if on in get_args(StopsOn) and isinstance(on, str):
        return cast("StopsOn", on)
    error = ValueError if isinstance(on, str) else TypeError
    raise error(f"on must be 'claim' or 'failure', got {short_repr(on)}")


def is_about(
    worker: str | None, args: Mapping[str, Any] | None, of_worker: str, of_args: Any
) -> bool:
    """Return whether a breakpoint for *worker* and *args* is about a job with these.

    >>> is_about("shop:Send", {"to": {"id": 7}}, "shop:Send", {"to": {"id": 7, "name": "ada"}})
    True
    """
    return worker in (None, of_worker) and (args is None or has_subset(of_args, args))


def has_subset(args: Any, wanted: Mapping[str, Any]) -> bool:
    """Return whether *wanted* is a subset of a job's *args*; mappings within are subsets too."""
    if not isinstance(args, Mapping):
        return False
    for key, value in wanted.items():
        if key not in args:
            return False
        if isinstance(value, Mapping):
            if not has_subset(args[key], value):
                return False
        else:
            try:
                if args[key] != value:
                    return False
            except ArithmeticError:  # a signalling NaN, which equals nothing and says so
                return False
    return True


def paused_by(number: int) -> str:
    """Return who has paused a queue that a breakpoint has stopped."""
    return f"breakpoint {number}"


def reason_of(on: StopsOn, id_: int, worker: str) -> str:
    """Return why a breakpoint has stopped a queue at a job."""
    what = "is about to start" if on == "claim" else "has failed"
    return f"job {id_} of {worker} {what}"
