"""The plain data types of the standard library, each made from what a pickle of it holds.

A maker accepts exactly what the type's own ``__reduce__`` gives, in kind and in size, and raises
for all else: the constructors themselves accept far more, such as ``Fraction("1e999999999")``,
which takes all memory, or a datetime with a month and an hour that no code expects.

What the names and the calls in a pickle stand for.

Only the makers of plain data are called. All else that a pickle names, calls or instantiates is an
:class:`~Opaque` of the same name.
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

from antq_actors.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LONGEST_PART: Final = 200
"""Longest part of a name that is shown, in characters."""


class Opaque:
    """Stands for a value that is shown, but was not made.

    >>> Opaque("shop.Cart")
    <opaque shop.Cart>
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name
        """What it would have been, ``module.QualName``, or why it is not shown."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Opaque) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"<opaque {self.name}>"


def named(*parts: object) -> Opaque:
    r"""Return an Opaque for what a pickle names by these parts, in text that is safe to show.

    >>> named("shop", "Cart")
    <opaque shop.Cart>
    >>> named("sh\x1bop", 7)
    <opaque sh\x1bop.?>
    """
    return Opaque(".".join(_printable(part) for part in parts))


def class_name(cls: type) -> Opaque:
    """Return an Opaque that shows the name of a class in place of an instance of it."""
    return Opaque(f"{cls.__module__}.{cls.__qualname__}")


def _printable(part: object) -> str:
    if not isinstance(part, str):
        return "?"
    shown = part[:LONGEST_PART]
    if not shown.isprintable():
        # It has control characters or lone surrogates, which no terminal should get.
        shown = ascii(shown)[1:-1][:LONGEST_PART]
    return shown if len(part) <= LONGEST_PART else f"{shown}..."


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
    """Make a time zone from its key, read as a file among the system's zones only."""
    if not _ZONE.fullmatch(_a(str, key)):
        raise ValueError(key)
    return zoneinfo.ZoneInfo(key)  # type: ignore[arg-type]  # it is a str


def empty_uuid() -> uuid.UUID:
    """Make a UUID without a number, for :func:`fill_uuid`."""
    made = object.__new__(uuid.UUID)
    # A UUID refuses to be changed, and its constructor takes ten times as long.
    object.__setattr__(made, "int", 0)
    object.__setattr__(made, "is_safe", uuid.SafeUUID.unknown)
    return made


def fill_uuid(made: uuid.UUID, state: object) -> None:
    """Give a UUID the number that its pickle holds."""
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


# ---- names and calls ------------------------------------------------------------------------

_CALL_COST: Final = 8
_DEQUE_COST: Final = 32
_ZONE_COST: Final = 4_000
_TEXT_UNIT: Final = 16

# cloudpickle describes a class that has no module to import it from by calling this, with the
# class's name second and its namespace fourth.
_CLASS_BY_VALUE: Final = "cloudpickle.cloudpickle._make_skeleton_class"

# What a script defines is called by its name, with copies for other processes.
_IN_A_SCRIPT: Final = "antq_actors.storage.main_objects.find"

# A time zone names its own way to be made: getattr(ZoneInfo, "_unpickle").
_GETATTR: Final = "builtins.getattr"
_ZONE_MAKER: Final = "zoneinfo.ZoneInfo._unpickle"


# Made by code of its own, a zone is opaque, and so is a time in it.
_IN_ZONES: Final = frozenset({dt.datetime, dt.time})


def meant(module: Any, name: Any) -> Any:
    """Return the class of plain data that a pickle names by module and name, else an Opaque."""
    if type(module) is not str or type(name) is not str:
        raise StorageError("it names something by what is no text")
    return PLAIN.get((module, name)) or named(module, name)


def cost_of_call(called: Any, args: tuple[Any, ...]) -> int:
    """Return what making plain data by :func:`result_of_call` will cost, in the machine's steps."""
    cost = _CALL_COST + len(args)
    if args and type(args[0]) is str:
        cost += len(args[0]) // _TEXT_UNIT
    if called is collections.deque:
        return cost + _DEQUE_COST
    if type(called) is Opaque and called.name == _ZONE_MAKER:
        return cost + _ZONE_COST
    return cost


def result_of_call(called: Any, args: tuple[Any, ...]) -> Any:
    """Return what a pickle's call of a class gives: plain data, or an Opaque that is not made."""
    if isinstance(called, type):
        # One of the few classes that a pickle gets by their names: they are plain data.
        maker = MAKERS.get(called)
        try:
            return maker(*args) if maker else class_name(called)
        except Exception:  # noqa: BLE001 - makers raise anything for what they do not accept
            return _not_made(called, args)
    if type(called) is not Opaque:
        raise StorageError(f"it calls a {type(called).__name__}")
    return _result_of_opaque(called, args)


def _not_made(cls: type, args: tuple[Any, ...]) -> Opaque:
    shown = class_name(cls)
    if cls in _IN_ZONES and args and type(args[-1]) is Opaque:
        return named(f"{shown.name} in {args[-1].name}")
    return shown


def _result_of_opaque(called: Opaque, args: tuple[Any, ...]) -> Any:
    if called.name == _ZONE_MAKER:
        return _zone(args)
    if called.name == _CLASS_BY_VALUE and len(args) > 3:  # noqa: PLR2004 - see above
        namespace = args[3] if type(args[3]) is dict else {}
        return named(namespace.get("__module__"), args[1])
    if called.name == _IN_A_SCRIPT and len(args) == 3:  # noqa: PLR2004 - see there
        return named("__main__", args[1])
    if called.name == _GETATTR and len(args) == 2:  # noqa: PLR2004 - an object and a name
        owner = class_name(args[0]) if isinstance(args[0], type) else args[0]
        return named(owner.name if type(owner) is Opaque else None, args[1])
    return called


def _zone(args: tuple[Any, ...]) -> Any:
    try:
        return zone(*args)
    except Exception:  # noqa: BLE001 - whatever looking for a zone raises, there is none
        return class_name(zoneinfo.ZoneInfo)
