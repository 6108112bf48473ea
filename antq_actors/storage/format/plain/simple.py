"""Which pickles the unpickler of the standard library may read, whoever wrote them?

Those of lists, dicts, sets and leaves: text, bytes, numbers, booleans and None. Most arguments
are no more than that, so it has to be found out fast: by a regular expression over the opcodes.

What it lets through cannot hurt. Nothing is named, called or filled in; no memo slot is chosen by
a number, which the unpickler would make room for; all that is hashed is leaves, since there are
no tuples and no frozensets; and whole numbers have at most 64 bits, too few for hashes that
collide. What a reference to an earlier list or dict multiplies is for the caller to measure.
"""

from __future__ import annotations

import re
from typing import Final

LARGEST: Final = 1_000_000
"""Bytes of the largest pickle that is called simple; a byte can become an empty set of 216."""

MOST_COMPARED: Final = 1_000_000_000
"""Bytes that may be compared when a long text is a key over and over by reference."""

SHORT: Final = 255
"""Bytes of the longest text whose length takes one byte."""


def _counted(sizes: range) -> bytes:
    """Match a byte that counts, and as many bytes as it says."""
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
