"""What every other part calls to have something done in the store.

A verb of the store is a method of :class:`JobReader` or :class:`JobStore`; it needs none here::

    store.read(JobReader.get, id_)
    store.write(JobStore.cancel, id_, now=now)

Each is one message and one reply. It outlives a restart of the storage actor: the same message is
sent again, and is never done twice. What has a method here is more than one verb.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, Final, ParamSpec, TypeVar

from antq_actors.errors import ForkError, StorageError
from antq_actors.events.hub import Hub
from antq_actors.jobs import instant
from antq_actors.otp import CallTimeout
from antq_actors.otp.kernel.messages import Promise
from antq_actors.otp.messaging import calls
from antq_actors.storage.acting import Acting, current, log_action
from antq_actors.storage.format.records import Claim, Filter, Span
from antq_actors.storage.idle_waiters import IdleWaiters, LookForIdle
from antq_actors.storage.job_waiters import JobWaiters, WatchForJobs
from antq_actors.storage.jobs import undo
from antq_actors.storage.jobs.chart_counts import ChartCounts
from antq_actors.storage.jobs.job_store import JobStore
from antq_actors.storage.jobs.reader import JobReader
from antq_actors.storage.jobs.tracker import JobTracker
from antq_actors.storage.lmdb import open_stores
from antq_actors.storage.lmdb.directory import in_words
from antq_actors.storage.locks import node_lock
from antq_actors.storage.requests import LaterWrite, Read, StandingClaim, Write, WriteCharts

if TYPE_CHECKING:
    import builtins
    from collections.abc import Callable, Collection, Iterator, Sequence

    from antq_actors.jobs.audit import Action, AuditEntry
    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.state import StoredJob
    from antq_actors.otp import ServerRef
    from antq_actors.otp.kernel.messages import Call
    from antq_actors.storage.format.records import QueueReport, Settlement
    from antq_actors.storage.job_waiters import JobWaiter
    from antq_actors.storage.locks.node_lock import NodeInfo

P = ParamSpec("P")
T = TypeVar("T")

_TIMEOUT_SECONDS: Final = 30.0
"""Seconds that a caller waits for a storage actor that is busy or being restarted."""
_PAGE_JOBS: Final = 500
_COUNT_PAGE_JOBS: Final = 5_000
"""Jobs that are counted in one transaction: a few milliseconds."""


class StorageClient:
    """Asks the storage actor *dest* of the store in the directory *path*.

    Every method raises StorageError when the actor does not reply within *timeout* seconds, or the
    store fails; StorageFull when the disk is full; ForkError in a fork of the process that
    made the client; and what its own line says.
    """

    def __init__(
        self,
        dest: str | ServerRef,
        path: str | os.PathLike[str],
        *,
        timeout: float = _TIMEOUT_SECONDS,
        hub: Hub | None = None,
        clock: Callable[[], Instant] = instant.now,
    ) -> None:
        self.hub = Hub() if hub is None else hub
        """Where is told what is done by means of the store."""
        self.tracker = JobTracker(self.hub)
        """What the storage actor tells of jobs."""
        self.counts = ChartCounts(clock)
        """What the storage actor counts for charts, and has not written yet."""
        self.actions: set[Acting] = set()
        """What somebody does by hand now, in a block of its own each."""
        self._dest = dest
        self._path = Path(os.path.realpath(path))
        self._timeout = timeout
        self._pid = os.getpid()
        self.closed = Promise()
        """Settled when its application has stopped: nobody need wait for an answer any more. No
        Event: that may be waited for neither in a finalizer nor in the handler of a signal."""
        self.idle = IdleWaiters()
        """Who waits until there is nothing to do; the storage actor looks for them."""
        self.waits = JobWaiters()
        """Who waits until jobs have ended; the storage actor wakes them."""

    def close(self) -> None:
        """Make all waiting calls of this client fail: the storage actor will not come back."""
        self.closed.answer(None)
        self.idle.close()
        self.waits.close()

    def is_awaited(self) -> bool:
        """Return whether a caller waits for the end of jobs, of whatever queue."""
        return bool(self.idle.waiters or self.waits.waiters)

    def removal(self) -> StorageError | None:
        """Return the error of a store whose files were removed while its application ran."""
        return open_stores.removal(self._path)

    # ---- any verb -------------------------------------------------------------------------

    def write(
        self, verb: Callable[Concatenate[JobStore, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Call the storage actor to do *verb* and commit; return its result.

        When it raises, it has changed nothing. What belongs to an action is noted in the audit.
        """
        result: T
        if self.actions and (acting := current(self)) is not None:
            result = acting.write(verb, args, kwargs)
        else:
            result = self._ask(Write(verb, args, kwargs))
        return result

    def write_plainly(self, verb: Callable[..., Any], *args: Any) -> Any:
        """Do what :meth:`write` does, and note nothing in the audit."""
        return self._ask(Write(verb, args))

    @property
    def is_acting(self) -> bool:
        """Whether what is written now belongs to an action, so that no actor may write it."""
        return bool(self.actions) and current(self) is not None

    def undo(self, token: str, name: str | None) -> AuditEntry:
        """Undo an action of any process, for *name*; return the entry that tells of that.

        Raises NotUndoable.
        """
        reports = self.node_reports(self.read(JobReader.nodes))
        entry: AuditEntry = self.write_plainly(undo.undo, token, name, reports, self.counts.clock())
        log_action(entry)
        return entry

    def acting(self, action: Action) -> Acting:
        """Return the block in which *action* is done; what is written in it is noted in the audit.

        What :meth:`request` and :meth:`work` write is not: actors do that.
        """
        return Acting(self, action, self.counts.clock)

    def read(
        self, verb: Callable[Concatenate[JobReader, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Call the storage actor to do *verb*, which sees every change reported before."""
        result: T = self._ask(Read(verb, args, kwargs))
        return result

    def request(
        self,
        tag: Any,
        verb: Callable[Concatenate[JobStore, P], object],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Call | None:
        """Send the storage actor a write, and wait neither for a reply nor for the disk.

        For actors: the answered call if no waiting is needed, else None; then an
        ``otp.Response(tag, value, error)`` arrives as a message.
        """
        self.check()
        request = Write(verb, args, kwargs, waits_for_disk=False)
        return calls.call_or_message(self._dest, request, tag)

    def request_later(
        self,
        tag: Any,
        verb: Callable[Concatenate[JobStore, P], object],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> None:
        """Do what :meth:`request` does, but have it share the next transaction, if one comes soon.

        So it costs no commit of its own where there are others. The response is a message.
        """
        self.check()
        calls.call_by_message(self._dest, LaterWrite(verb, args, kwargs, waits_for_disk=False), tag)

    # ---- jobs are run ---------------------------------------------------------------------

    def work(
        self,
        queue_name: str,
        settlements: Sequence[Settlement],
        *,
        node: int,
        limit: int,
        now: Instant,
        reconnect_timeout: float = _TIMEOUT_SECONDS,
    ) -> Claim:
        """Call the storage actor to store outcomes, then claim up to *limit* due jobs of a queue.

        As :meth:`JobStore.work`, but it raises StorageError when the storage actor is gone, not
        only busy, for *reconnect_timeout* seconds.
        """
        how = {"node": node, "limit": limit, "now": now}
        request = Write(JobStore.work, (queue_name, settlements), how)
        claim: Claim = self._ask(request, reconnect_timeout=reconnect_timeout)
        return claim

    def request_work(
        self,
        settlements: Sequence[Settlement],
        *,
        limit: int,
        withdrawn: StandingClaim | None,
        left: StandingClaim,
        tag: Any,
    ) -> tuple[Write, Call | None]:
        """Send the storage actor a request to store outcomes and claim jobs, as :meth:`work` does.

        It waits for no other thread. For actors. It takes back a standing claim, *withdrawn*, and
        leaves another one, *left*, which says for whom it is: see :meth:`.StandingClaim.work`.
        Return the request, and the answered call if no waiting is needed; else an
        ``otp.Response(tag, claim, error)`` arrives as a message. An error that is a CallExit means
        that the storage actor ended: give the request to :meth:`request_again`.
        """
        if os.getpid() != self._pid:
            self.check()
        verb = partial(left.work, settlements, limit=limit, withdrawn=withdrawn)
        request = Write(verb, waits_for_disk=False, leaves=left)
        return request, calls.call_or_message(self._dest, request, tag)

    def request_again(self, request: Write, *, tag: Any) -> Call | None:
        """Send the storage actor a request again whose reply was lost; it is never done twice."""
        self.check()
        return calls.call_or_message(self._dest, request, tag)

    # ---- charts -------------------------------------------------------------------------------

    def mark_in_charts(self, kind: str, text: str) -> None:
        """Have charts show that something happened now; wait for nobody.

        It is written even if no job is. While the store fails it is kept, for the next commit.
        """
        self.counts.mark(kind, text)
        calls.cast(self._dest, WriteCharts())

    # ---- the file -----------------------------------------------------------------------------

    def file_bytes(self) -> int:
        """Read how large the data file of the store is."""
        with in_words(self._path):
            return (self._path / "data.mdb").stat().st_size

    # ---- jobs are looked at ---------------------------------------------------------------

    def list(
        self,
        filter_: Filter = Filter(),  # noqa: B008 - a constant
        span: Span = Span(),  # noqa: B008 - as well
        *,
        limit: int | None = None,
        accept: Callable[[StoredJob], bool] | None = None,
    ) -> builtins.list[StoredJob]:
        """Read up to *limit* jobs of *span*, by id, that pass both filters, from the storage actor.

        They are read page by page and decoded, and *accept* runs, in the caller's thread: a long
        list holds up nobody.
        """
        found: list[StoredJob] = []
        if limit is not None and limit <= 0:
            return found
        for job in self.pages(filter_, span, limit):
            if accept is None or accept(job):
                found.append(job)
                if len(found) == limit:
                    break
        return found

    def count_of_worker(self, filter_: Filter) -> int:
        """Count the jobs of a worker, reading them page by page from the storage actor.

        A long count holds up no other caller. Each job is looked at once.
        """
        return sum(found for found, _ in self._counted_pages(filter_, 0))

    def has_worker(self, worker: str, after: int) -> tuple[bool, int]:
        """Read whether a job with a larger id than *after* has this worker, and the last id read.

        It stops at the first page with such a job.
        """
        last = after
        for found, last in self._counted_pages(Filter(worker=worker), after):
            if found:
                return True, last
        return False, last

    def _counted_pages(self, filter_: Filter, after: int) -> Iterator[tuple[int, int]]:
        """Yield for each page of jobs after the id *after* how many match, and its last id."""
        while True:
            found, last = self.read(
                JobReader.count_page, filter_, after=after, size=_COUNT_PAGE_JOBS
            )
            yield found, last or after
            if last is None or last == after:
                return
            after = last

    def known_queues(self) -> builtins.list[str]:
        """Read the names of the queues that have jobs, are paused, or are run by a node.

        A job process asks its parent for them.
        """
        return self.read(JobReader.known_queues)

    def recent_workers(self) -> set[str]:
        """Read the names of the workers of the newest jobs, of one page of them."""
        newest = Span(newest_first=True)
        page = self.read(JobReader.page, Filter(), newest, size=_PAGE_JOBS)
        return {raw.worker for raw in page}

    def unfinished(self, queue: str | None, now: Instant, timeout: float | None = None) -> int:
        """Call the storage actor to count the unfinished jobs of a queue, or of all.

        Those have not ended and, if they are scheduled, are due. *timeout*: seconds
        after which this raises StorageError, if not as ever.
        """
        request = Read(JobReader.unfinished, ((queue,), now))
        left: dict[str | None, int] = self._ask(request, timeout=timeout)
        return left[queue]

    def look_for_idle(self) -> None:
        """Send the storage actor a cast to look whether queues that callers wait for are idle."""
        self.check()
        calls.cast(self._dest, LookForIdle())

    def await_jobs(self, waiter: JobWaiter) -> None:
        """Have the storage actor wake *waiter* when its jobs end; look at them after that."""
        self.check()
        self.waits.add(waiter)
        if not self.waits.is_watched:
            calls.cast(self._dest, WatchForJobs())

    # ---- queues ---------------------------------------------------------------------------

    def set_concurrency_command(self, queue: str, n: int) -> int:
        """Store a command for each living node of *queue*: perform up to *n* jobs of it at once.

        Return how many nodes that are. Their file locks tell which live.
        """
        reports = self.node_reports(self.read(JobReader.nodes_of, queue))
        found = {node: each[queue].concurrency for node, each in reports.items() if queue in each}
        were = {node: number for node, number in found.items() if number is not None}
        if reports:
            self.write(JobStore.set_concurrency_command, queue, n, list(reports), were)
        return len(reports)

    # ---- nodes ----------------------------------------------------------------------------

    def open_node(self, queues: Collection[str] = (), metadata: bytes = b"") -> int:
        """Record this process as a node that runs *queues*, take its file lock, return its number.

        The lock is held until the node is closed, or its process ends. Its *metadata* is for
        :meth:`node_infos`.
        """
        node = self.write(JobStore.new_node)
        if queues:
            self.counts.node = node
        with in_words(self._path):
            node_lock.hold(self._path, node, metadata)
        # Only now: a recorded node whose lock can be taken is a dead one.
        version = node_lock.read_info(node, metadata, alive=True, running=0).version
        self.write(JobStore.add_node, node, queues, version)
        nodes = self.read(JobReader.nodes)
        with in_words(self._path):
            node_lock.sweep(self._path, nodes)
        return node

    def describe_node(self, node: int, metadata: bytes) -> None:
        """Write new metadata of a node of this process into its lock file. Raises OSError."""
        node_lock.describe_anew(self._path, node, metadata)

    def lose_node(self, node: int) -> None:
        """Release the file lock of a node of this process that was declared dead."""
        node_lock.release(self._path, node)

    def close_node(self, node: int) -> None:
        """Delete the record and the lock file of a node of this process, or of a dead one.

        Its jobs were given back before.
        If they were not, or the store cannot be told, the node is a dead one from now on.
        """
        try:
            self.write(JobStore.remove_node, node)
        finally:
            with in_words(self._path):
                node_lock.release(self._path, node)

    def served_queues(self) -> builtins.list[str]:
        """Read the names of the queues that living nodes run, each once, in the order of nodes."""
        nodes = self.read(JobReader.served_by_node)
        with in_words(self._path):
            living = [queues for node, queues in nodes if not node_lock.is_dead(self._path, node)]
        return list(dict.fromkeys(name for queues in living for name in queues))

    def node_infos(self) -> builtins.list[NodeInfo]:
        """Read the recorded nodes from the store, and from their lock files what each is."""
        with in_words(self._path):
            infos = [
                node_lock.read_info(
                    node,
                    node_lock.metadata(self._path, node),
                    alive=not node_lock.is_dead(self._path, node),
                    running=running,
                )
                for node, running in self.read(JobReader.running_by_node).items()
            ]
        # Others are nodes only so that their death is seen.
        return [info for info in infos if info.queues or not info.pid]

    def node_reports(self, nodes: Collection[int]) -> dict[int, dict[str, QueueReport]]:
        """Read from their lock files which of these nodes live, and how their queues do."""
        with in_words(self._path):
            return {
                node: node_lock.read_reports(node_lock.metadata(self._path, node))
                for node in nodes
                if not node_lock.is_dead(self._path, node)
            }

    def node_skew(self, node: int) -> float | None:
        """Return how far a node's clock is ahead of the machine's, in seconds; None: unknown."""
        return node_lock.skew(self._path, node)

    def living_of(self, nodes: Sequence[int]) -> tuple[int, ...]:
        """Return those of recorded *nodes* that live, as their file locks tell."""
        with in_words(self._path):
            return tuple(node for node in nodes if not node_lock.is_dead(self._path, node))

    def dead_nodes(self) -> builtins.list[int]:
        """Return the recorded nodes whose file lock is free: their process is gone."""
        nodes = self.read(JobReader.nodes)
        with in_words(self._path):
            dead = [node for node in nodes if node_lock.is_dead(self._path, node)]
        if not dead:
            return []
        # One that was closed between the two looks is no dead one: it is forgotten first.
        return [node for node in self.read(JobReader.nodes) if node in dead]

    # ---- what takes several transactions --------------------------------------------------

    def cancel_group(self, id_: int, *, now: Instant, kind: int | None) -> None:
        """Cancel a group of a *kind*, None: of any, and those in it, some members at a time.

        Raises BatchNotFound.
        """
        left = [(id_, 0)]
        while left:
            group, after = left.pop()
            position, parts = self.write(
                JobStore.cancel_group, group, after=after, now=now, kind=kind
            )
            kind = None
            if position is not None:
                left.append((group, position))
            left += [(part, 0) for part in parts]

    # ---- asking ---------------------------------------------------------------------------

    def _ask(
        self,
        request: Write | Read,
        *,
        timeout: float | None = None,
        reconnect_timeout: float = _TIMEOUT_SECONDS,
    ) -> Any:
        """Call the storage actor and wait for the reply, also over restarts of it."""
        if os.getpid() != self._pid:
            self.check()
        timeout = self._timeout if timeout is None else min(timeout, self._timeout)
        reconnect_timeout = min(reconnect_timeout, timeout)
        try:
            return calls.call_supervised(
                self._dest,
                request,
                timeout=timeout,
                restart_timeout=reconnect_timeout,
                supervision_ended=self.closed,
                gives_up_on_stop=True,
            )
        except CallTimeout as error:
            raise StorageError(
                f"the store in {self._path} did not answer within {timeout:g} s"
            ) from error
        except calls.NotRestarted as error:
            raise self.removal() or StorageError(
                f"the storage actor of {self._path} is gone and did not come back within"
                f" {reconnect_timeout:g} s: {error}"
            ) from error
        except calls.NeverRestarted as error:
            raise self.removal() or StorageError(
                f"the store in {self._path} is closed: its application has stopped"
            ) from error

    def pages(
        self,
        filter_: Filter,
        span: Span = Span(),  # noqa: B008 - a constant
        limit: int | None = None,
    ) -> Iterator[StoredJob]:
        """Read the jobs of *span* that pass the filter page by page, and yield them by id.

        *limit*: as many will do, so that the first page is no longer.
        """
        size = _PAGE_JOBS if limit is None else min(limit, _PAGE_JOBS)
        while True:
            page = self.read(JobReader.page, filter_, span, size=size)
            for raw in page:
                if filter_.worker is None or filter_.worker == raw.worker:
                    yield raw.decode()
            if len(page) < size:
                return
            span = span.beyond(page[-1].id)
            size = _PAGE_JOBS

    def check(self) -> None:
        """Raise ForkError if this process is a fork of the process that made the client."""
        if os.getpid() != self._pid:
            raise ForkError(
                "this process is a fork of the one that started the application, and a store cannot"
                " be carried across a fork: start an AntQ in the child (with gunicorn: in"
                " post_fork, or without preload)"
            )
