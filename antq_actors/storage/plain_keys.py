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
from antq_actors.storage.opaque import Opaque, class_name

DEEPEST_KEY: Final = 3
"""Levels of tuples and frozensets in a key."""

WIDEST_KEY: Final = 32
"""Elements of a tuple or a frozenset in a key."""

MOST_EQUAL_HASHES: Final = 64
"""Keys of one container with the same hash; more are no accident."""

TOO_MANY_STEPS: Final = "it takes too many steps to be shown"

# Types whose hashes nobody can make collide, and which cost next to nothing.
_CERTAIN: Final = frozenset({str, bytes, float, bool, type(None), Opaque})
_CHEAP: Final = _CERTAIN | {
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
        self._equal_hashes: dict[tuple[int, int], int] = {}

    def hashable(self, keys: list[Any], container: object) -> list[Any]:
        """Answer *keys* of *container*, with an Opaque for each that is not to be hashed.

        Raises StorageError for keys that are made to collide.
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
        return [self._checked(key, id(container)) for key in keys]

    def _spend(self, cost: int) -> None:
        # Before the keys are hashed: a single step can hash and compare any number of them.
        self.cost += cost
        if self.cost > self._budget:
            raise StorageError(TOO_MANY_STEPS)

    def _checked(self, key: Any, container: int) -> Any:
        cost = hash_cost(key)
        if cost is None:
            return class_name(type(key))
        self._spend(cost)
        if type(key) in _CERTAIN:
            return key
        if type(key) is int and key.bit_length() <= _CERTAIN_BITS:
            return key
        self._spend(_COUNT_COST)
        self.longest = max(self.longest, cost * _TEXT_UNIT)
        place = container, hash(key)
        self._equal_hashes[place] = equal = self._equal_hashes.get(place, 0) + 1
        if equal > MOST_EQUAL_HASHES:
            raise StorageError("its keys are made to collide")
        return key


def hash_cost(value: Any, depth: int = DEEPEST_KEY) -> int | None:
    """Answer what it costs to hash and compare *value*; None if that is not to be done."""
    kind = type(value)
    if kind is str or kind is bytes:
        return 1 + len(value) // _TEXT_UNIT
    if kind in _CHEAP or isinstance(value, type):
        return 1
    if kind is tuple or kind is frozenset:
        return _cost_of_all(value, depth - 1)
    return _cost_of_number_or_path(value)


def _cost_of_all(items: tuple[Any, ...] | frozenset[Any], depth: int) -> int | None:
    if depth < 0 or len(items) > WIDEST_KEY:
        return None
    total = 1
    for item in items:
        cost = hash_cost(item, depth)
        if cost is None:
            return None
        total += cost
    return total


def _cost_of_number_or_path(value: Any) -> int | None:
    if isinstance(value, int):
        return 1 + value.bit_length() // _BITS_UNIT
    if isinstance(value, decimal.Decimal):
        return 1 + value.__sizeof__() // _TEXT_UNIT
    if isinstance(value, fractions.Fraction):
        return 1 + (value.numerator.bit_length() + value.denominator.bit_length()) // _TEXT_UNIT
    if isinstance(value, pathlib.PurePath):
        return 1 + len(str(value)) // _TEXT_UNIT
    return None
