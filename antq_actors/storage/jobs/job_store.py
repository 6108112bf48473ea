"""The verbs that change jobs.

One method is one verb; it takes the time and decides no status: that is the lifecycle's. A verb
raises its AntqError before its first write, so that a transaction that holds many verbs goes on
after one that was refused. LMDB lets one writer in at a time, among all processes, so what a verb
finds and what it changes are one step: no unique job is stored twice.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from antq_actors.errors import AlreadyExists, DamagedRecord, JobNotFound
from antq_actors.jobs import lifecycle
from antq_actors.jobs.state import ENDED, WAITING, Status
from antq_actors.storage.format import display, encoding
from antq_actors.storage.jobs.claims import JobRuns
from antq_actors.storage.jobs.meta import NEXT_NODE
from antq_actors.storage.jobs.reader import JobReader
from antq_actors.storage.jobs.writer import log_findings
from antq_actors.storage.lmdb import keys

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    import lmdb

    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.state import ErrorEntry, JobSpec, JobState, NewJob, StoredJob
    from antq_actors.storage.format.records import ImportedJob
    from antq_actors.storage.lmdb.environment import Environment

T = TypeVar("T")


def read(env: Environment, verb: Callable[[JobReader], T]) -> T:
    """Return what *verb* answers, in a read transaction of its own."""
    return env.read(lambda txn: verb(JobReader(txn, env.tables)))


def write(env: Environment, verb: Callable[[JobStore], T]) -> T:
    """Return what *verb* answers, committed; when it raises, nothing has changed."""

    def work(txn: lmdb.Transaction) -> tuple[T, JobStore]:
        store = JobStore(txn, env.tables)
        result = verb(store)
        store.flush()
        return result, store

    result, store = env.write(work)
    log_findings(store.findings)
    return result


class JobStore(JobRuns):
    """What can be done to the jobs of a store, in one write transaction."""

    def insert(self, new: NewJob) -> int:
        """Store a job, return its id. Raises AlreadyExists when another is in its way."""
        state, spec = new
        keys.lane(state.status, state.queue_name)  # refuses a name that no key can hold
        self._refuse_duplicate(state, spec)
        return self._add(new)

    def insert_many(self, news: Sequence[NewJob]) -> list[int | None]:
        """Store jobs, return their ids in order; None for a duplicate."""
        queues = {state.queue_name for state, _ in news}
        for queue_name in queues:
            keys.lane(Status.ENQUEUED, queue_name)
        if any(spec.unique_digest is not None for _, spec in news):
            return [self._insert_unless_duplicate(new) for new in news]
        if not news:
            return []
        first = self._first_free_id()
        self._next_id = first + len(news)
        self._jobs.add_many(first, news, self._signer)
        self.due |= queues
        return list(range(first, self._next_id))

    def import_jobs(
        self, arrivals: Sequence[ImportedJob], *, keep_ids: bool | None
    ) -> tuple[list[int | None], bool]:
        """Store jobs of another store as they were; return their ids, and whether they kept them.

        None: a waiting unique job was left out, as another is in its way. *keep_ids* None: if this
        store never had a job.
        """
        if keep_ids is None:
            keep_ids = self._first_free_id() == 1
        ids = [
            self._import_job(new, errors, id_ if keep_ids else 0) for id_, new, errors in arrivals
        ]
        return ids, keep_ids

    def cancel(self, id_: int, *, now: Instant) -> StoredJob:
        """Cancel a job; a node that runs it is told to end it.

        Raises JobNotFound, NotCancellable.
        """
        record = self._readable(id_, now)
        state = lifecycle.cancel(record.state, now=now)
        if state is not record.state and not self._move(id_, record, state, now=now):
            return self.cancel(id_, now=now)
        if state.cancelling:
            self._meta.add_cancellation(state.node, state.queue_name, (id_, state.execution))
            self.commanded.add(state.queue_name)
        return self._jobs.whole(id_, state)

    def retry(self, id_: int, *, now: Instant) -> StoredJob:
        """Enqueue an ended job again. Raises JobNotFound, NotRetryable, AlreadyExists."""
        record = self._readable(id_, now)
        state = lifecycle.retry(record.state, now=now)
        if record.digest is not None:
            self._refuse_duplicate(state, self.get(id_).spec, but=id_)
        if not self._move(id_, record, state, now=now):
            return self.retry(id_, now=now)
        self.due.add(state.queue_name)
        return self._jobs.whole(id_, state)

    def delete(self, id_: int) -> None:
        """Delete a job, whatever its status. Raises JobNotFound."""
        try:
            self._jobs.remove(id_, self._readable(id_, 0))
        except DamagedRecord as damage:
            self._jobs.remove(id_, self._mark_damaged(id_, str(damage), 0))

    def prune(self, *, finished_before: Instant, limit: int) -> int:
        """Delete up to *limit* jobs that ended before an instant; return how many."""
        pruned = 0
        for status, queue in self._jobs.lanes():
            if status not in ENDED:
                continue
            lane = keys.lane(status, queue)
            end = keys.work_key(lane, finished_before)
            for key in self._jobs.head(lane, limit - pruned, end):
                with suppress(JobNotFound):  # a key of no job; it is gone by now
                    self.delete(keys.id_at_end(key))
                pruned += 1
        return pruned

    def set_paused(self, queue_name: str, *, paused: bool) -> None:
        """Pause or resume a queue, on every node and over restarts."""
        keys.lane(Status.ENQUEUED, queue_name)
        self._meta.set_paused(queue_name, paused=paused)
        if not paused:
            self.due.add(queue_name)

    def new_node(self) -> int:
        """Return the number of a new node, never used before. Record it when its lock is held."""
        node = self._meta.counter(NEXT_NODE)
        self._meta.set_counter(NEXT_NODE, node + 1)
        return node

    def add_node(self, node: int, queues: Collection[str] = ()) -> None:
        """Record a node; from now on, a lock that can be taken means that it died."""
        self._meta.add_node(node, queues)

    def set_concurrency_command(self, queue_name: str, n: int, nodes: Collection[int]) -> None:
        """Have *nodes* perform up to *n* jobs of a queue at once from now on."""
        for node in nodes:
            self._meta.set_concurrency_command(node, queue_name, n)

    def remove_node(self, node: int) -> None:
        """Forget a node, unless jobs still run on it: they would run for ever.

        An unknown one is no error.
        """
        if not any(self._running_on(node, queue) for queue in self.queues()):
            self._meta.remove_node(node)

    def _insert_unless_duplicate(self, new: NewJob) -> int | None:
        spec = new.spec
        if spec.unique_digest is not None and self._jobs.find_conflict(
            spec.unique_digest, spec.unique_statuses
        ):
            return None
        return self._add(new)

    def _import_job(self, new: NewJob, errors: tuple[ErrorEntry, ...], wanted: int) -> int | None:
        digest = new.spec.unique_digest
        waits = new.state.status in WAITING
        if waits and digest and self._jobs.find_conflict(digest, new.spec.unique_statuses):
            return None
        return self._add(new, errors, wanted)

    def _add(self, new: NewJob, errors: tuple[ErrorEntry, ...] = (), wanted: int = 0) -> int:
        id_ = self._new_id(wanted)
        self._jobs.add(id_, new.state, new.spec, self._signer, errors)
        self.due.add(new.state.queue_name)
        return id_

    def _refuse_duplicate(self, state: JobState, spec: JobSpec, but: int = 0) -> None:
        if spec.unique_digest is None:
            return
        id_ = self._jobs.find_conflict(spec.unique_digest, spec.unique_statuses, but)
        if id_ is None:
            return
        other = self.get(id_)
        args = display.display_args(spec.args)
        same = {name: args.get(name) for name in spec.unique or ()}
        raise AlreadyExists(
            f"{spec.worker} in queue {state.queue_name!r} with {same} is unique, and job {id_}"
            f" ({other.state.status}) is in its way: let that one end, or enqueue this one with"
            " unique=None",
            encoding.as_job(other, display.display_args(other.spec.args)),
        )
