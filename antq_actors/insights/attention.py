"""What needs someone's attention, and what to do about it: rules over what was read.

Pure: facts in, rows out. A rule says what it found and what to write or to click, and nothing at
all where all is well.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlencode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from antq_actors.insights.nodes import NodeView
    from antq_actors.insights.queues import QueueSummary
    from antq_actors.insights.store import StoreView

BAD: Final = "bad"
WARNING: Final = "warning"

OLDEST_SECONDS: Final = 300.0
"""Longest wait of a due job that is none of anyone's business."""
FULL: Final = 0.8
"""Share of its room from which a store is nearly full."""
BACKUP_DAYS: Final = 1
SKEWED_SECONDS: Final = 1.0
"""Seconds by which the clock of a node may differ: as much as a queue may begin a job late."""
OLD_SECONDS: Final = 60.0
"""Seconds for which a reader may see an old state, such as for a copy of a large store."""
LAGGING_TRANSACTIONS: Final = 10_000
"""Transactions behind the last one, from which a reader keeps too many pages from being reused."""


@dataclass(frozen=True, slots=True)
class Attention:
    """Something that needs attention."""

    rule: str
    level: str
    """"bad" for what stops work, else "warning"."""
    text: str
    fix: str
    """What to do about it."""
    target: str
    """The page where that is done, as a URL below the dashboard's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the rules look at."""

    now: datetime
    queues: Sequence[QueueSummary]
    nodes: Sequence[NodeView]
    store: StoreView
    is_volatile: bool
    unknown_workers: Sequence[tuple[str, str]] = ()
    """Queues with workers that a node could not import lately."""
    supervisors_near_end: Sequence[str] = ()
    """Those with at most one restart left."""
    crowded: Sequence[tuple[str, int]] = ()
    """Queues, and nodes on which they have nearly as many abandoned threads as may be."""


def attention(facts: Facts) -> list[Attention]:
    """Return what needs attention, the worst first."""
    found = [row for rule in _RULES for row in rule(facts)]
    return sorted(found, key=lambda row: row.level != BAD)


def _paused(facts: Facts) -> Iterator[Attention]:
    for queue in facts.queues:
        if queue.paused is None or not queue.due:
            continue
        by = f" by {queue.paused.by}" if queue.paused.by else ""
        why = f" ({queue.paused.reason})" if queue.paused.reason else ""
        yield Attention(
            "paused",
            WARNING,
            f"Queue {queue.name!r} is paused{by}{why}, and {_jobs(queue.due)} due.",
            f"Resume it, or run `antq resume {queue.name}`.",
            _page("queue", name=queue.name),
        )


def _no_node(facts: Facts) -> Iterator[Attention]:
    for queue in facts.queues:
        if queue.nodes or not queue.due:
            continue
        yield Attention(
            "no_node",
            BAD,
            f"No process runs queue {queue.name!r}, and {_jobs(queue.due)} due.",
            "Run `antq start MODULE:APP` with an application that has this queue.",
            "nodes",
        )


def _late(facts: Facts) -> Iterator[Attention]:
    for queue in facts.queues:
        if queue.oldest_due is None or queue.paused is not None or not queue.nodes:
            continue
        waited = facts.now - queue.oldest_due
        if waited > timedelta(seconds=OLDEST_SECONDS):
            yield Attention(
                "late",
                WARNING,
                f"The first due job of queue {queue.name!r} has waited for"
                f" {int(waited.total_seconds()) // 60} min.",
                "Raise its concurrency, start another process, or find out what holds it up.",
                _page("queue", name=queue.name),
            )


def _dead_nodes(facts: Facts) -> Iterator[Attention]:
    for node in facts.nodes:
        if not node.alive and node.running:
            yield Attention(
                "dead_node",
                WARNING,
                f"Node {node.node} died; {_jobs(node.running, 'is', 'are')} to be given back.",
                "That takes a second where a process runs; else start one.",
                "nodes",
            )


def _differing(facts: Facts) -> Iterator[Attention]:
    for node in facts.nodes:
        if node.alive and node.differences:
            yield Attention(
                "differences",
                WARNING,
                f"Node {node.node} differs from the others: {node.differences[0]}",
                "Finish the deploy, or start the node anew.",
                "nodes",
            )


def _skewed(facts: Facts) -> Iterator[Attention]:
    for node in facts.nodes:
        if node.skew is not None and abs(node.skew) >= SKEWED_SECONDS:
            yield Attention(
                "skew",
                WARNING,
                f"The clock of node {node.node} is {abs(node.skew):,.1f} s"
                f" {'ahead of' if node.skew > 0 else 'behind'} that of the machine with the store.",
                "Jobs with a time begin there at the wrong one: set its clock, then start it anew.",
                "nodes",
            )


def _unknown_workers(facts: Facts) -> Iterator[Attention]:
    for queue, worker in facts.unknown_workers:
        yield Attention(
            "worker_unknown",
            WARNING,
            f"Jobs of queue {queue!r} name the worker {worker!r}, which could not be imported.",
            "Deploy its module, or give the class its old name.",
            _page("jobs", q=f'queue:"{queue}"'),
        )


def _supervisors(facts: Facts) -> Iterator[Attention]:
    for name in facts.supervisors_near_end:
        yield Attention(
            "budget",
            BAD,
            f"Supervisor {name!r} has at most one restart left; one more and it gives up.",
            "See what keeps crashing below it.",
            "tree",
        )


def _crowded(facts: Facts) -> Iterator[Attention]:
    for queue, node in facts.crowded:
        yield Attention(
            "abandoned",
            BAD,
            f"Queue {queue!r} claims nothing on node {node}: too many threads of ended jobs still"
            " run there.",
            "Start that node anew; let the worker look at job.cancelled, or use"
            ' executor="process".',
            _page("queue", name=queue),
        )


def _full(facts: Facts) -> Iterator[Attention]:
    if facts.store.fill > FULL:
        yield Attention(
            "store_full",
            BAD,
            f"The store takes {facts.store.fill:.0%} of the room that it has.",
            "Lower retention=, delete what has ended, or make room on its disk.",
            "store",
        )


def _readers(facts: Facts) -> Iterator[Attention]:
    for reader in facts.store.readers:
        behind = 0 if reader.txn is None else facts.store.last_txn - reader.txn
        if behind > LAGGING_TRANSACTIONS or (reader.age or 0.0) > OLD_SECONDS:
            since = "" if reader.age is None else f" and {int(reader.age)} s"
            yield Attention(
                "reader",
                WARNING,
                f"Process {reader.pid} reads a state that is {behind:,} transactions{since} old, so"
                " the file grows.",
                "End what reads for so long there, such as an export.",
                "store",
            )


def _backup(facts: Facts) -> Iterator[Attention]:
    if facts.is_volatile or not facts.store.backups:
        return
    age = facts.now - facts.store.backups[0].at
    if age > timedelta(days=BACKUP_DAYS):
        yield Attention(
            "backup",
            WARNING,
            f"The last backup is {age.days} days old."
            if age.days > 1
            else "The last backup is older than a day.",
            "Run `antq backup TARGET`.",
            "store",
        )


_RULES: Final[Sequence[Callable[[Facts], Iterator[Attention]]]] = (
    *(_no_node, _supervisors, _crowded, _full, _paused, _late),
    *(_dead_nodes, _differing, _skewed, _unknown_workers, _readers, _backup),
)


def _page(path: str, **query: str) -> str:
    return f"{path}?{urlencode(query, quote_via=quote)}"


def _jobs(count: int, one: str = "is", many: str = "are") -> str:
    return f"1 job {one}" if count == 1 else f"{count:,} jobs {many}"
