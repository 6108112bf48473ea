"""The store as it is now: its file, who reads from it, and when it was last looked after."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from antq_actors.jobs.instant import datetime_for_display
from antq_actors.storage.jobs import upkeep
from antq_actors.storage.jobs.reader import JobReader

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from antq_actors.insights.source import Source
    from antq_actors.storage.jobs.upkeep import Upkeep
    from antq_actors.storage.lmdb.file_facts import FileFacts, Reader


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
    readers: tuple[Reader, ...]
    last_txn: int
    commit: float | None
    """Seconds that a commit took lately; None: nobody measures it in this process."""
    pruned: Done | None
    backups: tuple[Done, ...]
    """The last one, if any was made."""
    verify: Done | None
    signed: bool
    encrypted: bool


def read_store(source: Source) -> StoreView:
    """Read what is shown of the store."""
    env = source.runtime.environment()
    facts = env.file_facts()
    size = source.store.file_bytes()
    backup = _last(source, upkeep.BACKED_UP)
    return StoreView(
        path=str(source.runtime.path),
        bytes=size,
        map_bytes=facts.map_bytes,
        fill=fill_of(source, facts, size),
        pages=pages_of(facts),
        readers=facts.readers,
        last_txn=facts.last_txn,
        commit=None,
        pruned=_last(source, upkeep.PRUNED),
        backups=() if backup is None else (backup,),
        verify=_last(source, upkeep.VERIFIED),
        signed=source.runtime.is_signed,
        encrypted=source.runtime.is_encrypted,
    )


def pages_of(facts: FileFacts) -> Pages:
    """Return the pages of a file; the first two are LMDB's own."""
    used = {name: pages for name, pages in facts.used.items() if pages}
    return Pages(facts.page_size, used, max(0, facts.pages - 2 - sum(used.values())))


def fill_of(source: Source, facts: FileFacts, size: int) -> float:
    """Return how full the store is: the map is enlarged by itself, so the disk is the end of it."""
    used = (2 + sum(facts.used.values())) * facts.page_size
    room = max(size, used) + shutil.disk_usage(source.runtime.path).free
    return used / room if room else 1.0


def _last(source: Source, what: str) -> Done | None:
    found: Upkeep | None = source.store.read(JobReader.upkeep, what)
    if found is None:
        return None
    return Done(datetime_for_display(found.at), found.count, found.text)
