"""What tells why a job does not run, read in one transaction: bounded, however many jobs there are.

Jobs that come before another are counted until they are more than a thousand, and so are those that
run on a node. Nothing is judged here: that is :mod:`antq_actors.explain.judge`.
"""

from __future__ import annotations

import ast
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from antq_actors.errors import DamagedRecord, JobNotFound
from antq_actors.explain import judge
from antq_actors.explain.judge import GateFacts, IsolatedRun, JobFacts, due_end, isolated_until
from antq_actors.explain.reasons import MANY_JOBS, MOST_COUNTED
from antq_actors.flow import gates
from antq_actors.flow.limits import gate_id
from antq_actors.jobs import attempt_error
from antq_actors.jobs.state import CLAIMABLE, Status
from antq_actors.jobs.unique import canonical
from antq_actors.storage.format import display
from antq_actors.storage.jobs.breakpoint_table import BreakpointTable
from antq_actors.storage.jobs.gates import GateTable
from antq_actors.storage.jobs.meta import LETS_THROUGH
from antq_actors.storage.jobs.strict_order import chain_ids
from antq_actors.storage.jobs.table import places_of
from antq_actors.storage.jobs.upstreams import waits_of
from antq_actors.storage.lmdb import keys

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import lmdb

    from antq_actors.explain.judge import WaitFacts
    from antq_actors.explain.reasons import ManyJobs
    from antq_actors.flow.gates import Gate, Limit
    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.state import ErrorEntry, GateRef, JobSpec, JobState
    from antq_actors.storage.jobs.meta import Meta
    from antq_actors.storage.jobs.table import JobEntries
    from antq_actors.storage.lmdb.tables import Tables

_MOST_GATES: Final = 50
"""Gates of a limit that are read to find out whether jobs of a queue wait for it."""
_MOST_IN_FRONT: Final = 8
"""Jobs that are in front of one gate each and wait for the next, of which the gates are read."""
_TIMED: Final = (Status.SCHEDULED, Status.RETRYING)


class RecordedNode(NamedTuple):
    """What a store has of a node, for one queue."""

    number: int
    queues: tuple[str, ...]
    running: int = 0
    """Jobs of the queue that run there; counted until there are more than `MOST_COUNTED`."""
    isolated: IsolatedRun | None = None


class SeenJob(NamedTuple):
    """A job as explanations need it."""

    state: JobState
    worker: str
    error: ErrorEntry | None
    """Its newest one."""
    spec: JobSpec | None
    """For display; None: it has no limits."""


class QueueRecord(NamedTuple):
    """What a store has of a queue, as far as it tells whether its jobs run."""

    name: str
    is_paused: bool
    running: int
    """On all nodes."""
    concurrency: int | None
    """How many may run on all nodes; None: any number."""
    rate: GateFacts | None
    """What all its jobs start at the rate of."""
    waits_for: tuple[str, ...]
    """Names of limits that jobs of the queue wait for."""
    nodes: tuple[RecordedNode, ...]
    """All of the store; of those that do not run the queue, no more than their queues."""


class ExplainReader:
    """Reads what tells why jobs do not run; a part of :class:`~.reader.JobReader`."""

    _txn: lmdb.Transaction
    _tables: Tables
    _jobs: JobEntries
    _meta: Meta

    def seen(self, id_: int) -> SeenJob:
        """Read a job, with its newest error alone. Raises JobNotFound."""
        raise NotImplementedError

    def job_facts(self, id_: int, now: Instant) -> tuple[JobFacts, QueueRecord]:
        """Read what tells whether a job runs, of itself and of its queue. Raises JobNotFound."""
        state, worker, error, spec = self.seen(id_)
        passed = self._gates(id_, state, spec, now)
        stepped = self._steps_of(state.queue_name)
        is_stepped = stepped is not None and stepped.is_through(id_)
        if stepped is not None and is_stepped:
            ahead = stepped.before(id_, self._jobs, MOST_COUNTED + 1)
        else:
            ahead = self._ahead(state, id_, now, passed)
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
            ahead=ahead,
            gates=tuple(passed.values()),
            gates_before=self._gates_before(id_, state, passed, now),
            waits=self._waits(id_, state),
            is_stepped=is_stepped,
        )
        return facts, self.queue_record(state.queue_name, now)

    def _steps_of(self, queue_name: str) -> BreakpointTable | None:
        """Return what steps have let through of a paused queue; None: nothing."""
        if LETS_THROUGH not in self._meta.stepping(queue_name):
            return None
        return BreakpointTable(self._txn, self._tables, self._meta)

    def _waits(self, id_: int, state: JobState) -> tuple[WaitFacts, ...]:
        """Read what a suspended job waits for."""
        if state.status is not Status.SUSPENDED or state.composed is None:
            return ()
        return tuple(waits_of(self._txn, self._tables, id_, state.composed.pending))

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
        limits = self._meta.queue_limits(queue_name)
        rate = None if limits.rate is None else self._rate_of(limits.rate, now)
        waits_for = self._limits_waited_for(queue_name, now) if limits.has_jobs else ()
        return QueueRecord(
            queue_name, is_paused, running, limits.concurrency, rate, waits_for, nodes
        )

    def could_begin(self, queue_name: str, now: Instant) -> int | ManyJobs:
        """Read how many jobs of a queue could begin now, but for those that wait for limits."""
        lane, heads = keys.lane(Status.ENQUEUED, queue_name), keys.heads_lane(queue_name)
        timed = [(each, keys.work_key(each, due_end(now))) for each in _timed_lanes(queue_name)]
        ranges, enqueued = [timed], 0
        if self._meta.queue_limits(queue_name).has_jobs:
            ranges.append([(start, keys.lane_end(start)) for start in (lane, heads)])
        else:
            enqueued = self._jobs.count(lane)
        counted = [
            _counted(key for start, end in each for key in self._jobs.between(start, end))
            for each in ranges
        ]
        many = any(number > MOST_COUNTED for number in counted)
        return MANY_JOBS if many else enqueued + sum(counted)

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

    def _ahead(
        self, state: JobState, id_: int, now: Instant, passed: Mapping[bytes, GateFacts]
    ) -> int:
        """Count the due jobs that are claimed before a job; 0 if it is not due.

        *passed*: its gates. Where one of them is closed for it, only those count that wait for that
        before it; else it will come to the lane of heads behind all that are there.
        """
        due = state.scheduled_at
        if state.status not in CLAIMABLE or (
            state.status in _TIMED and due is not None and due >= due_end(now)
        ):
            return 0
        before = 0
        facts = _room_of(state, passed)
        if facts is not None:
            if judge.closings(facts, now):
                return facts.before
            head = _head_of(facts.gate, state.queue_name)
            is_counted = head not in (0, id_) and self._is_in_lane(head)
            before = facts.before - is_counted
        ranges = self._lanes_ahead(state, id_, now)
        in_lanes = (key for start, end in ranges for key in self._jobs.between(start, end))
        # A job that comes due goes to the rooms of its gates, if others wait there.
        if state.status in _TIMED:
            before = max((gate.before for gate in passed.values()), default=0)
        return _counted(in_lanes) + before

    def _is_in_lane(self, id_: int) -> bool:
        """Read whether a job with limits is in front of all of them."""
        with suppress(DamagedRecord):
            record = self._jobs.record(id_)
            limited = None if record is None else record.state.limited
            return limited is not None and limited.ticket is not None
        return False

    def _lanes_ahead(
        self, state: JobState, id_: int, now: Instant
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield from where to where the keys of the jobs are that a claim takes before a job."""
        own = places_of(state).place + keys.job_key(id_)
        lane = keys.lane(state.status, state.queue_name)
        for timed in _timed_lanes(state.queue_name):
            if timed == lane:
                yield lane, own
                return
            yield timed, keys.work_key(timed, due_end(now))
        heads, order = keys.heads_lane(state.queue_name), -state.priority
        if state.limited is None:
            yield lane, own
            yield heads, keys.ticket_key(heads, order, (id_ + 1, 0))
        elif state.limited.ticket is not None:
            yield heads, own
            yield lane, keys.work_key(lane, order, state.limited.ticket[0])
        else:
            yield heads, keys.ticket_key(heads, order + 1, (0, 0))
            yield lane, keys.work_key(lane, order + 1)

    def _rate_of(self, name: str, now: Instant) -> GateFacts:
        """Read the gate that all jobs of a queue pass together."""
        table, key = GateTable(self._txn, self._tables), gate_id(name, None)
        return GateFacts(name, None, table.limit(key), table.gate_as_of(key, now), 1, 0)

    def _limits_waited_for(self, queue_name: str, now: Instant) -> tuple[str, ...]:
        """Read the names of limits that jobs of a queue wait for, sorted.

        Of each limit, so many gates are read that it is found if most of them have such jobs.
        """
        table = GateTable(self._txn, self._tables)
        found = set()
        for digest, limit in table.limits().items():
            in_use = table.some_keys_of(digest, _MOST_GATES)
            rooms = (room for key in in_use for room in table.gate(key, now).rooms)
            if any(room.queue == queue_name and (room.waiting or room.head) for room in rooms):
                found.add(limit.rule.name)
        return tuple(sorted(found))

    def _gates(
        self, id_: int, state: JobState, spec: JobSpec | None, now: Instant
    ) -> dict[bytes, GateFacts]:
        """Read the gates that a job passes before it runs, in their order."""
        if spec is None or spec.flow is None or state.status not in CLAIMABLE:
            return {}
        table = GateTable(self._txn, self._tables)
        found: dict[bytes, GateFacts] = {}
        for ref in spec.flow.gates:
            limit, gate = table.limit(ref.gate), table.gate_as_of(ref.gate, now)
            name = "" if limit is None else limit.rule.name
            key = _key_value(ref, name, spec)
            before = self._before(id_, state, table.place(ref.gate), gate)
            held_by = self._held_by(id_, state, ref.gate, limit, gate)
            found[ref.gate] = GateFacts(name, key, limit, gate, ref.weight, before, held_by)
        return found

    def _held_by(
        self, id_: int, state: JobState, key: bytes, limit: Limit | None, gate: Gate
    ) -> int:
        """Read the job that holds up another one in the strict order of a gate; 0: none does."""
        in_chains = state.limited is not None and key in state.limited.chains
        if not in_chains or not gates.is_strict(limit):
            return 0
        count = gates.concurrency_of(limit, gate) or 1
        first = chain_ids(self._txn, self._tables.index, key, count)
        return 0 if id_ in first else next(iter(first), 0)

    def _gates_before(
        self, id_: int, state: JobState, passed: Mapping[bytes, GateFacts], now: Instant
    ) -> tuple[GateFacts, ...]:
        """Read the gate for which the job waits that is in front of the one that a job waits for.

        It keeps its place at the earlier gate meanwhile. And so on, if that one waits for a third.
        """
        found: list[GateFacts] = []
        jobs = {id_}
        facts = _room_of(state, passed)
        while facts is not None:
            head = _head_of(facts.gate, state.queue_name)
            if not head or head in jobs or len(jobs) > _MOST_IN_FRONT:
                break
            jobs.add(head)
            try:
                state, _, _, spec = self.seen(head)
            except JobNotFound:
                break
            facts = _room_of(state, self._gates(head, state, spec, now))
            if facts is not None:
                found.append(facts)
        return tuple(found)

    def _before(self, id_: int, state: JobState, of_gate: bytes, gate: Gate) -> int:
        """Count the jobs of a job's queue that wait for the gate of a place before it."""
        head = _head_of(gate, state.queue_name)
        if head == id_:
            return 0
        is_front = state.limited is not None and state.limited.is_front
        lane = keys.lane(Status.ENQUEUED, state.queue_name)
        place = keys.room_key(of_gate, lane, -state.priority, is_front=is_front)
        prefix = keys.room_prefix(of_gate, state.queue_name)
        waiting = self._jobs.between(prefix, place + keys.job_key(id_))
        return _counted(waiting) + bool(head)


def _room_of(state: JobState, passed: Mapping[bytes, GateFacts]) -> GateFacts | None:
    """Return the gate in whose room a job waits; None: it does not wait for any."""
    gate = None if state.limited is None else state.limited.gate
    return None if gate is None else passed.get(gate)


def _head_of(gate: Gate, queue_name: str) -> int:
    """Return the id of the job of a queue that is in front of a gate; 0: none is."""
    return next((room.head for room in gate.rooms if room.queue == queue_name), 0)


def _timed_lanes(queue_name: str) -> list[bytes]:
    """Return the lanes of a queue whose jobs are due by a time, in the order of claims."""
    return [keys.lane(status, queue_name) for status in _TIMED]


def _counted(found: Iterable[object]) -> int:
    """Count what there is, up to one more than `MOST_COUNTED`."""
    return sum(1 for _ in islice(found, MOST_COUNTED + 1))


def _key_value(ref: GateRef, name: str, spec: JobSpec) -> Any:
    """Return the key of a gate as a limit's handle takes it; None: it has none.

    Only a digest of it is stored, and what people read. So it is one of what such a text may stand
    for, or an argument of the job: what has this digest. If none has, it is the text.
    """
    if ref.text is None or ref.gate == gate_id(name, None):
        return None
    for value in _candidates(ref.text, spec):
        try:
            if gate_id(name, canonical(value)) == ref.gate:
                return value
        except (TypeError, ValueError, RecursionError):
            continue
    return ref.text


def _candidates(text: str, spec: JobSpec) -> Iterator[Any]:
    yield text
    with suppress(ValueError, SyntaxError, MemoryError, RecursionError):
        yield ast.literal_eval(text)
    yield from display.display_args(spec.args).values()
