"""Who takes part: the peers with their versions, and in which ways each is measured.

Versions are pinned here and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

ALL: Final = (1, 5, 10, 50, 500)
"""The concurrencies at which a backlog is drained."""
OURS: Final = "antq"


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """What has to be there for one contestant."""

    name: str
    """The module in ``peers/``."""
    title: str
    requirements: tuple[str, ...] = ()
    """What pip installs, the peer first; nothing: it runs in the environment of the suite."""
    python: tuple[int, int] = (3, 11)
    """The oldest it runs on."""
    server: Literal["redis", "postgresql"] | None = None
    concurrencies: tuple[int, ...] = ALL


@dataclass(frozen=True, slots=True)
class Contestant:
    """A peer in one of the ways it can be run."""

    peer: Peer
    durable: bool
    """What is acknowledged is on disk."""
    settings: str
    """What makes it so, for the reader of a table."""
    variant: str = ""

    @property
    def name(self) -> str:
        """Name it in tables and files."""
        what = f"{self.peer.name} {self.variant}".strip()
        return f"{what}, {'durable' if self.durable else 'not durable'}"

    @property
    def is_ours(self) -> bool:
        """Return whether it is ours."""
        return self.peer.name == OURS


ANTQ: Final = Peer(name=OURS, title="antq_actors")
HUEY: Final = Peer(name="huey", title="Huey", requirements=("huey==3.5.4",))
DRAMATIQ: Final = Peer(
    name="dramatiq",
    title="Dramatiq",
    requirements=("dramatiq==2.2.1", "redis==8.1.0"),
    server="redis",
)
RQ: Final = Peer(
    name="rq",
    title="RQ",
    requirements=("rq==3.0.0", "redis==8.1.0"),
    server="redis",
    concurrencies=(1, 5, 10),  # each is a process
)
CELERY: Final = Peer(
    name="celery",
    title="Celery",
    requirements=("celery[redis]==5.7.0", "redis==8.1.0"),
    server="redis",
)
PROCRASTINATE: Final = Peer(
    name="procrastinate",
    title="Procrastinate",
    requirements=("procrastinate==3.10.0", "psycopg[binary]==3.3.9"),
    server="postgresql",
)
OBAN: Final = Peer(
    name="oban",
    title="Oban for Python",
    requirements=("oban==0.7.0", "psycopg[binary]==3.3.9"),
    python=(3, 12),
    server="postgresql",
)
DBOS: Final = Peer(name="dbos", title="DBOS", requirements=("dbos==3.4.0",))

PEERS: Final = (ANTQ, HUEY, DRAMATIQ, RQ, CELERY, PROCRASTINATE, OBAN, DBOS)


def _both(peer: Peer, on: str, off: str) -> tuple[Contestant, Contestant]:
    return Contestant(peer, True, on), Contestant(peer, False, off)  # noqa: FBT003 - by position


REDIS: Final = ("appendfsync always", "nothing on disk")
POSTGRESQL: Final = ("synchronous_commit on", "synchronous_commit off")

CONTESTANTS: Final = (
    Contestant(ANTQ, True, "one process, with a path", "embedded"),  # noqa: FBT003 - as above
    Contestant(ANTQ, True, "workers in another process", "processes"),  # noqa: FBT003
    Contestant(ANTQ, False, "one process, in memory", "embedded"),  # noqa: FBT003
    *_both(HUEY, "SQLite, synchronous FULL", "SQLite, synchronous OFF"),
    *_both(DRAMATIQ, *REDIS),
    *_both(RQ, *REDIS),
    *_both(CELERY, *REDIS),
    *_both(PROCRASTINATE, *POSTGRESQL),
    *_both(OBAN, *POSTGRESQL),
    Contestant(DBOS, True, "SQLite, polling tuned", "tuned"),  # noqa: FBT003
    Contestant(DBOS, True, "SQLite, its defaults", "defaults"),  # noqa: FBT003
)
