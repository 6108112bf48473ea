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

import msgspec
from audited_display import listen, look
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.msgpack import Ext
from support.exact import exact

from antq_actors.errors import StorageError
from antq_actors.jobs.state import ErrorEntry, JobSpec, JobState, Status, StoredJob
from antq_actors.storage.format import display, encoding, extensions, values
from antq_actors.storage.format.cipher import MARK, Encrypted
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
ENCODED = [
    *(values.encode_args(args) for args in ARGS),
    *(b"\x01" + pickle.dumps(args) for args in ARGS),
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


codes = st.sampled_from([*range(1, 18), extensions.OPAQUE, 18, -1, 0])
exts = st.builds(Ext, codes, st.binary(max_size=20))
msgpacks = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | exts,
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text() | st.integers(-(2**63), 2**64 - 1) | st.binary(), inner)
        | st.builds(Ext, codes, st.lists(inner).map(msgspec.msgpack.encode))
        | st.builds(Ext, codes, inner.map(msgspec.msgpack.encode))
    ),
    max_leaves=20,
)


def readable(encoded):
    args, happened = look(encoded)
    assert type(args) is (Encrypted if encoded.startswith(MARK) else dict)
    assert happened == []


@often
@given(damaged(ENCODED))
def test_damaged_arguments_can_be_looked_at(encoded):
    readable(encoded)


@often
@given(st.binary(max_size=100))
def test_so_can_any_bytes(data):
    readable(data)
    readable(b"\x02" + data)
    readable(b"\x01" + data)


@often
@given(msgpacks)
def test_so_can_any_msgpack_and_any_bytes_of_an_extension(value):
    readable(b"\x02" + msgspec.msgpack.encode(value))
    readable(b"\x02" + msgspec.msgpack.encode({"n": 1, "value": value}))
    readable(b"\x02" + msgspec.msgpack.encode({"value": value})[:-1])


simple = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), simple))
def test_both_readers_of_simple_arguments_return_the_same(args):
    encoded = values.encode_args(args)

    read = display._Reader(encoded).arguments()

    assert exact(read) == exact(display.display_args(encoded)) == exact(args)


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
