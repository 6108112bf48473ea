"""Whatever bytes a store holds, who reads them gets a value or a StorageError, and nothing runs."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import decimal
import fractions
import pathlib
import pickle
import uuid
import zoneinfo

import cloudpickle
import pytest
from audited_display import listen, look
from hypothesis import example, given, settings
from hypothesis import strategies as st

from antq_actors.errors import StorageError
from antq_actors.jobs.state import ErrorEntry, JobSpec, JobState, Status, StoredJob
from antq_actors.storage.format import encoding
from antq_actors.storage.format.display import read_plain
from antq_actors.storage.format.plain.machine import Machine
from antq_actors.storage.lmdb import keys

listen()
often = settings(max_examples=200)


@dataclasses.dataclass
class Cart:
    items: list


ARGS = [
    {},
    {"email": "jane@example.com", "number": 17, "tags": ["a", "b"], "x": 1.5, "big": 2**70},
    {"rows": [{"id": i, "name": f"name {i}", "ok": i % 2 == 0, "none": None} for i in range(9)]},
    {
        "at": dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        "on": dt.date(2026, 1, 1),
        "for": dt.timedelta(1),
    },
    {"at": dt.datetime(2026, 1, 1, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin")), "time": dt.time(1)},
    {"id": uuid.UUID(int=7), "ids": {uuid.UUID(int=8)}, "safe": uuid.SafeUUID.safe},
    {"price": decimal.Decimal("1.5"), "third": fractions.Fraction(1, 3), "z": 1 + 2j},
    {"pairs": {(1, "a"): (2, 3), (2, "b"): ()}, "set": {1, 2}, "frozen": frozenset({b"x"})},
    {"queue": collections.deque([1, 2], 5), "ordered": collections.OrderedDict(a=1), "s": slice(3)},
    {"path": pathlib.PurePosixPath("a/b"), "range": range(3), "bytes": b"\0\1"},
    {"cart": Cart([1, 2]), "error": ValueError("no"), "type": Cart, "function": len},
    {"text": "x" * 300, "array": bytearray(b"z"), "same": [["shared"] * 3] * 3, "half": "\udce9"},
]
PICKLES = [
    *(encoding.encode_args(args) for args in ARGS),
    *(b"\x01" + pickle.dumps(args, protocol) for args in ARGS for protocol in (2, 3, 4)),
    b"\x01" + cloudpickle.dumps({"local": type("Local", (), {"x": 3})()}),
]
STATES = [
    encoding.encode_job(JobState(Status.ENQUEUED, "mail", 0, 3, 1, None), None),
    encoding.encode_job(
        JobState(Status.RETRYING, "m", 7, 3, 2**50, 2**51, 2, 1, 4, 5, 6), b"d" * 16
    ),
]
SPECS = [
    encoding.encode_spec(JobSpec("shop:Mail", b"\x01args", 2**50)),
    encoding.encode_spec(
        JobSpec("shop:Mail", b"", 1, 30.0, ("email",), (Status.ENQUEUED,), b"d" * 16)
    ),
]
ERRORS = [
    encoding.encode_error(ErrorEntry(1, "no", None, 2**50)),
    encoding.encode_error(ErrorEntry(2, "no", "trace", 1)),
]
LANE = keys.lane(Status.SCHEDULED, "mail")
KEYS = [
    LANE,
    keys.error_key(7, 1),
    keys.work_key(LANE, 5, 7),
    keys.listing_key(LANE, 7),
    keys.unique_key(b"d" * 16, Status.ENQUEUED, 7),
]

places = st.floats(0, 1)


@st.composite
def damaged(draw, records):
    """Return a record that some accident, or someone, has changed."""
    record = draw(st.sampled_from(records))
    for change in draw(st.lists(st.sampled_from(CHANGES), min_size=1, max_size=4)):
        record = change(draw, record, records)
    return record


def flip(draw, record, _):
    at = int(draw(places) * len(record))
    return record[:at] + draw(st.binary(min_size=1, max_size=1)) + record[at + 1 :]


def insert(draw, record, _):
    at = int(draw(places) * len(record))
    return record[:at] + draw(st.binary(min_size=1, max_size=9)) + record[at:]


def delete(draw, record, _):
    at = int(draw(places) * len(record))
    return record[:at] + record[at + draw(st.integers(1, 9)) :]


def truncate(draw, record, _):
    return record[: int(draw(places) * len(record))]


def splice(draw, record, records):
    other = draw(st.sampled_from(records))
    return record[: int(draw(places) * len(record))] + other[int(draw(places) * len(other)) :]


def repeat(draw, record, _):
    start, end = sorted(int(draw(places) * len(record)) for _ in range(2))
    return record[:end] + record[start:end] * draw(st.integers(1, 40)) + record[end:]


CHANGES = [flip, insert, delete, truncate, splice, repeat]


def sized(opcode, size, data):
    return opcode + len(data).to_bytes(size, "little") + data


texts = st.sampled_from(["", "a", "int", "key", "os", "system", "builtins", "x" * 300])
names = st.sampled_from(
    [
        b"\x8c%c%b\x8c%c%b\x93" % (len(m), m, len(n), n)
        for m, n in (
            (b"os", b"system"),
            (b"builtins", b"set"),
            (b"builtins", b"getattr"),
            (b"uuid", b"UUID"),
            (b"fractions", b"Fraction"),
            (b"decimal", b"Decimal"),
            (b"collections", b"deque"),
            (b"collections", b"OrderedDict"),
            (b"datetime", b"datetime"),
            (b"datetime", b"timedelta"),
            (b"builtins", b"range"),
            (b"builtins", b"slice"),
            (b"zoneinfo", b"ZoneInfo"),
            (b"pathlib", b"PurePosixPath"),
            (b"builtins", b"complex"),
            (b"uuid", b"SafeUUID"),
        )
    ]
)
opcodes = st.one_of(
    st.sampled_from([bytes((code,)) for code in range(256)]),
    # Once more, so that most sequences mean something.
    st.sampled_from(
        [bytes((code,)) for code in b"(((]}\x8f)NNtaeesu\x90\x91\x85\x86\x87Rb\x81\x94\x9420"]
    ),
    st.integers(0, 20).map(lambda index: b"h%c" % index),
    st.integers(0, 255).map(lambda value: b"K%c" % value),
    st.integers(-(2**80), 2**80).map(lambda value: sized(b"\x8a", 1, pickle.encode_long(value))),
    texts.map(lambda value: sized(b"X", 4, value.encode())),
    st.binary(max_size=10).map(lambda value: sized(b"C", 1, value)),
    names,
)
sequences = st.lists(opcodes, max_size=60).map(b"".join)


def readable(encoded):
    args, happened = look(encoded)
    assert type(args) is dict
    assert happened == []


@often
@given(damaged(PICKLES))
def test_damaged_arguments_can_be_looked_at(encoded):
    readable(encoded)


@often
@given(damaged(PICKLES).map(lambda encoded: b"\x01" + encoded[1:]), sequences, places)
def test_so_can_damaged_arguments_with_opcodes_amid(encoded, sequence, place):
    at = 1 + int(place * len(encoded))

    readable(encoded[:at] + sequence + encoded[at:])


@often
@given(sequences)
def test_so_can_opcodes_without_any_sense(sequence):
    readable(b"\x01\x80\x05" + sequence + b".")
    readable(b"\x01\x80\x05}\x8c\x01v" + sequence + b"s.")
    readable(b"\x01\x80\x05}\x8c\x01v(" + sequence + b"ts.")


@pytest.mark.parametrize("args", ARGS[:4] + ARGS[5:10])
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_plain_data_of_any_protocol_is_shown_as_it_is(args, protocol):
    shown = read_plain(pickle.dumps(args, protocol))

    if protocol > 3:
        assert shown == args
    assert shown.keys() == args.keys()


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | texts,
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner) | st.sets(st.text())
    ),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), values), st.sampled_from([4, 5]))
def test_both_readers_answer_the_same(args, protocol):
    pickled = pickle.dumps(args, protocol)

    assert read_plain(pickled) == Machine(pickled).read() == args


@often
@given(damaged(STATES), damaged(SPECS), damaged(ERRORS))
@example(b"", b"", b"")
@example(b"\x00" + b"\x91" * 100_000, b"\x91" * 100_000, b"\x94\x01" + b"\x91" * 100_000)
@example(
    STATES[0].replace(b"mail", b"\xff\xff\xff\xff"), SPECS[0].replace(b"shop", b"\xff" * 4), b""
)
def test_damaged_records_raise_a_storage_error_or_are_a_job(record, spec_bytes, error_bytes):
    decoded = [
        decode_or_none(decode, damaged_bytes)
        for decode, damaged_bytes in (
            (encoding.decode_job, record),
            (encoding.decode_spec, spec_bytes),
            (encoding.decode_error, error_bytes),
        )
    ]

    job_record, spec, entry = decoded
    if job_record and spec and entry:
        decode_or_none(
            lambda stored: encoding.as_job(stored, {}),
            StoredJob(7, job_record.state, spec, (entry,)),
        )


def decode_or_none(decode, record):
    try:
        return decode(record)
    except StorageError as error:
        reason = str(error)
    assert "damaged" in reason
    return None


@often
@given(st.integers(), st.integers(), st.integers())
def test_times_that_no_clock_shows_are_a_storage_error(due, inserted_at, attempted_at):
    state = JobState(Status.SCHEDULED, "mail", 0, 3, 2, due)
    stored = StoredJob(
        7, state, JobSpec("shop:Mail", b"", inserted_at), (ErrorEntry(1, "no", None, attempted_at),)
    )

    decode_or_none(lambda record: encoding.as_job(record, {}), stored)


@often
@given(damaged(KEYS))
@example(b"")
@example(b"\x01")
@example(b"\x01\x00")
@example(b"\x01\xff\x00")
@example(b"\x63mail\x00")
def test_damaged_keys_raise_a_storage_error_or_are_keys(key):
    for split, join in (
        (keys.split_lane, keys.lane),
        (keys.split_error_key, keys.error_key),
        (keys.split_unique_key, keys.unique_key),
    ):
        parts = decode_or_none(split, key)
        assert parts is None or join(*parts) == key
    for split in (keys.split_work_key, keys.split_listing_key):
        decode_or_none(split, key)
