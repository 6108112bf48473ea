"""What an exception leaves in a job: a text and a trace that can always be stored."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from types import TracebackType

TEXT_LIMIT: Final = 8 * 1024
"""Most bytes of an error's text in UTF-8."""

TRACE_LIMIT: Final = 64 * 1024
"""Most bytes of a stack trace in UTF-8."""


def describe(thing: object, *, let_through: tuple[type[BaseException], ...] = ()) -> str:
    """Answer ``str(thing)``, cut to its limit; the class name if that raises.

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


def trace(
    error: BaseException, *, skip: str, let_through: tuple[type[BaseException], ...] = ()
) -> str:
    """Answer the stack trace of *error* without the outermost frames of the file *skip*."""
    frames: TracebackType | None = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename == skip:
        frames = frames.tb_next
    try:
        lines = traceback.format_exception(type(error), error, frames)
    except let_through:
        raise
    except BaseException as second:  # noqa: BLE001 - formatting reads the user's objects
        return f"the stack trace cannot be shown: formatting it raised {type(second).__name__}"
    return cut("".join(lines), TRACE_LIMIT, keep_end=True)


def cut(text: str, limit: int, *, keep_end: bool = False) -> str:
    """Answer *text* in at most *limit* bytes of UTF-8, saying so if something is missing.

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
