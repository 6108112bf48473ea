"""What the end of a job means for those that wait for it.

A job that waits for others has an edge from each of them, with a condition, as long as that is not
met. It is released when no edge is left, and cancelled as cut off as soon as one can no more be
met: what cannot come is not waited for. An edge that cannot be met stays, marked as cut, so that a
retry of the job that it comes from takes the cut back.

    condition   upstream completed   upstream failed, was cancelled or deleted
    SUCCESS     met                  cut
    END         met                  met
    FAILURE     missed               met, and so are all other edges with this condition

When the last edge with the condition FAILURE was missed, the job is not needed: it is cancelled,
and does not come back.

What an edge comes from may be a group: of that each member is meant. So one that has failed is
enough for SUCCESS and FAILURE, and END waits for the last.

This file decides and never acts; what is asked again and again gives the same answer, so that a
task which was interrupted begins anew where it was.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from antq_actors.workflows.counters import Group


class Condition(IntEnum):
    """How an upstream has to end, for its edge to be met."""

    SUCCESS = 0
    END = 1
    FAILURE = 2
    PART = 3
    """Of no job that waits: the edge leads from a group to the job that expanded into it, and the
    end of the group is that of the job."""


CONDITIONS: Final[Mapping[str, Condition]] = {
    "success": Condition.SUCCESS,
    "end": Condition.END,
    "failure": Condition.FAILURE,
}
"""By the words that users write."""


class Stage(IntEnum):
    """How far an upstream is."""

    ACTIVE = 0
    """It has not ended, or runs again."""
    COMPLETED = 1
    UNSUCCESSFUL = 2
    """It failed, was cancelled, or is deleted."""
    FAILING = 3
    """Of a group: a member did not complete, and not all have ended."""


class Effect(IntEnum):
    """What becomes of an edge."""

    WAITS = 0
    MET = 1
    CUT = 2
    """It can be met no more, unless the upstream is retried."""
    MISSED = 3
    """The failure that it is for did not come."""


class Edge(NamedTuple):
    """What a job waits for in another one."""

    condition: Condition
    is_cut: bool = False


class Fate(IntEnum):
    """What becomes of a job that waits, by its edges."""

    STAYS = 0
    RELEASED = 1
    CUT = 2
    """It is cancelled, because of what it waited for."""
    RESUMED = 3
    """It was cut off, and waits again."""
    UNNEEDED = 4
    """It is cancelled, as nothing failed."""


_EFFECTS: Final[Mapping[tuple[Condition, Stage], Effect]] = {
    (Condition.SUCCESS, Stage.COMPLETED): Effect.MET,
    (Condition.SUCCESS, Stage.UNSUCCESSFUL): Effect.CUT,
    (Condition.SUCCESS, Stage.FAILING): Effect.CUT,
    (Condition.END, Stage.COMPLETED): Effect.MET,
    (Condition.END, Stage.UNSUCCESSFUL): Effect.MET,
    (Condition.FAILURE, Stage.COMPLETED): Effect.MISSED,
    (Condition.FAILURE, Stage.UNSUCCESSFUL): Effect.MET,
    (Condition.FAILURE, Stage.FAILING): Effect.MET,
}


def effect_of(condition: Condition, stage: Stage) -> Effect:
    """Return what becomes of an edge with this *condition* when its upstream is so far.

    >>> effect_of(Condition.SUCCESS, Stage.UNSUCCESSFUL)
    <Effect.CUT: 2>
    """
    return _EFFECTS.get((condition, stage), Effect.WAITS)


def fate_of(
    *, is_waiting: bool, was_cut: bool, edges: int, cuts: int, is_unneeded: bool = False
) -> Fate:
    """Return what becomes of a job with so many *edges*, *cuts* of them cut.

    *is_waiting*: it is suspended. *was_cut*: it was cancelled as cut off, so that it comes back
    when no edge is cut any more; a job that was cancelled otherwise, or has run, does not.
    *is_unneeded*: its last edge for a failure was missed.

    >>> fate_of(is_waiting=True, was_cut=False, edges=0, cuts=0)
    <Fate.RELEASED: 1>
    """
    if not is_waiting and not was_cut:
        return Fate.STAYS
    if is_unneeded:
        return Fate.UNNEEDED
    if cuts:
        return Fate.CUT if is_waiting else Fate.STAYS
    if not edges:
        return Fate.RELEASED
    return Fate.STAYS if is_waiting else Fate.RESUMED


def stage_of(group: Group) -> Stage:
    """Return how far a group is, for those that wait for it.

    >>> from antq_actors.workflows.counters import Ends, Group
    >>> stage_of(Group(total=2, ends=Ends(failed=1)))
    <Stage.FAILING: 3>
    """
    ends = group.ends
    has_failure = ends.failed + ends.cancelled + ends.unneeded > 0
    if group.is_closed and ends.total >= group.total:
        return Stage.UNSUCCESSFUL if has_failure else Stage.COMPLETED
    return Stage.FAILING if has_failure else Stage.ACTIVE
