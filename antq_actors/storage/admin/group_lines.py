"""Batches and workflows as lines of an export, and back.

    {"antq_group":4,"kind":0,"name":"import","created_at":"…","callbacks":[…],"closed":true,…}

A group has its place among the jobs by its id, so before its members. How many it has, and how they
ended, is counted anew by what comes in.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from antq_actors.jobs import instant
from antq_actors.jobs.options import check_queue_name
from antq_actors.storage.admin.lines import LARGEST_NUMBER, decode_line
from antq_actors.storage.format import encoding
from antq_actors.storage.jobs.groups import BATCH, PART, Callback, GroupSpec
from antq_actors.storage.jobs.imports import ImportedGroup
from antq_actors.storage.jobs.workflow_reader import WorkflowRow
from antq_actors.workflows.counters import Ends, Event, Group

if TYPE_CHECKING:
    from antq_actors.jobs.instant import Instant
    from antq_actors.storage.jobs.exports import ExportedGroup


class GroupLine(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A group of jobs."""

    antq_group: int
    """Its id."""
    kind: int
    name: str
    created_at: datetime
    key: str | None = None
    callbacks: tuple[Callback, ...] = ()
    """With the specs of their jobs as they are stored, without signatures."""
    cancel_abandoned: bool = False
    parent: int = 0
    closed: bool = False
    is_being_stored: bool = False
    """Whether a node was still adding its members."""
    fired: int = 0
    """The bits of the events whose callbacks were stored."""
    cancelled: bool = False
    cancelling: bool = False
    """Whether some of its members were still to be cancelled."""
    ended_at: datetime | None = None
    cause: int = 0
    output: int = 0
    """The job or group whose result is that of a workflow; 0: it has none."""
    output_is_group: bool = False
    gone: tuple[int, int, int, int] = (0, 0, 0, 0)
    """How the members ended that are deleted: completed, failed, cancelled, not needed."""


_decode: Final = msgspec.json.Decoder(GroupLine).decode
_EVENTS: Final = sum(Event)


def group_line(exported: ExportedGroup) -> GroupLine:
    """Return a stored group as a line of an export has it."""
    id_, group, spec, is_cancelling, row = exported
    row = row or WorkflowRow()
    gone = group.gone
    return GroupLine(
        antq_group=id_,
        kind=spec.kind,
        name=spec.name,
        created_at=instant.datetime_for_display(spec.created_at),
        key=spec.key,
        callbacks=spec.callbacks,
        cancel_abandoned=spec.cancel_abandoned,
        parent=group.parent,
        closed=group.is_closed,
        is_being_stored=bool(group.node),
        fired=group.fired,
        cancelled=group.is_cancelled,
        cancelling=is_cancelling,
        ended_at=instant.datetime_for_display(group.ended_at) if group.ended_at else None,
        cause=group.cause,
        output=row.output,
        output_is_group=row.is_group,
        gone=(gone.completed, gone.failed, gone.cancelled, gone.unneeded),
    )


def group_in(line: str | bytes) -> GroupLine | None:
    """Return the group that a line of an export describes; None: it describes something else."""
    has_name = '"antq_group"' in line if isinstance(line, str) else b'"antq_group"' in line
    if not has_name:
        return None
    try:
        decode_line(line)
    except msgspec.MsgspecError:
        return _decode(line)
    return None  # its arguments have that name


def imported_group(found: GroupLine) -> ImportedGroup:
    """Return the group that a line describes. Raises ValueError, TypeError, MsgspecError."""
    _check(found)
    group = Group(
        gone=Ends(*found.gone),
        is_closed=found.closed,
        fired=found.fired,
        parent=found.parent,
        node=int(found.is_being_stored),
        ended_at=0 if found.ended_at is None else _instant(found.ended_at),
        is_cancelled=found.cancelled,
        cause=found.cause,
    )
    spec = GroupSpec(
        kind=found.kind,
        name=found.name,
        created_at=_instant(found.created_at),
        callbacks=tuple(_callback(each) for each in found.callbacks),
        cancel_abandoned=found.cancel_abandoned,
        key=found.key,
    )
    row = WorkflowRow(found.output, found.output_is_group) if found.output else None
    return ImportedGroup(found.antq_group, group, spec, is_to_be_cancelled(found), row)


def is_to_be_cancelled(found: GroupLine) -> bool:
    """Return whether a group is cancelled when it has come in.

    That is one of which not all was cancelled, and one that is to be when who adds its members is
    gone.
    """
    return found.cancelling or (found.cancel_abandoned and not found.closed)


def _callback(found: Callback) -> Callback:
    state = found.state
    check_queue_name(state.queue_name)
    if not (-128 <= state.priority <= 127 and state.max_attempts >= 1):  # noqa: PLR2004 - as api
        raise ValueError("priority is from -128 to 127, and max_attempts at least 1")
    Event(found.event)
    encoding.decode_spec(found.spec)
    return replace(found, state=replace(state, limited=None, composed=None))


def _check(found: GroupLine) -> None:
    """Raise ValueError for a line with values that no group can have."""
    numbers = found.antq_group, found.parent, found.cause, found.output, *found.gone
    if found.antq_group < 1 or not 0 <= min(numbers) <= max(numbers) <= LARGEST_NUMBER:
        raise ValueError(f"ids and counts of a group are from 0 to {LARGEST_NUMBER}")
    if not (BATCH <= found.kind <= PART and 0 <= found.fired <= _EVENTS):
        raise ValueError("kind or fired of a group is none that there is")


def _instant(moment: datetime) -> Instant:
    return instant.from_datetime(moment if moment.tzinfo else moment.astimezone())
