"""Which jobs are the same job."""

import enum
import os
import pickle
import subprocess
import sys
import typing
from collections import OrderedDict, defaultdict, deque
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PosixPath, PurePosixPath
from threading import Lock
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antq_actors.jobs.state import ACTIVE, Status
from antq_actors.jobs.unique import Unique, canonical, unique_digest
from antq_actors.storage.format.values import encode_args, load_args


def digest(value):
    return unique_digest("shop:Mail", "mail", {"it": value}, ["it"])


@dataclass
class Point:
    x: object
    y: object


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Level(enum.IntEnum):
    ONE = 1


def test_by_default_a_job_is_in_the_way_until_it_ended():
    assert Unique(args=["email"]).statuses == ACTIVE


@pytest.mark.parametrize(
    ("given", "statuses"),
    [
        ("all", set(Status)),
        (Status.FAILED, {Status.FAILED}),
        ("failed", {Status.FAILED}),
        (["failed", Status.RUNNING], {Status.FAILED, Status.RUNNING}),
        ([], set()),
    ],
)
def test_statuses_are_one_or_several_or_all_or_none(given, statuses):
    assert Unique(["email"], given).statuses == statuses


def test_unique_is_a_value():
    one = Unique(["email"], ["failed"])

    assert one == Unique(("email", "email"), Status.FAILED)
    assert hash(one) == hash(Unique(["email"], "failed"))
    assert pickle.loads(pickle.dumps(one)) == one  # noqa: S301 - our own bytes
    with pytest.raises(AttributeError):
        one.args = ("other",)


@pytest.mark.parametrize("args", ["email", b"email", 5, None, [1], {"email": 1}])
def test_args_that_are_no_list_of_names_are_a_type_error(args):
    with pytest.raises(TypeError, match="args of Unique"):
        Unique(args)


@pytest.mark.parametrize("args", [[], ()])
def test_no_args_are_a_value_error(args):
    with pytest.raises(ValueError, match="at least one"):
        Unique(args)


@pytest.mark.parametrize("statuses", ["runing", ["runing"], [Status.FAILED, "runing"], ["all"]])
def test_an_unknown_status_is_a_value_error(statuses):
    with pytest.raises(ValueError, match="unknown status"):
        Unique(["email"], statuses)


def test_an_unknown_status_names_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'running'"):
        Unique(["email"], "runing")


@pytest.mark.parametrize("statuses", [5, None, [5], b"failed"])
def test_statuses_of_the_wrong_type_are_a_type_error(statuses):
    with pytest.raises(TypeError, match="statuses of Unique"):
        Unique(["email"], statuses)


@pytest.mark.parametrize(
    ("args", "statuses", "text"),
    [
        ("email", "all", "args of Unique must be a list of names: write Unique(args=['email'])"),
        (5, "all", "args of Unique must be a list of names, got 5 (int)"),
        ([1], "all", "args of Unique must be names (str), got 1 (int)"),
        (
            ["\ud800"],
            "all",
            "args of Unique must be text that UTF-8 can carry, got '\\ud800' (str)",
        ),
        ([], "all", "args of Unique must name at least one argument, got none"),
        (
            ["email"],
            5,
            "statuses of Unique must be a Status, a collection of them or 'all', got 5 (int)",
        ),
        (["email"], [5], "statuses of Unique must be Status or str, got 5 (int)"),
        (
            ["email"],
            "runing",
            "unknown status 'runing' in Unique(statuses=…); did you mean 'running'?",
        ),
    ],
)
def test_a_refusal_says_what_was_found_and_what_to_write(args, statuses, text):
    with pytest.raises((TypeError, ValueError)) as refused:
        Unique(args, statuses)

    assert str(refused.value) == text


def test_a_digest_has_16_bytes():
    assert len(digest("jane@example.com")) == 16


@pytest.mark.parametrize("args", [{}, {"it": None}, {"other": 1}])
def test_a_job_without_a_named_argument_has_no_digest(args):
    assert unique_digest("shop:Mail", "mail", args, ["it"]) is None


def test_only_the_named_arguments_count():
    one = unique_digest("shop:Mail", "mail", {"email": "x", "at": 1}, ["email"])
    two = unique_digest("shop:Mail", "mail", {"at": 2, "email": "x"}, ["email"])

    assert one == two


def test_the_order_of_the_names_does_not_count():
    args = {"email": "x", "at": 1}

    one = unique_digest("shop:Mail", "mail", args, ["email", "at"])

    assert one == unique_digest("shop:Mail", "mail", args, ["at", "email"])


@pytest.mark.parametrize(
    "other",
    [
        ("shop:Post", "mail", {"a": 1, "b": 2}, ["a"]),
        ("shop:Mail", "post", {"a": 1, "b": 2}, ["a"]),
        ("shop:Mail", "mail", {"a": 3, "b": 2}, ["a"]),
        ("shop:Mail", "mail", {"a": 1, "b": 1}, ["b"]),
        ("shop:Mail", "mail", {"a": 1, "b": 2}, ["a", "b"]),
        ("shop:Mai", "lmail", {"a": 1, "b": 2}, ["a"]),
    ],
)
def test_worker_queue_names_and_values_all_count(other):
    assert unique_digest("shop:Mail", "mail", {"a": 1, "b": 2}, ["a"]) != unique_digest(*other)


MOMENT = datetime(2026, 7, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, 1.0),
        (1, True),
        (1, Level.ONE),
        (1, Decimal("1.000")),
        (1, 1 + 0j),
        (0.5, Fraction(1, 2)),
        (0.0, -0.0),
        (0, Decimal("-0")),
        (10**400, Decimal("1E400")),
        (float("inf"), Decimal("Infinity")),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({"a": 1}, OrderedDict(a=1.0)),
        ({"a": 1}, defaultdict(int, a=1)),
        ({3, 1, 2}, frozenset([1, 2, 3])),
        (b"x", bytearray(b"x")),
        ("running", Status.RUNNING),
        (MOMENT, MOMENT.astimezone(timezone(timedelta(hours=9)))),
        (time(12, tzinfo=UTC), time(13, tzinfo=timezone(timedelta(hours=1)))),
        (timedelta(minutes=1), timedelta(seconds=60)),
        (UUID(int=5), UUID(int=5)),
        (Path("/a/b"), Path("/a") / "b"),
        (Point("a" * 2, "aa"), Point("aa", "AA".lower())),
        (Point({1, 2}, {"a": 1, "b": 2}), Point({2, 1}, {"b": 2, "a": 1})),
        (Colour.RED, Colour(1)),
        ([1, [2, {"a": (3,)}]], [1.0, [2.0, {"a": (3.0,)}]]),
    ],
)
def test_equal_values_share_a_digest(one, other):
    assert one == other
    assert digest(one) == digest(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([1, 2], (1, 2)),
        ([1, 2], [2, 1]),
        ([1], {1}),
        ([], {}),
        ("1", 1),
        ("1", b"1"),
        (1, -1),
        (0.1, Decimal("0.1")),
        (2**61 - 1, 0),
        (1, 1 + 1j),
        (["ab", "c"], ["a", "bc"]),
        ([["a"], "b"], [["a", "b"]]),
        ({"a": "b"}, {"b": "a"}),
        (MOMENT, MOMENT + timedelta(microseconds=1)),
        (MOMENT, MOMENT.replace(tzinfo=None)),
        (date(2026, 7, 1), datetime(2026, 7, 1)),  # noqa: DTZ001 - a naive one is the case
        (time(12), time(12, tzinfo=UTC)),
        (Point(1, 2), Point(2, 1)),
        (Point(1, 2), (1, 2)),
        (Colour.RED, Colour.BLUE),
        (UUID(int=5), 5),
        (Path("/a"), "/a"),
        (Point, Colour),
        (len, max),
    ],
)
def test_different_values_have_different_digests(one, other):
    assert one != other
    assert digest(one) != digest(other)


@pytest.mark.parametrize(
    ("value", "content"),
    [
        ([None, "é"], b"l8:00:s2:\xc3\xa9"),
        ("\ud800", b"s3:\xed\xa0\x80"),
        ((b"x", 26, 0), b"t13:b1:xn2:1an1:0"),
        ({"b": 2, "a": -0.5}, b"d148:s1:an131:-%bs1:bn1:2" % (b"f" * 130)),
        ({Fraction(1, 2), Decimal("-50E-2")}, b"e272:n131:-%bn131:1%b" % (b"f" * 130, b"0" * 130)),
        (1 + 2j, b"n4:1+i2"),
        ([float("nan"), Decimal("sNaN"), float("-inf")], b"l19:n3:nann3:nann4:-inf"),
        (datetime(2026, 7, 1, 12, fold=1), b"w19:2026-07-01T12:00:00"),  # noqa: DTZ001 - a naive one
        (datetime(2500, 1, 1, microsecond=1, tzinfo=UTC), b"i17:16725225600000001"),
        (date(2026, 7, 1), b"a10:2026-07-01"),
        (time(12, 34, 56, 789012), b"c15:y11:45296789012"),
        (time(1, tzinfo=timezone(timedelta(hours=2))), b"z15:y11:-3600000000"),
        (timedelta(days=200_000, microseconds=1), b"y17:17280000000000001"),
        (UUID(bytes=b"sixteen bytes ok"), b"u16:sixteen bytes ok"),
        (typing.ClassVar, b"g15:typing:ClassVar"),
        (deque([1]), b"o37:g17:collections:dequet0:00:l4:n1:1l0:"),
        (PosixPath("/a") / "b", b"o46:g17:pathlib:PosixPatht12:s1:/s1:as1:b00:l0:l0:"),
        (PurePosixPath, b"g21:pathlib:PurePosixPath"),
    ],
)
def test_digests_are_made_of_the_bytes_that_stored_ones_were_made_of(value, content):
    assert canonical(value) == content


keys = st.one_of(st.text(), st.integers(), st.booleans(), st.binary(), st.dates())
numbers = st.one_of(
    st.integers(),
    st.floats(allow_nan=False),
    st.booleans(),
    st.decimals(allow_nan=False),
    st.fractions(),
)
leaves = st.one_of(
    st.none(), st.text(), st.binary(), numbers, st.uuids(), st.timedeltas(),
    st.datetimes(timezones=st.none() | st.just(UTC)),
)  # fmt: skip
values = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.tuples(inner, inner),
        st.dictionaries(keys, inner, max_size=4),
        st.frozensets(keys, max_size=4),
    ),
    max_leaves=8,
).filter(lambda value: value is not None)


@given(numbers, numbers)
def test_numbers_share_a_digest_exactly_when_they_are_equal(one, other):
    assert (digest(one) == digest(other)) == (one == other)


@given(values, values)
def test_values_share_a_digest_exactly_when_they_are_equal(one, other):
    assert (digest(one) == digest(other)) == (one == other)


@given(values)
def test_a_value_read_back_from_storage_keeps_its_digest(value):
    again = pickle.loads(pickle.dumps(value))  # noqa: S301 - our own bytes

    assert digest(again) == digest(value)


OF_EACH_TYPE = {
    "text": ("jane@example.com", "dcf9b727681ba7cbbd2fcf083f915ea7"),
    "half": ("caf\udce9", "2a798f3defe84af7967fdc25ac09aaa8"),
    "number": (17, "5362801aa57f82c85dd95d04062b7299"),
    "large": (2**70, "2784fa67132b1261a4fca8d221c11db1"),
    "float": (-0.0, "8c6e45293394b6b3791c0de63191abb2"),
    "bytes": (b"\0x", "736ca91506eeb96ff65eb53357c927a3"),
    "list": ([1, (2, "b"), {"c": {3}}], "e75cddfde2e7a7cad1b6f4d5d423d1d2"),
    "keys": ({(1, "a"): frozenset({b"x"})}, "66eb9fc7ed57ad4d930349d23a94f4dd"),
    "decimal": (Decimal("1.50"), "59a3240c2443ee96d2975a26634a5117"),
    "fraction": (Fraction(-1, 3), "7d8446358b766138552d378bc1d9c0da"),
    "complex": (1 + 2j, "70293f59636ce1c11eca75a2208f4fe4"),
    "date": (date(2026, 1, 2), "bf58c4b2c4bfa6e393841279e9ad5571"),
    "time": (
        time(1, 2, 3, 4, timezone(timedelta(hours=1))),
        "a719d361795134169f202b9b12388ad4",
    ),
    "moment": (
        datetime(2026, 1, 2, 3, 4, 5, 6, ZoneInfo("Europe/Berlin")),
        "fe59d8a13183e9580e7688d7d76a4085",
    ),
    "span": (timedelta(-1, 2, 3), "db9433cd4fdee4d3600209aea2610d0f"),
    "id": (UUID(int=7), "e74a196e3ce603864dc08c12e2a33b7d"),
    "path": (PurePosixPath("a/b"), "a856ded44db13576297a75e7dc92e1cd"),
}


@pytest.mark.parametrize(("value", "stored"), OF_EACH_TYPE.values(), ids=OF_EACH_TYPE)
def test_a_digest_that_is_stored_is_that_of_an_equal_argument_for_ever(value, stored):
    assert digest(value).hex() == stored
    assert digest(load_args(encode_args({"it": value}))["it"]).hex() == stored


@given(st.dictionaries(keys, st.integers(), max_size=6), st.randoms(use_true_random=False))
def test_the_order_of_a_dict_does_not_count(value, random):
    pairs = list(value.items())
    random.shuffle(pairs)

    assert digest(dict(pairs)) == digest(value)


PROGRAM = """
from antq_actors.jobs.unique import unique_digest
value = {"set": {"a", "b", "c", "d"}, "dict": {"x": 1, "y": frozenset({"p", "q"})}, "n": 1.5}
print(unique_digest("shop:Mail", "mail", {"it": value}, ["it"]).hex())
"""


def test_a_digest_is_the_same_in_processes_with_different_hash_seeds():
    printed = {
        subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-c", PROGRAM],
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }

    assert len(printed) == 1


def a_list_in_itself():
    it = []
    it.append(it)
    return it


@pytest.mark.parametrize("value", [Lock(), [Lock()], lambda: None, a_list_in_itself()])
def test_what_has_no_comparable_content_is_a_type_error_naming_the_argument(value):
    with pytest.raises(TypeError, match="the argument 'it' cannot be unique"):
        digest(value)


nameless = lambda: None  # noqa: E731 - it has no name of its own


def test_what_has_no_comparable_content_is_shown_with_the_reason():
    with pytest.raises(TypeError) as refused:
        digest(nameless)

    assert str(refused.value) == (
        f"the argument 'it' cannot be unique: {nameless!r} (function) cannot be compared by its"
        " content (<lambda> has no name of its own); name other arguments in Unique(args=…)"
    )


def test_a_random_id_is_no_other():
    assert digest(uuid4()) != digest(uuid4())
