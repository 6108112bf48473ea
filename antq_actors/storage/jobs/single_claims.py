"""Jobs are claimed one by one, and each is settled before the next: by a caller, with no queue.

Each function is a verb of :class:`~.job_store.JobStore`.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final, NamedTuple

from antq_actors.errors import JobNotFound
from antq_actors.explain import judge
from antq_actors.jobs.state import CLAIMABLE, Status
from antq_actors.storage.format.records import Filter
from antq_actors.storage.lmdb import keys

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.state import StoredJob
    from antq_actors.storage.format.records import Settlement
    from antq_actors.storage.jobs.job_store import JobStore

_ENQUEUED: Final = Status.ENQUEUED
_WAITING: Final = frozenset({_ENQUEUED})
_TIMED: Final = (Status.SCHEDULED, Status.RETRYING)


class Settled(NamedTuple):
    """What the end of an execution came to."""

    job: StoredJob | None
    """As it is stored now, with its errors; None: it is not there any more."""
    has_released: bool
    """Whether a queue may have got something to do by that."""


def claim_next(
    store: JobStore, queues: Sequence[str], *, node: int, now: Instant, until: Instant
) -> StoredJob | None:
    """Claim the job of some queues that is picked up next, and return it; None: there is none.

    When nothing is due any more, that is the first of those that are due by *until*.
    """
    for queue in queues:
        claim = store.work(queue, (), node=node, limit=1, now=now)
        if claim.jobs:
            return claim.jobs[0]
    refused: set[int] = set()
    while until > now and (found := _first_timed(store, queues, until, refused)) is not None:
        if (job := _claim(store, found, node, now)) is not None:
            return job
        refused.add(found)
    return None


def claim_one(store: JobStore, id_: int, *, node: int, now: Instant) -> StoredJob | None:
    """Claim a job, if it waits for nothing but its time; return it, or None."""
    record = store._jobs.record(id_)
    if record is None or record.state.status not in CLAIMABLE:
        return None
    if _is_held(store, record.state.queue_name, node, now, id_):
        return None
    return _claim(store, id_, node, now)


def claim_due(store: JobStore, id_: int, *, node: int, now: Instant) -> StoredJob | None:
    """Claim a job, if it is due and waits for nothing else; return it, or None."""
    record = store._jobs.record(id_)
    due = None if record is None else record.state.scheduled_at
    if due is not None and due > now:
        return None
    return claim_one(store, id_, node=node, now=now)


def claim_unreserved(
    store: JobStore, reserved: Collection[int], *, node: int, now: Instant
) -> StoredJob | None:
    """Claim the enqueued job that is picked up next, but none of *reserved*, and return it."""
    for queue in store.queues():
        for id_ in _enqueued(store, queue):
            if id_ not in reserved:
                job = claim_one(store, id_, node=node, now=now)
                if job is not None:
                    return job
    return None


def waiting(
    store: JobStore,
    queues: Sequence[str],
    *,
    now: Instant,
    until: Instant,
    with_held: bool = True,
) -> list[int]:
    """Return the ids of the jobs that are due by *until*, in the order in which they are taken.

    *with_held*: those as well that wait for a limit.
    """
    found: list[int] = []
    for queue in queues:
        found += [id_ for _, id_ in _timed(store, queue, now)]
        found += _enqueued(store, queue)
        if with_held:
            found += [raw.id for raw in store.page(Filter(_WAITING, queue), size=sys.maxsize)]
    late = [each for queue in queues for each in _timed(store, queue, until)]
    return list(dict.fromkeys([*found, *(id_ for _, id_ in sorted(late))]))


def is_waiting(store: JobStore, queues: Sequence[str], *, now: Instant, until: Instant) -> bool:
    """Return whether there is a job that :func:`claim_next` would claim."""
    open_queues = [each for each in queues if not _is_held(store, each, 0, now)]
    return bool(waiting(store, open_queues, now=now, until=until, with_held=False))


def settle(store: JobStore, queue: str, settlement: Settlement, node: int, now: Instant) -> Settled:
    """Store the outcome of an execution; return what it came to."""
    store.work(queue, [settlement], node=node, limit=0, now=now)
    try:
        job = store.get(settlement.id)
    except JobNotFound:
        job = None
    return Settled(job, bool(store.due))


def _claim(store: JobStore, id_: int, node: int, now: Instant) -> StoredJob | None:
    claimed: list[StoredJob] = []
    store.claim_alone(claimed, id_, node, now)
    return claimed[0] if claimed else None


def _is_held(store: JobStore, queue: str, node: int, now: Instant, id_: int = 0) -> bool:
    """Return whether a node gets no job of a queue, or not the job *id_*."""
    is_paused = store._meta.is_paused(queue) and not store.is_stepped(queue, id_)
    isolated = None if is_paused else store.isolated_run(node, now)
    return judge.claim_hold(queue, is_paused=is_paused, isolated=isolated) is not None


def _first_timed(
    store: JobStore, queues: Sequence[str], until: Instant, but: Collection[int]
) -> int | None:
    """Return the id of the job that is due first, by *until*; None: there is none."""
    lanes = [
        _in_time(store, keys.lane(status, queue), until)
        for queue in queues
        if not store._meta.is_paused(queue)
        for status in _TIMED
    ]
    firsts = [next((each for each in lane if each[1] not in but), None) for lane in lanes]
    return min((each for each in firsts if each is not None), default=(0, None))[1]


def _timed(store: JobStore, queue: str, until: Instant) -> list[tuple[Instant, int]]:
    """Return when the scheduled and retrying jobs of a queue are due, and their ids."""
    lanes = [keys.lane(status, queue) for status in _TIMED]
    return sorted(each for lane in lanes for each in _in_time(store, lane, until))


def _in_time(store: JobStore, lane: bytes, until: Instant) -> Iterator[tuple[Instant, int]]:
    end = lane + keys.packed_order(judge.due_end(until) + keys.BIAS)
    for key in store._jobs.between(lane, end):
        yield keys.order_in(key), keys.id_at_end(key)


def _enqueued(store: JobStore, queue: str) -> Iterator[int]:
    """Yield the ids of the enqueued jobs of a queue; first those that wait for no limit."""
    for lane in (keys.lane(_ENQUEUED, queue), keys.heads_lane(queue)):
        yield from map(keys.id_at_end, store._jobs.between(lane, keys.lane_end(lane)))
