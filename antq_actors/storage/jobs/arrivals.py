"""Jobs come in, and with a completion what it brings about.

One method is one verb, as in :class:`~.writer.JobWriter`. Here is also what follows from the change
of a job for others (:mod:`~antq_actors.storage.jobs.composition`), as that may be a new job.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from msgspec.structs import replace

from antq_actors.errors import AlreadyExists, DamagedRecord, JobNotFound
from antq_actors.jobs import lifecycle
from antq_actors.jobs.history import made_later
from antq_actors.jobs.outcome import Completed
from antq_actors.jobs.state import CLAIMABLE, Composed, JobFlow, NewJob, Status
from antq_actors.storage.format import encoding
from antq_actors.storage.format.cipher import opened_spec
from antq_actors.storage.jobs.chart_counts import note_new_together
from antq_actors.storage.jobs.composition import Composition
from antq_actors.storage.jobs.results import ResultTable
from antq_actors.storage.jobs.steps import StepWriter
from antq_actors.storage.lmdb import keys
from antq_actors.workflows.edges import Condition, Stage

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.outcome import Expansion, FollowUp
    from antq_actors.jobs.state import ErrorEntry, JobSpec, JobState
    from antq_actors.storage.format.encoding import JobRecord
    from antq_actors.storage.format.records import Settlement


class Arrivals(StepWriter):
    """Stores new jobs in one LMDB write transaction; a part of :class:`~.job_store.JobStore`."""

    @property
    def composition(self) -> Composition:
        """What follows from a change of a job for others."""
        if self._composition is None:
            self._composition = Composition(self._txn, self._tables, self._jobs, self)
        return self._composition

    # ---- jobs come in ---------------------------------------------------------------------

    def insert_many(self, news: Sequence[NewJob]) -> list[int | None]:
        """Store new jobs, return their ids in order; None for a duplicate, or at a full limit."""
        if any(
            spec.unique_digest is not None or (spec.flow is not None and spec.flow.gates)
            for _, spec, _ in news
        ):
            for queue_name in {state.queue_name for state, _, _ in news}:
                keys.lane(Status.ENQUEUED, queue_name)
            return [self._insert_unless_duplicate(new) for new in news]
        return list(self.insert_plain(news))

    def insert_plain(self, news: Sequence[tuple[JobState, JobSpec, object]]) -> range:
        """Store new jobs that are not unique and have no limits; return their ids in order.

        Each is a NewJob, or a tuple like one, which takes less time to make.
        """
        runs = _runs_of(news)
        queues = {queue_name for queue_name, _, _ in runs}
        for queue_name in queues:
            keys.lane(Status.ENQUEUED, queue_name)
        if not news:
            return range(0)
        first = self._first_free_id()
        self._next_id = first + len(news)
        self._jobs.add_many(first, news, self._signer)
        if self._jobs.journal is not None:
            self._jobs.journal.stored_together(first, news)
        if self._jobs.chart_notes is not None:
            note_new_together(self._jobs.chart_notes, news[0][0].updated_at, runs)
        self.due |= queues
        return range(first, self._next_id)

    def _insert_unless_duplicate(self, new: NewJob) -> int | None:
        spec = new.spec
        if spec.unique_digest is not None and self._jobs.find_conflict(
            spec.unique_digest, spec.unique_statuses
        ):
            return None
        if spec.flow is not None and self.limited.full(
            new.state, spec.flow.gates, new.state.updated_at
        ):
            return None
        return self._add(new)

    def insert_kept(self, state: JobState, signed: bytes, /) -> int | None:
        """Store a job whose spec was signed before; None: a duplicate is in its way.

        It is enqueued now, where this process can sign that.
        """
        try:
            spec = encoding.decode_spec(encoding.contents(signed))
        except DamagedRecord:  # its claim says so
            return self._add_signed(state, None, signed)
        shown = spec
        with suppress(DamagedRecord):  # its claim says so
            shown = opened_spec(spec, self._tables.cipher)
        digest = shown.unique_digest
        if digest is not None and self._jobs.find_conflict(digest, spec.unique_statuses):
            return None
        if self._signer.has_keys == encoding.is_signed(signed):
            with suppress(DamagedRecord):
                self._signer.verify(signed)
                spec = replace(spec, inserted_at=state.updated_at)
                signed = self._signer.sign(encoding.encode_spec(spec))
        return self._add_signed(state, spec, signed, shown)

    def _add_signed(
        self, state: JobState, spec: JobSpec | None, signed: bytes, shown: JobSpec | None = None
    ) -> int:
        """Store a job under the next id; return the id. *shown*: its spec, decrypted."""
        id_ = self.take_number()
        if spec is not None and spec.flow is not None and spec.flow.gates:
            state = self.limited.arrive(id_, NewJob(state, spec), state.updated_at)
        self._jobs.add_signed(id_, state, None if spec is None else spec.unique_digest, signed)
        if self._jobs.journal is not None and shown is not None:
            self._jobs.journal.stored(id_, state, shown)
        if self._jobs.chart_notes is not None and spec is not None:
            run = state.queue_name, spec.worker, 1
            note_new_together(self._jobs.chart_notes, state.updated_at, [run])
        if state.limited is not None:
            self.limited.promote(state.updated_at)
        self.due.add(state.queue_name)
        return id_

    def prune_member(self, id_: int, ended_before: Instant, /) -> JobState | None:
        """Delete a job whose group is deleted; return its state, None if there is none.

        One that has not ended before an instant, such as a callback of the group, is left, and has
        to do with no group any more.
        """
        try:
            record = self._existing(id_)
            state = record.state
            composed, ended_at = state.composed, state.ended_at
            if ended_at is not None and ended_at < ended_before:
                self._remove_pruned(id_, record)
            elif composed is not None:
                alone = replace(composed, group=0, is_counted=False, is_apart=False)
                self._jobs.move(id_, record, replace(state, composed=alone))
        except DamagedRecord as damage:
            record = self._mark_damaged(id_, str(damage), 0)
            self._jobs.remove(id_, record)
            return record.state
        except JobNotFound:
            return None
        return state

    # ---- those that wait for others -------------------------------------------------------

    def read_waiter(self, id_: int, now: Instant, /) -> JobRecord | None:
        """Read a job; a damaged one is failed first. None: there is none."""
        try:
            return self._read_or_fail(id_, now)
        except JobNotFound:
            return None

    def release_rule(self, id_: int, record: JobRecord, /) -> tuple[int | None, Instant | None]:
        """Return how long after its release a job is due, and not before which instant."""
        flow = self._flow_of(id_, record)
        return (None, None) if flow is None else (flow.release_in, flow.release_at)

    def move_waiter(
        self,
        id_: int,
        record: JobRecord,
        state: JobState,
        error: ErrorEntry | None,
        now: Instant,
        /,
    ) -> None:
        """Write the new state of a job that waited, or waits again."""
        if self._move(id_, record, state, error, now=now) and state.status in CLAIMABLE:
            self.due.add(state.queue_name)

    def has_duplicate(self, id_: int, record: JobRecord, /) -> bool:
        """Return whether another job keeps a unique one out."""
        if record.digest is None:
            return False
        try:
            self._refuse_duplicate(record.state, self.get(id_).spec, but=id_)
        except AlreadyExists:
            return True
        return False

    def insert_waiting(
        self, new: NewJob, upstreams: Iterable[tuple[int, Condition]], *, now: Instant
    ) -> int:
        """Store a new job that waits for jobs or groups; return its id.

        Where these have ended already, it is released or cut off before the commit.
        """
        state = lifecycle.suspend(new.state)
        edges = dict(upstreams)
        composed = replace(state.composed or Composed(), pending=len(edges))
        id_ = self._add(new._replace(state=replace(state, composed=composed)))
        dependents = self.composition.dependents
        dependents.edges.add([(up, id_, condition) for up, condition in edges.items()])
        for upstream in edges:
            self.mark_upstream(upstream, now)
        return id_

    def mark_upstream(self, upstream: int, now: Instant) -> None:
        """Store that others wait for a job or a group; if it has ended, they wait no more."""
        composition = self.composition
        composition.note(now)
        record = self.read_waiter(upstream, now)
        if record is not None:
            composed = record.state.composed or Composed()
            if not composed.has_dependents:
                composed = replace(composed, has_dependents=True)
                state = replace(record.state, composed=composed)
                self._jobs.rewrite(upstream, record._replace(state=state))
        elif (group := composition.groups.get(upstream)) is not None:
            group.has_dependents = True
            group.seen = composition.dependents.upstreams.stage_of(upstream)
        if composition.dependents.upstreams.stage_of(upstream) is not Stage.ACTIVE:
            composition.dependents.expect(upstream)

    def take_number(self) -> int:
        """Return the next number of jobs and groups, which is used by that."""
        id_ = self._first_free_id()
        self._next_id = id_ + 1
        return id_

    # ---- what goes with a completion ------------------------------------------------------

    def settle(self, settlement: Settlement, *, now: Instant) -> bool:
        """Do :meth:`.JobWriter.settle`, and store what a completed execution has produced."""
        if not super().settle(settlement, now=now):
            return False
        id_, _, outcome, checkpoint, _ = settlement
        if checkpoint is not None:
            self._put_checkpoint(id_, self._existing(id_), checkpoint, now)
        if type(outcome) is Completed and outcome.produced is not None:
            produced = outcome.produced
            if produced.result is not None and produced.result.payload:
                result = (keys.job_key(id_), produced.result)
                ResultTable(self._txn, self._tables).put([result], self._signer, now)
            for follow_up in produced.follow_ups:
                self._insert_produced(id_, follow_up, now)
            if produced.members:
                self._insert_produced_members(id_, produced.members, now)
        return True

    def _insert_produced_members(self, id_: int, news: Sequence[NewJob], now: Instant) -> None:
        """Store the jobs that a completed member adds to its batch; duplicates are left out."""
        composed = self._existing(id_).state.composed
        group = None if composed is None else self.composition.groups.get(composed.group)
        if composed is None or group is None:  # else its batch is gone
            return
        later = [made_later(new, now) for new in news]
        ids = self.add_members(composed.group, later)
        if group.is_cancelled:
            for added in ids:
                if added is not None:
                    self._cancel(added, self._existing(added), now)

    def add_members(self, group: int, news: Sequence[NewJob]) -> list[int | None]:
        """Store new jobs as members of a group; return their ids in order.

        None for a duplicate, or at a full limit.
        """
        members = []
        last: JobState | None = None
        for given, spec, gate_keys in news:
            if given is not last:  # jobs that are enqueued together share theirs
                last = given
                state = replace(given, composed=Composed(group=group))
            members.append(NewJob(state, spec, gate_keys))
        ids = self.insert_many(members)
        stored = [id_ for id_ in ids if id_ is not None]
        counted = self.composition.groups.get(group)
        if counted is not None and stored:
            self.composition.groups.add_members(group, stored)
            counted.total += len(stored)
        return ids

    def _insert_produced(self, id_: int, follow_up: FollowUp | Expansion, now: Instant) -> None:
        """Store a job or a workflow that goes with the completion of a job."""
        raise NotImplementedError

    def _insert_follow_up(self, follow_up: FollowUp, now: Instant) -> int | None:
        """Store a job that goes with a completion; None: it is a duplicate, or a limit is full."""
        if follow_up.after:
            spec = replace(follow_up.new.spec, inserted_at=now)
            return self._insert_follow_up_after(follow_up, spec, now)
        return self._insert_unless_duplicate(made_later(follow_up.new, now, follow_up.delay))

    def _insert_follow_up_after(
        self, follow_up: FollowUp, spec: JobSpec, now: Instant
    ) -> int | None:
        """Store a job that goes with a completion, and waits for another job than that one."""
        if spec.unique_digest is not None and self._jobs.find_conflict(
            spec.unique_digest, spec.unique_statuses
        ):
            return None
        state, delay = follow_up.new.state, follow_up.delay
        if delay is not None:
            spec = replace(spec, flow=replace(spec.flow or JobFlow(), release_in=delay))
        elif state.status is Status.SCHEDULED:
            spec = replace(
                spec, flow=replace(spec.flow or JobFlow(), release_at=state.scheduled_at)
            )
        state = replace(state, updated_at=now)
        new = NewJob(state, spec, follow_up.new.keys)
        return self.insert_waiting(new, [(follow_up.after, Condition.SUCCESS)], now=now)


def _runs_of(news: Sequence[tuple[JobState, JobSpec, object]]) -> list[tuple[str, str, int]]:
    """Return the queue, the worker and the number of new jobs of each run that has one of both."""
    runs: list[tuple[str, str, int]] = []
    count, queue_name, worker, last = 0, "", "", None
    for state, spec, _ in news:
        # Jobs that are enqueued together mostly share their state, and the name of their worker.
        if state is not last or spec.worker is not worker:
            if count and (state.queue_name != queue_name or spec.worker != worker):
                runs.append((queue_name, worker, count))
                count = 0
            queue_name, worker, last = state.queue_name, spec.worker, state
        count += 1
    if count:
        runs.append((queue_name, worker, count))
    return runs
