"""A bulk change goes on by itself: a page of its jobs in each transaction, by whichever process.

The jobs are named when it begins, and its task is stored with them. Each is changed as if it were
the only one; one that has changed since it was found is skipped, and one that the rules keep from
being changed is refused. Its entry in the audit counts those that were changed.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from antq_actors.errors import (
    AntqError,
    BulkEnded,
    BulkNotFound,
    DamagedRecord,
    JobNotFound,
    StorageError,
)
from antq_actors.jobs import history, instant, lifecycle
from antq_actors.jobs.audit import action, mark_of
from antq_actors.jobs.state import Status
from antq_actors.storage.jobs import bulk_table
from antq_actors.storage.jobs.arrivals import Arrivals
from antq_actors.storage.jobs.audit_table import AuditTable
from antq_actors.storage.jobs.bulk_table import BulkTable
from antq_actors.storage.jobs.charts import AUDIT
from antq_actors.storage.jobs.tasks import ChangeJobs
from antq_actors.storage.jobs.undo_table import UNDO_TIME, UndoNotes, UndoTable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from antq_actors.jobs.instant import Instant
    from antq_actors.storage.format.encoding import JobRecord
    from antq_actors.storage.jobs.bulk_table import BulkRecord, Page


class BulkTasks(Arrivals):
    """Begins bulk changes, and goes on with them; a part of :class:`~.job_store.JobStore`."""

    @property
    def _bulks(self) -> BulkTable:
        return BulkTable(self._txn, self._tables)

    def begin_bulk(
        self, record: BulkRecord, filter_: str, reason: str | None, pages: Iterable[Page]
    ) -> int:
        """Store a bulk change of the jobs in these pages, and its task; return its id."""
        bulks = self._bulks
        state = record.state if record.total else bulk_table.DONE
        id_ = bulks.add(replace(record, state=state, about=bulks.sealed(filter_, reason)), pages)
        if record.total:
            self.composition.dependents.tasks.add(ChangeJobs(id_))
        self.has_changed = True
        return id_

    def stop_bulk(self, id_: int, *, now: Instant) -> BulkRecord:
        """Store that a bulk change does not go on; what is done is done.

        Raises BulkNotFound, BulkEnded.
        """
        bulks = self._bulks
        record = bulks.get(id_)
        if record is None:
            raise BulkNotFound(
                f"no bulk change has the id {id_}; the newest {bulk_table.MOST_ENDED} that have"
                " ended are kept"
            )
        if record.state != bulk_table.RUNNING:
            raise BulkEnded(f"bulk change {id_} is {record.state}, so it cannot be stopped")
        record = replace(record, state=bulk_table.STOPPED, at=now)
        bulks.forget_pages(id_)
        bulks.put(id_, record)
        self.has_changed = True
        return record

    def stop_what_is_undone(self, token: str, *, now: Instant) -> None:
        """Store that a bulk change which is being undone does not go on."""
        if self._tables.has_rows(self._txn, bulk_table.TABLE):
            id_ = self._bulks.running_with(token)
            if id_ is not None:
                self.stop_bulk(id_, now=now)

    def stop_before_it_begins(self, token: str, *, now: Instant) -> str | None:
        """Store that a bulk change which has changed nothing so far does not begin.

        Return its filter; None: no such change is undone by *token*, or it is too late for that.
        """
        if not self._tables.has_rows(self._txn, bulk_table.TABLE):
            return None
        bulks = self._bulks
        id_ = bulks.running_with(token)
        record = None if id_ is None else bulks.get(id_)
        if id_ is None or record is None or record.entry is not None:
            return None
        if not 0 <= now - record.began <= UNDO_TIME:
            return None
        self.stop_bulk(id_, now=now)
        return bulks.about(record)[0]

    def go_on_changing(self, bulk: int, *, now: Instant) -> None:
        """Change the next jobs of a bulk change; what is left then is a task again."""
        bulks = self._bulks
        record = bulks.get(bulk)
        if record is None or record.state != bulk_table.RUNNING:
            return
        found = bulks.first_page(bulk)
        if found is not None:
            key, page = found
            if self._jobs.journal is not None:
                self._jobs.journal.by = record.by or f"bulk change {bulk}"
            self.undo = UndoNotes()
            before = record.changed
            record, left = self._change_page(record, page, now)
            notes, self.undo = self.undo, None
            bulks.replace_page(key, left)
            if record.changed > before:
                record = self._note_in_audit(record, record.changed - before, notes, now)
        if bulks.first_page(bulk) is None:
            record = replace(record, state=bulk_table.DONE)
        else:
            self.composition.dependents.tasks.add(ChangeJobs(bulk))
        bulks.put(bulk, replace(record, at=now))

    def _change_page(self, record: BulkRecord, page: Page, now: Instant) -> tuple[BulkRecord, Page]:
        """Change the jobs of a page; return what became of them, and what is left of the page.

        Something is left where they have many steps, which are deleted with them.
        """
        counts: Counter[str] = Counter()
        ids = bulk_table.ids_in(page)
        for id_ in ids:
            if self._jobs.has_deleted_enough:
                break
            due = _due_of(record, record.changed + counts[_CHANGED])
            counts[self._outcome_of(record, id_, due, now)] += 1
        record = replace(
            record,
            changed=record.changed + counts[_CHANGED],
            skipped=record.skipped + counts[_SKIPPED],
            refused=record.refused + counts[_REFUSED],
        )
        return record, page[counts.total() * (len(page) // len(ids)) :]

    def _note_in_audit(
        self, record: BulkRecord, changed: int, notes: UndoNotes, now: Instant
    ) -> BulkRecord:
        """Note that so many more jobs were changed, and what undoes that."""
        entries = AuditTable(self._txn, self._tables)
        undos = UndoTable(self._txn, self._tables)
        if record.entry is None:
            filter_, reason = self._bulks.about(record)
            done = action(record.by, f"bulk {record.verb}", filter_, reason)
            self.mark_in_charts(AUDIT, mark_of(done, hides=self._tables.cipher is not None))
            record = replace(record, entry=entries.add(done, changed, now))
        else:
            entries.add_count(record.entry, changed)
            if record.token is not None and undos.get(record.token) is None:
                return replace(record, token=None)  # what came before cannot be undone any more
        if record.token is None or record.entry is None:
            return record
        is_kept = undos.keep(record.token, record.entry, notes, now)
        return record if is_kept else replace(record, token=None)

    # ---- one job ---------------------------------------------------------------------------

    def _outcome_of(self, record: BulkRecord, id_: int, due: Instant | None, now: Instant) -> str:
        """Change a job as *record* asks for; return as what it counts."""
        has_changed = False
        try:
            job, was_damaged = self._read_or_mark(id_, now)
            # One that is changed after now was so before the clock was set back.
            has_changed = not was_damaged and record.began < job.state.updated_at <= now
            if has_changed and record.is_strict:
                return _SKIPPED
            if self._change(record, id_, job, due, now):
                return _CHANGED
        except StorageError:
            raise
        except JobNotFound:
            return _SKIPPED
        except AntqError:  # its status is against it, a unique job is in its way, a limit is full
            pass
        return _SKIPPED if has_changed else _REFUSED

    def _read_or_mark(self, id_: int, now: Instant) -> tuple[JobRecord, bool]:
        """Read a job, and whether it is damaged: then it is failed. Raises JobNotFound."""
        try:
            return self._existing(id_), False
        except DamagedRecord as error:
            return self._mark_damaged(id_, str(error), now), True

    def _change(
        self, record: BulkRecord, id_: int, job: JobRecord, due: Instant | None, now: Instant
    ) -> bool:
        """Do to a job what a bulk change asks for; return whether that has changed it.

        Raises AntqError where the rules are against it.
        """
        match record.verb:
            case bulk_table.RETRY:
                if job.state.status is Status.COMPLETED and not record.takes_completed:
                    return False
                self._retry(id_, job, now, due)
            case bulk_table.CANCEL:
                return self._cancel(id_, job, now) is not job.state
            case bulk_table.DELETE:
                self._delete(id_, job, now)
            case _:
                if lifecycle.run_now(job.state, now=now) is job.state:
                    return False
                decide = partial(lifecycle.reschedule, due=now if due is None else due)
                self._change_due(id_, decide, now, history.RUN_NOW)
        return True


_CHANGED: Final = "changed"
_SKIPPED: Final = "skipped"
_REFUSED: Final = "refused"


def _due_of(record: BulkRecord, number: int) -> Instant | None:
    """Return when the job *number* of those that are changed comes due; None: at once."""
    if not record.spread:
        return None
    return due_at(number, record.spread_jobs, record.began, record.spread)


def due_at(number: int, total: int, began: Instant, spread: Instant) -> Instant:
    """Return when the job *number*, from 0, of *total* is due: the first at once, the last late.

    >>> [due_at(number, 3, began=100, spread=60) for number in range(3)]
    [100, 130, 160]
    """
    last = max(1, total - 1)
    return min(began + spread * min(number, last) // last, instant.LATEST)
