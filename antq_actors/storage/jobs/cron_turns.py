"""The turns of periodic entries: they fire when they are due, and their next instants are found.

"Insert the job and move the entry to its next instant" is one write transaction, of which LMDB
allows one at a time among all processes. So each instant gets one job, whichever node is awake, and
no node is special. When what fires is decided by the pure rules of ``flow``.
"""

from __future__ import annotations

from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from msgspec.structs import replace

from antq_actors.errors import AntqError, CronError, DamagedRecord, StorageError
from antq_actors.flow.cron import decode_entry
from antq_actors.flow.cron_turn import at_boot, at_start, decide, jitter_of
from antq_actors.jobs import lifecycle
from antq_actors.jobs.history import inserted
from antq_actors.jobs.middleware import with_meta
from antq_actors.jobs.state import JobFlow, NewJob

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from antq_actors.flow.cron import Cron, Every
    from antq_actors.flow.cron_turn import Firing
    from antq_actors.jobs.instant import Instant
    from antq_actors.storage.jobs.cron_table import CronDefinition, CronRow
    from antq_actors.storage.jobs.job_store import JobStore
    from antq_actors.storage.jobs.reader import JobReader

_Key: TypeAlias = "tuple[str, Instant | None]"

MOST_DUE: Final = 100
"""Entries that fire in one transaction, at most; claims wait that long for the write lock."""

MOST_INSERTED: Final = 500
"""Jobs after which a transaction fires no further entry: one that caught up may make a hundred."""


class PlannedJob(NamedTuple):
    """A job that a turn is going to enqueue."""

    name: str
    """Of its entry."""
    at: Instant | None
    """Its instant; None: it is for a run by hand."""
    new: NewJob


class Seen:
    """What the middleware of an application has made of the jobs of a turn, before that is taken.

    A job is named by its entry and its instant; None: for a run by hand.
    """

    def __init__(self) -> None:
        self._metas: dict[_Key, dict[str, str] | None] = {}
        self._refused: set[_Key] = set()
        self.ids: dict[_Key, int] = {}
        """Of the jobs that were stored."""

    def admit(self, name: str, at: Instant | None, meta: dict[str, str] | None) -> None:
        """Let a job be stored, with this kept beside its arguments."""
        self._metas[name, at] = meta

    def refuse(self, name: str, at: Instant | None) -> None:
        """Let a job not be stored; its entry counts it as skipped."""
        self._refused.add((name, at))

    def knows(self, name: str, instants: Iterable[Instant]) -> bool:
        """Return whether the middleware has seen the jobs of an entry for these instants."""
        return all((name, at) in self._metas or (name, at) in self._refused for at in instants)

    def job(self, name: str, at: Instant | None, new: NewJob) -> NewJob | None:
        """Return a job as it is to be stored; None: it is refused."""
        if (name, at) in self._refused:
            return None
        return with_meta(new, self._metas[name, at])


class CronTurn(NamedTuple):
    """What a turn of the cron service did."""

    fired: int
    """Jobs that were enqueued."""
    next_at: Instant | None
    """The next instant of all entries, which may be due already; None: there is none."""
    warnings: list[str]


def head(reader: JobReader) -> Instant | None:
    """Read the next instant of all entries; None: none waits for one."""
    return reader.crons.head()


def fire(
    store: JobStore, *, now: Instant, limit: int = MOST_DUE, seen: Seen | None = None
) -> CronTurn:
    """Enqueue what is due at *now*, of up to *limit* entries, and move those to their next instant.

    An entry of code that no recorded node declares sleeps until one does. *seen*: what middleware
    has made of the jobs; an entry with other ones stays due. None: there is no middleware.
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
        fired += _fire_due(store, name, row, now, warnings, seen=seen)
        if fired >= MOST_INSERTED:
            break
    return CronTurn(fired, store.crons.head(), warnings)


def due_jobs(reader: JobReader, now: Instant, limit: int) -> list[PlannedJob]:
    """Read the jobs that `fire` would enqueue now, of up to *limit* entries; verify nothing."""
    planned: list[PlannedJob] = []
    for at, name in reader.crons.due(now, limit):
        row = reader.crons.get(name)
        if row is None or row.due_at != at:
            continue
        if not row.is_runtime and not reader.crons.declared_by(name):
            continue
        with suppress(DamagedRecord, CronError):
            definition = reader.crons.definition_for_display(row)
            entry = decode_entry(definition.entry)
            firing = _decided(reader, name, row, now, entry)
            planned += _planned(definition, name, entry, firing, now)
    return planned


def _planned(
    definition: CronDefinition, name: str, entry: Cron | Every, firing: Firing, now: Instant
) -> Iterator[PlannedJob]:
    for at in firing.instants:
        due = at + jitter_of(entry, name, at)
        yield PlannedJob(name, at, job_of(definition, name, at, now, due))


def _decided(
    reader: JobReader, name: str, row: CronRow, now: Instant, entry: Cron | Every
) -> Firing:
    """Return what a look at an entry that is due leads to, in one transaction."""
    firing = decide(
        entry,
        name=name,
        next_at=row.next_at or 0,
        last_at=row.last_at,
        now=now,
        last_is_active=_has_active(reader, row),
    )
    if entry.overlap == "allow" and len(firing.instants) > MOST_INSERTED:
        # The rest is due in the next turn. Not where a turn looks at the last job: the rest would
        # meet those of this one.
        now_due, rest = firing.instants[:MOST_INSERTED], firing.instants[MOST_INSERTED:]
        firing = firing._replace(instants=now_due, next_at=rest[0])
    return firing


def _fire_due(
    store: JobStore,
    name: str,
    row: CronRow,
    now: Instant,
    warnings: list[str],
    *,
    seen: Seen | None,
) -> int:
    """Fire an entry that is due; return how many jobs were enqueued."""
    try:
        entry = decode_entry(store.crons.definition(row).entry)
        firing = _decided(store, name, row, now, entry)
    except (DamagedRecord, CronError) as error:
        _stop(store, name, row, error, warnings)
        return 0
    if firing.warning is not None:
        warnings.append(firing.warning)
    return _fire(store, name, row, firing, entry=entry, now=now, seen=seen)


def _fire(
    store: JobStore,
    name: str,
    row: CronRow,
    firing: Firing,
    *,
    entry: Cron | Every,
    now: Instant,
    seen: Seen | None,
) -> int:
    """Enqueue the jobs of a decision and write the entry that comes of it; count the jobs."""
    if seen is not None and not seen.knows(name, firing.instants):
        return 0  # it has changed since the middleware was called: that is called anew
    definition = store.crons.definition(row)
    last_at, last_job, refused, replaced = row.last_at, row.last_job, 0, 0
    fired: list[tuple[int, Instant | None]] = []
    if firing.cancels_last and last_job is not None:
        if store.journal is not None:
            store.journal.by = f"periodic entry {name}"
        _cancel(store, last_job, now)
        replaced = last_job
    for at in firing.instants:
        due = at + jitter_of(entry, name, at)
        new = job_of(definition, name, at, now, due)
        id_ = insert_seen(store, name, at, new, seen, replaces=replaced)
        if id_ is None:
            refused += 1
        else:
            last_at, last_job = at, id_
            fired.append((id_, at))
    if store.journal is not None:
        store.journal.fired(name, fired, firing.missed)
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


def insert_seen(
    store: JobStore,
    name: str,
    at: Instant | None,
    new: NewJob,
    seen: Seen | None,
    *,
    replaces: int = 0,
) -> int | None:
    """Store a job of an entry as the middleware has made it; return its id, None if refused."""
    if seen is None:
        return insert_unless_refused(store, new, replaces=replaces)
    admitted = seen.job(name, at, new)
    if admitted is None:
        return None
    id_ = insert_unless_refused(store, admitted, replaces=replaces)
    if id_ is not None:
        seen.ids[name, at] = id_
    return id_


def insert_unless_refused(store: JobStore, new: NewJob, *, replaces: int = 0) -> int | None:
    """Store a job of an entry; return its id, None if it is refused: it is a duplicate, say.

    That is judged without the job that it *replaces*, which may run until it has noticed.
    """
    try:
        return store.insert(new, replaces=replaces)
    except StorageError:
        raise
    except AntqError:
        return None


def job_of(
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
    return NewJob(state, replace(inserted(spec, state), flow=flow), definition.keys)


# ---- their next instants are found anew --------------------------------------------------------


def boot_jobs(reader: JobReader, after: str, *, node: int, now: Instant) -> list[PlannedJob]:
    """Read the jobs that `refresh` would enqueue at the start of a node; verify nothing."""
    planned: list[PlannedJob] = []
    if not _is_boot(reader, node):
        return planned
    for name, row in islice(reader.crons.rows(after), MOST_DUE):
        if row.paused or row.error is not None:
            continue
        with suppress(DamagedRecord, CronError):
            definition = reader.crons.definition_for_display(row)
            entry = decode_entry(definition.entry)
            if entry.is_reboot and (row.is_runtime or reader.crons.declared_by(name)):
                firing = at_boot(entry, now=now, last_is_active=_has_active(reader, row))
                planned += _planned(definition, name, entry, firing, now)
    return planned


def _is_boot(reader: JobReader, node: int) -> bool:
    """Return whether no recorded node that runs queues has a smaller number than this one."""
    others = (each for each, queues in reader.served_by_node() if queues)
    return not any(each < node for each in others)


def refresh(
    store: JobStore,
    after: str,
    *,
    node: int,
    now: Instant,
    is_start: bool,
    seen: Seen | None = None,
) -> tuple[str | None, list[str]]:
    """Find the next instants of some entries behind the name *after* anew.

    The rules of time zones may have changed, and the clock may have been set back. When a node
    starts, and none with a smaller number is recorded, entries fire whose instant is just that.
    Return the name to go on from, None at the end, and what is to be logged.
    """
    is_boot = is_start and _is_boot(store, node)
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
                _fire(store, name, row, firing, entry=entry, now=now, seen=seen)
            continue
        else:
            known = at_start(
                entry,
                name=name,
                next_at=row.next_at,
                last_at=row.last_at,
                now=now,
                is_set_back=not is_start,
            )
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


def _has_active(reader: JobReader, row: CronRow) -> bool:
    """Return whether the last job of an entry is there and has not ended."""
    return row.last_job is not None and reader.is_active(row.last_job)
