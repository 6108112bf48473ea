"""An action is undone: all that it has changed, in one transaction, if nothing has changed since.

Everything is looked at before anything is changed, so a refusal leaves all as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from antq_actors.errors import AlreadyExists, DamagedRecord, JobNotFound, LimitReached, NotUndoable
from antq_actors.flow import gates
from antq_actors.jobs import history
from antq_actors.jobs.audit import UNREADABLE, Action
from antq_actors.jobs.state import Limited, Status
from antq_actors.storage.jobs.audit_table import AuditTable
from antq_actors.storage.jobs.audited import Entry, note
from antq_actors.storage.jobs.undo_table import (
    UNDO_TIME,
    GlobalChange,
    PauseChange,
    SlotsChange,
    UndoTable,
    is_young,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TypeAlias

    from antq_actors.jobs.audit import AuditEntry
    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.state import JobState
    from antq_actors.storage.format.encoding import JobRecord
    from antq_actors.storage.format.records import QueueReport
    from antq_actors.storage.jobs.job_store import JobStore
    from antq_actors.storage.jobs.undo_table import CancelledJob, QueueChange, Undo

    Reports: TypeAlias = Mapping[int, Mapping[str, QueueReport]]

VERB: Final = "undo"


def undo(
    store: JobStore, token: str, name: str | None, reports: Reports, now: Instant
) -> AuditEntry:
    """Undo the action that has this *token*, for *name*; return the entry that tells of that.

    *reports* are what living nodes say of their queues. Raises NotUndoable.
    """
    store.flush()  # what others have done in this transaction: it is read below
    table = UndoTable(store._txn, store._tables)
    found = table.get(token)
    if found is None and (filter_ := store.stop_before_it_begins(token, now=now)) is not None:
        return _noted(store, filter_, name, 0, now)
    if found is None or not is_young(found, now):
        raise NotUndoable(
            "there is nothing to undo any more: an action can be undone once, within"
            f" {UNDO_TIME // 1_000_000} seconds"
        )
    jobs = table.jobs(token)
    if len(jobs) != found.cancelled:
        raise NotUndoable("what would undo the action is damaged on disk")
    for change in found.changes:
        _check_change(store, change, table, found, reports)
    records = {id_: _cancelled_still(store, id_, job, now) for id_, job in jobs}
    store.stop_what_is_undone(token, now=now)
    for change in reversed(found.changes):
        _undo_change(store, change, reports)
    for id_, job in jobs:
        _undo_cancel(store, id_, records[id_], job, now)
    table.delete(token)
    return _note(store, found, name, len(found.changes) + len(jobs), now)


def _note(store: JobStore, found: Undo, name: str | None, changed: int, now: Instant) -> AuditEntry:
    """Note that an action was undone; return the entry."""
    entries = AuditTable(store._txn, store._tables)
    undone = entries.get(found.entry)
    target = UNREADABLE if undone is None else undone.target
    return _noted(store, target, name, changed, now)


def _noted(
    store: JobStore, target: str, name: str | None, changed: int, now: Instant
) -> AuditEntry:
    note(store, Entry(Action(name, VERB, target, None), now), changed)
    return AuditTable(store._txn, store._tables).newest(1)[0]


# ---- queues -------------------------------------------------------------------------------------


def _check_change(
    store: JobStore, change: QueueChange, table: UndoTable, found: Undo, reports: Reports
) -> None:
    """Raise NotUndoable if a queue is not as a change has left it."""
    queue = change.queue
    if any(type(each) is type(change) and each.queue == queue for each in table.later(found.entry)):
        raise NotUndoable(f"queue {queue!r} was changed again since, so this cannot be undone")
    match change:
        case PauseChange(after=after):
            is_same = store._meta.pause_of(queue) == after
        case GlobalChange(after=after):
            limits = store._meta.queue_limits(queue)
            is_same = (limits.is_set, limits.number) == (True, after)
        case SlotsChange(n=n, before=before):
            left = [node for node in before if node in reports]
            is_same = bool(left) and all(
                _slots(store, node, queue, reports) in (n, before[node]) for node in left
            )
    if not is_same:
        raise NotUndoable(f"queue {queue!r} was changed again since, so this cannot be undone")


def _slots(store: JobStore, node: int, queue: str, reports: Reports) -> int | None:
    """Return how many jobs of a queue a node performs at once, or was told to."""
    told = store._meta.concurrency_command(node, queue)
    if told is not None or queue not in reports[node]:
        return told
    return reports[node][queue].concurrency


def _undo_change(store: JobStore, change: QueueChange, reports: Reports) -> None:
    """Make a queue what it was before a change."""
    match change:
        case PauseChange(queue, None):
            store.set_paused(queue, paused=False)
        case PauseChange(queue, before, _, through):
            assert before is not None  # noqa: S101 - the case before
            store.set_paused(queue, paused=True, by=before.by, reason=before.reason, now=before.at)
            store._meta.set_paused(queue, before)
            waiting = [id_ for id_ in through if _waits_in(store, id_, queue)]
            if waiting:
                store._breakpoints().admit(queue, waiting, store._jobs)
                store.due.add(queue)
        case GlobalChange(queue, (is_set, number)):
            limits = replace(store._meta.queue_limits(queue), is_set=is_set, number=number)
            store._meta.set_queue_limits(queue, limits)
            store.due.add(queue)
        case SlotsChange(queue, _, before):
            for node, n in before.items():
                if node in reports:
                    store.set_concurrency_command(queue, n, [node])


def _waits_in(store: JobStore, id_: int, queue: str) -> bool:
    try:
        record = store._jobs.record(id_)
    except DamagedRecord:
        return False
    return (
        record is not None
        and record.state.queue_name == queue
        and record.state.status in (Status.ENQUEUED, Status.SCHEDULED, Status.RETRYING)
    )


# ---- jobs ---------------------------------------------------------------------------------------


def _cancelled_still(store: JobStore, id_: int, job: CancelledJob, now: Instant) -> JobRecord:
    """Return the record of a job that can become what it was. Raises NotUndoable."""
    try:
        record = store._existing(id_)
    except JobNotFound:
        raise NotUndoable(f"job {id_} was deleted since, so this cannot be undone") from None
    state, before = record.state, job.before
    is_same = state.status is Status.CANCELLED and state.ended_at == job.ended_at
    if not is_same or state.history != before.history + 1:
        raise NotUndoable(f"job {id_} was changed since, so this cannot be undone")
    try:
        if record.digest is not None:
            store._refuse_duplicate(before, store.get(id_).spec, but=id_)
        if before.limited is not None:
            _refuse_full(store, id_, record, before, now)
    except (AlreadyExists, LimitReached) as error:
        raise NotUndoable(f"job {id_} cannot come back: {error}") from error
    return record


def _refuse_full(
    store: JobStore, id_: int, record: JobRecord, before: JobState, now: Instant
) -> None:
    """Raise LimitReached if others have taken the place of a job that waited for a limit."""
    refs = store._refs(id_, record)
    store._refuse_full(before, refs, now)
    if before.status is not Status.ENQUEUED:
        return
    for ref in refs:
        limit = store.limited.table.limit(ref.gate)
        if limit is None or not gates.replaces(limit):
            continue
        if gates.is_full(limit, store.limited.gate(ref, now)):
            raise LimitReached("its limit is full, and it would replace those that wait", None)


def _undo_cancel(
    store: JobStore, id_: int, record: JobRecord, job: CancelledJob, now: Instant
) -> None:
    """Write that a cancelled job is what it was, but for what is noted of it."""
    before = job.before
    state = replace(
        before,
        updated_at=max(now, record.state.updated_at),
        history=record.state.history + 1,
        limited=_placeless(before.limited),
    )
    if before.limited is not None and before.limited.ticket is not None:
        store.limited.comes_back = id_, before.limited.ticket
    was_moved = store._move(id_, record, state, now=now, cause=history.UNDO)
    if before.limited is not None:
        store.limited.comes_back = None
    if not was_moved:
        raise DamagedRecord(f"job {id_} is damaged, so its cancelling cannot be undone")
    store.due.add(before.queue_name)
    if job.is_through and store.is_paused(before.queue_name):
        store._breakpoints().admit(before.queue_name, [id_], store._jobs)


def _placeless(limited: Limited | None) -> Limited | None:
    """Return what is kept of where a job with limits was: it gets its places anew."""
    if limited is None:
        return None
    return Limited(chains=limited.chains if limited.has_begun else ())
