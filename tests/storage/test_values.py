# ruff: noqa: SIM115 - open files are what is refused

"""Arguments come back as they were given, in their types too; to look at them runs nothing."""

from __future__ import annotations

import array
import asyncio
import collections
import concurrent.futures
import datetime as dt
import decimal
import gzip
import io
import multiprocessing
import os
import pathlib
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
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import given
from msgspec.msgpack import Ext
from support import arguments as kinds
from support.arguments import OTHERS, Cart, Color, Level, Zone, arguments, mixed_arguments
from support.exact import EACH_CODE, exact

from antq_actors import AntQ
from antq_actors.errors import StorageError
from antq_actors.storage.format import display, extensions, values
from antq_actors.storage.format.display import Opaque


@given(arguments)
def test_arguments_come_back_as_they_were_also_in_their_types(args):
    assert exact(values.load_args(values.encode_args(args))) == exact(args)


@given(mixed_arguments)
def test_opaques_among_plain_data_leave_each_other_as_they_were(args):
    encoded = values.encode_args(args)

    assert exact(values.load_args(encoded)) == exact(args)
    assert display.display_args(encoded).keys() == args.keys()


@given(arguments)
def test_arguments_of_a_new_job_are_encoded_like_all_and_not_changed_by_their_owner(args):
    encoded, snapshot = values.encode_and_snapshot(args)
    before = exact(values.load_args(encoded))

    assert encoded == values.encode_args(args)
    for value in args.values():
        if isinstance(value, list | dict | set | bytearray | collections.deque):
            value.clear()
    assert exact(snapshot) == before


def as_shown(value):
    """Return *value* as it is shown: no path of another system can be made, no sNaN compared."""
    match value:
        case dict():
            value = {key: as_shown(item) for key, item in value.items()}
        case list() | tuple():
            value = type(value)(map(as_shown, value))
        case collections.deque():
            value = collections.deque(map(as_shown, value), value.maxlen)
        case pathlib.Path():
            value = pathlib.PurePosixPath(value)
        case decimal.Decimal() if value.is_snan():
            value = Opaque("decimal.Decimal")
    return value


@given(arguments)
def test_plain_arguments_are_shown_as_they_are(args):
    shown = display.display_args(values.encode_args(args))

    assert exact(shown) == exact(as_shown(args))


# On disk for ever.
BYTES = {
    1: "9201a161",
    2: "9101",
    3: "9101",
    4: "920102",
    5: "920201",
    6: "010000000000000000",
    7: "edb3a9",
    8: "78",
    9: "00000000000000003ff0000000000000",
    10: "312e3530",
    11: "2d312f33",
    12: "00000000000000000000000000000007",
    13: "07ea0102",
    14: "0102030000046f0000000000000000",
    15: "07ea81020304050000067a4575726f70652f4265726c696e",
    16: "ffffffff0000000200000003",
    17: "70612f62",
}


def test_each_code_has_its_value_and_its_bytes_for_ever():
    public = {name: code for name, code in vars(extensions).items() if name[0] != "_"}
    codes = {code for name, code in public.items() if name.isupper() and type(code) is int}

    assert codes == EACH_CODE.keys()
    for code, value in EACH_CODE.items():
        (packed,) = msgspec.msgpack.decode(values.encode_args({"x": value})[1:]).values()
        assert packed.code == code
        if code in BYTES:
            assert packed.data == bytes.fromhex(BYTES[code])
        assert exact(values.load_args(values.encode_args({"x": value}))["x"]) == exact(value)


@pytest.mark.parametrize(("value", "name"), OTHERS, ids=[name for _, name in OTHERS])
@pytest.mark.parametrize("inside", [lambda value: value, lambda value: [1, {"in": (value,)}]])
def test_what_is_no_plain_data_comes_back_and_is_shown_by_its_class(value, name, inside):
    encoded = values.encode_args({"plain": [1, "a"], "value": inside(value)})

    loaded = values.load_args(encoded)
    shown = display.display_args(encoded)

    assert repr(loaded["value"]) == repr(inside(value))
    assert exact(shown) == exact(
        {"plain": [1, "a"], "value": inside(Opaque(f"{kinds.__name__}.{name}"))}
    )


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (os.path.join, f"{os.path.__name__}.join"),
        (len, "builtins.len"),
        (ValueError("no"), "builtins.ValueError"),
        (collections.Counter("aab"), "collections.Counter"),
        (collections.OrderedDict(a=1), "collections.OrderedDict"),
        (collections.defaultdict(list, {1: [2]}), "collections.defaultdict"),
        (range(3), "builtins.range"),
        (dt.UTC, "datetime.timezone"),
        (dt.datetime(2026, 1, 1, tzinfo=Zone()), f"datetime.datetime in {kinds.__name__}.Zone"),
        (dt.time(1, tzinfo=Zone()), f"datetime.time in {kinds.__name__}.Zone"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_others_define_is_shown_by_its_name(value, name):
    shown = display.display_args(values.encode_args({"n": 1, "value": value}))

    assert shown == {"n": 1, "value": Opaque(name)}
    assert repr(shown["value"]) == f"<opaque {name}>"


def test_an_enum_member_is_itself_and_keys_keep_their_types():
    args = {"c": Color.RED, "in": {Color.RED: 1, Level.HIGH: 2, 3: 4, True: 5, None: 6}}

    loaded = values.load_args(values.encode_args(args))

    assert loaded["c"] is Color.RED
    assert list(loaded["in"]) == [Color.RED, Level.HIGH, True, None]
    assert exact(loaded["in"]) == exact(args["in"])


def test_a_class_of_a_script_reaches_another_process():
    namespace = {"__name__": "__main__"}
    exec("class Point:\n    x = 3", namespace)  # noqa: S102 - as a script defines a class

    encoded = values.encode_args({"points": [namespace["Point"]()]})

    assert values.load_args(encoded)["points"][0].x == 3
    assert display.display_args(encoded)["points"] == [Opaque("__main__.Point")]


class Ran(Exception):
    """What must not run has run."""


def run():
    raise Ran


class Trap:
    def __reduce__(self):
        return run, ()


@pytest.mark.parametrize("inside", [lambda trap: trap, lambda trap: [{"x": (trap,)}]])
def test_a_trap_is_sprung_by_loading_only(inside):
    encoded = values.encode_args({"value": inside(Trap())})

    assert display.display_args(encoded) == {"value": inside(Opaque(f"{__name__}.Trap"))}
    with pytest.raises(Ran):
        values.load_args(encoded)


def test_what_an_earlier_release_pickled_is_loaded_and_shown_as_such():
    encoded = b"\x01" + pickle.dumps({"n": (1, 2)})

    assert values.load_args(encoded) == {"n": (1, 2)}
    (shown,) = display.display_args(encoded).values()
    assert repr(shown).startswith("<opaque pickled by an earlier release")


def test_showing_a_pickle_imports_nothing():
    sys.modules.pop("this", None)

    display.display_args(b"\x01" + b"cthis\ns\n.")

    assert "this" not in sys.modules


def test_an_argument_that_cannot_be_pickled_is_named():
    with pytest.raises(TypeError, match=r"the argument 'lock' \(lock\) cannot be pickled"):
        values.encode_args({"email": "jane@example.com", "lock": threading.Lock()})


def test_an_argument_whose_name_is_no_string_is_refused():
    with pytest.raises(TypeError, match="names of arguments are str, got 1"):
        values.encode_args({1: "one"})


def test_a_list_that_holds_itself_is_carried():
    items = [1]
    items.append(items)

    encoded = values.encode_args({"n": 1, "items": items})

    loaded = values.load_args(encoded)
    assert loaded["items"][1] is loaded["items"]
    assert display.display_args(encoded) == {"n": 1, "items": Opaque("builtins.list")}


def test_lists_that_share_lists_without_end_are_carried(monkeypatch):
    monkeypatch.setattr(values, "MOST_VALUES", 10_000)
    items = [1]
    for _ in range(values.DEEPEST - 1):
        items = [items, items]

    loaded = values.load_args(values.encode_args({"items": items}))

    assert loaded["items"][0] is loaded["items"][1]


def nested(levels):
    items = [1]
    for _ in range(levels - 1):
        items = [items]
    return items


def test_what_is_nested_deeper_than_a_bound_is_carried_whole():
    args = {"in": nested(values.DEEPEST), "beyond": nested(values.DEEPEST + 1)}
    encoded = values.encode_args(args)

    assert values.load_args(encoded) == args
    shown = display.display_args(encoded)
    assert shown == {"in": args["in"], "beyond": Opaque("builtins.list")}


def test_shared_parts_of_plain_data_are_copied_and_of_an_opaque_are_not():
    row = [1]

    loaded = values.load_args(values.encode_args({"rows": [row, row], "cart": Cart([row, row])}))

    assert loaded["rows"] == [row, row]
    assert loaded["rows"][0] is not loaded["rows"][1]
    assert loaded["cart"].items[0] is loaded["cart"].items[1]


def test_many_opaques_are_one_that_names_its_class_once():
    few, many = [Cart(n) for n in range(values.MOST_OPAQUES)], [Cart(n) for n in range(1_000)]

    encoded = values.encode_args({"few": few, "many": many})

    assert values.load_args(encoded) == {"few": few, "many": many}
    shown = display.display_args(encoded)
    assert shown["few"] == [Opaque(f"{kinds.__name__}.Cart")] * len(few)
    assert shown["many"] == Opaque("builtins.list")
    assert len(values.encode_args({"many": many})) < 30_000


@pytest.mark.parametrize("first", [b"", b"\x07", b"\xff"])
def test_arguments_of_a_newer_format_are_refused_in_words(first):
    with pytest.raises(StorageError, match="stored by a newer antq_actors"):
        values.load_args(first + b"whatever")
    assert "newer" in repr(display.display_args(first + b"whatever"))


@pytest.mark.parametrize("encoded", [b"\x02\x05", b"\x02\x90", b"\x02\xd4\x01\x90"])
def test_what_is_no_dict_is_no_arguments(encoded):
    with pytest.raises(StorageError, match="instead of a dict"):
        values.load_args(encoded)
    assert "instead of a dict" in repr(display.display_args(encoded))


def test_an_extension_of_a_newer_release_is_refused_in_words_and_hides_nothing():
    encoded = b"\x02" + msgspec.msgpack.encode({"n": 1, "new": Ext(99, b"new")})

    with pytest.raises(Exception, match="extension 99, which this version does not know"):
        values.load_args(encoded)
    assert display.display_args(encoded) == {
        "n": 1,
        "new": Opaque("extension 99, which this version does not know"),
    }


def test_plain_data_of_the_standard_library_is_shown_as_it_is():
    args = {
        "id": uuid.UUID(int=1),
        "price": decimal.Decimal("1.50"),
        "when": dt.datetime(2026, 1, 1, tzinfo=zoneinfo.ZoneInfo("UTC")),
        "names": frozenset({"a"}),
        "queue": collections.deque([1, 2]),
    }

    assert display.display_args(values.encode_args(args)) == args


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
        values.encode_args({"n": 1, "when": value})


def test_a_time_in_a_zone_of_a_function_is_carried():
    class Zone(dt.tzinfo):
        def utcoffset(self, when):
            return dt.timedelta(hours=2)

    moment = dt.datetime(2026, 1, 1, tzinfo=Zone())

    loaded = values.load_args(values.encode_args({"at": moment, "all": [moment]}))

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
    "view": lambda folder: memoryview(b"abc"),
    "view of numbers": lambda folder: memoryview(array.array("i", [1, 2])),
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
            values.encode_args({"email": "jane@example.com", "thing": inside(thing)})
    finally:
        close = getattr(thing, "close", None) or getattr(thing, "cleanup", None)
        if close is not None and thing is not sys.__stdout__:
            close()


@pytest.mark.parametrize("view", [memoryview(b"abc"), pickle.PickleBuffer(b"abc")])
def test_a_view_of_memory_is_refused_and_what_to_write_instead_is_said(view):
    with pytest.raises(TypeError, match=r"the argument 'body' .* write bytes\(\.\.\.\) of it"):
        values.encode_args({"body": view})
    with pytest.raises(TypeError, match="would arrive as bytes"):
        values.encode_value([view])

    assert values.load_args(values.encode_args({"body": bytes(view)})) == {"body": b"abc"}


@pytest.mark.parametrize("thing", [io.BytesIO(b"content"), io.StringIO("content")])
def test_a_file_in_memory_is_carried(thing):
    loaded = values.load_args(values.encode_args({"file": thing}))

    assert loaded["file"].getvalue() == thing.getvalue()
