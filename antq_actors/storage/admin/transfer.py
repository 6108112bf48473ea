"""Jobs as lines of JSON: to read, to filter, to carry to another store.

    {"antq_export":1}
    {"antq_limit":"account","numbers":[3,null,null,null],…}
    {"antq_group":12,"kind":0,"name":"import","callbacks":[…],…}
    {"id":17,"worker":"shop.mail:SendPromotion","queue":"mail","status":"failed","args":{…},…}
    {"antq_cron":"nightly","next_at":"…","job":{…},…}

Arguments are JSON where that says all, else their bytes in base64: ``"typed_args"``, as this
release stores them, or ``"pickled_args"``, a pickle of an earlier one. No way executes anything: an
export only reads, an import only stores. What is imported is run later, though, so a file is
trusted as code is.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from antq_actors.checks import short_repr
from antq_actors.errors import AntqError, BatchError, StorageError
from antq_actors.introspection import explain_fields
from antq_actors.jobs import instant
from antq_actors.storage.admin.group_lines import group_in, group_line, imported_group
from antq_actors.storage.admin.limit_lines import import_limit, limit_lines
from antq_actors.storage.admin.lines import (
    cron_in,
    cron_line,
    decode_line,
    imported_cron,
    imported_job,
    job_line,
)
from antq_actors.storage.format.records import Filter, Span
from antq_actors.storage.jobs import crons
from antq_actors.storage.jobs.import_table import KEY_BYTES, ImportHead, ImportMark
from antq_actors.storage.jobs.imports import ImportedGroup, KnownIds, Loose, Taken
from antq_actors.storage.jobs.job_store import JobStore
from antq_actors.storage.jobs.reader import JobReader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from antq_actors.jobs.instant import Instant
    from antq_actors.storage.admin.group_lines import GroupLine
    from antq_actors.storage.admin.lines import JobLine
    from antq_actors.storage.client import StorageClient
    from antq_actors.storage.format.records import ImportedJob
    from antq_actors.storage.jobs.entry_reader import RawJob
    from antq_actors.storage.jobs.exports import Beside, ExportedGroup
    from antq_actors.storage.jobs.import_table import ImportPart, KilledImport

log: Final = logging.getLogger("antq_actors.storage")

VERSION: Final = 1
"""Grows with a change that an older release would misread. One with a field that it does not know
of it refuses."""
_BATCH: Final = 1_000
_PAGE_JOBS: Final = 500
_PAGE_BYTES: Final = 8 * 2**20
"""Of results and steps in one transaction, with one job more."""


@explain_fields
class Imported(NamedTuple):
    """The result of an import."""

    stored: int
    """Jobs that were stored."""
    duplicates: int
    """Waiting unique jobs that were left out, because another one is in their way."""


class _Page(NamedTuple):
    """A part of a store, read in one transaction."""

    jobs: list[tuple[RawJob, Beside]]
    groups: list[ExportedGroup]
    after: int | None
    """Behind which id the next part is; None: this is the last one."""


class _Head(msgspec.Struct, forbid_unknown_fields=True):
    antq_export: int


_encode = msgspec.json.Encoder().encode
_decode_head = msgspec.json.Decoder(_Head).decode


def export_jobs(store: StorageClient, filter_: Filter) -> Iterator[bytes]:
    """Yield the lines of an export as JSON: a head, then the jobs read from the store, by id.

    Before all jobs come the limits, and behind them the periodic entries; batches and workflows
    stand among the jobs, by id. An export of some jobs alone has none of these.
    """
    yield _encode(_Head(VERSION))
    for line in limit_lines(store) if filter_ == Filter() else ():
        yield _encode(line)
    yield from map(_encode, _stored_lines(store, filter_))
    for listed in crons.list_all(store) if filter_ == Filter() else ():
        if listed.definition is not None:
            yield _encode(cron_line(listed.name, listed.row, listed.definition))


def _stored_lines(store: StorageClient, filter_: Filter) -> Iterator[JobLine | GroupLine]:
    """Yield the lines of jobs, and of groups unless only some jobs are exported, by id."""
    after: int | None = 0
    while after is not None:
        jobs, groups, after = store.read(_page, filter_, after)
        waiting = deque(groups)
        for raw, beside in jobs:
            while waiting and waiting[0].id < raw.id:
                yield group_line(waiting.popleft())
            if filter_.worker is None or filter_.worker == raw.worker:
                yield job_line(raw._replace(cipher=None).decode(), beside)
        for group in waiting:
            yield group_line(group)


def _page(reader: JobReader, filter_: Filter, after: int) -> _Page:
    """Read some jobs behind the id *after*, with what is beside them, and the groups in between."""
    found = reader.page(filter_, Span(after), size=_PAGE_JOBS)
    jobs: list[tuple[RawJob, Beside]] = []
    size = 0
    for raw in found:
        jobs.append((raw, reader.beside(raw.id, raw.state)))
        size += jobs[-1][1].size
        if size > _PAGE_BYTES:
            break
    is_last = len(jobs) == len(found) < _PAGE_JOBS
    until = None if is_last else jobs[-1][0].id
    groups = list(reader.groups_between(after, until)) if filter_ == Filter() else []
    return _Page(jobs, groups, until)


def import_jobs(
    store: StorageClient,
    lines: Iterable[str | bytes],
    clock: Callable[[], Instant] = instant.now,
    open_node: Callable[[], int] | None = None,
) -> Imported:
    """Store the jobs of an export's lines as they were; those that were running wait again.

    A store that never had a job keeps their ids and those of batches and workflows, another one
    gives them new ones. What a job waited for and is not among them is as if deleted. Where an
    import of the same lines was killed it goes on, and counts what was stored before. Raises
    BatchError at the first line that cannot be stored, with its index; those before it are.

    *open_node*: returns the number of the node by which others see that this process lives.
    """
    if not isinstance(lines, Iterable):
        raise TypeError(
            f"lines must be the lines of an export, str or bytes, got {short_repr(lines)}"
        )
    intake = _Intake(store, open_node)
    try:
        for index, line in enumerate(lines):
            _take(intake, index, line, clock)
    finally:  # whatever ends it, no job waits for what has not come, and no group stays open
        intake.end(clock())
    return Imported(len(intake.stored), intake.duplicates)


def _take(intake: _Intake, index: int, line: str | bytes, clock: Callable[[], Instant]) -> None:
    """Take a line of an export. Raises BatchError for one that cannot be stored."""
    try:
        intake.place.pass_line(line)
        if index == 0:
            _check_head(line)
        elif line.strip():
            intake.take_line(line, clock())
    except (AntqError, ValueError, TypeError, RecursionError, msgspec.MsgspecError) as error:
        intake.end(clock())
        raise BatchError(
            f"line {index + 1} was not imported, {len(intake.stored)} jobs before it were: {error}",
            index,
            intake.stored,
        ) from error


class _Place:
    """How far an import is, and what an import of the same lines that was killed has left."""

    def __init__(self, store: StorageClient, open_node: Callable[[], int] | None) -> None:
        self._store = store
        self._open_node = open_node
        self._holder: int | None = None
        self._digest = hashlib.sha256()
        self._lines = 0
        self._position = 0
        self._killed: list[KilledImport] | None = None
        """Those of which all lines so far are the same."""
        self.key = b""
        """Of this import, from its first part on."""
        self.head = ImportHead(0, 0)
        """How far the end of it was when it was killed."""

    def pass_line(self, line: str | bytes) -> None:
        """Note that a line was read."""
        data = line.encode(errors="surrogatepass") if isinstance(line, str) else bytes(line)
        self._digest.update(data.strip() + b"\n")
        self._lines += 1

    def is_at_part(self) -> bool:
        """Return whether a part of what was killed may end at this line."""
        return any(each.lines == self._lines for each in self._next_parts())

    def is_before_part(self) -> bool:
        """Return whether a part of what was killed may end at a later line."""
        return any(each.lines > self._lines for each in self._next_parts())

    def stored_part(self, now: Instant) -> Taken | None:
        """Return what became of the lines up to this one, where they were stored before."""
        digest = self._digest.digest()
        same = [
            each
            for each in self._imports()
            if len(each.parts) > self._position
            and (each.parts[self._position].lines, each.parts[self._position].digest)
            == (self._lines, digest)
        ]
        if not self.key:
            same = [each for each in same if self._take_over(each, now)]
        self._killed = same[:1]
        if not same:
            return None
        part = same[0].parts[self._position]
        self._position += 1
        return Taken(part.ids, part.keep_ids, [Loose(*each) for each in part.loose], part.node)

    def mark(self) -> ImportMark:
        """Return what is noted of the lines up to this one, which are stored now."""
        self.key = self.key or os.urandom(KEY_BYTES)
        digest = self._digest.digest()
        mark = ImportMark(self.key, self._position, self._node(), self._lines, digest)
        self._position += 1
        return mark

    def _take_over(self, killed: KilledImport, now: Instant) -> bool:
        if self.key:
            return False
        was, holder = killed.head.holder, self._node()
        head = self._store.write(JobStore.take_import, killed.key, was, holder, now=now)
        if head is None:
            return False
        self.key, self.head = killed.key, head
        log.info("an import of these lines was interrupted: it goes on")
        return True

    def _imports(self) -> list[KilledImport]:
        if self._killed is None:
            found = self._store.read(JobReader.imports)
            living = self._store.living_of(sorted({each.head.holder for each in found} - {0}))
            self._killed = [each for each in found if each.head.holder not in living]
        return self._killed

    def _next_parts(self) -> list[ImportPart]:
        at = self._position
        return [each.parts[at] for each in self._imports() if len(each.parts) > at]

    def _node(self) -> int:
        if self._holder is None:
            self._holder = 0 if self._open_node is None else self._open_node()
        return self._holder


class _Intake:
    """Stores jobs and groups in batches, and at the end what was left for it."""

    def __init__(self, store: StorageClient, open_node: Callable[[], int] | None = None) -> None:
        self._store = store
        self.place = _Place(store, open_node)
        self._batch: list[ImportedJob | ImportedGroup] = []
        self._size = 0
        self._keep_ids: bool | None = None
        self._known = KnownIds()
        self._groups: list[tuple[int, ImportedGroup]] = []
        self._loose: list[Loose] = []
        self._now: Instant = 0
        self._node = 0
        """By which groups are known until the end."""
        self._has_ended = False
        self.stored: list[int] = []
        self.duplicates = 0

    def take_line(self, line: str | bytes, now: Instant) -> None:
        self._now = now
        if import_limit(self._store, line):
            return
        group = group_in(line)
        if group is not None:
            self.take(imported_group(group))
            return
        cron = cron_in(line)
        if cron is None:
            self.take(imported_job(decode_line(line), now), len(line))
            return
        self.flush()
        definition, row = imported_cron(cron, now, keeps_ids=bool(self._keep_ids))
        self._store.write(crons.import_entry, cron.antq_cron, definition, row)

    def take(self, arrival: ImportedJob | ImportedGroup, size: int = 0) -> None:
        self._batch.append(arrival)
        self._size += size
        is_full = len(self._batch) >= _BATCH or self._size > _PAGE_BYTES
        if self.place.is_at_part() or (is_full and not self.place.is_before_part()):
            self.flush()

    def flush(self) -> None:
        batch, self._batch, self._size = self._batch, [], 0
        if not batch:
            return
        taken = self.place.stored_part(self._now) or self._store.write(
            JobStore.import_jobs,
            batch,
            self._known,
            keep_ids=self._keep_ids,
            node=self._node,
            now=self._now,
            mark=self.place.mark(),
        )
        self._node = taken.node
        self._keep_ids = taken.keep_ids
        for loose in taken.loose:
            self._loose.append(loose)
            if loose.part:
                self._known.add_expanding(loose.was)
        for arrival, id_ in zip(batch, taken.ids, strict=True):
            if id_ is None:
                self.duplicates += 1
                continue
            self._known.add(arrival.id, id_)
            if isinstance(arrival, ImportedGroup):
                self._groups.append((id_, arrival))
            else:
                self.stored.append(id_)

    def end(self, now: Instant) -> None:
        """Store what is left, and what had to wait until all was stored. Twice is once."""
        if self._has_ended:
            return
        self._has_ended = True
        self.flush()
        key, done = self.place.key, self.place.head
        self._loose.sort(key=lambda loose: not loose.part)  # so that others wait for parts, too
        for at in range(done.tied, len(self._loose), _BATCH):
            loose = self._loose[at : at + _BATCH]
            tied = at + len(loose)
            missing = self._store.write(
                JobStore.tie_loose, loose, self._known, now=now, key=key, tied=tied
            )
            for id_, number in missing.items():
                self._known.add(id_, number)
        self._groups.reverse()  # parts before what they are of
        for at in range(done.ended, len(self._groups), _BATCH):
            groups = self._groups[at : at + _BATCH]
            ended = at + len(groups)
            self._store.write(
                JobStore.end_groups, groups, self._known, now=now, key=key, ended=ended
            )
        if key:
            self._store.write(JobStore.forget_import, key)


def _check_head(line: str | bytes) -> None:
    try:
        version = _decode_head(line).antq_export
    except msgspec.MsgspecError:
        raise StorageError(
            'the first line has to be {"antq_export": 1}; this is no export of antq'
        ) from None
    if version > VERSION:
        raise StorageError(f"it was written by a newer antq (version {version}): upgrade this one")
