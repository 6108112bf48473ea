"""Sentences that the errors of several files share."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def is_utf8(text: str) -> bool:
    """Whether UTF-8 can carry *text*: not if it has a lone surrogate.

    >>> is_utf8("ü"), is_utf8(chr(0xDCFF))
    (True, False)
    """
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def escaped(text: str) -> str:
    r"""Return *text* with escapes for what UTF-8 cannot carry.

    >>> escaped("ü"), escaped(chr(0xDCFF))
    ('ü', '\\udcff')
    """
    return text if is_utf8(text) else text.encode("utf-8", "backslashreplace").decode()


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the end of a sentence about an unknown *name*: the closest known one, or all.

    >>> did_you_mean("concurency", ["concurrency", "executor"])
    "; did you mean 'concurrency'?"
    >>> did_you_mean("colour", ["concurrency", "executor"])
    '; known are concurrency, executor'
    """
    names = sorted(known)
    close = _closest(name, names)
    if close:
        return f"; did you mean {close!r}?"
    return f"; known are {', '.join(names)}"


def list_known(name: str, known: Iterable[str]) -> str:
    """Return the same, with all that are known in any case.

    >>> list_known("mial", ["mail", "default"])
    "; there are 'default', 'mail' (did you mean 'mail'?)"
    """
    names = sorted(known)
    close = _closest(name, names)
    hint = f" (did you mean {close!r}?)" if close else ""
    return f"; there are {', '.join(map(repr, names))}{hint}"


def _closest(name: str, names: Sequence[str]) -> str | None:
    return next(iter(difflib.get_close_matches(name, names, n=1)), None)
