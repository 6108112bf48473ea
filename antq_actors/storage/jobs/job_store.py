"""The path of a job through the store: it comes in, it is claimed, its execution ends.

LMDB lets one writer in at a time, among all processes, so what a verb finds and what it changes are
one step: no unique job is stored twice, and no job is claimed twice. What an execution came to
counts only while the job still runs that very execution, and a node that was declared dead gets
nothing more.

Jobs that are claimed together, and those that complete together, are changed together, too: see
:mod:`~antq_actors.storage.jobs.bulk_update`.
"""

from __future__ import annotations

from bisect import bisect_left
from functools import partial
from itertools import compress, islice, repeat
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Final, TypeVar

from antq_actors.explain import judge
from antq_actors.jobs import lifecycle
from antq_actors.jobs.outcome import (
    COMPLETED,
    COMPLETED_WITH_NONE,
    Completed,
    KeptResult,
    Produced,
)
from antq_actors.jobs.result import NOT_KEPT
from antq_actors.jobs.state import CLAIMABLE, DueJob, JobState, Status, StoredJob
from antq_actors.storage.format import encoding
from antq_actors.storage.format.cipher import opened_specs
from antq_actors.storage.format.records import Claim, NodeGone
from antq_actors.storage.jobs import meta
from antq_actors.storage.jobs.bulk import BulkWriter
from antq_actors.storage.jobs.bulk_tasks import BulkTasks
from antq_actors.storage.jobs.bulk_update import BulkUpdate, note_claimed, note_completed, plan
from antq_actors.storage.jobs.composition import flagged
from antq_actors.storage.jobs.imports import ImportVerbs
from antq_actors.storage.jobs.meta import LETS_THROUGH, NO_LIMITS
from antq_actors.storage.jobs.reader import JobReader
from antq_actors.storage.jobs.results import ResultTable
from antq_actors.storage.jobs.stepped_claims import SteppedClaims
from antq_actors.storage.jobs.writer import log_findings
from antq_actors.storage.lmdb import keys

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import lmdb

    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.state import JobSpec
    from antq_actors.storage.format.records import Settlement
    from antq_actors.storage.lmdb.environment import Environment

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


class JobStore(BulkTasks, BulkWriter, ImportVerbs, SteppedClaims):
    """Changes the jobs of a store, one by one and in bulk, in one LMDB write transaction."""

    def note_encryption(self, *, encrypts_all: bool) -> None:
        """Store whether all jobs are to be encrypted, as an application says."""
        self._meta.set_encrypts_all(encrypts_all=encrypts_all)

    def set_known_error(self, fingerprint: str, version: str | None) -> None:
        """Store until which version of the code a failure is known; None: it is not."""
        self._meta.set_known_error(fingerprint, version)

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

        A stale settlement is dropped. A paused queue gets no jobs but those that steps have let
        through, and a queue of a node on which an isolated run has just begun gets none. Raises
        NodeGone when the node was declared dead.
        """
        if limit and self._txn.get(meta.node_key(node), db=self._tables.meta) is None:
            raise NodeGone(f"node {node} was declared dead, and its jobs were given back")
        txn: lmdb.Transaction[bytes] = self._txn  # type: ignore[assignment] # as it has no buffers
        bulk = BulkUpdate(txn, self._tables, self._jobs.deltas)
        if settlements:
            for settlement in self._complete_together(bulk, settlements, now):
                self.settle(settlement, now=now)
            if self._composition is not None:
                self._compose()  # so that what is released is claimed at once
        if self._meta.is_quiet():
            return Claim(*self._claim(bulk, queue_name, node=node, limit=limit, now=now))
        return self._claim_specially(bulk, queue_name, node=node, limit=limit, now=now)

    def _claim_specially(
        self, bulk: BulkUpdate, queue_name: str, *, node: int, limit: int, now: Instant
    ) -> Claim:
        """Do what :meth:`_claim` does in a store with pauses, commands, limits or breakpoints."""
        concurrency = self._meta.take_concurrency_command(node, queue_name)
        cancelled = self._meta.take_cancellations(node, queue_name)
        marks = self._meta.stepping(queue_name)
        is_paused = self._meta.is_paused(queue_name)
        is_stepped = is_paused and LETS_THROUGH in marks
        holds = is_paused and not is_stepped
        isolated = self.isolated_run(node, now) if limit and not holds else None
        if judge.claim_hold(queue_name, is_paused=holds, isolated=isolated) is not None:
            until = None if isolated is None else isolated.until
            return Claim([], until, concurrency, cancelled)
        self._watch(queue_name, b"" if is_paused else marks)
        limits = self._meta.queue_limits(queue_name)
        if limits is NO_LIMITS:
            claim = self._claim_stepped if is_stepped else self._claim
            jobs, next_due = claim(bulk, queue_name, node=node, limit=limit, now=now)
        else:
            jobs, next_due = self._claim_within(
                limits, bulk, queue_name, node=node, limit=limit, now=now, is_stepped=is_stepped
            )
        self._stops_before = None
        return Claim(jobs, None if self._has_stopped else next_due, concurrency, cancelled)

    def _complete_together(
        self, bulk: BulkUpdate, settlements: Sequence[Settlement], now: Instant
    ) -> Sequence[Settlement]:
        """Store in bulk that executions completed; return the settlements left, to do one by one.

        Left are all with another outcome, and those of jobs that do not run as they should.
        """
        if len(settlements) > 1 and len(set(map(_ID, settlements))) < len(settlements):
            return settlements  # a job twice: the first one counts
        completed, with_none, kept = [], [], []
        for each in settlements:
            outcome = each.outcome
            if type(outcome) is Completed and each.checkpoint is None:
                if outcome.produced is None:
                    completed.append(each)
                elif outcome is COMPLETED_WITH_NONE or outcome == COMPLETED_WITH_NONE:
                    with_none.append(each)
                elif outcome.produced.only_result is not None:
                    kept.append((each, outcome.produced.only_result))
        settled = self._complete_alike(bulk, completed, partial(_completed, now=now))
        if with_none:
            of_none = partial(_completed, now=now, outcome=COMPLETED_WITH_NONE)
            settled |= self._complete_alike(bulk, with_none, of_none)
        if kept:
            with_result = partial(_completed, now=now, outcome=_WITH_RESULT)
            settled |= self._complete_alike(bulk, [each for each, _ in kept], with_result)
            rows = [(keys.job_key(each.id), result) for each, result in kept]
            rows = sorted(row for row in rows if row[0] in settled)
            ResultTable(self._txn, self._tables).put(rows, self._signer, now)
        if len(settled) == len(settlements):
            return ()
        return [each for each in settlements if keys.job_key(each.id) not in settled]

    def _complete_alike(
        self,
        bulk: BulkUpdate,
        completed: list[Settlement],
        decide: Callable[[JobState], JobState | None],
    ) -> set[bytes]:
        """Store in bulk that executions completed; return the keys of their jobs in ``jobs``.

        *decide* returns what becomes of a job; None: it is left, to do it by itself.
        """
        settled: set[bytes] = set()
        if not completed:
            return settled
        completed.sort(key=_ID)
        ids = list(map(keys.job_key, map(_ID, completed)))
        heads, specs = encoding.split_records(list(map(bulk.jobs.get, ids)))
        notes = self._jobs.chart_notes
        for transition, run in plan(heads, decide):
            if transition is None:
                continue
            execution = transition.result.execution
            those, theirs, ended = ids[run], specs[run], completed[run]
            executions = list(map(_EXECUTION, ended))
            if executions.count(execution) < len(executions):
                current = [each == execution for each in executions]
                those, theirs = list(compress(those, current)), list(compress(theirs, current))
                ended = list(compress(ended, current))
            changed = bulk.change(those, theirs, transition)
            settled.update(changed)
            if self._jobs.journal is not None:
                self._jobs.journal.completed_together(changed, transition.result)
            if notes is not None:
                note_completed(notes, bulk, transition.result, ended, those, theirs, changed)
            now, composed = transition.result.updated_at, transition.result.composed
            # A job that has a result and nothing to do with others has neither.
            if composed is not None and (composed.group or composed.has_dependents):
                self.composition.completed(changed, transition.result, now)
            if transition.result.limited is not None:
                self.limited.let_go(dict(zip(those, theirs, strict=True)), changed, now)
        if settled and self._jobs.ended is not None:
            self._jobs.ended += map(keys.id_at_end, settled)
        return settled

    def _claim(
        self, bulk: BulkUpdate, queue_name: str, *, node: int, limit: int, now: Instant
    ) -> tuple[list[StoredJob], Instant | None]:
        """Store that up to *limit* due jobs run on *node*; return them, and when to claim again.

        None instead of the latter: no job is waiting for its time.
        """
        claimed: list[StoredJob] = []
        while True:
            free = limit - len(claimed)
            due, next_due = self._due(bulk.index, queue_name, limit=free, now=now)
            if not due:
                return claimed, next_due
            look_at = self._take_due(bulk, claimed, due, node, now)
            if look_at is not None:
                return claimed, look_at
            # Else some were damaged, or are not there any more: then it has to look again.
            if limit - len(claimed) == free - len(due) and (next_due is None or next_due > now):
                return claimed, next_due

    def _take_due(
        self,
        bulk: BulkUpdate,
        claimed: list[StoredJob],
        due: list[bytes],
        node: int,
        now: Instant,
    ) -> Instant | None:
        """Claim the *due* jobs in bulk, adding them to *claimed*, up to one to run in isolation.

        Return when to claim again if there is such a job.
        """
        heads, signed = encoding.split_records(list(map(bulk.jobs.get, due)))
        complete = signed if all(signed) else bulk.complete(due, signed)
        specs = encoding.decode_specs(complete, self._signer)
        if specs is not None and any(map(_IS_ENCRYPTED, specs)):
            specs = opened_specs(specs, self._tables.cipher)
        if (
            specs is None
            or self._stops_before is not None
            or (len(due) > 1 and len(set(due)) < len(due))
        ):
            heads = [None] * len(due)  # each by itself
        notes = self._jobs.chart_notes
        are_dues_told = self._jobs.journal is not None or self._jobs.notes_due
        dues: dict[bytes | None, Instant | None] = {}
        for transition, run in plan(heads, partial(_claimed, node=node, now=now), dues):
            alone = ids = due[run]
            if transition is not None and specs is not None:
                changed = bulk.change(ids, signed[run], transition)
                state, theirs = transition.result, specs[run]
                numbers = map(int.from_bytes, ids)
                jobs = list(map(_stored, zip(numbers, repeat(state), theirs, repeat(()))))
                if notes is not None:
                    note_claimed(notes, state, ids, heads[run], theirs, dues, changed)
                if are_dues_told:
                    jobs = self._note_claimed(jobs, heads[run], dues, changed)
                if len(changed) == len(ids):
                    claimed += jobs
                    continue
                there = set(changed)
                claimed += [job for id_, job in zip(ids, jobs, strict=True) if id_ in there]
                alone = [id_ for id_ in ids if id_ not in there]
            for id_ in alone:
                look_at = self._claim_one(claimed, keys.id_at_end(id_), node, now)
                if look_at is not None:
                    return look_at
        return None

    def _note_claimed(
        self,
        jobs: list[StoredJob],
        heads: list[bytes | None],
        dues: Mapping[bytes | None, Instant | None],
        changed: list[bytes],
    ) -> list[StoredJob]:
        """Note that jobs were claimed, and return them, knowing when they were due if need be.

        Their records had these *heads*, which tell that; only *changed* ones are claimed.
        """
        one = len(dues) == 1
        due_of = list(dues.values()) * len(jobs) if one else list(map(dues.get, heads))
        if self._jobs.journal is not None:
            self._jobs.journal.claimed_together(jobs, due_of, changed)
        return _with_due(jobs, due_of) if self._jobs.notes_due else jobs

    def _due(
        self,
        index: lmdb.Cursor[bytes],
        queue_name: str,
        *,
        limit: int,
        now: Instant,
        before: bytes | None = None,
    ) -> tuple[list[bytes], Instant | None]:
        """Read the keys of a queue's first *limit* due jobs: scheduled, retrying, then enqueued.

        Return with them when its first scheduled or retrying job is due; None: it has none. Of the
        enqueued ones only those whose turn is before that of a job with limits: *before*.
        """
        found: list[bytes] = []
        next_due: Instant | None = None
        head = b""
        for status in _TIMED:
            lane = keys.lane(status, queue_name)
            if head < lane:  # else the lane before was empty, and so are all up to this key
                head = index.key() if index.set_range(lane) else _END
            if not head.startswith(lane):
                continue
            order = keys.order_in(head)
            next_due = order if next_due is None else min(next_due, order)
            if head < (end := lane + keys.packed_order(judge.due_end(now) + keys.BIAS)):
                found += _ids_ahead(index, end, limit - len(found))
                head = b""
        if len(found) < limit:
            lane = keys.lane(_ENQUEUED, queue_name)
            end = keys.lane_end(lane)
            if before is not None:
                order, next_id, _ = keys.split_ticket_key(before)
                end = keys.work_key(lane, order, next_id)
            if index.set_range(lane):
                found += _ids_ahead(index, end, limit - len(found))
        return found, next_due


_ID: Final = itemgetter(0)
_EXECUTION: Final = itemgetter(1)
_IS_ENCRYPTED: Final = attrgetter("encrypted")
_ENQUEUED: Final = Status.ENQUEUED
_RUNNING: Final = Status.RUNNING
_TIMED: Final = (Status.SCHEDULED, Status.RETRYING)
_END: Final = b"\xff"
"""Is behind every lane."""
_stored: Final[Callable[[tuple[int, JobState, JobSpec, tuple[()]]], StoredJob]] = partial(
    tuple.__new__, StoredJob
)
"""Make one of a tuple, without a call of a Python function."""


def _with_due(jobs: list[StoredJob], dues: list[Instant | None]) -> list[StoredJob]:
    """Return claimed jobs that know when they were due."""
    known: list[StoredJob] = []
    for job, due in zip(jobs, dues, strict=True):
        known.append(due_job := DueJob(*job))
        due_job.due = due
    return known


def _ids_ahead(index: lmdb.Cursor[bytes], end: bytes, limit: int) -> list[bytes]:
    """Read the ids in the first *limit* keys of the index from where its cursor is to *end*."""
    if limit == 1:
        head = index.key()
        return [keys.id_part(head)] if head < end else []
    found = list(islice(index.iternext(values=False), limit))
    if found and found[-1] >= end:
        del found[bisect_left(found, end) :]
    return list(map(keys.id_part, found))


def _claimed(state: JobState, *, node: int, now: Instant) -> JobState | None:
    """Return the state of a job that is claimed in bulk; None: it has to be claimed by itself."""
    if state.status not in CLAIMABLE or state.isolated or state.limited is not None:
        return None
    return lifecycle.claim(state, node=node, now=now)


def _completed(state: JobState, *, now: Instant, outcome: Completed = COMPLETED) -> JobState | None:
    """Return the state of a job that completed, in bulk; None: it is to be settled by itself."""
    if state.status is not _RUNNING or state.isolated:
        return None
    if state.limited is not None and state.limited.chains:
        return None
    after = lifecycle.settle(state, outcome, now=now)[0]
    return after if after.composed is None else flagged(after)


_WITH_RESULT: Final = Completed(Produced(result=KeptResult(NOT_KEPT)))
"""An outcome like those of all jobs that completed with a result that is not None."""
