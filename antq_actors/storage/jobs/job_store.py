"""The path of a job through the store: it comes in, it is claimed, its execution ends.

LMDB lets one writer in at a time, among all processes, so what a verb finds and what it changes are
one step: no unique job is stored twice, and no job is claimed twice. What an execution came to
counts only while the job still runs that very execution, and a node that was declared dead gets
nothing more.

Jobs that change together write each table once for all of them, not for each. The jobs of a claim
come to have equal records, and so do many that were enqueued together. What becomes of one becomes
of all with an equal record, so that is found out once; a job costs its place in the order of work,
which it leaves at once, and its share of what :meth:`BulkUpdate.write` puts into the tables.
"""

from __future__ import annotations

import struct
from functools import partial
from itertools import islice, takewhile
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

from antq_actors.errors import DamagedRecord, StorageError
from antq_actors.jobs import lifecycle
from antq_actors.jobs.outcome import Completed
from antq_actors.jobs.state import WAITING, Status, StoredJob
from antq_actors.storage.format import encoding
from antq_actors.storage.format.records import Claim, NodeGone, Settlement
from antq_actors.storage.jobs import meta
from antq_actors.storage.jobs.reader import JobReader
from antq_actors.storage.jobs.table import get_many, places_of, put_all
from antq_actors.storage.jobs.writer import JobWriter, log_findings
from antq_actors.storage.lmdb import keys

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    import lmdb

    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.state import ErrorEntry, JobState, NewJob
    from antq_actors.storage.format.records import Cancellation, ImportedJob
    from antq_actors.storage.jobs.table import Items
    from antq_actors.storage.lmdb.environment import Environment
    from antq_actors.storage.lmdb.keys import Tables

T = TypeVar("T")


def read(env: Environment, verb: Callable[[JobReader], T]) -> T:
    """Call *verb* with a JobReader, in an LMDB read transaction of its own; return its result."""
    return env.read(lambda txn: verb(JobReader(txn, env.tables)))


def write(env: Environment, verb: Callable[[JobStore], T]) -> T:
    """Call *verb* with a JobStore in an LMDB write transaction, commit, and return its result.

    When it raises, nothing has changed.
    """

    def work(txn: lmdb.Transaction) -> tuple[T, JobStore]:
        store = JobStore(txn, env.tables)
        result = verb(store)
        store.flush()
        return result, store

    result, store = env.write(work)
    log_findings(store.findings)
    return result


class JobStore(JobWriter):
    """Changes the jobs of a store, one by one and in bulk, in one LMDB write transaction."""

    # ---- jobs come in ---------------------------------------------------------------------

    def insert(self, new: NewJob) -> int:
        """Store a new job, return its id. Raises AlreadyExists for a duplicate of a unique job."""
        if new.spec.unique_digest is not None:
            self._refuse_duplicate(*new)
        return self._add(new)

    def insert_many(self, news: Sequence[NewJob]) -> list[int | None]:
        """Store new jobs, return their ids in order; None for a duplicate of a unique job."""
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
        """Store jobs that another store exported; return their ids, and whether they kept them.

        None: a waiting unique job was left out, as another is in its way. *keep_ids* None: if this
        store never had a job.
        """
        if keep_ids is None:
            keep_ids = self._first_free_id() == 1
        ids = [
            self._import_job(new, errors, id_ if keep_ids else 0) for id_, new, errors in arrivals
        ]
        return ids, keep_ids

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
        """Store a new job under the next id, or a larger one that is *wanted*; return the id."""
        id_ = max(self._first_free_id(), wanted)
        self._next_id = id_ + 1
        self._jobs.add(id_, new.state, new.spec, self._signer, errors)
        self.due.add(new.state.queue_name)
        return id_

    def _first_free_id(self) -> int:
        if self._next_id is not None:
            return self._next_id
        # Only now, so that a damaged counter stops those alone who need it.
        stored: Any = self._txn.get(meta.NEXT_ID, db=self._tables.meta)
        return int(stored) if stored and stored.isdigit() else self._meta.counter(meta.NEXT_ID)

    # ---- jobs are run ---------------------------------------------------------------------

    def work(
        self,
        queue_name: str,
        settlements: Sequence[Settlement],
        *,
        node: int,
        limit: int,
        now: Instant,
    ) -> Claim:
        """Store outcomes of executions, then claim up to *limit* due jobs of a queue for *node*.

        A stale settlement is dropped. A paused queue gets no jobs, nor does a queue of a node on
        which an isolated run has just begun. Raises NodeGone when the node was declared dead.
        """
        get, table = self._txn.get, self._tables.meta
        if limit and get(meta.node_key(node), db=table) is None:
            raise NodeGone(f"node {node} was declared dead, and its jobs were given back")
        if settlements:
            for settlement in self._complete_together(settlements, now):
                self.settle(settlement, now=now)
        concurrency: int | None = None
        cancelled: tuple[Cancellation, ...] = ()
        if get(meta.concurrency_key(node, queue_name), db=table) is not None:
            concurrency = self._meta.take_concurrency_command(node, queue_name)
        prefix = meta.cancellations_prefix(node, queue_name)
        with self._txn.cursor(table) as cursor:
            there = cursor.set_range(prefix)
            there = there and cast("bytes", cursor.key()).startswith(prefix)
        if there:
            cancelled = self._meta.take_cancellations(node, queue_name)
        if get(meta.paused_key(queue_name), db=table) is not None:
            return Claim([], None, concurrency, cancelled)
        if limit and get(meta.isolated_key(node), db=table) is not None:
            until = self._isolated_until(node, now)
            if until is not None:
                return Claim([], until, concurrency, cancelled)
        jobs, look_at = self._claim(queue_name, node=node, limit=limit, now=now)
        if look_at is None:
            look_at = self._next_due(queue_name)
        return Claim(jobs, look_at, concurrency, cancelled)

    def _complete_together(
        self, settlements: Sequence[Settlement], now: Instant
    ) -> Collection[Settlement]:
        """Store in bulk that executions completed; return the settlements left, to do one by one.

        Left are all with another outcome, and those of jobs that do not run as they should.
        """
        left: dict[int, Settlement] = {}
        wanted: dict[bytes, Settlement] = {}
        for settlement in settlements:
            left[settlement.id] = settlement
            if type(settlement.outcome) is Completed:
                wanted[keys.job_key(settlement.id)] = settlement
        if len(left) < len(settlements):
            return settlements  # a job twice: the first one counts
        bulk = BulkUpdate(self._txn, self._tables, self._jobs.deltas, partial(_completed, now=now))
        for key, record in get_many(self._txn, self._tables.jobs, sorted(wanted)).items():
            transition = bulk.transitions.get(record) or bulk.find(record)
            if transition is None:
                continue
            id_, execution, _ = wanted[key]
            if transition.state.execution == execution and bulk.begin(key, transition):
                del left[id_]
        bulk.write()
        return left.values()

    def _claim(
        self, queue_name: str, *, node: int, limit: int, now: Instant
    ) -> tuple[list[StoredJob], Instant | None]:
        """Store that up to *limit* due jobs run on *node*; return them, and when to claim again.

        None instead of the latter: no job has to run in isolation now.
        """
        claimed: list[StoredJob] = []
        while len(claimed) < limit:
            wanted = limit - len(claimed)
            due = self._due(queue_name, limit=wanted, now=now)
            if not due:
                break
            look_at = self._take_due(claimed, due, node, now)
            if look_at is not None:
                return claimed, look_at
            if len(due) < wanted:
                break
        return claimed, None

    def _take_due(
        self, claimed: list[StoredJob], due: list[bytes], node: int, now: Instant
    ) -> Instant | None:
        """Claim the *due* jobs in bulk, adding them to *claimed*, up to one to run in isolation.

        Return when to claim again if there is such a job.
        """
        txn, tables = self._txn, self._tables
        records, payloads = get_many(txn, tables.jobs, due), get_many(txn, tables.payloads, due)
        bulk = BulkUpdate(txn, tables, self._jobs.deltas, partial(_claimed, node=node, now=now))
        look_at = None
        for key in due:
            id_ = int.from_bytes(key, "big")
            job = self._begin_claim(bulk, key, id_, records.get(key), payloads.get(key))
            if job is not None:
                claimed.append(job)
                continue
            bulk.write()  # before anything else touches a job that is named twice, perhaps
            look_at = self._claim_one(claimed, id_, node, now)
            if look_at is not None:
                break
        bulk.write()
        return look_at

    def _begin_claim(
        self, bulk: BulkUpdate, key: bytes, id_: int, record: bytes | None, payload: bytes | None
    ) -> StoredJob | None:
        """Begin to claim a job in bulk and return it; None: it has to be claimed by itself."""
        if record is None or payload is None:
            return None
        transition = bulk.transitions.get(record) or bulk.find(record)
        if transition is None:
            return None
        try:
            spec = encoding.decode_spec(self._signer.verify(payload))
        except DamagedRecord:
            return None
        if not bulk.begin(key, transition):
            return None
        return StoredJob(id_, transition.result, spec, ())

    def _due(self, queue_name: str, *, limit: int, now: Instant) -> list[bytes]:
        """Read the keys of a queue's first *limit* due jobs: scheduled, retrying, then enqueued."""
        found: list[bytes] = []
        with self._txn.cursor(self._tables.index) as cursor:
            for status in (Status.SCHEDULED, Status.RETRYING, Status.ENQUEUED):
                lane = keys.lane(status, queue_name)
                if len(found) == limit or not cursor.set_range(lane):
                    continue
                due = lane + keys.packed_order(now + 1 + keys.BIAS)
                end = keys.lane_end(lane) if status is Status.ENQUEUED else due
                if cast("bytes", cursor.key()) < end:
                    ahead = cast("Iterator[bytes]", cursor.iternext(values=False))
                    ahead = islice(ahead, limit - len(found))
                    found += map(keys.id_part, takewhile(end.__gt__, ahead))
        return found

    def _next_due(self, queue_name: str) -> Instant | None:
        """Read when the first scheduled or retrying job of a queue is due; None: it has none."""
        heads: list[Instant] = []
        with self._txn.cursor(self._tables.index) as cursor:
            for status in (Status.SCHEDULED, Status.RETRYING):
                lane = keys.lane(status, queue_name)
                if cursor.set_range(lane) and cast("bytes", cursor.key()).startswith(lane):
                    heads.append(keys.order_in(cast("bytes", cursor.key())))
        return min(heads, default=None)


def _claimed(state: JobState, *, node: int, now: Instant) -> JobState | None:
    """Return the state of a job that is claimed in bulk; None: it has to be claimed by itself."""
    if state.status not in WAITING or state.isolated:
        return None
    return lifecycle.claim(state, node=node, now=now)


def _completed(state: JobState, *, now: Instant) -> JobState | None:
    """Return the state of a job that completed, in bulk; None: it is to be settled by itself."""
    if state.status is not Status.RUNNING or state.isolated:
        return None
    return lifecycle.settle(state, Completed(), now=now)[0]


# ---- jobs that change together --------------------------------------------------------------


class Transition(NamedTuple):
    """What becomes of every job with one and the same record, and the jobs that are begun.

    The keys are those of a job up to its id; None for a table where it has none.
    """

    state: JobState
    result: JobState
    record: bytes
    """The one that holds the result."""
    old_lane: bytes
    old_place: bytes
    old_listing: bytes | None
    old_unique: bytes | None
    new_lane: bytes
    new_place: bytes
    new_listing: bytes | None
    new_unique: bytes | None
    ids: list[bytes]
    """Of the jobs that are begun and not written yet, their keys in ``jobs``."""


class BulkUpdate:
    """Changes many jobs by one rule: begins one by one, then writes each LMDB table once.

    *decide* returns what a job in some state becomes; None: it has to change by itself.
    Nothing else may change these jobs before :meth:`write`.
    """

    def __init__(
        self,
        txn: lmdb.Transaction,
        tables: Tables,
        deltas: dict[bytes, int],
        decide: Callable[[JobState], JobState | None],
    ) -> None:
        self._txn = txn
        self._tables = tables
        self._deltas = deltas
        self._decide = decide
        self._index = txn.cursor(tables.index)
        self.transitions: dict[bytes, Transition] = {}
        """What becomes of a job with this record; :meth:`find` adds to it."""

    def begin(self, id_: bytes, transition: Transition) -> bool:
        """Delete a job's old index entries. False: it has none, and nothing was done.

        *id_* is its key in ``jobs``.
        """
        index = self._index
        if not (index.set_key(transition.old_place + id_) and index.delete()):
            return False
        transition.ids.append(id_)
        if transition.old_listing is not None:
            self._txn.delete(transition.old_listing + id_, db=self._tables.listing)
        if transition.old_unique is not None:
            self._txn.delete(transition.old_unique + id_, db=self._tables.unique)
        return True

    def write(self) -> None:
        """Write the records and index entries of all jobs begun since the last write."""
        records: Items = []
        places: Items = []
        listed: Items = []
        unique: Items = []
        for each in self.transitions.values():
            if not each.ids:
                continue
            for id_ in each.ids:
                records.append((id_, each.record))
                places.append((each.new_place + id_, b""))
                if each.new_listing is not None:
                    listed.append((each.new_listing + id_, b""))
                if each.new_unique is not None:
                    unique.append((each.new_unique + id_, b""))
            self._deltas[each.old_lane] -= len(each.ids)
            self._deltas[each.new_lane] += len(each.ids)
            each.ids.clear()
        if records:
            put_all(self._txn, self._tables.jobs, records)
            self._enter(places, listed, unique)

    def _enter(self, places: Items, listed: Items, unique: Items) -> None:
        """Write the new index entries of the jobs."""
        put_all(self._txn, self._tables.index, places)
        if listed:
            put_all(self._txn, self._tables.listing, listed)
        if unique:
            put_all(self._txn, self._tables.unique, unique)

    def find(self, record: bytes) -> Transition | None:
        """Decide what becomes of jobs with this *record*; None: each has to change by itself."""
        try:
            state, digest = encoding.decode_job(record)
            result = self._decide(state)
            if result is None:
                return None
            old_unique = new_unique = None
            if digest is not None:
                old_unique = keys.unique_prefix(digest, state.status)
                new_unique = keys.unique_prefix(digest, result.status)
            transition = Transition(
                state,
                result,
                encoding.encode_job(result, digest),
                *places_of(state),
                old_unique,
                *places_of(result),
                new_unique,
                [],
            )
        except (StorageError, struct.error, OverflowError):  # damaged, or no key can hold it
            return None
        self.transitions[record] = transition
        return transition
