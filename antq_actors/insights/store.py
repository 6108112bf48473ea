"""The store as it is now: its file, who reads from it, and when it was last looked after."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from antq_actors.introspection import NOT_SHOWN
from antq_actors.jobs.instant import SECOND, datetime_for_display
from antq_actors.storage.jobs import upkeep
from antq_actors.storage.jobs.file_samples import share_of
from antq_actors.storage.jobs.reader import JobReader

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from antq_actors.insights.source import Source
    from antq_actors.jobs.instant import Instant
    from antq_actors.storage.jobs.file_samples import FileSample
    from antq_actors.storage.jobs.upkeep import Upkeep
    from antq_actors.storage.lmdb.file_facts import FileFacts, Reader

LEAST_SPAN: Final = 600.0
"""Seconds over which the growth of a store is known, at least, to say where it leads to."""
_ENOUGH_COMMITS: Final = 20
"""Commits of this process after which it is asked, and no longer the one that wrote last."""


@dataclass(frozen=True, slots=True)
class Done:
    """Something that was done for the store, the last time."""

    at: datetime
    count: int
    """Of pruned jobs, or of findings."""
    target: str
    """Where a backup is."""


@dataclass(frozen=True, slots=True)
class Pages:
    """The pages of the data file."""

    size: int
    """In bytes."""
    used: Mapping[str, int]
    """Those that hold something, by table."""
    free: int
    """Those left by what was deleted, for what is stored next."""


@dataclass(frozen=True, slots=True)
class ReaderView:
    """Somebody who reads the store, or may at any time."""

    pid: int
    txn: int | None
    """The transaction that it sees, whose pages cannot be used again; None: it reads nothing."""
    age: float | None
    """Seconds for which what it sees has been an old state, at least; None: it reads nothing, or
    the newest state, or that is not known yet."""


@dataclass(frozen=True, slots=True)
class Growth:
    """How a store fills up."""

    seconds: float
    """The span over which it was looked at, up to a day."""
    bytes_per_second: float
    """Of what is stored; below 0 where it becomes less."""
    full_in: float | None
    """Seconds until the room of file and disk is taken at this pace; None: it does not grow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreView:
    """A store."""

    path: str
    bytes: int
    """Of the data file."""
    map_bytes: int
    """How large the file may become before its map is enlarged, which happens by itself."""
    fill: float
    """What is stored, as a share of what the file and its disk have room for."""
    pages: Pages
    readers: tuple[ReaderView, ...]
    last_txn: int
    commit: float | None
    """Seconds that half of the last commits took, at most; of this process, or of the one that has
    written for charts last. None: there were none in a day."""
    pruned: Done | None
    backups: tuple[Done, ...]
    """The last one, if any was made."""
    verify: Done | None
    signed: bool
    encrypted: bool
    commit_p95: float | None = field(default=None, metadata=NOT_SHOWN)
    """The same for 19 of 20 commits."""
    growth: Growth | None = field(default=None, metadata=NOT_SHOWN)
    """None: it is not known yet."""


def read_store(source: Source) -> StoreView:
    """Read what is shown of the store."""
    env = source.runtime.environment()
    facts = env.file_facts()
    size = source.store.file_bytes()
    backup = _last(source, upkeep.BACKED_UP)
    samples, now = source.store.read(JobReader.file_samples), source.now()
    commit, slow_commit = commits_of(env.commits_took, samples)
    used, room = room_of(source, facts, size)
    return StoreView(
        path=str(source.runtime.path),
        bytes=size,
        map_bytes=facts.map_bytes,
        fill=used / room if room else 1.0,
        pages=pages_of(facts),
        readers=tuple(_seen(each, facts.last_txn, samples, now) for each in facts.readers),
        last_txn=facts.last_txn,
        commit=commit,
        pruned=_last(source, upkeep.PRUNED),
        backups=() if backup is None else (backup,),
        verify=_last(source, upkeep.VERIFIED),
        signed=source.runtime.is_signed,
        encrypted=source.runtime.is_encrypted,
        commit_p95=slow_commit,
        growth=growth_of(samples, facts.page_size, room - used),
    )


def pages_of(facts: FileFacts) -> Pages:
    """Return the pages of a file; the first two are LMDB's own."""
    used = {name: pages for name, pages in facts.used.items() if pages}
    return Pages(facts.page_size, used, max(0, facts.pages - 2 - sum(used.values())))


def room_of(source: Source, facts: FileFacts, size: int) -> tuple[int, int]:
    """Return the bytes that are taken, and the room that there is.

    The map is enlarged by itself, so the disk is the end of it.
    """
    used = (2 + sum(facts.used.values())) * facts.page_size
    return used, max(size, used) + shutil.disk_usage(source.runtime.path).free


def commits_of(
    took: Sequence[float], samples: Sequence[FileSample]
) -> tuple[float | None, float | None]:
    """Return the seconds that half of the last commits took at most, and 19 of 20.

    A process that commits nothing, such as one that only looks, knows that from those that do.
    """
    own = list(took)
    known = [each for each in samples if each.commit is not None]
    if known and len(own) < _ENOUGH_COMMITS:
        return known[-1].commit, known[-1].commit_p95
    return share_of(own, 0.5), share_of(own, 0.95)


def growth_of(samples: Sequence[FileSample], page_size: int, left: int) -> Growth | None:
    """Return how a store fills that has room for so many bytes more; None: not known yet.

    >>> from antq_actors.storage.jobs.file_samples import FileSample
    >>> hour = 3_600 * 1_000_000
    >>> growth_of([FileSample(0, 10, 1, None, None), FileSample(hour, 370, 2, None, None)], 10, 60)
    Growth(seconds=3600.0, bytes_per_second=1.0, full_in=60.0)
    """
    if not samples:
        return None
    seconds = (samples[-1].at - samples[0].at) / SECOND
    if seconds < LEAST_SPAN:
        return None
    pace = (samples[-1].pages - samples[0].pages) * page_size / seconds
    return Growth(seconds, pace, left / pace if pace > 0 else None)


def age_of(
    txn: int | None, last_txn: int, samples: Sequence[FileSample], now: Instant
) -> float | None:
    """Return for how many seconds a transaction has been an old state, at least; None: unknown."""
    if txn is None or txn >= last_txn:
        return None
    later = next((each for each in samples if each.txn > txn), None)
    return None if later is None else max(0.0, (now - later.at) / SECOND)


def _seen(reader: Reader, last_txn: int, samples: Sequence[FileSample], now: Instant) -> ReaderView:
    return ReaderView(reader.pid, reader.txn, age_of(reader.txn, last_txn, samples, now))


def _last(source: Source, what: str) -> Done | None:
    found: Upkeep | None = source.store.read(JobReader.upkeep, what)
    if found is None:
        return None
    return Done(datetime_for_display(found.at), found.count, found.text)
