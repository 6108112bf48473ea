"""The queue actor: claims jobs for free slots, has them performed, stores what came of them.

It decides nothing: it reports to `QueueState` what happened, and carries out what comes back.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from antq_actors.errors import AntqError, StorageError
from antq_actors.events import ConcurrencyChanged, QueueStarted, QueueStopped
from antq_actors.jobs import instant
from antq_actors.jobs.outcome import GivenBack
from antq_actors.otp.actors.gen_server import GenServer
from antq_actors.otp.kernel.messages import NOREPLY, Continue, Response
from antq_actors.otp.kernel.reasons import Crash, ExitReason
from antq_actors.otp.messaging import calls, timers
from antq_actors.otp.messaging.names import find
from antq_actors.otp.threads import run_queue
from antq_actors.queues.exit_queue import NOTICE
from antq_actors.queues.messages import (
    Drain,
    GetProgress,
    GetRunning,
    GetStack,
    GetStatus,
    Pause,
    QueueStatus,
    Resume,
    SetConcurrency,
    Wake,
    due_for_display,
)
from antq_actors.queues.node import set_slots
from antq_actors.queues.progress import StoreProgress
from antq_actors.queues.queue_state import HOLD_SECONDS, QueueState
from antq_actors.queues.running_attempts import (
    INTERRUPTION_TIMEOUT_SECONDS,
    Abandon,
    InterruptNow,
    RunningAttempts,
    TimedOut,
)
from antq_actors.queues.services.housekeeping import rescue_dead_nodes
from antq_actors.queues.verdict import StopCause
from antq_actors.storage.format.records import NodeGone, Settlement
from antq_actors.storage.jobs.job_store import JobStore
from antq_actors.storage.jobs.reader import JobReader
from antq_actors.storage.requests import StandingClaim

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from antq_actors.events import QueueEvent
    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.state import StoredJob
    from antq_actors.otp.kernel.messages import Call
    from antq_actors.otp.messaging.timers import Timer
    from antq_actors.queues.messages import QueueSettings
    from antq_actors.storage.client import StorageClient
    from antq_actors.storage.format.records import Claim
    from antq_actors.storage.requests import Write

log: Final = logging.getLogger("antq_actors.queues")

_PROGRESS: Final = "progress"
"""The tag of the requests that store progress."""
RECONNECT_TIMEOUT_SECONDS: Final = 1.0
"""Seconds that a queue which is stopped waits for a store that is gone: it may be gone for good."""


def wake_queue(names: Mapping[str, str], message: Wake, queue: str) -> None:
    """Send *message* to the actor of *queue*; *names*: those of the actors that run, by queue."""
    name = names.get(queue)
    if name is not None:
        calls.cast(name, message)


def wake_for_jobs(names: Mapping[str, str], queue: str) -> None:
    """Have the actor of *queue* claim due jobs, unless it is about to; *names* as `wake_queue`."""
    name = names.get(queue)
    cell = None if name is None else find(name)
    actor = None if cell is None else cell.inline_actor
    if isinstance(actor, QueueActor):  # else it has ended, and its successor claims first of all
        actor.exits.wake()


class _CheckStore(NamedTuple):
    """It is time to look at the store again, whatever happened or not."""


class _RepeatRequest(NamedTuple):
    """It is time to repeat the request that the store refused."""


class _HoldOver(NamedTuple):
    """Outcomes have been held long enough for the transaction that stores another job."""


class _DrainTimeout(NamedTuple):
    """A drain has waited long enough."""


class QueueActor(GenServer):
    """Owns one queue on one node. Nothing that a job does, and no message, ends it.

    While it sleeps, its turns are run by the threads of its worker actors, when they are through.
    """

    runs_inline = True

    def __init__(
        self,
        store: StorageClient,
        settings: QueueSettings,
        clock: Callable[[], Instant] = instant.now,
    ) -> None:
        super().__init__()
        self._store = store
        self._settings = settings
        self._clock = clock
        self._state = QueueState(
            settings.concurrency,
            check_interval=settings.check_interval,
            max_orphans=settings.max_abandoned,
            max_interruptions=settings.max_interruptions,
        )
        self._attempts = RunningAttempts(
            self.ref,
            settings,
            self._state,
            clock,
            lambda id_, count: store.read(JobReader.errors, id_, count),
            tracker=store.tracker,
            is_awaited=store.is_awaited,
        )
        self.exits = self._attempts.exits
        self._drain_callers: list[Any] = []
        self._request: Write | None = None
        self._tag = 0
        """Of the request in flight: the number of those before it."""
        self._check: Timer | None = None

    # ---- life -----------------------------------------------------------------------------

    def init(self) -> Continue:
        """Give back jobs that a crashed predecessor or a dead node left running; then begin."""
        self._node = self._settings.node.number(self._rescue_dead_nodes)
        self._store.write(
            JobStore.rescue,
            node=self._node,
            queue_name=self._settings.name,
            reason="its queue actor crashed",
            max_interruptions=self._settings.max_interruptions,
            now=self._clock(),
        )
        return Continue()

    def _rescue_dead_nodes(self) -> None:
        """Give back the jobs of dead nodes before this process claims any: they come first."""
        rescue_dead_nodes(
            self._store, max_interruptions=self._settings.max_interruptions, now=self._clock()
        )

    def handle_continue(self, _token: object) -> None:
        """Start the queue's executor, and request jobs of the store for the first time."""
        set_slots(self._settings.workers, self._state.concurrency)
        self._attempts.executors.warm_up()
        self._report()
        log.info("queue %r runs with concurrency %d", self._settings.name, self._state.concurrency)
        self._store.tracker.stopping.discard(self._settings.name)
        self._tell(QueueStarted)
        self._advance()

    def terminate(self, reason: ExitReason) -> None:
        """Stop running attempts, give their jobs back. After a crash, the replacement does that."""
        set_slots(self._settings.workers, 0)
        log.info("queue %r ends", self._settings.name)
        if not isinstance(reason, Crash):
            self._give_back()
        self._tell(QueueStopped, orphans=len(self._attempts.orphans()))

    def _give_back(self) -> None:
        """Stop running attempts and store what came of them; give back what is left."""
        self._store.tracker.stopping.add(self._settings.name)
        standing = self._withdraw()
        self._attempts.stop_all()
        self._attempts.end_all(INTERRUPTION_TIMEOUT_SECONDS / 2)
        # What is in flight may have been refused, and would not be repeated; twice does no harm.
        unstored = self._state.unstored
        try:
            self._store_now(unstored)
            if reported := self._attempts.take_reported():
                self._store.write(JobStore.set_progress, reported)
            # That came behind the request in flight, and behind what served a standing claim: what
            # they were to claim, they have by now.
            claims = [claim for each in standing for claim in each.served()]
            if self._request is not None and self._request.commits:
                claims.append(self._request.value)
            claimed = [job for claim in claims for job in claim.jobs]
            if claimed:
                self._store_now(
                    [Settlement(job.id, job.state.execution, GivenBack()) for job in claimed]
                )
        except StorageError as error:
            log.error(  # noqa: TRY400 - a traceback adds nothing
                "queue %r ends, and what became of %d jobs cannot be stored; they will be performed"
                " again, as interrupted ones, by the next node: %s",
                self._settings.name,
                len(unstored),
                error,
            )

    def _withdraw(self) -> list[StandingClaim]:
        """Let the queue be served no more; return the standing claims that may have been served."""
        request = self._request
        left = (self._state.standing, None if request is None else request.leaves)
        standing = [each for each in left if each is not None]
        for each in standing:
            each.withdraw()
        return standing

    def _store_now(self, settlements: list[Settlement]) -> None:
        self._store.work(
            self._settings.name,
            settlements,
            node=self._node,
            limit=0,
            now=self._clock(),
            reconnect_timeout=RECONNECT_TIMEOUT_SECONDS,
        )

    # ---- messages -------------------------------------------------------------------------

    def handle_call(self, request: Any) -> Any:
        """Handle the calls of a queue actor; anything else is an error for the caller."""
        try:
            return self._handle_request(request)
        except AntqError as error:  # the store's, and none of this actor's
            calls.reply_error(self.from_, error)
            return NOREPLY

    def _handle_request(self, request: Any) -> Any:
        match request:
            case SetConcurrency(n):
                self._state.concurrency_set(n)
                self._resize(n)
                self._advance_soon()
            case Pause(by, why):
                name = self._settings.name
                self._store.write(
                    JobStore.set_paused, name, paused=True, by=by, reason=why, now=self._clock()
                )
                log.info("queue %r is paused", self._settings.name)
            case Resume():
                self._store.write(JobStore.set_paused, self._settings.name, paused=False)
                log.info("queue %r is resumed", self._settings.name)
                self._state.woken()
                self._advance_soon()
            case GetStatus():
                return self._status()
            case GetRunning():
                return self._state.running_ids
            case GetProgress(id_) | GetStack(id_):
                attempts, asks_where = self._attempts, isinstance(request, GetStack)
                return attempts.stack_of(id_) if asks_where else attempts.progress().get(id_)
            case Wake(check_commands):
                self._state.woken(check_commands=check_commands)
                self._advance_soon()
            case Drain(timeout):
                self._drain_callers.append(self.from_)
                self._drain(timeout)
                self._advance()
                return NOREPLY
            case _:
                error = TypeError(f"a queue does not understand {request!r}")
                calls.reply_error(self.from_, error)
                return NOREPLY
        return None

    def handle_cast(self, request: Any) -> None:
        """Handle a message as `handle_call` does, without a reply; log and ignore anything else."""
        match request:
            case Wake(check_commands):
                self._state.woken(check_commands=check_commands)
                self._advance()
            case Drain(timeout):
                self._drain(timeout)
            case SetConcurrency() | Pause() | Resume() | GetStatus() | GetRunning():
                self._handle_request(request)
            case _:
                log.warning("queue %r ignores an unknown message: %r", self._settings.name, request)

    def handle_info(self, message: Any) -> None:
        """Handle exits of worker actors, responses of the store and timers; else as a cast."""
        if message is NOTICE:
            self._advance()
            return
        match message:
            case Response(tag, _, error) if tag == _PROGRESS:
                if error is not None:
                    self._attempts.reported.lost()
            case Response(tag) if tag != self._tag:
                pass  # sent twice, by a storage actor that broke off in between
            case Response(_, value, error):
                self.exits.paused = False
                self._on_response(value, error)
                self._advance()
            case TimedOut() | InterruptNow() | Abandon():
                self._attempts.on_time(message)
                self._report()
            case _HoldOver():
                self._state.hold_over(time.monotonic())
                self._advance()
            case _DrainTimeout() | _RepeatRequest() | _CheckStore():
                self._on_time(message)
            case StoreProgress():
                self._store_progress()
            case _:
                self.handle_cast(message)

    def _on_time(self, message: _DrainTimeout | _RepeatRequest | _CheckStore) -> None:
        match message:
            case _DrainTimeout():
                self._state.drain_timeout()
                self._attempts.stop_all()
                self._reply_drained()
            case _RepeatRequest() if self._request is not None:
                self._tag += 1
                self._on_sent(self._store.request_again(self._request, tag=self._tag))
                self._advance()
            case _CheckStore():
                self._check = None
                self._state.check_due()
                self._advance()
                if self._check is None:
                    self._plan_check(None)  # nothing was requested: there is no room yet

    def _store_progress(self) -> None:
        """Send the storage actor what jobs have reported since that was stored last."""
        changes = self._attempts.take_reported()
        if changes:
            self._store.request_later(_PROGRESS, JobStore.set_progress, changes)

    # ---- claiming -------------------------------------------------------------------------

    def _advance(self) -> None:
        """Note which attempts ended; request jobs while some may be due and the store replies.

        Other messages to this actor come first: jobs that end as fast as they are claimed would
        keep it from everyone to the end of the queue.
        """
        state, attempts = self._state, self._attempts
        attempts.take_exits()
        if self.exits.has_more:
            self.exits.has_more = False
            state.woken()
        if state.standing is not None and state.standing.commits:
            self._take_served()
        if state.too_many_orphans:
            attempts.count_orphans()
            self._report()
            self.exits.claims += 1  # none is requested until they end; each notice has them counted
        # Without a call while nobody waits, as each job comes by here.
        idle, jobs = self._store.idle.waiters, self._store.waits.waiters
        while (
            request := state.next_fetch(is_awaited=bool(idle or jobs) and self._is_awaited())
        ) is not None:
            run_queue.wake_for_waiting()  # the jobs that have begun need not wait for the store
            self._tag += 1
            self.exits.claims += 1
            self._request, answered = self._store.request_work(
                request.settlements,
                limit=request.limit,
                withdrawn=request.withdrawn,
                left=StandingClaim(
                    self.ref.cell,
                    self._settings.name,
                    self._node,
                    self._clock,
                    self.exits.notify,
                    self.exits.claims_later,
                    self.exits.arrive,
                    outcomes=state.unsent,
                ),
                tag=self._tag,
            )
            self._on_sent(answered)
            attempts.take_exits()
            if not self.mailbox.empty():
                self._advance_soon()
                break
        self.exits.room = state.concurrency - len(state.running)
        if state.unsent and state.hold():
            self.send_after(HOLD_SECONDS, _HoldOver())
        if self._drain_callers:
            self._reply_drained()

    def _is_awaited(self) -> bool:
        """Return whether a caller waits for a job whose outcome would be held."""
        if self._store.idle.waiters:
            return True
        return self._store.waits.are_awaited(each.id for each in self._state.unsent)

    def _advance_soon(self) -> None:
        """Send this actor a message to advance after its caller has the reply."""
        self.ref.deliver(NOTICE)

    def _on_sent(self, answered: Call | None) -> None:
        if answered is None:
            # Until the response comes, worker actors that end need not wake this one: what they did
            # goes with the next request.
            self.exits.paused = True
        else:
            self._on_response(answered.value, answered.error)

    def _on_response(self, claim: Any, error: BaseException | None) -> None:
        if error is None:
            self._on_claim(claim)
        elif isinstance(error, NodeGone):
            # Its jobs run elsewhere by now. All that runs here ends with this actor, which comes
            # back as a new node.
            self._settings.node.lost(self._node)
            raise error
        else:
            self._on_refusal(error)

    def _on_claim(self, claim: Claim) -> None:
        state = self._state
        if state.outage.refusals:
            log.warning(
                "the store of queue %r can be used again, after %.1f s in which %d outcomes waited",
                self._settings.name,
                state.recovered(time.monotonic()),
                len(state.unstored),
            )
            self._report()
        if state.standing is not None and state.standing.commits:
            self._take_served()  # what the request has withdrawn
        request, self._request = self._request, None
        jobs = state.fetched(claim, None if request is None else request.leaves)
        if jobs or claim.concurrency is not None or claim.cancelled:
            self._begin(claim, jobs)
        self._plan_check(claim.next_due)

    def _take_served(self) -> None:
        """Start the jobs that were claimed with the transactions that stored them."""
        state = self._state
        now = time.monotonic()
        jobs: list[StoredJob] = []
        while (claim := state.take_served(now)) is not None:
            jobs += state.accept(claim, starting=len(jobs))
            if claim.concurrency is not None or claim.cancelled:
                self._begin(claim, jobs)
                jobs = []
            if claim.next_due is not None:
                self._plan_check(claim.next_due)
        if jobs:
            self._attempts.start(jobs)

    def _begin(self, claim: Claim, jobs: Sequence[StoredJob]) -> None:
        if claim.concurrency is not None:
            self._resize(claim.concurrency)
        if jobs:
            self._attempts.start(jobs)
        if claim.cancelled:
            for running in self._state.cancelled(claim.cancelled):
                self._attempts.stop(running, StopCause.CANCEL)

    def _on_refusal(self, error: BaseException) -> None:
        """Repeat a refused request to the store later; however often, it is done once."""
        retry = self._state.refused(time.monotonic(), self._clock())
        self._report()
        if retry.is_logged:
            log.warning(
                "queue %r keeps %d outcomes, until the store can be used: %s",
                self._settings.name,
                len(self._state.unstored),
                error,
            )
        self.send_after(retry.seconds, _RepeatRequest())
        self._reply_drained()

    def _plan_check(self, next_due: Instant | None) -> None:
        due_in = None if next_due is None else instant.seconds_until(next_due, self._clock)
        wait = self._state.next_check(due_in, time.monotonic())
        if wait is None:
            return
        if self._check is not None:
            timers.cancel_timer(self._check)
        self._check = self.send_after(wait, _CheckStore())

    # ---- requests -------------------------------------------------------------------------

    def _tell(self, type_: type[QueueEvent], **values: int) -> None:
        self._store.hub.tell(type_, queue=self._settings.name, **values)

    def _status(self) -> QueueStatus:
        facts = self._store.read(JobReader.facts, self._settings.name, self._clock())
        return QueueStatus(
            name=self._settings.name,
            concurrency=self._state.concurrency,
            paused=facts.is_paused,
            running=self._state.running_ids,
            counts=facts.counts,
            due=facts.due,
            oldest_due=due_for_display(facts.oldest_due),
            executors=self._attempts.executors.health(),
            abandoned=self._attempts.orphans(),
            progress=self._attempts.progress(),
        )

    def _resize(self, n: int) -> None:
        log.info("queue %r now runs with concurrency %d", self._settings.name, n)
        self._tell(ConcurrencyChanged, concurrency=n)
        set_slots(self._settings.workers, n)
        self._attempts.executors.resize(n)
        self._report()

    def _report(self) -> None:
        """Have other processes know what decides here whether jobs are claimed, if it changed."""
        self._settings.node.report(self._settings.name, self._state.report)

    def _drain(self, timeout: float) -> None:
        self._state.drain_began()
        self._store.tracker.stopping.add(self._settings.name)
        self._report()
        self.send_after(timeout, _DrainTimeout())

    def _reply_drained(self) -> None:
        if self._state.is_drained:
            for caller in self._drain_callers:
                calls.reply(caller, None)
            self._drain_callers.clear()
