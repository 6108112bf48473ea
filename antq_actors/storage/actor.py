"""The only actor of its process that touches LMDB: what waits for it together, it commits together.

Alone, a write waits for one fsync; under load, hundreds share it. A verb that is refused answers
its asker and spoils nothing. Anything worse aborts the transaction; its writes are then repeated
one by one, and only the guilty one gets the error.
"""

from __future__ import annotations

import time
from functools import partial
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import lmdb

from antq_actors.errors import AntqError, StorageError
from antq_actors.jobs import instant
from antq_actors.otp import NOREPLY, GenServer, reply
from antq_actors.otp.kernel.messages import Call
from antq_actors.otp.messaging import timers
from antq_actors.otp.messaging.calls import reply_error
from antq_actors.storage.format.encoding import Signer
from antq_actors.storage.jobs.job_store import JobStore
from antq_actors.storage.jobs.reader import JobReader
from antq_actors.storage.jobs.writer import log_findings
from antq_actors.storage.lmdb.directory import StoreRemoved
from antq_actors.storage.lmdb.open_stores import open_environment
from antq_actors.storage.requests import (
    IdleWaiters,
    LookForIdle,
    Read,
    StandingClaim,
    Write,
    pause_after,
)

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Collection

    from antq_actors.jobs.instant import Instant
    from antq_actors.otp.kernel.reasons import ExitReason

_MOST_REQUESTS: Final = 1_000
_MOST_CARRYING: Final = 100
"""The most requests for whose commit others wait, in place of a flush of their own."""
_LOOKS_PER_SWEEP: Final = 100
"""Every so many, readers that were killed are forgotten: they keep pages from being used again."""
_IDLE_WATCH_SECONDS: Final = 0.05
"""Seconds between two looks for commits of other processes, while somebody waits."""
_VOLATILE_WATCH_SECONDS: Final = 1.0
"""The same where there are none; a turn may have been cut short behind its commit."""
_OLDEST_LOOK_SECONDS: Final = 1.0
"""So old is a look at most that left somebody waiting: the clock may have been set back, so that
nothing is due any more, and no commit tells of that.
"""
_FLUSH_SECONDS: Final = 0.05
"""Seconds after which a commit that nobody waits for is flushed, if no other was in between."""
_FAILED_FLUSH_SECONDS: Final = 1.0
"""The same after a flush that failed."""
_REQUEST: Final = itemgetter(1)
_WAITS_FOR_DISK: Final = attrgetter("waits_for_disk")
_BROKEN: Final = (lmdb.PanicError, lmdb.CorruptedError)


class _Committed:
    """Another process has committed something."""


class _WatchForIdle:
    """It is time to see whether something was committed unnoticed, while somebody waits."""


class _Flush:
    """It is time to flush the commits that nobody waited for."""


class _Sweep(NamedTuple):
    """It is time to forget readers that were killed."""

    watch_interval: float


class StorageActor(GenServer):
    """The actor that runs verbs on the LMDB store in the directory *path*.

    It opens and closes the store.
    *durable*: what was answered is on disk (see :class:`.Write`). *wake* is called with the name of
    each queue that got work, once per commit; it must neither raise nor wait. *owner* says whose
    successor it may be (see :func:`.open_environment`). *watch_interval*: seconds between two looks
    for commits of other processes, after which *wake_for_commands* is called for all queues, as
    *wake* is; None for no looking. While no other process has the store open, it is twice as long.
    *signer* signs and verifies what jobs are enqueued with. *idle* are the callers that wait for
    idleness.

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
        clock: Callable[[], Instant] = instant.now,
    ) -> None:
        super().__init__()
        self._path = path
        self._durable = durable
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
        self._is_commit_reported = False
        """Whether a `_Committed` is on its way."""
        self._seen = 0
        """The last transaction that all queues know of."""
        self._last_commit = 0
        """The last transaction that this actor has committed."""
        self._idle = IdleWaiters() if idle is None else idle
        self._clock = clock
        self._is_look_due = False
        """Whether a `LookForIdle` is on its way."""
        self._looked_at = 0
        """The last transaction that a look for idle queues has seen."""
        self._next_look = 0.0
        """When, on the monotonic clock, the next look may be."""
        self._is_idle_watched = False
        """Whether a `_WatchForIdle` is on its way."""
        self._is_flush_due = False
        """Whether a `_Flush` is on its way."""

    def init(self) -> None:
        """Open the LMDB environment, start the timer that looks for commits of other processes."""
        self._env = open_environment(
            self._path, durable=self._durable, owner=self._owner, signer=self._signer
        )
        self._seen = self._env.last_transaction()
        if self._watch_interval is not None:
            watch = partial(self._until_next_look, self._watch_interval)
            timers.send_when(self.ref, _Committed(), self._is_news, every=watch)
            self._sweep_later(self._watch_interval)
        self._look_for_idle_soon()  # for those who waited while this actor was gone
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
        if type(request) is Write and type(asker) is Call and not others:  # mostly
            unflushed = self._write([(asker, request)])
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
            if isinstance(request, Write):
                writes.append((asker, request))
            elif isinstance(request, Read):
                reads.append((asker, request))
            else:
                error = f"the storage actor is asked Write or Read, not {request!r}"
                reply_error(asker, TypeError(error))
        unflushed = self._write(writes) if writes else []
        for asker, request in reads:
            self._read(asker, request)
        return unflushed

    def handle_info(self, message: Any) -> None:
        """Handle messages of timers: commits of other processes, idle queues, dead LMDB readers."""
        match message:
            case _Committed():
                self._on_commit_elsewhere()
            case LookForIdle():
                self._is_look_due = False
                self._look_for_idle()
            case _WatchForIdle():
                self._is_idle_watched = False
                self._watch_for_idle()
            case _Flush():
                self._is_flush_due = False
                self._flush_now()
            case _Sweep(watch_interval):
                self._env.clear_dead_readers()
                self._sweep_later(watch_interval)
            case _:
                super().handle_info(message)

    def handle_cast(self, request: Any) -> None:
        """Schedule a look for idle queues, as a caller began to wait for that."""
        if isinstance(request, LookForIdle):
            self._look_for_idle_soon()
        else:
            super().handle_cast(request)

    def ends_with(self, error: BaseException) -> bool:
        """Return whether an error ends this actor: the store failed, not one request."""
        return isinstance(error, StorageError | lmdb.Error)

    def terminate(self, reason: ExitReason) -> None:  # noqa: ARG002 - every end is the same
        """Close the LMDB environment. Callers in the mailbox ask the successor."""
        self._env.close()

    def _write(self, batch: list[tuple[Any, Write]]) -> list[tuple[Any, Write]]:
        """Commit all Writes in one LMDB transaction, else each in its own.

        Reply to those that do not wait for the disk, and return the others.
        """
        taken: dict[str, StandingClaim] = {}
        try:
            # Each once, also if it was sent twice: the second time it would claim other jobs.
            requests = [batch[0][1]] if len(batch) == 1 else dict.fromkeys(map(_REQUEST, batch))
            findings = self._commit(requests, taken)
        except Exception as error:
            if _ends_it(error):
                self._refuse_removed([asker for asker, _ in batch], error)
                raise  # only opening it anew can help
            if len(batch) == 1 and not taken:
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

    def _reply_from_disk(self, batch: list[tuple[Any, Write]], transaction: int) -> None:
        """Reply when the commits up to *transaction* are on disk."""
        try:
            self._env.flush(transaction, carried_by=self._last_commit)
        except StorageError as error:
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

    def _commit(
        self, requests: Collection[Write], taken: dict[str, StandingClaim]
    ) -> list[tuple[object, ...]]:
        """Do and commit the Writes that are not yet done; return what is to be logged.

        Standing claims that may be served are *taken* from the others, by queue.
        """
        commits: list[None] = []
        transaction, findings = self._env.write(
            partial(self._run, requests, taken, commits), commits, flushes=False
        )
        self._keep_standing(requests, taken)
        if transaction is None:
            return findings
        self._last_commit = transaction
        if self._durable and not any(map(_WAITS_FOR_DISK, requests)):
            self._flush_later()
        if self._idle.waiters:
            self._look_for_idle_soon()
        if transaction == self._seen + 1:
            self._seen = transaction
        return findings

    def _run(
        self,
        requests: Collection[Write],
        taken: dict[str, StandingClaim],
        commits: list[None],
        txn: lmdb.Transaction,
    ) -> tuple[int | None, list[tuple[object, ...]]]:
        """Call the verbs of the Writes in the transaction *txn*, and note their results in them.

        Return the number of the transaction if it changes anything, and what is to be logged.
        """
        store = JobStore(txn, self._env.tables, self._signer)
        for standing in taken.values():
            if standing.commits is commits:  # the transaction was aborted, and is repeated
                standing.commits = ()
        for request in requests:
            if request.commits:
                continue
            request.refusal = None
            request.commits = commits
            try:
                request.value = request.verb(store, *request.args, **request.kwargs)
            except StorageError:
                raise  # in the middle of a verb, perhaps
            except AntqError as refusal:
                request.refusal = refusal
        if store.due and (self._standing or taken):
            self._serve(store, taken, commits)
        for queue_name in store.due if self._served else ():
            asked = taken.get(queue_name)
            if asked is None or asked.commits is not commits:
                # It has more than it was served before: it is woken, which does for both.
                self._served.pop(queue_name, None)
        store.flush()
        # Noted before the commit: it harms no queue to be woken for nothing.
        self._due |= store.due
        self._commanded |= store.commanded
        return txn.id() if store.has_changed else None, store.findings

    def _serve(self, store: JobStore, taken: dict[str, StandingClaim], commits: list[None]) -> None:
        """Claim jobs for the queues that got work in this transaction and have left a claim.

        Such a claim is *taken* away first: a turn that runs in the middle of this one, in the same
        thread, must not serve it as well.
        """
        for queue_name in list(store.due):
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

    # ---- flushing what nobody waits for -----------------------------------------------------

    def _flush_later(self, seconds: float = _FLUSH_SECONDS) -> None:
        """Set a timer to flush what was committed, if none is set."""
        if self._durable and not self._is_flush_due:
            self.send_after(seconds, _Flush())
            self._is_flush_due = True

    def _flush_now(self) -> None:
        try:
            self._env.flush()
        except StorageError as error:
            if _ends_it(error):
                raise
            self._flush_later(_FAILED_FLUSH_SECONDS)

    # ---- commits of other processes ---------------------------------------------------------

    def _sweep_later(self, watch_interval: float) -> None:
        self.send_after(_LOOKS_PER_SWEEP * watch_interval, _Sweep(watch_interval))

    def _until_next_look(self, watch_interval: float) -> float:
        """Return the seconds until the next look for commits of other processes.

        They are doubled while no other process has the store open; the next look sees it.
        """
        return watch_interval if self._env.is_shared else 2 * watch_interval

    def _is_news(self) -> bool:
        """Return whether another process has committed and no message about it is on its way."""
        if self._is_commit_reported:
            return False
        try:
            self._is_commit_reported = self._env.last_transaction() != self._seen
        except (StorageError, lmdb.Error):  # it is being closed
            return False
        return self._is_commit_reported

    def _on_commit_elsewhere(self) -> None:
        """Wake all queue actors after a commit of another process; a failed read is repeated."""
        self._is_commit_reported = False
        try:
            self._wake_for_commits()
        except StorageError as error:
            if _ends_it(error):
                raise

    def _wake_for_commits(self) -> None:
        if self._env.last_transaction() == self._seen:
            return
        # A commit has its number a moment before those who read see it: what was seen is what
        # this very look could see, and the rest is for the next.
        queues, self._seen = self._env.read(
            lambda txn: (JobReader(txn, self._env.tables).known_queues(), txn.id())
        )
        for queue_name in queues:
            self._wake_for_commands(queue_name)
        self._look_for_idle_soon()

    # ---- waiting until there is nothing to do -----------------------------------------------

    def _look_for_idle_soon(self) -> None:
        """Set a timer for the next look for idle queues, if a caller waits for that."""
        if not self._idle.waiters or self._is_look_due:
            return
        # The message first: a turn that is cut short in between only makes a look too many.
        pause = max(0.0, self._next_look - time.monotonic())
        timers.send_soon(self.ref, LookForIdle(), pause)
        self._is_look_due = True

    def _look_for_idle(self) -> None:
        """Count unfinished jobs in the store, and wake the callers whose queue has none left."""
        waiters = self._idle.current()
        if not waiters:
            return
        began = time.monotonic()
        try:
            queues = {each.queue_name for each in waiters}
            unfinished, self._looked_at = self._unfinished(queues)
            if not all(unfinished.values()):
                self._env.flush(self._looked_at)
        except StorageError as error:
            if _ends_it(error):
                raise
        else:
            ended = time.monotonic()
            self._next_look = ended + pause_after(unfinished, ended - began)
            self._idle.settle(waiters, unfinished)
        self._watch_later()

    def _unfinished(self, queues: set[str | None]) -> tuple[dict[str | None, int], int]:
        now, tables = self._clock(), self._env.tables
        return self._env.read(
            lambda txn: (JobReader(txn, tables).unfinished(queues, now), txn.id())
        )

    def _watch_later(self) -> None:
        """Set a timer to see whether other processes made queues idle, while a caller waits."""
        if self._idle.waiters and not self._is_idle_watched:
            self.send_after(
                _IDLE_WATCH_SECONDS if self._durable else _VOLATILE_WATCH_SECONDS, _WatchForIdle()
            )
            self._is_idle_watched = True

    def _watch_for_idle(self) -> None:
        if not self._idle.waiters:
            return
        is_old = time.monotonic() > self._next_look + _OLDEST_LOOK_SECONDS
        if is_old or self._env.last_transaction() != self._looked_at:
            self._look_for_idle_soon()
        self._watch_later()


def _wake_all(queues: set[str], wake: Callable[[str], None]) -> None:
    for queue_name in list(queues):
        wake(queue_name)
        queues.discard(queue_name)


def _reply(asker: Any, request: Write) -> None:
    if request.refusal is None:
        reply(asker, request.value)
    else:
        reply_error(asker, request.refusal)


def _ends_it(error: Exception) -> bool:
    """Return whether an error means that the LMDB environment cannot be used any more."""
    return isinstance(error, StoreRemoved) or isinstance(error.__cause__, _BROKEN)
