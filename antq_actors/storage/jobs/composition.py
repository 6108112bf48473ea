"""What a change of a job means for others, stored in the transaction of the change itself.

Every change of a job that has to do with others passes here, called by who writes the job: so a
group counts the end of a member in the commit that ends it, and that commit stores the callbacks
that are due by it. Nothing is left to do afterwards that a crash could prevent.

What follows is collected, and done once, by :meth:`Composition.flush`, before the commit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from msgspec.structs import replace

from antq_actors.errors import NotRetryable
from antq_actors.jobs import instant, lifecycle
from antq_actors.jobs.state import ENDED, NOT_COMPOSED, Composed
from antq_actors.storage.jobs.dependents import Dependents, Waiters
from antq_actors.storage.jobs.groups import (
    APART,
    GROUP,
    JOB,
    PART,
    GroupTable,
    callbacks_for,
    end_of,
)
from antq_actors.storage.jobs.tasks import SettleEdges
from antq_actors.workflows import counters
from antq_actors.workflows.counters import End, Event

if TYPE_CHECKING:
    from collections.abc import Collection

    import lmdb

    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.state import JobState, Status
    from antq_actors.storage.jobs.table import JobEntries
    from antq_actors.storage.lmdb.tables import Tables
    from antq_actors.workflows.counters import Group


MOST_GROUPS_UP: Final = 500
"""How often the end of a group is followed up to the group around it in one transaction."""


class Changes(Waiters, Protocol):
    """What the writer of a transaction does for what follows from a change."""

    def insert_kept(self, state: JobState, signed: bytes, /) -> int | None:
        """Store a job whose spec was signed before; None: a duplicate is in its way."""

    def prune_member(self, id_: int, ended_before: Instant, /) -> JobState | None:
        """Delete a job whose group is deleted, or leave one alone that has not ended before that.

        Return its state; None: there is none.
        """


def flagged(state: JobState) -> JobState:
    """Return the *state* that a job comes to have, with what it says of being counted."""
    composed = state.composed
    if composed is None or not composed.group or composed.is_apart:
        return state
    is_counted = state.status in ENDED
    if composed.is_counted == is_counted:
        return state
    return replace(state, composed=replace(composed, is_counted=is_counted))


def cut_off(id_: int, cause: int) -> str:
    """Return why a job cannot be retried that was cut off because of another one."""
    return (
        f"job {id_} was cut off, as job {cause} did not complete: retry job {cause}, and this one"
        " waits for it again"
    )


class Composition:
    """What follows from changes of jobs for others, in one LMDB write transaction.

    Without :meth:`flush` it must not be committed.
    """

    def __init__(
        self,
        txn: lmdb.Transaction,
        tables: Tables,
        jobs: JobEntries,
        changes: Changes,
    ) -> None:
        self._txn = txn
        self._jobs = jobs
        self._changes = changes
        self._now: Instant = 0
        """The last time that was passed in."""
        self._changed: dict[int, None] = {}
        """The groups that have yet to be looked at, in the order in which they changed."""
        self._miscounted: set[int] = set()
        """The groups that have to be counted anew."""
        self._with_lost_callback: set[int] = set()
        """The groups of which a callback was damaged, or is gone."""
        self._with_failing_part: set[int] = set()
        """The groups that have a failure, as a part of them has."""
        self._around: set[int] = set()
        """The groups that have changed because a group in them has."""
        self._went_up = 0
        """How often that was so in this transaction."""
        self.groups = GroupTable(txn, tables)
        self.dependents = Dependents(txn, tables, jobs, self.groups, changes)

    # ---- a job changes --------------------------------------------------------------------

    def before(self, _id: int, _old: JobState, new: JobState) -> JobState:
        """Return the *new* state of a job as it is to be written; nothing is changed."""
        return flagged(new)

    def after(self, id_: int, old: JobState, new: JobState, now: Instant) -> None:
        """Count that a job has changed, once its new state is written."""
        was, has = old.composed, new.composed
        if was is None or has is None:
            return
        self._now = max(self._now, now)
        if has.is_apart:
            self.count_callbacks(has.group, (old.status in ENDED) - (new.status in ENDED), now)
        if has.has_dependents:
            self.dependents.changed(id_, old, new)
        before = end_of(old) if was.is_counted else None
        after = end_of(new) if has.is_counted else None
        if was.is_counted and not has.is_counted:
            self._reopen(has.group)
        if before is not after:
            if before is not None:
                self._count(has.group, before, -1, now)
            if after is not None:
                self._count(has.group, after, 1, now, id_)

    def retried(self, id_: int, old: JobState, new: JobState, now: Instant) -> JobState:
        """Return the *new* state of an ended job that is retried; it may have to wait for others.

        Raises NotRetryable where others have to be retried before. Nothing is changed.
        """
        if old.composed is None:
            return new
        composed = replace(
            old.composed,
            is_cut=False,
            is_unneeded=False,
            cause=0,
            has_result=False,
            is_none=False,
            node=0,
        )
        if composed.pending:
            causes, gone = self.dependents.obstacles(id_)
            if causes:
                raise NotRetryable(cut_off(id_, causes[0]), old.status)
            composed = replace(
                composed,
                pending=max(0, composed.pending - len(gone)),
                cuts=max(0, composed.cuts - len(gone)),
            )
            if composed.pending:
                new = lifecycle.resume(old, now=now)
        return replace(new, composed=None if composed == NOT_COMPOSED else composed)

    def completed(self, ids: Collection[bytes], new: JobState, now: Instant) -> None:
        """Count that jobs, by their keys in ``jobs``, have ended together with this state."""
        if not ids or new.composed is None:
            return
        self._now = max(self._now, now)
        if new.composed.is_counted:
            self._count(new.composed.group, end_of(new), len(ids), now)
        elif new.composed.is_apart:
            self.count_callbacks(new.composed.group, -len(ids), now)
        if new.composed.has_dependents:
            for key in ids:
                self.dependents.expect(int.from_bytes(key))

    def removed(self, id_: int, state: JobState, now: Instant) -> None:
        """Count that a job was deleted: before its end that is a cancelled one."""
        composed = state.composed
        if composed is None:
            return
        self._now = max(self._now, now)
        self.dependents.removed(id_, composed)
        if not composed.group:
            return
        group = self.groups.get(composed.group)
        self.groups.remove_member(composed.group, id_)
        if composed.is_apart and state.status not in ENDED:
            self.count_callbacks(composed.group, -1, now)
        if group is None or composed.is_apart:
            return
        if composed.is_counted:
            group.gone.add(end_of(state))
        else:
            group.gone.add(End.CANCELLED)
            self._count(composed.group, End.CANCELLED, 1, now, id_)

    def pruned(self, id_: int, state: JobState) -> None:
        """Note that an ended job was deleted because it is old."""
        if state.composed is not None:
            self.dependents.pruned(id_, state, state.composed)

    def damaged(self, id_: int, was: Status | None, now: Instant) -> Composed | None:
        """Return what the state of a job that is damaged, and fails, says of others.

        *was*: its status before; None: that is not known. Returns None if it has nothing to do with
        any.
        """
        self._now = max(self._now, now)
        has_dependents = self.dependents.damaged(id_)
        found = self.groups.group_of(id_)
        if found is None:
            return Composed(has_dependents=True) if has_dependents else None
        group, kind = found
        self._changed[group] = None
        if kind == APART:
            self._with_lost_callback.add(group)
        elif was is None or was in ENDED:  # a count of all does not count an end that is damaged
            self._miscounted.add(group)
        else:
            self._count(group, End.FAILED, 1, now, id_)
        return Composed(
            group=group,
            is_counted=kind == JOB,
            is_apart=kind == APART,
            has_dependents=has_dependents,
        )

    def lost(self, id_: int, now: Instant) -> None:
        """Count that nothing is left of a job but its name in tables: it is deleted by that."""
        self._now = max(self._now, now)
        self.dependents.damaged(id_)
        found = self.groups.group_of(id_)
        if found is None:
            return
        group, kind = found
        self.groups.remove_member(group, id_)
        if kind == APART:
            self._with_lost_callback.add(group)
            self.touch(group, now)
        counted = self.groups.get(group)
        if counted is not None and kind == JOB:
            counted.gone.add(End.CANCELLED)
            self._miscounted.add(group)
            self.touch(group, now)

    def _count(self, id_: int, end: End, number: int, now: Instant, member: int = 0) -> None:
        self._now = max(self._now, now)
        group = self.groups.get(id_)
        if group is not None:  # else it was pruned
            if end is not End.COMPLETED and number > 0 and not group.cause:
                group.cause = member
            group.ends.add(end, number)
            self._changed[id_] = None
            if id_ in self.groups.recounted:  # perhaps with this member, whose end is written
                self._miscounted.add(id_)

    def _reopen(self, id_: int) -> None:
        """Note that a member of a group runs again: what it adds is not cancelled any more."""
        group = self.groups.get(id_)
        while group is not None:
            group.is_cancelled = False
            group = self.groups.get(group.parent)

    def count_callbacks(self, id_: int, number: int, now: Instant) -> None:
        """Count that so many callbacks of a group are left to end, or not any more."""
        found = self.groups.outermost(id_) if number else None
        if found is None:
            return
        outermost, group = found
        since = counters.old_from(group)
        group.callbacks_left = max(0, group.callbacks_left + number)
        if number < 0:
            group.callback_ended_at = max(group.callback_ended_at, now)
        if outermost in self.groups.recounted:  # perhaps with this one, whose end is written
            group.callbacks_left = self.groups.count_callbacks(outermost)
        self.replace_row(outermost, group, since)

    def _count_callbacks_anew(self, id_: int, now: Instant) -> None:
        found = self.groups.outermost(id_)
        if found is not None:
            left = self.groups.count_callbacks(found[0])
            self.count_callbacks(id_, left - found[1].callbacks_left, now)

    def replace_row(self, id_: int, group: Group, since: Instant) -> None:
        """Write from when on a group grows old; *since*: the instant that was so before."""
        old_from = counters.old_from(group)
        if old_from == since:
            return
        if since:
            self._jobs.leave_row(id_, since)
        if old_from:
            self._jobs.enter_row(id_, old_from)

    def note(self, now: Instant) -> None:
        """Note the time at which something has changed."""
        self._now = max(self._now, now)

    def touch(self, id_: int, now: Instant) -> None:
        """Have a group looked at before the commit: it was closed, or got members."""
        self._now = max(self._now, now)
        self._changed[id_] = None

    def prune(self, id_: int, ended_before: Instant, limit: int) -> int:
        """Delete a group that ended before an instant, with all its members; return how many went.

        It is taken from its row. At most *limit* go at once: then it comes back to its row.
        """
        since = self.old_from(id_)
        if not since or since >= ended_before:
            return 0
        pruned, is_all = self._prune_members(id_, ended_before, limit)
        if is_all:
            self.groups.remove(id_)
        else:
            self._jobs.enter_row(id_, since)
        return pruned

    def old_from(self, id_: int) -> Instant:
        """Return from when on a group grows old; 0: not yet, or there is none."""
        group = self.groups.get(id_)
        return 0 if group is None else counters.old_from(group)

    def _prune_members(self, group: int, ended_before: Instant, limit: int) -> tuple[int, bool]:
        """Delete up to *limit* members of a group, and of the groups among them.

        Return how many went, and whether these were all.
        """
        pruned = 0
        path = [(group, iter(self.groups.some_members(group, 0, limit)))]
        while pruned < limit and not self._jobs.has_deleted_enough:
            parent, members = path[-1]
            id_, kind = next(members, (0, JOB))
            if kind == GROUP:
                path.append((id_, iter(self.groups.some_members(id_, 0, limit - pruned))))
                continue
            if id_:
                state = self._changes.prune_member(id_, ended_before)
                end = None if state is None or kind == APART else end_of(state)
            else:  # nothing is left in it
                path.pop()
                if not path:
                    return pruned, True
                id_, parent = parent, path[-1][0]
                part = self.groups.get(id_)
                end = None if part is None else part.counted_as
                self.groups.remove(id_)
            counted = self.groups.get(parent)
            if counted is not None and end is not None:
                counted.gone.add(end)
            self.groups.remove_member(parent, id_)
            pruned += 1
        return pruned, False

    # ---- for the end of the transaction ---------------------------------------------------

    def flush(self) -> bool:
        """Store what follows from all changes; return whether anything has changed."""
        now = self._now or instant.now()
        while self._changed or not self.dependents.is_idle:
            if not self._changed:
                self.dependents.step(now)
                continue
            id_ = next(iter(self._changed))
            del self._changed[id_]
            group = self.groups.get(id_)
            if group is not None and not self._is_left_to_task(id_):
                self._settle(id_, group, now)
        has_changed = self.dependents.flush()
        return self.groups.flush() or has_changed

    def _is_left_to_task(self, id_: int) -> bool:
        """Leave a group to a task if too many groups in groups have ended in this transaction."""
        if id_ not in self._around:
            return False
        self._around.discard(id_)
        self._went_up += 1
        if self._went_up <= MOST_GROUPS_UP:
            return False
        self.dependents.tasks.add(SettleEdges(id_))
        return True

    def _settle(self, id_: int, group: Group, now: Instant) -> None:
        """Store the callbacks of a group that are due, and whether it has ended."""
        if id_ in self._miscounted:
            self._miscounted.discard(id_)
            group.ends = self.groups.count_anew(id_, group)
        if id_ in self._with_lost_callback:
            self._with_lost_callback.discard(id_)
            self._count_callbacks_anew(id_, now)
        if not counters.has_failure(group):
            group.cause = 0
        due = counters.take_due(group, has_failing_part=id_ in self._with_failing_part)
        self._with_failing_part.discard(id_)
        spec = self.groups.spec(id_) if due else None
        if Event.FAILURE in due and spec is not None and spec.kind == PART and group.parent:
            self._with_failing_part.add(group.parent)  # its jobs are nodes of the workflow
            self._changed[group.parent] = None
            self._around.add(group.parent)
        for event in due:
            for callback in callbacks_for(spec, event):
                state = lifecycle.made_later(callback.state, now=now)
                state = replace(state, composed=Composed(group=id_, is_apart=True))
                new = self._changes.insert_kept(state, callback.spec)
                if new is not None:
                    self.groups.add_members(id_, [new], APART)
                    self.count_callbacks(id_, 1, now)
        self._note_end(id_, group, now)
        if group.has_dependents:
            self.dependents.group_changed(id_, group)

    def _note_end(self, id_: int, group: Group, now: Instant) -> None:
        """Store that a group has ended, or that a member of it may run again."""
        has_ended = counters.has_ended(group)
        if has_ended != bool(group.ended_at):
            since = counters.old_from(group)
            group.ended_at = now if has_ended else 0
            self.replace_row(id_, group, since)
            if has_ended and self._jobs.ended is not None:
                self._jobs.ended.append(id_)
            if has_ended and self._jobs.journal is not None:
                spec = self.groups.spec(id_)
                if spec is not None:
                    self._jobs.journal.group_ended(id_, spec.kind, spec.name, group.ends)
        counted_as = counters.end_of(group) if has_ended and group.parent else None
        if counted_as is not group.counted_as:
            self._around.add(group.parent)
            if group.counted_as is not None:
                self._count(group.parent, group.counted_as, -1, now)
            if counted_as is not None:
                self._count(group.parent, counted_as, 1, now, id_)
            group.counted_as = counted_as
