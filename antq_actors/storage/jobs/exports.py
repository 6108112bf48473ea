"""What goes with jobs to another store, read with them in one transaction; nothing is loaded."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec.structs import replace

from antq_actors.errors import DamagedRecord
from antq_actors.jobs.history import without_error
from antq_actors.jobs.lifecycle import dropped_errors
from antq_actors.storage.format import encoding
from antq_actors.storage.format.encoding import DAMAGES
from antq_actors.storage.format.values import NONE
from antq_actors.storage.jobs import import_table as imports
from antq_actors.storage.jobs import results
from antq_actors.storage.jobs.edges import MAY_HAVE_EDGES, EdgeTable
from antq_actors.storage.jobs.groups import GroupSpec, GroupTable
from antq_actors.storage.jobs.history_table import HistoryTable
from antq_actors.storage.jobs.step_table import StepTable
from antq_actors.storage.jobs.tasks import CancelGroup, TaskTable
from antq_actors.storage.jobs.workflow_reader import WorkflowRow, decode_row, row_key
from antq_actors.storage.lmdb.scan import value_of
from antq_actors.workflows.edges import Condition

if TYPE_CHECKING:
    from collections.abc import Iterator

    import lmdb

    from antq_actors.jobs.history import Change
    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.state import JobState
    from antq_actors.storage.format.records import WaitsFor
    from antq_actors.storage.jobs.import_table import KilledImport
    from antq_actors.storage.jobs.step_table import KeptRow
    from antq_actors.storage.lmdb.tables import Tables
    from antq_actors.workflows.counters import Group


class Beside(NamedTuple):
    """What is stored of a job besides its record."""

    waits_for: tuple[WaitsFor, ...] = ()
    result: bytes | None = None
    """The payload of its result; None: none is kept, or it is damaged."""
    expires_at: Instant | None = None
    """When its result is deleted; None: with the job."""
    kept: tuple[KeptRow, ...] = ()
    """Its steps and its checkpoint."""
    history: tuple[Change, ...] = ()
    """What is noted of it, oldest first, with the numbers that its kept errors have by themselves.
    """

    @property
    def size(self) -> int:
        """How many bytes that is, about."""
        return len(self.result or b"") + sum(len(row.value or b"") for row in self.kept)


NOTHING_BESIDE: Final = Beside()


class ExportedGroup(NamedTuple):
    """A group as it is exported."""

    id: int
    group: Group
    spec: GroupSpec
    """The specs of its callbacks without signatures."""
    is_cancelling: bool
    """Whether not all of its members are cancelled yet."""
    row: WorkflowRow | None
    """What else is said of a workflow."""


class ExportReader:
    """Reads what goes with jobs in one LMDB transaction; a part of :class:`~.reader.JobReader`."""

    _txn: lmdb.Transaction
    _tables: Tables

    def beside(self, id_: int, state: JobState) -> Beside:
        """Read what is stored of a job besides its record."""
        history = self._history_of(id_, state) if state.history else ()
        composed = state.composed
        if composed is None:
            return Beside(history=history) if history else NOTHING_BESIDE
        waits_for: tuple[WaitsFor, ...] = ()
        if composed.pending and state.status in MAY_HAVE_EDGES:
            waits_for = tuple(
                (upstream, condition, is_cut)
                for upstream, (condition, is_cut) in EdgeTable(self._txn, self._tables).to(id_)
                if condition is not Condition.PART
            )
        kept = StepTable(self._txn, self._tables).rows(id_) if composed.has_steps else ()
        beside = Beside(waits_for, kept=tuple(kept), history=history)
        if composed.is_none:
            return beside._replace(result=NONE)
        row = results.read_row(self._txn, self._tables, id_) if composed.has_result else None
        if row is not None:
            with suppress(DamagedRecord):
                payload = results.contents(id_, row)
                return beside._replace(result=payload, expires_at=results.expires_at(row))
        return beside

    def _history_of(self, id_: int, state: JobState) -> tuple[Change, ...]:
        """Read what is noted of a job, for a store that gets its kept errors alone."""
        dropped = dropped_errors(state.errors)

        def renumbered(change: Change) -> Change:
            if change.error is None or change.error < dropped.start:
                return change
            if change.error < dropped.stop:
                return without_error(change)
            return replace(change, error=change.error - len(dropped))

        return tuple(map(renumbered, HistoryTable(self._txn, self._tables).get(id_)))

    def imports(self) -> list[KilledImport]:
        """Read the imports that have not ended: some go on, others were killed."""
        if not self._tables.has_rows(self._txn, imports.TABLE):
            return []
        return imports.ImportTable(self._txn, self._tables).all()

    def groups_between(self, after: int, until: int | None) -> Iterator[ExportedGroup]:
        """Yield the groups whose ids come behind *after*, up to *until*; damaged ones are left out.

        *until* None: up to the last.
        """
        table = GroupTable(self._txn, self._tables)
        tasks = TaskTable(self._txn, self._tables).all()
        cancelling = {task.group for task in tasks if isinstance(task, CancelGroup)}
        for id_ in table.ids(after):
            if until is not None and id_ > until:
                return
            group, spec = table.get(id_), table.spec(id_)
            if group is not None and spec is not None:
                row = self._row_of(id_)
                yield ExportedGroup(id_, group, _unsealed(spec), id_ in cancelling, row)

    def _row_of(self, id_: int) -> WorkflowRow | None:
        stored = value_of(self._txn, self._tables.further(self._txn, "groups"), row_key(id_))
        try:
            return None if stored is None else decode_row(stored)
        except DAMAGES:
            return None


def _unsealed(spec: GroupSpec) -> GroupSpec:
    """Return a group's spec with those of its callbacks bare; damaged ones are left out."""
    callbacks = []
    for callback in spec.callbacks:
        with suppress(DamagedRecord):
            callbacks.append((callback, encoding.contents(callback.spec)))
    return GroupSpec(
        spec.kind,
        spec.name,
        spec.created_at,
        tuple(type(each)(each.event, each.state, bare) for each, bare in callbacks),
        spec.cancel_abandoned,
        spec.key,
    )
