"""What the storage actor is asked: verbs, and to serve a queue."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from antq_actors.storage.format.records import NodeGone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from antq_actors.errors import AntqError
    from antq_actors.jobs.instant import Instant
    from antq_actors.otp.kernel.cell import ActorCell
    from antq_actors.storage.format.records import Claim, Settlement
    from antq_actors.storage.jobs.job_store import JobStore


@dataclass(slots=True, eq=False)
class Write:
    """Do *verb* in a write transaction.

    A caller that gets no reply, because the storage actor died, sends the same Write again: it
    remembers whether it was committed, so that a job is not stored twice.
    """

    verb: Callable[..., Any]
    """Called with a JobStore and what follows."""
    args: Sequence[Any] = field(default=(), repr=False)
    kwargs: Mapping[str, Any] = field(default_factory=dict, repr=False)
    commits: Sequence[None] = field(default=(), repr=False)
    """Gets an entry when the transaction that holds it is committed, in that very step: however its
    thread is cut short, and by whomever it is asked, there is nothing in between. From then on
    *value* and *refusal* stand."""
    value: Any = field(default=None, repr=False)
    waits_for_disk: bool = True
    """Whether it, and all that it has seen, is on disk before its reply. Only for a reply that
    stays within the actors that run jobs may it be False: it is on disk a moment later."""
    refusal: AntqError | None = field(default=None, repr=False)
    """Raised by the verb, which then changed nothing."""
    leaves: StandingClaim | None = field(default=None, repr=False)
    """Left with the storage actor by the commit of this one, if it has free slots then."""


@dataclass(slots=True, eq=False)
class LaterWrite(Write):
    """A write that nobody waits for: it is done with the next one, or by itself a moment later."""


@dataclass(slots=True, eq=False)
class Read:
    """Do *verb* in a read transaction that sees every change that was reported before.

    All that it has seen is on disk before its reply, whichever process has written it.
    """

    verb: Callable[..., Any]
    """Called with a JobReader and what follows."""
    args: Sequence[Any] = field(default=(), repr=False)
    kwargs: Mapping[str, Any] = field(default_factory=dict, repr=False)


# ---- claims that are left with the storage actor ---------------------------------------------


class WriteCharts:
    """Write what was counted and marked for charts now, and not with the next commit."""


@dataclass(slots=True, eq=False)
class StandingClaim:
    """A claim for slots of a queue that found no job: the transaction that stores one serves it.

    Its queue actor and the storage actor share it. It is served once; then :attr:`rest` is left
    with the storage actor in its place, for the slots that are still free. What decides whether it
    is served, and whether it was, is read and written in write transactions, of which there is one
    at a time: so a queue that withdraws it knows what it has got by it, and gets no more.
    """

    queue: ActorCell
    """The queue actor. One that has ended gets no job: its successor gives back those it had."""
    queue_name: str
    node: int
    clock: Callable[[], Instant]
    """The queue actor's, read in the transaction."""
    notify: Callable[[], None]
    """Has the queue actor see to it soon. Called in any thread; it must neither raise nor wait."""
    claims_later: Callable[[], bool] = bool
    """Whether the queue actor claims what is stored now in its next turn, which needs no notice."""
    arrive: Callable[[int], object] = bool
    """Called with the number of jobs in the transaction in which it is served them."""
    limit: int = 0
    """How many jobs it is for; 0 until the request that leaves it is done."""
    withdrawals: list[None] = field(default_factory=list, repr=False)
    """Gets an entry when it must not be served any more; shared with its rest."""
    claim: Claim | None = None
    """What it was served, if :attr:`commits` has an entry."""
    rest: StandingClaim | None = None
    """What was left in its place when it was served."""
    outcomes: Sequence[Settlement] = field(default=(), repr=False)
    """The queue actor's, which adds to them: what a transaction that serves it stores as well. So
    jobs that arrive one by one need one commit each, and not another one when they have ended. The
    queue actor keeps them until that is committed; twice does no harm."""
    stored: int = 0
    """How many of the outcomes are stored by the time that it is left."""
    commits: Sequence[None] = field(default=(), repr=False)
    """Gets an entry when the transaction that serves it is committed, as that of a Write does."""

    @property
    def is_standing(self) -> bool:
        """Whether a transaction may serve it; not while its queue actor is suspended."""
        if self.commits or self.withdrawals or not self.limit:
            return False
        return self.queue.reason is None and not self.queue.mailbox.suspended

    def work(
        self,
        settlements: Sequence[Settlement],
        store: JobStore,
        *,
        limit: int,
        withdrawn: StandingClaim | None,
    ) -> Claim:
        """Do :meth:`.JobStore.work` in the transaction of *store*, which leaves this claim.

        It is for as many as the *limit* allows and the transaction has not claimed. The jobs that
        the *withdrawn* claim was served count among the limit, too.
        """
        wanted, self.limit = limit, 0
        if withdrawn is not None:
            withdrawn.withdraw()
            wanted = max(0, limit - sum(len(each.jobs) for each in withdrawn.served()))
        # The clock is read in the transaction: so no job begins before it was stored.
        claim = store.work(
            self.queue_name, settlements, node=self.node, limit=wanted, now=self.clock()
        )
        self.limit = wanted - len(claim.jobs)
        return claim

    def serve(self, store: JobStore, commits: Sequence[None]) -> bool:
        """Claim jobs for the queue in the transaction of *store*; return whether that did anything.

        The outcomes that the queue has by now are stored before. The transaction is to add an
        entry to *commits* when it commits. If the queue actor claims it in its next turn,
        with what else comes until then, this does nothing.
        """
        if not self.is_standing or self.claims_later():
            return False
        outcomes = self.outcomes[self.stored :]
        try:
            claim = store.work(
                self.queue_name, outcomes, node=self.node, limit=self.limit, now=self.clock()
            )
        except NodeGone:
            self.withdraw()
            return False
        does_nothing = not claim.jobs and claim.concurrency is None and not claim.cancelled
        if does_nothing and not outcomes:
            return False
        self.arrive(len(claim.jobs))
        self.claim = claim
        self.rest = StandingClaim(
            self.queue,
            self.queue_name,
            self.node,
            self.clock,
            self.notify,
            self.claims_later,
            self.arrive,
            self.limit - len(claim.jobs),
            self.withdrawals,
            outcomes=self.outcomes,
            stored=self.stored + len(outcomes),
        )
        self.commits = commits
        return True

    def withdraw(self) -> None:
        """Let no later transaction serve it, nor its rest."""
        self.withdrawals.append(None)

    def served(self) -> Iterator[Claim]:
        """Yield what it was served, and its rest, and so on."""
        each: StandingClaim | None = self
        while each is not None and each.commits and each.claim is not None:
            yield each.claim
            each = each.rest
