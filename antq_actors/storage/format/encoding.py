"""Every value's bytes on disk, and back.

    job         a head, then what verifies its spec and the spec, if both are small
    head        two bytes for its own length behind them, one for the length of the digest, the
                digest, the state as msgpack
    spec, error msgpack; what is in the arguments of a spec: ``values``

A change of status replaces the head and copies what follows it. The digest is in the head, so that
a unique job's entries can be moved without decoding its spec. Jobs whose heads are equal are told
by their first bytes, as a head begins with its length.

What stands before a spec verifies it: a checksum, or a signature.

    0xC1  1  CRC-32, 4 bytes        spec       found damage
    0xC1  2  HMAC-SHA256, 32 bytes  spec       found damage, and jobs planted by who has no key

No msgpack begins with 0xC1, so a spec of the first format, which stands bare, is told apart. What
is signed is all that a job was enqueued with: its worker, arguments, time and options.
"""

from __future__ import annotations

import hmac
from functools import partial
from hashlib import sha256
from itertools import repeat
from struct import Struct
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from zlib import crc32

import msgspec
from msgspec.structs import replace

from antq_actors.checks import escaped
from antq_actors.errors import DamagedRecord
from antq_actors.jobs.instant import datetime_for_display
from antq_actors.jobs.job import COMPOSED, UPSTREAM, AttemptError, Job, LateErrors
from antq_actors.jobs.state import ENDED, ErrorEntry, JobSpec, JobState, Status, StoredJob
from antq_actors.jobs.unique import Unique
from antq_actors.jobs.upstream import nodes_before
from antq_actors.storage.format.cipher import Encrypted, is_encrypted
from antq_actors.storage.format.values import load_args

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from antq_actors.jobs.instant import Instant
    from antq_actors.storage.format.cipher import Cipher

_RUNNING: Final = Status.RUNNING
UNREADABLE: Final = "?"
"""Stands for a name that cannot be read."""


MOST_INLINE_BYTES: Final = 512
"""Of a spec, with what verifies it, that is in the record of its job: an insert then changes one
table less, and a claim reads one record. Larger ones would cost claims more than that saves.
"""
_SIZE_BYTES: Final = 2
_DIGEST_AT: Final = _SIZE_BYTES + 1
_SPEC_WITHOUT_FLOW: Final = b"\x97"
"""What the bytes of a spec begin with: an array of seven."""
_SPEC_WITHOUT_META: Final = b"\x98"
"""The same, of eight."""
_SPEC_WITHOUT_ENCRYPTED: Final = b"\x99"
"""The same, of nine."""
_SPEC_WITHOUT_DUE: Final = b"\x9a"
"""The same, of ten."""
_STATE_WITHOUT_LIMITS: Final = b"\x9f"
"""What the bytes of a state begin with: an array of fifteen."""
_STATE_WITHOUT_COMPOSED: Final = b"\xdc\x00\x10"
"""The same, of sixteen."""
_STATE_WITHOUT_HISTORY: Final = b"\xdc\x00\x11"
"""The same, of seventeen."""
_SHORT_TEXT: Final = 0x1F
"""The bits of msgpack's first byte of a short text that say how long it is."""
_TEXT_8: Final = 0xD9
"""Msgpack's first byte of a text whose length is in one further byte."""
_TEXT_16: Final = 0xDA
"""The same, in two."""
_STATE_AT: Final = 3
"""Where the first field is in the bytes of a state of eighteen."""


class JobRecord(NamedTuple):
    """What the table of jobs holds for an id."""

    state: JobState
    digest: bytes | None
    spec: bytes = b""
    """The spec's bytes with what verifies them; none if they are in the table of payloads."""


_job_record: Final[Callable[[tuple[JobState, bytes | None, bytes]], JobRecord]] = partial(
    tuple.__new__, JobRecord
)
"""Make one of a tuple, without a call of a Python function."""

_encode = msgspec.msgpack.Encoder().encode
_decode_state = msgspec.msgpack.Decoder(JobState).decode
_decode_spec = msgspec.msgpack.Decoder(JobSpec).decode
# Text that is no UTF-8 is a UnicodeDecodeError, arrays without end in each other a RecursionError.
DAMAGES: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_decode_error = msgspec.msgpack.Decoder(ErrorEntry).decode


def encode_job(state: JobState, digest: bytes | None, spec: bytes = b"") -> bytes:
    """Return the bytes of a job's record: a head with its digest and state, and its *spec*.

    Of its last three fields the state ends behind the last one that says anything.
    """
    encoded = _encode(state)
    if not state.history:
        if state.composed is not None:
            encoded = _STATE_WITHOUT_HISTORY + encoded[_STATE_AT:-1]
        elif state.limited is not None:
            encoded = _STATE_WITHOUT_COMPOSED + encoded[_STATE_AT:-2]
        else:
            encoded = _STATE_WITHOUT_LIMITS + encoded[_STATE_AT:-3]
    if digest is None:  # nearly always
        size = 1 + len(encoded)
        return b"%c%c\0%b%b" % (size >> 8, size & 0xFF, encoded, spec)
    return head_of(encoded, digest) + spec


def head_of(state: bytes, digest: bytes) -> bytes:
    """Return the head of a job's record, of the bytes of its state and its digest."""
    size = 1 + len(digest) + len(state)
    return b"%c%c%c%b%b" % (size >> 8, size & 0xFF, len(digest), digest, state)


def split_new(state: JobState, digest: bytes | None, signed: bytes) -> tuple[bytes, bytes]:
    """Return the bytes of a new job: its record, and its *signed* spec if it is not in there."""
    head = encode_job(state, digest)
    return (head, signed) if len(signed) > MOST_INLINE_BYTES else (head + signed, b"")


def decode_job(record: bytes) -> JobRecord:
    """Return the state, digest and spec in the bytes of a job's record. Raises DamagedRecord."""
    try:
        size = _SIZE_BYTES + (record[0] << 8 | record[1])
        start = _DIGEST_AT + record[_SIZE_BYTES]
        state = _decode_state(record[start:size])
        return _job_record((state, record[_DIGEST_AT:start] or None, record[size:]))
    except (*DAMAGES, IndexError) as error:
        raise _damaged("job", error) from error


def head_in(record: bytes) -> bytes:
    """Return the head of a job's record, which may be damaged."""
    return record[: _SIZE_BYTES + int.from_bytes(record[:_SIZE_BYTES])]


def spec_in(record: bytes) -> bytes:
    """Return the spec's bytes in a job's record, which may be damaged; none if it has none."""
    return record[_SIZE_BYTES + int.from_bytes(record[:_SIZE_BYTES]) :]


def split_records(records: Sequence[bytes | None]) -> tuple[list[bytes | None], list[bytes]]:
    """Return the heads of jobs' records, and their specs: none of a record that is missing."""
    first = records[0] if records else None
    if first and None not in records:
        size = _SIZE_BYTES + int.from_bytes(first[:_SIZE_BYTES])
        head = first[:size]
        if len(records) == 1:
            return [head], [first[size:]]
        there: Sequence[bytes] = records  # type: ignore[assignment] # as was just asked
        if all(map(bytes.startswith, there, repeat(head))):
            return [head] * len(there), [record[size:] for record in there]
    head = b""
    heads: list[bytes | None] = []
    specs: list[bytes] = []
    for record in records:
        if record is None:
            heads.append(None)
            specs.append(b"")
            continue
        if not head or not record.startswith(head):
            head = head_in(record)
        heads.append(head)
        specs.append(record[len(head) :])
    return heads, specs


def encode_spec(spec: JobSpec) -> bytes:
    """Return a job's spec as msgpack bytes.

    Of its last four fields it ends behind the last one that says anything.
    """
    encoded = _encode(spec)
    if spec.due is not None:
        return encoded
    if spec.encrypted:
        return _SPEC_WITHOUT_DUE + encoded[1:-1]
    if spec.meta is not None:
        return _SPEC_WITHOUT_ENCRYPTED + encoded[1:-2]
    if spec.flow is None:
        return _SPEC_WITHOUT_FLOW + encoded[1:-4]
    return _SPEC_WITHOUT_META + encoded[1:-3]


def decode_spec(record: bytes) -> JobSpec:
    """Return the job's spec in msgpack bytes. Raises DamagedRecord."""
    try:
        return _decode_spec(record)
    except DAMAGES as error:
        raise _damaged("spec of a job", error) from error


def decode_specs(payloads: Sequence[bytes | None], signer: Signer) -> list[JobSpec] | None:
    """Return the specs of jobs, whose signatures or checksums are verified.

    None: one of them is damaged or missing.
    """
    try:
        if len(payloads) == 1:
            return [_decode_spec(signer.verify(payloads[0] or b""))]
        return list(map(_decode_spec, signer.verify_all([each or b"" for each in payloads])))
    except (DamagedRecord, *DAMAGES):
        return None


def encode_error(entry: ErrorEntry) -> bytes:
    """Return an entry of a job's errors as msgpack bytes; text that is no UTF-8 is escaped."""
    try:
        return _encode(entry[:-1] if entry.sealed is None else entry)
    except UnicodeEncodeError:
        return encode_error(escaped_error(entry))


def escaped_error(entry: ErrorEntry) -> ErrorEntry:
    """Return an entry of a job's errors with what is no UTF-8 in its texts escaped."""
    trace, name = entry.stack_trace, entry.error_type
    return entry._replace(
        error=escaped(entry.error),
        stack_trace=None if trace is None else escaped(trace),
        error_type=None if name is None else escaped(name),
    )


def decode_error(record: bytes) -> ErrorEntry:
    """Return the entry of a job's errors in msgpack bytes. Raises DamagedRecord."""
    try:
        return _decode_error(record)
    except DAMAGES as error:
        raise _damaged("error of a job", error) from error


def load_job(stored: StoredJob, read_errors: Callable[[], Iterable[ErrorEntry]] | None) -> Job:
    """Return a stored job as its worker is given it; unpickles, and so runs, its arguments.

    Raises whatever unpickling raises.
    *read_errors*: returns its errors when someone looks at them; None: those of *stored*.
    """
    if read_errors is not None:
        errors = LateErrors(lambda: errors_for_display(read_errors()))
        return as_job(stored, load_args(stored.spec.args), errors)
    args = load_args(stored.spec.args)
    return as_job(stored, args) if stored.errors else _like_the_last(stored, args)


def _like_the_last(stored: StoredJob, args: Mapping[str, Any]) -> Job:
    """Return what `as_job` does for a job without errors, as a copy of the last one if it can be.

    Jobs that were enqueued together and are claimed together differ in their id and arguments,
    those of a periodic entry also in their instant.
    """
    global _last  # noqa: PLW0603 - a hint, replaced whole by any thread
    id_, state, spec, _ = stored
    flow = spec.flow
    if spec.unique is not None or (flow is not None and (flow.cron is not None or flow.upstream)):
        return as_job(stored, args)
    last_state, last_rest, last = _last
    rest = (spec.worker, spec.inserted_at, spec.timeout)
    if last is None or state is not last_state or rest != last_rest:
        # One that no worker gets to see, and without arguments, which may be large.
        last = as_job(stored, {})
        _last = state, rest, last
    meta = {} if spec.meta is None else spec.meta.copy()
    job = replace(last, id=id_, args=args, opts=dict(last.opts), meta=meta)
    if state.composed is not None:
        job.__dict__[COMPOSED] = state.composed
    return job


_last: tuple[JobState | None, tuple[str, Instant, float | None], Job | None] = (
    None,
    ("", 0, None),
    None,
)
"""The state of a job that was loaded; its worker, when it was enqueued, its timeout; the job."""


def as_job(
    stored: StoredJob, args: Mapping[str, Any], errors: tuple[AttemptError, ...] | None = None
) -> Job:
    """Return a stored job as the Job that users see, with *args* as the caller decoded them.

    *errors*: where they are not those of *stored*. Never raises: a time that no datetime can show
    is shown as the nearest one.
    """
    state, spec = stored.state, stored.spec
    unique = None
    if spec.unique is not None:
        unique = Unique(args=spec.unique, statuses=spec.unique_statuses)
    due, started = state.scheduled_at, state.started_at
    # The properties of the state, written out: each claimed job comes by here.
    ended = state.updated_at if state.status in ENDED else None
    flow = spec.flow
    planned = None if flow is None else flow.scheduled_for
    job = Job(
        id=stored.id,
        worker=spec.worker,
        queue_name=state.queue_name,
        args=args,
        priority=state.priority,
        status=state.status,
        attempts=state.attempts,
        max_attempts=state.max_attempts,
        interruptions=state.interruptions,
        scheduled_at=None if due is None else datetime_for_display(due),
        inserted_at=datetime_for_display(spec.inserted_at),
        updated_at=datetime_for_display(state.updated_at),
        errors=errors_for_display(stored.errors) if errors is None else errors,
        opts={
            "max_attempts": state.max_attempts,
            "timeout": spec.timeout,
            "unique": unique,
            "priority": state.priority,
        },
        node=state.node if state.status is _RUNNING else 0,
        error_count=state.errors + state.errors_elsewhere,
        started_at=None if started is None else datetime_for_display(started),
        ended_at=None if ended is None else datetime_for_display(ended),
        cron=None if flow is None else flow.cron,
        scheduled_for=None if planned is None else datetime_for_display(planned),
        meta=meta_of(spec) if spec.meta is not None or spec.encrypted else {},
    )
    if state.composed is not None:
        job.__dict__[COMPOSED] = state.composed
    if flow is not None and flow.upstream:
        job.__dict__[UPSTREAM] = nodes_before(flow)
    return job


def meta_of(spec: JobSpec) -> dict[str, str]:
    """Return the *meta* of a job, as a copy; of one that is encrypted, what stands for it."""
    return Encrypted() if is_encrypted(spec) else dict(spec.meta or ())


def errors_for_display(entries: Iterable[ErrorEntry]) -> tuple[AttemptError, ...]:
    """Return entries of a job's errors as the AttemptErrors that users see."""
    return tuple(
        AttemptError(
            each.attempt,
            each.error,
            each.stack_trace,
            datetime_for_display(each.attempted_at),
            each.error_type,
            None if each.started_at is None else datetime_for_display(each.started_at),
            each.node,
        )
        for each in entries
    )


def _damaged(what: str, error: Exception) -> DamagedRecord:
    return DamagedRecord(f"the {what} is damaged on disk: {error}")


# ---- checksums and signatures ---------------------------------------------------------------

_PROTECTED: Final = 0xC1
_SUM: Final = b"\xc1\x01"
_SIGNED: Final = b"\xc1\x02"
_summed: Final = Struct(">2sI").pack
_SUM_END: Final = 2 + 4
_SIGNED_END: Final = 2 + sha256().digest_size
_PURPOSE: Final = b"antq_actors job\0"
"""Signed along, so that a signature made for something else with the same key is none here."""


class Signer:
    """Signs and verifies the specs of a store.

    With *keys* it signs with the first, accepts a signature of any, and nothing unsigned; so a
    new key is put before the old one, which goes when no job signed with it is left. Raises
    TypeError for a key that is no bytes.
    """

    __slots__ = ("_keys", "cipher")

    def __init__(self, keys: Sequence[bytes] = (), cipher: Cipher | None = None) -> None:
        for key in keys:
            if not isinstance(key, bytes):
                raise TypeError(
                    f"signing keys are a list of bytes, as signing_keys.load(file) answers, and"
                    f" one is a {type(key).__name__}"
                )
        self._keys = tuple(keys)
        self.cipher = cipher
        """What the store encrypts with; None: nothing."""

    def __repr__(self) -> str:
        return f"<Signer with {len(self._keys)} keys>"

    @property
    def has_keys(self) -> bool:
        """Whether it signs, and accepts what is signed alone."""
        return bool(self._keys)

    def sign(self, spec: bytes) -> bytes:
        """Return a spec's bytes behind a signature by the first key, or a checksum without keys."""
        if self._keys:
            return _SIGNED + _signature(self._keys[0], spec) + spec
        return _summed(_SUM, crc32(spec)) + spec

    def verify(self, record: bytes) -> bytes:
        """Return the spec's bytes behind a signature or checksum, which is verified.

        Raises DamagedRecord when it is not what was signed, or its signature is of no key here.
        """
        if not self._keys:
            return contents(record)
        if record[:2] != _SIGNED:
            raise DamagedRecord(
                "it is not signed, and this application runs signed jobs only: it was enqueued"
                " without the signing key, or not by an application of yours"
            )
        spec, signature = record[_SIGNED_END:], record[2:_SIGNED_END]
        if not any(hmac.compare_digest(signature, _signature(key, spec)) for key in self._keys):
            raise DamagedRecord(
                "its signature is wrong: it was signed with a key that this application does not"
                " have, or changed on disk"
            )
        return spec

    def verify_all(self, records: Sequence[bytes]) -> list[bytes]:
        """Return what :meth:`verify` returns for each of *records*; raise what it raises."""
        if not self._keys:
            specs = [record[_SUM_END:] for record in records]
            sums = map(_summed, repeat(_SUM), map(crc32, specs))
            if all(map(bytes.startswith, records, sums)):
                return specs
        return [self.verify(record) for record in records]


def worker_in(record: bytes) -> str:
    """Return the worker's name in a spec's stored bytes, of which nothing else is looked at.

    It is the first field. Of bytes that are damaged it is "?", or what stands there.
    """
    try:
        # One byte says how many fields there are, the next one how long the name is, or that this
        # is in one or two further bytes.
        at = 1
        if record[0] == _PROTECTED:
            at += _SUM_END if record[1] == _SUM[1] else _SIGNED_END
        size = record[at]
        if size == _TEXT_8:
            size, at = record[at + 1], at + 1
        elif size == _TEXT_16:
            size, at = record[at + 1] << 8 | record[at + 2], at + 2
        else:
            size &= _SHORT_TEXT
        return record[at + 1 : at + 1 + size].decode()
    except (IndexError, UnicodeDecodeError):
        return UNREADABLE


def is_protected(record: bytes) -> bool:
    """Return whether a spec's stored bytes begin with a checksum or a signature.

    A spec without is of the first format.
    """
    return record[:1] == b"\xc1"


def is_signed(record: bytes) -> bool:
    """Return whether a spec's stored bytes begin with a signature, which is not verified."""
    return record[:2] == _SIGNED


def contents(record: bytes) -> bytes:
    """Return the spec's bytes behind a signature or checksum; no signature is verified.

    Raises DamagedRecord when its checksum is wrong.
    """
    spec = record[_SUM_END:]
    if record[:_SUM_END] == _summed(_SUM, crc32(spec)):
        return spec
    if not is_protected(record):
        return record
    if record[:2] != _SIGNED:
        raise DamagedRecord("the spec of a job is damaged on disk: its checksum is wrong")
    return record[_SIGNED_END:]


def _signature(key: bytes, spec: bytes) -> bytes:
    return hmac.digest(key, _PURPOSE + spec, "sha256")
