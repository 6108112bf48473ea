"""Periodic entries are declared, changed and looked at; how they fire is in ``cron_turns``."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec.structs import replace

from antq_actors.errors import CronError, DamagedRecord
from antq_actors.flow.cron import decode_entry
from antq_actors.storage.jobs.cron_table import CronDefinition, CronRow
from antq_actors.storage.jobs.cron_turns import PlannedJob, insert_seen, job_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from antq_actors.flow.cron import Cron, Every
    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.state import NewJob, StoredJob
    from antq_actors.storage.client import StorageClient
    from antq_actors.storage.jobs.cron_table import CronTable
    from antq_actors.storage.jobs.cron_turns import Seen
    from antq_actors.storage.jobs.job_store import JobStore
    from antq_actors.storage.jobs.reader import JobReader

MOST_LISTED: Final = 500
"""Entries that are read in one transaction, at most."""


class CronDeclaration(NamedTuple):
    """An entry that is to be stored: what code, or a program while it runs, says."""

    name: str
    entry: Cron | Every
    job: NewJob
    """The job of each instant, but for its times."""
    digest: bytes


class ListedCron(NamedTuple):
    """An entry, as it is read to be shown."""

    name: str
    row: CronRow
    definition: CronDefinition | None
    """None: it is damaged."""
    declared_by: tuple[int, ...]
    """The recorded nodes, which need not live."""


# ---- entries are declared ---------------------------------------------------------------------


def find_taken(reader: JobReader, names: Collection[str]) -> list[str]:
    """Read which of these *names*, of code, are those of entries that were made at runtime."""
    rows = [(name, reader.crons.get(name)) for name in names]
    return [name for name, row in rows if row is not None and row.is_of_runtime]


def declare(
    store: JobStore,
    declarations: Sequence[CronDeclaration],
    *,
    node: int,
    now: Instant,
    changes: bool,
) -> None:
    """Store that *node* declares these entries of code; make those that are not there yet.

    Unless it *changes* them, for nodes that start, those that are there keep what they say. Raises
    CronError for the name of an entry that was made at runtime.
    """
    for each in declarations:
        table, old = store.crons, store.crons.get(each.name)
        if old is not None and old.is_of_runtime:
            raise taken(each.name)
        row = old
        if row is None or changes:
            row = _declared(store, each, old, now, is_runtime=False)
        if row.dormant_since is not None:
            row = replace(row, dormant_since=None)
        if row != old:
            table.put(each.name, row, old)
        table.declare(each.name, node)


def taken(name: str) -> CronError:
    """Return the error about code that takes the name of an entry that was made at runtime."""
    return CronError(
        f"the periodic entry {name!r} was made while an application ran, with app.cron({name!r})"
        ".set(…), so code cannot declare another one of this name; give yours another name, or"
        f" delete that one: app.cron({name!r}).delete()"
    )


def set_entry(store: JobStore, declaration: CronDeclaration, *, now: Instant) -> None:
    """Make or replace an entry that no code declares. Raises CronError for one of code."""
    name = declaration.name
    old = store.crons.get(name)
    if old is not None and not old.is_runtime:
        raise _of_code(name, "changed")
    store.crons.put(name, _declared(store, declaration, old, now, is_runtime=True), old)


def _declared(
    store: JobStore, new: CronDeclaration, old: CronRow | None, now: Instant, *, is_runtime: bool
) -> CronRow:
    """Return the row of a declared entry. What the old rule has missed is not caught up."""
    state, spec = new.job.state, new.job.spec
    definition = CronDefinition(
        new.entry.encode(),
        state.queue_name,
        state.priority,
        state.max_attempts,
        spec,
        new.job.keys,
    )
    if old is not None and old.digest == new.digest and old.error is None:
        if _is_same(store, old, definition):
            return old
        return replace(old, definition=store.crons.sealed(definition))
    sealed, next_at = store.crons.sealed(definition), new.entry.next_after(now)
    if old is None:
        return CronRow(sealed, new.digest, is_runtime, next_at)
    return replace(
        old,
        definition=sealed,
        digest=new.digest,
        is_runtime=is_runtime,
        next_at=next_at,
        error=None,
    )


def _is_same(store: JobStore, old: CronRow, definition: CronDefinition) -> bool:
    """Return whether an entry says this already, but for the time at which it was declared."""
    try:
        known = store.crons.definition(old)
    except DamagedRecord:
        return False
    spec = replace(definition.spec, inserted_at=known.spec.inserted_at)
    return replace(definition, spec=spec) == known


# ---- entries are changed ----------------------------------------------------------------------


def pause(store: JobStore, name: str) -> None:
    """Let an entry fire no more, until it is resumed. Raises UnknownCron."""
    row = store.crons.existing(name)
    if not row.paused:
        store.crons.put(name, replace(row, paused=True), row)


def resume(store: JobStore, name: str, *, now: Instant) -> None:
    """Let an entry fire again, from now on: a pause owes nothing. Raises UnknownCron, CronError."""
    row = store.crons.existing(name)
    if row.paused or row.error is not None:
        entry = decode_entry(store.crons.definition(row).entry)
        fresh = replace(row, paused=False, error=None, next_at=entry.next_after(now))
        store.crons.put(name, fresh, row)


def delete(store: JobStore, name: str) -> None:
    """Delete an entry that was made at runtime. Raises UnknownCron, CronError for one of code."""
    row = store.crons.existing(name)
    if not row.is_runtime:
        raise _of_code(name, "deleted")
    store.crons.delete(name, row)


def planned(
    reader: JobReader, name: str, instants: Sequence[Instant | None], *, now: Instant
) -> list[PlannedJob]:
    """Read the jobs of an entry for these instants; None: for a run by hand. Raises UnknownCron."""
    definition = reader.crons.definition_for_display(reader.crons.existing(name))
    return [PlannedJob(name, at, job_of(definition, name, at, now, None)) for at in instants]


def run_now(store: JobStore, name: str, *, now: Instant, seen: Seen | None = None) -> StoredJob:
    """Enqueue a job of an entry, which it moves in nothing; return the job.

    *seen*: what middleware has made of it. Raises UnknownCron, and what refuses the job.
    """
    definition = store.crons.definition(store.crons.existing(name))
    new = job_of(definition, name, None, now, None)
    if seen is not None:
        new = seen.job(name, None, new) or new  # never refused: that was raised before
    id_ = store.insert(new)
    if store.journal is not None:
        store.journal.fired(name, [(id_, None)])
    return store.get(id_)


def backfill(
    store: JobStore,
    name: str,
    instants: Sequence[Instant],
    *,
    now: Instant,
    seen: Seen | None = None,
) -> list[int]:
    """Enqueue a job of an entry for each of these instants; return the ids of those not refused.

    *seen*: what middleware has made of them. Raises UnknownCron.
    """
    definition = store.crons.definition(store.crons.existing(name))
    jobs = ((job_of(definition, name, at, now, None), at) for at in instants)
    stored = [(insert_seen(store, name, at, new, seen), at) for new, at in jobs]
    fired = [(id_, at) for id_, at in stored if id_ is not None]
    if store.journal is not None:
        store.journal.fired(name, fired)
    return [id_ for id_, _ in fired]


def find_dormant(reader: JobReader, after: str) -> tuple[str | None, list[str]]:
    """Read which of some entries behind the name *after* are of code, and no node declares them.

    Return the name to go on from, None at the end, and the names.
    """
    table = reader.crons
    batch = list(islice(table.rows(after), MOST_LISTED))
    found = [name for name, row in batch if not row.is_runtime and not table.declared_by(name)]
    return (batch[-1][0] if len(batch) == MOST_LISTED else None), found


def sweep(
    store: JobStore, names: Collection[str], *, retention: Instant | None, now: Instant
) -> list[str]:
    """Note that no recorded node declares these entries of code; delete them after *retention*.

    Return the names of those that were deleted.
    """
    deleted = []
    for name in names:
        row = store.crons.get(name)
        if row is None or row.is_runtime or store.crons.declared_by(name):
            continue
        since = row.dormant_since
        if since is None or since > now:
            store.crons.put(name, replace(row, dormant_since=now), row)
        elif retention is not None and now - since >= retention:
            store.crons.delete(name, row)
            deleted.append(name)
    return deleted


def _of_code(name: str, what: str) -> CronError:
    return CronError(
        f"the periodic entry {name!r} is declared by code, so it cannot be {what} here: change the"
        f" code, or pause it: app.cron({name!r}).pause()"
    )


def import_entry(store: JobStore, name: str, definition: CronDefinition, row: CronRow) -> bool:
    """Store an entry that another store exported, unless there is one of its name."""
    if store.crons.get(name) is not None:
        return False
    definition = store.crons.marked(definition)
    store.crons.put(name, replace(row, definition=store.crons.sealed(definition)))
    return True


# ---- entries are looked at --------------------------------------------------------------------


def page(reader: JobReader, after: str) -> list[ListedCron]:
    """Read the first `MOST_LISTED` entries whose names come after *after*, by name."""
    table = reader.crons
    return [_listed(table, name, row) for name, row in islice(table.rows(after), MOST_LISTED)]


def one(reader: JobReader, name: str) -> ListedCron:
    """Read the entry of this name. Raises UnknownCron."""
    return _listed(reader.crons, name, reader.crons.existing(name))


def _listed(table: CronTable, name: str, row: CronRow) -> ListedCron:
    try:
        definition = table.definition_for_display(row, decrypts=False)
    except DamagedRecord:
        definition = None
    return ListedCron(name, row, definition, table.declared_by(name))


def list_all(store: StorageClient) -> Iterator[ListedCron]:
    """Yield all entries of a store by name, read page by page."""
    after: str | None = ""
    while after is not None:
        found = store.read(page, after)
        yield from found
        after = found[-1].name if len(found) == MOST_LISTED else None
