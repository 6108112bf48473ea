"""What an exception leaves in a job: a text, the name of its class and a trace, fit to be stored.

A trace begins with the first frame that is the user's: what leads there, through this package and
what it calls of the standard library, is the same for every job. So is what leads from a middleware
to what is inside of it, which is left out as well. Where no frame is
the user's, all are kept, but for an exception of this package: its text says what is wrong.
"""

from __future__ import annotations

import linecache
import os
import re
import sysconfig
import traceback
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

TEXT_LIMIT: Final = 8 * 1024
"""Most bytes of an error's text in UTF-8."""

TRACE_LIMIT: Final = 64 * 1024
"""Most bytes of a stack trace in UTF-8."""

_FORMATTED_CHARACTERS: Final = 4_000
"""The longest text of a frame that is kept."""

_MOST_FORMATTED: Final = 256
_formatted: Final[dict[tuple[Any, ...], str]] = {}
"""Frames of jobs' errors as text, by their place and its source."""

_PACKAGE: Final = Path(__file__).parent.parent
_MIDDLEWARE: Final = str(Path(__file__).with_name("middleware.py"))
"""Has a frame between those of a middleware and those of what is inside of it."""


def _folders(*names: str) -> str:
    """Return a regular expression for files of Python itself, whose frames a job's error omits."""
    folders = {re.escape(os.path.join(sysconfig.get_path(name), "")) for name in names}  # noqa: PTH118 - with a separator at its end
    return "|".join(sorted(folders))


# A pattern, as it is looked for in every frame; what is installed is in the library's folder.
_match_others: Final = re.compile(
    rf"{re.escape(str(_PACKAGE))}[/\\](?!demo[/\\])|<frozen "
    rf"|(?!{_folders('purelib', 'platlib')})(?:{_folders('stdlib', 'platstdlib')})"
).match


def describe(thing: object, *, propagate: tuple[type[BaseException], ...] = ()) -> str:
    """Return ``str(thing)`` for the error of a job's attempt, cut; the class name if that raises.

    An exception whose text is empty is called by its class, too.
    """
    try:
        text = str(thing)
        if text or not isinstance(thing, BaseException):
            return cut(text, TEXT_LIMIT)
    except propagate:
        raise
    except BaseException:  # noqa: BLE001, S110 - __str__ is the user's code; the class has a name
        pass
    return type(thing).__name__


def summary(error: str, error_type: str | None) -> str:
    """Return a job's error as logs and lists show it: its text, after the name of its class if any.

    >>> summary("'user_id'", "KeyError"), summary("card declined", None)
    ("KeyError: 'user_id'", 'card declined')
    >>> summary("ValueError", "ValueError")
    'ValueError'
    """
    return error if error_type is None or error_type == error else f"{error_type}: {error}"


def trace(error: BaseException, *, propagate: tuple[type[BaseException], ...] = ()) -> str:
    """Return the stack trace of a job's *error* as text, from the user's first frame on.

    So it is for the exceptions it was raised from, and for those of a group.
    """
    try:
        shown = traceback.TracebackException(type(error), error, users_part(error), compact=True)
        _cut_frames(shown, else_all=not is_ours(error))
        lines = list(shown.format())
    except propagate:
        raise
    except BaseException as second:  # noqa: BLE001 - formatting reads the user's objects
        return f"the stack trace cannot be shown: formatting it raised {type(second).__name__}"
    return cut("".join(lines), TRACE_LIMIT, keep_end=True)


def users_part(error: BaseException) -> TracebackType | None:
    """Return the traceback of a job's *error* from the user's first frame on.

    If none is the user's: all of them, or none of an exception of this package.
    """
    frames = error.__traceback__
    walked = next(zip(*traceback.walk_tb(frames), strict=True), ())
    first = _first_of_user(map(attrgetter("f_code.co_filename"), walked))
    if first is None:
        return None if is_ours(error) else frames
    for _ in range(first):
        frames = None if frames is None else frames.tb_next
    return frames


def is_ours(error: BaseException) -> bool:
    """Return whether *error* is of an exception class of this package, such as `WorkerNotFound`."""
    return type(error).__module__.partition(".")[0] == _PACKAGE.name


def _first_of_user(filenames: Iterable[str]) -> int | None:
    """Return the position of the user's first frame in a job's stack trace; None without one."""
    others = list(map(_match_others, filenames))
    return others.index(None) if None in others else None


def is_users(filename: str) -> bool:
    """Return whether a frame of a job's stack trace in this file is the user's code."""
    return _match_others(filename) is None


class _Frames(traceback.StackSummary):
    """The frames of a job's error; the same place in the same source is formatted once.

    Python parses the line of each frame to underline what failed in it, which takes longer than all
    else, and jobs that fail mostly fail in the same places.
    """

    def format_frame_summary(self, frame_summary: traceback.FrameSummary, **options: Any) -> str:
        """Return the lines for one frame of a job's error, as Python writes them."""
        shown = frame_summary
        first, last = shown.lineno or 1, shown.end_lineno or 0
        # As the file is now: it may have been changed since.
        source = shown.line, *linecache.getlines(shown.filename)[first - 1 : last]
        place = shown.filename, shown.name, first, last, shown.colno, shown.end_colno
        key = (place, source, *options.items())
        text = _formatted.get(key)
        if text is None:
            text = super().format_frame_summary(shown, **options)
            if len(text) <= _FORMATTED_CHARACTERS:
                if len(_formatted) >= _MOST_FORMATTED:
                    _formatted.clear()
                _formatted[key] = text
        return text


def _cut_frames(shown: traceback.TracebackException, *, else_all: bool) -> None:
    """Remove the frames above the user's first one from *shown*, a job's error, and its causes.

    Where none is the user's, all are kept or left out, as *else_all* says.
    """
    left, seen = [shown], set()
    while left:
        each = left.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        if each.stack is not None:
            first = _first_of_user(map(attrgetter("filename"), each.stack))
            if first is not None:
                each.stack = _Frames(_without_passages(each.stack[first:]))
            elif not else_all:
                each.stack = None  # type: ignore[assignment]  # then its heading is left out, too
        related = (each.__cause__, each.__context__, *(each.exceptions or ()))
        left += [other for other in related if other is not None]


def _without_passages(frames: list[traceback.FrameSummary]) -> list[traceback.FrameSummary]:
    """Return *frames* without those between a middleware and the user's next frame inside of it."""
    if all(frame.filename != _MIDDLEWARE for frame in frames):
        return frames
    left: list[traceback.FrameSummary] = []
    between: list[traceback.FrameSummary] = []
    for frame in frames:
        if not is_users(frame.filename):
            between.append(frame)
            continue
        if all(other.filename != _MIDDLEWARE for other in between):
            left += between
        left.append(frame)
        between = []
    return left + between


def cut(text: str, limit: int, *, keep_end: bool = False) -> str:
    """Return *text* of a job's error in at most *limit* bytes of UTF-8, saying if some is missing.

    With *keep_end* the middle goes: the end of a trace says what happened, its beginning where.
    What UTF-8 cannot carry (lone surrogates) is written as escapes.
    """
    content = text.encode("utf-8", "backslashreplace")
    if len(content) <= limit:
        return content.decode()

    note = f"\n… ({len(content)} bytes, cut to {limit}) …\n"
    left = limit - len(note.encode())
    end = left // 2 if keep_end else 0
    first = content[: left - end].decode("utf-8", "ignore")
    last = content[len(content) - end :].decode("utf-8", "ignore")
    return f"{first}{note}{last}"
