"""The typed face of the storage actor: what every other part calls.

Each method is one message and one answer. It outlives a restart of the storage actor: the same
message is sent again, and is never done twice.
"""

from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from antq_actors.errors import ForkError, StorageError
from antq_actors.otp import CallCycle, CallExit, CallTimeout
from antq_actors.otp.kernel import current
from antq_actors.otp.kernel.messages import Promise
from antq_actors.otp.messaging import calls, inline
from antq_actors.storage.format.records import Claim, Filter, ImportedJob, Settlement, Span
from antq_actors.storage.jobs.idle import IdleWaiters, LookForIdle
from antq_actors.storage.jobs.job_store import JobStore
from antq_actors.storage.jobs.reader import JobReader
from antq_actors.storage.lmdb import environment
from antq_actors.storage.lmdb.failures import in_words
from antq_actors.storage.locks import node_info, node_lock
from antq_actors.storage.requests import Read, Write

if TYPE_CHECKING:
    import builtins
    from collections.abc import Callable, Collection, Iterator, Sequence

    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.state import ErrorEntry, NewJob, StoredJob
    from antq_actors.jobs.status import Status
    from antq_actors.otp import ServerRef
    from antq_actors.otp.kernel.messages import Response
    from antq_actors.storage.jobs.due_jobs import QueueFacts
    from antq_actors.storage.locks.node_info import NodeInfo

T = TypeVar("T")

_PATIENCE: Final = 30.0
"""Seconds that a caller waits for a storage actor that is busy or being restarted."""
_PAUSE: Final = 0.01
_PAGE: Final = 500
_COUNT_PAGE: Final = 5_000
"""Jobs that are counted in one transaction: a few milliseconds."""


class StorageClient:
    """Asks the storage actor *dest* of the store in the directory *path*.

    Every method raises StorageError when the actor does not answer within *patience* seconds, or
    the store fails; StorageFull when the disk is full; ForkError in a fork of the process that
    made the client; and what its own line says.
    """

    def __init__(
        self,
        dest: str | ServerRef,
        path: str | os.PathLike[str],
        *,
        patience: float = _PATIENCE,
    ) -> None:
        self._dest = dest
        self._path = Path(os.path.realpath(path))
        self._patience = patience
        self._pid = os.getpid()
        self.closed = Promise()
        """Settled when its application has stopped: nobody need wait for an answer any more. No
        Event: that may be waited for neither in a finalizer nor in the handler of a signal."""
        self.idle = IdleWaiters()
        """Who waits until there is nothing to do; the storage actor looks for them."""

    def close(self) -> None:
        """Let nobody wait for a storage actor that is not there: it will not come back."""
        self.closed.answer(None)
        self.idle.close()

    def removal(self) -> StorageError | None:
        """Return the error of a store that was removed while its application ran."""
        return environment.removal(self._path)

    # ---- jobs come in ---------------------------------------------------------------------

    def insert(self, new: NewJob) -> int:
        """Store a job, return its id. Raises AlreadyExists."""
        return self._write(partial(JobStore.insert, new=new))

    def insert_many(self, news: Sequence[NewJob]) -> builtins.list[int | None]:
        """Store jobs in one transaction, return their ids; None for a duplicate, left out."""
        return self._write(partial(JobStore.insert_many, news=news))

    def import_jobs(
        self, arrivals: Sequence[ImportedJob], *, keep_ids: bool | None
    ) -> tuple[builtins.list[int | None], bool]:
        """Store jobs of another store in one transaction; see :meth:`JobStore.import_jobs`."""
        return self._write(partial(JobStore.import_jobs, arrivals=arrivals, keep_ids=keep_ids))

    # ---- jobs are run ---------------------------------------------------------------------

    def work(
        self,
        queue_name: str,
        settlements: Sequence[Settlement],
        *,
        node: int,
        limit: int,
        now: Instant,
        absence: float = _PATIENCE,
    ) -> Claim:
        """Settle executions, then claim up to *limit* due jobs, in one transaction.

        A stale settlement is dropped. A paused queue settles and gets nothing. *absence*: seconds
        that the storage actor may be gone, not only busy, before this raises StorageError. Raises
        NodeGone when *node* asks for jobs and was declared dead.
        """
        verb = partial(
            JobStore.work,
            queue_name=queue_name,
            settlements=settlements,
            node=node,
            limit=limit,
            now=now,
        )
        claim: Claim = self._ask(Write(verb), absence)
        return claim

    def request_work(
        self,
        queue_name: str,
        settlements: Sequence[Settlement],
        *,
        node: int,
        limit: int,
        clock: Callable[[], Instant],
        tag: Any,
    ) -> tuple[Write, Response | None]:
        """Ask for the same, and wait for no other thread. For actors.

        The *clock* is read in the transaction: so no job begins before it was stored.
        Return the request, and ``otp.Response(tag, claim, error)`` if it can be had at once; else
        that arrives as a message. An error that is a CallExit means that the storage actor ended:
        give the request to :meth:`request_again`.
        """

        def work(store: JobStore) -> Claim:
            return store.work(queue_name, settlements, node=node, limit=limit, now=clock())

        request = Write(work)
        return request, self.request_again(request, tag=tag)

    def request_again(self, request: Write, *, tag: Any) -> Response | None:
        """Repeat a request whose answer was lost. If it was done, only its answer comes again."""
        self.check()
        return inline.request(self._dest, request, tag)

    def rescue(
        self,
        *,
        node: int,
        now: Instant,
        max_interruptions: int,
        reason: str,
        queue: str | None = None,
    ) -> int:
        """Interrupt the jobs that run on *node*, of all queues or one; return how many."""
        return self._write(
            partial(
                JobStore.rescue,
                node=node,
                now=now,
                max_interruptions=max_interruptions,
                reason=reason,
                queue_name=queue,
            )
        )

    # ---- jobs are changed -----------------------------------------------------------------

    def cancel(self, id_: int, now: Instant) -> StoredJob:
        """Cancel a job that has not ended. Raises JobNotFound, NotCancellable."""
        return self._write(partial(JobStore.cancel, id_=id_, now=now))

    def retry(self, id_: int, now: Instant) -> StoredJob:
        """Enqueue an ended job again. Raises JobNotFound, NotRetryable, AlreadyExists."""
        return self._write(partial(JobStore.retry, id_=id_, now=now))

    def delete(self, id_: int) -> None:
        """Delete a job of any status. Raises JobNotFound."""
        self._write(partial(JobStore.delete, id_=id_))

    def prune(self, finished_before: Instant, limit: int) -> int:
        """Delete up to *limit* jobs that ended before an instant; return how many."""
        return self._write(partial(JobStore.prune, finished_before=finished_before, limit=limit))

    # ---- jobs are looked at ---------------------------------------------------------------

    def get(self, id_: int) -> StoredJob:
        """Return a job. Raises JobNotFound."""
        return self._read(partial(JobReader.get, id_=id_))

    def errors(self, id_: int, count: int) -> tuple[ErrorEntry, ...]:
        """Return those of the first *count* errors of a job that are kept, newest first.

        None if it was deleted.
        """
        return self._read(partial(JobReader.errors, id_=id_, count=count))

    def list(
        self,
        filter_: Filter = Filter(),  # noqa: B008 - a constant
        span: Span = Span(),  # noqa: B008 - as well
        *,
        limit: int | None = None,
        accept: Callable[[StoredJob], bool] | None = None,
    ) -> builtins.list[StoredJob]:
        """Return up to *limit* jobs of *span*, by id, that pass both filters.

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

    def count(self, statuses: Collection[Status] | None = None, queue: str | None = None) -> int:
        """Return how many jobs have one of these statuses and are of this queue; None: any."""
        return self._read(partial(JobReader.count, statuses=statuses, queue_name=queue))

    def count_of_worker(self, filter_: Filter) -> int:
        """Return how many jobs pass a filter that names a worker.

        They are read page by page: a long count holds up nobody. Each job is looked at once.
        """
        return sum(found for found, _ in self._counted_pages(filter_, 0))

    def has_worker(self, worker: str, after: int) -> tuple[bool, int]:
        """Return whether a job with a larger id than *after* has this worker, and which id was
        looked at last. It stops at the first page with such a job.
        """
        last = after
        for found, last in self._counted_pages(Filter(worker=worker), after):
            if found:
                return True, last
        return False, last

    def _counted_pages(self, filter_: Filter, after: int) -> Iterator[tuple[int, int]]:
        """Return for each page how many jobs pass the filter, and the last id."""
        while True:
            verb = partial(JobReader.count_page, filter_=filter_, after=after, size=_COUNT_PAGE)
            found, last = self._read(verb)
            yield found, last or after
            if last is None or last == after:
                return
            after = last

    def recent_workers(self) -> set[str]:
        """Return the names of the workers of the newest jobs, of a page of them."""
        newest = Span(newest_first=True)
        verb = partial(JobReader.page, filter_=Filter(), span=newest, size=_PAGE)
        return {raw.worker for raw in self._read(verb)}

    def facts(self, queue: str, now: Instant) -> QueueFacts:
        """Return what the store knows of a queue, at one moment."""
        return self._read(partial(JobReader.facts, queue_name=queue, now=now))

    def queues(self) -> builtins.list[str]:
        """Return the queues that hold jobs or are paused, by name."""
        return self._read(JobReader.queues)

    def known_queues(self) -> builtins.list[str]:
        """Return the same, and those that nodes run."""
        return self._read(JobReader.known_queues)

    def unfinished(self, queue: str | None, now: Instant, patience: float | None = None) -> int:
        """Return how many jobs of a queue, or of all, are left to do: not ended and, if they are
        scheduled, due. *patience*: seconds after which this raises StorageError, if not as ever.
        """
        verb = partial(JobReader.unfinished, queues=(queue,), now=now)
        answer: dict[str | None, int] = self._ask(Read(verb), patience=patience)
        return answer[queue]

    def look_for_idle(self) -> None:
        """Have the storage actor look for those who wait until there is nothing to do."""
        self.check()
        calls.cast(self._dest, LookForIdle())

    # ---- queues ---------------------------------------------------------------------------

    def set_paused(self, queue: str, paused: bool) -> None:  # noqa: FBT001 - it is the value to set
        """Pause or resume a queue on every node. Paused, nothing of it is claimed."""
        self._write(partial(JobStore.set_paused, queue_name=queue, paused=paused))

    def is_paused(self, queue: str) -> bool:
        """Return whether a queue is paused."""
        return self._read(partial(JobReader.is_paused, queue_name=queue))

    def set_concurrency_command(self, queue: str, n: int) -> int:
        """Have every living node that runs *queue* perform up to *n* jobs of it at once.

        Return how many nodes that are.
        """
        nodes = self._read(partial(JobReader.nodes_of, queue_name=queue))
        alive = [node for node in nodes if not node_lock.is_dead(self._path, node)]
        if alive:
            self._write(
                partial(JobStore.set_concurrency_command, queue_name=queue, n=n, nodes=alive)
            )
        return len(alive)

    # ---- nodes ----------------------------------------------------------------------------

    def open_node(self, queues: Collection[str] = (), metadata: bytes = b"") -> int:
        """Make this process a node that runs *queues*: return its number, hold its lock.

        Its *metadata* is for :meth:`node_infos`.

        It is held until the node is closed, or its process ends.
        """
        node = self._write(JobStore.new_node)
        with in_words(self._path):
            node_lock.hold(self._path, node, metadata)
        # Only now: a recorded node whose lock can be taken is a dead one.
        self._write(partial(JobStore.add_node, node=node, queues=queues))
        nodes = self._read(JobReader.nodes)
        with in_words(self._path):
            node_lock.sweep(self._path, nodes)
        return node

    def lose_node(self, node: int) -> None:
        """Let go the lock of a node of this process that was declared dead."""
        node_lock.release(self._path, node)

    def close_node(self, node: int) -> None:
        """Forget a node, this process's or a dead one; its jobs were given back before.

        If they were not, or the store cannot be told, the node is a dead one from now on.
        """
        try:
            self._write(partial(JobStore.remove_node, node=node))
        finally:
            with in_words(self._path):
                node_lock.release(self._path, node)

    def served_queues(self) -> builtins.list[str]:
        """Return the queues that living nodes run, each once, in the order of nodes and theirs."""
        nodes = self._read(JobReader.served_by_node)
        with in_words(self._path):
            living = [queues for node, queues in nodes if not node_lock.is_dead(self._path, node)]
        return list(dict.fromkeys(name for queues in living for name in queues))

    def node_infos(self) -> builtins.list[NodeInfo]:
        """Return the nodes that were opened and not closed, as they describe themselves."""
        with in_words(self._path):
            return [
                node_info.read(
                    node,
                    node_lock.metadata(self._path, node),
                    alive=not node_lock.is_dead(self._path, node),
                    running=running,
                )
                for node, running in self._read(JobReader.running_by_node).items()
            ]

    def dead_nodes(self) -> builtins.list[int]:
        """Return the nodes that were not closed and whose process is gone."""
        nodes = self._read(JobReader.nodes)
        with in_words(self._path):
            dead = [node for node in nodes if node_lock.is_dead(self._path, node)]
        if not dead:
            return []
        # One that was closed between the two looks is no dead one: it is forgotten first.
        return [node for node in self._read(JobReader.nodes) if node in dead]

    # ---- asking ---------------------------------------------------------------------------

    def _write(self, verb: Callable[[JobStore], T]) -> T:
        answer: T = self._ask(Write(verb))
        return answer

    def _read(self, verb: Callable[[JobReader], T]) -> T:
        answer: T = self._ask(Read(verb))
        return answer

    def _ask(
        self,
        request: Write | Read,
        absence: float = _PATIENCE,
        patience: float | None = None,
    ) -> Any:
        """Send until it is answered: the storage actor may die in the meantime, and comes back."""
        self.check()
        patience = self._patience if patience is None else min(patience, self._patience)
        absence = min(absence, patience)
        began = time.monotonic()
        deadline, back_by = began + patience, began + absence
        while True:
            current.fence()  # a killed caller has nothing more to ask
            try:
                return inline.call(self._dest, request, max(0.0, deadline - time.monotonic()))
            except CallCycle:
                raise
            except CallTimeout as error:
                raise StorageError(
                    f"the store in {self._path} did not answer within {patience:g} s"
                ) from error
            except CallExit as error:
                if time.monotonic() >= back_by or _stop_requested():
                    raise self.removal() or StorageError(
                        f"the storage actor of {self._path} is gone and did not come back within"
                        f" {absence:g} s: {error}"
                    ) from error
                if self.closed.wait(_PAUSE):
                    raise self.removal() or StorageError(
                        f"the store in {self._path} is closed: its application has stopped"
                    ) from error

    def pages(
        self,
        filter_: Filter,
        span: Span = Span(),  # noqa: B008 - a constant
        limit: int | None = None,
    ) -> Iterator[StoredJob]:
        """Return the jobs of *span* that pass the filter, by id.

        *limit*: as many will do, so that the first page is no longer.
        """
        size = _PAGE if limit is None else min(limit, _PAGE)
        while True:
            page = self._read(partial(JobReader.page, filter_=filter_, span=span, size=size))
            for raw in page:
                if filter_.worker is None or filter_.worker == raw.worker:
                    yield raw.decode()
            if len(page) < size:
                return
            span = span.beyond(page[-1].id)
            size = _PAGE

    def check(self) -> None:
        """Raise ForkError in a fork of the process that made the client."""
        if os.getpid() != self._pid:
            raise ForkError(
                "this process is a fork of the one that started the application, and a store cannot"
                " be carried across a fork: start an AntQ in the child (with gunicorn: in"
                " post_fork, or without preload)"
            )


def _stop_requested() -> bool:
    """Return whether this thread's actor has to end, so that its supervisor waits for it."""
    me = current.process()
    return me is not None and me.mailbox.has_signal()
