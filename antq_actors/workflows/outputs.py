"""What a node of a workflow will return, as an argument of another one: replaced when that begins.

It names the node; which job that is the workflow says, once it is stored.
"""

from __future__ import annotations

from typing import Any, Final


class Output:
    """The result of a node of a workflow, before there is one.

    Give it as an argument of a later node, also within a list, tuple or dict; there it is replaced
    by the result when that node begins. It is made by ``Node.output`` and ``Group.outputs``.
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


def outputs_in(value: Any, depth: int = DEEPEST) -> list[Output]:
    """Return the outputs in an argument.

    >>> outputs_in({"pages": [Output("fetch"), 7]})
    [<output of 'fetch'>]
    """
    if isinstance(value, Output):
        return [value]
    if depth and type(value) in (list, tuple):
        return [each for item in value for each in outputs_in(item, depth - 1)]
    if depth and type(value) is dict:
        return [each for item in value.values() for each in outputs_in(item, depth - 1)]
    return []


def with_results(value: Any, result_of: Any, depth: int = DEEPEST) -> Any:
    """Return an argument with what *result_of* returns in place of each output in it.

    >>> with_results([Output("fetch"), 7], lambda output: output.name.upper())
    ['FETCH', 7]
    """
    if isinstance(value, Output):
        return result_of(value)
    if depth and type(value) in (list, tuple):
        return type(value)(with_results(item, result_of, depth - 1) for item in value)
    if depth and type(value) is dict:
        return {key: with_results(item, result_of, depth - 1) for key, item in value.items()}
    return value
