"""Jobs as lines of JSON: to read, to filter, to carry to another store.

    {"antq_export":1}
    {"id":17,"worker":"shop.mail:SendPromotion","queue":"mail","status":"failed","args":{…},…}

Arguments are JSON where that says all, else their bytes in base64: ``"typed_args"``, as this
release stores them, or ``"pickled_args"``, a pickle of an earlier one. No way executes anything: an
export only reads, an import only stores. What is imported is run later, though, so a file is
trusted as code is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from antq_actors.checks import is_utf8, short_repr
from antq_actors.errors import AntqError, BatchError, StorageError
from antq_actors.introspection import explain_fields
from antq_actors.jobs import instant, lifecycle
from antq_actors.jobs.options import check_queue_name
from antq_actors.jobs.outcome import GivenBack
from antq_actors.jobs.state import (
    ENDED,
    GateRef,
    JobFlow,
    JobSpec,
    JobState,
    NewJob,
    Status,
    StoredJob,
)
from antq_actors.storage.format.display import display_args
from antq_actors.storage.format.pickled import converted
from antq_actors.storage.format.records import Filter, ImportedJob
from antq_actors.storage.format.values import MSGPACK, PICKLED, encode_args
from antq_actors.storage.jobs.job_store import JobStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from antq_actors.jobs.instant import Instant
    from antq_actors.storage.client import StorageClient

VERSION: Final = 1
"""Grows with a change that an older release would misread. One with a field that it does not know
of it refuses."""
_BATCH: Final = 1_000
_LARGEST_NUMBER: Final = 2**62
"""Of an id or a count: there is room for as many again."""
_LONGEST_DIGEST_BYTES: Final = 64
"""In bytes."""


@explain_fields
class Imported(NamedTuple):
    """The result of an import."""

    stored: int
    """Jobs that were stored."""
    duplicates: int
    """Waiting unique jobs that were left out, because another one is in their way."""


class _Head(msgspec.Struct, forbid_unknown_fields=True):
    antq_export: int


class _Error(msgspec.Struct):
    attempt: int
    error: str
    at: datetime
    stack_trace: str | None = None
    error_type: str | None = None


class _Line(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    id: int
    worker: str
    queue: str
    status: Status
    inserted_at: datetime
    updated_at: datetime
    args: dict[str, Any] | None = None
    typed_args: bytes | None = None
    pickled_args: bytes | None = None
    priority: int = 0
    max_attempts: int = 1
    attempts: int = 0
    interruptions: int = 0
    scheduled_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    timeout: float | None = None
    unique: tuple[str, ...] | None = None
    unique_statuses: tuple[Status, ...] = ()
    unique_digest: bytes | None = None
    gates: tuple[tuple[bytes, int], ...] = ()
    """Of the limits that it passes, with its weight in each."""
    cron: str | None = None
    scheduled_for: datetime | None = None
    errors: tuple[_Error, ...] = ()
    """Newest first."""
    error_count: int = 0
    """Of all, also those that are not kept. What is less than there are counts as many."""


_encode = msgspec.json.Encoder().encode
_decode_head = msgspec.json.Decoder(_Head).decode
_decode_line = msgspec.json.Decoder(_Line).decode


def export_jobs(store: StorageClient, filter_: Filter) -> Iterator[bytes]:
    """Yield the lines of an export as JSON: a head, then the jobs read from the store, by id."""
    yield _encode(_Head(VERSION))
    for job in store.pages(filter_):
        yield _encode(_line(job))


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
                intake.take(_arrival(line, clock()))
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


def _line(job: StoredJob) -> _Line:
    state, spec = job.state, job.spec
    flow = spec.flow or JobFlow()
    args = display_args(spec.args)
    is_json = _is_json(args)
    is_typed = not is_json and spec.args[:1] == MSGPACK
    return _Line(
        id=job.id,
        worker=spec.worker,
        queue=state.queue_name,
        status=state.status,
        inserted_at=instant.datetime_for_display(spec.inserted_at),
        updated_at=instant.datetime_for_display(state.updated_at),
        args=args if is_json else None,
        typed_args=spec.args[1:] if is_typed else None,
        pickled_args=None if is_json or is_typed else spec.args[1:],
        priority=state.priority,
        max_attempts=state.max_attempts,
        attempts=state.attempts,
        interruptions=state.interruptions,
        scheduled_at=_moment(state.scheduled_at),
        started_at=_moment(state.started_at),
        ended_at=_moment(state.ended_at),
        timeout=spec.timeout,
        unique=spec.unique,
        unique_statuses=spec.unique_statuses,
        unique_digest=spec.unique_digest,
        gates=tuple((each.gate, each.weight) for each in flow.gates),
        cron=flow.cron,
        scheduled_for=_moment(flow.scheduled_for),
        errors=tuple(
            _Error(
                e.attempt,
                e.error,
                instant.datetime_for_display(e.attempted_at),
                e.stack_trace,
                e.error_type,
            )
            for e in job.errors
        ),
        error_count=state.error_count,
    )


def _check_head(line: str | bytes) -> None:
    try:
        version = _decode_head(line).antq_export
    except msgspec.MsgspecError:
        raise StorageError(
            'the first line has to be {"antq_export": 1}; this is no export of antq'
        ) from None
    if version > VERSION:
        raise StorageError(f"it was written by a newer antq (version {version}): upgrade this one")


def _arrival(line: str | bytes, now: Instant) -> ImportedJob:
    """Return the job that a line of an export describes.

    Raises ValueError, TypeError, MsgspecError.
    """
    found = _decode_line(line)
    _check(found)
    ended = found.status in ENDED
    errors = lifecycle.kept_errors(found.errors)
    state = JobState(
        status=found.status,
        queue_name=found.queue,
        priority=found.priority,
        max_attempts=found.max_attempts,
        updated_at=_instant((found.ended_at if ended else None) or found.updated_at),
        scheduled_at=None if ended else _instant(found.scheduled_at or found.updated_at),
        attempts=found.attempts,
        interruptions=found.interruptions,
        errors=len(errors),
        errors_elsewhere=max(found.error_count, len(found.errors)) - len(errors),
        started_at=None if found.started_at is None else _instant(found.started_at),
    )
    if state.status is Status.RUNNING:
        state, _ = lifecycle.settle(state, GivenBack(), now=now)
    spec = JobSpec(
        worker=found.worker,
        args=_args(found),
        inserted_at=_instant(found.inserted_at),
        timeout=found.timeout,
        unique=found.unique,
        unique_statuses=found.unique_statuses,
        unique_digest=found.unique_digest,
        flow=_flow(found),
    )
    entries = tuple(
        lifecycle.error_entry(e.attempt, e.error, e.stack_trace, _instant(e.at), e.error_type)
        for e in errors
    )
    return ImportedJob(found.id, NewJob(state, spec), entries)


def _flow(found: _Line) -> JobFlow | None:
    if not found.gates and found.cron is None:
        return None
    return JobFlow(
        gates=tuple(GateRef(*each) for each in found.gates),
        cron=found.cron,
        scheduled_for=None if found.scheduled_for is None else _instant(found.scheduled_for),
    )


def _args(found: _Line) -> bytes:
    """Return the encoded arguments of a line of an export, executing nothing."""
    if found.args is not None:
        return encode_args(found.args)
    if found.typed_args is not None:
        return MSGPACK + found.typed_args
    return converted(PICKLED + (found.pickled_args or b""))


def _check(found: _Line) -> None:
    """Raise ValueError for a line of an export with values that no job can have."""
    check_queue_name(found.queue)
    if not (-128 <= found.priority <= 127 and found.max_attempts >= 1):  # noqa: PLR2004 - as api
        raise ValueError("priority is from -128 to 127, and max_attempts at least 1")
    counts = found.attempts, found.interruptions, found.error_count
    if min(found.id - 1, *counts) < 0:
        raise ValueError("id is at least 1, attempts, interruptions and error_count at least 0")
    attempts = (error.attempt for error in found.errors)
    if max(found.id, found.max_attempts, *counts, *map(abs, attempts)) > _LARGEST_NUMBER:
        raise ValueError(f"ids and counts are at most {_LARGEST_NUMBER}")
    if [found.args, found.typed_args, found.pickled_args].count(None) != 2:  # noqa: PLR2004 - of three
        raise ValueError("it needs either args or pickled_args or typed_args")
    if found.timeout is not None and not found.timeout > 0:
        raise ValueError("timeout is more than 0")
    if len(found.unique_digest or b"") > _LONGEST_DIGEST_BYTES:
        raise ValueError(f"unique_digest has at most {_LONGEST_DIGEST_BYTES} bytes")


def _moment(when: Instant | None) -> datetime | None:
    return None if when is None else instant.datetime_for_display(when)


def _instant(moment: datetime) -> Instant:
    return instant.from_datetime(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def _is_json(value: Any) -> bool:
    """Return whether JSON brings an argument's value back as it is: a tuple would be a list.

    It has no lone surrogates, such as in the name of a file that is no UTF-8.
    """
    kind = type(value)
    if value is None or kind in (int, bool):
        return True
    if kind is str:
        return is_utf8(value)
    if kind is float:
        return math.isfinite(value)
    if kind is list:
        return all(map(_is_json, value))
    if kind is dict:
        return all(
            type(key) is str and is_utf8(key) and _is_json(item) for key, item in value.items()
        )
    return False
