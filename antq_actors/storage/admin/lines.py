"""Jobs and periodic entries as lines of an export, and back.

Arguments are JSON where that says all, else their bytes in base64. Nothing is executed.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec.structs import replace

from antq_actors.checks import checked_meta, is_utf8
from antq_actors.flow.cron import read_stored
from antq_actors.flow.cron_options import check_entry_name
from antq_actors.flow.limits import GateKey
from antq_actors.jobs import instant, lifecycle
from antq_actors.jobs.history import Change, change, check_changes, kept_changes
from antq_actors.jobs.options import check_queue_name
from antq_actors.jobs.outcome import GivenBack
from antq_actors.jobs.state import (
    ENDED,
    Composed,
    GateRef,
    JobFlow,
    JobSpec,
    JobState,
    NewJob,
    Status,
    StoredJob,
)
from antq_actors.storage.format.cipher import is_sealed
from antq_actors.storage.format.display import display_args
from antq_actors.storage.format.pickled import converted
from antq_actors.storage.format.records import ImportedJob, WaitsFor  # msgspec reads annotations
from antq_actors.storage.format.values import MSGPACK, PICKLED, encode_args
from antq_actors.storage.jobs.cron_table import CronDefinition, CronRow
from antq_actors.storage.jobs.exports import NOTHING_BESIDE, Beside
from antq_actors.storage.jobs.gates import is_gate
from antq_actors.storage.jobs.step_table import KeptRow  # msgspec reads annotations
from antq_actors.workflows.edges import CONDITIONS

if TYPE_CHECKING:
    from antq_actors.jobs.instant import Instant
    from antq_actors.jobs.state import ErrorEntry

LARGEST_NUMBER: Final = 2**62
"""Of an id or a count: there is room for as many again."""
_LONGEST: Final = instant.from_datetime(datetime(5000, 1, 1, tzinfo=UTC))
_CONDITIONS: Final = frozenset(CONDITIONS.values())
_LONGEST_DIGEST_BYTES: Final = 64
"""In bytes."""


class _Error(msgspec.Struct):
    attempt: int
    error: str
    at: datetime
    stack_trace: str | None = None
    error_type: str | None = None
    started_at: datetime | None = None
    node: int = 0
    sealed: bytes | None = None
    """The ciphertext of its texts."""


class JobLine(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A job."""

    id: int
    worker: str
    queue: str
    status: Status
    inserted_at: datetime
    updated_at: datetime
    args: dict[str, Any] | None = None
    typed_args: bytes | None = None
    pickled_args: bytes | None = None
    sealed_args: bytes | None = None
    """The ciphertext of its arguments and of what is kept beside them."""
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
    gates: tuple[GateRef, ...] = ()
    """Of the limits that it passes, with its weight in each, and its key as people read it."""
    cron: str | None = None
    scheduled_for: datetime | None = None
    flow: JobFlow | None = None
    """What else ties it to others."""
    composed: Composed | None = None
    """How far it is with others."""
    meta: dict[str, str] | None = None
    """What is kept beside its arguments."""
    waits_for: tuple[WaitsFor, ...] = ()
    result: bytes | None = None
    """As it is stored, without a signature."""
    result_until: datetime | None = None
    """When its result is deleted."""
    kept: tuple[KeptRow, ...] = ()
    """Its steps and its checkpoint."""
    errors: tuple[_Error, ...] = ()
    """Newest first."""
    history: tuple[Change, ...] = ()
    """What is noted of its changes, oldest first; an error's number counts from the oldest here."""
    due: datetime | None = None
    """When it was to become due, if it was scheduled at its insertion."""
    node: int = 0
    """The node on which it ended."""
    error_count: int = 0
    """Of all, also those that are not kept. What is less than there are counts as many."""


class CronLine(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A periodic entry."""

    antq_cron: str
    """The name of the entry."""
    entry: bytes
    """When it fires, as it is stored."""
    job: JobLine
    """Of each of its instants."""
    keys: tuple[GateKey, ...] = ()
    digest: bytes
    is_runtime: bool = False
    next_at: datetime | None = None
    last_at: datetime | None = None
    last_job: int | None = None
    missed: int = 0
    skipped: int = 0
    paused: bool = False
    error: str | None = None


decode_line = msgspec.json.Decoder(JobLine).decode
"""Return the job that a line describes. Raises MsgspecError."""
_decode_cron = msgspec.json.Decoder(CronLine).decode


def job_line(job: StoredJob, beside: Beside = NOTHING_BESIDE) -> JobLine:
    """Return a stored job, with what is stored *beside* it, as a line of an export has it."""
    state, spec = job.state, job.spec
    flow = spec.flow or JobFlow()
    args = display_args(spec.args)
    is_encrypted = is_sealed(spec.args)
    is_json = not is_encrypted and _is_json(args)
    is_typed = not is_json and spec.args[:1] == MSGPACK
    return JobLine(
        id=job.id,
        worker=spec.worker,
        queue=state.queue_name,
        status=state.status,
        inserted_at=instant.datetime_for_display(spec.inserted_at),
        updated_at=instant.datetime_for_display(state.updated_at),
        args=args if is_json else None,
        typed_args=spec.args[1:] if is_typed else None,
        pickled_args=None if is_json or is_typed or is_encrypted else spec.args[1:],
        sealed_args=spec.args if is_encrypted else None,
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
        gates=flow.gates,
        cron=flow.cron,
        scheduled_for=_moment(flow.scheduled_for),
        flow=None if spec.flow is None else _rest_of(flow),
        composed=state.composed,
        meta=spec.meta,
        waits_for=beside.waits_for,
        result=beside.result,
        result_until=_moment(beside.expires_at),
        kept=beside.kept,
        errors=tuple(map(_error_line, job.errors)),
        history=beside.history,
        due=_moment(spec.due),
        node=state.node if state.ended_at is not None else 0,
        error_count=state.error_count,
    )


def _error_line(error: ErrorEntry) -> _Error:
    return _Error(
        error.attempt,
        error.error,
        instant.datetime_for_display(error.attempted_at),
        error.stack_trace,
        error.error_type,
        _moment(error.started_at),
        error.node,
        error.sealed,
    )


def imported_job(found: JobLine, now: Instant) -> ImportedJob:
    """Return the job that a line of an export describes.

    Raises ValueError, TypeError, MsgspecError.
    """
    _check(found)
    errors = lifecycle.kept_errors(found.errors)
    was = _state(found, len(errors))
    state = _waiting(found, was, now)
    history = found.history
    if state.history:
        history = (*history, change(was, state, None, None))
    history = kept_changes(history)
    until = _optional_instant(found.result_until)
    result = None if found.result is None else (found.result, until)
    new = NewJob(replace(state, history=len(history)), _spec(found))
    entries = tuple(map(_error_entry, errors))
    return ImportedJob(found.id, new, entries, found.waits_for, result, found.kept, history)


def _state(found: JobLine, errors: int) -> JobState:
    """Return the state that a line has, of whose errors so many are kept."""
    ended = found.status in ENDED
    return JobState(
        status=found.status,
        queue_name=found.queue,
        priority=found.priority,
        max_attempts=found.max_attempts,
        updated_at=_instant((found.ended_at if ended else None) or found.updated_at),
        scheduled_at=None if ended else _instant(found.scheduled_at or found.updated_at),
        composed=found.composed or (Composed() if found.waits_for or found.kept else None),
        attempts=found.attempts,
        interruptions=found.interruptions,
        errors=errors,
        errors_elsewhere=max(found.error_count, len(found.errors)) - errors,
        started_at=_optional_instant(found.started_at),
        node=found.node if ended else 0,
    )


def _waiting(found: JobLine, state: JobState, now: Instant) -> JobState:
    """Return the state of a job once nothing of its old store runs it or will release it."""
    if state.status is Status.RUNNING:
        return lifecycle.settle(state, GivenBack(), now=now)[0]
    if state.status is Status.SUSPENDED and found.waits_for:
        return lifecycle.suspend(state)
    if state.status is Status.SUSPENDED:  # else it would wait for ever
        not_before = (found.flow or JobFlow()).release_at
        return lifecycle.release(state, now=now, not_before=not_before)
    return state


def _spec(found: JobLine) -> JobSpec:
    return JobSpec(
        worker=found.worker,
        args=_args(found),
        inserted_at=_instant(found.inserted_at),
        timeout=found.timeout,
        unique=found.unique,
        unique_statuses=found.unique_statuses,
        unique_digest=found.unique_digest,
        flow=_flow(found),
        meta=checked_meta(found.meta),
        encrypted=found.sealed_args is not None,
        due=_optional_instant(found.due),
    )


def _error_entry(line: _Error) -> ErrorEntry:
    entry = lifecycle.error_entry(
        line.attempt, line.error, line.stack_trace, _instant(line.at), line.error_type
    )
    started = _optional_instant(line.started_at)
    return entry._replace(started_at=started, node=line.node, sealed=line.sealed)


def _rest_of(flow: JobFlow) -> JobFlow | None:
    """Return what a line does not say otherwise of what ties a job to others."""
    rest = replace(flow, gates=(), cron=None, scheduled_for=None)
    return None if rest == JobFlow() else rest


def _flow(found: JobLine) -> JobFlow | None:
    if found.flow is None and not found.gates and found.cron is None:
        return None
    flow = replace(
        found.flow or JobFlow(),
        gates=found.gates,
        cron=found.cron,
        scheduled_for=_optional_instant(found.scheduled_for),
    )
    return None if flow == JobFlow() else flow


def _args(found: JobLine) -> bytes:
    """Return the encoded arguments of a line of an export, executing nothing."""
    if found.sealed_args is not None:
        return found.sealed_args
    if found.args is not None:
        return encode_args(found.args)
    if found.typed_args is not None:
        return MSGPACK + found.typed_args
    return converted(PICKLED + (found.pickled_args or b""))


def _check(found: JobLine) -> None:
    """Raise ValueError for a line of an export with values that no job can have."""
    check_queue_name(found.queue)
    if not (-128 <= found.priority <= 127 and found.max_attempts >= 1):  # noqa: PLR2004 - as api
        raise ValueError("priority is from -128 to 127, and max_attempts at least 1")
    counts = found.attempts, found.interruptions, found.error_count
    if min(found.id - 1, *counts) < 0:
        raise ValueError("id is at least 1, attempts, interruptions and error_count at least 0")
    check_changes(found.history, latest=_LONGEST, largest=LARGEST_NUMBER)
    numbers = [number for error in found.errors for number in (error.attempt, error.node)]
    numbers.append(found.node)
    if max(found.id, found.max_attempts, *counts, *map(abs, numbers)) > LARGEST_NUMBER:
        raise ValueError(f"ids and counts are at most {LARGEST_NUMBER}")
    ways = [found.args, found.typed_args, found.pickled_args, found.sealed_args]
    if len(ways) - ways.count(None) != 1:
        raise ValueError("it needs either args or pickled_args or typed_args or sealed_args")
    texts = [found.sealed_args, *(error.sealed for error in found.errors)]
    if not all(text is None or is_sealed(text) for text in texts):
        raise ValueError("sealed_args, and sealed of an error, are what an export has written")
    if found.timeout is not None and not found.timeout > 0:
        raise ValueError("timeout is more than 0")
    weights = [ref.weight for ref in found.gates if is_gate(ref.gate)]
    if len(weights) < len(found.gates) or not all(0 < each < LARGEST_NUMBER for each in weights):
        raise ValueError("gates are named by 24 bytes each, and weigh at least 1")
    if found.composed is not None or found.flow is not None or found.waits_for or found.kept:
        _check_ties(found)
    if len(found.unique_digest or b"") > _LONGEST_DIGEST_BYTES:
        raise ValueError(f"unique_digest has at most {_LONGEST_DIGEST_BYTES} bytes")


def _check_ties(found: JobLine) -> None:
    """Raise ValueError for what no job can have to do with others."""
    composed, flow = found.composed or Composed(), found.flow or JobFlow()
    ids = [composed.group, composed.cause, composed.part, flow.workflow]
    ids += [each[1] for each in flow.upstream] + [upstream for upstream, _, _ in found.waits_for]
    if not 0 <= min(ids) <= max(ids) <= LARGEST_NUMBER:
        raise ValueError(f"the ids of other jobs are from 0 to {LARGEST_NUMBER}")
    if not all(condition in _CONDITIONS for _, condition, _ in found.waits_for):
        raise ValueError("what a job waits for has a condition: 0, 1 or 2")
    if not all(row.is_one and 0 <= row.at <= _LONGEST for row in found.kept):
        raise ValueError("what a job has kept is a checkpoint, or a step with its number and name")
    upstreams = [upstream for upstream, _, _ in found.waits_for]
    if len(set(upstreams)) < len(upstreams) or found.id in upstreams:
        raise ValueError("a job waits once for each of some others")
    rule = flow.result
    times = [flow.release_in or 0, flow.release_at or 0, 0 if rule is None else rule.ttl or 0]
    if not 0 <= min(times) <= max(times) <= _LONGEST:
        raise ValueError("the times of a job lie before the year 5000")


# ---- periodic entries -------------------------------------------------------------------------


def cron_line(name: str, row: CronRow, definition: CronDefinition) -> CronLine:
    """Return a stored periodic entry as a line of an export has it."""
    spec = definition.spec
    state = lifecycle.create(
        queue_name=definition.queue_name,
        now=spec.inserted_at,
        due=None,
        priority=definition.priority,
        max_attempts=definition.max_attempts,
    )
    return CronLine(
        antq_cron=name,
        entry=definition.entry,
        job=job_line(StoredJob(1, state, spec, ())),
        keys=definition.keys,
        digest=row.digest,
        is_runtime=row.is_runtime,
        next_at=_moment(row.next_at),
        last_at=_moment(row.last_at),
        last_job=row.last_job,
        missed=row.missed,
        skipped=row.skipped,
        paused=row.paused,
        error=row.error,
    )


def cron_in(line: str | bytes) -> CronLine | None:
    """Return the periodic entry that a line of an export describes; None: it describes a job."""
    has_name = '"antq_cron"' in line if isinstance(line, str) else b'"antq_cron"' in line
    if not has_name:
        return None
    try:
        decode_line(line)
    except msgspec.MsgspecError:
        return _decode_cron(line)
    return None  # its arguments have that name


def imported_cron(
    found: CronLine, now: Instant, *, keeps_ids: bool
) -> tuple[CronDefinition, CronRow]:
    """Return the entry that a line describes. Raises ValueError, TypeError, MsgspecError."""
    check_entry_name(found.antq_cron)
    read_stored(found.entry)
    if not 0 <= min(counts := (found.missed, found.skipped)) <= max(counts) <= LARGEST_NUMBER:
        raise ValueError(f"missed and skipped are from 0 to {LARGEST_NUMBER}")
    if found.last_job is not None and not 1 <= found.last_job <= LARGEST_NUMBER:
        raise ValueError(f"last_job is the id of a job, from 1 to {LARGEST_NUMBER}")
    state, spec = imported_job(found.job, now).new[:2]
    definition = CronDefinition(
        found.entry, state.queue_name, state.priority, state.max_attempts, spec, found.keys
    )
    row = CronRow(
        b"",
        found.digest,
        is_runtime=found.is_runtime,
        next_at=_optional_instant(found.next_at),
        last_at=_optional_instant(found.last_at),
        last_job=found.last_job if keeps_ids else None,
        missed=found.missed,
        skipped=found.skipped,
        paused=found.paused,
        error=found.error,
    )
    return definition, row


def _moment(when: Instant | None) -> datetime | None:
    return None if when is None else instant.datetime_for_display(when)


def _instant(moment: datetime) -> Instant:
    return instant.from_datetime(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def _optional_instant(moment: datetime | None) -> Instant | None:
    return None if moment is None else _instant(moment)


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
