"""The arguments of a job as bytes. What arrives equals what was given, in its type too.

The first byte is the format.

    0x02  msgpack, with the extensions of ``extensions``
    0x01  a pickle, as earlier releases wrote it, where no migration could convert it

An opaque is what is of any other class than those, also of a subclass of one of them; and an
argument that holds itself or very much. It alone is pickled, and can run code when it is loaded.
"""

from __future__ import annotations

import collections
import datetime as dt
import decimal
import fractions
import pickle
import uuid
from types import BuiltinFunctionType, FunctionType
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec.msgpack import Ext

from antq_actors.checks import is_utf8
from antq_actors.errors import StorageError
from antq_actors.jobs.function_worker import FunctionWorker
from antq_actors.storage import main_objects
from antq_actors.storage.format.extensions import (
    DEQUE,
    DICT,
    EXTENSIONS,
    FROZENSET,
    INT,
    LEAF_READERS,
    OPAQUE,
    SET,
    TEXT,
    TUPLE,
    text_bytes,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

MSGPACK: Final = b"\x02"
PICKLED: Final = b"\x01"

DEEPEST: Final = 32
"""Levels of containers within an argument; what is nested deeper is an opaque."""

MOST_VALUES: Final = 1_000_000
"""Values within an argument; what has more, such as lists that share lists, is an opaque."""

MOST_OPAQUES: Final = 32
"""Opaques within an argument; what has more is one itself, so that its classes are named once."""

_LEAVES: Final = frozenset({str, int, float, bool, type(None), bytes})
_UNCHANGING: Final = _LEAVES | {
    *(complex, dt.date, dt.datetime, dt.time, dt.timedelta, decimal.Decimal, fractions.Fraction),
    uuid.UUID,
}
_NAMES: Final = frozenset({str})
_LEAST_INT: Final = -(2**63)
_LARGEST_INT: Final = 2**64 - 1

_encode: Final = msgspec.msgpack.Encoder().encode


def encode_args(args: Mapping[str, Any]) -> bytes:
    """Return a job's arguments as bytes: a format byte and msgpack.

    Raises TypeError for a key that is no ``str`` and, naming its key, for a value that cannot be
    pickled.
    """
    if (
        type(args) is dict
        and _NAMES.issuperset(map(type, args))
        and _LEAVES.issuperset(map(type, args.values()))
    ):
        try:
            return MSGPACK + _encode(args)  # nearly always
        except (OverflowError, UnicodeEncodeError):
            pass
    return _encode_any(args)[0]


def encode_and_snapshot(args: dict[str, Any]) -> tuple[bytes, dict[str, Any]]:
    """Return checked arguments of a new job as bytes, and a copy that their owner cannot change.

    An object that is opaque is not copied, nor are the arguments beside it. Raises what
    :func:`encode_args` raises.
    """
    if _LEAVES.issuperset(map(type, args.values())):
        try:
            return MSGPACK + _encode(args), args  # nearly always
        except (OverflowError, UnicodeEncodeError):
            pass
    encoded, is_plain = _encode_any(args)
    if not is_plain or _UNCHANGING.issuperset(map(type, args.values())):
        return encoded, args
    return encoded, load_args(encoded)


def load_args(encoded: bytes) -> dict[str, Any]:
    """Return a job's stored arguments, which executes what its pickles name: only to run the job.

    Raises whatever that raises, and StorageError for another format.
    """
    if encoded[:1] == MSGPACK:
        args = _decode(encoded[1:])
    elif encoded[:1] == PICKLED:
        args = pickle.loads(encoded[1:])  # noqa: S301 - a job's own worker asks
    else:
        raise unknown_format(encoded)
    if type(args) is not dict:
        raise StorageError(f"the arguments are a {type(args).__name__} instead of a dict")
    return args


def encode_value(value: object) -> bytes:
    """Return what a job returned as bytes, as its arguments are. Raises TypeError and any error.

    >>> load_value(encode_value({"pages": (1, 2)}))
    {'pages': (1, 2)}
    """
    try:
        return encode_args({"": value})
    except TypeError as error:
        raise error.__cause__ or error from None


NONE: Final = encode_value(None)
"""None, as `encode_value` encodes it."""


def load_value(encoded: bytes) -> Any:
    """Return what `encode_value` encoded, which executes what its pickles name. Raises anything."""
    return load_args(encoded)[""]


def unknown_format(encoded: bytes) -> StorageError:
    """Return the error for a job's arguments of a format that this release does not know."""
    return StorageError(
        f"arguments begin with the byte {encoded[:1]!r}, which this version does not know;"
        " were they stored by a newer antq_actors?"
    )


# ---- to bytes -------------------------------------------------------------------------------


class TakenWhole(Exception):
    """An argument is nested too deeply or too large to be carried part by part."""


class _UnpicklableError(Exception):
    """A part of an argument cannot be pickled; its cause says why."""


def _encode_any(args: Mapping[str, Any]) -> tuple[bytes, bool]:
    """Return a job's arguments as bytes, and whether none of them is or has an opaque."""
    try:
        return _encode_each(args, Packing())
    except (OverflowError, UnicodeEncodeError):
        # There is a number of more bits, or text that is no UTF-8: each leaf is looked at.
        return _encode_each(args, Packing(checks_leaves=True))


def _encode_each(args: Mapping[str, Any], packing: Packing) -> tuple[bytes, bool]:
    packed = {}
    is_plain = True
    for key, value in args.items():
        if type(key) is not str:
            raise TypeError(
                f"the names of arguments are str, got {key!r} ({type(key).__name__}):"
                f" write {{{str(key)!r}: ...}}"
            )
        if type(value) in _LEAVES and not packing.checks_leaves:
            packed[key] = value
            continue
        try:
            packed[key] = packing.argument(value)
        except _UnpicklableError as error:
            reason = error.__cause__
            raise TypeError(
                f"the argument {key!r} ({type(value).__name__}) cannot be pickled: {reason};"
                " pass what it is made from, such as a path, an id or a URL, instead"
            ) from reason
        if packing.opaques:
            is_plain = False
    return packing.encoded(packed), is_plain


class Packing:
    """Turns arguments into what msgpack carries exactly. Only the type itself of a value counts."""

    __slots__ = ("_values_left", "checks_leaves", "opaques")

    def __init__(self, *, checks_leaves: bool = False) -> None:
        self.checks_leaves = checks_leaves
        """Else a number or a text that msgpack does not have is left to its encoder to refuse."""
        self._values_left = MOST_VALUES
        self.opaques = 0
        """Those in the last argument."""

    def argument(self, value: Any) -> Any:
        """Return an argument as what msgpack carries. Raises an error for what cannot be pickled.

        Its cause says why.
        """
        self._values_left, self.opaques = MOST_VALUES, 0
        try:
            return self.packed(value, DEEPEST)
        except TakenWhole:
            self.opaques = 0
            return self.opaque(value)

    def encoded(self, packed: dict[str, Any]) -> bytes:
        """Return the bytes of arguments whose values are packed."""
        if self.checks_leaves:
            return MSGPACK + _encode(_mapping(self.items(packed, 0), [*packed.values()]))
        return MSGPACK + _encode(packed)

    def packed(self, value: Any, depth: int) -> Any:
        """Return a part of an argument as what msgpack carries."""
        kind = type(value)
        if kind in _LEAVES:
            return self.leaf(value) if self.checks_leaves else value
        pack = _CONTAINERS.get(kind)
        if pack is not None:
            self._values_left -= len(value)
            if depth == 0 or self._values_left < 0:
                raise TakenWhole
            return pack(self, value, depth - 1)
        extend = EXTENSIONS.get(kind)
        extended = None if extend is None else extend(value)
        return self.opaque(value) if extended is None else extended

    def items(self, values: Iterable[Any], depth: int) -> list[Any]:
        """Return the elements of a part of an argument as what msgpack carries."""
        items = [*values]
        if not self.checks_leaves and _LEAVES.issuperset(map(type, items)):
            return items
        return [self.packed(item, depth) for item in items]

    def leaf(self, value: Any) -> Any:
        """Return a leaf of an argument as what msgpack carries."""
        kind = type(value)
        if kind is str and not is_utf8(value):
            return Ext(TEXT, text_bytes(value))
        if kind is int and not _LEAST_INT <= value <= _LARGEST_INT:
            return Ext(INT, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))
        return value

    def opaque(self, value: Any) -> Ext:
        """Return an opaque for a part of an argument: its pickle behind the name of its class."""
        self.opaques += 1
        if self.opaques > MOST_OPAQUES:
            raise TakenWhole
        try:
            return Ext(OPAQUE, _encode((_shown_name(value), main_objects.dumps(value))))
        except Exception as error:
            raise _UnpicklableError from error


def _pack_dict(packing: Packing, value: dict[Any, Any], depth: int) -> Any:
    value = value.copy()  # another thread may change it
    if packing.checks_leaves or not _NAMES.issuperset(map(type, value)):
        return _mapping(packing.items(value, depth), packing.items(value.values(), depth))
    if _LEAVES.issuperset(map(type, value.values())):
        return value
    return {key: packing.packed(item, depth) for key, item in value.items()}


def _mapping(keys: list[Any], values: list[Any]) -> Any:
    pairs = zip(keys, values, strict=True)
    if _NAMES.issuperset(map(type, keys)):
        return dict(pairs)
    return Ext(DICT, _encode([each for pair in pairs for each in pair]))


def _pack_deque(packing: Packing, value: collections.deque[Any], depth: int) -> Ext:
    return Ext(DEQUE, _encode([value.maxlen, *packing.items(value, depth)]))


def _packer(code: int) -> Callable[[Packing, Any, int], Ext]:
    def pack(packing: Packing, value: Any, depth: int) -> Ext:
        return Ext(code, _encode(packing.items(value, depth)))

    return pack


_CONTAINERS: Final[Mapping[type, Callable[[Packing, Any, int], Any]]] = {
    list: Packing.items,
    dict: _pack_dict,
    tuple: _packer(TUPLE),
    set: _packer(SET),
    frozenset: _packer(FROZENSET),
    collections.deque: _pack_deque,
}

LONGEST_PART: Final = 200
"""Longest part of a name that is shown, in characters."""

_NAMED: Final = (type, FunctionType, BuiltinFunctionType, FunctionWorker)
_IN_ZONES: Final = (dt.datetime, dt.time)


def _shown_name(value: Any) -> str:
    """Return what an opaque for *value* is shown as: its class, or itself if it is one."""
    named = value if isinstance(value, _NAMED) else type(value)
    parts = getattr(named, "__module__", None), getattr(named, "__qualname__", None)
    name = ".".join(printable_part(part) for part in parts)
    if type(value) in _IN_ZONES:
        return f"{name} in {_shown_name(value.tzinfo)}"
    return name


def printable_part(part: object, longest: int = LONGEST_PART) -> str:
    r"""Return a part of a name as text that is safe to show.

    >>> printable_part("sh\x1bop"), printable_part(7)
    ('sh\\x1bop', '?')
    """
    if not isinstance(part, str):
        return "?"
    shown = part[:longest]
    if not shown.isprintable():
        # It has control characters or lone surrogates, which no terminal should get.
        shown = ascii(shown)[1:-1][:longest]
    return shown if len(part) <= longest else f"{shown}..."


# ---- from bytes -----------------------------------------------------------------------------


def _load_extension(code: int, data: memoryview) -> Any:
    """Return what an extension of msgpack stands for in a job's arguments."""
    read = _CONTAINER_READERS.get(code) or LEAF_READERS.get(code)
    if read is None:
        raise StorageError(
            f"arguments have the extension {code}, which this version does not know;"
            " were they stored by a newer antq_actors?"
        )
    return read(bytes(data))


_decode: Final = msgspec.msgpack.Decoder(ext_hook=_load_extension).decode


def _load_dict(data: bytes) -> dict[Any, Any]:
    items = iter(_decode(data))
    return dict(zip(items, items, strict=True))


def _load_deque(data: bytes) -> collections.deque[Any]:
    longest, *items = _decode(data)
    return collections.deque(items, longest)


def _load_opaque(data: bytes) -> Any:
    _, pickled = _decode(data)
    return pickle.loads(pickled)  # noqa: S301 - a job's own worker asks


_CONTAINER_READERS: Final[Mapping[int, Callable[[bytes], Any]]] = {
    TUPLE: lambda data: tuple(_decode(data)),
    SET: lambda data: set(_decode(data)),
    FROZENSET: lambda data: frozenset(_decode(data)),
    DICT: _load_dict,
    DEQUE: _load_deque,
    OPAQUE: _load_opaque,
}
