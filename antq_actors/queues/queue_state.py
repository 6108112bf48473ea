"""What a queue has to remember, and what follows from it: when to ask the store, and for how much.

This file decides and never acts: it sends nothing, starts nothing and reads no clock. The queue
actor tells it what happened and does what it answers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from antq_actors.otp.kernel.ref import ServerRef
    from antq_actors.queues.execution import RunningAttempt
    from antq_actors.storage.format.records import Settlement


MAX_CLAIM_JOBS: Final = 32
"""Most jobs claimed at once, if no more have ended meanwhile. The first of a claim waits for its
last, and those that begin together end together, all wanting their successors at the same moment:
two hundred slots with jobs of 0.2 s were idle for a sixth of the time, and are for a tenth with
claims of this size."""

SHARE: Final = 32
"""Of very many slots a claim may fill one in so many: ten thousand coroutines would else need three
hundred claims to begin."""


class FetchRequest(NamedTuple):
    """One message to the store: outcomes to write down, and how many jobs to claim with it."""

    settlements: list[Settlement]
    limit: int


@dataclass(slots=True)
class QueueState:
    """The state of a queue actor.

    One question to the store is under way at a time. What ends meanwhile is collected and goes
    with the next: the busier the queue, the larger the batches.
    """

    concurrency: int
    draining: bool = False
    running: dict[ServerRef, RunningAttempt] = field(default_factory=dict)
    settled: list[Settlement] = field(default_factory=list)
    """Outcomes that the store has not acknowledged and that are not under way."""
    asked: FetchRequest | None = None
    """What is under way."""
    maybe_due: bool = True
    """There may be due jobs that no claim has seen yet."""
    check_commands: bool = False
    """Another process may have left word: ask, also without a free slot."""
    backing_off: bool = False
    """Nothing is claimed before the next look by the clock: there is no thread to be had."""
    too_many_orphans: bool = False
    """Nothing is claimed while so many threads of ended jobs still run."""

    @property
    def free(self) -> int:
        """How many more jobs may run."""
        return max(0, self.concurrency - len(self.running))

    @property
    def running_ids(self) -> tuple[int, ...]:
        """The ids of the jobs that run, ascending."""
        return tuple(sorted(execution.job.id for execution in self.running.values()))

    @property
    def idle(self) -> bool:
        """Whether nothing runs and all outcomes are stored."""
        return not self.running and not self.settled and self.asked is None

    @property
    def unstored(self) -> int:
        """How many outcomes the store has not acknowledged."""
        under_way = 0 if self.asked is None else len(self.asked.settlements)
        return under_way + len(self.settled)

    def next_fetch(self) -> FetchRequest | None:
        """Answer what to send to the store now, if anything; it is then under way."""
        if self.asked is not None:
            return None
        # Jobs that end as fast as they are claimed may be claimed by as many as ended.
        most = max(MAX_CLAIM_JOBS, len(self.settled), self.concurrency // SHARE)
        limit = (
            0
            if self.draining or self.backing_off or self.too_many_orphans
            else min(self.free, most)
        )
        if not self.settled and not (limit and self.maybe_due) and not self.check_commands:
            return None
        self.asked = FetchRequest(self.settled, limit)
        self.settled = []
        self.maybe_due = False
        self.check_commands = False
        return self.asked

    def answered(self, claimed: int) -> None:
        """Note that the store did what was asked and gave *claimed* jobs."""
        asked, self.asked = self.asked, None
        if asked is not None and claimed >= asked.limit:
            # It may have more; only a claim that comes back short has seen the end.
            self.maybe_due = True
