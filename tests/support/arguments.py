"""Arguments of every kind: what is plain, by strategy and by code, and what is opaque."""

import collections
import dataclasses
import datetime as dt
import decimal
import enum
import math
import pathlib
import uuid
import zoneinfo
from typing import NamedTuple

import msgspec
from hypothesis import strategies as st


def in_zone(at, zone, fold):
    return at.replace(tzinfo=zone, fold=fold)


ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu"]
offsets = st.timedeltas(dt.timedelta(hours=-23), dt.timedelta(hours=23))
texts = st.text(st.characters(exclude_categories=()), max_size=6)
zones = (
    st.none()
    | st.just(dt.UTC)
    | st.builds(dt.timezone, offsets)
    | st.builds(dt.timezone, offsets, texts)
    | st.builds(zoneinfo.ZoneInfo, st.sampled_from(ZONES))
)
folds = st.sampled_from([0, 1])
numbers = st.integers() | st.integers(-(2**66), 2**66)
keys = (
    *(st.none(), st.booleans(), numbers, st.floats(allow_nan=False), texts, st.binary()),
    *(st.dates(), st.times(), st.timedeltas(), st.uuids(), st.fractions()),
    st.decimals(allow_nan=False),
    st.complex_numbers(allow_nan=False),
    st.builds(in_zone, st.datetimes(), zones, folds),
)
special = st.sampled_from(
    [
        *(math.nan, -math.nan, -0.0, math.inf, complex(-0.0, math.nan)),
        *map(decimal.Decimal, ["NaN", "-sNaN12", "-0", "0E-7", "1E+999", "-Infinity"]),
        *(2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1),
        uuid.UUID(int=1, is_safe=uuid.SafeUUID.safe),
        uuid.UUID(int=2, is_safe=uuid.SafeUUID.unsafe),
        *(pathlib.PurePosixPath("a/\udce9"), pathlib.PureWindowsPath(r"c:\x y"), pathlib.Path("/")),
    ]
)
times = st.builds(in_zone, st.times(), zones, folds)
leaves = st.one_of(*keys, special, times, st.builds(bytearray, st.binary()))
hashable = st.recursive(
    st.one_of(*keys), lambda inner: st.tuples(inner, inner) | st.frozensets(inner), max_leaves=3
)


def nested_in_containers(inside):
    """Return values as they are, and in containers of every plain kind."""
    return st.recursive(
        inside,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(texts, inner, max_size=3)
            | st.dictionaries(hashable, inner, max_size=3)
            | st.lists(inner, max_size=3).map(tuple)
            | st.sets(hashable, max_size=3)
            | st.frozensets(hashable, max_size=3)
            | st.builds(
                collections.deque, st.lists(inner, max_size=3), st.none() | st.integers(0, 9)
            )
        ),
        max_leaves=6,
    )


arguments = st.dictionaries(texts, nested_in_containers(leaves), max_size=3)


class Color(enum.Enum):
    RED = "r"


class Level(enum.IntEnum):
    HIGH = 3


class Point(NamedTuple):
    x: int


@dataclasses.dataclass
class Cart:
    items: object


class Record(msgspec.Struct):
    at: object


class Text(str):
    __slots__ = ()


class Number(int): ...


class Tuned(list): ...


class Table(dict): ...


class Day(dt.date): ...


class Moment(dt.datetime): ...


class Price(decimal.Decimal): ...


class Key(uuid.UUID): ...


class Zone(dt.tzinfo):
    def utcoffset(self, when):
        return dt.timedelta(hours=2)


OTHERS = [
    (Cart(3), "Cart"),
    (Cart, "Cart"),
    (Color.RED, "Color"),
    (Level.HIGH, "Level"),
    (Point(1), "Point"),
    (Record((1,)), "Record"),
    (Text("x"), "Text"),
    (Number(7), "Number"),
    (Tuned([1, Cart(2)]), "Tuned"),
    (Table(a=1), "Table"),
    (Day(2026, 1, 2), "Day"),
    (Moment(2026, 1, 2), "Moment"),
    (Price("1.5"), "Price"),
    (Key(int=7), "Key"),
]
"""With what each is shown as, behind this module."""

mixed_arguments = st.dictionaries(
    texts,
    nested_in_containers(leaves | st.sampled_from([value for value, _ in OTHERS])),
    max_size=3,
)
"""Plain data and opaques, in each other."""
