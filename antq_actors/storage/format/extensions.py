r"""What msgpack itself does not have, in its extensions: their codes, and the bytes of leaves.

msgpack itself has None, bool, int of 64 bits, float, str of UTF-8, bytes, list, and dict whose keys
are such str. All else in arguments is one of its extension types. Their codes are on disk for ever.

     1  tuple      an array
     2  set        an array
     3  frozenset  an array
     4  dict       with a key that is no str of UTF-8: an array of keys and values in turn
     5  deque      an array: its maxlen, then its elements
     6  int        of more bits: two's complement, big-endian
     7  str        with lone surrogates: UTF-8 that encodes those, too
     8  bytearray  its bytes
     9  complex    two floats, big-endian, as all that follow
    10  Decimal    its text
    11  Fraction   two numbers in hexadecimal: 1f/-2
    12  UUID       its 16 bytes; another one for how safe it is, where that is known
    13  date       year, month, day: 2, 1, 1 bytes
    14  time       hour, minute, second, microseconds: 1, 1, 1, 3 bytes; the zone. Hour + 128: fold
    15  datetime   date and time; the zone. Month + 128: fold
    16  timedelta  days, seconds, microseconds: 4 bytes each
    17  path       a letter for its class; its text, encoded as that of a str is
   127  an opaque  an array: the name of its class, its pickle

A zone is empty; or "o" and an offset in microseconds, of 8 bytes; or "n", such an offset and a
name; or "z" and the key of a ZoneInfo.

This file knows no containers of msgpack and no pickles: ``values`` reads and writes those.
"""

from __future__ import annotations

import datetime as dt
import decimal
import fractions
import pathlib
import pickle
import struct
import uuid
import zoneinfo
from typing import TYPE_CHECKING, Any, Final

from msgspec.msgpack import Ext

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

TUPLE: Final = 1
SET: Final = 2
FROZENSET: Final = 3
DICT: Final = 4
DEQUE: Final = 5
INT: Final = 6
TEXT: Final = 7
BYTEARRAY: Final = 8
COMPLEX: Final = 9
DECIMAL: Final = 10
FRACTION: Final = 11
UUID: Final = 12
DATE: Final = 13
TIME: Final = 14
DATETIME: Final = 15
TIMEDELTA: Final = 16
PATH: Final = 17
OPAQUE: Final = 127

_DATE: Final = struct.Struct(">HBB")
_TIME: Final = struct.Struct(">BBBBH")
_DATETIME: Final = struct.Struct(">HBBBBBBH")
_TIMEDELTA: Final = struct.Struct(">iii")
_COMPLEX: Final = struct.Struct(">dd")
_OFFSET: Final = struct.Struct(">q")
_FOLD: Final = 128
_UTC: Final = b"o" + bytes(8)
_MICROSECOND: Final = dt.timedelta(microseconds=1)
_UUID_BYTES: Final = 16

PATHS: Final[Mapping[str, type[pathlib.PurePath]]] = {
    "p": pathlib.PurePosixPath,
    "w": pathlib.PureWindowsPath,
    "P": pathlib.PosixPath,
    "W": pathlib.WindowsPath,
}
_PATH_LETTERS: Final = {kind: letter for letter, kind in PATHS.items()}


def _extend_date(value: dt.date) -> Ext:
    return Ext(DATE, _DATE.pack(value.year, value.month, value.day))


def _extend_time(value: dt.time) -> Ext | None:
    zone = b"" if value.tzinfo is None else _zone_bytes(value.tzinfo)
    if zone is None:
        return None
    micro, hour = value.microsecond, value.hour | value.fold * _FOLD
    return Ext(
        TIME, _TIME.pack(hour, value.minute, value.second, micro >> 16, micro & 0xFFFF) + zone
    )


def _extend_datetime(value: dt.datetime) -> Ext | None:
    zone = b"" if value.tzinfo is None else _zone_bytes(value.tzinfo)
    if zone is None:
        return None
    micro, month = value.microsecond, value.month | value.fold * _FOLD
    day = (value.year, month, value.day)
    time = (value.hour, value.minute, value.second, micro >> 16, micro & 0xFFFF)
    return Ext(DATETIME, _DATETIME.pack(*day, *time) + zone)


def _zone_bytes(zone: dt.tzinfo) -> bytes | None:
    """Return the bytes of a time zone; None for one of another class, or that has no key."""
    if zone is dt.UTC:
        return _UTC
    if type(zone) is dt.timezone:
        offset, *name = zone.__getinitargs__()  # type: ignore[attr-defined]  # pickle has it of there
        packed = _OFFSET.pack(offset // _MICROSECOND)
        return b"n" + packed + text_bytes(name[0]) if name else b"o" + packed
    if type(zone) is not zoneinfo.ZoneInfo or type(zone.key) is not str:
        return None
    try:
        zone.__reduce__()
    except pickle.PicklingError:
        return None  # it was read from a file
    return b"z" + text_bytes(zone.key)


def _extend_uuid(value: uuid.UUID) -> Ext:
    safe = value.is_safe.value
    return Ext(UUID, value.bytes if safe is None else value.bytes + bytes((safe & 0xFF,)))


def _extend_path(value: pathlib.PurePath) -> Ext | None:
    text = str(value)
    if type(value)(text) != value:
        return None  # such as ./c: in Windows, which is written like the drive c:
    return Ext(PATH, text_bytes(_PATH_LETTERS[type(value)] + text))


def text_bytes(text: str) -> bytes:
    """Return the bytes of a text of arguments; of its lone surrogates, too."""
    return text.encode("utf-8", "surrogatepass")


EXTENSIONS: Final[Mapping[type, Callable[[Any], Ext | None]]] = {
    bytearray: lambda value: Ext(BYTEARRAY, bytes(value)),
    complex: lambda value: Ext(COMPLEX, _COMPLEX.pack(value.real, value.imag)),
    decimal.Decimal: lambda value: Ext(DECIMAL, str(value).encode()),
    fractions.Fraction: lambda value: Ext(FRACTION, b"%x/%x" % value.as_integer_ratio()),
    uuid.UUID: _extend_uuid,
    dt.date: _extend_date,
    dt.time: _extend_time,
    dt.datetime: _extend_datetime,
    dt.timedelta: lambda value: Ext(
        TIMEDELTA, _TIMEDELTA.pack(value.days, value.seconds, value.microseconds)
    ),
    **dict.fromkeys(PATHS.values(), _extend_path),
}
"""None: this one has what its bytes cannot say, and is an opaque."""


# ---- from bytes -----------------------------------------------------------------------------


def _read_time(data: bytes) -> dt.time:
    hour, minute, second, high, low = _TIME.unpack_from(data)
    zone = read_zone(data[_TIME.size :])
    return dt.time(hour % _FOLD, minute, second, high << 16 | low, zone, fold=hour // _FOLD)


def _read_datetime(data: bytes) -> dt.datetime:
    year, month, day, hour, minute, second, high, low = _DATETIME.unpack_from(data)
    zone, fold = read_zone(data[_DATETIME.size :]), month // _FOLD
    micro = high << 16 | low
    return dt.datetime(year, month % _FOLD, day, hour, minute, second, micro, zone, fold=fold)


def read_zone(data: bytes) -> dt.tzinfo | None:
    """Return the time zone in the bytes of an argument's date or time. Raises any error."""
    if not data:
        return None
    if data == _UTC:
        return dt.UTC
    kind, rest = data[:1], data[1:]
    if kind == b"z":
        return zoneinfo.ZoneInfo(_text_of(rest))
    offset = dt.timedelta(microseconds=_OFFSET.unpack_from(rest)[0])
    if kind == b"n":
        return dt.timezone(offset, _text_of(rest[_OFFSET.size :]))
    if data != b"o" + _OFFSET.pack(offset // _MICROSECOND):
        raise ValueError("no time zone")
    return dt.timezone(offset)


def zone_key(code: int, data: bytes) -> str | None:
    """Return the key of the ZoneInfo in an extension's bytes, None if there is none."""
    zone = data[_DATETIME.size if code == DATETIME else _TIME.size :]
    return _text_of(zone[1:]) if zone[:1] == b"z" else None


def _read_uuid(data: bytes) -> uuid.UUID:
    safe = uuid.SafeUUID.unknown
    if len(data) > _UUID_BYTES:
        (number,) = data[_UUID_BYTES:]
        safe = uuid.SafeUUID(number if number < _FOLD else number - 256)
    return uuid.UUID(bytes=data[:_UUID_BYTES], is_safe=safe)


def _read_fraction(data: bytes) -> fractions.Fraction:
    numerator, denominator = data.split(b"/")
    return fractions.Fraction(int(numerator, 16), int(denominator, 16))


def _read_path(data: bytes) -> pathlib.PurePath:
    text = _text_of(data)
    return PATHS[text[:1]](text[1:])


def _text_of(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass")


LEAF_READERS: Final[Mapping[int, Callable[[bytes], Any]]] = {
    INT: lambda data: int.from_bytes(data, "big", signed=True),
    TEXT: _text_of,
    BYTEARRAY: bytearray,
    COMPLEX: lambda data: complex(*_COMPLEX.unpack(data)),
    DECIMAL: lambda data: decimal.Decimal(data.decode("ascii")),
    FRACTION: _read_fraction,
    UUID: _read_uuid,
    DATE: lambda data: dt.date(*_DATE.unpack(data)),
    TIME: _read_time,
    DATETIME: _read_datetime,
    TIMEDELTA: lambda data: dt.timedelta(*_TIMEDELTA.unpack(data)),
    PATH: _read_path,
}
"""What makes a leaf of its bytes. They execute nothing, and raise anything for wrong bytes."""
