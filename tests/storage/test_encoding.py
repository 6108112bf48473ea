# ruff: noqa: SIM115 - open files are what is refused

from __future__ import annotations

import asyncio
import collections
import concurrent.futures
import datetime as dt
import decimal
import gzip
import io
import multiprocessing
import os
import pickle
import socket
import sqlite3
import struct
import sys
import tempfile
import threading
import uuid
import weakref
import zoneinfo
from dataclasses import dataclass
from typing import NamedTuple

import cloudpickle
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antq_actors import AntQ
from antq_actors.errors import StorageError
from antq_actors.jobs.state import ErrorEntry, JobSpec, JobState, Status, StoredJob
from antq_actors.jobs.unique import Unique
from antq_actors.storage.format import display, encoding
from antq_actors.storage.format.plain.makers import Opaque

leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.datetimes(timezones=st.none() | st.just(dt.UTC) | st.just(zoneinfo.ZoneInfo("UTC")))
    | st.dates()
    | st.times()
    | st.timedeltas()
    | st.decimals(allow_nan=False)
    | st.uuids()
    | st.fractions()
    | st.complex_numbers(allow_nan=False)
)
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text(), inner)
        | st.tuples(inner, inner)
        | st.sets(st.integers())
        | st.frozensets(st.text())
        | st.builds(collections.OrderedDict, st.dictionaries(st.text(), inner))
    ),
    max_leaves=10,
)
plain_values = st.recursive(
    st.none() | st.integers() | st.text() | st.datetimes() | st.dates(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
instants = st.integers(0, 2**62)


@dataclass
class Cart:
    items: object


class Ran(Exception):
    """What must not run has run."""


def run():
    raise Ran


class Trap:
    def __reduce__(self):
        return run, ()


class Tuned(list): ...


@given(st.dictionaries(st.text(), values))
def test_plain_arguments_come_back_both_to_run_and_to_look_at(args):
    encoded = encoding.encode_args(args)

    assert encoding.load_args(encoded) == args
    assert display.display_args(encoded) == args


@given(st.dictionaries(st.text(), plain_values))
def test_arguments_of_a_new_job_are_encoded_like_all_and_not_changed_by_their_owner(args):
    encoded, snapshot = encoding.encode_and_snapshot(args)
    before = encoding.load_args(encoded)

    assert encoded == encoding.encode_args(args)
    for value in args.values():
        if isinstance(value, list | dict):
            value.clear()
    assert snapshot == before


def test_a_class_of_a_script_reaches_another_process():
    namespace = {"__name__": "__main__"}
    exec("class Point:\n    x = 3", namespace)  # noqa: S102 - as a script defines a class

    encoded = encoding.encode_args({"points": [namespace["Point"]()]})

    assert encoding.load_args(encoded)["points"][0].x == 3
    assert display.display_args(encoded)["points"] == [Opaque("__main__.Point")]


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (Cart(3), f"{__name__}.Cart"),
        (Cart, f"{__name__}.Cart"),
        (Tuned([1, Cart(2)]), f"{__name__}.Tuned"),
        (os.path.join, f"{os.path.__name__}.join"),
        (ValueError("no"), "builtins.ValueError"),
        (collections.Counter("aab"), "collections.Counter"),
        (collections.defaultdict(list, {1: [2]}), "collections.defaultdict"),
        (Trap(), f"{__name__}.run"),
    ],
)
def test_what_is_no_plain_data_is_shown_by_its_name_and_never_made(value, name):
    encoded = b"\x01" + pickle.dumps({"plain": [1, "a"], "value": value})

    shown = display.display_args(encoded)

    assert shown == {"plain": [1, "a"], "value": Opaque(name)}
    assert repr(shown["value"]) == f"<opaque {name}>"


def test_a_trap_is_sprung_by_loading_only():
    encoded = b"\x01" + pickle.dumps({"value": Trap()})

    with pytest.raises(Ran):
        encoding.load_args(encoded)


def test_showing_imports_nothing():
    encoded = b"\x01" + b"cthis\ns\n."
    sys.modules.pop("this", None)

    display.display_args(encoded)

    assert "this" not in sys.modules


@pytest.mark.parametrize("attribute", ["clear_cache", "__subclasses__", "__init__"])
def test_a_pickled_getattr_reaches_nothing(attribute):
    class Reach:
        def __reduce__(self):
            return getattr, (zoneinfo.ZoneInfo, attribute)

    shown = display.display_args(b"\x01" + pickle.dumps({"value": Reach()}))

    assert isinstance(shown["value"], Opaque)


def test_a_time_in_an_unknown_zone_is_shown_as_such():
    class Zone(dt.tzinfo): ...

    moment = dt.datetime(2026, 1, 1, tzinfo=Zone())
    encoded = b"\x01" + cloudpickle.dumps({"at": moment, "n": 1})

    shown = display.display_args(encoded)

    assert shown["n"] == 1
    assert "datetime.datetime in" in repr(shown["at"])


@given(st.binary(max_size=50))
def test_showing_damaged_bytes_never_raises(damaged):
    assert isinstance(display.display_args(b"\x01" + damaged), dict)


def test_an_argument_that_cannot_be_pickled_is_named():
    with pytest.raises(TypeError, match=r"the argument 'lock' \(lock\) cannot be pickled"):
        encoding.encode_args({"email": "jane@example.com", "lock": threading.Lock()})


def test_an_argument_whose_name_is_no_string_is_refused():
    with pytest.raises(TypeError, match="names of arguments are str, got 1"):
        encoding.encode_args({1: "one"})


def test_a_list_that_holds_itself_is_carried():
    items = [1]
    items.append(items)

    loaded = encoding.load_args(encoding.encode_args({"items": items}))

    assert loaded["items"][1] is loaded["items"]


def test_arguments_of_a_newer_format_are_refused_in_words():
    with pytest.raises(StorageError, match="stored by a newer antq_actors"):
        encoding.load_args(b"\x09whatever")


states = st.builds(
    JobState,
    status=st.sampled_from(Status),
    queue_name=st.text(),
    priority=st.integers(-128, 127),
    max_attempts=st.integers(1, 2**31),
    updated_at=instants,
    scheduled_at=st.none() | instants,
    attempts=st.integers(0, 2**31),
    errors=st.integers(0, 2**31),
    started_at=st.none() | instants,
)
specs = st.builds(
    JobSpec,
    worker=st.text(),
    args=st.binary(),
    inserted_at=instants,
    timeout=st.none() | st.floats(0.1, 1e9),
    unique=st.none() | st.tuples(st.text()),
    unique_statuses=st.tuples(st.sampled_from(Status)),
    unique_digest=st.none() | st.binary(min_size=16, max_size=16),
)
texts = st.none() | st.text()
entries = st.builds(ErrorEntry, st.integers(0, 99), st.text(), texts, instants, texts)


@given(states, st.none() | st.binary(min_size=16, max_size=16), specs, entries)
def test_records_come_back_as_they_were(state, digest, spec, entry):
    assert encoding.decode_job(encoding.encode_job(state, digest)) == (state, digest)
    assert encoding.decode_spec(encoding.encode_spec(spec)) == spec
    assert encoding.decode_error(encoding.encode_error(entry)) == entry


def test_an_error_whose_texts_are_no_utf8_can_be_stored():
    entry = ErrorEntry(1, "no report\udcff.txt", "in report\udcff.py", 7, "Bad\udcff")

    stored = encoding.decode_error(encoding.encode_error(entry))

    assert stored == ErrorEntry(1, "no report\\udcff.txt", "in report\\udcff.py", 7, "Bad\\udcff")


@pytest.mark.parametrize(
    "decode", [encoding.decode_job, encoding.decode_spec, encoding.decode_error]
)
def test_damaged_records_are_a_storage_error(decode):
    with pytest.raises(StorageError, match="damaged"):
        decode(b"\x00\xc1")


def test_a_job_is_shown_with_its_effective_options_and_its_newest_error_first():
    state = JobState(Status.RETRYING, "mail", 7, 3, 2_000_000, 3_000_000, attempts=2, errors=2)
    spec = JobSpec("shop:Mail", b"", 1_000_000, 30.0, ("email",), (Status.ENQUEUED,))
    errors = (ErrorEntry(2, "second", "trace", 2_000_000), ErrorEntry(1, "first", None, 1_500_000))

    job = encoding.as_job(StoredJob(9, state, spec, errors), {"email": "jane@example.com"})

    assert (job.id, job.worker, job.queue_name, job.priority) == (9, "shop:Mail", "mail", 7)
    assert (job.status, job.attempts, job.max_attempts) == (Status.RETRYING, 2, 3)
    assert job.scheduled_at == dt.datetime(1970, 1, 1, 0, 0, 3, tzinfo=dt.UTC)
    assert job.updated_at == dt.datetime(1970, 1, 1, 0, 0, 2, tzinfo=dt.UTC)
    assert [(error.attempt, error.error) for error in job.errors] == [(2, "second"), (1, "first")]
    assert job.opts == {
        "max_attempts": 3,
        "timeout": 30.0,
        "unique": Unique(args=["email"], statuses=[Status.ENQUEUED]),
        "priority": 7,
    }


def loaded(*jobs):
    return [encoding.load_job(job, None) for job in jobs]


STATE = JobState(Status.RUNNING, "mail", 7, 3, 2_000_000, None, attempts=1, started_at=2_000_000)


def a_stored_job(id_, state=STATE, **spec):
    args = encoding.encode_args({"id": id_})
    return StoredJob(
        id_, state, JobSpec(**{"worker": "w", "args": args, "inserted_at": 0} | spec), ()
    )


def test_jobs_that_are_loaded_after_each_other_are_what_each_is_by_itself():
    # Those that are alike but for their id are copies of each other.
    like = JobState(Status.RUNNING, "mail", 7, 3, 2_000_000, None, attempts=1, started_at=2_000_000)
    late = JobState(Status.RUNNING, "mail", 7, 3, 3_000_000, None, attempts=1, started_at=3_000_000)
    jobs = [
        *(a_stored_job(1), a_stored_job(2), a_stored_job(3, like), a_stored_job(4, late)),
        *(a_stored_job(5, late, timeout=2.0), a_stored_job(6, late, worker="v")),
        *(a_stored_job(7, late, inserted_at=9), a_stored_job(8, late, unique=("id",))),
        *(a_stored_job(9, late), a_stored_job(10, late)),
    ]

    alone = [encoding.as_job(job, {"id": job.id}) for job in jobs]

    assert loaded(*jobs) == alone
    assert loaded(*reversed(jobs)) == alone[::-1]


def test_what_a_worker_does_to_its_job_is_not_seen_in_the_next():
    (first,) = loaded(a_stored_job(1))
    first.opts["priority"] = "mine"
    first.__dict__["mine"] = True
    first.args["mine"] = True

    (second,) = loaded(a_stored_job(2))

    assert second == encoding.as_job(a_stored_job(2), {"id": 2})
    assert second.__dict__ == {}


def test_plain_data_of_the_standard_library_is_shown_as_it_is():
    args = {
        "id": uuid.UUID(int=1),
        "price": decimal.Decimal("1.50"),
        "when": dt.datetime(2026, 1, 1, tzinfo=zoneinfo.ZoneInfo("UTC")),
        "names": frozenset({"a"}),
        "queue": collections.deque([1, 2]),
    }

    assert display.display_args(encoding.encode_args(args)) == args


# ---- arguments that belong to this process, or are broken ---------------------------------------


class RaisingZone(dt.tzinfo):
    def utcoffset(self, when):
        raise ZeroDivisionError("no offset")


class NonsenseZone(dt.tzinfo):
    def utcoffset(self, when):
        return 5


class UnmakeableZone(dt.tzinfo):
    def __init__(self, hours):
        self._hours = hours

    def utcoffset(self, when):
        return dt.timedelta(hours=self._hours)


# A zone of version 1 with one offset, +00:00, called UTC.
ZONE_DATA = (
    b"TZif"
    + bytes(16)
    + struct.pack(">6I", 0, 0, 0, 0, 1, 4)
    + struct.pack(">iBB", 0, 0, 0)
    + b"UTC\0"
)


@pytest.mark.parametrize(
    "zone",
    [
        RaisingZone(),
        NonsenseZone(),
        UnmakeableZone(1),
        dt.tzinfo(),
        zoneinfo.ZoneInfo.from_file(io.BytesIO(ZONE_DATA)),
    ],
    ids=["raises", "nonsense", "unmakeable", "bare", "from a file"],
)
@pytest.mark.parametrize("inside", [lambda at: at, lambda at: [{"at": at}], Cart])
def test_a_time_with_a_broken_zone_is_refused_by_its_name(zone, inside):
    value = inside(dt.datetime(2026, 1, 1, tzinfo=zone))

    with pytest.raises(TypeError, match=r"the argument 'when' .* its time zone is broken"):
        encoding.encode_args({"n": 1, "when": value})


def test_a_time_in_a_zone_of_a_function_is_carried():
    class Zone(dt.tzinfo):
        def utcoffset(self, when):
            return dt.timedelta(hours=2)

    moment = dt.datetime(2026, 1, 1, tzinfo=Zone())

    loaded = encoding.load_args(encoding.encode_args({"at": moment, "all": [moment]}))

    assert loaded["at"] == moment
    assert loaded["all"][0].utcoffset() == dt.timedelta(hours=2)


def opened(mode):
    return lambda folder: (folder / "file").open(mode)


BOUND = {
    "text": opened("w+"),
    "bytes": opened("wb+"),
    "written": opened("w"),
    "gzip": lambda folder: gzip.open(folder / "file", "wb"),
    "temporary": lambda folder: tempfile.TemporaryFile(dir=folder),
    "named": lambda folder: tempfile.NamedTemporaryFile(dir=folder),
    "spooled": lambda folder: tempfile.SpooledTemporaryFile(dir=folder),
    "folder": lambda folder: tempfile.TemporaryDirectory(dir=folder),
    "standard output": lambda folder: sys.__stdout__,
    "socket": lambda folder: socket.socket(),
    "connection": lambda folder: Ends(*multiprocessing.Pipe()),
    "database": lambda folder: sqlite3.connect(":memory:"),
    "generator": lambda folder: (n for n in ()),
    "thread": lambda folder: threading.Thread(),
    "event": lambda folder: threading.Event(),
    "awaited event": lambda folder: asyncio.Event(),
    "awaited queue": lambda folder: asyncio.Queue(),
    "future": lambda folder: concurrent.futures.Future(),
    "weak reference": lambda folder: weakref.ref(Cart),
    "application": AntQ,
}


class Ends(NamedTuple):
    one: object
    other: object

    def close(self):
        self.one.close()
        self.other.close()


@pytest.mark.parametrize("make", BOUND.values(), ids=BOUND)
@pytest.mark.parametrize("inside", [lambda thing: thing, lambda thing: [Cart(thing)]])
def test_what_belongs_to_its_process_is_refused_as_an_argument(make, inside, tmp_path):
    thing = make(tmp_path)
    try:
        with pytest.raises(TypeError, match=r"the argument 'thing' .* cannot be pickled"):
            encoding.encode_args({"email": "jane@example.com", "thing": inside(thing)})
    finally:
        close = getattr(thing, "close", None) or getattr(thing, "cleanup", None)
        if close is not None and thing is not sys.__stdout__:
            close()


@pytest.mark.parametrize("thing", [io.BytesIO(b"content"), io.StringIO("content")])
def test_a_file_in_memory_is_carried(thing):
    loaded = encoding.load_args(encoding.encode_args({"file": thing}))

    assert loaded["file"].getvalue() == thing.getvalue()
