"""When has a group of jobs ended, and which of its callbacks are due?

A group counts how its members ended: each once, by a flag in the member's own record, and not as
long as it may run again. It has ended when it is closed, so that no more members come, and all of
them have ended. What is due follows from its numbers alone, whatever happened in which order; and
what was due once is not due again, even if members are retried and end anew.

This file decides and never acts: what was decided is a value, or a number in the group.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, TypeAlias

import msgspec

Instant: TypeAlias = int
"""Microseconds since the epoch."""


class End(IntEnum):
    """How a member has ended."""

    COMPLETED = 0
    FAILED = 1
    CANCELLED = 2
    UNNEEDED = 3
    """Cancelled as nothing needed it: no failure of its group."""


class Event(IntEnum):
    """What a callback is for; bits of what has happened."""

    SUCCESS = 1
    """All members have completed."""
    COMPLETE = 2
    """All members have ended."""
    FAILURE = 4
    """A member, the first one, has ended otherwise than by completing."""


class Ends(msgspec.Struct, array_like=True, gc=False):
    """How many members ended, and how."""

    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    unneeded: int = 0

    @property
    def total(self) -> int:
        """How many ended."""
        return self.completed + self.failed + self.cancelled + self.unneeded

    def add(self, end: End, number: int = 1) -> None:
        """Count *number* members that ended so; a negative number takes them out again."""
        if end is End.COMPLETED:
            self.completed += number
        elif end is End.FAILED:
            self.failed += number
        elif end is End.CANCELLED:
            self.cancelled += number
        else:
            self.unneeded += number


class Group(msgspec.Struct, array_like=True, gc=False):
    """What changes of a group: its counters, and how far it is."""

    total: int = 0
    """Members, those that were deleted included."""
    ends: Ends = msgspec.field(default_factory=Ends)
    """Of its members."""
    gone: Ends = msgspec.field(default_factory=Ends)
    """Of those among them that were deleted."""
    is_closed: bool = False
    """Whether no more members come, but those that its members add."""
    fired: int = 0
    """The bits of the events that have happened."""
    parent: int = 0
    """The group of which it is a member; 0: none."""
    counted_as: End | None = None
    """How its end is counted there; None: it is not."""
    node: int = 0
    """The node that adds its members, until it is closed; 0: none."""
    ended_at: Instant = 0
    """When it ended; 0: it has not."""
    is_cancelled: bool = False
    """Whether it was cancelled as a whole, and no member was retried since: what its members still
    add is cancelled at once."""
    has_dependents: bool = False
    """Whether jobs wait for its end: then it has rows in ``edges``."""
    seen: int = 0
    """How far it was when those that wait for it were looked at last, a stage."""
    cause: int = 0
    """The member that was the first not to complete; 0: none, or that is not known."""
    callbacks_left: int = 0
    """Its callbacks, and those of the groups in it, that were stored and have not ended; kept by
    the outermost group alone."""
    callback_ended_at: Instant = 0
    """When the last of these ended; 0: none has."""
    is_coming_in: bool = False
    """Whether an import has not stored all of it: it has ended early where that does not go on."""


def has_ended(group: Group) -> bool:
    """Return whether a group is closed and all of its members have ended."""
    return group.is_closed and group.ends.total >= group.total


def old_from(group: Group) -> Instant:
    """Return from when on a group grows old, to be pruned with all that is in it; 0: not yet.

    It is kept until its callbacks have ended, which look at it. One that is in another group is
    pruned with that.

    >>> old_from(Group(is_closed=True, ended_at=5))
    5
    >>> old_from(Group(is_closed=True, ended_at=5, callbacks_left=1))
    0
    """
    if group.parent or not group.ended_at or group.callbacks_left:
        return 0
    return max(group.ended_at, group.callback_ended_at)


def end_of(group: Group) -> End:
    """Return how a group that has ended counts as a member of another one.

    >>> end_of(Group(total=1, ends=Ends(completed=1), is_closed=True))
    <End.COMPLETED: 0>
    """
    return End.FAILED if has_failure(group) else End.COMPLETED


def has_failure(group: Group) -> bool:
    """Return whether a member has failed, or was cancelled though it was needed."""
    return group.ends.failed + group.ends.cancelled > 0


def take_due(group: Group, *, has_failing_part: bool = False) -> list[Event]:
    """Return the events of a group that have happened now, each once, and note them in it.

    *has_failing_part*: a job in a part of it did not complete, so that it has a failure before the
    part has ended.

    >>> group = Group(total=1, is_closed=True)
    >>> take_due(group)
    []
    >>> group.ends.add(End.COMPLETED)
    >>> take_due(group), take_due(group)
    ([<Event.SUCCESS: 1>, <Event.COMPLETE: 2>], [])
    """
    happened = [
        event
        for event in _EVENTS
        if not group.fired & event
        and (_holds(group, event) or (has_failing_part and event is Event.FAILURE))
    ]
    for event in happened:
        group.fired |= event
    return happened


def _holds(group: Group, event: Event) -> bool:
    if event is Event.FAILURE:
        return has_failure(group)
    if not has_ended(group):
        return False
    return event is Event.COMPLETE or not has_failure(group)


_EVENTS: Final = (Event.FAILURE, Event.SUCCESS, Event.COMPLETE)
"""In the order in which their callbacks are stored."""
