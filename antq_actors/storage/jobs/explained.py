"""What tells why a job does not run, read in one transaction: bounded, however many jobs there are.

Jobs that come before another are counted until they are more than a thousand, and so are those that
run on a node. Nothing is judged here: that is :mod:`antq_actors.explain.judge`.
"""

from __future__ import annotations

from itertools import chain, islice
from typing import TYPE_CHECKING, Final, NamedTuple

from antq_actors.errors import DamagedRecord
from antq_actors.explain.judge import IsolatedRun, JobFacts, due_end, isolated_until
from antq_actors.explain.reasons import MOST_COUNTED
from antq_actors.jobs import attempt_error
from antq_actors.jobs.state import CLAIMABLE, Status
from antq_actors.storage.jobs.table import places_of
from antq_actors.storage.lmdb import keys

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.state import ErrorEntry, JobState
    from antq_actors.storage.jobs.meta import Meta
    from antq_actors.storage.jobs.table import JobEntries

_TIMED: Final = (Status.SCHEDULED, Status.RETRYING)


class RecordedNode(NamedTuple):
    """What a store has of a node, for one queue."""

    number: int
    queues: tuple[str, ...]
    running: int = 0
    """Jobs of the queue that run there; counted until there are more than `MOST_COUNTED`."""
    isolated: IsolatedRun | None = None


class QueueRecord(NamedTuple):
    """What a store has of a queue, as far as it tells whether its jobs run."""

    name: str
    is_paused: bool
    running: int
    """On all nodes."""
    nodes: tuple[RecordedNode, ...]
    """All of the store; of those that do not run the queue, no more than their queues."""


class ExplainReader:
    """Reads what tells why jobs do not run; a part of :class:`~.reader.JobReader`."""

    _jobs: JobEntries
    _meta: Meta

    def seen(self, id_: int) -> tuple[JobState, str, ErrorEntry | None]:
        """Read a job's state, the name of its worker, and its newest error. Raises JobNotFound."""
        raise NotImplementedError

    def job_facts(self, id_: int, now: Instant) -> tuple[JobFacts, QueueRecord]:
        """Read what tells whether a job runs, of itself and of its queue. Raises JobNotFound."""
        state, worker, error = self.seen(id_)
        facts = JobFacts(
            id=id_,
            status=state.status,
            queue_name=state.queue_name,
            worker=worker,
            scheduled_at=state.scheduled_at,
            attempts=state.attempts,
            error=attempt_error.summary(error.error, error.error_type) if error else None,
            node=state.node,
            started_at=state.started_at,
            is_cancelling=state.cancelling,
            ahead=_counted(self._ahead(state, id_, now)),
        )
        return facts, self.queue_record(state.queue_name, now)

    def queue_record(self, queue_name: str, now: Instant) -> QueueRecord:
        """Read what tells whether the jobs of a queue run."""
        lane = keys.lane(Status.RUNNING, queue_name)
        nodes = tuple(
            RecordedNode(number, tuple(queues))
            if queue_name not in queues
            else RecordedNode(
                number,
                tuple(queues),
                _counted(
                    self._jobs.between(keys.work_key(lane, number), keys.work_key(lane, number + 1))
                ),
                self.isolated_run(number, now),
            )
            for number, queues in self._meta.served_by_node()
        )
        is_paused, running = self._meta.is_paused(queue_name), self._jobs.count(lane)
        return QueueRecord(queue_name, is_paused, running, nodes)

    def could_begin(self, queue_name: str, now: Instant) -> int:
        """Read how many jobs of a queue could begin now; counted until they are many."""
        enqueued = self._jobs.count(keys.lane(Status.ENQUEUED, queue_name))
        ends = ((lane, keys.work_key(lane, due_end(now))) for lane in _timed_lanes(queue_name))
        return enqueued + _counted(
            key for lane, end in ends for key in self._jobs.between(lane, end)
        )

    def isolated_run(self, node: int, now: Instant) -> IsolatedRun | None:
        """Read which job in isolation has *node* for itself, and until when; None: no job has."""
        run = self._meta.isolated(node)
        if run is None:
            return None
        id_, execution, since = run
        until = isolated_until(since, now)
        if until is None:
            return None
        try:
            record = self._jobs.record(id_)
        except DamagedRecord:
            return None
        if record is None:
            return None
        state = record.state
        still = state.status is Status.RUNNING and state.execution == execution
        return IsolatedRun(id_, until) if still else None

    def _ahead(self, state: JobState, id_: int, now: Instant) -> Iterator[bytes]:
        """Yield the index keys of due jobs that are claimed before a job; none if it is not due."""
        due = state.scheduled_at
        if state.status not in CLAIMABLE or (
            state.status in _TIMED and due is not None and due >= due_end(now)
        ):
            return iter(())
        place = places_of(state)
        own = place.place + keys.job_key(id_)
        ranges = []
        for lane in _timed_lanes(state.queue_name):
            if lane == place.lane:
                break
            ranges.append((lane, keys.work_key(lane, due_end(now))))
        ranges.append((place.lane, own))
        return chain.from_iterable(self._jobs.between(start, end) for start, end in ranges)


def _timed_lanes(queue_name: str) -> list[bytes]:
    """Return the lanes of a queue whose jobs are due by a time, in the order of claims."""
    return [keys.lane(status, queue_name) for status in _TIMED]


def _counted(found: Iterable[object]) -> int:
    """Count what there is, up to one more than `MOST_COUNTED`."""
    return sum(1 for _ in islice(found, MOST_COUNTED + 1))
