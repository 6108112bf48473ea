"""The only actor of its process that touches LMDB: what waits for it together, it commits together.

Alone, a write waits for one fsync; under load, hundreds share it. A verb that is refused answers
its asker and spoils nothing. Anything worse aborts the transaction; its writes are then repeated
one by one, and only the guilty one gets the error.
"""

from __future__ import annotations

import math
import time
from contextlib import suppress
from functools import partial
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import lmdb

from antq_actors.errors import AntqError, DamagedRecord, StorageError
from antq_actors.events import MapGrown
from antq_actors.events.hub import Hub
from antq_actors.jobs import instant
from antq_actors.otp import NOREPLY, GenServer, reply
from antq_actors.otp.kernel.messages import Call
from antq_actors.otp.messaging import timers
from antq_actors.otp.messaging.calls import reply_error
from antq_actors.storage.commit_watch import Committed, CommitWatch, Sweep
from antq_actors.storage.format.encoding import Signer
from antq_actors.storage.idle_waiters import IdleLooks, IdleWaiters, LookForIdle, WatchForIdle
from antq_actors.storage.job_waiters import JobLooks, JobWaiters, WatchForJobs
from antq_actors.storage.jobs.chart_counts import MOST_NOTED
from antq_actors.storage.jobs.job_store import JobStore
from antq_actors.storage.jobs.reader import JobReader
from antq_actors.storage.jobs.tracker import JobTracker
from antq_actors.storage.jobs.writer import log_findings
from antq_actors.storage.lmdb.directory import StoreRemoved
from antq_actors.storage.lmdb.open_stores import open_environment
from antq_actors.storage.requests import LaterWrite, Read, StandingClaim, Write, WriteCharts

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Collection, Sequence

    from antq_actors.jobs.instant import Instant
    from antq_actors.otp.kernel.reasons import ExitReason
    from antq_actors.storage.jobs.chart_counts import ChartCounts, Note, Rows
    from antq_actors.storage.jobs.journal import Journal

Done: TypeAlias = (
    "tuple[int | None, list[tuple[object, ...]], Sequence[int] | None, list[Note], Rows | None]"
)
"""The number of a transaction, what is to be logged, the jobs that it ended, what it did to jobs
and what it has written for charts."""

_MOST_REQUESTS: Final = 1_000
_MOST_CARRYING: Final = 100
"""The most requests for whose commit others wait, in place of a flush of their own."""
_FLUSH_SECONDS: Final = 0.05
"""Seconds after which a commit that nobody waits for is flushed, if no other was in between."""
_FAILED_FLUSH_SECONDS: Final = 1.0
"""The same after a flush that failed."""
LATER_SECONDS: Final = 0.35
"""Seconds after which a `LaterWrite` is done by itself, if there was no other write."""
_REQUEST: Final = itemgetter(1)
_WAITS_FOR_DISK: Final = attrgetter("waits_for_disk")
_BROKEN: Final = (lmdb.PanicError, lmdb.CorruptedError)


class _Flush:
    """It is time to flush the commits that nobody waited for."""


class _Later:
    """It is time to do what was left for the next transaction."""


class StorageActor(GenServer):
    """The actor that runs verbs on the LMDB store in the directory *path*.

    It opens and closes the store.
    *durable*: what was answered is on disk (see :class:`.Write`). *wake* is called with the name of
    each queue that got work, once per commit; it must neither raise nor wait. *owner* says whose
    successor it may be (see :func:`.open_environment`). *watch_interval*: seconds between two looks
    for commits of other processes, after which *wake_for_commands* is called for all queues, as
    *wake* is; None for no looking. While no other process has the store open, it is twice as long.
    *signer* signs and verifies what jobs are enqueued with. *idle* are the callers that wait for
    idleness, *waits* those that wait for jobs to end. *tracker*: what is told of jobs, to whom.
    *counts* gets what is done to jobs, for charts; None: that is not counted.

    It holds no state but the environment, so its restart loses nothing.
    """

    runs_inline = True
    is_reentrant = True

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        wake: Callable[[str], None],
        wake_for_commands: Callable[[str], None] | None = None,
        durable: bool = True,
        owner: object = None,
        watch_interval: float | None = None,
        signer: Signer | None = None,
        idle: IdleWaiters | None = None,
        waits: JobWaiters | None = None,
        tracker: JobTracker | None = None,
        counts: ChartCounts | None = None,
        clock: Callable[[], Instant] = instant.now,
    ) -> None:
        super().__init__()
        self._path = path
        self._durable = durable
        self.has_short_turns = not durable
        self._owner = owner
        self._wake = wake
        self._wake_for_commands = wake_for_commands or wake
        self._watch_interval = watch_interval
        self._signer = signer or Signer()
        self._due: set[str] = set()
        """The queues that got work and are not woken yet."""
        self._commanded: set[str] = set()
        """The queues that got commands and are not told of them yet."""
        self._standing: dict[str, StandingClaim] = {}
        """The claims that queues have left, by queue."""
        self._served: dict[str, StandingClaim] = {}
        """Those that were served and whose queues are not notified yet, by queue."""
        self._last_commit = 0
        """The last transaction that this actor has committed."""
        self._idle = IdleWaiters() if idle is None else idle
        self._waits = JobWaiters() if waits is None else waits
        self._tracker = JobTracker(Hub()) if tracker is None else tracker
        self._hub = self._tracker.hub
        self._counts = counts
        self._clock = clock
        self._is_flush_due = False
        """Whether a `_Flush` is on its way."""
        self._later: list[tuple[Any, Write]] = []
        """What is left for the next transaction; if there is any, a `_Later` is on its way."""

    def init(self) -> None:
        """Open the LMDB environment, start the timer that looks for commits of other processes."""
        self._env = open_environment(
            self._path, durable=self._durable, owner=self._owner, signer=self._signer
        )
        self._env.on_grown = lambda size: self._hub.tell(MapGrown, size=size)
        self._watch = CommitWatch(self._env, self.ref)
        if self._watch_interval is not None:
            self._watch.begin(self._watch_interval)
        self._looks = IdleLooks(
            self._idle, self._env, self.ref, durable=self._durable, clock=self._clock
        )
        self._looks.look_soon()  # for those who waited while this actor was gone
        self._job_looks = JobLooks(self._waits, self._env, self.ref, durable=self._durable)
        self._job_looks.watch_later()
        self._flush_later()  # what a predecessor has left

    def can_run_inline(self) -> bool:
        """Return whether a caller's thread may do its write itself, as nothing makes it wait.

        Another process may stop with LMDB's lock in its hands, and whoever waits for that lock
        waits without a limit. So with other processes about, this actor's own thread does.
        """
        return self._env.is_uncontended

    def handle_call(self, request: Any) -> Any:
        """Commit all waiting Writes in one LMDB transaction, then do the Reads; reply to all.

        A commit is on disk with the flush of the next one. So while others wait, they are committed
        before the reply; else it is flushed by itself.
        """
        asker, others = self.from_, self.take_requests(_MOST_REQUESTS - 1)
        if type(request) is Write and type(asker) is Call and not (others or self._later):
            unflushed = self._write([(asker, request)])  # mostly
        else:
            unflushed = self._handle([asker, *others])
        while unflushed and (others := self._take_carrying()):
            last = self._env.last_seen
            try:
                following = self._handle(others)
            finally:  # whatever became of the next ones
                self._reply_from_disk(unflushed, last)
            unflushed = following
            self._announce()
        if unflushed:
            self._reply_from_disk(unflushed, self._env.last_seen)
        self._announce()
        return NOREPLY

    def _take_carrying(self) -> list[Any]:
        """Take the calls that wait, to carry the commit before them; none if they may take long."""
        if not self._durable or len(self.mailbox) > _MOST_CARRYING:
            return []
        return self.take_requests(_MOST_CARRYING)

    def _handle(self, askers: list[Any]) -> list[tuple[Any, Write]]:
        """Commit the Writes of *askers* together, then do their Reads.

        Return those Writes that are to be answered when they are on disk.
        """
        writes, reads = [], []
        for asker in askers:
            request = asker.request
            # Claimed for a killed queue actor, behind the rescue of its successor, jobs would run
            # on paper for ever.
            if isinstance(asker, Call) and not asker.is_wanted:
                continue
            if isinstance(request, LaterWrite):
                self._do_later(asker, request)
            elif isinstance(request, Write):
                writes.append((asker, request))
            elif isinstance(request, Read):
                reads.append((asker, request))
            else:
                error = f"the storage actor is asked Write or Read, not {request!r}"
                reply_error(asker, TypeError(error))
        unflushed = self._write([*writes, *self._take_later()]) if writes else []
        for asker, request in reads:
            self._read(asker, request)
        return unflushed

    def handle_info(self, message: Any) -> None:
        """Handle messages of timers: commits of other processes, idle queues, dead LMDB readers."""
        match message:
            case Committed():
                _retried(self._wake_for_commits)
            case LookForIdle():
                _retried(self._looks.look)
                self._looks.watch_later()
            case WatchForIdle():
                self._looks.watch()
            case WatchForJobs():
                _retried(self._job_looks.watch)
            case _Flush():
                self._is_flush_due = False
                self._flush_now()
            case _Later():
                if later := self._take_later():
                    self._write(later)
            case Sweep(watch_interval):
                self._watch.sweep(watch_interval)
            case _:
                super().handle_info(message)

    def handle_cast(self, request: Any) -> None:
        """Schedule a look for what a caller began to wait for: idle queues, the end of jobs.

        Or write what is marked in charts, which is seldom.
        """
        if isinstance(request, LookForIdle):
            self._looks.look_soon()
        elif isinstance(request, WatchForJobs):
            self._job_looks.watch_later()
        elif isinstance(request, WriteCharts):
            _retried(self._write_due_counts)
            self._flush_later()
        else:
            super().handle_cast(request)

    def ends_with(self, error: BaseException) -> bool:
        """Return whether an error ends this actor: the store failed, not one request."""
        return isinstance(error, StorageError | lmdb.Error)

    def terminate(self, reason: ExitReason) -> None:  # noqa: ARG002 - every end is the same
        """Close the LMDB environment. Callers in the mailbox ask the successor."""
        if self._durable:
            with suppress(StorageError):  # a store that fails loses the last seconds of its charts
                self._write_due_counts()
        self._env.close()

    def _write_due_counts(self) -> None:
        """Write what was counted for charts and is not written yet, if there is any."""
        if self._counts is not None and self._counts.due < math.inf:
            self._write_counts(self._counts)

    def _write_counts(self, counts: ChartCounts) -> None:
        """Write what was counted for charts, in a transaction of its own."""
        work = partial(JobStore.put_charts, counts=counts, took=list(self._env.commits_took))
        written = self._env.write(
            lambda txn: work(JobStore(txn, self._env.tables, self._signer)), flushes=False
        )
        counts.forget(written)

    def _write(self, batch: list[tuple[Any, Write]]) -> list[tuple[Any, Write]]:
        """Commit all Writes in one LMDB transaction, else each in its own.

        Reply to those that do not wait for the disk, and return the others.
        """
        if self._tracker.failing is not None:
            batch = self._fail_first(batch, self._tracker.failing)
            if not batch:
                return []
        taken: dict[str, StandingClaim] = {}
        try:
            # Each once, also if it was sent twice: the second time it would claim other jobs.
            requests = [batch[0][1]] if len(batch) == 1 else dict.fromkeys(map(_REQUEST, batch))
            findings = self._commit(requests, taken)
        except Exception as error:
            if _ends_it(error):
                self._tracker.outage_began(error)
                self._refuse_removed([asker for asker, _ in batch], error)
                raise  # only opening it anew can help
            if len(batch) == 1 and not taken:
                if _is_outage(error):
                    self._tracker.outage_began(error)
                reply_error(batch[0][0], error)
                return []
            # With no claim to serve, which may be guilty, too: those are gone.
            return [each for one in batch for each in self._write([one])]
        waiting = []
        for asker, request in batch:
            if request.waits_for_disk and self._durable:
                waiting.append((asker, request))
            else:
                _reply(asker, request)
        if findings:
            log_findings(findings)
        return waiting

    def _fail_first(
        self, batch: list[tuple[Any, Write]], error: StorageError
    ) -> list[tuple[Any, Write]]:
        """Reply to the first of some Writes as if the store had refused it; return the others."""
        self._tracker.failing = None
        self._tracker.outage_began(error)
        failed = batch[0][1]
        for asker, request in batch:
            if request is failed:
                reply_error(asker, error)
        return [each for each in batch if each[1] is not failed]

    def _reply_from_disk(self, batch: list[tuple[Any, Write]], transaction: int) -> None:
        """Reply when the commits up to *transaction* are on disk."""
        try:
            self._env.flush(transaction, carried_by=self._last_commit)
        except StorageError as error:
            self._tracker.outage_began(error)
            for asker, _ in batch:
                reply_error(asker, error)
            if _ends_it(error):
                raise
            return
        for asker, request in batch:
            _reply(asker, request)

    def _announce(self) -> None:
        """Wake the queue actors whose queues got work or commands in a commit of this actor.

        Those whose standing claims were served are notified of that.
        """
        if self._served:
            self._notify_served()
        if self._due:
            _wake_all(self._due, self._wake)
        if self._commanded:
            _wake_all(self._commanded, self._wake_for_commands)

    def _notify_served(self) -> None:
        for queue_name, standing in list(self._served.items()):
            standing.notify()
            self._due.discard(queue_name)
            self._served.pop(queue_name, None)

    def _commit(  # noqa: C901 - each commit comes by here, and a call costs more
        self, requests: Collection[Write], taken: dict[str, StandingClaim]
    ) -> list[tuple[object, ...]]:
        """Do and commit the Writes that are not yet done; return what is to be logged.

        Standing claims that may be served are *taken* from the others, by queue.
        """
        commits: list[None] = []
        work = partial(self._run, requests, taken, commits)
        if self._hub.wanted:
            done = self._commit_and_tell(work, commits)
        else:
            done = self._env.write(work, commits, flushes=False)
        transaction, findings, ended, counted, written = done
        if self._counts is not None:
            if written is not None:
                self._counts.forget(written)
            if counted:
                self._counts.waiting.append(counted)
                self._counts.noted += len(counted)
                if self._counts.due == math.inf or self._counts.noted > MOST_NOTED:
                    self._counts.begin_or_add_up()
        self._keep_standing(requests, taken)
        if transaction is None:
            return findings
        if self._tracker.outage_since is not None:
            self._tracker.outage_ended()
        self._last_commit = transaction
        if self._durable and not any(map(_WAITS_FOR_DISK, requests)):
            self._flush_later()
        if self._idle.waiters:
            self._looks.look_soon()
        if ended is not None:
            self._job_looks.committed(transaction, ended)
        if transaction == self._watch.seen + 1:
            self._watch.seen = transaction
        return findings

    def _commit_and_tell(self, work: Callable[..., Done], commits: list[None]) -> Done:
        """Commit a transaction that notes what it does, and publish that as events.

        Whatever else is told in the meantime comes after it, such as that a job has begun which was
        stored in it.
        """
        began = time.monotonic()
        told: list[Journal | None] = []
        try:
            done = self._env.write(lambda txn: work(txn, told), commits, flushes=False)
        except BaseException:
            self._hub.release()
            raise
        journal = told[-1]
        self._hub.release([] if journal is None else journal.take(began, done[0] is not None))
        return done

    def _run(  # noqa: C901 - each commit comes by here, and a call costs more
        self,
        requests: Collection[Write],
        taken: dict[str, StandingClaim],
        commits: list[None],
        txn: lmdb.Transaction,
        told: list[Journal | None] | None = None,
    ) -> Done:
        """Call the verbs of the Writes in the transaction *txn*, and note their results in them.

        *told* gets its journal.
        """
        clock = None if self._counts is None else self._counts.clock
        store = JobStore(txn, self._env.tables, self._signer, clock)
        journal = None if told is None else store.note_events(self._tracker)
        store.note_due(wanted=self._tracker.notes_due)
        ended = store.collect_ended() if self._waits.waiters else None
        for standing in taken.values():
            if standing.commits is commits:  # the transaction was aborted, and is repeated
                standing.commits = ()
        for request in requests:
            if request.commits:
                continue
            request.commits = commits
            _call_verb(request, store)
            if journal is not None:
                journal.end_verb()
        if store.due and (self._standing or taken):
            self._serve(store, taken, commits)
        for queue_name in store.due if self._served else ():
            asked = taken.get(queue_name)
            if asked is None or asked.commits is not commits:
                # It has more than it was served before: it is woken, which does for both.
                self._served.pop(queue_name, None)
        store.flush()
        written = None
        if self._counts is not None and self._counts.due < time.monotonic():
            written = store.put_charts(self._counts, list(self._env.commits_took))
        if told is not None:
            told.append(journal)
            self._hub.hold()
        # Noted before the commit: it harms no queue to be woken for nothing.
        self._due |= store.due
        self._commanded |= store.commanded
        number = txn.id() if store.has_changed else None
        return number, store.findings, ended, store.chart_notes, written

    def _serve(self, store: JobStore, taken: dict[str, StandingClaim], commits: list[None]) -> None:
        """Claim jobs for the queues that got work in this transaction and have left a claim.

        Such a claim is *taken* away first: a turn that runs in the middle of this one, in the same
        thread, must not serve it as well.
        """
        for queue_name in list(store.due):
            if store.holds(queue_name):
                continue  # no job of it may start
            standing = self._standing.pop(queue_name, None) or taken.get(queue_name)
            if standing is not None:
                taken[queue_name] = standing
                standing.serve(store, commits)

    def _keep_standing(self, requests: Collection[Write], taken: dict[str, StandingClaim]) -> None:
        """Keep the claims that a transaction has left, or has not used up; note those it served."""
        for request in requests:
            if (left := request.leaves) is not None and left.is_standing:
                self._standing[left.queue_name] = left
        for queue_name, standing in taken.items():
            rest: StandingClaim | None = standing
            if standing.commits:
                self._served[queue_name] = standing
                rest = standing.rest
            if rest is not None and rest.is_standing:
                self._standing.setdefault(queue_name, rest)

    def _read(self, asker: Any, request: Read) -> None:
        tables = self._env.tables
        try:
            answer, transaction = self._env.read(
                lambda txn: (
                    request.verb(JobReader(txn, tables), *request.args, **request.kwargs),
                    txn.id(),
                )
            )
            self._env.flush(transaction)
        except Exception as error:
            if _ends_it(error):
                self._refuse_removed([asker], error)
                raise
            reply_error(asker, error)
        else:
            reply(asker, answer)

    def _refuse_removed(self, askers: list[Any], error: Exception) -> None:
        """Reply with the error if the store was removed: no successor of this actor can."""
        if isinstance(error, StoreRemoved):
            for asker in askers:
                reply_error(asker, error)

    # ---- what nobody waits for ---------------------------------------------------------------

    def _do_later(self, asker: Any, request: LaterWrite) -> None:
        """Leave a write for the next transaction, and set a timer in case there is none."""
        if not self._later:
            timers.send_soon(self.ref, _Later(), LATER_SECONDS)
        self._later.append((asker, request))

    def _take_later(self) -> list[tuple[Any, Write]]:
        """Take what was left for the next transaction."""
        later, self._later = self._later, []
        return later

    # ---- flushing what nobody waits for -----------------------------------------------------

    def _flush_later(self, seconds: float = _FLUSH_SECONDS) -> None:
        """Set a timer to flush what was committed, if none is set."""
        if self._durable and not self._is_flush_due:
            timers.send_soon(self.ref, _Flush(), seconds)
            self._is_flush_due = True

    def _flush_now(self) -> None:
        try:
            self._env.flush()
        except StorageError as error:
            if _ends_it(error):
                raise
            self._flush_later(_FAILED_FLUSH_SECONDS)

    def _wake_for_commits(self) -> None:
        """Wake all queue actors if another process has committed."""
        queues = self._watch.news()
        if queues is not None:
            for queue_name in queues:
                self._wake_for_commands(queue_name)
            self._looks.look_soon()


def _call_verb(request: Write, store: JobStore) -> None:
    """Do what a Write asks for, and note in it the result or the refusal."""
    request.refusal = None
    try:
        request.value = request.verb(store, *request.args, **request.kwargs)
    except StorageError:
        raise  # in the middle of a verb, perhaps
    except AntqError as refusal:
        request.refusal = refusal


def _retried(look: Callable[[], None]) -> None:
    """Look at the store; when that fails, the next look will do, unless the store is lost."""
    try:
        look()
    except StorageError as error:
        if _ends_it(error):
            raise


def _wake_all(queues: set[str], wake: Callable[[str], None]) -> None:
    for queue_name in list(queues):
        wake(queue_name)
        queues.discard(queue_name)


def _reply(asker: Any, request: Write) -> None:
    if request.refusal is None:
        reply(asker, request.value)
    else:
        reply_error(asker, request.refusal)


def _is_outage(error: Exception) -> bool:
    """Return whether an error is the store's, and not that of one request or record."""
    return isinstance(error, StorageError) and not isinstance(error, DamagedRecord)


def _ends_it(error: Exception) -> bool:
    """Return whether an error means that the LMDB environment cannot be used any more."""
    return isinstance(error, StoreRemoved) or isinstance(error.__cause__, _BROKEN)
