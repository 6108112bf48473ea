"""The verbs of running jobs: claimed, settled, given back when their node died.

LMDB lets one writer in at a time, among all processes, so finding a job and marking it are one
step: no job is claimed twice. What an execution came to counts only while the job still runs that
very execution, and a node that was declared dead gets nothing more.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from antq_actors.errors import DamagedRecord, JobNotFound
from antq_actors.jobs import instant, lifecycle
from antq_actors.jobs.outcome import Completed, Interrupted, Refused
from antq_actors.jobs.state import WAITING, Status, StoredJob
from antq_actors.storage.format import encoding
from antq_actors.storage.format.records import Claim, NodeGone, Settlement
from antq_actors.storage.jobs.writer import JobWriter
from antq_actors.storage.lmdb import keys

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.outcome import Outcome
    from antq_actors.jobs.state import JobState
    from antq_actors.storage.format.encoding import JobRecord
    from antq_actors.storage.jobs.bulk import BulkUpdate

ISOLATION_MICROSECONDS: Final = 2 * instant.SECOND
"""How long an isolated run has its node for itself. What kills its process mostly does so at once;
a long job that is innocent must not keep all others waiting to its end."""

_RUNNING: Final = frozenset({Status.RUNNING})


class JobRuns(JobWriter):
    """What a queue, and the rescuer, do to jobs."""

    def work(
        self,
        queue_name: str,
        settlements: Sequence[Settlement],
        *,
        node: int,
        limit: int,
        now: Instant,
    ) -> Claim:
        """Settle executions, then claim up to *limit* due jobs of a queue for *node*.

        A paused queue gets none, and so does every queue of a node on which an isolated run has
        just begun. Raises NodeGone when the node was declared dead.
        """
        if limit and not self._meta.has_node(node):
            raise NodeGone(f"node {node} was declared dead, and its jobs were given back")
        for settlement in self._complete_together(settlements, now):
            self.settle(settlement, now=now)
        concurrency = self._meta.take_concurrency_command(node, queue_name)
        cancelled = self._meta.take_cancellations(node, queue_name)
        if self.is_paused(queue_name):
            return Claim([], None, concurrency, cancelled)
        if limit:
            until = self._isolated_until(node, now)
            if until is not None:
                return Claim([], until, concurrency, cancelled)
        jobs, look_at = self._claim(queue_name, node=node, limit=limit, now=now)
        if look_at is None:
            look_at = self._next_due(queue_name)
        return Claim(jobs, look_at, concurrency, cancelled)

    def settle(self, settlement: Settlement, *, now: Instant) -> bool:
        """Apply the outcome of an execution, if the job still runs that very execution.

        False: it was deleted, or given back and perhaps claimed again; the outcome is dropped.
        """
        id_, execution, outcome = settlement
        try:
            record = self._readable(id_, now)
        except JobNotFound:
            return False
        state = record.state
        if state.status is not Status.RUNNING or state.execution != execution:
            return False
        settled = lifecycle.settle(state, outcome, now=now)
        if not self._move(id_, record, settled.state, settled.error, now=now):
            return False
        if settled.state.status is Status.ENQUEUED:
            self.due.add(state.queue_name)
        if state.isolated:  # all queues of its node have waited for it
            self.due.update(self.queues())
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
        """Interrupt the jobs that run on *node*, of all queues or one; return how many."""
        outcome = Interrupted(reason, max_interruptions)
        return self.settle_all(node=node, outcome=outcome, now=now, queue_name=queue_name)

    def settle_all(
        self, *, node: int, outcome: Outcome, now: Instant, queue_name: str | None = None
    ) -> int:
        """Apply one outcome to all that runs on *node*, of all queues or one; return how many."""
        settled = 0
        for status, queue in self._jobs.lanes():
            if status is not Status.RUNNING or queue_name not in (None, queue):
                continue
            for id_ in self._running_on(node, queue):
                record = self._named(id_, _RUNNING, "running", now)
                if record is not None:
                    settlement = Settlement(id_, record.state.execution, outcome)
                    settled += self.settle(settlement, now=now)
        return settled

    def _complete_together(
        self, settlements: Sequence[Settlement], now: Instant
    ) -> Iterable[Settlement]:
        """Settle the executions that completed; return those that need to be looked at one by one.

        That is all with another outcome, and those that do not run as they should.
        """
        left = {settlement.id: settlement for settlement in settlements}
        if len(left) < len(settlements):
            return settlements  # a job twice: the first one counts
        bulk = self._jobs.bulk_update(partial(_completed, now=now))
        wanted = {
            keys.job_key(id_): settlement
            for id_, settlement in left.items()
            if type(settlement.outcome) is Completed
        }
        for key, record in self._jobs.records(sorted(wanted)).items():
            transition = bulk.transition_of(record)
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
        """Return the jobs, and when to look again if that is known: not all due ones were taken."""
        claimed: list[StoredJob] = []
        while len(claimed) < limit:
            wanted = limit - len(claimed)
            due = self._due(queue_name, limit=wanted, now=now)
            look_at = self._take_due(claimed, due, node, now)
            if look_at is not None:
                return claimed, look_at
            if len(due) < wanted:
                break
        return claimed, None

    def _take_due(
        self, claimed: list[StoredJob], due: list[bytes], node: int, now: Instant
    ) -> Instant | None:
        """Add the *due* jobs to *claimed*; return when to look again if one has to run isolated."""
        found = [keys.id_of(key) for key in due]
        records, payloads = self._jobs.records(found), self._jobs.payloads(found)
        bulk = self._jobs.bulk_update(partial(_claimed, node=node, now=now))
        look_at = None
        for key in found:
            id_ = keys.id_at_end(key)
            job = self._begun(bulk, key, id_, records.get(key), payloads.get(key))
            if job is not None:
                claimed.append(job)
                continue
            bulk.write()  # before anything else touches a job that is named twice, perhaps
            look_at = self._take_unusual(claimed, id_, node, now)
            if look_at is not None:
                break
        bulk.write()
        return look_at

    def _begun(
        self, bulk: BulkUpdate, key: bytes, id_: int, record: bytes | None, payload: bytes | None
    ) -> StoredJob | None:
        """Return a job that begins to run; None: it is to be looked at by itself."""
        if record is None or payload is None:
            return None
        transition = bulk.transition_of(record)
        if transition is None:
            return None
        try:
            spec = encoding.decode_spec(self._signer.verify(payload))
        except DamagedRecord:
            return None
        if not bulk.begin(key, transition):
            return None
        return StoredJob(id_, transition.result, spec, ())

    def _take_unusual(
        self, claimed: list[StoredJob], id_: int, node: int, now: Instant
    ) -> Instant | None:
        """Add a due job to *claimed* unless it is damaged, or has to wait for an isolated run.

        Return when to look again if it begins one, or has to.
        """
        record = self._named(id_, WAITING, "due", now)
        if record is None:
            return None  # damaged, and failed by now
        if not record.state.isolated:
            self._take(claimed, id_, record, node, now)
            return None
        if claimed:
            return now  # it is the first of the next claim
        if not self._take(claimed, id_, record, node, now):
            return None
        self._meta.set_isolated(node, id_, claimed[0].state.execution, now)
        return now + ISOLATION_MICROSECONDS

    def _take(
        self, claimed: list[StoredJob], id_: int, record: JobRecord, node: int, now: Instant
    ) -> bool:
        """Mark a job running and add it to *claimed*, unless it is damaged: then it is failed."""
        state = lifecycle.claim(record.state, node=node, now=now)
        try:
            job = self._jobs.verified(id_, state, self._signer)
        except DamagedRecord as error:
            self._note("job %d was refused: %s", id_, str(error))
            settled = lifecycle.settle(state, Refused(str(error)), now=now)
            self._move(id_, record, settled.state, settled.error, now=now)
            return False
        if not self._move(id_, record, state, now=now):
            return False
        claimed.append(job)
        return True

    def _named(
        self, id_: int, statuses: frozenset[Status], what: str, now: Instant
    ) -> JobRecord | None:
        """Return the record of a job that the index names as one of these *statuses*.

        None: it is damaged, and the index does not name it so any more.
        """
        try:
            record = self._existing(id_)
        except DamagedRecord as error:
            why = str(error)
        except JobNotFound:
            why = "its record is missing"
        else:
            if record.state.status in statuses:
                return record
            why = f"the index calls it {what}, and its record {record.state.status}"
        with suppress(JobNotFound):
            self._mark_damaged(id_, why, now)
        return None

    def _isolated_until(self, node: int, now: Instant) -> Instant | None:
        """Return until when an isolated run has *node* for itself, if one has."""
        run = self._meta.isolated(node)
        if run is None:
            return None
        id_, execution, since = run
        until = since + ISOLATION_MICROSECONDS
        if not since <= now < until:  # also when the clock was set back in the meantime
            return None
        try:
            state = self._existing(id_).state
        except (DamagedRecord, JobNotFound):
            return None
        still = state.status is Status.RUNNING and state.execution == execution
        return until if still else None

    def _due(self, queue_name: str, *, limit: int, now: Instant) -> list[bytes]:
        """Return the first *limit* keys of work: due scheduled, due retrying, enqueued."""
        found: list[bytes] = []
        for status in (Status.SCHEDULED, Status.RETRYING):
            lane = keys.lane(status, queue_name)
            found += self._jobs.head(lane, limit - len(found), keys.work_key(lane, now + 1))
        lane = keys.lane(Status.ENQUEUED, queue_name)
        return found + self._jobs.head(lane, limit - len(found))

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


def _claimed(state: JobState, *, node: int, now: Instant) -> JobState | None:
    """Return what a job becomes that is claimed together with others."""
    if state.status not in WAITING or state.isolated:
        return None
    return lifecycle.claim(state, node=node, now=now)


def _completed(state: JobState, *, now: Instant) -> JobState | None:
    """Return what a job becomes that completed together with others."""
    if state.status is not Status.RUNNING or state.isolated:
        return None
    return lifecycle.settle(state, Completed(), now=now).state
