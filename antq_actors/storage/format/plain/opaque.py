"""What stands for a value that is shown, but was not made."""

from __future__ import annotations

from typing import Final

LONGEST_PART: Final = 200
"""Longest part of a name that is shown, in characters."""


class Opaque:
    """Stands for a value that is shown, but was not made.

    >>> Opaque("shop.Cart")
    <opaque shop.Cart>
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name
        """What it would have been, ``module.QualName``, or why it is not shown."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Opaque) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"<opaque {self.name}>"


def named(*parts: object) -> Opaque:
    r"""Return an Opaque for what bytes name so, in text that is safe to show.

    >>> named("shop", "Cart")
    <opaque shop.Cart>
    >>> named("sh\x1bop", 7)
    <opaque sh\x1bop.?>
    """
    return Opaque(".".join(_printable(part) for part in parts))


def class_name(cls: type) -> Opaque:
    """Return an Opaque for an instance of *cls*."""
    return Opaque(f"{cls.__module__}.{cls.__qualname__}")


def _printable(part: object) -> str:
    if not isinstance(part, str):
        return "?"
    shown = part[:LONGEST_PART]
    if not shown.isprintable():
        # It has control characters or lone surrogates, which no terminal should get.
        shown = ascii(shown)[1:-1][:LONGEST_PART]
    return shown if len(part) <= LONGEST_PART else f"{shown}..."
