"""What an exception leaves in a job: a text, the name of its class and a trace, fit to be stored.

A trace begins with the first frame that is the user's: what leads there, through this package and
what it calls of the standard library, is the same for every job and says nothing.
"""

from __future__ import annotations

import os
import sysconfig
import traceback
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

TEXT_LIMIT: Final = 8 * 1024
"""Most bytes of an error's text in UTF-8."""

TRACE_LIMIT: Final = 64 * 1024
"""Most bytes of a stack trace in UTF-8."""

_PACKAGE: Final = os.path.join(os.path.dirname(os.path.dirname(__file__)), "")  # noqa: PTH118, PTH120 - compared as text, for each frame
_DEMO: Final = os.path.join(_PACKAGE, "demo", "")  # noqa: PTH118 - as above
_STANDARD_LIBRARY: Final = tuple(
    os.path.join(sysconfig.get_path(name), "")  # noqa: PTH118 - as above
    for name in ("stdlib", "platstdlib")
)
_INSTALLED: Final = tuple(
    os.path.join(sysconfig.get_path(name), "")  # noqa: PTH118 - as above
    for name in ("purelib", "platlib")
)


def describe(thing: object, *, let_through: tuple[type[BaseException], ...] = ()) -> str:
    """Return ``str(thing)``, cut to its limit; the class name if that raises.

    An exception whose text is empty is called by its class, too.
    """
    try:
        text = str(thing)
        if text or not isinstance(thing, BaseException):
            return cut(text, TEXT_LIMIT)
    except let_through:
        raise
    except BaseException:  # noqa: BLE001, S110 - __str__ is the user's code; the class has a name
        pass
    return type(thing).__name__


def summary(error: str, error_type: str | None) -> str:
    """Return an error as logs and lists show it: its text, after the name of its class if any.

    >>> summary("'user_id'", "KeyError"), summary("card declined", None)
    ("KeyError: 'user_id'", 'card declined')
    >>> summary("ValueError", "ValueError")
    'ValueError'
    """
    return error if error_type is None or error_type == error else f"{error_type}: {error}"


def trace(error: BaseException, *, let_through: tuple[type[BaseException], ...] = ()) -> str:
    """Return the stack trace of *error*, from the user's first frame on.

    So it is for the exceptions it was raised from, and for those of a group.
    """
    try:
        shown = traceback.TracebackException(type(error), error, error.__traceback__, compact=True)
        _cut_frames(shown)
        lines = list(shown.format())
    except let_through:
        raise
    except BaseException as second:  # noqa: BLE001 - formatting reads the user's objects
        return f"the stack trace cannot be shown: formatting it raised {type(second).__name__}"
    return cut("".join(lines), TRACE_LIMIT, keep_end=True)


def users_part(frames: TracebackType | None) -> TracebackType | None:
    """Return *frames* from the user's first one on; all of them if none is the user's."""
    found = frames
    while found is not None:
        if is_users(found.tb_frame.f_code.co_filename):
            return found
        found = found.tb_next
    return frames


def first_of_user(filenames: Iterable[str]) -> int:
    """Return the position of the user's first frame; 0 if none is the user's."""
    return next((at for at, name in enumerate(filenames) if is_users(name)), 0)


def is_users(filename: str) -> bool:
    """Return whether a frame of this file is neither this package's nor the standard library's."""
    if filename.startswith(_PACKAGE):
        return filename.startswith(_DEMO)
    if filename.startswith("<frozen "):
        return False
    return not filename.startswith(_STANDARD_LIBRARY) or filename.startswith(_INSTALLED)


def _cut_frames(shown: traceback.TracebackException) -> None:
    """Leave out the frames above the user's first one, in *shown* and all that it is made from."""
    left, seen = [shown], set()
    while left:
        each = left.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        if each.stack is not None:
            del each.stack[: first_of_user([frame.filename for frame in each.stack])]
        related = (each.__cause__, each.__context__, *(each.exceptions or ()))
        left += [other for other in related if other is not None]


def cut(text: str, limit: int, *, keep_end: bool = False) -> str:
    """Return *text* in at most *limit* bytes of UTF-8, saying so if something is missing.

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
