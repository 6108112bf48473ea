"""Values with their types, so that 1 is not True, 0.0 not -0.0, and a tuple no list."""

import datetime as dt
import decimal
import fractions
import pathlib
import struct
import uuid
import zoneinfo
from collections import OrderedDict, deque


def exact(value):
    """Return what equals the same of another value only if both are the same, also in their types.

    It can be hashed; NaN equals itself.
    """
    kind = type(value)
    return kind, PARTS.get(kind, repr)(value)


def items(value):
    return tuple(map(exact, value))


def time(value):
    return value.replace(tzinfo=None).isoformat(), value.fold, exact(value.tzinfo)


PARTS = {
    int: lambda value: value,
    float: lambda value: struct.pack(">d", value),
    complex: lambda value: struct.pack(">dd", value.real, value.imag),
    decimal.Decimal: str,
    uuid.UUID: lambda value: (value.int, value.is_safe),
    list: items,
    tuple: items,
    set: lambda value: frozenset(items(value)),
    frozenset: lambda value: frozenset(items(value)),
    deque: lambda value: (value.maxlen, items(value)),
    dict: lambda value: (items(value), items(value.values())),
    dt.datetime: time,
    dt.time: time,
    dt.timezone: lambda zone: zone.__getinitargs__(),
    zoneinfo.ZoneInfo: lambda zone: zone.key,
}

EACH_CODE = {
    1: (1, "a"),
    2: {1},
    3: frozenset({1}),
    4: {1: 2},
    5: deque([1], 2),
    6: 2**64,
    7: "\udce9",
    8: bytearray(b"x"),
    9: 1j,
    10: decimal.Decimal("1.50"),
    11: fractions.Fraction(-1, 3),
    12: uuid.UUID(int=7),
    13: dt.date(2026, 1, 2),
    14: dt.time(1, 2, 3, 4, dt.UTC),
    15: dt.datetime(2026, 1, 2, 3, 4, 5, 6, zoneinfo.ZoneInfo("Europe/Berlin"), fold=1),
    16: dt.timedelta(-1, 2, 3),
    17: pathlib.PurePosixPath("a/b"),
    127: OrderedDict(a=1),
}
"""A value of each type that is an extension of msgpack, by its code; the last one is opaque."""
