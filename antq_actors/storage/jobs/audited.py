"""What is done by hand is noted in the transaction that does it: each function is a verb.

An action may take several transactions. The first that changes anything writes its entry, and those
that follow add to what that has counted. A refusal, and what changes nothing, is not noted.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from antq_actors.jobs.audit import mark_of
from antq_actors.storage.format.records import BulkResult
from antq_actors.storage.jobs.audit_table import MOST_ENTRIES, AuditTable
from antq_actors.storage.jobs.charts import AUDIT
from antq_actors.storage.jobs.job_store import JobStore
from antq_actors.storage.jobs.undo_table import TABLE, UndoNotes, UndoTable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from antq_actors.jobs.audit import Action, AuditEntry
    from antq_actors.jobs.instant import Instant
    from antq_actors.storage.jobs.reader import JobReader

_HOUSEKEEPING: Final = (
    *(JobStore.note_encryption, JobStore.declare_limits, JobStore.declare_queue),
    *(JobStore.new_node, JobStore.add_node, JobStore.note_names),
)
"""Verbs that only prepare what somebody does."""
_REPEATED: Final = (JobStore.cancel_group,)
"""Verbs that do one thing piece by piece."""


class Entry(NamedTuple):
    """The entry of an action that is under way."""

    action: Action
    now: Instant
    number: int | None = None
    """Under which it is stored; None: nothing has changed so far, so it is not."""
    token: str | None = None
    """What undoes it; None: nothing does."""


class Audited(NamedTuple):
    """What an audited verb came to."""

    value: Any
    """What the verb itself returned."""
    number: int | None
    """Under which the entry is stored; None: it is not."""
    changed: int = 0
    """How many things the verb has changed."""
    is_undoable: bool = True
    """Whether all that was changed so far can be undone."""


class EntryPage(NamedTuple):
    """Some entries of the audit, the newest first."""

    entries: list[AuditEntry]
    next: int | None
    """The number behind which older ones are; None: there are none."""
    previous: int | None
    """The number in front of which newer ones are; None: there are none."""


def audited(
    store: JobStore,
    entry: Entry,
    verb: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
) -> Audited:
    """Do *verb*, and note that it was done."""
    has_changed = _take_changes(store)
    notes = store.undo = UndoNotes()
    try:
        value = verb(store, *args, **kwargs)
    finally:
        store.undo = None
        changes = _take_changes(store)
        store.has_changed = has_changed or changes
    changed = _count(verb, value, is_first=entry.number is None) if changes else 0
    if not changes or verb in _HOUSEKEEPING or (entry.number is None and not changed):
        return Audited(value, entry.number)
    is_marked = verb is JobStore.set_paused  # by itself
    number = note(store, entry, changed, is_marked=is_marked)
    if entry.token is None:
        return Audited(value, number, changed, is_undoable=False)
    notes.is_complete &= bool(notes.changes or notes.cancelled)
    is_undoable = UndoTable(store._txn, store._tables).keep(entry.token, number, notes, entry.now)
    return Audited(value, number, changed, is_undoable=is_undoable)


def note(store: JobStore, entry: Entry, changed: int, *, is_marked: bool = False) -> int:
    """Note that an action has changed something; return under which number.

    *is_marked*: charts show it already.
    """
    table = AuditTable(store._txn, store._tables)
    store.has_changed = True
    if entry.number is not None:
        table.add_count(entry.number, changed)
        return entry.number
    if not is_marked:
        store.mark_in_charts(AUDIT, mark_of(entry.action, hides=store._tables.cipher is not None))
    return table.add(entry.action, changed, entry.now)


def note_alone(store: JobStore, entry: Entry, changed: int) -> int:
    """Note an action that changes nothing in the store, so that it cannot be undone."""
    if entry.token is not None and entry.number is not None:
        UndoTable(store._txn, store._tables).delete(entry.token)
    return note(store, entry, changed)


def entries(reader: JobReader, limit: int) -> list[AuditEntry]:
    """Read up to *limit* entries of the audit, the newest first."""
    if not reader._tables.has_rows(reader._txn, TABLE):
        return []
    return AuditTable(reader._txn, reader._tables).newest(min(limit, MOST_ENTRIES))


def page(reader: JobReader, limit: int, after: int | None, before: int | None) -> EntryPage:
    """Read up to *limit* entries, the newest first, and the numbers that their neighbours go by.

    Those behind the entry with the number *after*, or in front of the one with *before*.
    """
    if not reader._tables.has_rows(reader._txn, TABLE):
        return EntryPage([], None, None)
    table = AuditTable(reader._txn, reader._tables)
    if before is None:
        found = list(islice(table.below(after), limit))
    else:
        found = list(islice(table.above(before), limit))[::-1]
    if not found:
        return EntryPage([], None, None)
    first, last = found[0][0], found[-1][0]
    is_first = next(table.above(first), None) is None
    is_last = next(table.below(last), None) is None
    entries = [entry for _, entry in found]
    return EntryPage(entries, None if is_last else last, None if is_first else first)


def _take_changes(store: JobStore) -> bool:
    """Write what the transaction keeps back; return whether it has changed anything since."""
    store.flush()
    has_changed = store.has_changed
    store.has_changed = store._jobs.has_changed = store._meta.has_changed = False
    return has_changed


def _count(verb: Callable[..., Any], value: object, *, is_first: bool) -> int:
    """Return how many things a verb has changed that returned *value*."""
    if isinstance(value, BulkResult):
        return value.changed
    if isinstance(value, list):
        return len(value)
    return 1 if is_first or verb not in _REPEATED else 0
