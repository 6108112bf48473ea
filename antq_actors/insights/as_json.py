"""A value of insights as what the JSON API answers.

Instants become ISO 8601 in UTC, durations seconds. What JSON has no form for becomes text: numbers
that are not finite, integers beyond ±2⁵³, which lose digits in a browser, bytes, sets, and
everything else. What comes out can always be written as JSON in UTF-8, whatever a job's texts hold.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from pathlib import PurePath
from typing import Any, Final
from uuid import UUID

import msgspec

from antq_actors.checks import escaped
from antq_actors.introspection import NOT_SHOWN
from antq_actors.storage.format.cipher import SHOWN, Encrypted

LARGEST_EXACT: Final = 2**53
"""JavaScript's numbers have all integers up to this one."""

_PLAIN: Final = (Decimal, Fraction, UUID, PurePath)
"""Types whose ``str`` says all that there is to say."""


def dump_json(value: Any, *, indent: int | None = None) -> str:
    """Return *value* as a JSON document."""
    return json.dumps(as_json(value), indent=indent, ensure_ascii=False, allow_nan=False)


def as_json(value: Any) -> Any:
    """Return *value* in JSON's own types.

    >>> as_json({"n": 2**60, "at": (1.5, float("inf")), 7: b"x"})
    {'n': '1152921504606846976', 'at': [1.5, 'inf'], '7': "b'x'"}
    """
    if isinstance(value, Encrypted):
        return SHOWN
    names = _fields(value)
    if names:
        # One that ends in "_" is a word of Python's, such as "in".
        return {name.removesuffix("_"): as_json(getattr(value, name)) for name in names}
    if isinstance(value, Mapping):
        return _mapping(value)
    if isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray | memoryview):
        return [as_json(each) for each in value]
    return shown_leaf(value)


def _fields(value: Any) -> tuple[str, ...]:
    """Return the fields of a value that is made of some; none of any other."""
    if isinstance(value, msgspec.Struct):
        return value.__struct_fields__
    if is_dataclass(value) and not isinstance(value, type):
        shown = (
            each for each in fields(value) if NOT_SHOWN.items().isdisjoint(each.metadata.items())
        )
        return tuple(each.name for each in shown)
    return tuple(getattr(value, "_fields", ())) if isinstance(value, tuple) else ()


def shown_leaf(value: Any) -> bool | int | float | str | None:
    """Return what is shown of a *value* that is no mapping and no list."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return escaped(str(value.value) if isinstance(value, Enum) else value)
    if isinstance(value, int):
        return int(value) if abs(value) <= LARGEST_EXACT else _digits(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else repr(float(value))
    return value.total_seconds() if isinstance(value, timedelta) else escaped(_text(value))


def _text(value: Any) -> str:
    if isinstance(value, datetime):
        return _moment(value)
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, AbstractSet):
        items = ", ".join(sorted(map(repr, value)))
        return f"{{{items}}}" if items else "set()"
    return str(value) if isinstance(value, _PLAIN) else repr(value)


def _moment(value: datetime) -> str:
    """Return an instant in UTC; a time without a zone, such as in arguments, as it is."""
    if value.utcoffset() is None:
        return value.isoformat()
    try:
        return value.astimezone(UTC).isoformat()
    except OverflowError:  # near the limits of datetime
        return value.isoformat()


def _digits(value: int) -> str:
    """Return the digits of an integer; of one with more than Python writes, how long it is."""
    try:
        return int.__repr__(value)
    except ValueError:
        return f"<int of {value.bit_length()} bits>"


def _mapping(value: Mapping[Any, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, each in value.items():
        name = key if isinstance(key, str) else str(shown_leaf(key))
        name = escaped(str(name))
        # A key that is no text may be shown as one that is there as well: 1 and "1".
        while name in found:
            name = f"{name}'"
        found[name] = as_json(each)
    return found
