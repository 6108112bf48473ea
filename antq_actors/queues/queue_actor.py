"""The queue actor: claims jobs for free slots, has them performed, stores what came of them."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from antq_actors.errors import AntqError, StorageError
from antq_actors.jobs import instant
from antq_actors.jobs.outcome import GivenBack
from antq_actors.otp.actors.gen_server import GenServer
from antq_actors.otp.kernel.messages import NOREPLY, Continue, Response
from antq_actors.otp.kernel.reasons import Crash, ExitReason
from antq_actors.otp.messaging import calls, timers
from antq_actors.otp.messaging.watch import DeathWatch
from antq_actors.otp.supervision.options import Backoff
from antq_actors.queues.execution import settlement
from antq_actors.queues.exit_queue import WorkersExited
from antq_actors.queues.messages import (
    Drain,
    GetRunning,
    GetStatus,
    Pause,
    QueueStatus,
    Resume,
    SetConcurrency,
    Wake,
    due_for_display,
)
from antq_actors.queues.node import switch_interval
from antq_actors.queues.outage import Outage
from antq_actors.queues.queue_state import QueueState
from antq_actors.queues.running_attempts import (
    BACK_OFF_SECONDS,
    INTERRUPTION_TIMEOUT_SECONDS,
    CheckStore,
    GiveUp,
    InterruptNow,
    RunningAttempts,
    TimedOut,
)
from antq_actors.queues.services.rescuer import rescue_dead_nodes
from antq_actors.storage.format.records import NodeGone
from antq_actors.storage.jobs.job_store import JobStore
from antq_actors.storage.jobs.reader import JobReader

if TYPE_CHECKING:
    from collections.abc import Callable

    from antq_actors.jobs.instant import Instant
    from antq_actors.otp.messaging.timers import Timer
    from antq_actors.queues.messages import QueueSettings
    from antq_actors.storage.client import StorageClient
    from antq_actors.storage.format.records import Claim, Settlement
    from antq_actors.storage.requests import Write

log: Final = logging.getLogger("antq_actors.queues")

RECONNECT_TIMEOUT_SECONDS: Final = 1.0
"""Seconds that a queue told to end waits for a store that is gone: it may be gone for good."""

STORE_BACKOFF: Final = Backoff(first=0.2, longest=3.0)
"""Seconds between two tries of a store that refuses: few enough that its recovery is soon seen."""


class _AskAgain(NamedTuple):
    """It is time to repeat the question that the store did not answer."""


class _DrainOver(NamedTuple):
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
        self._state = QueueState(settings.concurrency)
        self._attempts = RunningAttempts(
            self.ref,
            settings,
            self._state,
            clock,
            lambda id_, count: store.read(JobReader.errors, id_, count),
        )
        self._drained: list[Any] = []
        self._drain_is_over = False
        self._request: Write | None = None
        self._tag = 0
        """Of the question that is under way: the number of those before it."""
        self._due: Timer | None = None
        self._outage = Outage()

    # ---- life -----------------------------------------------------------------------------

    def init(self) -> Continue:
        """Give back what an earlier incarnation left running, or nodes that died; then begin."""
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
        """Do it before this process claims anything: what was interrupted comes before the rest."""
        rescue_dead_nodes(
            self._store, max_interruptions=self._settings.max_interruptions, now=self._clock()
        )

    def handle_continue(self, _token: object) -> None:
        """CheckStore at the store for the first time."""
        switch_interval.set_slots(self._settings.workers, self._state.concurrency)
        self._attempts.warm_up()
        log.info("queue %r runs with concurrency %d", self._settings.name, self._state.concurrency)
        self._check_store()

    def terminate(self, reason: ExitReason) -> None:
        """Give back what still runs. After a crash, the replacement does it as an interruption."""
        switch_interval.set_slots(self._settings.workers, 0)
        log.info("queue %r ends", self._settings.name)
        if isinstance(reason, Crash):
            return
        state = self._state
        self._attempts.end_all()
        watches = [(execution, DeathWatch(execution.ref)) for execution in state.running.values()]
        deadline = time.monotonic() + INTERRUPTION_TIMEOUT_SECONDS / 2
        for execution, watch in watches:
            if watch.wait(max(0.0, deadline - time.monotonic())) is None:
                self._attempts.give_up(execution)
            state.settled.append(settlement(execution.job, self._attempts.outcome(execution)))
        # What is under way may have been refused, and nobody would repeat it; twice does no harm.
        under_way = [] if state.asked is None else state.asked.settlements
        unstored = [*under_way, *state.settled]
        try:
            self._store_now(unstored)
            # That came behind the question under way: if it was to claim jobs, it has them by now.
            if self._request is not None and self._request.commits:
                self._store_now([settlement(job, GivenBack()) for job in self._request.value.jobs])
        except StorageError as error:
            log.error(  # noqa: TRY400 - a traceback tells no more
                "queue %r ends, and what became of %d jobs cannot be stored; they will be performed"
                " again, as interrupted ones, by the next node: %s",
                self._settings.name,
                len(unstored),
                error,
            )

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
        """Do what the messages of this package say; anything else is an error for the asker."""
        try:
            return self._answer(request)
        except AntqError as error:  # the store's, and none of this actor's
            calls.reply_error(self.from_, error)
            return NOREPLY

    def _answer(self, request: Any) -> Any:
        match request:
            case SetConcurrency(n):
                self._set_concurrency(n)
                self._check_store_soon()
            case Pause():
                self._store.write(JobStore.set_paused, self._settings.name, paused=True)
                log.info("queue %r is paused", self._settings.name)
            case Resume():
                self._store.write(JobStore.set_paused, self._settings.name, paused=False)
                log.info("queue %r is resumed", self._settings.name)
                self._check_store_soon()
            case GetStatus():
                return self._status()
            case GetRunning():
                return self._state.running_ids
            case Wake(check_commands):
                self._state.check_commands |= check_commands
                self._check_store_soon()
            case Drain(timeout):
                self._drain(timeout, self.from_)
                return NOREPLY
            case _:
                error = TypeError(f"a queue does not understand {request!r}")
                calls.reply_error(self.from_, error)
                return NOREPLY
        return None

    def handle_cast(self, request: Any) -> None:
        """Do the same without an answer; anything else is logged and ignored."""
        match request:
            case Wake(check_commands):
                self._state.check_commands |= check_commands
                self._check_store()
            case Drain(timeout):
                self._state.draining = True
                self.send_after(timeout, _DrainOver())
            case SetConcurrency() | Pause() | Resume() | GetStatus() | GetRunning():
                self._answer(request)
            case _:
                log.warning("queue %r ignores an unknown message: %r", self._settings.name, request)

    def handle_info(self, message: Any) -> None:
        """Hear of worker actors, of the store and of time; the rest is as a cast."""
        match message:
            case WorkersExited():
                self._advance()
            case Response(tag) if tag != self._tag:
                pass  # told twice, by a storage actor that broke off in between
            case Response():
                self._attempts.exits.paused = False
                self._answered(message)
                self._advance()
            case TimedOut() | InterruptNow() | GiveUp():
                self._attempts.on_time(message)
            case _DrainOver() | _AskAgain() | CheckStore():
                self._on_time(message)
            case _:
                self.handle_cast(message)

    def _on_time(self, message: _DrainOver | _AskAgain | CheckStore) -> None:
        match message:
            case _DrainOver():
                self._drain_is_over = True
                self._attempts.end_all()
                self._wait_no_longer()
            case _AskAgain() if self._request is not None:
                self._answered_at_once(
                    self._store.request_again(self._request, tag=self._new_tag())
                )
                self._advance()
            case CheckStore():
                self._due = None
                self._state.backing_off = False
                self._check_store()
                if self._due is None:
                    self._schedule_check(None)  # nothing was asked: there is no room yet

    # ---- claiming -------------------------------------------------------------------------

    def _check_store(self) -> None:
        self._state.maybe_due = True
        self._advance()

    def _advance(self) -> None:
        """Note what ended, and ask the store, while there is something to ask and it answers.

        Whoever else has something for this actor comes first: jobs that end as fast as they are
        claimed would keep it from everyone to the end of the queue.
        """
        self._attempts.collect_exits()
        self._state.too_many_orphans = not self._attempts.has_room()
        asked = False
        while not (asked and self._is_awaited()) and (ask := self._state.next_fetch()) is not None:
            asked = True
            self._request, response = self._store.request_work(
                self._settings.name,
                ask.settlements,
                node=self._node,
                limit=ask.limit,
                clock=self._clock,
                tag=self._new_tag(),
            )
            self._answered_at_once(response)
            self._attempts.collect_exits()
        if self._drained and self._state.idle:
            self._answer_drained()

    def _new_tag(self) -> int:
        self._tag += 1
        return self._tag

    def _is_awaited(self) -> bool:
        if self.mailbox.empty():
            return False
        self._advance_soon()
        return True

    def _check_store_soon(self) -> None:
        """CheckStore when whoever asked for it, and waits, has its answer."""
        self._state.maybe_due = True
        self._advance_soon()

    def _advance_soon(self) -> None:
        self.ref.deliver(WorkersExited())

    def _answered_at_once(self, response: Response | None) -> None:
        if response is None:
            # Until the answer comes, worker actors that end need not wake this one: what they did
            # goes with the next question.
            self._attempts.exits.paused = True
        else:
            self._answered(response)

    def _answered(self, response: Response) -> None:
        if response.error is None:
            self._claimed(response.value)
        elif isinstance(response.error, NodeGone):
            # Its jobs run elsewhere by now. All that runs here ends with this actor, which comes
            # back as a new node.
            self._settings.node.lost(self._node)
            raise response.error
        else:
            self._refused(response.error)

    def _claimed(self, claim: Claim) -> None:
        self._request = None
        self._say_if_well_again()
        self._state.answered(len(claim.jobs))
        if claim.concurrency is not None:
            self._set_concurrency(claim.concurrency)
        if claim.jobs:
            self._attempts.begin(claim.jobs)
        self._attempts.cancel(claim.cancelled)
        self._schedule_check(claim.next_due)

    def _refused(self, error: BaseException) -> None:
        """Repeat the request a little later: it is done once, however often it is sent."""
        if self._outage.refused(time.monotonic()):
            log.warning(
                "queue %r keeps %d outcomes, until the store can be used: %s",
                self._settings.name,
                self._state.unstored,
                error,
            )
        self.send_after(STORE_BACKOFF.delay(self._outage.refusals), _AskAgain())
        self._wait_no_longer()

    def _say_if_well_again(self) -> None:
        seconds = self._outage.over(time.monotonic())
        if seconds is not None:
            log.warning(
                "the store of queue %r can be used again, after %.1f s in which %d outcomes waited",
                self._settings.name,
                seconds,
                self._state.unstored,
            )

    def _schedule_check(self, next_due: Instant | None) -> None:
        """CheckStore again when the next job is due, and after ``check_interval`` at the latest.

        There is one look to come, never two: while nothing can start, each would bring another.
        """
        wait = self._settings.check_interval
        if self._state.backing_off:
            wait = min(wait, BACK_OFF_SECONDS)
        if next_due is not None:
            ahead = next_due - self._clock()
            if ahead > 0:
                wait = min(wait, ahead / instant.SECOND)
            else:
                # It became due since the question was asked, or found no slot.
                self._state.maybe_due = True
        if self._due is not None:
            if self._due.due <= time.monotonic() + wait:
                return  # it looks earlier, which does no harm
            timers.cancel_timer(self._due)
        self._due = self.send_after(wait, CheckStore())

    # ---- answers --------------------------------------------------------------------------

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
            executors=self._attempts.dispatch.health(),
            abandoned=self._attempts.abandoned(),
            progress=self._attempts.progress(),
        )

    def _set_concurrency(self, n: int) -> None:
        log.info("queue %r now runs with concurrency %d", self._settings.name, n)
        self._state.concurrency = n
        switch_interval.set_slots(self._settings.workers, n)
        self._attempts.dispatch.resize(n)
        self._state.maybe_due = True

    def _drain(self, timeout: float, asker: Any) -> None:
        self._state.draining = True
        self._drained.append(asker)
        self.send_after(timeout, _DrainOver())
        self._advance()

    def _wait_no_longer(self) -> None:
        """End a drain that has had its time, when all it still waits for is a store that refuses.

        The outcomes that cannot be stored are tried once more by ``terminate``, and then lost:
        their jobs will be given back when the next node starts.
        """
        if self._drain_is_over and self._outage.refusals and not self._state.running:
            self._answer_drained()

    def _answer_drained(self) -> None:
        for asker in self._drained:
            calls.reply(asker, None)
        self._drained.clear()
