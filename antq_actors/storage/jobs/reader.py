"""The verbs that look at jobs. Each is flat: it reads what it returns, and no more."""

from __future__ import annotations

from contextlib import suppress
from itertools import count, islice, takewhile
from typing import TYPE_CHECKING, Final, NamedTuple

from antq_actors.errors import DamagedRecord, JobNotFound, StorageError
from antq_actors.explain.judge import due_end
from antq_actors.jobs import lifecycle
from antq_actors.jobs.history import Story
from antq_actors.jobs.state import ACTIVE, ENDED, Status, StoredJob
from antq_actors.storage.format import display, encoding
from antq_actors.storage.format.records import Span
from antq_actors.storage.jobs import upkeep
from antq_actors.storage.jobs.bulk_table import TABLE as BULKS
from antq_actors.storage.jobs.bulk_table import BulkTable
from antq_actors.storage.jobs.charts import TABLE as CHARTS
from antq_actors.storage.jobs.charts import Charted, ChartTable
from antq_actors.storage.jobs.cron_table import CronTable
from antq_actors.storage.jobs.edges import EdgeTable
from antq_actors.storage.jobs.entry_reader import RawJob
from antq_actors.storage.jobs.explained import ExplainReader, SeenJob
from antq_actors.storage.jobs.exports import ExportReader
from antq_actors.storage.jobs.groups import GroupTable
from antq_actors.storage.jobs.history_table import TABLE as HISTORY
from antq_actors.storage.jobs.history_table import HistoryTable
from antq_actors.storage.jobs.limit_reader import LimitReader
from antq_actors.storage.jobs.meta import Meta
from antq_actors.storage.jobs.progress import TABLE, ProgressTable
from antq_actors.storage.jobs.results import read_row
from antq_actors.storage.jobs.search import SearchReader
from antq_actors.storage.jobs.step_table import StepTable
from antq_actors.storage.jobs.table import JobEntries
from antq_actors.storage.jobs.tasks import TaskTable
from antq_actors.storage.jobs.workflow_reader import WorkflowReader
from antq_actors.storage.lmdb import keys
from antq_actors.storage.lmdb.scan import items_before, keys_down_from, keys_from

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    import lmdb

    from antq_actors.jobs.control import Progress
    from antq_actors.jobs.history import Change
    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.state import ErrorEntry
    from antq_actors.storage.format.encoding import JobRecord, Signer
    from antq_actors.storage.format.records import Filter, PauseRecord
    from antq_actors.storage.jobs.bulk_table import SeenBulk
    from antq_actors.storage.jobs.file_samples import FileSample
    from antq_actors.storage.jobs.upkeep import Upkeep
    from antq_actors.storage.lmdb.tables import Tables

_ALL: Final = Span()
MOST_RETRIES: Final = 10_000


class JobReader(ExplainReader, LimitReader, WorkflowReader, ExportReader, SearchReader):
    """Reads jobs, queues and nodes of a store in one LMDB transaction."""

    def __init__(self, txn: lmdb.Transaction, tables: Tables) -> None:
        self._txn = txn
        self._tables = tables
        self._jobs = JobEntries(txn, tables)
        self._meta = Meta(txn, tables.meta)

    def steps(self, signer: Signer | None = None) -> StepTable:
        """Return what jobs of the store have kept between their executions."""
        return StepTable(self._txn, self._tables, signer)

    @property
    def crons(self) -> CronTable:
        """The periodic entries of the store."""
        return CronTable(self._txn, self._tables, self._meta)

    def encrypts_all(self) -> bool:
        """Read whether all jobs of the store are to be encrypted."""
        return self._meta.encrypts_all()

    def charts(self, start: Instant, end: Instant, *, by_hour: bool) -> Charted:
        """Read what was counted from *start* to before *end*, and what happened beside jobs."""
        if not self._tables.has_rows(self._txn, CHARTS):
            return Charted([], [], None)
        table = ChartTable(self._txn, self._tables)
        rows = list(table.rows(start, end, by_hour=by_hour))
        return Charted(rows, list(table.marks(start, end)), table.first_hour())

    def file_samples(self) -> list[FileSample]:
        """Read how the data file has filled in the last day, and how long commits took."""
        if not self._tables.has_rows(self._txn, CHARTS):
            return []
        return ChartTable(self._txn, self._tables).file_samples()

    def has_task(self) -> bool:
        """Read whether something is left to do of a change that was too large for a transaction."""
        return not TaskTable(self._txn, self._tables).is_empty()

    def bulk(self, id_: int) -> SeenBulk | None:
        """Read how far a bulk change is; None: there is none, or it was long ago."""
        if not self._tables.has_rows(self._txn, BULKS):
            return None
        return BulkTable(self._txn, self._tables).seen(id_)

    def is_active(self, id_: int) -> bool:
        """Read whether a job is stored and has not ended; a damaged one has."""
        try:
            record = self._jobs.record(id_)
        except DamagedRecord:
            return False
        return record is not None and record.state.status in ACTIVE

    def get(self, id_: int) -> StoredJob:
        """Read a job from the store by its id, for display. Raises JobNotFound."""
        record = self._jobs.raw(id_)
        if not record:
            raise _not_found(id_)
        payload = encoding.spec_in(record) or self._jobs.payload(id_)
        return self._listed(id_, record, payload).decode()

    def story(self, id_: int) -> Story:
        """Read what is known of the life of a job. Raises JobNotFound."""
        job = self.get(id_)
        changes: tuple[Change, ...] = ()
        if self._tables.has_rows(self._txn, HISTORY):
            changes = HistoryTable(self._txn, self._tables).get(id_)
        return Story(job, changes, self._jobs.numbered_errors(id_))

    def ties(self, id_: int, limit: int) -> tuple[list[int], list[int]]:
        """Read up to *limit* ids of jobs and groups that a job waits for; and that wait for it."""
        if not self._tables.has_rows(self._txn, "edges"):
            return [], []
        edges = EdgeTable(self._txn, self._tables)
        before = [upstream for upstream, _ in islice(edges.to(id_), limit)]
        return before, [downstream for downstream, _ in edges.come_from(id_, 0, limit)]

    def seen(self, id_: int) -> SeenJob:
        """Read a job, with its newest error alone. Raises JobNotFound."""
        record = self._jobs.raw(id_)
        if not record:
            raise _not_found(id_)
        raw = self._listed(id_, record, self._jobs.payload(id_), errors=1)
        newest = display.errors_for_display(raw.errors[:1], raw.payload, raw.cipher)
        is_limited = raw.state.limited is not None
        spec = display.spec_for_display(raw.payload, raw.state) if is_limited else None
        return SeenJob(raw.state, raw.worker, next(iter(newest), None), spec)

    def result(self, id_: int) -> tuple[RawJob, bytes | None]:
        """Read a job and the row of its result; None: it has none. Raises JobNotFound."""
        record = self._jobs.raw(id_)
        if not record:
            raise _not_found(id_)
        job = self._listed(id_, record, encoding.spec_in(record) or self._jobs.payload(id_))
        composed = job.state.composed
        if composed is None or not composed.has_result_row:
            return job, None
        return job, read_row(self._txn, self._tables, id_)

    def stored_among(self, ids: Sequence[int]) -> list[RawJob]:
        """Read those of the jobs with these ids that there are, in the order of *ids*."""
        ids = [id_ for id_ in ids if keys.is_id(id_)]
        wanted = list(map(keys.job_key, ids))
        records = self._jobs.records(wanted)
        payloads = self._jobs.payloads(wanted, records)
        return [
            self._listed(id_, records[key], payloads.get(key, b""))
            for id_, key in zip(ids, wanted, strict=True)
            if key in records
        ]

    def progress_of(self, executions: Collection[tuple[int, int]]) -> dict[int, Progress]:
        """Read what these executions, each with its job's id, have reported last, by the ids."""
        if not self._tables.has_rows(self._txn, TABLE):
            return {}
        table = ProgressTable(self._txn, self._tables, self._jobs)
        found = {id_: table.get(id_, execution) for id_, execution in executions}
        return {id_: progress for id_, progress in found.items() if progress is not None}

    def stored_progress(self, id_: int) -> Progress | None:
        """Read what a job that runs has reported last; None: nothing, or it does not run."""
        if not self._tables.has_rows(self._txn, TABLE):
            return None
        return ProgressTable(self._txn, self._tables, self._jobs).now(id_)

    def progress_in(self, queue_name: str) -> dict[int, Progress]:
        """Read what the running jobs of a queue have reported last, by their ids."""
        if not self._tables.has_rows(self._txn, TABLE):
            return {}
        table = ProgressTable(self._txn, self._tables, self._jobs)
        return dict(table.of_queue(queue_name))

    def ended_among(self, ids: Collection[int], *, or_groups: bool = True) -> list[int]:
        """Read which of these jobs have ended, or are not there; a damaged job has.

        *or_groups*: numbers of groups are meant, too, and not those of jobs that are not there.
        """
        found = [id_ for id_ in ids if not keys.is_id(id_)]
        ids = [id_ for id_ in ids if keys.is_id(id_)] if found else ids
        wanted = list(map(keys.job_key, ids))
        records = self._jobs.records(wanted)
        has_others = or_groups and len(records) < len(wanted)
        groups = GroupTable(self._txn, self._tables) if has_others else None
        for id_, key in zip(ids, wanted, strict=True):
            record = records.get(key)
            try:
                if record is not None:
                    has_ended = encoding.decode_job(record).state.status in ENDED
                else:
                    group = groups.get(id_) if groups is not None else None
                    has_ended = group is None or bool(group.ended_at)
            except DamagedRecord:
                has_ended = True
            if has_ended:
                found.append(id_)
        return found

    def errors(self, id_: int, count: int) -> tuple[ErrorEntry, ...]:
        """Read the kept ones of the first *count* errors of a job, newest first."""
        return self._jobs.errors(id_, count)

    def newest_errors(self, most: int) -> dict[int, ErrorEntry]:
        """Read the newest error of each of the jobs that have the last *most* of all errors, by id.

        The last ones are those of the jobs with the largest ids. Damaged ones are left out.
        """
        found: dict[int, ErrorEntry] = {}
        rows = items_before(self._txn, self._tables.errors, b"", keys.error_key(keys.LARGEST_ID, 0))
        for key, stored in islice(rows, most):
            with suppress(StorageError):
                found.setdefault(keys.split_error_key(key)[0], encoding.decode_error(stored))
        return found

    def page(self, filter_: Filter, span: Span = _ALL, *, size: int = 500) -> list[RawJob]:
        """Read the first *size* jobs of *span* with the filter's statuses and queue, by id.

        The filter's worker is left to the caller, who decodes them. No other jobs are read: ids
        come from the indexes, in either direction.
        """
        return self.some(list(islice(self._ids(filter_, span), max(0, size))))

    def some(self, ids: Sequence[int]) -> list[RawJob]:
        """Read several jobs."""
        found = [keys.job_key(id_) for id_ in ids]
        records = self._jobs.records(found)
        payloads = self._jobs.payloads(found, records)
        return [
            self._listed(id_, records.get(key), payloads.get(key, b""))
            for id_, key in zip(ids, found, strict=True)
        ]

    def page_ids(self, filter_: Filter, span: Span = _ALL, *, size: int) -> list[int]:
        """Read the first *size* ids of *span* with a filter's statuses and queue; no job is read.

        The filter's worker is left to the caller.
        """
        return list(islice(self._ids(filter_, span), max(0, size)))

    def last_id(self) -> int:
        """Read the largest id that a stored job has; 0 without jobs."""
        behind = keys.job_key(keys.LARGEST_ID)
        return keys.id_at_end(next(keys_down_from(self._txn, self._tables.jobs, behind), b""))

    def count_page(self, filter_: Filter, *, after: int, size: int) -> tuple[int, int | None]:
        """Read the next *size* jobs with a filter's statuses and queue, and count a worker's.

        Return how many of them also have its worker, and the last id: None when there was no job.
        """
        ids = list(islice(self._ids(filter_, Span(after)), size))
        found = [keys.job_key(id_) for id_ in ids]
        payloads = self._jobs.payloads(found, self._jobs.records(found))
        worker = filter_.worker or encoding.UNREADABLE
        # Most jobs of other workers are told apart without decoding anything of them.
        needle = b"" if worker == encoding.UNREADABLE else worker.encode("utf-8", "surrogatepass")
        alike = [payload for payload in payloads.values() if needle in payload]
        count = sum(display.worker_for_display(payload) == worker for payload in alike)
        return count, ids[-1] if ids else None

    def count(
        self, statuses: Collection[Status] | None = None, queue_name: str | None = None
    ) -> int:
        """Read how many jobs have one of these statuses and are in this queue; None: any."""
        return sum(
            self._jobs.count(keys.lane(status, queue))
            for status, queue in self._jobs.lanes()
            if (statuses is None or status in statuses)
            and (queue_name is None or queue == queue_name)
        )

    def counts(self, queue_name: str) -> dict[Status, int]:
        """Read how many jobs of a queue the store has in each status."""
        counts = dict.fromkeys(Status, 0)
        for status, queue in self._jobs.lanes():
            if queue == queue_name:
                counts[status] = self._jobs.count(keys.lane(status, queue))
        return counts

    def counts_by_queue(self) -> dict[str, dict[Status, int]]:
        """Read how many jobs of each known queue the store has in each status, by name."""
        found = {name: dict.fromkeys(Status, 0) for name in self.known_queues()}
        for status, queue in self._jobs.lanes():
            found[queue][status] = self._jobs.count(keys.lane(status, queue))
        return found

    def oldest_due(self, queue_name: str, now: Instant) -> Instant | None:
        """Read since when the first due job of a queue is due; None: no job is due."""
        return DueJobs(self._txn, self._tables, self._jobs, queue_name, now).oldest()

    def facts(self, queue_name: str, now: Instant) -> QueueFacts:
        """Read from the store whether a queue is paused, its counts by status, and its due jobs.

        See :class:`DueJobs` for what this costs.
        """
        due = DueJobs(self._txn, self._tables, self._jobs, queue_name, now)
        return QueueFacts(
            self.is_paused(queue_name), self.counts(queue_name), due.count(), due.oldest()
        )

    def unfinished(self, queues: Collection[str | None], now: Instant) -> dict[str | None, int]:
        """Read how many jobs of each of these queues are unfinished; None: of all queues together.

        Those are enqueued, running and retrying jobs, and one more if a scheduled job is due.
        """
        found = dict.fromkeys(queues, 0)
        for status, queue in self._jobs.lanes():
            if status not in ACTIVE:
                continue
            for each in {None, queue}.intersection(found):
                found[each] += self._unfinished_in(keys.lane(status, queue), status, now)
        return found

    def _unfinished_in(self, lane: bytes, status: Status, now: Instant) -> int:
        if status is Status.SCHEDULED:
            return len(self._jobs.head(lane, 1, keys.work_key(lane, due_end(now))))
        return self._jobs.count(lane)

    def queues(self) -> list[str]:
        """Read the names of the queues that have jobs or are paused, sorted."""
        return sorted({*(queue_name for _, queue_name in self._jobs.lanes()), *self._meta.paused()})

    def known_queues(self) -> list[str]:
        """Read the names of the queues that have jobs, are paused, or are run by a node, sorted."""
        return sorted({*self.queues(), *self._meta.served()})

    def is_paused(self, queue_name: str) -> bool:
        """Read from the store whether a queue is paused."""
        return self._meta.is_paused(queue_name)

    def pause_of(self, queue_name: str) -> PauseRecord | None:
        """Read from the store who paused a queue, and when; None: it is not paused."""
        return self._meta.pause_of(queue_name)

    def last_ended_at(self) -> Instant | None:
        """Read when a job ended last; None: none has, or all of those were deleted."""
        behind = keys.ENDS + b"\xff" * 17
        key = next(keys_down_from(self._txn, self._tables.index, behind), b"")
        return keys.order_in(key) if key.startswith(keys.ENDS) else None

    def retries_due(self, now: Instant) -> int:
        """Read how many jobs are due to be tried again; counted until they are `MOST_RETRIES`."""
        left = MOST_RETRIES
        for status, queue in self._jobs.lanes():
            if status is Status.RETRYING:
                lane = keys.lane(status, queue)
                left -= len(self._jobs.head(lane, left, keys.work_key(lane, due_end(now))))
        return MOST_RETRIES - left

    def upkeep(self, what: str) -> Upkeep | None:
        """Read when something was last done for the store; None: never, as far as is known."""
        return upkeep.last(self._txn, self._tables, what)

    def nodes(self) -> list[int]:
        """Read the numbers of the recorded nodes, opened and not closed, from the store."""
        return self._meta.nodes()

    def served_by_node(self) -> list[tuple[int, list[str]]]:
        """Read the recorded nodes with the names of the queues that each runs from the store."""
        return self._meta.served_by_node()

    def running_by_node(self) -> dict[int, int]:
        """Read for each recorded node how many jobs run there, by the LMDB index."""
        running = dict.fromkeys(self._meta.nodes(), 0)
        for status, queue_name in self._jobs.lanes():
            if status is not Status.RUNNING:
                continue
            lane = keys.lane(status, queue_name)
            for node in running:
                start, end = keys.work_key(lane, node), keys.work_key(lane, node + 1)
                running[node] += sum(1 for _ in self._jobs.between(start, end))
        return running

    def nodes_of(self, queue_name: str) -> list[int]:
        """Read the numbers of the recorded nodes that run a queue from the store."""
        return self._meta.nodes_of(queue_name)

    def _existing(self, id_: int) -> JobRecord:
        """Read a job's state and digest by its id. Raises JobNotFound, DamagedRecord."""
        record = self._jobs.record(id_)
        if record is None:
            raise _not_found(id_)
        return record

    def _listed(
        self, id_: int, record: bytes | None, payload: bytes, *, errors: int | None = None
    ) -> RawJob:
        """Return a job of a list, given its bytes; a damaged job is shown as failed, not hidden.

        *errors*: at most so many, the newest.
        """
        try:
            state = encoding.decode_job(record).state if record is not None else None
        except DamagedRecord as error:
            why = str(error)
        else:
            if state is not None:
                found = self._jobs.error_bytes(id_, state.errors, most=errors)
                return RawJob(id_, state, payload, found, self._tables.cipher)
            why = "its record is missing"
        state, entry = lifecycle.mark_damaged(
            queue_name=encoding.UNREADABLE, why=why, errors=0, now=0
        )
        return RawJob(id_, state, payload, (encoding.encode_error(entry),))

    def _ids(self, filter_: Filter, span: Span) -> Iterator[int]:
        """Return the ids of the jobs of *span* with the filter's statuses and queue, in order."""
        statuses, queue_name = filter_.statuses, filter_.queue_name
        if statuses is None and queue_name is None:
            return self._lane_ids(None, span)
        return self._lane_ids(
            lambda status, queue: (
                (statuses is None or status in statuses) and queue_name in (None, queue)
            ),
            span,
        )


def _not_found(id_: int) -> JobNotFound:
    return JobNotFound(f"no job has the id {id_}: it was deleted, pruned, or never stored")


# ---- how many jobs of a queue could begin now, and since when --------------------------------

MOST_READ: Final = 10_000
"""Jobs that are read, at most, to find since when the first enqueued one is due."""

_STEP: Final = 500
_TIMED: Final = (Status.SCHEDULED, Status.RETRYING)


class QueueFacts(NamedTuple):
    """What a store knows of a queue, at one moment."""

    is_paused: bool
    counts: Mapping[Status, int]
    due: int
    """Jobs that could begin: enqueued, and scheduled or retrying whose time has come."""
    oldest_due: Instant | None
    """Since when the first of them could."""


class DueJobs:
    """The jobs of a queue that could begin at an instant, in one transaction."""

    def __init__(
        self, txn: lmdb.Transaction, tables: Tables, jobs: JobEntries, queue_name: str, now: Instant
    ) -> None:
        self._txn = txn
        self._tables = tables
        self._jobs = jobs
        self._lanes = {
            status: keys.lane(status, queue_name) for status in (*_TIMED, Status.ENQUEUED)
        }
        self._now = now

    def count(self) -> int:
        """Read from the index how many jobs of the queue could begin now.

        Enqueued ones are a counter. Scheduled and retrying ones are stepped through from both
        ends of the order of work, until one of the two comes to this instant: it takes as long as
        twice the smaller number of those that are due and those that are not.
        """
        enqueued = self._jobs.count(self._lanes[Status.ENQUEUED])
        return enqueued + sum(self._count_timed(self._lanes[status]) for status in _TIMED)

    def oldest(self) -> Instant | None:
        """Read since when the queue's first due job is due; None: no job is due.

        Of scheduled and retrying ones that is the first in their order of work. Enqueued ones are
        ordered by id, mostly that of their being due, too; but one that was retried by hand or
        given back is due since then. So they are read from the smallest id on until one was
        inserted after the oldest that was found: all after it are due later.
        """
        heads = [
            keys.order_in(key)
            for status in _TIMED
            for key in self._jobs.head(self._lanes[status], 1, self._end(self._lanes[status]))
        ]
        oldest = min(heads, default=None)
        enqueued = self._lanes[Status.ENQUEUED]
        for prefix in (*self._jobs.orders(enqueued), keys.listing_lane(enqueued)):
            for inserted, due in self._enqueued(prefix):
                if oldest is not None and inserted >= oldest:
                    break
                oldest = due if oldest is None else min(oldest, due)
        return oldest

    def _end(self, lane: bytes) -> bytes:
        """Return the smallest ``index`` key of a lane's jobs that are not due yet."""
        return keys.work_key(lane, due_end(self._now))

    def _count_timed(self, lane: bytes) -> int:
        total, end = self._jobs.count(lane), self._end(lane)
        if not total:
            return 0
        index = self._tables.index
        up = takewhile(end.__gt__, keys_from(self._txn, index, lane))
        down = takewhile(end.__le__, keys_down_from(self._txn, index, keys.lane_end(lane)))
        for steps in count(0, _STEP):
            due = sum(1 for _ in islice(up, _STEP))
            if due < _STEP:
                return steps + due
            later = sum(1 for _ in islice(down, _STEP))
            if later < _STEP:
                return total - steps - later
        raise AssertionError  # it counts for ever

    def _enqueued(self, prefix: bytes) -> Iterator[tuple[Instant, Instant]]:
        """Yield when each enqueued job of a priority was inserted, and since when it is due."""
        for key in islice(keys_from(self._txn, self._tables.index, prefix), MOST_READ):
            if not key.startswith(prefix):
                return
            id_ = keys.id_at_end(key)
            try:
                record = self._jobs.record(id_)
            except DamagedRecord:
                continue
            if record is not None and record.state.scheduled_at is not None:
                payload = record.spec or self._jobs.payload(id_)
                spec = display.spec_for_display(payload, record.state)
                yield spec.inserted_at, record.state.scheduled_at
