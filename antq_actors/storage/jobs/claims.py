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
from antq_actors.jobs.state import StoredJob
from antq_actors.jobs.status import WAITING, Status
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
    from antq_actors.storage.jobs.bulk import Moves

ALONE_FOR: Final = 2 * instant.SECOND
"""How long a job on its last chance has its node for itself. What kills its process mostly does so
at once; a long job that is innocent must not keep all others waiting to its end."""

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

        A paused queue gets none, and so does every queue of a node on which a job on its last
        chance has just begun. Raises NodeGone when the node was declared dead.
        """
        if limit and not self._meta.has_node(node):
            raise NodeGone(f"node {node} was declared dead, and its jobs were given back")
        for settlement in self._complete_together(settlements, now):
            self.settle(settlement, now=now)
        concurrency = self._meta.take_order(node, queue_name)
        cancelled = self._meta.take_cancellations(node, queue_name)
        if self.is_paused(queue_name):
            return Claim([], None, concurrency, cancelled)
        if limit:
            until = self._kept_alone(node, now)
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
            record = self._sound(id_, now)
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
        if state.alone:  # all queues of its node have waited for it
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
        """Interrupt the jobs that run on *node*, of all queues or one; answer how many."""
        outcome = Interrupted(reason, max_interruptions)
        return self.settle_all(node=node, outcome=outcome, now=now, queue_name=queue_name)

    def settle_all(
        self, *, node: int, outcome: Outcome, now: Instant, queue_name: str | None = None
    ) -> int:
        """Apply one outcome to all that runs on *node*, of all queues or one; answer how many."""
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
        """Settle the executions that completed; answer those that need to be looked at one by one.

        That is all with another outcome, and those that do not run as they should.
        """
        left = {settlement.id: settlement for settlement in settlements}
        if len(left) < len(settlements):
            return settlements  # a job twice: the first one counts
        moves = self._jobs.moves(partial(_completed, now=now))
        wanted = {
            keys.job_key(id_): settlement
            for id_, settlement in left.items()
            if type(settlement.outcome) is Completed
        }
        for key, record in self._jobs.records(sorted(wanted)).items():
            move = moves.of(record)
            if move is None:
                continue
            id_, execution, _ = wanted[key]
            if move.state.execution == execution and moves.begin(key, move):
                del left[id_]
        moves.write()
        return left.values()

    def _claim(
        self, queue_name: str, *, node: int, limit: int, now: Instant
    ) -> tuple[list[StoredJob], Instant | None]:
        """Answer the jobs, and when to look again if that is known: not all due ones were taken."""
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
        """Add the *due* jobs to *claimed*; answer when to look again if one has to begin alone."""
        found = [keys.id_of(key) for key in due]
        records, payloads = self._jobs.records(found), self._jobs.payloads(found)
        moves = self._jobs.moves(partial(_claimed, node=node, now=now))
        look_at = None
        for key in found:
            id_ = keys.id_at_end(key)
            job = self._begun(moves, key, id_, records.get(key), payloads.get(key))
            if job is not None:
                claimed.append(job)
                continue
            moves.write()  # before anything else touches a job that is named twice, perhaps
            look_at = self._take_unusual(claimed, id_, node, now)
            if look_at is not None:
                break
        moves.write()
        return look_at

    def _begun(
        self, moves: Moves, key: bytes, id_: int, record: bytes | None, payload: bytes | None
    ) -> StoredJob | None:
        """Answer a job that begins to run; None: it is to be looked at by itself."""
        if record is None or payload is None:
            return None
        move = moves.of(record)
        if move is None:
            return None
        try:
            spec = encoding.decode_spec(self._seal.open(payload))
        except DamagedRecord:
            return None
        if not moves.begin(key, move):
            return None
        return StoredJob(id_, move.result, spec, ())

    def _take_unusual(
        self, claimed: list[StoredJob], id_: int, node: int, now: Instant
    ) -> Instant | None:
        """Add a due job to *claimed* unless it is damaged, or has to wait to begin alone.

        Answer when to look again if it begins alone, or has to.
        """
        record = self._named(id_, WAITING, "due", now)
        if record is None:
            return None  # damaged, and failed by now
        if not record.state.alone:
            self._take(claimed, id_, record, node, now)
            return None
        if claimed:
            return now  # it is the first of the next claim
        if not self._take(claimed, id_, record, node, now):
            return None
        self._meta.set_alone(node, id_, claimed[0].state.execution, now)
        return now + ALONE_FOR

    def _take(
        self, claimed: list[StoredJob], id_: int, record: JobRecord, node: int, now: Instant
    ) -> bool:
        """Mark a job running and add it to *claimed*, unless it is damaged: then it is failed."""
        state = lifecycle.claim(record.state, node=node, now=now)
        try:
            job = self._jobs.vouched(id_, state, self._seal)
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
        """Answer the record of a job that the index names as one of these *statuses*.

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
            self._condemn(id_, why, now)
        return None

    def _kept_alone(self, node: int, now: Instant) -> Instant | None:
        """Answer until when a job on its last chance has *node* for itself, if one has."""
        alone = self._meta.alone(node)
        if alone is None:
            return None
        id_, execution, since = alone
        if not since <= now < since + ALONE_FOR:  # also when the clock was set back meanwhile
            return None
        try:
            state = self._existing(id_).state
        except (DamagedRecord, JobNotFound):
            return None
        still = state.status is Status.RUNNING and state.execution == execution
        return since + ALONE_FOR if still else None

    def _due(self, queue_name: str, *, limit: int, now: Instant) -> list[bytes]:
        """Answer the first *limit* keys of work: due scheduled, due retrying, enqueued."""
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
    """Answer what a job becomes that is claimed together with others."""
    if state.status not in WAITING or state.alone:
        return None
    return lifecycle.claim(state, node=node, now=now)


def _completed(state: JobState, *, now: Instant) -> JobState | None:
    """Answer what a job becomes that completed together with others."""
    if state.status is not Status.RUNNING or state.alone:
        return None
    return lifecycle.settle(state, Completed(), now=now).state
