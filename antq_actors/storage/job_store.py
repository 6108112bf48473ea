"""The verbs that change jobs.

One method is one verb; it takes the time and decides no status: that is the lifecycle's. A verb
raises its AntqError before its first write, so that a transaction that holds many verbs goes on
after one that was refused. LMDB lets one writer in at a time, among all processes, so what a verb
finds and what it changes are one step: no job is claimed twice, no unique job stored twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from antq_actors.errors import AlreadyExists
from antq_actors.jobs import lifecycle
from antq_actors.jobs.outcome import Interrupted
from antq_actors.jobs.status import ENDED, Status
from antq_actors.storage import encoding, keys
from antq_actors.storage.job_reader import JobReader
from antq_actors.storage.meta import NEXT_ID, NEXT_NODE
from antq_actors.storage.records import Claim, NewJob, Settlement, StoredJob

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    import lmdb

    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.state import JobState
    from antq_actors.storage.environment import Environment
    from antq_actors.storage.records import JobSpec
    from antq_actors.storage.tables import Tables

T = TypeVar("T")


def read(env: Environment, verb: Callable[[JobReader], T]) -> T:
    """Answer what *verb* answers, in a read transaction of its own."""
    return env.read(lambda txn: verb(JobReader(txn, env.tables)))


def write(env: Environment, verb: Callable[[JobStore], T]) -> T:
    """Answer what *verb* answers, committed; when it raises, nothing has changed."""

    def work(txn: lmdb.Transaction) -> T:
        store = JobStore(txn, env.tables)
        answer = verb(store)
        store.flush()
        return answer

    return env.write(work)


class JobStore(JobReader):
    """What can be done to the jobs of a store, in one write transaction.

    Commit only after :meth:`flush`; then tell the queues in :attr:`due` that they have new work.
    """

    def __init__(self, txn: lmdb.Transaction, tables: Tables) -> None:
        super().__init__(txn, tables)
        self._first_id = self._next_id = self._meta.counter(NEXT_ID)
        self.due: set[str] = set()
        """Queues that got a job, or were resumed, in this transaction."""
        self._has_changed = False

    def flush(self) -> None:
        """Write what was collected: counts, and the next id."""
        if self._jobs.flush():
            self._has_changed = True
        if self._next_id != self._first_id:
            self._meta.set_counter(NEXT_ID, self._next_id)
            self._first_id = self._next_id

    @property
    def has_changed(self) -> bool:
        """Whether the flushed transaction changes anything: LMDB gives an empty one no number."""
        return self._has_changed or self._meta.has_changed

    def insert(self, new: NewJob) -> int:
        """Store a job, answer its id. Raises AlreadyExists when another is in its way."""
        state, spec = new
        keys.lane(state.status, state.queue_name)  # refuses a name that no key can hold
        self._refuse_duplicate(state, spec)
        return self._add(new)

    def insert_many(self, news: Sequence[NewJob]) -> list[int | None]:
        """Store jobs, answer their ids in order; None for a duplicate."""
        for new in news:
            keys.lane(new.state.status, new.state.queue_name)
        return [self._insert_unless_duplicate(new) for new in news]

    def work(
        self,
        queue_name: str,
        settlements: Iterable[Settlement],
        *,
        node: int,
        limit: int,
        now: Instant,
    ) -> Claim:
        """Settle executions, then claim up to *limit* due jobs of a queue for *node*.

        A paused queue gets none.
        """
        for settlement in settlements:
            self.settle(settlement, now=now)
        if self.is_paused(queue_name):
            return Claim([], None)
        jobs = self._claim(queue_name, node=node, limit=limit, now=now)
        return Claim(jobs, self._next_due(queue_name))

    def settle(self, settlement: Settlement, *, now: Instant) -> bool:
        """Apply the outcome of an execution, if the job still runs that very execution.

        False: it was deleted, or given back and perhaps claimed again; the outcome is dropped.
        """
        id_, execution, outcome = settlement
        record = self._jobs.record(id_)
        if record is None:
            return False
        state = record.state
        if state.status is not Status.RUNNING or state.execution != execution:
            return False
        settled = lifecycle.settle(state, outcome, now=now)
        self._jobs.move(id_, record, settled.state, settled.error)
        if settled.state.status is Status.ENQUEUED:
            self.due.add(state.queue_name)
        return True

    def rescue(
        self,
        *,
        node: int,
        now: Instant,
        max_interruptions: int,
        reason: str,
        queue_name: str | None = None,
    ) -> int:
        """Interrupt the jobs that run on *node*, of all queues or one; answer how many."""
        outcome = Interrupted(reason, max_interruptions)
        rescued = 0
        for status, queue in self._jobs.lanes():
            if status is not Status.RUNNING or queue_name not in (None, queue):
                continue
            for id_ in self._running_on(node, queue):
                execution = self._existing(id_).state.execution
                rescued += self.settle(Settlement(id_, execution, outcome), now=now)
        return rescued

    def cancel(self, id_: int, *, now: Instant) -> StoredJob:
        """Cancel a waiting job. Raises JobNotFound, NotCancellable."""
        record = self._existing(id_)
        state = lifecycle.cancel(record.state, now=now)
        if state is not record.state:
            self._jobs.move(id_, record, state)
        return self._jobs.whole(id_, state)

    def retry(self, id_: int, *, now: Instant) -> StoredJob:
        """Enqueue an ended job again. Raises JobNotFound, NotRetryable, AlreadyExists."""
        record = self._existing(id_)
        state = lifecycle.retry(record.state, now=now)
        if record.digest is not None:
            self._refuse_duplicate(state, self.get(id_).spec, but=id_)
        self._jobs.move(id_, record, state)
        self.due.add(state.queue_name)
        return self._jobs.whole(id_, state)

    def delete(self, id_: int) -> None:
        """Delete a job, whatever its status. Raises JobNotFound."""
        self._jobs.remove(id_, self._existing(id_))

    def prune(self, *, finished_before: Instant, limit: int) -> int:
        """Delete up to *limit* jobs that ended before an instant; answer how many."""
        pruned = 0
        for status, queue in self._jobs.lanes():
            if status not in ENDED:
                continue
            lane = keys.lane(status, queue)
            end = keys.work_key(lane, finished_before)
            for key in self._jobs.head(lane, limit - pruned, end):
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
        """Answer the number of a new node, never used before. Record it when its lock is held."""
        node = self._meta.counter(NEXT_NODE)
        self._meta.set_counter(NEXT_NODE, node + 1)
        return node

    def add_node(self, node: int, queues: Collection[str] = ()) -> None:
        """Record a node; from now on, a lock that can be taken means that it died."""
        self._meta.add_node(node, queues)

    def remove_node(self, node: int) -> None:
        """Forget a node, unless jobs still run on it: they would run for ever.

        An unknown one is no error.
        """
        if not any(self._running_on(node, queue) for queue in self.queues()):
            self._meta.remove_node(node)

    def _insert_unless_duplicate(self, new: NewJob) -> int | None:
        spec = new.spec
        if spec.unique_digest is not None and self._jobs.in_the_way(
            spec.unique_digest, spec.unique_statuses
        ):
            return None
        return self._add(new)

    def _add(self, new: NewJob) -> int:
        id_ = self._next_id
        self._next_id += 1
        self._jobs.add(id_, new.state, new.spec)
        self.due.add(new.state.queue_name)
        return id_

    def _claim(self, queue_name: str, *, node: int, limit: int, now: Instant) -> list[StoredJob]:
        return [
            self._run(keys.id_at_end(key), node=node, now=now)
            for key in self._due(queue_name, limit=limit, now=now)
        ]

    def _due(self, queue_name: str, *, limit: int, now: Instant) -> list[bytes]:
        """Answer the first *limit* keys of work: due scheduled, due retrying, enqueued."""
        found: list[bytes] = []
        for status in (Status.SCHEDULED, Status.RETRYING):
            lane = keys.lane(status, queue_name)
            found += self._jobs.head(lane, limit - len(found), keys.work_key(lane, now + 1))
        lane = keys.lane(Status.ENQUEUED, queue_name)
        return found + self._jobs.head(lane, limit - len(found))

    def _run(self, id_: int, *, node: int, now: Instant) -> StoredJob:
        record = self._existing(id_)
        state = lifecycle.claim(record.state, node=node, now=now)
        self._jobs.move(id_, record, state)
        return self._jobs.whole(id_, state)

    def _running_on(self, node: int, queue_name: str) -> list[int]:
        lane = keys.lane(Status.RUNNING, queue_name)
        start, end = keys.work_key(lane, node), keys.work_key(lane, node + 1)
        return [keys.id_at_end(key) for key in self._jobs.between(start, end)]

    def _next_due(self, queue_name: str) -> Instant | None:
        heads = [
            keys.order_in(key)
            for status in (Status.SCHEDULED, Status.RETRYING)
            for key in self._jobs.head(keys.lane(status, queue_name), 1)
        ]
        return min(heads, default=None)

    def _refuse_duplicate(self, state: JobState, spec: JobSpec, but: int = 0) -> None:
        if spec.unique_digest is None:
            return
        id_ = self._jobs.in_the_way(spec.unique_digest, spec.unique_statuses, but)
        if id_ is None:
            return
        other = self.get(id_)
        args = encoding.show_args(spec.args)
        same = {name: args.get(name) for name in spec.unique or ()}
        raise AlreadyExists(
            f"{spec.worker} in queue {state.queue_name!r} with {same} is unique, and job {id_}"
            f" ({other.state.status}) is in its way: let that one end, or enqueue this one with"
            " unique=None",
            encoding.as_job(other, encoding.show_args(other.spec.args)),
        )
