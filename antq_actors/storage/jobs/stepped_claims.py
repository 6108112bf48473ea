"""Claims in a paused queue: the jobs that steps have let through, and no others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from antq_actors.errors import DamagedRecord
from antq_actors.explain.judge import due_end
from antq_actors.jobs.state import CLAIMABLE
from antq_actors.storage.jobs.limited_claims import MOST_LOOKS, LimitedClaims
from antq_actors.storage.jobs.meta import LETS_THROUGH
from antq_actors.storage.lmdb import keys

if TYPE_CHECKING:
    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.state import StoredJob
    from antq_actors.storage.format.encoding import JobRecord


class SteppedClaims(LimitedClaims):
    """Claims what steps have let through; a part of :class:`~.job_store.JobStore`."""

    _has_claimed = False
    """Whether this claim has some by now: then no run in isolation can begin in it."""

    def is_stepped(self, queue_name: str, id_: int) -> bool:
        """Read whether a step has let a job of a paused queue through."""
        if LETS_THROUGH not in self._meta.stepping(queue_name):
            return False
        return self._breakpoints().is_through(id_)

    def claim_alone(self, claimed: list[StoredJob], id_: int, node: int, now: Instant) -> None:
        """Claim a job that is due, at whatever place, and add it to *claimed*."""
        record = self._read_named(id_, CLAIMABLE, "due", now)
        if record is None:
            return
        queue_name = record.state.queue_name
        is_paused, marks = self._meta.is_paused(queue_name), self._meta.stepping(queue_name)
        self._watch(queue_name, b"" if is_paused else marks)
        self._claim_one(claimed, id_, node, now)
        self._stops_before = None
        if claimed and LETS_THROUGH in marks:
            self._used(queue_name, [id_])

    def _claim_stepped(
        self, bulk: Any, queue_name: str, *, node: int, limit: int, now: Instant
    ) -> tuple[list[StoredJob], Instant | None]:
        """Do what :meth:`_claim` does for a paused queue, in the order of its steps.

        First it claims as if the queue were not paused, up to the first job that was not let
        through: so the jobs of a preview start as they would, with all that follows at limits. The
        others are claimed one by one. One that waits for its time or for a limit keeps its place,
        and holds up no other.
        """
        if not limit:
            return [], None
        was_due = queue_name in self.due
        has_limits = self._meta.queue_limits(queue_name).has_jobs
        claimed, looks_again = self._claim_in_order(
            bulk, queue_name, node=node, limit=limit, now=now, has_limits=has_limits
        )
        isolated = self.isolated_run(node, now)
        if isolated is not None:
            return claimed, isolated.until
        look_at = now if looks_again else None
        if len(claimed) < limit and next(self._breakpoints().through(queue_name), None) is not None:
            own = self._claim_each(claimed, queue_name, node=node, limit=limit, now=now)
            look_at = own or look_at
        if not was_due:
            self.due.discard(queue_name)  # it was asked just now, and has been told all of it
        if look_at is None and len(claimed) < limit:  # else it claims again when a slot is free
            look_at = self._next_of(queue_name, now, has_limits=has_limits)
        return claimed, look_at

    def _claim_in_order(
        self,
        bulk: Any,
        queue_name: str,
        *,
        node: int,
        limit: int,
        now: Instant,
        has_limits: bool,
    ) -> tuple[list[StoredJob], bool]:
        """Claim jobs as if the queue were not paused, up to the first that was not let through.

        Return with them whether to look again at once.
        """
        claim = self._claim_limited if has_limits else self._claim
        claimed: list[StoredJob] = []
        self._has_stopped, self._has_claimed = False, False
        self._stops_before = self._is_held
        looks_again = False
        while len(claimed) < limit and self.isolated_run(node, now) is None:
            # One by one: of several the first ones may let others come before the rest.
            one, look_at = claim(bulk, queue_name, node=node, limit=1, now=now)
            if not one:
                looks_again = look_at == now and not self._has_stopped
                break
            self._has_claimed = True
            claimed += one
        self._stops_before = None
        self._has_stopped = False
        self._used(queue_name, [job.id for job in claimed])
        return claimed, looks_again

    def _is_held(self, id_: int, record: JobRecord, _now: Instant) -> bool:
        """Return whether no step has let a job through, or it has to begin its claim."""
        is_first = not (record.state.isolated and self._has_claimed)
        if is_first and self._breakpoints().is_through(id_):
            return False
        self._has_stopped = True
        return True

    def _claim_each(
        self, claimed: list[StoredJob], queue_name: str, *, node: int, limit: int, now: Instant
    ) -> Instant | None:
        """Claim each job that was let through and may start now, whatever is before it.

        Return when to claim again as :meth:`_claim_one` does.
        """
        has_claimed = True
        # Again after each round that claims some: others may have been behind these at a limit.
        while has_claimed:
            self._look_at_heads(queue_name, now)
            before = len(claimed)
            for id_ in list(self._breakpoints().through(queue_name)):
                if len(claimed) == limit:
                    return None
                look_at = self._claim_one_stepped(claimed, id_, queue_name, node, now)
                if look_at is not None:
                    return look_at
            has_claimed = len(claimed) > before
        return None

    def _look_at_heads(self, queue_name: str, now: Instant) -> None:
        """Let jobs that are in front of limits make room if these have closed meanwhile."""
        if not self._meta.queue_limits(queue_name).has_jobs:
            return
        for head in self.limited.first_heads(queue_name, MOST_LOOKS):
            id_ = keys.id_at_end(head)
            record = self._read_named(id_, CLAIMABLE, "due", now)
            if record is not None and record.state.limited is not None:
                self._admits(id_, record, now)

    def _claim_one_stepped(
        self, claimed: list[StoredJob], id_: int, queue_name: str, node: int, now: Instant
    ) -> Instant | None:
        """Claim a job that was let through, if it may start now; forget it if it never can."""
        look_at: Instant | None = None
        due = self._due_of(id_, queue_name)
        if due is not None:
            if due >= due_end(now):
                return None
            before = len(claimed)
            look_at = self._claim_one(claimed, id_, node, now)
            if len(claimed) == before and self._due_of(id_, queue_name) is not None:
                return look_at
        self._used(queue_name, [id_])
        return look_at

    def _used(self, queue_name: str, ids: list[int]) -> None:
        """Note that jobs that were let through have started, or are gone."""
        table = self._breakpoints()
        for id_ in ids:
            table.take_pass(id_)
        if ids:
            table.start(queue_name, ids)

    def _due_of(self, id_: int, queue_name: str) -> Instant | None:
        """Read when a job is due that waits in a queue; None: it does not wait there any more.

        A damaged one is due: it is failed when it is claimed.
        """
        try:
            record = self._jobs.record(id_)
        except DamagedRecord:
            return 0
        if record is None or record.state.queue_name != queue_name:
            return None
        state = record.state
        return (state.scheduled_at or 0) if state.status in CLAIMABLE else None

    def _next_of(self, queue_name: str, now: Instant, *, has_limits: bool) -> Instant | None:
        """Return when one of the jobs that were let through may start by time alone."""
        left = self._breakpoints().through(queue_name)
        dues = [due for id_ in left if (due := self._due_of(id_, queue_name)) is not None]
        found = [due for due in dues if due >= due_end(now)]
        if has_limits and dues:
            opens_at = self.limited.next_opening(queue_name, now)
            found += [] if opens_at is None else [opens_at]
        return min(found, default=None)
