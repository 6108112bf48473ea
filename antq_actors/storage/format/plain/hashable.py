"""What may be a key of a dict or a member of a set, and what hashing it costs.

Hashing a tuple hashes all that is in it, without a guard: nested deeply enough it overflows C's
stack, and tuples that hold each other twice are hashed 2**n times. And a number's hash is no
secret: whoever knows how it is made can write numbers that all have the same one, and a dict of n
of them takes n**2 steps. So only values of a known size are hashed, and equal hashes are counted.
"""

from __future__ import annotations

import datetime as dt
import decimal
import fractions
import pathlib
import uuid
from typing import Any, Final

from antq_actors.errors import StorageError
from antq_actors.storage.format.plain.opaque import Opaque, class_name

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
        """Return *keys* with an Opaque for each that is not to be hashed.

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
        """Spend what it costs to hash and compare *value*."""
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
