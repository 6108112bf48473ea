"""Do the tables agree? What the job table promises, as a check.

One pass over the jobs looks up what the other tables should hold of each, and one over the rows of
ended jobs looks up each job that they name. Only a table that holds more than that is read as
well, to name what belongs to no job. So it needs no memory to speak of, however many jobs there
are.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from antq_actors.errors import StorageError
from antq_actors.jobs import lifecycle
from antq_actors.storage.format import encoding
from antq_actors.storage.format.encoding import Signer
from antq_actors.storage.jobs.audit_table import verify_audit
from antq_actors.storage.jobs.breakpoint_table import verify_breakpoints
from antq_actors.storage.jobs.bulk_table import verify_bulks
from antq_actors.storage.jobs.charts import verify_charts
from antq_actors.storage.jobs.cron_table import CronTable
from antq_actors.storage.jobs.gate_tally import Tally, verify_gates
from antq_actors.storage.jobs.gates import GateTable
from antq_actors.storage.jobs.groups import GroupTable, verify_groups
from antq_actors.storage.jobs.history_table import HistoryTable
from antq_actors.storage.jobs.meta import NEXT_ID, Meta
from antq_actors.storage.jobs.progress import verify_progress
from antq_actors.storage.jobs.results import read_row, verify_results
from antq_actors.storage.jobs.step_table import StepTable, has_steps
from antq_actors.storage.jobs.table import chain_places, places_of, row_of
from antq_actors.storage.jobs.upstreams import verify_edges
from antq_actors.storage.lmdb import keys
from antq_actors.storage.lmdb.scan import items_with, keys_from, value_of
from antq_actors.workflows.counters import old_from

if TYPE_CHECKING:
    from collections.abc import Iterator

    import lmdb

    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.state import JobFlow, JobState
    from antq_actors.storage.lmdb.tables import Tables

_TABLES: Final = ("payloads", "index", "unique", "errors")
"""The tables whose every key follows from a job, but for the rows of ended jobs in ``index``."""


def verify(txn: lmdb.Transaction, tables: Tables, signer: Signer | None = None) -> list[str]:
    """Read all LMDB tables of a store and return what is wrong with them, one sentence each.

    It reads everything: for operators and for tests, not for each start. With the keys of *signer*
    it also checks every signature.
    """
    return list(_Verification(txn, tables, signer or Signer()).findings())


class _Verification:
    def __init__(self, txn: lmdb.Transaction, tables: Tables, signer: Signer) -> None:
        self._txn = txn
        self._tables = tables
        self._signer = signer
        self._last_id = 0
        self._found: Counter[str] = Counter()
        """How many of the keys that follow from jobs each table has."""
        self._counts: Counter[bytes] = Counter()
        self._ended = 0
        self._steps = StepTable(txn, tables, signer)
        self._history = HistoryTable(txn, tables)
        self._tally = Tally(GateTable(txn, tables))

    def findings(self) -> Iterator[str]:
        for key, record in items_with(self._txn, self._tables.jobs, b""):
            yield from self._job(key, record)
        yield from self._rows_of_ended()
        for name in _TABLES:
            entries = self._txn.stat(getattr(self._tables, name))["entries"]
            if entries != self._found[name]:
                yield from self._strays(name)
        yield from self._stray_steps()
        yield from self._stray_history()
        yield from self._wrong_counts()
        yield from self._wrong_counter()
        yield from verify_groups(self._txn, self._tables, self._signer)
        yield from verify_edges(self._txn, self._tables)
        yield from verify_results(self._txn, self._tables, self._signer)
        yield from verify_progress(self._txn, self._tables)
        yield from verify_breakpoints(self._txn, self._tables)
        yield from verify_charts(self._txn, self._tables)
        yield from verify_audit(self._txn, self._tables)
        yield from verify_bulks(self._txn, self._tables)
        yield from verify_gates(self._txn, self._tables, self._tally)
        meta = Meta(self._txn, self._tables.meta)
        yield from CronTable(self._txn, self._tables, meta, self._signer).findings()

    def _wrong_counter(self) -> Iterator[str]:
        try:
            next_id = Meta(self._txn, self._tables.meta).counter(NEXT_ID)
        except StorageError as error:
            yield f"meta: {error}"
            return
        if next_id <= self._last_id:
            yield f"meta: ids from {next_id} on would be given again, up to {self._last_id}"

    def _job(self, key: bytes, record: bytes) -> Iterator[str]:
        """Yield what a job lacks in the other tables, and what is damaged of it."""
        id_ = keys.id_at_end(key)
        if key != keys.job_key(id_):
            yield f"jobs: {key!r} is no key of a job"
            return
        try:
            job = encoding.decode_job(record)
        except StorageError as error:
            yield f"job {id_}: {error}"
            return
        state, digest, spec = job
        self._counts[keys.lane(state.status, state.queue_name)] += 1
        for name, expected in _keys_of(id_, job):
            if self._txn.get(expected, db=getattr(self._tables, name)) is None:
                yield f"{name}: {expected!r} of job {id_} is missing"
            else:
                self._found[name] += 1
        place = places_of(state).place
        if state.ended_at is not None and place:
            self._ended += 1
            if row_of(self._txn, self._tables.index, place, key) is None:
                yield f"index: no row of ended jobs has job {id_}"
        yield from self._contents(id_, state, digest, spec)
        if has_steps(state):
            yield from self._kept_by(id_)
        yield from self._errors(id_, state.errors)
        if state.history:
            yield from self._history.findings_of(id_, state.history)
        self._last_id = max(self._last_id, id_)

    def _kept_by(self, id_: int) -> Iterator[str]:
        """Yield what is wrong with the steps and the checkpoint of a job that has some."""
        if not self._steps.has_any(id_):
            yield f"steps: nothing of job {id_} is there"
        yield from self._steps.findings_of(id_)

    def _stray_steps(self) -> Iterator[str]:
        """Yield the jobs of which there are steps, and which are not there or have none."""
        for id_ in self._steps.ids():
            record = value_of(self._txn, self._tables.jobs, keys.job_key(id_))
            try:
                is_known = record is not None and has_steps(encoding.decode_job(record).state)
            except StorageError:
                continue  # that one has its finding already
            if not is_known:
                yield f"steps: rows of job {id_} belong to no job that has steps"

    def _stray_history(self) -> Iterator[str]:
        """Yield the jobs of which changes are noted, and which are not there or know of none."""
        for id_ in self._history.ids():
            record = value_of(self._txn, self._tables.jobs, keys.job_key(id_))
            try:
                is_known = record is not None and encoding.decode_job(record).state.history
            except StorageError:
                continue  # that one has its finding already
            if not is_known:
                yield f"history: rows of job {id_} belong to no job that has any"

    def _rows_of_ended(self) -> Iterator[str]:
        """Yield what is wrong with the rows of ended jobs, which name each of those once."""
        named = 0
        for key, row in items_with(self._txn, self._tables.index, keys.ENDS):
            self._found["index"] += 1
            if len(key) != len(keys.ends_prefix(0)) + len(keys.job_key(0)):
                yield f"index: {key!r} is no key of a row of ended jobs"
                continue
            for id_ in keys.ids_in(row):
                named += 1
                record = value_of(self._txn, self._tables.jobs, id_) or b""
                ended_at = keys.order_in(key)
                try:
                    has_ended = encoding.decode_job(record).state.ended_at == ended_at
                except StorageError:
                    has_ended = False
                if not has_ended and self._is_group_of(id_, ended_at):
                    named -= 1
                elif not has_ended:
                    yield f"index: {id_!r} in a row of ended jobs belongs to no job of that time"
        if named > self._ended:
            yield f"index: the rows of ended jobs name {named}, and there are {self._ended}"

    def _is_group_of(self, key: bytes, ended_at: Instant) -> bool:
        """Return whether a row of ended jobs rightly names a group, which is pruned as a whole."""
        group = GroupTable(self._txn, self._tables).get(int.from_bytes(key))
        return group is not None and old_from(group) == ended_at > 0

    def _contents(
        self, id_: int, state: JobState, digest: bytes | None, inline: bytes
    ) -> Iterator[str]:
        payload = inline or value_of(self._txn, self._tables.payloads, keys.job_key(id_))
        try:
            if payload is not None:
                spec = encoding.decode_spec(self._signer.verify(payload))
                if spec.unique_digest != digest:
                    yield f"job {id_}: its state and its spec have different digests"
                has_limits = spec.flow is not None and bool(spec.flow.gates)
                if has_limits is not (state.limited is not None):
                    yield f"job {id_}: its state and its spec disagree about its limits"
                if spec.flow is not None:
                    if _lacks_result(self._txn, self._tables, id_, state, spec.flow):
                        yield f"results: the result of job {id_} is missing"
                    self._tally.add(id_, state, spec.flow.gates)
        except StorageError as error:
            yield f"job {id_}: {error}"

    def _errors(self, id_: int, count: int) -> Iterator[str]:
        """Yield what is wrong with the stored errors of a job that has had *count*.

        The first and the newest must be there. Those between may be: an earlier release kept all.
        """
        dropped = lifecycle.dropped_errors(count)
        missing = {*range(min(count, dropped.start)), *range(dropped.stop, count)}
        for key, record in items_with(self._txn, self._tables.errors, keys.job_key(id_)):
            if not _is_of(key, count):
                continue
            self._found["errors"] += 1
            missing.discard(keys.split_error_key(key)[1])
            try:
                encoding.decode_error(record)
            except StorageError as error:
                yield f"job {id_}: {error}"
        for number in sorted(missing):
            yield f"errors: error {number} of job {id_} is missing"

    def _strays(self, name: str) -> Iterator[str]:
        """Yield the keys of an LMDB table that belong to no job."""
        for key in keys_from(self._txn, getattr(self._tables, name)):
            if name == "index" and key.startswith(keys.ENDS):
                continue
            id_ = int.from_bytes(key[:8], "big") if name == "errors" else keys.id_at_end(key)
            record = value_of(self._txn, self._tables.jobs, keys.job_key(id_))
            try:
                job = encoding.decode_job(record) if record else None
            except StorageError:
                continue  # that one has its finding already
            if job is None or not (
                _is_of(key, job.state.errors)
                if name == "errors"
                else (name, key) in _keys_of(id_, job)
            ):
                yield f"{name}: {key!r} belongs to no job"

    def _wrong_counts(self) -> Iterator[str]:
        stored = {
            key[len(keys.COUNT) :]: int.from_bytes(count, "big")
            for key, count in items_with(self._txn, self._tables.meta, keys.COUNT)
        }
        for lane in sorted({*stored, *self._counts}):
            if stored.get(lane, 0) == self._counts[lane]:
                continue
            try:
                status, queue_name = keys.split_lane(lane)
            except StorageError as error:
                yield f"counts: {error}"
            else:
                yield (
                    f"counts: {queue_name} has {self._counts[lane]} {status} jobs,"
                    f" but {stored.get(lane, 0)} are counted"
                )


def _lacks_result(
    txn: lmdb.Transaction, tables: Tables, id_: int, state: JobState, flow: JobFlow
) -> bool:
    """Return whether a job has a result, to be kept as long as it, that is not there."""
    if state.composed is None or not state.composed.has_result_row:
        return False
    is_for_good = flow.result is not None and flow.result.ttl is None
    return is_for_good and read_row(txn, tables, id_) is None


def _keys_of(id_: int, record: encoding.JobRecord) -> list[tuple[str, bytes]]:
    """Return the tables and keys that a job has entries under, but for those of its errors."""
    state, digest, spec = record
    key = keys.job_key(id_)
    places = places_of(state)
    found = [] if spec else [("payloads", key)]
    if not places.is_ended:
        found.append(("index", places.place + key))
    if places.listing is not None:
        found.append(("index", places.listing + key))
    if state.limited is not None:
        found += [("index", place) for place in chain_places(id_, state, state.limited)]
    if digest is not None:
        found.append(("unique", keys.unique_key(digest, state.status, id_)))
    return found


def _is_of(key: bytes, count: int) -> bool:
    """Return whether a key of ``errors`` is of an error of its job, which has had *count*."""
    try:
        return keys.split_error_key(key)[1] < count
    except StorageError:
        return False
