"""The queue actor: claims jobs for free slots, has them performed, stores what came of them."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from antq_actors.errors import AntqError, StorageError
from antq_actors.jobs import instant
from antq_actors.jobs.outcome import GivenBack, Interrupted
from antq_actors.otp import calls, links, timers
from antq_actors.otp.backoff import Backoff
from antq_actors.otp.child_spec import ChildSpec, Restart
from antq_actors.otp.dynamic_supervisor import DynamicSupervisor
from antq_actors.otp.errors import CallExit
from antq_actors.otp.gen_server import GenServer
from antq_actors.otp.messages import NOREPLY, Continue, Response
from antq_actors.otp.reasons import Crash, ExitReason, Killed, Shutdown
from antq_actors.otp.ref import ServerRef
from antq_actors.otp.watch import DeathWatch
from antq_actors.queues import attempts
from antq_actors.queues.attempts import Task, settlement
from antq_actors.queues.book import Book
from antq_actors.queues.ends import Ends, WorkersEnded
from antq_actors.queues.execution import Ended, Execution, Unreported, verdict
from antq_actors.queues.messages import Drain, GetStatus, Pause, Resume, SetConcurrency, Wake
from antq_actors.queues.outage import Outage
from antq_actors.queues.status import QueueStatus
from antq_actors.queues.switching import switch_interval
from antq_actors.queues.worker_actor import WorkerActor
from antq_actors.storage.records import NodeGone

if TYPE_CHECKING:
    from collections.abc import Callable

    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.outcome import Outcome
    from antq_actors.otp.timers import Timer
    from antq_actors.queues.settings import QueueSettings
    from antq_actors.storage.client import StorageClient
    from antq_actors.storage.records import Claim, Settlement, StoredJob
    from antq_actors.storage.request import Write

log: Final = logging.getLogger("antq_actors.queues")

INTERRUPTION_TIME: Final = 5.0
"""Seconds an interrupted thread gets to end, before its actor is declared dead."""

RESTART_TIME: Final = 1.0
"""Seconds that a queue told to end waits for a store that is gone: it may be gone for good."""

RETRIES: Final = Backoff(first=0.2, longest=3.0)
"""Seconds between two tries of a store that refuses: few enough that its recovery is soon seen."""


class _Look(NamedTuple):
    """It is time to look at the store again, whatever happened or not."""


class _AskAgain(NamedTuple):
    """It is time to repeat the question that the store did not answer."""


class _TimedOut(NamedTuple):
    ref: ServerRef


class _GiveUp(NamedTuple):
    """An interrupted thread has had its time."""

    ref: ServerRef


class _DrainOver(NamedTuple):
    """A drain has waited long enough."""


_WORKER: Final = ChildSpec("worker", WorkerActor.spawn_copy, restart=Restart.TEMPORARY)


class QueueActor(GenServer):
    """Owns one queue on one node. Nothing that a job does, and no message, ends it.

    While it sleeps, its turns are run by the threads of its worker actors, when they are through.
    """

    lends_its_place = True

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
        self._book = Book(settings.concurrency)
        self._ends = Ends(self.ref.process)
        self._drained: list[Any] = []
        self._drain_is_over = False
        self._request: Write | None = None
        self._due: Timer | None = None
        self._outage = Outage()

    # ---- life -----------------------------------------------------------------------------

    def init(self) -> Continue:
        """Give back what an earlier incarnation left running, then begin."""
        self._node = self._settings.node.number()
        self._store.rescue(
            node=self._node,
            queue=self._settings.name,
            reason="its queue actor crashed",
            max_interruptions=self._settings.max_interruptions,
            now=self._clock(),
        )
        return Continue()

    def handle_continue(self, _token: object) -> None:
        """Look at the store for the first time."""
        switch_interval.want(self._settings.workers, self._book.concurrency)
        self._look()

    def terminate(self, reason: ExitReason) -> None:
        """Give back what still runs. After a crash, the replacement does it as an interruption."""
        switch_interval.want(self._settings.workers, 0)
        if isinstance(reason, Crash):
            return
        book = self._book
        for execution in list(book.running.values()):
            self._end(execution, Ended.BY_STOP)
        watches = [(execution, DeathWatch(execution.ref)) for execution in book.running.values()]
        deadline = time.monotonic() + INTERRUPTION_TIME / 2
        for execution, watch in watches:
            if watch.wait(max(0.0, deadline - time.monotonic())) is None:
                self._give_up(execution)
            # Not what the watch says: one that had ended before has its Down in the mailbox.
            outcome = self._verdict(execution, execution.ref.process.reason or Killed())
            if isinstance(outcome, Unreported):
                outcome = attempts.failed(execution.job, outcome.error)
            book.settled.append(settlement(execution.job, outcome))
        # What is under way may have been refused, and nobody would repeat it; twice does no harm.
        under_way = [] if book.asked is None else book.asked.settlements
        unstored = [*under_way, *book.settled]
        try:
            self._store_now(unstored)
            # That came behind the question under way: if it was to claim jobs, it has them by now.
            if self._request is not None and self._request.committed:
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
            absence=RESTART_TIME,
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
                self._look_soon()
            case Pause():
                self._store.set_paused(self._settings.name, paused=True)
            case Resume():
                self._store.set_paused(self._settings.name, paused=False)
                self._look_soon()
            case GetStatus():
                return self._status()
            case Wake(heed):
                self._book.heed |= heed
                self._look_soon()
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
            case Wake(heed):
                self._book.heed |= heed
                self._look()
            case Drain(timeout):
                self._book.draining = True
                self.send_after(timeout, _DrainOver())
            case SetConcurrency() | Pause() | Resume() | GetStatus():
                self._answer(request)
            case _:
                log.warning("queue %r ignores an unknown message: %r", self._settings.name, request)

    def handle_info(self, message: Any) -> None:
        """Hear of worker actors, of the store and of time; the rest is as a cast."""
        match message:
            case WorkersEnded():
                self._advance()
            case Response():
                self._ends.quiet = False
                self._answered(message)
                self._advance()
            case _TimedOut() | _GiveUp() | _DrainOver() | _AskAgain() | _Look():
                self._on_time(message)
            case _:
                self.handle_cast(message)

    def _on_time(self, message: _TimedOut | _GiveUp | _DrainOver | _AskAgain | _Look) -> None:
        match message:
            case _TimedOut(ref) if ref in self._book.running:
                self._end(self._book.running[ref], Ended.BY_TIMEOUT)
            case _GiveUp(ref) if ref in self._book.running:
                self._give_up(self._book.running[ref])
            case _DrainOver():
                self._drain_is_over = True
                for execution in list(self._book.running.values()):
                    self._end(execution, Ended.BY_STOP)
                self._wait_no_longer()
            case _AskAgain() if self._request is not None:
                self._answered_at_once(self._store.request_again(self._request, tag=None))
                self._advance()
            case _Look():
                self._due = None
                self._book.held = False
                self._look()

    # ---- claiming -------------------------------------------------------------------------

    def _look(self) -> None:
        self._book.look = True
        self._advance()

    def _advance(self) -> None:
        """Note what ended, and ask the store, while there is something to ask and it answers.

        Whoever else has something for this actor comes first: jobs that end as fast as they are
        claimed would keep it from everyone to the end of the queue.
        """
        self._take_ends()
        asked = False
        while not (asked and self._is_awaited()) and (ask := self._book.next_ask()) is not None:
            asked = True
            self._request, response = self._store.request_work(
                self._settings.name,
                ask.settlements,
                node=self._node,
                limit=ask.limit,
                now=self._clock(),
                tag=None,
            )
            self._answered_at_once(response)
            self._take_ends()
        if self._drained and self._book.idle:
            self._answer_drained()

    def _is_awaited(self) -> bool:
        if self.mailbox.empty():
            return False
        self._go_on_soon()
        return True

    def _look_soon(self) -> None:
        """Look when whoever asked for it, and waits, has its answer."""
        self._book.look = True
        self._go_on_soon()

    def _go_on_soon(self) -> None:
        self.ref.deliver(WorkersEnded())

    def _answered_at_once(self, response: Response | None) -> None:
        if response is None:
            # Until the answer comes, worker actors that end need not wake this one: what they did
            # goes with the next question.
            self._ends.quiet = True
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
        self._book.answered(len(claim.jobs))
        if claim.concurrency is not None:
            self._set_concurrency(claim.concurrency)
        if claim.jobs:
            self._perform(claim.jobs)
        self._schedule_look(claim.next_due)

    def _refused(self, error: BaseException) -> None:
        """Ask again, a little later: what is under way is done once, however often it is sent."""
        if self._outage.refused(time.monotonic()):
            log.warning(
                "queue %r keeps %d outcomes, until the store can be used: %s",
                self._settings.name,
                self._book.unstored,
                error,
            )
        self.send_after(RETRIES.delay(self._outage.refusals), _AskAgain())
        self._wait_no_longer()

    def _say_if_well_again(self) -> None:
        seconds = self._outage.over(time.monotonic())
        if seconds is not None:
            log.warning(
                "the store of queue %r can be used again, after %.1f s in which %d outcomes waited",
                self._settings.name,
                seconds,
                self._book.unstored,
            )

    def _schedule_look(self, next_due: Instant | None) -> None:
        """Look again when the next job is due, and after ``check_interval`` at the latest."""
        wait = self._settings.check_interval
        if next_due is not None:
            ahead = next_due - self._clock()
            if ahead > 0:
                wait = min(wait, ahead / instant.SECOND)
            else:
                # It became due since the question was asked, or found no slot.
                self._book.look = True
        if self._due is not None:
            if self._due.due <= time.monotonic() + wait:
                return  # it looks earlier, which does no harm
            timers.cancel_timer(self._due)
        self._due = self.send_after(wait, _Look())

    # ---- performing -----------------------------------------------------------------------

    def _perform(self, jobs: list[StoredJob]) -> None:
        # Since it was asked, the queue may have begun to drain, or got fewer slots.
        slots = 0 if self._book.draining else self._book.free
        self._book.settled += [settlement(job, GivenBack()) for job in jobs[slots:]]
        if slots:
            self._start([(job, attempts.perform(job, self._clock)) for job in jobs[:slots]])

    def _start(self, work: list[tuple[StoredJob, Task]], failure: str | None = None) -> None:
        each_args = [(task, self._ends) for _, task in work]
        try:
            refs = DynamicSupervisor.start_copies(self._settings.workers, _WORKER, each_args)
        except CallExit as error:  # gone, and this actor will be told to end as well
            refs = [error] * len(work)
        for (job, _), ref in zip(work, refs, strict=True):
            if isinstance(ref, ServerRef):
                self._watch(Execution(job, ref, failure=failure))
            else:
                self._not_started(job, ref, failure)

    def _watch(self, execution: Execution) -> None:
        self._book.running[execution.ref] = execution
        timeout = execution.job.spec.timeout
        if execution.failure is not None:
            timeout = INTERRUPTION_TIME
        if timeout is not None:
            execution.timer = self.send_after(timeout, _TimedOut(execution.ref))

    def _not_started(self, job: StoredJob, error: object, failure: str | None) -> None:
        log.error("no worker actor could start for job #%d: %s", job.id, error)
        outcome = GivenBack() if failure is None else attempts.failed(job, failure)
        self._book.settled.append(settlement(job, outcome))
        self._book.held = True
        self.send_after(min(1.0, self._settings.check_interval), _Look())

    # ---- ends -----------------------------------------------------------------------------

    def _end(self, execution: Execution, why: Ended) -> None:
        """Interrupt a worker actor's thread, and give it up if that does not end it in time."""
        if execution.ended is not None:
            return
        execution.ended = why
        links.exit(execution.ref, Shutdown(why))
        self.send_after(INTERRUPTION_TIME, _GiveUp(execution.ref))

    def _give_up(self, execution: Execution) -> None:
        """Declare a worker actor dead whose thread did not end when it was interrupted."""
        log.warning(
            "job #%d of queue %r was interrupted and does not end; its thread is given up and"
            " listed in otp.orphans()",
            execution.job.id,
            self._settings.name,
        )
        links.exit(execution.ref, Killed())

    def _take_ends(self) -> None:
        for ref, reason in self._ends.take():
            self._ended(ref, reason)

    def _ended(self, ref: ServerRef, reason: ExitReason) -> None:
        execution = self._book.running.pop(ref, None)
        if execution is None:
            return  # it never started; its job was given back then
        if execution.timer is not None:
            timers.cancel_timer(execution.timer)
        outcome = self._verdict(execution, reason)
        if isinstance(outcome, Unreported):
            self._report(execution.job, outcome.error)
        else:
            self._book.settled.append(settlement(execution.job, outcome))

    def _verdict(self, execution: Execution, reason: ExitReason) -> Outcome | Unreported:
        if execution.ref.process.doomed and isinstance(reason, Killed):
            # Killed with all the others, because their supervisor was.
            return Interrupted("its queue's workers were killed", self._settings.max_interruptions)
        return verdict(execution, reason)

    def _report(self, job: StoredJob, error: str) -> None:
        """Fail the attempt on behalf of a worker actor that could not."""
        task = attempts.report(job, error, self._clock)
        if attempts.has_attempts_left(job):
            self._start([(job, task)], failure=error)
        else:  # then none of the user's code has a say
            self._book.settled.append(settlement(job, task()))

    # ---- answers --------------------------------------------------------------------------

    def _status(self) -> QueueStatus:
        return QueueStatus(
            name=self._settings.name,
            concurrency=self._book.concurrency,
            paused=self._store.is_paused(self._settings.name),
            running=tuple(sorted(e.job.id for e in self._book.running.values())),
            counts=self._store.counts(self._settings.name),
        )

    def _set_concurrency(self, n: int) -> None:
        self._book.concurrency = n
        switch_interval.want(self._settings.workers, n)
        self._book.look = True

    def _drain(self, timeout: float, asker: Any) -> None:
        self._book.draining = True
        self._drained.append(asker)
        self.send_after(timeout, _DrainOver())
        self._advance()

    def _wait_no_longer(self) -> None:
        """End a drain that has had its time, when all it still waits for is a store that refuses.

        The outcomes that cannot be stored are tried once more by ``terminate``, and then lost:
        their jobs will be given back when the next node starts.
        """
        if self._drain_is_over and self._outage.refusals and not self._book.running:
            self._answer_drained()

    def _answer_drained(self) -> None:
        for asker in self._drained:
            calls.reply(asker, None)
        self._drained.clear()
