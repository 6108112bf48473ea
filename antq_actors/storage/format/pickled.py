"""Arguments that an earlier release pickled, as this one writes them; nothing is executed.

The pickle is read by the unpickler of the standard library, which finds nothing but the functions
here: each makes plain data of exactly what a pickle of that has. What it gives is converted if all
of it is plain. Everything else stays as it was, to be unpickled for the worker that runs the job.
"""

from __future__ import annotations

import collections
import copyreg
import datetime as dt
import decimal
import fractions
import io
import pathlib
import pickle
import struct
import uuid
import zoneinfo
from typing import TYPE_CHECKING, Any, Final, NoReturn

from antq_actors.storage.format.values import DEEPEST, PICKLED, Packing, TakenWhole

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from msgspec.msgpack import Ext

_MOST_TEXT: Final = 20_000_000
"""Characters that references within a pickle may add to those in its bytes."""

_DATE: Final = struct.Struct(">HBB")
_DATETIME: Final = struct.Struct(">HBBBBBBH")
_TIME: Final = struct.Struct(">BBBBH")
_FOLD: Final = 128


def converted(encoded: bytes) -> bytes:
    """Return a job's pickled arguments as msgpack, executing nothing.

    The same bytes if they are not plain, or of another format.
    """
    # The unpickler takes registered extensions from a cache, past the functions here.
    if encoded[:1] != PICKLED or copyreg._extension_registry:  # type: ignore[attr-defined]  # noqa: SLF001
        return encoded
    try:
        args = _Unpickler(io.BytesIO(encoded[1:])).load()
        if type(args) is not dict or any(type(name) is not str for name in args):
            return encoded
        packing = _PlainPacking(len(encoded) + _MOST_TEXT)
        return packing.encoded({name: packing.argument(value) for name, value in args.items()})
    except Exception:  # noqa: BLE001 - unpickling raises anything, and these bytes may be any
        return encoded


class _PlainPacking(Packing):
    """Packs what a pickle gave, in which values may be shared, if it is plain and not too large."""

    __slots__ = ("_text_left",)

    def __init__(self, most_text: int) -> None:
        super().__init__(checks_leaves=True)
        self._text_left = most_text

    def argument(self, value: Any) -> Any:
        return self.packed(value, DEEPEST)  # all arguments together have so many values

    def packed(self, value: Any, depth: int) -> Any:
        if type(value) is _PickledUUID:
            value = value.made()
        return super().packed(value, depth)

    def leaf(self, value: Any) -> Any:
        self._text_left -= len(value) if isinstance(value, str | bytes) else 8
        if self._text_left < 0:
            raise TakenWhole
        return super().leaf(value)

    def opaque(self, value: Any) -> Ext:  # noqa: ARG002 - as the base
        raise TakenWhole


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _STANDING_FOR:
            return _STANDING_FOR[module, name]
        make = _MAKERS[module, name]
        # A function of its own each time: a pickle can change the attributes of what it finds.
        return lambda *args: make(*args)  # noqa: PLW0108 - see above

    def persistent_load(self, _: object) -> NoReturn:
        raise pickle.UnpicklingError("arguments have no persistent ids")


class _Fixed(type):
    """A class that a pickle cannot change."""

    def __setattr__(cls, name: str, value: object) -> NoReturn:
        raise pickle.UnpicklingError(f"a pickle sets {name!r}")


class _PickledUUID(metaclass=_Fixed):
    """Stands for a UUID, which a pickle makes empty and then fills in."""

    __slots__ = ("_state",)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._state = state

    def __hash__(self) -> int:
        return hash(self.made())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _PickledUUID) and self.made() == other.made()

    def made(self) -> uuid.UUID:
        """Return the UUID. Raises any error for what is none."""
        safe = uuid.SafeUUID(self._state.get("is_safe"))
        return uuid.UUID(int=_a(int, self._state["int"]), is_safe=safe)


def _a(kind: type, value: Any) -> Any:
    if type(value) is not kind:
        raise TypeError(f"{kind.__name__} expected")
    return value


def _date(state: object) -> dt.date:
    return dt.date(*_DATE.unpack(_a(bytes, state)))


def _datetime(state: object, zone: object = None) -> dt.datetime:
    year, month, day, hour, minute, second, high, low = _DATETIME.unpack(_a(bytes, state))
    micro, fold = high << 16 | low, month // _FOLD
    return dt.datetime(
        year, month % _FOLD, day, hour, minute, second, micro, _zone(zone), fold=fold
    )


def _time(state: object, zone: object = None) -> dt.time:
    hour, minute, second, high, low = _TIME.unpack(_a(bytes, state))
    micro, fold = high << 16 | low, hour // _FOLD
    return dt.time(hour % _FOLD, minute, second, micro, _zone(zone), fold=fold)


def _getattr(owner: object, name: object) -> Callable[[object, object], zoneinfo.ZoneInfo]:
    if owner is not _ZONE_INFO or name != "_unpickle":
        raise TypeError("only the maker of a ZoneInfo is looked for")
    return lambda key, _: zoneinfo.ZoneInfo(_a(str, key))


def _zone(value: Any) -> dt.tzinfo | None:
    if value is not None and type(value) not in {dt.timezone, zoneinfo.ZoneInfo}:
        raise TypeError("a zone expected")
    zone: dt.tzinfo | None = value
    return zone


def _timedelta(days: object, seconds: object, microseconds: object) -> dt.timedelta:
    return dt.timedelta(_a(int, days), _a(int, seconds), _a(int, microseconds))


def _timezone(offset: object, *name: object) -> dt.timezone:
    return dt.timezone(_a(dt.timedelta, offset), *(_a(str, each) for each in name))


def _fraction(numerator: object, denominator: object) -> fractions.Fraction:
    return fractions.Fraction(_a(int, numerator), _a(int, denominator))


def _deque(items: object = (), longest: object = None) -> collections.deque[Any]:
    if _a(tuple, items):
        raise ValueError("its elements are appended")
    return collections.deque(maxlen=None if longest is None else _a(int, longest))


def _path_maker(kind: type[pathlib.PurePath]) -> Callable[..., pathlib.PurePath]:
    return lambda *parts: kind(*(_a(str, part) for part in parts))


_ZONE_INFO: Final = object()
_STANDING_FOR: Final = {("uuid", "UUID"): _PickledUUID, ("zoneinfo", "ZoneInfo"): _ZONE_INFO}
"""What a pickle finds in place of classes that it does not call."""

_MAKERS: Final[Mapping[tuple[str, str], Callable[..., Any]]] = {
    ("builtins", "complex"): lambda real, imaginary: complex(_a(float, real), _a(float, imaginary)),
    ("collections", "deque"): _deque,
    ("datetime", "date"): _date,
    ("datetime", "datetime"): _datetime,
    ("datetime", "time"): _time,
    ("datetime", "timedelta"): _timedelta,
    ("datetime", "timezone"): _timezone,
    ("decimal", "Decimal"): lambda text: decimal.Decimal(_a(str, text)),
    ("fractions", "Fraction"): _fraction,
    ("builtins", "getattr"): _getattr,
    **{
        (module, kind.__name__): _path_maker(kind)
        for module in ("pathlib", "pathlib._local")  # Python 3.13 pickles the second
        for kind in (
            *(pathlib.PurePosixPath, pathlib.PureWindowsPath),
            *(pathlib.PosixPath, pathlib.WindowsPath),
        )
    },
}
"""What makes plain data of what its own pickle has. Raises anything for what it does not accept."""
