"""The verbs of periodic entries: they are declared, they fire, they are changed.

"Insert the job and move the entry to its next instant" is one write transaction, of which LMDB
allows one at a time among all processes. So each instant gets one job, whichever node is awake, and
no node is special. When what fires is decided by the pure rules of ``flow``.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec.structs import replace

from antq_actors.errors import AntqError, CronError, DamagedRecord, StorageError
from antq_actors.flow.cron import decode_entry
from antq_actors.flow.cron_turn import at_boot, at_start, decide, jitter_of
from antq_actors.jobs import lifecycle
from antq_actors.jobs.state import JobFlow, NewJob
from antq_actors.storage.jobs.cron_table import CronDefinition, CronRow

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from antq_actors.flow.cron import Cron, Every
    from antq_actors.flow.cron_turn import Firing
    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.state import StoredJob
    from antq_actors.storage.jobs.job_store import JobStore
    from antq_actors.storage.jobs.reader import JobReader

MOST_DUE: Final = 100
"""Entries that fire in one transaction, at most; claims wait that long for the write lock."""

MOST_INSERTED: Final = 500
"""Jobs after which a transaction fires no further entry: one that caught up may make a hundred."""


class CronDeclaration(NamedTuple):
    """An entry that is to be stored: what code, or a program while it runs, says."""

    name: str
    entry: Cron | Every
    job: NewJob
    """The job of each instant, but for its times."""
    digest: bytes


class CronTurn(NamedTuple):
    """What a turn of the cron service did."""

    fired: int
    """Jobs that were enqueued."""
    next_at: Instant | None
    """The next instant of all entries, which may be due already; None: there is none."""
    warnings: list[str]


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
    return [name for name, row in rows if row is not None and row.is_runtime]


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
        if old is not None and old.is_runtime:
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
    if old is not None and old.digest == new.digest:
        if _is_same(store, old, definition):
            return old
        return replace(old, definition=store.crons.sealed(definition))
    sealed, next_at = store.crons.sealed(definition), new.entry.next_after(now)
    if old is None:
        return CronRow(sealed, new.digest, is_runtime, next_at)
    return replace(old, definition=sealed, digest=new.digest, next_at=next_at, error=None)


def _is_same(store: JobStore, old: CronRow, definition: CronDefinition) -> bool:
    """Return whether an entry says this already, but for the time at which it was declared."""
    try:
        known = store.crons.definition(old)
    except DamagedRecord:
        return False
    spec = replace(definition.spec, inserted_at=known.spec.inserted_at)
    return replace(definition, spec=spec) == known


def refresh(
    store: JobStore, after: str, *, node: int, now: Instant, is_start: bool
) -> tuple[str | None, list[str]]:
    """Find the next instants of some entries behind the name *after* anew.

    The rules of time zones may have changed, and the clock may have been set back. When a node
    starts, and none with a smaller number is recorded, entries fire whose instant is just that.
    Return the name to go on from, None at the end, and what is to be logged.
    """
    is_boot = is_start and not any(each < node for each in store.nodes())
    warnings: list[str] = []
    batch = list(islice(store.crons.rows(after), MOST_DUE))
    for name, row in batch:
        try:
            entry = decode_entry(store.crons.definition(row).entry)
        except (DamagedRecord, CronError) as error:
            _stop(store, name, row, error, warnings)
            continue
        if row.error is not None:  # it could not go on until now, and owes nothing
            fresh = replace(row, error=None, next_at=entry.next_after(now))
        elif row.paused:
            continue
        elif entry.is_reboot:
            if is_boot and (row.is_runtime or store.crons.declared_by(name)):
                firing = at_boot(entry, now=now, last_is_active=_has_active(store, row))
                _fire(store, name, row, firing, entry=entry, now=now)
            continue
        else:
            known = at_start(entry, name=name, next_at=row.next_at, last_at=row.last_at, now=now)
            if known.warning is not None:
                warnings.append(known.warning)
            fresh = replace(row, next_at=known.next_at)
        if fresh != row:
            store.crons.put(name, fresh, row)
    return (batch[-1][0] if len(batch) == MOST_DUE else None), warnings


def _stop(store: JobStore, name: str, row: CronRow, error: Exception, warnings: list[str]) -> None:
    """Write that an entry cannot go on, and why."""
    if row.error != str(error):
        warnings.append(f"periodic job {name!r} is paused: {error}")
        store.crons.put(name, replace(row, error=str(error)), row)


def _has_active(store: JobStore, row: CronRow) -> bool:
    """Return whether the last job of an entry is there and has not ended."""
    return row.last_job is not None and store.is_active(row.last_job)


# ---- entries fire -----------------------------------------------------------------------------


def head(reader: JobReader) -> Instant | None:
    """Read the next instant of all entries; None: none waits for one."""
    return reader.crons.head()


def fire(store: JobStore, *, now: Instant, limit: int = MOST_DUE) -> CronTurn:
    """Enqueue what is due at *now*, of up to *limit* entries, and move those to their next instant.

    An entry of code that no recorded node declares sleeps until one does.
    """
    fired = 0
    warnings: list[str] = []
    for at, name in store.crons.due(now, limit):
        row = store.crons.get(name)
        if row is None or row.due_at != at:
            store.crons.drop_due(at, name)
            continue
        if not row.is_runtime and not store.crons.declared_by(name):
            store.crons.put(name, replace(row, dormant_since=now), row)
            continue
        fired += _fire_due(store, name, row, now, warnings)
        if fired >= MOST_INSERTED:
            break
    return CronTurn(fired, store.crons.head(), warnings)


def _fire_due(store: JobStore, name: str, row: CronRow, now: Instant, warnings: list[str]) -> int:
    """Fire an entry that is due; return how many jobs were enqueued."""
    try:
        entry = decode_entry(store.crons.definition(row).entry)
        firing = decide(
            entry,
            name=name,
            next_at=row.next_at or 0,
            last_at=row.last_at,
            now=now,
            last_is_active=_has_active(store, row),
        )
    except (DamagedRecord, CronError) as error:
        _stop(store, name, row, error, warnings)
        return 0
    if firing.warning is not None:
        warnings.append(firing.warning)
    return _fire(store, name, row, firing, entry=entry, now=now)


def _fire(
    store: JobStore,
    name: str,
    row: CronRow,
    firing: Firing,
    *,
    entry: Cron | Every,
    now: Instant,
) -> int:
    """Enqueue the jobs of a decision and write the entry that comes of it; count the jobs."""
    definition = store.crons.definition(row)
    last_at, last_job, refused = row.last_at, row.last_job, 0
    if firing.cancels_last and last_job is not None:
        _cancel(store, last_job, now)
    for at in firing.instants:
        due = at + jitter_of(entry, name, at)
        id_ = _insert(store, _job(definition, name, at, now, due))
        if id_ is None:
            refused += 1
        else:
            last_at, last_job = at, id_
    fresh = replace(
        row,
        next_at=firing.next_at,
        last_at=last_at,
        last_job=last_job,
        missed=row.missed + firing.missed,
        skipped=row.skipped + firing.skipped + refused,
    )
    store.crons.put(name, fresh, row)
    return len(firing.instants) - refused


def _cancel(store: JobStore, id_: int, now: Instant) -> None:
    try:
        store.cancel(id_, now=now)
    except StorageError:
        raise
    except AntqError:  # it has ended, or was deleted
        return


def _insert(store: JobStore, new: NewJob) -> int | None:
    """Store a job of an entry; return its id, None if it is refused: it is a duplicate, say."""
    try:
        return store.insert(new)
    except StorageError:
        raise
    except AntqError:
        return None


def _job(
    definition: CronDefinition, name: str, at: Instant | None, now: Instant, due: Instant | None
) -> NewJob:
    """Return the job of an entry for the instant *at*; None: for a run by hand."""
    spec = definition.spec
    flow = spec.flow or JobFlow()
    state = lifecycle.create(
        queue_name=definition.queue_name,
        now=now,
        due=due if due is not None and due > now else None,
        priority=definition.priority,
        max_attempts=definition.max_attempts,
    )
    flow = replace(flow, cron=name, scheduled_for=at)
    return NewJob(state, replace(spec, inserted_at=now, flow=flow), definition.keys)


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


def run_now(store: JobStore, name: str, *, now: Instant) -> StoredJob:
    """Enqueue a job of an entry, which it moves in nothing; return the job.

    Raises UnknownCron, and what refuses the job.
    """
    definition = store.crons.definition(store.crons.existing(name))
    return store.get(store.insert(_job(definition, name, None, now, None)))


def backfill(store: JobStore, name: str, instants: Sequence[Instant], *, now: Instant) -> list[int]:
    """Enqueue a job of an entry for each of these instants; return the ids of those not refused.

    Raises UnknownCron.
    """
    definition = store.crons.definition(store.crons.existing(name))
    jobs = (_job(definition, name, at, now, None) for at in instants)
    return [id_ for id_ in (_insert(store, new) for new in jobs) if id_ is not None]


def sweep(store: JobStore, *, retention: Instant | None, now: Instant) -> list[str]:
    """Note which entries of code no recorded node declares; delete them after *retention*.

    Return the names of those that were deleted.
    """
    deleted = []
    for name, row in list(store.crons.rows()):
        if row.is_runtime or store.crons.declared_by(name):
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
    store.crons.put(name, replace(row, definition=store.crons.sealed(definition)))
    return True


# ---- entries are looked at --------------------------------------------------------------------


def listed(reader: JobReader, name: str | None = None) -> list[ListedCron]:
    """Read all entries by name, or the one of this name. Raises UnknownCron."""
    table = reader.crons
    rows = table.rows() if name is None else iter([(name, table.existing(name))])
    found = []
    for each, row in rows:
        try:
            definition = table.definition_for_display(row)
        except DamagedRecord:
            definition = None
        found.append(ListedCron(each, row, definition, table.declared_by(each)))
    return found
