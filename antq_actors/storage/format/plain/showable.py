"""Is a value small enough to be shown?

A pickle of a hundred bytes can describe a value whose ``repr`` fills the disk: lists that hold
the same list twice, thirty levels of that. So a value is measured as it would be written out,
with everything that is shared counted each time.
"""

from __future__ import annotations

import collections
import decimal
import fractions
import gc
import pathlib
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from antq_actors.storage.format.plain.opaque import Opaque

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
    """Says why a value is not shown."""


def is_small(value: Any, longest_text: int) -> bool:
    """Tell fast whether a container can be shown; False: measure it.

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
    """Return *value*, read from *stored* bytes, as it can be shown.

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
        """Return *value*, or an Opaque when the values shown so far leave no room for it."""
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
