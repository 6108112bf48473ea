"""Is a value small enough to be shown?

A pickle of a hundred bytes can describe a value whose ``repr`` fills the disk: lists that hold
the same list twice, thirty levels of that. So a value is measured as it would be written out,
with everything that is shared counted each time.

What may be a key of a dict or a member of a set, and what hashing it costs.

Hashing a tuple hashes all that is in it, without a guard: nested deeply enough it overflows C's
stack, and tuples that hold each other twice are hashed 2**n times. And a number's hash is no
secret: whoever knows how it is made can write numbers that all have the same one, and a dict of n
of them takes n**2 steps. So only values of a known size are hashed, and equal hashes are counted.

Which pickles the unpickler of the standard library may read, whoever wrote them?

Those of lists, dicts, sets and leaves: text, bytes, numbers, booleans and None. Most arguments
are no more than that, so it has to be found out fast: by a regular expression over the opcodes.

What it lets through cannot hurt. Nothing is named, called or filled in; no memo slot is chosen by
a number, which the unpickler would make room for; all that is hashed is leaves, since there are
no tuples and no frozensets; and whole numbers have at most 64 bits, too few for hashes that
collide. What a reference to an earlier list or dict multiplies is for the caller to measure.
"""

from __future__ import annotations

import collections
import datetime as dt
import decimal
import fractions
import gc
import pathlib
import re
import uuid
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from antq_actors.errors import StorageError
from antq_actors.storage.format.plain.makers import Opaque, class_name

if TYPE_CHECKING:
    from collections.abc import Callable

DEEPEST: Final = 100
"""Levels of containers within each other; ``repr`` and ``json`` recurse once or more for each."""

MOST_VALUES: Final = 1_000_000
"""Values within a value that is shown."""

MOST_SHARED_VALUES: Final = 100_000
"""Values that sharing may add to those that were stored, each of a byte at least."""

MOST_SHARED_TEXT: Final = 20_000_000
"""Characters that sharing may add to those that were stored."""

_CONTAINERS: Final = frozenset(
    {list, tuple, dict, set, frozenset, collections.OrderedDict, collections.deque}
)
_LENGTHS: Final[dict[type, Callable[[Any], int]]] = {
    str: len,
    bytes: len,
    bytearray: len,
    int: int.__sizeof__,
    decimal.Decimal: decimal.Decimal.__sizeof__,
    fractions.Fraction: lambda value: value.numerator.__sizeof__() + value.denominator.__sizeof__(),
    pathlib.PurePosixPath: lambda value: len(str(value)),
    pathlib.PureWindowsPath: lambda value: len(str(value)),
    Opaque: lambda value: len(value.name),
}


class _Size(NamedTuple):
    values: int
    text: int
    levels: int


class _TooLarge(Exception):
    """A value is too large to be shown; why."""


def is_small(value: Any, longest_text: int) -> bool:
    """Return, fast, whether a container read from a pickle is small enough to show.

    False: it has to be measured.
    No leaf and no key of it is longer than *longest_text*.
    """
    values = 0
    level = [value]
    for _ in range(DEEPEST):
        values += 2 * sum(map(len, level))
        if values * longest_text > MOST_SHARED_TEXT:
            return False
        # What each holds, keys included: ten times as fast as to iterate over them one by one.
        inner = gc.get_referents(*level)
        if _CONTAINERS.isdisjoint(map(type, inner)):
            return True
        level = [item for item in inner if type(item) in _CONTAINERS]
    return False


def shown(value: Any, stored: int) -> Any:
    """Return a value read from a pickle of *stored* bytes, with an Opaque for what is too large.

    What cannot is an Opaque that says why; in a dict that names its values, as arguments are, only
    those that cannot.
    """
    measuring = _Measuring(stored)
    if type(value) is dict and all(type(name) is str for name in value):
        return {name: measuring.shown(item) for name, item in value.items()}
    return measuring.shown(value)


class _Measuring:
    """Measures values that may share what they hold, and each container once."""

    def __init__(self, stored: int) -> None:
        self._values_left = min(MOST_VALUES, MOST_SHARED_VALUES + stored)
        self._text_left = MOST_SHARED_TEXT + stored
        self._known: dict[int, _Size | str] = {}

    def shown(self, value: Any) -> Any:
        """Return a part of an argument to show, or an Opaque when those before left no room."""
        if type(value) not in _CONTAINERS:
            size = _Size(1, _length(value), 0)
        else:
            try:
                size = self._size(value, 1)
            except _TooLarge as error:
                return Opaque(f"{type(value).__name__} that {error}")
        if size.values > self._values_left or size.text > self._text_left:
            return Opaque(f"{type(value).__name__} that is too large with all that it repeats")
        self._values_left -= size.values
        self._text_left -= size.text
        return value

    def _size(self, container: Any, level: int) -> _Size:
        known = self._known.get(id(container))
        if isinstance(known, str):
            raise _TooLarge(known)
        if known is None:
            self._known[id(container)] = "holds itself"
            try:
                known = self._sum(container, level)
            except _TooLarge as error:
                self._known[id(container)] = str(error)
                raise
            self._known[id(container)] = known
        if level + known.levels > DEEPEST:
            raise _TooLarge(_TOO_DEEP)
        return known

    def _sum(self, container: Any, level: int) -> _Size:
        if level > DEEPEST:
            raise _TooLarge(_TOO_DEEP)
        values, text, levels = 0, 0, 0
        for items in (container, container.values()) if _is_dict(container) else (container,):
            values += len(items)
            kinds = set(map(type, items))
            if len(kinds) == 1 and kinds.isdisjoint(_CONTAINERS):
                text += sum(map(_LENGTHS.get(kinds.pop(), _nothing), items))
                continue
            for item in items:
                if type(item) in _CONTAINERS:
                    size = self._size(item, level + 1)
                    values += size.values
                    text += size.text
                    levels = max(levels, size.levels + 1)
                else:
                    text += _length(item)
        return _Size(values, text, levels)


_TOO_DEEP: Final = f"is nested deeper than {DEEPEST} levels"


def _is_dict(container: Any) -> bool:
    return isinstance(container, dict)


def _length(leaf: Any) -> int:
    return _LENGTHS.get(type(leaf), _nothing)(leaf)


def _nothing(_: Any) -> int:
    return 0


# ---- what may be hashed ---------------------------------------------------------------------

DEEPEST_KEY: Final = 3
"""Levels of tuples and frozensets in a key."""

WIDEST_KEY: Final = 32
"""Elements of a tuple or a frozenset in a key."""

MOST_EQUAL_HASHES: Final = 64
"""Keys of one container with the same hash; more are no accident."""

TOO_MANY_STEPS: Final = "it takes too many steps to be shown"

# Types whose hashes nobody can make collide, and which cost next to nothing.
_CERTAIN: Final = frozenset({str, bytes, float, bool, type(None), Opaque})
_CHEAP: Final = {
    float,
    bool,
    type(None),
    Opaque,
    complex,
    dt.date,
    dt.datetime,
    dt.time,
    dt.timedelta,
    dt.timezone,
    range,
    uuid.UUID,
    uuid.SafeUUID,
}
_CERTAIN_BITS: Final = 64
_BITS_UNIT: Final = 192  # some 58 digits
_TEXT_UNIT: Final = 64
_COUNT_COST: Final = 6


class KeyCheck:
    """Decides what of one pickle is hashed."""

    __slots__ = ("_budget", "_equal_hashes", "cost", "longest")

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self.cost = 0
        """What it cost so far to hash the keys, as the machine counts it."""
        self.longest = 0
        """How many characters the longest key can be shown with, other than text and bytes."""
        self._equal_hashes: dict[int, dict[int, int]] = {}

    def hashable(self, keys: list[Any], container: object = None) -> list[Any]:
        """Return dict keys read from a pickle, with an Opaque for each that is too costly to hash.

        They come to those that *container* has; None: they are all of them. Raises StorageError
        for keys that are made to collide.
        """
        self.cost += len(keys)
        if len(keys) == 1 and type(keys[0]) is str and len(keys[0]) < _TEXT_UNIT:
            return keys
        kinds = set(map(type, keys))
        if kinds == {str}:
            self._spend(sum(map(len, keys)) // _TEXT_UNIT)
            return keys
        if kinds == {int} and max(map(abs, keys)).bit_length() <= _CERTAIN_BITS:
            return keys
        equal_hashes = {} if container is None else self._equal_hashes.setdefault(id(container), {})
        return [self._checked(key, equal_hashes) for key in keys]

    def _checked(self, key: Any, equal_hashes: dict[int, int]) -> Any:
        cost = self.cost
        try:
            self._spend_on(key, DEEPEST_KEY)
        except _NotHashedError:
            return class_name(type(key))
        if type(key) in _CERTAIN or (type(key) is int and key.bit_length() <= _CERTAIN_BITS):
            return key
        self.longest = max(self.longest, (self.cost - cost) * _TEXT_UNIT)
        self._spend(_COUNT_COST)
        hashed = hash(key)
        equal_hashes[hashed] = equal = equal_hashes.get(hashed, 0) + 1
        if equal > MOST_EQUAL_HASHES:
            raise StorageError("its keys are made to collide")
        return key

    def _spend(self, cost: int) -> None:
        # Before the keys are hashed: a single step can hash and compare any number of them.
        self.cost += cost
        if self.cost > self._budget:
            raise StorageError(TOO_MANY_STEPS)

    def _spend_on(self, value: Any, depth: int) -> None:
        """Spend what hashing and comparing *value* costs from what a pickle may cost to show."""
        kind = type(value)
        if kind is tuple or kind is frozenset:
            self._spend(1)
            if depth == 0 or len(value) > WIDEST_KEY:
                raise _NotHashedError
            for item in value:
                self._spend_on(item, depth - 1)
        elif kind in _CHEAP or isinstance(value, type):
            self._spend(1)
        else:
            self._spend(1 + _size(value))


class _NotHashedError(Exception):
    """A value holds what is not to be hashed."""


def _size(value: Any) -> int:
    if isinstance(value, str | bytes):
        return len(value) // _TEXT_UNIT
    if isinstance(value, int):
        return value.bit_length() // _BITS_UNIT
    if isinstance(value, decimal.Decimal):
        return value.__sizeof__() // _TEXT_UNIT
    if isinstance(value, fractions.Fraction):
        return (value.numerator.bit_length() + value.denominator.bit_length()) // _BITS_UNIT
    if isinstance(value, pathlib.PurePath):
        return len(str(value)) // _TEXT_UNIT
    raise _NotHashedError


# ---- simple pickles -------------------------------------------------------------------------

LARGEST: Final = 1_000_000
"""Bytes of the largest pickle that is called simple; a byte can become an empty set of 216."""

MOST_COMPARED: Final = 1_000_000_000
"""Bytes that may be compared when a long text is a key over and over by reference."""

SHORT: Final = 255
"""Bytes of the longest text whose length takes one byte."""


def _counted(sizes: range) -> bytes:
    """Return a pattern for a byte that counts, and as many bytes as it says."""
    return b"(?:%b)" % b"|".join(re.escape(bytes((size,))) + b".{%d}" % size for size in sizes)


_TEXT = b"\x8c%b\x94" % _counted(range(SHORT + 1))  # SHORT_BINUNICODE, MEMOIZE
_GET = b"h."  # BINGET
_NUMBER = b"|".join(
    (
        *(each * 8 for each in (b"K.", b"M..", b"J.{4}", b"G.{8}")),  # lists of numbers
        b"K.|M..|J.{4}",  # BININT1, BININT2, BININT
        b"\x8a%b" % _counted(range(9)),  # LONG1
        b"G.{8}",  # BINFLOAT
        b"[N\x88\x89]",  # NONE, NEWTRUE, NEWFALSE
    )
)
# EMPTY_LIST, EMPTY_DICT, EMPTY_SET, MARK, APPEND, APPENDS, SETITEM, SETITEMS, ADDITEMS, MEMOIZE.
# Several at once here, and a value right behind a key: a turn of the outer loop is what costs.
_NESTING = rb"[]}\x8f(aesu\x90\x94]{1,4}"
_OTHERS = b"|".join(
    (
        b"\x8c%b" % _counted(range(SHORT + 1)),  # SHORT_BINUNICODE that is used once
        b"C%b" % _counted(range(SHORT + 1)),  # SHORT_BINBYTES
        b"j.{4}",  # LONG_BINGET
        b"\x80[\x02-\x05]|\x95.{8}",  # PROTO, FRAME
    )
)
_opcodes = re.compile(
    b"(?:(?:%b|%b)(?:%b|%b|%b|%b)?|%b|%b|%b){0,255}"
    % (_TEXT, _GET, _TEXT, _GET, _NUMBER, _NESTING, _NESTING, _NUMBER, _OTHERS),
    re.DOTALL,
).match

_STOP: Final = ord(".")
_LENGTH_SIZES: Final = {
    ord("X"): 4,  # BINUNICODE
    ord("B"): 4,  # BINBYTES
    0x8D: 8,  # BINUNICODE8
    0x8E: 8,  # BINBYTES8
}


def longest_text(pickled: bytes) -> int | None:
    """Return how long a text in a simple pickle can be, in bytes; None for any other pickle."""
    if len(pickled) > LARGEST:
        return None
    longest = SHORT
    at = 0
    while at < len(pickled):
        here = at
        at = _opcodes(pickled, at).end()  # type: ignore[union-attr]  # it also matches nothing
        opcode = pickled[at] if at < len(pickled) else None
        if opcode == _STOP:
            return longest if longest == SHORT or longest * len(pickled) <= MOST_COMPARED else None
        if opcode in _LENGTH_SIZES:
            start = at + 1 + _LENGTH_SIZES[opcode]
            length = int.from_bytes(pickled[at + 1 : start], "little")
            longest = max(longest, length)
            at = start + length
        elif at == here:
            return None
    return None
