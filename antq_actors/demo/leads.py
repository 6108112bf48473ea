"""Generate and read a file of leads, with one email address per line.

Both work line by line, so a file can be larger than the memory.
"""

from __future__ import annotations

import os
import random
import re
from typing import TYPE_CHECKING, BinaryIO, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

FIRST_NAMES: Final = ("john", "jane", "alex", "michael", "david", "lisa")
LAST_NAMES: Final = ("smith", "williams", "brown", "jones", "garcia")
DOMAINS: Final = ("gmail.com", "yahoo.com", "hotmail.com", "example.com")

MAX_LINE_BYTES: Final = 1_000
"""The longest line that is read. An email address has at most 254 characters."""
MAX_SHOWN_CHARACTERS: Final = 60
"""The longest text of a bad line, in characters."""

_EMAIL: Final = re.compile(r"[^@\s,;<>]+@[^@\s,;<>]+\.[^@\s,;<>]+")


class Lead(NamedTuple):
    """One line of the file."""

    line: int
    """Its number, from 1."""
    email: str


class BadLine(NamedTuple):
    """A line that is not an email address."""

    line: int
    """Its number, from 1."""
    text: str
    """Its text, shortened."""


def write_leads(file: Path, count: int, seed: int) -> None:
    """Write *count* random leads to *file*: all or, if interrupted, no file at all.

    The same *seed* gives the same leads, and a larger *count* begins with the leads of a smaller.
    """
    draw = random.Random(seed)
    unfinished = file.with_name(f"{file.name}.part")
    with unfinished.open("w", encoding="utf-8") as out:
        for number in range(1, count + 1):
            out.write(f"{_random_email(draw, number)}\n")
        out.flush()
        os.fsync(out.fileno())
    unfinished.replace(file)


def read_leads(file: Path, on_bad_line: Callable[[BadLine], None]) -> Iterator[Lead]:
    """Yield the leads in *file* in order, in constant memory whatever its size.

    A line that is not an email address is passed to *on_bad_line* and left out.
    """
    with file.open("rb") as stream:
        for number, raw in enumerate(_lines(stream), start=1):
            # Excel and similar programs begin a file with a byte order mark.
            text = raw.decode("utf-8", errors="replace").removeprefix("\ufeff").strip()
            if _EMAIL.fullmatch(text):
                yield Lead(number, text)
            else:
                on_bad_line(BadLine(number, _shortened(text)))


def _random_email(draw: random.Random, number: int) -> str:
    first, last = draw.choice(FIRST_NAMES), draw.choice(LAST_NAMES)
    return f"{first}.{last}{number}@{draw.choice(DOMAINS)}"


def _shortened(text: str) -> str:
    return text if len(text) <= MAX_SHOWN_CHARACTERS else f"{text[: MAX_SHOWN_CHARACTERS - 1]}…"


def _lines(stream: BinaryIO) -> Iterator[bytes]:
    """Yield at most MAX_LINE_BYTES of each line in a file of leads: a line may be endless."""
    while line := stream.readline(MAX_LINE_BYTES):
        rest = line
        while not rest.endswith(b"\n") and (rest := stream.readline(MAX_LINE_BYTES)):
            pass
        yield line
