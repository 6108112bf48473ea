"""Which failures are alike: the same class of exception, raised in one place of the user's code.

Numbers make no difference, so neither do lines, ids and the names of releases. What has no frames,
such as a ``Fail``, is told apart by its text. This file decides and reads nothing.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from hashlib import sha256
from typing import Final, NamedTuple

from antq_actors.jobs.attempt_error import is_users

MOST_FRAMES: Final = 3
"""The innermost frames of the user's that count: what called them may differ."""
_MOST_CHARACTERS: Final = 200
"""Of a text that counts."""

_DIGITS: Final = 16
"""Of a fingerprint."""

_FRAME: Final = re.compile(r'^[ |]*File "(.+)", line (\d+), in (.+?)\s*$', re.MULTILINE)
_MEMBERS: Final = re.compile(r"^[ |]*\+-\+-", re.MULTILINE)
"""Where the exceptions of a group begin."""
_HEADING: Final = "Traceback (most recent call last):"
_LIBRARY: Final = re.compile(r"[/\\](?:site|dist)-packages[/\\]|[/\\]lib[/\\]python\d|^<frozen ")
"""Files that are no user's, on whichever machine the attempt ran."""
_NUMBER: Final = re.compile(
    r"0x[0-9a-f]+|[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|\b(?=\d*[a-f])[0-9a-f]{32,64}\b|\d+(?:\.\d+)?",
    re.IGNORECASE,
)


def is_digest(text: str) -> bool:
    """Return whether *text* could be the fingerprint of a failure."""
    return re.fullmatch(f"[0-9a-f]{{{_DIGITS}}}", text) is not None


class Frame(NamedTuple):
    """A place in the user's code."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} in {self.function}"


class Fingerprint(NamedTuple):
    """What failures that are alike have in common, and where this one was raised."""

    digest: str
    frames: tuple[Frame, ...]


def fingerprint(error: str, error_type: str | None, stack_trace: str | None) -> Fingerprint:
    """Return the fingerprint of a failure.

    >>> a, b = (fingerprint(f"no user {n}", None, None).digest for n in (1, 22))
    >>> a == b
    True
    """
    frames = own_frames(stack_trace or "") if error_type is not None else ()
    return Fingerprint(_digest(error_type, frames, "" if frames else error), frames)


@lru_cache(maxsize=256)
def _digest(error_type: str | None, frames: tuple[Frame, ...], error: str) -> str:
    """Return the fingerprint of failures of a class in a place; or, without one, with a text."""
    place = [without_numbers(f"{_short(each.file)} {each.function}") for each in frames]
    first_line = without_numbers(error.partition("\n")[0])[:_MOST_CHARACTERS]
    common = [error_type, place or first_line]
    return sha256(json.dumps(common).encode()).hexdigest()[:_DIGITS]


@lru_cache(maxsize=256)
def own_frames(stack_trace: str) -> tuple[Frame, ...]:
    """Return the innermost frames of a stack trace that are the user's, the innermost last.

    If none is: the innermost of all. Of several exceptions the last one counts, of a group itself.
    """
    members = _MEMBERS.search(stack_trace)
    own = stack_trace if members is None else stack_trace[: members.start()]
    last = own.rpartition(_HEADING)[2]
    found = [Frame(file, int(line), function) for file, line, function in _FRAME.findall(last)]
    users = [frame for frame in found if is_own(frame.file)]
    return tuple((users or found)[-MOST_FRAMES:])


def is_own(file: str) -> bool:
    """Return whether a file of a stack trace is the user's, and no library's.

    >>> is_own("/srv/shop/mail.py"), is_own("/usr/lib/python3.13/smtplib.py")
    (True, False)
    """
    return is_users(file) and not _LIBRARY.search(file)


def without_numbers(text: str) -> str:
    """Return *text* with a mark in the place of each number, address and digest.

    >>> without_numbers("job 17 at 0x7f3a took 2.5 s")
    'job # at # took # s'
    """
    return _NUMBER.sub("#", text)


def _short(file: str) -> str:
    """Return the end of a path, which is the same on each machine."""
    return "/".join(re.split(r"[/\\]", file)[-2:])
