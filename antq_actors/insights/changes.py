"""Whether anything has changed since one last looked, and what: asked often, so it is cheap.

What a store has changes with the number of its last transaction; only when that is another one, the
counts of its queues are read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from zlib import crc32

from antq_actors.insights import chaos_runs
from antq_actors.insights.overview import Counts
from antq_actors.insights.queues import WAITING
from antq_actors.jobs.state import Status
from antq_actors.otp.inspect import recent
from antq_actors.storage.jobs.reader import JobReader

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from antq_actors.insights.source import Source


@dataclass(frozen=True, slots=True)
class Version:
    """A state of what can be looked at; equal ones are the same state."""

    txn: int
    """The number of the last transaction of the store, of any process."""
    tree: int
    """How many events of supervisors of this process there were."""
    chaos: tuple[tuple[datetime, int, str], ...] = ()
    """What the chaos runs of this process have come to, as ``come_to`` has it."""

    @property
    def mark(self) -> str:
        """A short text that says which state it is: another one has another."""
        return f"{self.txn}.{self.tree}.{crc32(repr(self.chaos).encode()):x}"


@dataclass(frozen=True, slots=True)
class State:
    """What of a state says which parts of it have changed."""

    version: Version
    queues: Mapping[str, Mapping[Status, int]]
    nodes: tuple[tuple[int, tuple[str, ...]], ...]

    @property
    def counts(self) -> Counts:
        """The two numbers that every page shows."""
        waiting = sum(of[status] for of in self.queues.values() for status in WAITING)
        return Counts(waiting, sum(of[Status.FAILED] for of in self.queues.values()))


def read_version(source: Source) -> Version:
    """Read which state it is now."""
    transaction = source.runtime.environment().last_transaction()
    return Version(transaction, recent.count(), chaos_runs.come_to(source))


def read_state(source: Source) -> State:
    """Read the state as it is now."""
    version = read_version(source)
    counts = source.store.read(JobReader.counts_by_queue)
    nodes = source.store.read(JobReader.served_by_node)
    return State(version, counts, tuple((number, tuple(queues)) for number, queues in nodes))


def topics(before: State, now: State) -> list[str]:
    """Return the names of what has changed from one state to another.

    ``"jobs"`` for anything in the store, ``"counts"``, ``"tree"``, ``"nodes"``, and
    ``"queue:mail"`` for a queue with other numbers of jobs.
    """
    found = []
    if before.version.txn != now.version.txn:
        found.append("jobs")
    if before.counts != now.counts:
        found.append("counts")
    if (before.version.tree, before.version.chaos) != (now.version.tree, now.version.chaos):
        found.append("tree")
    if before.nodes != now.nodes:
        found.append("nodes")
    names = sorted(before.queues.keys() | now.queues.keys())
    found += [f"queue:{name}" for name in names if before.queues.get(name) != now.queues.get(name)]
    return found
