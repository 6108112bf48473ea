"""Values with their types, so that 1 is not True, 0.0 not -0.0, and a tuple no list."""

import datetime as dt
import decimal
import struct
import uuid
import zoneinfo
from collections import deque


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
