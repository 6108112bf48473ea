"""One limit: its numbers, its keys, who holds its places, and when it opens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from antq_actors.errors import UnknownLimit
from antq_actors.storage.jobs.reader import JobReader

if TYPE_CHECKING:
    from datetime import datetime

    from antq_actors.flow.limits import LimitInfo
    from antq_actors.insights.source import Source

MOST_KEYS: Final = 100
"""Keys that are shown of a limit: those for which most jobs wait."""


@dataclass(frozen=True, slots=True)
class LimitKey:
    """A limit at one of its keys."""

    key: str | None
    """As people read it; None: the limit has no keys."""
    running: int
    waiting: int
    holders: tuple[int, ...]
    """The ids of the jobs that hold its places, 100 at most."""
    paused: bool
    opens_at: datetime | None
    """When the next job may start; None if now, or if nothing but the end of a job opens it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitView:
    """A limit by its name, over all its keys."""

    name: str
    infos: tuple[LimitInfo, ...]
    """Its numbers in force: of its concurrency, its rate, or both."""
    paused: bool
    """Whether it is paused as a whole."""
    running: int
    waiting: int
    holders: tuple[int, ...]
    opens_at: datetime | None
    keys: tuple[LimitKey, ...]
    """Those in use for which most jobs wait, at most 100."""


def read_limit(source: Source, name: str) -> LimitView:
    """Read one limit. Raises UnknownLimit, TypeError."""
    whole = source.app.limit(name).status()
    infos = tuple(info for info in source.app.limits() if info.name == name)
    if not infos:
        raise UnknownLimit(f"no limit has the name {name!r}")
    is_paused, gates = source.store.read(JobReader.gates_in_use, name, MOST_KEYS, source.now())
    return LimitView(
        name=name,
        infos=infos,
        paused=is_paused,
        running=whole.running,
        waiting=whole.waiting,
        holders=whole.holders,
        opens_at=whole.opens_at,
        keys=tuple(
            LimitKey(
                gate.key,
                gate.status.running,
                gate.status.waiting,
                gate.status.holders,
                gate.is_paused,
                gate.status.opens_at,
            )
            for gate in gates
        ),
    )
