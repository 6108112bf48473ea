"""Jobs as lines of JSON: to read, to filter, to carry to another store.

    {"antq_export":1}
    {"antq_limit":"account","numbers":[3,null,null,null],…}
    {"id":17,"worker":"shop.mail:SendPromotion","queue":"mail","status":"failed","args":{…},…}
    {"antq_cron":"nightly","next_at":"…","job":{…},…}

Arguments are JSON where that says all, else their bytes in base64: ``"typed_args"``, as this
release stores them, or ``"pickled_args"``, a pickle of an earlier one. No way executes anything: an
export only reads, an import only stores. What is imported is run later, though, so a file is
trusted as code is.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from antq_actors.checks import short_repr
from antq_actors.errors import AntqError, BatchError, StorageError
from antq_actors.introspection import explain_fields
from antq_actors.jobs import instant
from antq_actors.storage.admin.limit_lines import import_limit, limit_lines
from antq_actors.storage.admin.lines import (
    cron_in,
    cron_line,
    decode_line,
    imported_cron,
    imported_job,
    job_line,
)
from antq_actors.storage.format.records import Filter, ImportedJob
from antq_actors.storage.jobs import crons
from antq_actors.storage.jobs.job_store import JobStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from antq_actors.jobs.instant import Instant
    from antq_actors.storage.client import StorageClient

VERSION: Final = 1
"""Grows with a change that an older release would misread. One with a field that it does not know
of it refuses."""
_BATCH: Final = 1_000


@explain_fields
class Imported(NamedTuple):
    """The result of an import."""

    stored: int
    """Jobs that were stored."""
    duplicates: int
    """Waiting unique jobs that were left out, because another one is in their way."""


class _Head(msgspec.Struct, forbid_unknown_fields=True):
    antq_export: int


_encode = msgspec.json.Encoder().encode
_decode_head = msgspec.json.Decoder(_Head).decode


def export_jobs(store: StorageClient, filter_: Filter) -> Iterator[bytes]:
    """Yield the lines of an export as JSON: a head, then the jobs read from the store, by id.

    Before all jobs come the limits, and behind them the periodic entries.
    """
    yield _encode(_Head(VERSION))
    for line in limit_lines(store) if filter_ == Filter() else ():
        yield _encode(line)
    for job in store.pages(filter_):
        yield _encode(job_line(job))
    for listed in crons.list_all(store) if filter_ == Filter() else ():
        if listed.definition is not None:
            yield _encode(cron_line(listed.name, listed.row, listed.definition))


def import_jobs(
    store: StorageClient, lines: Iterable[str | bytes], clock: Callable[[], Instant] = instant.now
) -> Imported:
    """Store the jobs of an export's lines as they were; those that were running wait again.

    A store that never had a job keeps their ids, another one gives them new ones. Raises
    BatchError at the first line that cannot be stored, with its index; those before it are.
    """
    if not isinstance(lines, Iterable):
        raise TypeError(
            f"lines must be the lines of an export, str or bytes, got {short_repr(lines)}"
        )
    intake = _Intake(store)
    for index, line in enumerate(lines):
        try:
            if index == 0:
                _check_head(line)
            elif line.strip():
                intake.take_line(line, clock())
        except (AntqError, ValueError, TypeError, RecursionError, msgspec.MsgspecError) as error:
            intake.flush()
            raise BatchError(
                f"line {index + 1} was not imported, {len(intake.stored)} jobs before it were:"
                f" {error}",
                index,
                intake.stored,
            ) from error
    intake.flush()
    return Imported(len(intake.stored), intake.duplicates)


class _Intake:
    """Stores jobs in batches."""

    def __init__(self, store: StorageClient) -> None:
        self._store = store
        self._batch: list[ImportedJob] = []
        self._keep_ids: bool | None = None
        self.stored: list[int] = []
        self.duplicates = 0

    def take_line(self, line: str | bytes, now: Instant) -> None:
        if import_limit(self._store, line):
            return
        cron = cron_in(line)
        if cron is None:
            self.take(imported_job(decode_line(line), now))
            return
        self.flush()
        definition, row = imported_cron(cron, now, keeps_ids=bool(self._keep_ids))
        self._store.write(crons.import_entry, cron.antq_cron, definition, row)

    def take(self, arrival: ImportedJob) -> None:
        self._batch.append(arrival)
        if len(self._batch) == _BATCH:
            self.flush()

    def flush(self) -> None:
        batch, self._batch = self._batch, []
        if batch:
            ids, self._keep_ids = self._store.write(
                JobStore.import_jobs, batch, keep_ids=self._keep_ids
            )
            self.stored += [id_ for id_ in ids if id_ is not None]
            self.duplicates += ids.count(None)


def _check_head(line: str | bytes) -> None:
    try:
        version = _decode_head(line).antq_export
    except msgspec.MsgspecError:
        raise StorageError(
            'the first line has to be {"antq_export": 1}; this is no export of antq'
        ) from None
    if version > VERSION:
        raise StorageError(f"it was written by a newer antq (version {version}): upgrade this one")
