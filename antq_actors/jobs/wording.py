"""Sentences that the errors of several files share."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Answer the end of a sentence about an unknown *name*: the closest known one, or all.

    >>> did_you_mean("concurency", ["concurrency", "executor"])
    "; did you mean 'concurrency'?"
    >>> did_you_mean("colour", ["concurrency", "executor"])
    '; known are concurrency, executor'
    """
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; known are {', '.join(names)}"
