"""Reading pickled arguments without running anything they name.

Whoever can write to a store can put any pickle there, and a pickle may call any function. So who
only looks at jobs reads them here: plain data becomes itself, everything else an
:class:`Opaque` that says what it would have been. Nothing is imported and nothing but the
constructors of plain data types is called.
"""

from __future__ import annotations

import collections
import datetime as dt
import decimal
import fractions
import io
import pathlib
import pickle
import uuid
import zoneinfo
from typing import Any, Final


def _getattr(value: object, name: str) -> Any:
    """Stand for ``getattr`` in a pickle: a time zone names its own way to be made."""
    if value is zoneinfo.ZoneInfo and name == "_unpickle":
        return getattr(value, name)
    return Opaque(f"{value!r}.{name}")


_PLAIN: Final[dict[tuple[str, str], Any]] = {
    ("builtins", "complex"): complex,
    ("builtins", "frozenset"): frozenset,
    ("builtins", "getattr"): _getattr,
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
    ("pathlib", "PurePosixPath"): pathlib.PurePosixPath,
    ("pathlib", "PureWindowsPath"): pathlib.PureWindowsPath,
    ("pathlib", "PosixPath"): pathlib.PurePosixPath,
    ("pathlib", "WindowsPath"): pathlib.PureWindowsPath,
    ("uuid", "SafeUUID"): uuid.SafeUUID,
    ("uuid", "UUID"): uuid.UUID,
    ("zoneinfo", "ZoneInfo"): zoneinfo.ZoneInfo,
}

# cloudpickle describes a class that has no module to import it from by calling this, with the
# class's name second and its namespace fourth.
_CLASS_BY_VALUE: Final = "cloudpickle.cloudpickle._make_skeleton_class"


class Opaque:
    """Stands for a value that is shown, but was not made.

    >>> Opaque("shop.Cart")
    <opaque shop.Cart>
    """

    __slots__ = ("name",)

    name: str
    """What it would have been: ``module.QualName``."""

    def __new__(cls, name: object = "?", *_args: object, **_kwargs: object) -> Opaque:  # noqa: PYI034 - cls may be an instance
        """Make one; or, as the unpickler asks an Opaque class for an instance, its namesake."""
        made = object.__new__(Opaque)
        made.name = cls.name if isinstance(cls, Opaque) else str(name)
        return made

    def __call__(self, *args: object, **_kwargs: object) -> Opaque:
        """Stand for the result of calling what this stands for."""
        if self.name == _CLASS_BY_VALUE and len(args) > 3:  # noqa: PLR2004 - see above
            namespace = args[3] if isinstance(args[3], dict) else {}
            return Opaque(f"{namespace.get('__module__', '?')}.{args[1]}")
        return Opaque(self.name)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Opaque) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"<opaque {self.name}>"

    # A pickle fills the objects it makes by these four; what it fills in is left out.

    def __setstate__(self, _state: object) -> None:
        """Leave out the state."""

    def __setitem__(self, _key: object, _value: object) -> None:
        """Leave out an item."""

    def append(self, _item: object) -> None:
        """Leave out an element."""

    def extend(self, _items: object) -> None:
        """Leave out elements."""

    def add(self, _item: object) -> None:
        """Leave out a member."""


def read_plain(pickled: bytes) -> Any:
    """Answer the value, with an Opaque for each part that is no plain data.

    Raises whatever the unpickler raises for bytes that are no pickle.
    """
    try:
        return _PlainUnpickler(io.BytesIO(pickled)).load()
    except _NotPlainError:
        return _OpaqueUnpickler(io.BytesIO(pickled)).load()


class _NotPlainError(Exception):
    """A pickle names something that is no plain data type."""


class _PlainUnpickler(pickle.Unpickler):
    """The fast one, for plain data only."""

    def find_class(self, module: str, name: str, /) -> Any:
        try:
            return _PLAIN[module, name]
        except KeyError:
            raise _NotPlainError from None


# The unpickler in C insists that what is instantiated is a class; the one in Python does not, so
# there an Opaque can stand for a class.
class _OpaqueUnpickler(pickle._Unpickler):  # noqa: SLF001 - it has no public name
    def find_class(self, module: str, name: str) -> Any:
        known = _PLAIN.get((module, name))
        if known is None:
            return Opaque(f"{module}.{name}")
        return _shown_datetime if known is dt.datetime else known


def _shown_datetime(*args: Any) -> Any:
    """Make a datetime, which accepts no Opaque for its zone."""
    zones = [value.name for value in args if isinstance(value, Opaque)]
    return Opaque(f"datetime.datetime in {zones[0]}") if zones else dt.datetime(*args)  # noqa: DTZ001 - as it was given
