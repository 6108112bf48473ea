"""What a node of a workflow will return, as an argument of another one: replaced when that begins.

It names the node; which job that is the workflow says, once it is stored.
"""

from __future__ import annotations

import io
import pickle
from collections import deque
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Output:
    """The result of a node of a workflow, before there is one.

    Give it as an argument of a later node, also within a list, tuple, dict, set, frozenset or
    deque; there it is replaced by the result when that node begins. It is made by ``Node.output``
    and ``Group.outputs``.
    """

    __slots__ = ("is_group", "name", "owner")

    def __init__(self, name: str, *, is_group: bool = False, owner: object = None) -> None:
        self.name = name
        """Of the node or the group."""
        self.is_group = is_group
        """Whether it is replaced by the results of a group's members, one after the other."""
        self.owner = owner
        """The workflow that is being described; None once it is stored."""

    def __repr__(self) -> str:
        return f"<output{'s' if self.is_group else ''} of {self.name!r}>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Output):
            return NotImplemented
        return (self.name, self.is_group) == (other.name, other.is_group)

    def __hash__(self) -> int:
        return hash((self.name, self.is_group))

    def __reduce__(self) -> tuple[Any, ...]:
        return _output, (self.name, self.is_group)


def _output(name: str, is_group: bool) -> Output:  # noqa: FBT001 - as it was pickled
    return Output(name, is_group=is_group)


DEEPEST: Final = 32
"""Levels of containers in which outputs are found."""

_CONTAINERS: Final = (list, tuple, set, frozenset, deque)
MARK: Final = __name__.encode()
"""Is in all that was pickled with an output in it."""


def outputs_in(value: Any, depth: int = DEEPEST) -> list[Output]:
    """Return the outputs in an argument.

    >>> outputs_in({"pages": [Output("fetch"), 7]})
    [<output of 'fetch'>]
    """
    if isinstance(value, Output):
        return [value]
    return [each for item in _parts(value, depth) for each in outputs_in(item, depth - 1)]


def holder_in(value: Any, depth: int = DEEPEST) -> object:
    """Return a part of an argument with an output in it that is not found; None: there is none.

    >>> class Page:
    ...     url = "/"
    >>> holder_in([Output("fetch"), Page()]) is None
    True
    """
    kind = type(value)
    if kind in _CONTAINERS or kind is dict:
        if depth:
            held = (holder_in(item, depth - 1) for item in _parts(value, depth))
            return next((each for each in held if each is not None), None)
    elif issubclass(kind, Output | str | bytes | int | float | None):
        return None
    finder = _Finder(io.BytesIO())
    try:
        finder.dump(value)
    except Exception:  # noqa: BLE001 - anything; it was pickled before, in another way
        return None
    return value if finder.has_found else None


class _Finder(pickle.Pickler):
    """Looks for outputs in whatever is pickled."""

    has_found = False

    def persistent_id(self, obj: Any) -> None:
        """Take part in the pickling of each object, and change nothing."""
        self.has_found = self.has_found or type(obj) is Output


def _parts(value: Any, depth: int) -> Iterable[Any]:
    if not depth:
        return ()
    if type(value) in _CONTAINERS:
        return value  # type: ignore[no-any-return]
    return (*value, *value.values()) if type(value) is dict else ()


def with_results(value: Any, result_of: Callable[[Output], Any], depth: int = DEEPEST) -> Any:
    """Return an argument with what *result_of* returns in place of each output in it.

    Raises TypeError for a result that a set, or a dict as a key, cannot have.

    >>> with_results([Output("fetch"), 7], lambda output: output.name.upper())
    ['FETCH', 7]
    """
    if isinstance(value, Output):
        return result_of(value)
    kind = type(value)
    if not depth or (kind not in _CONTAINERS and kind is not dict):
        return value
    if kind is dict:
        return {
            _hashed(key, result_of, depth - 1): with_results(item, result_of, depth - 1)
            for key, item in value.items()
        }
    if kind is set or kind is frozenset:
        return kind(_hashed(item, result_of, depth - 1) for item in value)
    items = (with_results(item, result_of, depth - 1) for item in value)
    return deque(items, value.maxlen) if kind is deque else kind(items)


def _hashed(value: Any, result_of: Callable[[Output], Any], depth: int) -> Any:
    """Return what is in a set, or is a key of a dict, with results."""
    filled = with_results(value, result_of, depth)
    try:
        hash(filled)
    except TypeError as error:
        raise TypeError(
            f"{value!r} stands for a {type(filled).__name__}, which no set, and no dict as a key,"
            " can have: give it in a list"
        ) from error
    return filled
