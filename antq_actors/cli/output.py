"""Standard output and standard error, whatever they are: ASCII, a narrow terminal, full, closed.

Every command writes here, so that none of them meets an encoding or a missing stream by itself.
Nothing heavy is imported: what a command shows of jobs is in ``render.py`` and ``tables.py``.
"""

import io
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from antq_actors.errors import AntqError

_CONTROL: Final = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}
del _CONTROL[ord("\n")], _CONTROL[ord("\t")]


def printable(text: str) -> str:
    """Return *text* with its control characters spelt out, so that it cannot drive a terminal."""
    return encodable(text.translate(_CONTROL))


def encodable(text: str) -> str:
    """Spell out lone surrogates, half characters that no output accepts."""
    return text.encode("utf-8", "backslashreplace").decode()


def occupy_descriptors() -> None:
    """Open the standard descriptors that are closed, on nothing.

    Else the file of a store could get such a number, and what a library or a job prints there
    would be written into it.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # it gets the smallest number that is free: this one


def escape_what_cannot_be_written() -> None:
    """Let standard output show the characters that its encoding does not have as escapes."""
    if isinstance(sys.stdout, io.TextIOWrapper) and not has_all_characters():
        sys.stdout.reconfigure(errors="backslashreplace")


def report(text: str) -> None:
    """Write what a command has done to standard output, if that is open: it is done anyway."""
    if is_open():
        with writing(text):
            print_line(text)


def write(text: str) -> None:
    """Write what was asked for to standard output. Raises AntqError if it cannot."""
    with writing():
        print_line(text)


def write_lines(lines: Iterable[bytes]) -> None:
    """Write bytes to standard output, each with a newline. Raises AntqError if it cannot."""
    with writing():
        for line in lines:
            sys.stdout.buffer.write(line + b"\n")
        sys.stdout.buffer.flush()


def print_line(text: str) -> None:
    """Write a line to standard output; to be called within :func:`writing`."""
    print(text, flush=True)  # noqa: T201 - it is a command


def note(text: str) -> None:
    """Write a line to standard error, if anybody can read it there."""
    if sys.stderr is not None:
        with suppress(OSError):
            # In one piece: other processes may write there, too.
            print(f"{text}\n", end="", file=sys.stderr, flush=True)  # noqa: T201 - it is a command


@contextmanager
def writing(done: str = "") -> Iterator[None]:
    """Say of an error that it is one of standard output, and what was done all the same."""
    if not is_open():
        raise AntqError("standard output is closed, so nothing can be shown")
    try:
        yield
    except BrokenPipeError:
        raise  # whoever read it has seen enough: that is no error to speak of
    except OSError as error:
        why = f"standard output cannot be written: {error.strerror or error}"
        raise AntqError(f"{done} But {why}" if done else why) from error


def is_open() -> bool:
    """Return whether there is a standard output."""
    return sys.stdout is not None and not sys.stdout.closed


def has_all_characters() -> bool:
    """Return whether the encoding of standard output has all characters."""
    return (sys.stdout.encoding or "").lower().replace("-", "").replace("_", "").startswith("utf")
