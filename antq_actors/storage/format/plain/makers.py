"""The plain data types of the standard library, each made from what a pickle of it holds.

A maker accepts exactly what the type's own ``__reduce__`` gives, in kind and in size, and raises
for all else: the constructors themselves accept far more, such as ``Fraction("1e999999999")``,
which takes all memory, or a datetime with a month and an hour that no code expects.
"""

from __future__ import annotations

import collections
import datetime as dt
import decimal
import fractions
import pathlib
import re
import uuid
import zoneinfo
from struct import Struct
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LONGEST_NUMBER: Final = 4_300
"""Digits of the longest number that is made; Python prints no longer ones either."""

LONGEST_PATH: Final = 4_096
"""Characters of the longest path that is made."""

_MOST_BITS: Final = 128
_DATE: Final = Struct(">HBB")
_DATETIME: Final = Struct(">HBBBBBBH")
_TIME: Final = Struct(">BBBBH")
_ZONE: Final = re.compile(r"[A-Za-z][\w+-]{0,31}(?:/[A-Za-z][\w+-]{0,31}){0,2}", re.ASCII)

_PATHS: Final = {
    "PurePosixPath": pathlib.PurePosixPath,
    "PureWindowsPath": pathlib.PureWindowsPath,
    "PosixPath": pathlib.PurePosixPath,
    "WindowsPath": pathlib.PureWindowsPath,
}

PLAIN: Final[Mapping[tuple[str, str], type]] = {
    ("builtins", "complex"): complex,
    ("builtins", "frozenset"): frozenset,
    ("builtins", "range"): range,
    ("builtins", "set"): set,
    ("builtins", "slice"): slice,
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("collections", "deque"): collections.deque,
    ("datetime", "date"): dt.date,
    ("datetime", "datetime"): dt.datetime,
    ("datetime", "time"): dt.time,
    ("datetime", "timedelta"): dt.timedelta,
    ("datetime", "timezone"): dt.timezone,
    ("decimal", "Decimal"): decimal.Decimal,
    ("fractions", "Fraction"): fractions.Fraction,
    ("uuid", "SafeUUID"): uuid.SafeUUID,
    ("uuid", "UUID"): uuid.UUID,
    ("zoneinfo", "ZoneInfo"): zoneinfo.ZoneInfo,
    **{
        (module, name): kind
        for module in ("pathlib", "pathlib._local")  # Python 3.13 pickles the second
        for name, kind in _PATHS.items()
    },
}
"""The class that a pickle means by a module and a name."""


def zone(key: object, _from_cache: object) -> zoneinfo.ZoneInfo:
    """Make a zone from its key, which is looked up as a file among the system's zones only."""
    if not _ZONE.fullmatch(_a(str, key)):
        raise ValueError(key)
    return zoneinfo.ZoneInfo(key)  # type: ignore[arg-type]  # it is a str


def empty_uuid() -> uuid.UUID:
    """Make a UUID that is about to be filled in."""
    made = object.__new__(uuid.UUID)
    # A UUID refuses to be changed, and its constructor takes ten times as long.
    object.__setattr__(made, "int", 0)
    object.__setattr__(made, "is_safe", uuid.SafeUUID.unknown)
    return made


def fill_uuid(made: uuid.UUID, state: object) -> None:
    """Give *made* the number that its pickle holds."""
    fields = _a(dict, state)
    number = _a(int, fields["int"])
    if not 0 <= number < 1 << _MOST_BITS:
        raise OverflowError
    object.__setattr__(made, "int", number)
    if "is_safe" in fields:
        object.__setattr__(made, "is_safe", _safe(fields["is_safe"]))


def _a(kind: type, value: Any) -> Any:
    if type(value) is not kind:
        raise TypeError(f"{kind.__name__} expected")
    return value


def _small(number: object) -> int:
    value: int = _a(int, number)
    if value.bit_length() > _MOST_BITS:
        raise OverflowError
    return value


def _small_or_none(number: object) -> int | None:
    return None if number is None else _small(number)


def _complex(real: object, imaginary: object) -> complex:
    return complex(_a(float, real), _a(float, imaginary))


def _range(start: object, stop: object, step: object) -> range:
    return range(_small(start), _small(stop), _small(step))


def _slice(start: object, stop: object, step: object) -> slice:
    # Of numbers only: a slice of slices of slices overflows C's stack when it goes.
    return slice(_small_or_none(start), _small_or_none(stop), _small_or_none(step))


def _ordered_dict() -> collections.OrderedDict[Any, Any]:
    return collections.OrderedDict()


def _deque(items: object = (), maxlen: object = None) -> collections.deque[Any]:
    if _a(tuple, items):
        raise ValueError("its elements are appended")
    return collections.deque(maxlen=_small_or_none(maxlen))


def _date(state: object) -> dt.date:
    return dt.date(*_DATE.unpack(_a(bytes, state)))


def _datetime(state: object, tz: object = None) -> dt.datetime:
    year, month, day, hour, minute, second, high, low = _DATETIME.unpack(_a(bytes, state))
    micro = high << 16 | low
    zone, fold = _tz(tz), month >> 7
    return dt.datetime(year, month & 0x7F, day, hour, minute, second, micro, zone, fold=fold)


def _time(state: object, tz: object = None) -> dt.time:
    hour, minute, second, high, low = _TIME.unpack(_a(bytes, state))
    return dt.time(hour & 0x7F, minute, second, high << 16 | low, _tz(tz), fold=hour >> 7)


def _tz(value: Any) -> dt.tzinfo | None:
    if value is not None and type(value) not in {dt.timezone, zoneinfo.ZoneInfo}:
        raise TypeError("a zone expected")
    zone: dt.tzinfo | None = value
    return zone


def _timedelta(days: object, seconds: object, microseconds: object) -> dt.timedelta:
    return dt.timedelta(_small(days), _small(seconds), _small(microseconds))


def _timezone(offset: object, *name: object) -> dt.timezone:
    if name and len(_a(str, name[0])) > 2 * _MOST_BITS:
        raise ValueError("a name this long")
    return dt.timezone(_a(dt.timedelta, offset), *name)  # type: ignore[arg-type]  # it is a str


def _decimal(digits: object) -> decimal.Decimal:
    if len(_a(str, digits)) > LONGEST_NUMBER:
        raise OverflowError
    made = decimal.Decimal(digits)  # type: ignore[arg-type]  # it is a str
    if made.is_snan():
        raise ValueError("a NaN that cannot be compared")
    return made


def _fraction(numerator: object, denominator: object) -> fractions.Fraction:
    return fractions.Fraction(_a(int, numerator), _a(int, denominator))


def _posix_path(*parts: object) -> pathlib.PurePosixPath:
    return pathlib.PurePosixPath(*_path_parts(parts))


def _windows_path(*parts: object) -> pathlib.PureWindowsPath:
    return pathlib.PureWindowsPath(*_path_parts(parts))


def _path_parts(parts: tuple[object, ...]) -> list[str]:
    texts: list[str] = [_a(str, part) for part in parts]
    if sum(map(len, texts)) > LONGEST_PATH:
        raise OverflowError
    return texts


def _safe(value: object) -> uuid.SafeUUID:
    return uuid.SafeUUID.unknown if value is None else uuid.SafeUUID(_small(value))


MAKERS: Final[Mapping[type, Callable[..., Any]]] = {
    complex: _complex,
    range: _range,
    slice: _slice,
    collections.OrderedDict: _ordered_dict,
    collections.deque: _deque,
    dt.date: _date,
    dt.datetime: _datetime,
    dt.time: _time,
    dt.timedelta: _timedelta,
    dt.timezone: _timezone,
    decimal.Decimal: _decimal,
    fractions.Fraction: _fraction,
    pathlib.PurePosixPath: _posix_path,
    pathlib.PureWindowsPath: _windows_path,
    uuid.SafeUUID: _safe,
}
"""How an instance of a plain class is made. Makers raise anything for what they do not accept."""
