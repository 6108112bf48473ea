"""A periodic entry as users hold it, and what an application tells of one."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from antq_actors.app.crons import check_entry
from antq_actors.app.queries import for_display
from antq_actors.checks import exact_str, short_repr, whole
from antq_actors.errors import CronError
from antq_actors.flow.cron import decode_entry, read_stored
from antq_actors.introspection import explain_fields
from antq_actors.jobs import instant
from antq_actors.jobs.worker import in_thread
from antq_actors.queues.services.cron_within import draft_of
from antq_actors.storage.jobs import crons
from antq_actors.storage.jobs.cron_turns import Seen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from antq_actors.app.crons import Entry
    from antq_actors.app.enqueue import Enqueuer
    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.job import Job
    from antq_actors.jobs.state import NewJob
    from antq_actors.storage.client import StorageClient
    from antq_actors.storage.jobs.crons import ListedCron

MOST_BACKFILLED: Final = 10_000
"""Instants for which one call makes jobs, at most."""

_BATCH: Final = 500
"""Jobs stored in one transaction."""


@explain_fields
@dataclass(frozen=True, slots=True, kw_only=True)
class CronInfo:
    """What an application knows of a periodic entry."""

    name: str
    """Its name: that of its worker unless it was given another one."""
    expression: str
    """When it fires, as it was given; of an ``Every``, ``every 300 s``."""
    description: str
    """The same as a sentence."""
    tz: str
    """The zone in which the expression is read."""
    next_at: datetime | None
    """The instant it waits for; None: none, as it is paused, or fires at the start of a node."""
    last_at: datetime | None
    """The instant for which it enqueued its last job."""
    last_job: int | None
    """The id of that job, which may have been deleted since."""
    missed: int
    """Instants for which no job was made, because nobody ran."""
    skipped: int
    """Instants left out because the last job had not ended, or because their own was refused."""
    paused: bool
    """Whether it fires no more until it is resumed."""
    declared_by: tuple[int, ...]
    """The living nodes whose code declares it. None of them: it was made while an application ran,
    or it is dormant, and fires again when a node declares it."""
    error: str | None
    """Why it cannot go on and is paused; None for one that is well."""


def infos(store: StorageClient) -> list[CronInfo]:
    """Read all periodic entries of a store, by name."""
    return [_info(store, each) for each in crons.list_all(store)]


def _info(store: StorageClient, listed: ListedCron) -> CronInfo:
    name, row, definition, declared_by = listed
    expression = description = tz = "?"
    error = row.error
    if definition is None:
        error = error or "it is damaged on disk"
    else:
        try:
            entry = decode_entry(definition.entry)
        except CronError as refused:
            error = error or str(refused)
            with suppress(CronError):
                stored = read_stored(definition.entry)
                expression, tz = stored.expression, stored.tz
        else:
            expression, description, tz = entry.expression, entry.description, entry.tz
    return CronInfo(
        name=name,
        expression=expression,
        description=description,
        tz=tz,
        next_at=_moment(row.due_at),
        last_at=_moment(row.last_at),
        last_job=row.last_job,
        missed=row.missed,
        skipped=row.skipped,
        paused=row.paused or error is not None,
        declared_by=() if row.is_runtime else store.living_of(declared_by),
        error=error,
    )


def _moment(at: Instant | None) -> datetime | None:
    return None if at is None else instant.datetime_for_display(at)


class CronHandle:
    """The handle of a periodic entry, as ``AntQ.cron`` returns it.

    There need be none of its name: its methods raise UnknownCron then, but for :meth:`set`, which
    makes one.
    """

    def __init__(
        self,
        name: str,
        store: StorageClient,
        enqueuer: Enqueuer,
        wake: Callable[[], None],
    ) -> None:
        self.name = name
        self._store = store
        self._enqueuer = enqueuer
        self._wake = wake

    def __repr__(self) -> str:
        return f"<CronHandle {self.name!r}>"

    def info(self) -> CronInfo:
        """Return what is known of the entry. Raises UnknownCron."""
        return _info(self._store, self._store.read(crons.one, self._known()))

    def set(self, entry: Entry) -> None:
        """Make the entry, or replace what it says; it is kept in the store.

        *entry* needs a worker, and is stored under the name of this handle. What it replaces
        catches up nothing. Raises TypeError for what is no entry, CronError for one without a
        worker and for the name of an entry that code declares, and what enqueueing such a job
        raises, such as UnknownQueue; then nothing is stored.
        """
        declaration = self._enqueuer.declaration(check_entry(entry), self.name)
        self._store.write(crons.set_entry, declaration, now=self._enqueuer.clock())
        self._wake()

    def pause(self) -> None:
        """Let the entry fire no more, on every node, also after restarts. Raises UnknownCron."""
        self._store.write(crons.pause, self._known())
        self._wake()

    def resume(self) -> None:
        """Let the entry fire again from now on: what passed meanwhile is neither owed nor missed.

        Raises UnknownCron, and CronError for one whose time zone is still unknown.
        """
        self._store.write(crons.resume, self._known(), now=self._enqueuer.clock())
        self._wake()

    def delete(self) -> None:
        """Delete the entry, but not its jobs. Raises UnknownCron, CronError for one of code."""
        self._store.write(crons.delete, self._known())
        self._wake()

    def run_now(self) -> Job:
        """Enqueue a job of the entry now, paused or not, and return it; it moves nothing else.

        Raises UnknownCron, AlreadyExists.
        """
        name, now, middleware = self._known(), self._enqueuer.clock(), self._enqueuer.middleware
        if middleware is None:
            return for_display(self._store.write(crons.run_now, name, now=now))

        def store(new: NewJob) -> Job:
            seen = Seen()
            seen.admit(name, None, new.spec.meta)
            return for_display(self._store.write(crons.run_now, name, now=now, seen=seen))

        [job] = self._store.read(crons.planned, name, [None], now=now)
        return middleware.store(draft_of(middleware, job), store)

    def backfill(self, start: datetime, end: datetime) -> list[int]:
        """Enqueue a job for each instant from *start* to before *end*; return their ids.

        The oldest first, whatever jobs the entry has enqueued, and paused or not. Duplicates of
        unique jobs are left out. Raises ValueError for an *end* before the *start*, for a datetime
        without a time zone, and for more than 10,000 instants; UnknownCron.
        """
        first, last = _instant(start, "start"), _instant(end, "end")
        if last < first:
            raise ValueError(
                f"end={end.isoformat()} is before start={start.isoformat()}; swap them"
            )
        entry = self._entry()
        if entry.count_between(first, last, MOST_BACKFILLED + 1) > MOST_BACKFILLED:
            raise ValueError(
                f"more than {MOST_BACKFILLED:,} instants of {self.name!r} are between start and"
                " end; backfill shorter stretches, one after another"
            )
        instants = entry.newest(first, last, MOST_BACKFILLED)  # all of them, none looked for anew
        ids: list[int] = []
        for at in range(0, len(instants), _BATCH):
            batch = instants[at : at + _BATCH]
            ids += self._backfill(self._known(), batch, self._enqueuer.clock())
        return ids

    def _backfill(self, name: str, batch: list[Instant], now: Instant) -> list[int]:
        """Enqueue jobs of the entry, within the middleware if there is any; return their ids."""
        middleware = self._enqueuer.middleware
        if middleware is None:
            return self._store.write(crons.backfill, name, batch, now=now)

        def store(news: list[NewJob]) -> list[int]:
            seen = Seen()
            for at, new in zip(batch, news, strict=True):
                seen.admit(name, at, new.spec.meta)
            return self._store.write(crons.backfill, name, batch, now=now, seen=seen)

        jobs = self._store.read(crons.planned, name, batch, now=now)
        return middleware.store_many([draft_of(middleware, job) for job in jobs], store)

    def next(self, n: int = 1, after: datetime | None = None) -> list[datetime]:
        """Return the next *n* instants later than *after*, or than now, in the entry's zone.

        Fewer if there are no more, and none for ``@reboot``. Raises UnknownCron, TypeError,
        ValueError.
        """
        count = whole(n)
        if count is None:
            raise TypeError(f"n must be a whole number, got {short_repr(n)}")
        if count < 0:
            raise ValueError(f"n must be at least 0, got {count}")
        begin = self._enqueuer.clock() if after is None else _instant(after, "after")
        entry = self._entry()
        zone = ZoneInfo(entry.tz)
        return [instant.to_datetime(at).astimezone(zone) for at in _following(entry, begin, count)]

    # ---- for coroutines -----------------------------------------------------------------------

    async def ainfo(self) -> CronInfo:
        """Do what :meth:`info` does, without stopping the event loop that awaits it."""
        return await in_thread(self.info)

    async def aset(self, entry: Entry) -> None:
        """Do what :meth:`set` does, without stopping the event loop that awaits it."""
        await in_thread(self.set, entry)

    async def apause(self) -> None:
        """Do what :meth:`pause` does, without stopping the event loop that awaits it."""
        await in_thread(self.pause)

    async def aresume(self) -> None:
        """Do what :meth:`resume` does, without stopping the event loop that awaits it."""
        await in_thread(self.resume)

    async def adelete(self) -> None:
        """Do what :meth:`delete` does, without stopping the event loop that awaits it."""
        await in_thread(self.delete)

    async def arun_now(self) -> Job:
        """Do what :meth:`run_now` does, without stopping the event loop that awaits it."""
        return await in_thread(self.run_now)

    async def abackfill(self, start: datetime, end: datetime) -> list[int]:
        """Do what :meth:`backfill` does, without stopping the event loop that awaits it."""
        return await in_thread(self.backfill, start, end)

    async def anext(self, n: int = 1, after: datetime | None = None) -> list[datetime]:
        """Do what :meth:`next` does, without stopping the event loop that awaits it."""
        return await in_thread(self.next, n, after)

    def _known(self) -> str:
        """Return the name of the handle. Raises TypeError for one that no entry can have."""
        if not isinstance(self.name, str):
            raise TypeError(
                f"the name of a periodic entry must be a str, got {short_repr(self.name)}"
            )
        return exact_str(self.name)

    def _entry(self) -> Entry:
        found = self._store.read(crons.one, self._known())
        if found.definition is None:
            raise CronError(f"the periodic entry {self.name!r} is damaged on disk")
        return decode_entry(found.definition.entry)


class CronOfApplication(CronHandle):
    """The handle of a periodic entry of an application that does not run when it is made.

    Each verb looks for the entry where the application runs then, or raises NotStarted.
    """

    def __init__(self, name: str, find: Callable[[str], CronHandle]) -> None:
        self.name = name
        self._find = find

    def info(self) -> CronInfo:
        """Return what is known of the entry."""
        return self._find(self.name).info()

    def set(self, entry: Entry) -> None:
        """Make the entry, or replace what it says."""
        self._find(self.name).set(entry)

    def pause(self) -> None:
        """Let the entry fire no more."""
        self._find(self.name).pause()

    def resume(self) -> None:
        """Let the entry fire again from now on."""
        self._find(self.name).resume()

    def delete(self) -> None:
        """Delete the entry, but not its jobs."""
        self._find(self.name).delete()

    def run_now(self) -> Job:
        """Enqueue a job of the entry now, and return it."""
        return self._find(self.name).run_now()

    def backfill(self, start: datetime, end: datetime) -> list[int]:
        """Enqueue a job for each instant from *start* to before *end*; return their ids."""
        return self._find(self.name).backfill(start, end)

    def next(self, n: int = 1, after: datetime | None = None) -> list[datetime]:
        """Return the next *n* instants later than *after*, or than now."""
        return self._find(self.name).next(n, after)


def _following(entry: Entry, after: Instant, count: int) -> Iterator[Instant]:
    for _ in range(count):
        at = entry.next_after(after)
        if at is None:
            return
        yield at
        after = at


def _instant(moment: object, what: str) -> Instant:
    if not isinstance(moment, datetime):
        raise TypeError(f"{what} must be a datetime with a time zone, got {short_repr(moment)}")
    if moment.utcoffset() is None:
        raise ValueError(
            f"{what}={moment.isoformat()} has no time zone; write for example datetime.now(UTC)"
        )
    return instant.from_datetime(moment)
