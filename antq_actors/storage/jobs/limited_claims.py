"""Claims in queues that are limited as a whole, or whose jobs have limits.

How many jobs may run at once in a queue, on all nodes, and how fast they may start, is how many a
claim may take. Jobs that are in front of their limits are in a lane of their own, and are claimed
one by one, in one order with those that have none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from antq_actors.explain import judge
from antq_actors.jobs.state import Status
from antq_actors.storage.jobs.limit_verbs import LimitVerbs
from antq_actors.storage.lmdb import keys

if TYPE_CHECKING:
    import lmdb

    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.state import StoredJob
    from antq_actors.storage.jobs.meta import QueueLimits

MOST_LOOKS: Final = 64
"""Jobs that cannot run, of those that a claim looks at."""
_ENQUEUED: Final = Status.ENQUEUED
_RUNNING: Final = Status.RUNNING


class LimitedClaims(LimitVerbs):
    """Claims jobs within limits; a part of :class:`~.job_store.JobStore`.

    *bulk* is a BulkUpdate, of which that file knows.
    """

    def _claim_within(
        self,
        limits: QueueLimits,
        bulk: Any,
        queue_name: str,
        *,
        node: int,
        limit: int,
        now: Instant,
        is_stepped: bool,
    ) -> tuple[list[StoredJob], Instant | None]:
        """Do what :meth:`_claim` does, for no more jobs than the *limits* of the queue let run.

        *is_stepped*: it is paused, and steps have let some of its jobs through.
        """
        most, opens_at = limit, None
        if limits.concurrency is not None:
            running = self._jobs.count(keys.lane(_RUNNING, queue_name))
            most = min(most, judge.places_left(limits.concurrency, running))
        if limits.rate is not None:
            left, opens_at = self.rate_left(limits.rate, now)
            most = min(most, left)
        claim = self._claim_limited if limits.has_jobs else self._claim
        claim = self._claim_stepped if is_stepped else claim
        jobs, next_due = claim(bulk, queue_name, node=node, limit=most, now=now)
        if limits.rate is not None and jobs:
            left, opens_at = self.count_starts(limits.rate, len(jobs), now)
        if limit and self._jobs.journal is not None:
            self._note_closed(queue_name, is_closed=len(jobs) == most < limit)
        if len(jobs) < most or most == limit:
            return jobs, next_due
        if limits.rate is None or left:
            return jobs, None  # the end of a job opens it
        if opens_at is None or self._jobs.count(keys.lane(_ENQUEUED, queue_name)):
            return jobs, opens_at
        return jobs, None if next_due is None else max(next_due, opens_at)

    def _note_closed(self, queue_name: str, *, is_closed: bool) -> None:
        """Note that what limits a queue as a whole lets no more jobs begin, if some wait for it."""
        journal = self._jobs.journal
        if journal is not None and not self._jobs.count(keys.lane(_ENQUEUED, queue_name)):
            journal.queue_cleared(queue_name)
        elif journal is not None and is_closed:
            journal.queue_closed(queue_name)

    def _claim_limited(
        self, bulk: Any, queue_name: str, *, node: int, limit: int, now: Instant
    ) -> tuple[list[StoredJob], Instant | None]:
        """Do what :meth:`_claim` does for a queue that has jobs with limits, or had some.

        Those in front of their limits are claimed one by one, in one order with the others. It
        looks at no more than some jobs that cannot run; then it is to be asked again at once.
        """
        claimed: list[StoredJob] = []
        looks = limit + MOST_LOOKS
        was_due = queue_name in self.due
        if limit:
            self.limited.open_due(queue_name, now, looks)
        while limit > len(claimed) and looks > 0:
            free = limit - len(claimed)
            first = next(iter(self.limited.first_heads(queue_name, 1)), None)
            due, _ = self._due(bulk.index, queue_name, limit=free, now=now, before=first)
            if due:
                looks -= len(due)
                look_at = self._take_due(bulk, claimed, due, node, now)
            elif first is not None:
                looks, look_at = self._claim_heads(
                    claimed, queue_name, node=node, limit=limit, looks=looks, now=now
                )
            else:
                break
            if look_at is not None:
                return claimed, look_at
        if not was_due:
            self.due.discard(queue_name)  # it was asked just now, and has been told all of it
        _, next_due = self._due(bulk.index, queue_name, limit=0, now=now)
        times = (next_due, self.limited.next_opening(queue_name, now), None if looks > 0 else now)
        return claimed, min((each for each in times if each is not None), default=None)

    def _claim_heads(
        self,
        claimed: list[StoredJob],
        queue_name: str,
        *,
        node: int,
        limit: int,
        looks: int,
        now: Instant,
    ) -> tuple[int, Instant | None]:
        """Claim jobs that are in front of their limits, as long as no other one is before them.

        Return what is left of its *looks*, and when to claim again as :meth:`_claim_one` does.
        """
        lane, limited = keys.lane(_ENQUEUED, queue_name), self.limited
        plain = next(iter(self._jobs.head(lane, 1)), None)
        while limit > len(claimed) and looks > 0:
            heads = limited.first_heads(queue_name, min(limit - len(claimed), looks))
            for head in heads:
                order, next_id, id_ = keys.split_ticket_key(head)
                if plain is not None and plain < keys.work_key(lane, order, next_id):
                    return looks, None
                if limited.lead is not None and limited.lead < order:
                    break
                looks -= 1
                look_at = self._claim_one(claimed, id_, node, now)
                if look_at is not None:
                    return looks, look_at
            if not heads:
                break
        return looks, None

    def _claim_stepped(
        self, bulk: Any, queue_name: str, *, node: int, limit: int, now: Instant
    ) -> tuple[list[StoredJob], Instant | None]:
        raise NotImplementedError

    def _claim(
        self, bulk: Any, queue_name: str, *, node: int, limit: int, now: Instant
    ) -> tuple[list[StoredJob], Instant | None]:
        raise NotImplementedError

    def _take_due(
        self,
        bulk: Any,
        claimed: list[StoredJob],
        due: list[bytes],
        node: int,
        now: Instant,
    ) -> Instant | None:
        raise NotImplementedError

    def _due(
        self,
        index: lmdb.Cursor[bytes],
        queue_name: str,
        *,
        limit: int,
        now: Instant,
        before: bytes | None = None,
    ) -> tuple[list[bytes], Instant | None]:
        raise NotImplementedError
