"""Jobs and groups of another store come in, with what ties them to each other.

They come in the order of their ids, so what is named was mostly stored before. A group stays open
until all is stored, so that it does not end before its members have come. What a job waited for
and did not come with it is as if deleted: no job waits for what will never be.
"""

from __future__ import annotations

from bisect import bisect_right
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec.structs import replace

from antq_actors.errors import DamagedRecord
from antq_actors.jobs.outcome import KeptResult
from antq_actors.jobs.state import ENDED, WAITING, Composed, NewJob
from antq_actors.storage.format import encoding
from antq_actors.storage.format.cipher import marked_spec, opened_spec, sealed_spec
from antq_actors.storage.format.values import NONE
from antq_actors.storage.jobs.edges import MAY_HAVE_EDGES
from antq_actors.storage.jobs.groups import APART, JOB, GroupSpec, digest_key, end_of
from antq_actors.storage.jobs.history_table import HistoryTable
from antq_actors.storage.jobs.import_table import KEPT_TIME, ImportHead, ImportPart, ImportTable
from antq_actors.storage.jobs.results import ResultTable
from antq_actors.storage.jobs.step_table import StepTable
from antq_actors.storage.jobs.workflow_reader import WorkflowRow, encode_row, row_key
from antq_actors.storage.jobs.workflow_verbs import WorkflowVerbs
from antq_actors.storage.lmdb import keys
from antq_actors.storage.lmdb.scan import value_of
from antq_actors.workflows.counters import End, Ends, Group, old_from
from antq_actors.workflows.edges import Condition, Edge

if TYPE_CHECKING:
    from collections.abc import Sequence

    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.state import JobSpec, JobState
    from antq_actors.storage.format.records import ImportedJob, WaitsFor
    from antq_actors.storage.jobs.import_table import ImportMark, LooseTuple


_NONE: Final = (NONE, None)
"""The result None, which is kept as long as its job."""


class ImportedGroup(NamedTuple):
    """A group of another store."""

    id: int
    """Its id there."""
    group: Group
    """As it was there: its numbers of members are counted anew."""
    spec: GroupSpec
    """The specs of its callbacks without signatures."""
    is_cancelling: bool = False
    """Whether it is to be cancelled once all of it is stored."""
    row: WorkflowRow | None = None
    """What else was said of a workflow."""


class Loose(NamedTuple):
    """What a stored job named that was not stored yet, by the ids of the other store."""

    id: int
    """Of the job, here."""
    was: int
    """Its id there."""
    waits_for: tuple[WaitsFor, ...] = ()
    part: int = 0
    cause: int = 0


class Taken(NamedTuple):
    """What became of jobs and groups that came in together."""

    ids: list[int | None]
    """None: a waiting unique job was left out, as another is in its way."""
    keep_ids: bool
    """Whether they kept their ids."""
    loose: list[Loose]
    node: int
    """The number of no living node by which groups of this import are known until its end."""


class KnownIds:
    """The ids here of what came in, by those of the other store: small where both are in a row."""

    def __init__(self, known: KnownIds | None = None) -> None:
        self._known = known
        self._firsts: list[int] = []
        self._runs: list[tuple[int, int]] = []
        """The last id there of each row, and the first one here."""
        self._others: dict[int, int] = {}
        """Those that came out of order."""
        self._expanding: set[int] = set()

    def add(self, id_: int, new: int) -> None:
        """Note that what had an id has a new one."""
        if self._firsts:
            first, (last, to) = self._firsts[-1], self._runs[-1]
            if id_ <= last:
                self._others[id_] = new
                return
            if id_ == last + 1 and new == to + id_ - first:
                self._runs[-1] = (id_, to)
                return
        self._firsts.append(id_)
        self._runs.append((id_, new))

    def add_expanding(self, id_: int) -> None:
        """Note that what a job has expanded into has yet to come."""
        self._expanding.add(id_)

    def is_expanding(self, id_: int) -> bool:
        """Return whether what a job has expanded into has yet to come."""
        known = self._known
        return id_ in self._expanding or (known is not None and known.is_expanding(id_))

    def get(self, id_: int) -> int:
        """Return the new id; 0: it is not known."""
        if id_ in self._others:
            return self._others[id_]
        place = bisect_right(self._firsts, id_) - 1
        if place >= 0:
            last, to = self._runs[place]
            if id_ <= last:
                return to + id_ - self._firsts[place]
        return 0 if self._known is None else self._known.get(id_)


class ImportVerbs(WorkflowVerbs):
    """Stores what was exported, in one transaction; a part of :class:`~.job_store.JobStore`."""

    def import_jobs(
        self,
        arrivals: Sequence[ImportedJob | ImportedGroup],
        known: KnownIds,
        *,
        keep_ids: bool | None,
        node: int = 0,
        now: Instant,
        mark: ImportMark | None = None,
    ) -> Taken:
        """Store jobs and groups that another store exported.

        *known*: the ids here of those that came before. *keep_ids* None: they keep their ids if
        this store never had a job. *node*: what an earlier call of this import has returned.
        *mark*: as which part of the import it is noted, so that one that is killed can go on.
        """
        if self._jobs.journal is not None:
            self._jobs.journal.is_import = True
        if keep_ids is None:
            keep_ids = self._first_free_id() == 1
        numbers = KnownIds(known)
        ids: list[int | None] = []
        loose: list[Loose] = []
        notes, self._jobs.chart_notes = self._jobs.chart_notes, None  # they came in elsewhere
        for arrival in arrivals:
            wanted = arrival.id if keep_ids else 0
            if isinstance(arrival, ImportedGroup):
                node = node or self.new_node()
                id_: int | None = self._import_group(arrival, wanted, numbers, node, now)
            else:
                id_ = self._import_job(arrival, wanted, numbers, loose, now)
            ids.append(id_)
            if id_ is not None:
                numbers.add(arrival.id, id_)
        self._jobs.chart_notes = notes
        taken = Taken(ids, keep_ids, loose, node)
        if mark is not None:
            self._note_part(mark, taken, now)
        return taken

    def _note_part(self, mark: ImportMark, taken: Taken, now: Instant) -> None:
        table = ImportTable(self._txn, self._tables)
        if mark.position == 0:
            self._forget_old(table, now)
            table.put_head(mark.key, ImportHead(mark.holder, now))
        loose: list[LooseTuple] = [
            (each.id, each.was, each.waits_for, each.part, each.cause) for each in taken.loose
        ]
        part = ImportPart(mark.lines, mark.digest, taken.keep_ids, taken.node, taken.ids, loose)
        table.put_part(mark.key, mark.position, part)

    def _forget_old(self, table: ImportTable, now: Instant) -> None:
        for key, head, _ in table.all():
            if head.at < now - KEPT_TIME:
                table.delete(key)

    def take_import(self, key: bytes, was: int, holder: int, *, now: Instant) -> ImportHead | None:
        """Go on with the import of a process that has died; *was*: the node of that one.

        None: another process does.
        """
        table = ImportTable(self._txn, self._tables)
        head = table.head(key)
        if head is None or head.holder != was:
            return None
        table.put_head(key, replace(head, holder=holder, at=now))
        return head

    def forget_import(self, key: bytes) -> None:
        """Delete what was noted of an import, which has ended."""
        ImportTable(self._txn, self._tables).delete(key)

    def _note_end(self, key: bytes, **done: int) -> None:
        table = ImportTable(self._txn, self._tables)
        head = table.head(key) if key else None
        if head is not None:
            table.put_head(key, replace(head, **done))

    def _import_group(
        self, arrival: ImportedGroup, wanted: int, numbers: KnownIds, node: int, now: Instant
    ) -> int:
        was, spec = arrival.group, arrival.spec
        id_ = max(self._first_free_id(), wanted)
        self._next_id = id_ + 1
        callbacks = tuple(
            replace(each, spec=self._signer.sign(self._encrypted(each.spec)))
            for each in spec.callbacks
        )
        groups = self.composition.groups
        parent = numbers.get(was.parent)
        containing = groups.get(parent) if parent else None
        if containing is not None:
            containing.total += 1
        gone = was.gone
        group = Group(
            total=gone.total,
            ends=Ends(gone.completed, gone.failed, gone.cancelled, gone.unneeded),
            gone=gone,
            fired=was.fired,
            parent=0 if containing is None else parent,
            is_cancelled=was.is_cancelled,
            node=node,
            is_coming_in=True,
        )
        groups.add(id_, group, replace(spec, callbacks=callbacks))
        self.composition.note(now)
        if spec.key is not None:
            self._take_key(id_, spec.name, spec.key)
        return id_

    def _take_key(self, id_: int, name: str, key: str) -> None:
        """Store which workflow has a key, unless an open one has it."""
        table, row = self._tables.further(self._txn, "groups"), digest_key(name, key)
        found = value_of(self._txn, table, row)
        other = None if found is None else self.composition.groups.get(int.from_bytes(found))
        if other is None or other.ended_at:
            self._txn.put(row, keys.job_key(id_), db=table)

    def _encrypted(self, spec: bytes) -> bytes:
        """Return the bytes of a spec as they are stored: encrypted where all are."""
        cipher = self._tables.cipher
        if cipher is None:
            return spec
        marked = marked_spec(encoding.decode_spec(spec), cipher)
        return encoding.encode_spec(sealed_spec(marked, cipher))

    def _import_job(
        self,
        arrival: ImportedJob,
        wanted: int,
        numbers: KnownIds,
        loose: list[Loose],
        now: Instant,
    ) -> int | None:
        state, spec, gate_keys = arrival.new
        if state.status in WAITING and self._is_duplicate(spec):
            return None
        spec = _renumbered(marked_spec(spec, self._tables.cipher), numbers)
        was = state.composed
        if was is None:
            id_ = self._add(NewJob(state, spec, gate_keys), arrival.errors, wanted)
            self._put_history(id_, arrival)
            return id_
        waits_for = arrival.waits_for if state.status in MAY_HAVE_EDGES else ()
        composed = self._composed(was, arrival, waits_for, numbers)
        state = replace(state, composed=None if composed == Composed() else composed)
        id_ = self._add(NewJob(state, spec, gate_keys), arrival.errors, wanted)
        self._put_history(id_, arrival)
        self._join_group(id_, state, now)
        if arrival.result is not None and arrival.result != _NONE:
            payload, expires_at = arrival.result
            ttl = None if expires_at is None else expires_at - now
            kept = KeptResult(payload, ttl)
            ResultTable(self._txn, self._tables).put([(keys.job_key(id_), kept)], self._signer, now)
        if arrival.kept:
            StepTable(self._txn, self._tables, self._signer).put_rows(id_, arrival.kept)
        self._tie(Loose(id_, arrival.id, waits_for, was.part, was.cause), numbers, loose, now)
        return id_

    def _put_history(self, id_: int, arrival: ImportedJob) -> None:
        if arrival.history:
            HistoryTable(self._txn, self._tables).put_all(id_, arrival.history)

    def _is_duplicate(self, spec: JobSpec) -> bool:
        """Read whether a unique job here is in the way of one that comes in, under any key."""
        if spec.unique_digest is None:
            return False
        with suppress(DamagedRecord):  # no key fits: it is compared as it is stored
            spec = opened_spec(spec, self._tables.cipher)
        digest = spec.unique_digest
        return bool(digest and self._jobs.find_conflict(digest, spec.unique_statuses))

    def _composed(
        self, was: Composed, arrival: ImportedJob, waits_for: Sequence[WaitsFor], numbers: KnownIds
    ) -> Composed:
        """Return what the state of a job says of others here; *was*: what it said there."""
        group = numbers.get(was.group)
        is_in_group = self.composition.groups.get(group) is not None
        is_apart = was.is_apart and is_in_group
        return replace(
            was,
            group=group if is_in_group else 0,
            is_apart=is_apart,
            is_counted=is_in_group and not is_apart and arrival.new.state.status in ENDED,
            pending=len(waits_for),
            cuts=sum(is_cut for _, _, is_cut in waits_for),
            has_dependents=False,
            has_result=arrival.result is not None,
            is_none=arrival.result == _NONE,
            has_steps=bool(arrival.kept),
            cause=0,
            part=0,
        )

    def _join_group(self, id_: int, state: JobState, now: Instant) -> None:
        """Store that a new job belongs to its group, if it is of one, and count it there."""
        composed = state.composed
        group = None if composed is None else self.composition.groups.get(composed.group)
        if composed is None or group is None:
            return
        kind = APART if composed.is_apart else JOB
        self.composition.groups.add_members(composed.group, [id_], kind)
        if composed.is_apart:
            self._count_callback(composed.group, state, now)
        else:
            group.total += 1
        if composed.is_counted:
            _count(group, id_, end_of(state))

    def _count_callback(self, group: int, state: JobState, now: Instant) -> None:
        """Count a callback that has come in, if it has not ended; else note when it did."""
        if state.ended_at is None:
            self.composition.count_callbacks(group, 1, now)
        elif (found := self.composition.groups.outermost(group)) is not None:
            outermost = found[1]
            outermost.callback_ended_at = max(outermost.callback_ended_at, state.ended_at)

    def _tie(self, names: Loose, numbers: KnownIds, loose: list[Loose], now: Instant) -> None:
        """Store what a new job names of others; what is not known goes to *loose*."""
        id_, was, waits_for, part, cause = names
        later = []
        for edge in waits_for:
            upstream = numbers.get(edge[0])
            if upstream and not numbers.is_expanding(edge[0]):
                self._wait(id_, upstream, edge, now)
            else:
                later.append(edge)
        new_part, new_cause = numbers.get(part), numbers.get(cause)
        self._name(id_, new_part, new_cause, now)
        part, cause = 0 if new_part else part, 0 if new_cause else cause
        if later or part or cause:
            loose.append(Loose(id_, was, tuple(later), part, cause))
        if part:
            numbers.add_expanding(was)

    def _wait(self, id_: int, upstream: int, edge: WaitsFor, now: Instant) -> None:
        dependents = self.composition.dependents
        _, condition, is_cut = edge
        dependents.edges.put(upstream, id_, Edge(Condition(condition), is_cut))
        self.mark_upstream(upstream, now)
        if is_cut:
            dependents.expect(upstream)

    def _name(self, id_: int, part: int, cause: int, now: Instant) -> None:
        """Store the group into which a job expanded, and the job that cut it off."""
        if not part and not cause:
            return
        if part:
            self.expand(id_, part, now=now)
        if cause:
            record = self._existing(id_)
            composed = replace(record.state.composed or Composed(), cause=cause)
            state = replace(record.state, composed=composed)
            self._jobs.rewrite(id_, record._replace(state=state))

    # ---- all are stored -------------------------------------------------------------------

    def tie_loose(
        self,
        loose: Sequence[Loose],
        known: KnownIds,
        *,
        now: Instant,
        key: bytes = b"",
        tied: int = 0,
    ) -> dict[int, int]:
        """Store what jobs name of others that came later; return the numbers of what is missing.

        A job that waits for what did not come is cut off, as if that were deleted. *tied*: how many
        are, with these, in the import with this *key*.
        """
        self._note_end(key, tied=tied)
        numbers = known
        missing: dict[int, int] = {}
        for names in loose:
            record = self.read_waiter(names.id, now)
            if record is None:
                continue
            self._name(names.id, numbers.get(names.part), numbers.get(names.cause), now)
            if record.state.status not in MAY_HAVE_EDGES:
                continue
            for edge in names.waits_for:
                upstream = numbers.get(edge[0])
                if not upstream:
                    upstream = missing.get(edge[0], 0) or self.take_number()
                    missing[edge[0]] = upstream
                self._wait(names.id, upstream, edge, now)
        return missing

    def end_groups(
        self,
        arrivals: Sequence[tuple[int, ImportedGroup]],
        known: KnownIds,
        *,
        now: Instant,
        key: bytes = b"",
        ended: int = 0,
    ) -> None:
        """Close the groups that were closed, as all of their members are stored; parts first.

        *ended*: how many are, with these, in the import with this *key*.
        """
        self._note_end(key, ended=ended)
        composition = self.composition
        for id_, arrival in arrivals:
            group, was = composition.groups.get(id_), arrival.group
            if group is not None:
                group.is_closed = was.is_closed
                group.is_coming_in = False
                if was.is_closed or not was.node:
                    group.node = 0  # else it is dead, as who added its members is not here
                group.cause = known.get(was.cause) or group.cause
                composition.touch(id_, now)
                self._put_row(id_, arrival.row, known)
                if arrival.is_cancelling:
                    self.cancel_group(id_, now=now, kind=None)
        composition.flush()
        for id_, arrival in arrivals:
            group, ended_at = composition.groups.get(id_), arrival.group.ended_at
            if group is not None and group.ended_at and ended_at:
                since = old_from(group)
                group.ended_at = ended_at
                composition.replace_row(id_, group, since)

    def _put_row(self, id_: int, row: WorkflowRow | None, known: KnownIds) -> None:
        number = 0 if row is None else known.get(row.output)
        if row is not None and number:
            table = self._tables.further(self._txn, "groups")
            self._txn.put(row_key(id_), encode_row(replace(row, output=number)), db=table)


def _renumbered(spec: JobSpec, numbers: KnownIds) -> JobSpec:
    """Return the spec of a job that names its workflow, and the nodes before it, by ids here."""
    if spec.flow is None or not spec.flow.workflow:
        return spec
    upstream = tuple(
        (name, numbers.get(number), is_group) for name, number, is_group in spec.flow.upstream
    )
    workflow = numbers.get(spec.flow.workflow)
    return replace(spec, flow=replace(spec.flow, workflow=workflow, upstream=upstream))


def _count(group: Group, member: int, end: End) -> None:
    group.ends.add(end)
    if end is not End.COMPLETED and not group.cause:
        group.cause = member
