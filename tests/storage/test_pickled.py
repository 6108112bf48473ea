"""Arguments that an earlier release has pickled are converted without executing anything."""

import collections
import copyreg
import datetime as dt
import decimal
import enum
import fractions
import os
import pickle
import uuid
import zoneinfo

import cloudpickle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.arguments import OTHERS, arguments
from support.exact import exact

from antq_actors.storage.format import values
from antq_actors.storage.format.pickled import converted


@given(arguments)
def test_what_is_plain_is_as_if_this_release_had_encoded_it(args):
    for dumps in (pickle.dumps, cloudpickle.dumps):
        assert exact(values.load_args(converted(b"\x01" + dumps(args, 5)))) == exact(args)
        assert converted(b"\x01" + dumps(args, 5))[:1] == values.MSGPACK


@pytest.mark.parametrize("protocol", [4, 5])
def test_each_protocol_that_a_release_has_written_is_read(protocol):
    args = {"n": 1, "at": [dt.datetime(2026, 1, 1, tzinfo=dt.UTC)], "id": uuid.UUID(int=7)}

    assert converted(b"\x01" + pickle.dumps(args, protocol)) == values.encode_args(args)


def test_what_is_shared_in_a_pickle_is_written_out():
    row = [1, uuid.UUID(int=7)]

    args = {"rows": [row] * 500}

    assert converted(b"\x01" + pickle.dumps(args)) == values.encode_args(args)


def kept(pickled):
    """Return whether a pickle stays as it was, byte for byte."""
    encoded = b"\x01" + pickled
    return converted(encoded) is encoded


@pytest.mark.parametrize(
    "value",
    [value for value, _ in OTHERS],
    ids=[name for _, name in OTHERS],
)
@pytest.mark.parametrize("inside", [lambda value: value, lambda value: [1, {"in": (value,)}]])
def test_what_is_not_plain_stays_as_it_was(value, inside):
    assert kept(pickle.dumps({"plain": 1, "value": inside(value)}))


class OfScript(enum.Enum):
    ONE = 1


@pytest.mark.parametrize(
    "value",
    [
        *(len, os.path.join, OfScript, dt.date, uuid.UUID, zoneinfo.ZoneInfo, decimal.Decimal),
        *(range(3), slice(3), ValueError("no"), dt.UTC, zoneinfo.ZoneInfo("UTC")),
        *(collections.Counter("a"), collections.OrderedDict(a=1), uuid.SafeUUID.safe),
    ],
    ids=lambda value: getattr(value, "__qualname__", repr(value)),  # repr() has an address
)
def test_so_do_classes_and_what_this_release_pickles_too(value):
    assert kept(pickle.dumps({"value": value}))


def test_what_is_no_pickled_arguments_stays_as_it_was():
    itself = []
    itself.append(itself)
    deep = []
    for _ in range(values.DEEPEST + 1):
        deep = [deep]
    doubled = [1]
    for _ in range(60):
        doubled = [doubled, doubled]
    long = ["x" * 100_000] * 1_000

    for args in (5, [1], {1: 2}, {"x": itself}, {"x": deep}, {"x": doubled}, {"x": long}):
        assert kept(pickle.dumps(args))
    for encoded in (b"", b"\x01", b"\x02\x80", b"\x07", values.encode_args({"n": 1})):
        assert converted(encoded) is encoded


@given(st.binary(max_size=60))
@settings(max_examples=300)
def test_any_bytes_stay_as_they_are_or_become_arguments(data):
    encoded = b"\x01" + data

    assert converted(encoded) is encoded or type(values.load_args(converted(encoded))) is dict


# ---- pickles that would execute something ------------------------------------------------------


def text(value):
    data = value.encode()
    return b"X" + len(data).to_bytes(4, "little") + data


def named(module, name):
    return text(module) + text(name) + b"\x93"


def args_with(value):
    return b"\x80\x05}" + text("value") + value + b"s."


@pytest.fixture
def trap(tmp_path):
    """A path that a pickle would make a directory."""
    yield tmp_path / "sprung"
    assert not (tmp_path / "sprung").exists()


MKDIRS = {
    "called": lambda path: named("os", "mkdir") + text(path) + b"\x85R",
    "instantiated": lambda path: named("os", "mkdir") + text(path) + b"\x85\x81",
    "by lines": lambda path: b"cos\nmkdir\n" + text(path) + b"\x85R",
    "by getattr": lambda path: (
        named("builtins", "getattr")
        + named("zoneinfo", "ZoneInfo")
        + text("clear_cache")
        + b"\x86R"
        b")R" + text(path) + b"0"
    ),
    "by getattr of a module": lambda path: (
        named("builtins", "getattr")
        + (named("builtins", "__import__") + text("os") + b"\x85R" + text("mkdir") + b"\x86R")
        + (text(path) + b"\x85R")
    ),
    "as an instance": lambda path: b"(ios\nmkdir\n" + text(path) + b"0",
    "as an object": lambda path: b"(" + named("os", "mkdir") + text(path) + b"o",
    "persistent": lambda path: text(path) + b"Q",
    "by eval": lambda path: (
        named("builtins", "eval") + text(f"__import__('os').mkdir({path!r})") + b"\x85R"
    ),
}


@pytest.mark.parametrize("mkdir", MKDIRS.values(), ids=MKDIRS)
def test_what_a_pickle_calls_is_not_called(mkdir, trap):
    assert kept(args_with(mkdir(str(trap))))


def test_a_registered_extension_is_not_reached(trap):
    copyreg.add_extension("os", "mkdir", 0xF0)
    try:
        pickled = args_with(b"\x82\xf0" + text(str(trap)) + b"\x85R")
        assert pickle.loads(b"\x80\x02\x82\xf0.") is os.mkdir  # noqa: S301 - now it is cached

        assert kept(pickled)
    finally:
        copyreg.remove_extension("os", "mkdir", 0xF0)
        copyreg._extension_cache.clear()


FOUND = [
    *(("uuid", "UUID"), ("zoneinfo", "ZoneInfo"), ("datetime", "date"), ("decimal", "Decimal")),
    *(("fractions", "Fraction"), ("pathlib", "PurePosixPath"), ("builtins", "getattr")),
]


@pytest.mark.parametrize(("module", "name"), FOUND, ids=[name for _, name in FOUND])
@pytest.mark.parametrize("state", ["attributes", "slots"])
def test_what_a_pickle_finds_cannot_be_changed_for_the_next(module, name, state):
    attributes = b"}" + text("__call__") + text("injected") + b"s"
    filled = attributes if state == "attributes" else b"N" + attributes + b"\x86"
    args = {
        "id": uuid.UUID(int=7),
        "on": dt.date(2026, 1, 2),
        "at": dt.datetime(2026, 1, 1, tzinfo=zoneinfo.ZoneInfo("UTC")),
        "third": fractions.Fraction(1, 3),
        "price": decimal.Decimal("1.5"),
    }

    assert kept(args_with(named(module, name) + filled + b"b"))

    assert converted(b"\x01" + pickle.dumps(args)) == values.encode_args(args)


@pytest.mark.parametrize(
    ("module", "name", "given"),
    [
        ("fractions", "Fraction", text("1e999999999") + b"\x85"),
        ("fractions", "Fraction", b"K\x01K\x00\x86"),
        ("decimal", "Decimal", b"K\x01\x85"),
        ("decimal", "Decimal", text("one") + b"\x85"),
        ("datetime", "date", b"M\xea\x07K\x01K\x02\x87"),
        ("datetime", "date", b"C\x04\x07\xea\x02\x1f\x85"),
        ("datetime", "datetime", b"C\x0a\x00\x00\x01\x01\x63\0\0\0\0\0\x85"),
        ("datetime", "timezone", b"K\x01\x85"),
        ("builtins", "complex", text("1+2j") + b"\x85"),
        ("builtins", "getattr", named("uuid", "UUID") + text("int") + b"\x86"),
        ("builtins", "getattr", named("zoneinfo", "ZoneInfo") + text("from_file") + b"\x86"),
        ("collections", "deque", b"K\x01K\x02\x86\x85"),
        ("pathlib", "PurePosixPath", b"K\x01\x85"),
        ("uuid", "UUID", b")"),
    ],
)
def test_plain_data_is_made_only_of_what_its_own_pickle_has(module, name, given):
    assert kept(args_with(named(module, name) + given + b"R"))


def test_a_uuid_of_wrong_state_stays_as_it_was():
    for state in (
        b"N",
        b"}",
        b"}" + text("int") + text("7") + b"s",
        b"}" + text("int") + b"J\xff\xff\xff\xffs",
        b"}(" + text("int") + b"K\x07" + text("is_safe") + b"K\x07u",
    ):
        assert kept(args_with(named("uuid", "UUID") + b")\x81" + state + b"b"))
