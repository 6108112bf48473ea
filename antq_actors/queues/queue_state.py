"""What a queue remembers, and what follows from it: a machine of plain values.

Events go in, and what to do comes out:

    woken, check_due, concurrency_set, drain_*    noted; what follows is in the next request
    next_fetch          -> FetchRequest           outcomes to store, and how many jobs to claim
    recovered           -> seconds                how long the store had refused
    fetched             -> jobs to start
    take_served         -> Claim                  what a standing claim was served
    hold                -> whether to wait        outcomes are held for the next job's transaction
    hold_over                                     they have been held long enough
    accept              -> jobs to start          of that claim
    cancelled           -> attempts to stop
    refused             -> Retry                  when to repeat the request
    next_check          -> seconds                when to look at the store without a reason
    started, not_started, orphans_counted         noted
    exited              -> attempt and end        which attempt ended, and how
    take_completed                                which attempts completed: settled
    note_stop           -> whether it is new

One request to the store is in flight at a time. What ends in the meantime is collected and goes
with the next: the busier the queue, the larger the batches. Slots for which a request found no job
are left with the storage actor as a standing claim; the next request takes it back. While jobs
arrive in quick succession, outcomes are held for the transaction that stores the next job, which
stores them, too.

This file decides and never acts: it sends nothing, starts nothing, and reads no clock. The queue
actor reports what happened, passes in the time, and carries out what comes back.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from msgspec.structs import replace

from antq_actors.jobs.outcome import (
    Completed,
    Failed,
    GivenBack,
    Interrupted,
    NotRun,
    Outcome,
)
from antq_actors.otp.kernel.reasons import Shutdown
from antq_actors.queues.outage import STORE_BACKOFF, Outage, Retry
from antq_actors.queues.verdict import RunningAttempt, StopCause, verdict
from antq_actors.storage.format.records import QueueReport, Settlement

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable, Collection, Sequence

    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.perform import Attempt
    from antq_actors.jobs.state import StoredJob
    from antq_actors.otp.kernel.cell import ActorCell
    from antq_actors.otp.kernel.reasons import ExitReason
    from antq_actors.storage.format.records import Cancellation, Claim
    from antq_actors.storage.requests import StandingClaim

MAX_CLAIM_JOBS: Final = 64
"""Most jobs claimed at once, if no more have ended in the meantime. The first of a claim waits for
its last, and those that begin together end together, all wanting their successors at the same
moment: with one claim for all of 200 slots, jobs of 0.2 s left them idle for a sixth of the time.
With claims of 64 or of 32 it is a twelfth, and 64 cost jobs that take no time less: fewer turns."""

SLOTS_PER_CLAIM: Final = 32
"""Of very many slots a claim may fill one in so many: ten thousand coroutines would else need three
hundred claims to begin."""

BACK_OFF_SECONDS: Final = 1.0
"""Most seconds in which nothing is claimed because nothing could start."""

HOLD_SECONDS: Final = 0.005
"""How long outcomes are held, at most, and how soon after each other jobs must arrive for it."""

MOST_HELD: Final = 256
"""Outcomes held, with those that are stored by now."""

_settlement: Final[Callable[[tuple[int, int, Outcome, None, str]], Settlement]] = partial(
    tuple.__new__, Settlement
)
"""Make one of a tuple, without a call of a Python function."""

_INCOMPLETE: Final = (Failed, Interrupted, NotRun)
"""Ends that may need more before they are outcomes."""


class FetchRequest(NamedTuple):
    """One message to the store: outcomes to write down, and how many jobs to claim with it."""

    settlements: list[Settlement]
    limit: int
    withdrawn: StandingClaim | None = None
    """Taken back by it: what this was served counts among the limit."""


@dataclass(slots=True)
class QueueState:
    """The state of a queue actor. All methods are events, and nothing else changes a field."""

    concurrency: int
    check_interval: float
    """Seconds between two looks at the store when no event asks for one."""
    max_orphans: int
    """Threads that were abandoned and still run, at which nothing is claimed."""
    max_interruptions: int

    running: dict[ActorCell, RunningAttempt] = field(default_factory=dict)
    unsent: list[Settlement] = field(default_factory=list)
    """Outcomes that are not in flight. The standing claim has this very list."""
    stored: int = 0
    """How many of these the store has acknowledged: the first ones."""
    in_flight: FetchRequest | None = None
    standing: StandingClaim | None = None
    """Left with the storage actor, and perhaps served: then its jobs have yet to start."""
    maybe_due: bool = True
    """There may be due jobs that no claim has seen yet."""
    check_commands: bool = False
    """Another process may have left a command: ask, also without a free slot."""
    served_at: float = -math.inf
    """When the standing claim was served last, on the monotonic clock."""
    arrive_quickly: bool = False
    """Whether it was served twice within so short a time that the next may well be as soon."""
    is_holding: bool = False
    """Whether a timer is set for outcomes that are held."""
    backing_off: bool = False
    """Nothing is claimed before the next check by the clock: there is no thread to be had."""
    too_many_orphans: bool = False
    """Nothing is claimed while so many threads of ended jobs still run."""
    draining: bool = False
    drain_timed_out: bool = False
    check_at: float | None = None
    """When the next check by the clock is, on the monotonic clock."""
    outage: Outage = field(default_factory=Outage)
    refused_since: Instant | None = None
    """When the store refused first, of the refusals in a row up to now."""

    # ---- what may be read -----------------------------------------------------------------

    @property
    def free(self) -> int:
        """How many more jobs the queue may run."""
        return 0 if self.draining else max(0, self.concurrency - len(self.running))

    @property
    def report(self) -> QueueReport:
        """What decides here whether the queue claims, for those who ask why a job does not run."""
        return QueueReport(
            self.concurrency, self.draining, self.too_many_orphans, self.refused_since
        )

    @property
    def running_ids(self) -> tuple[int, ...]:
        """The ids of the jobs that the queue runs, ascending."""
        return tuple(sorted(each.attempt.job.id for each in self.running.values()))

    @property
    def unstored(self) -> list[Settlement]:
        """The outcomes of jobs that the store has not acknowledged."""
        in_flight = [] if self.in_flight is None else self.in_flight.settlements
        return [*in_flight, *self.unsent[self.stored :]]

    @property
    def is_drained(self) -> bool:
        """Whether a drain of the queue has nothing left to wait for.

        One that has had its time does not wait for a store that refuses. The outcomes that cannot
        be stored are tried once more when the queue ends, and then lost: their jobs will be given
        back when the next node starts.
        """
        if not self.draining or self.running:
            return False
        if self.drain_timed_out and self.outage.refusals:
            return True
        is_stored = self.stored == len(self.unsent)
        return is_stored and self.in_flight is None and self.standing is None

    # ---- asked to do something ------------------------------------------------------------

    def woken(self, *, check_commands: bool = False) -> None:
        """Remember that the queue may have due jobs, or a command of another process."""
        self.maybe_due = True
        self.check_commands |= check_commands

    def concurrency_set(self, n: int) -> None:
        """Remember the queue's new limit of running jobs. Lowering it stops none."""
        self.concurrency = n
        self.maybe_due = True

    def drain_began(self) -> None:
        """Remember that the queue is to claim no more jobs."""
        self.draining = True

    def drain_timeout(self) -> None:
        """Remember that a drain of the queue has had its time."""
        self.drain_timed_out = True

    def note_stop(self, running: RunningAttempt, cause: StopCause) -> bool:
        """Remember why an attempt is to stop; return False if that was requested before."""
        if running.stop_cause is not None:
            return False
        running.stop_cause = cause
        return True

    # ---- the store ------------------------------------------------------------------------

    def next_fetch(self, *, is_awaited: bool = False) -> FetchRequest | None:
        """Return the request to send to the store now, if any, and note it as in flight.

        *is_awaited*: a caller waits for a job whose outcome is unsent, so no outcome is held.
        """
        if self.in_flight is not None:
            return None
        free = limit = 0
        if not (self.draining or self.backing_off or self.too_many_orphans):
            free = max(0, self.concurrency - len(self.running))
            # Jobs that end as fast as they are claimed may be claimed by as many as ended.
            most = max(MAX_CLAIM_JOBS, len(self.unsent), self.concurrency // SLOTS_PER_CLAIM)
            limit = min(free, most)
        standing = self.standing
        if (
            not (limit and self.maybe_due)
            and not self.check_commands
            and (standing is None or standing.limit <= free)  # else it has become too large
            and (self.stored == len(self.unsent) or (not is_awaited and self._can_hold()))
        ):
            if standing is not None:  # slots may have become free since it was left
                standing.limit = max(standing.limit, limit)
            return None
        unsent = self.unsent[self.stored :]
        self.in_flight = request = FetchRequest(unsent, limit, standing)
        self.unsent = []
        self.stored = 0
        self.maybe_due = False
        self.check_commands = False
        return request

    def _can_hold(self) -> bool:
        """Return whether outcomes may wait for the transaction that stores the next job."""
        standing = self.standing
        return (
            self.arrive_quickly
            and standing is not None
            and not self.draining
            and len(self.unsent) < MOST_HELD
        )

    def hold(self) -> bool:
        """Return whether to set a timer of `HOLD_SECONDS` for outcomes that are held; note it."""
        if self.is_holding or self.in_flight is not None or self.stored == len(self.unsent):
            return False
        self.is_holding = True
        return True

    def hold_over(self, now: float) -> None:
        """Remember that the timer for held outcomes has fired.

        They are held longer only if more have arrived meanwhile, and took with them what was held
        by then.
        """
        self.is_holding = False
        self.arrive_quickly = now - self.served_at < HOLD_SECONDS

    def recovered(self, now: float) -> float | None:
        """Note a reply of the store; return how many seconds it had refused, None if it had not."""
        self.refused_since = None
        return self.outage.over(now)

    def fetched(self, claim: Claim, left: StandingClaim | None = None) -> Sequence[StoredJob]:
        """Note that the store did what the queue requested; return the jobs to start, as `accept`.

        *left*: what it has left with the storage actor, perhaps for no slot. What the standing
        claim was served that the request withdrew has to be taken before.
        """
        request, self.in_flight = self.in_flight, None
        self.standing = left if left is not None and left.limit else None
        is_full = request is not None and len(claim.jobs) >= request.limit
        if is_full if left is None else not left.limit:
            # It may have more; only a claim that comes back short has seen the end.
            self.maybe_due = True
        return self.accept(claim)

    def take_served(self, now: float) -> Claim | None:
        """Return what the standing claim was served, once; None: nothing, so far.

        *now*: by the monotonic clock.
        """
        standing = self.standing
        if standing is None or not standing.commits:
            return None
        self.arrive_quickly = now - self.served_at < HOLD_SECONDS
        self.served_at = now
        rest = standing.rest
        if rest is not None and rest.outcomes is self.unsent:  # else they went with a request
            self.stored = rest.stored
        if rest is not None and rest.limit:
            self.standing = rest
        else:
            self.standing = None
            self.maybe_due = True  # as after a claim that came back full
        return standing.claim

    def accept(self, claim: Claim, starting: int = 0) -> Sequence[StoredJob]:
        """Note what came with a claim; return its jobs to start.

        They are no more than there are free slots, of which so many jobs that are *starting* take
        one each; the other jobs of the *claim* are given back.
        """
        jobs = claim.jobs
        if claim.concurrency is not None:
            self.concurrency_set(claim.concurrency)
        if jobs and len(jobs) > (free := max(0, self.free - starting)):
            # Since it was requested, the queue may have begun to drain, or got fewer slots.
            for job in jobs[free:]:
                self.settled(job, GivenBack())
            jobs = jobs[:free]
        return jobs

    def cancelled(self, executions: Collection[Cancellation]) -> list[RunningAttempt]:
        """Return the attempts that run in the queue of jobs cancelled in these executions."""
        wanted = set(executions)
        jobs = ((each, each.attempt.job) for each in self.running.values())
        return [each for each, job in jobs if (job.id, job.state.execution) in wanted]

    def refused(self, now: float, at: Instant | None = None) -> Retry:
        """Remember that the store could not do the request in flight; return when to repeat it.

        *at*: the same moment as *now*, as the time of day.
        """
        is_logged = self.outage.refused(now)
        if self.refused_since is None:
            self.refused_since = at
        return Retry(STORE_BACKOFF.delay(self.outage.refusals), is_logged)

    def next_check(self, due_in: float | None, now: float) -> float | None:
        """Plan the next check of the store; return in how many seconds. None: one is planned.

        That is when the next job is due, *due_in* seconds from now, and after ``check_interval`` at
        the latest. There is one check to come, never two: while nothing can start, each would bring
        another.
        """
        wait = self.check_interval
        if self.backing_off:
            wait = min(wait, BACK_OFF_SECONDS)
        if due_in is not None:
            if due_in > 0:
                wait = min(wait, due_in)
            else:
                # It became due since the request was sent, or found no slot.
                self.maybe_due = True
        if self.check_at is not None and self.check_at <= now + wait:
            return None
        self.check_at = now + wait
        return wait

    def check_due(self) -> None:
        """Remember that the time of the queue's planned check of the store has come."""
        self.check_at = None
        self.backing_off = False
        self.maybe_due = True

    # ---- attempts -------------------------------------------------------------------------

    def started(self, *attempts: RunningAttempt) -> None:
        """Remember attempts of jobs that run in the queue."""
        self.running.update([(each.cell, each) for each in attempts])

    def not_started(self, attempt: Attempt) -> bool:
        """Remember to give back a job that cannot start, and back off; return whether that is new.

        A failure without a delay waits for the default.
        """
        is_new = not self.backing_off
        self.settled(attempt.job, attempt.failed or GivenBack(), attempt.control.checkpoint)
        self.backing_off = True
        return is_new

    def settled(self, job: StoredJob, outcome: Outcome, checkpoint: bytes | None = None) -> None:
        """Remember the outcome of an execution of *job*, for the next request to the store.

        The *checkpoint* is stored with it.
        """
        worker = job.spec.worker
        self.unsent.append(Settlement(job.id, job.state.execution, outcome, checkpoint, worker))

    def take_completed(self, exits: deque[tuple[ActorCell, ExitReason]]) -> None:
        """Remove the exits at the head of *exits* with which attempts completed; note each outcome.

        As nearly all exit. The first one that may need more is left, for `exited`.
        """
        running, unsent = self.running, self.unsent
        while exits:
            cell, reason = exits[0]
            outcome: Any = reason.detail if type(reason) is Shutdown else None
            each = running.get(cell) if type(outcome) is Completed else None
            if each is None or each.timer is not None or each.stop_cause is not None:
                return
            attempt = each.attempt
            if attempt.control.checkpoint is not None:
                return
            job = attempt.job
            # Twice does no harm, so what is removed is noted by then.
            unsent.append(
                _settlement((job.id, job.state.execution, outcome, None, job.spec.worker))
            )
            del running[cell]
            exits.popleft()

    def exited(
        self,
        cell: ActorCell,
        reason: ExitReason,
        *,
        killed_with_parent: bool = False,
        is_last: bool = False,
    ) -> tuple[RunningAttempt, Outcome | NotRun] | None:
        """Note that a worker actor ended; return its attempt and how that ended.

        None: it never started, and its job was given back then. An outcome goes with the next
        request. Two ends need more first: a `NotRun` was not performed, and a `Failed` without
        ``retry_in`` was ended from outside, so its worker has yet to be asked for the delay.
        *is_last*: nothing more may be started, as the queue ends; so each end is an outcome.
        """
        running = self.running.pop(cell, None)
        if running is None:
            return None
        end = verdict(running, reason)
        if killed_with_parent:
            end = Interrupted("its queue's workers were killed")
        if isinstance(end, _INCOMPLETE):  # as few are
            if isinstance(end, Interrupted):
                end = replace(end, max_interruptions=self.max_interruptions)
            elif not is_last and (isinstance(end, NotRun) or end.retry_in is None):
                return running, end
            elif isinstance(end, NotRun):
                end = GivenBack()
        job, checkpoint = running.attempt.job, running.attempt.control.checkpoint
        worker = job.spec.worker
        self.unsent.append(Settlement(job.id, job.state.execution, end, checkpoint, worker))
        return running, end

    def orphans_counted(self, number: int) -> bool:
        """Remember how many abandoned threads still run; return whether they are newly too many."""
        before, self.too_many_orphans = self.too_many_orphans, number >= self.max_orphans
        return self.too_many_orphans and not before
