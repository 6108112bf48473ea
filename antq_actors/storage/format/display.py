"""Jobs to look at: what is damaged shows as such, and nothing that is stored is run.

Whoever can write to a store can put any bytes there, and a pickle may call any function, or fill
all memory, or keep a processor busy for ever. So arguments to look at are read here: plain data
becomes itself, everything else an Opaque that says what it is.

Arguments of lists, dicts with text for keys, text and numbers alone are read by msgspec, which
checks that they are no more than that. All others are read value by value: nothing is hashed that
is made to collide, nothing is nested deeper than can be printed, and what is too much to show, or
damaged, shows so and hides nothing beside it. No part of msgpack refers to another one, so what is
read is never much larger than its bytes.
"""

from __future__ import annotations

import collections
import re
import struct
import sys
import types
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec

from antq_actors.errors import DamagedRecord
from antq_actors.jobs.state import ErrorEntry, JobSpec
from antq_actors.storage.format import extensions
from antq_actors.storage.format.cipher import MARK, Encrypted, opened_spec
from antq_actors.storage.format.encoding import (
    DAMAGES,
    UNREADABLE,
    contents,
    decode_error,
    decode_spec,
)
from antq_actors.storage.format.job_cipher import JobCipher, job_cipher
from antq_actors.storage.format.values import MSGPACK, PICKLED, printable_part, unknown_format

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from antq_actors.jobs.state import JobState
    from antq_actors.storage.format.cipher import Cipher


class _WorkerOfSpec(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The beginning of a JobSpec: what comes behind it is skipped."""

    worker: str


_decode_worker = msgspec.msgpack.Decoder(_WorkerOfSpec).decode


def spec_for_display(payload: bytes, state: JobState, cipher: Cipher | None = None) -> JobSpec:
    """Return a job's spec for display, decoded from *payload*; a damaged spec shows as such.

    What is encrypted is decrypted where *cipher* has the key, and left as it is where not.
    """
    try:
        spec = decode_spec(contents(payload))
    except DamagedRecord:
        return JobSpec(worker=UNREADABLE, args=b"", inserted_at=state.updated_at)
    if cipher is None:
        return spec
    with suppress(DamagedRecord):
        return opened_spec(spec, cipher)
    return spec


def worker_for_display(payload: bytes) -> str:
    """Return the worker's name in a spec's bytes, without decoding the rest; "?" if damaged."""
    try:
        return _decode_worker(contents(payload)).worker
    except (DamagedRecord, *DAMAGES):
        return UNREADABLE


def errors_for_display(
    records: Sequence[bytes], payload: bytes, cipher: Cipher | None = None
) -> tuple[ErrorEntry, ...]:
    """Return entries of a job's errors for display; a damaged entry shows as such.

    What is encrypted is decrypted as in :func:`spec_for_display`, given the job's *payload*.
    """
    if cipher is None or not records:
        return tuple(map(_error_for_display, records))
    opener = cipher_in(payload, cipher)
    return tuple(_error_for_display(record, opener) for record in records)


def cipher_in(payload: bytes, cipher: Cipher | None) -> JobCipher:
    """Return what decrypts what came of the job with this *payload*, which may be damaged."""
    try:
        return job_cipher(decode_spec(contents(payload)), cipher)
    except DamagedRecord:
        return JobCipher(cipher, b"")


def _error_for_display(record: bytes, cipher: JobCipher | None = None) -> ErrorEntry:
    try:
        entry = decode_error(record)
    except DamagedRecord as error:
        return ErrorEntry(0, f"unreadable: {error}", None, 0)
    if cipher is None:
        return entry
    with suppress(DamagedRecord):
        return cipher.open_error(entry)
    return entry


# ---- arguments ------------------------------------------------------------------------------

DEEPEST: Final = 100
"""Levels of containers within each other; ``repr`` and ``json`` recurse once or more for each."""

MOST_VALUES: Final = 1_000_000
"""Values within arguments that are shown."""

LONGEST_NUMBER: Final = 4_300
"""Digits of the longest number that is shown; Python prints no longer ones either."""

LONGEST_PATH: Final = 4_096
"""Characters of the longest path that is shown."""

MOST_ZONES: Final = 64
"""Time zones that are looked for among the system's files for one job."""

MOST_EQUAL_HASHES: Final = 64
"""Keys of one container with the same hash; more are no accident."""

LONGEST_NAME: Final = 600
"""Characters of the name that an opaque is shown with: of a class, perhaps in a time zone."""

_DIGITS_PER_BYTE: Final = 2.40824
_ZONE: Final = re.compile(r"[A-Za-z][\w+-]{0,31}(?:/[A-Za-z][\w+-]{0,31}){0,2}", re.ASCII)
_LARGEST_SIMPLE: Final = 1_000_000
"""Bytes of the largest arguments that msgspec reads; a byte can become an empty dict."""


class Opaque:
    """What stands for a value of a job's arguments that is not shown.

    >>> Opaque("shop.Cart")
    <opaque shop.Cart>
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name
        """What it is, ``module.QualName``, or why it is not shown."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Opaque) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"<opaque {self.name}>"


def _simple(levels: int) -> Any:
    """Return the type of lists, dicts, text and numbers that are so deep in each other."""
    leaf = bool | int | float | str | None
    if levels == 0:
        return leaf
    inner = _simple(levels - 1)
    return leaf | list[inner] | dict[str, inner]  # type: ignore[valid-type]  # made at run time


_decode_simple: Final[Callable[[bytes], Any]] = msgspec.msgpack.Decoder(
    types.GenericAlias(dict, (str, _simple(4)))
).decode


def display_value(encoded: bytes) -> Any:
    """Return what `encode_value` encoded for display, as `display_args` does arguments."""
    found = display_args(encoded)
    return found.get("", next(iter(found.values()), found))


def display_args(encoded: bytes) -> dict[str, Any]:
    """Return a job's arguments for display. Runs and imports nothing, and never raises.

    What is no plain data, or too much to look at, shows as an Opaque. So do bytes that are no
    arguments at all, under the key ``"?"``: one damaged job must not hide the others of a list.
    What this returns can be printed, compared and turned into JSON in bounded time.
    """
    if encoded[:2] == MARK:
        return Encrypted()
    if encoded[:1] == PICKLED:
        return {"?": Opaque("pickled by an earlier release: a worker gets it as it was")}
    if encoded[:1] != MSGPACK:
        return {"?": Opaque(f"unreadable: {unknown_format(encoded)}")}
    if len(encoded) <= _LARGEST_SIMPLE:
        try:
            simple: dict[str, Any] = _decode_simple(encoded[1:])
        except DAMAGES:
            pass
        else:
            return simple
    try:
        return _Reader(encoded).arguments()
    except (_DamagedError, _NotShownError, MemoryError, RecursionError) as error:
        return {"?": Opaque(f"unreadable: {error}")}


class _DamagedError(Exception):
    """Bytes are no arguments."""


class _NotShownError(Exception):
    """An argument is not shown; why."""


_VALUE, _SIGNED, _FLOAT, _TEXT, _BYTES, _ARRAY, _MAP, _EXTENSION, _BAD = range(9)

_Head: TypeAlias = tuple[int, int, Any]
"""What a byte begins; in how many more bytes its number is, 0 for none; else its number."""

_HEADS: Final[dict[int, _Head]] = {
    0xC1: (_BAD, 0, 0),
    **{byte: (_VALUE, 0, byte) for byte in range(0x80)},
    **{byte: (_MAP, 0, byte & 0x0F) for byte in range(0x80, 0x90)},
    **{byte: (_ARRAY, 0, byte & 0x0F) for byte in range(0x90, 0xA0)},
    **{byte: (_TEXT, 0, byte & 0x1F) for byte in range(0xA0, 0xC0)},
    0xC0: (_VALUE, 0, None),
    0xC2: (_VALUE, 0, False),
    0xC3: (_VALUE, 0, True),
    **{0xC4 + n: (_BYTES, 1 << n, 0) for n in range(3)},
    **{0xC7 + n: (_EXTENSION, 1 << n, 0) for n in range(3)},
    **{0xCA + n: (_FLOAT, 0, 4 << n) for n in range(2)},
    **{0xCC + n: (_VALUE, 1 << n, 0) for n in range(4)},
    **{0xD0 + n: (_SIGNED, 0, 1 << n) for n in range(4)},
    **{0xD4 + n: (_EXTENSION, 0, 1 << n) for n in range(5)},
    **{0xD9 + n: (_TEXT, 1 << n, 0) for n in range(3)},
    **{0xDC + n: (_ARRAY, 2 << n, 0) for n in range(2)},
    **{0xDE + n: (_MAP, 2 << n, 0) for n in range(2)},
    **{byte: (_VALUE, 0, byte - 0x100) for byte in range(0xE0, 0x100)},
}
_NAMES: Final = {
    _VALUE: "int",
    _SIGNED: "int",
    _FLOAT: "float",
    _TEXT: "str",
    _BYTES: "bytes",
    _ARRAY: "list",
    _MAP: "dict",
    _EXTENSION: "extension",
    _BAD: "nothing",
}
_EXTENSION_NAMES: Final = {
    extensions.TUPLE: "tuple",
    extensions.SET: "set",
    extensions.FROZENSET: "frozenset",
    extensions.DICT: "dict",
    extensions.DEQUE: "collections.deque",
    extensions.INT: "int",
    extensions.TEXT: "str",
    extensions.BYTEARRAY: "bytearray",
    extensions.COMPLEX: "complex",
    extensions.DECIMAL: "decimal.Decimal",
    extensions.FRACTION: "fractions.Fraction",
    extensions.UUID: "uuid.UUID",
    extensions.DATE: "datetime.date",
    extensions.TIME: "datetime.time",
    extensions.DATETIME: "datetime.datetime",
    extensions.TIMEDELTA: "datetime.timedelta",
    extensions.PATH: "pathlib.PurePath",
    extensions.OPAQUE: "opaque",
}
_CONTAINER_COSTS: Final = {
    extensions.TUPLE: 1,
    extensions.DICT: 1,
    extensions.OPAQUE: 1,
    extensions.SET: 4,
    extensions.FROZENSET: 4,
    extensions.DEQUE: 16,
}
"""As how many values an empty one counts, for the memory that it takes."""

# Types whose hashes nobody can make collide.
_CERTAIN: Final = frozenset({str, bytes, float, bool, type(None), Opaque})
_CERTAIN_BITS: Final = 64


class _Reader:
    """Reads arguments value by value, whoever wrote them."""

    __slots__ = ("_at", "_data", "_end", "_values_left", "_zones")

    def __init__(self, encoded: bytes) -> None:
        self._data = encoded
        self._at = 1
        self._end = len(encoded)
        """Of the extension that is read: it has nothing behind that."""
        self._values_left = MOST_VALUES
        self._zones: set[str] = set()

    def arguments(self) -> dict[str, Any]:
        """Return all arguments of the job."""
        args = {}
        for _ in range(self._count_arguments()):
            self._values_left -= 1
            name = self._value(DEEPEST)
            if type(name) is not str or self._values_left < 0:
                raise _DamagedError("its arguments have no names, or are too many")
            args[name] = self._argument()
        if self._at != len(self._data):
            raise _DamagedError(f"there is something behind it, at byte {self._at}")
        return args

    def _count_arguments(self) -> int:
        number: int
        kind, number = self._head()
        if kind == _MAP:
            return number
        if kind == _EXTENSION and self._take(1)[0] == extensions.DICT:
            kind, number = self._head()
            if kind == _ARRAY and number % 2 == 0:
                return number // 2
        raise _DamagedError(f"{_NAMES[kind]} instead of a dict")

    def _argument(self) -> Any:
        """Return an argument, or an Opaque that says why it is not shown."""
        start, values_left = self._at, self._values_left
        try:
            return self._value(1)
        except _DamagedError:
            raise
        except Exception as error:  # noqa: BLE001 - comparing keys may raise any
            why = error if isinstance(error, _NotShownError) else f"cannot be shown: {error!r}"
            self._at, self._values_left = start, values_left
            return Opaque(f"{self._skip()} that {why}")

    def _skip(self) -> str:
        """Go on behind the value that begins here; return what it is."""
        start, left = self._at, 1
        while left:
            left -= 1
            kind, number = self._head()
            if kind == _ARRAY:
                left += number
            elif kind == _MAP:
                left += 2 * number
            elif kind != _VALUE:
                self._at += number + (kind == _EXTENSION)
        end, self._at = self._at, start
        self._check_end(end)
        kind, _ = self._head()
        name = _NAMES[kind]
        if kind == _EXTENSION:
            name = _EXTENSION_NAMES.get(self._data[self._at], name)
        self._at = end
        return name

    def _head(self) -> tuple[int, Any]:
        """Read what begins here, and its number: its length, its count, or itself."""
        self._check_end(self._at + 1)
        kind, width, number = _HEADS[self._data[self._at]]
        if kind == _BAD:
            raise _DamagedError(f"nothing begins with the byte {self._at}")
        self._at += 1
        if width:
            number = int.from_bytes(self._take(width), "big")
        return kind, number

    def _take(self, size: int) -> bytes:
        start = self._at
        self._at = end = start + size
        self._check_end(end)
        return self._data[start:end]

    def _check_end(self, end: int) -> None:
        if end > self._end:
            raise _DamagedError(f"it ends at byte {self._end}, amid a value")

    def _value(self, level: int) -> Any:  # noqa: PLR0911 - one return for each kind of value
        """Return the value that begins here, *level* levels deep."""
        kind, number = self._head()
        if kind == _VALUE:
            return number
        if kind == _ARRAY:
            return self._items(number, level)
        if kind == _MAP:
            return self._dict(self._items(2 * number, level))
        if kind == _EXTENSION:
            return self._extension(number, level)
        data = self._take(number)
        if kind == _TEXT:
            return _text(data, "strict")
        if kind == _SIGNED:
            return int.from_bytes(data, "big", signed=True)
        return _FLOATS[number].unpack(data)[0] if kind == _FLOAT else data

    def _items(self, count: int, level: int, cost: int = 1) -> list[Any]:
        self._values_left -= count + cost
        if level > DEEPEST:
            raise _NotShownError(f"is nested deeper than {DEEPEST} levels")
        if self._values_left < 0:
            raise _NotShownError(f"is too large to be shown: it has more than {MOST_VALUES} values")
        return [self._value(level + 1) for _ in range(count)]

    def _extension(self, size: int, level: int) -> Any:
        """Return the value of an extension; if its bytes are wrong, an Opaque with its name."""
        code = self._take(1)[0]
        end, outer_end = self._at + size, self._end
        self._check_end(end)
        name = _EXTENSION_NAMES.get(code)
        if name is None:
            self._at = end
            return Opaque(f"extension {code}, which this version does not know")
        self._end = end
        try:
            if code in _CONTAINER_COSTS:
                value = self._container(code, level)
            else:
                value = self._leaf(code, self._take(size))
            is_whole = self._at == end
        except _NotShownError:
            raise
        except Exception:  # noqa: BLE001 - making a value raises anything for wrong bytes
            is_whole = False
        finally:
            self._at, self._end = end, outer_end
        return value if is_whole else Opaque(name)

    def _container(self, code: int, level: int) -> Any:
        kind, count = self._head()
        if kind != _ARRAY:
            raise _DamagedError("no array")
        if code == extensions.OPAQUE:
            name = self._value(level)
            self._skip()
            return Opaque(printable_part(name, LONGEST_NAME))
        items = self._items(count, level, _CONTAINER_COSTS[code])
        match code:
            case extensions.TUPLE:
                return tuple(items)
            case extensions.SET:
                return set(self._hashable(items))
            case extensions.FROZENSET:
                return frozenset(self._hashable(items))
            case extensions.DICT:
                return self._dict(items)
        return collections.deque(items[1:], items[0])

    def _dict(self, items: list[Any]) -> dict[Any, Any]:
        return dict(zip(self._hashable(items[::2]), items[1::2], strict=True))

    def _hashable(self, keys: list[Any]) -> list[Any]:
        """Return keys that can be hashed and compared in little time: an Opaque for the others."""
        if _CERTAIN.issuperset(map(type, keys)):
            return keys
        equal_hashes: dict[int, int] = {}
        return [_checked_key(key, equal_hashes) for key in keys]

    def _leaf(self, code: int, data: bytes) -> Any:
        """Return a leaf; an Opaque for what cannot be printed or compared. Raises any error."""
        longest = sys.get_int_max_str_digits() or LONGEST_NUMBER
        match code:
            case extensions.INT if len(data) * _DIGITS_PER_BYTE > longest:
                return Opaque(f"int of {len(data)} bytes, which is too long to print")
            case extensions.TEXT:
                return _text(data, "surrogatepass")
            case extensions.DECIMAL if len(data) > LONGEST_NUMBER:
                return Opaque(f"decimal.Decimal of {len(data)} characters")
            case extensions.FRACTION if len(data) * _DIGITS_PER_BYTE / 2 > longest:
                return Opaque(f"fractions.Fraction of {len(data)} characters")
            case extensions.PATH:
                if len(data) > LONGEST_PATH:
                    return Opaque(f"pathlib.PurePath of {len(data)} characters")
                data = data[:1].lower() + data[1:]  # no path of another system can be made
            case extensions.TIME | extensions.DATETIME:
                self._check_zone(extensions.zone_key(code, data))
        value = extensions.LEAF_READERS[code](data)
        if code == extensions.DECIMAL and value.is_snan():
            raise ValueError("a NaN that cannot be compared")
        return value

    def _check_zone(self, key: str | None) -> None:
        """Raise ValueError for the key of a time zone that is not looked for."""
        if key is None:
            return
        self._zones.add(key)
        if len(self._zones) > MOST_ZONES or not _ZONE.fullmatch(key):
            raise ValueError(key)


_FLOATS: Final = {4: struct.Struct(">f"), 8: struct.Struct(">d")}


def _text(data: bytes, errors: str) -> str | Opaque:
    try:
        return data.decode("utf-8", errors)
    except UnicodeDecodeError:
        return Opaque(f"str of {len(data)} bytes that are no UTF-8")


def _checked_key(key: Any, equal_hashes: dict[int, int]) -> Any:
    """Return a key, or an Opaque for one that cannot be hashed, and count its hash."""
    kind = type(key)
    if kind in _CERTAIN or (kind is int and key.bit_length() <= _CERTAIN_BITS):
        return key
    try:
        hashed = hash(key)
    except Exception:  # noqa: BLE001 - hashing a date in an odd zone, or a list, raises any
        return Opaque(kind.__name__)
    equal_hashes[hashed] = equal = equal_hashes.get(hashed, 0) + 1
    if equal > MOST_EQUAL_HASHES:
        raise _NotShownError("has keys that are made to collide")
    return key
