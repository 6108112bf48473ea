"""Write to standard output and standard error of any kind: ASCII, narrow, full or closed.

All commands write through this module, so none of them has to handle encodings or closed streams.
It imports nothing heavy: ``render.py`` formats the jobs.
"""

import io
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Final

from antq_actors.errors import AntqError

_CONTROL: Final = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}
del _CONTROL[ord("\n")], _CONTROL[ord("\t")]


def printable(text: str) -> str:
    """Return *text* with escaped control characters, so that it cannot control a terminal."""
    return encodable(text.translate(_CONTROL))


def one_line(text: str) -> str:
    """Return *text* as `printable` does, with escaped line breaks too: it is one row of many."""
    return printable(text.translate({ord("\n"): r"\n", ord("\t"): r"\t"}))


def encodable(text: str) -> str:
    """Return *text* with escaped lone surrogates, which no output of a command accepts."""
    return text.encode("utf-8", "backslashreplace").decode()


def open_closed_descriptors() -> None:
    """Open a command's standard file descriptors that are closed, on the null device.

    Otherwise the file of a store could get such a number, and what a library or a job prints would
    be written into that file.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # it gets the lowest free number: this one


def escape_what_cannot_be_written() -> None:
    """Let standard output escape the characters that its encoding does not have."""
    if isinstance(sys.stdout, io.TextIOWrapper) and not has_all_characters():
        sys.stdout.reconfigure(errors="backslashreplace")


def report(text: str) -> None:
    """Write the result of a command, whose work is done, to standard output if that is open."""
    if stdout_is_open():
        with writing(text):
            print_line(text)


def write(text: str) -> None:
    """Write what the user requested to standard output. Raises AntqError if that fails."""
    with writing():
        print_line(text)


def write_lines(lines: Iterable[bytes]) -> None:
    """Write bytes to standard output, each with a newline. Raises AntqError if that fails."""
    with writing():
        for line in lines:
            sys.stdout.buffer.write(line + b"\n")
        sys.stdout.buffer.flush()


def print_line(text: str) -> None:
    """Write a line to standard output and flush it; call it within :func:`writing`."""
    print(text, flush=True)  # noqa: T201 - it is a command


def write_stderr(text: str) -> None:
    """Write a line of a command to standard error, if that is open."""
    if sys.stderr is not None:
        with suppress(OSError):
            # In one piece: other processes may write there, too.
            print(f"{text}\n", end="", file=sys.stderr, flush=True)  # noqa: T201 - it is a command


def write_over(text: str) -> None:
    """Write a line to a terminal's standard error, over the one that was written so before."""
    with suppress(OSError):
        print(f"\r\x1b[K{text}\r", end="", file=sys.stderr, flush=True)  # noqa: T201 - it is a command


def ask(question: str) -> str:
    """Write a question to standard error; return the line that standard input answers, or ""."""
    if sys.stderr is not None:
        with suppress(OSError):
            print(question, end="", file=sys.stderr, flush=True)  # noqa: T201 - it is a command
    answer = ""
    with suppress(OSError, ValueError):  # it is closed, or no text
        answer = sys.stdin.readline() if sys.stdin is not None else ""
    return answer.strip()


@contextmanager
def writing(done: str = "") -> Iterator[None]:
    """Turn an error of standard output into an AntqError, which also reports what was *done*."""
    if not stdout_is_open():
        raise AntqError("standard output is closed, so nothing can be shown")
    try:
        yield
    except BrokenPipeError:
        raise  # the reader has closed the pipe, which is not an error to report
    except OSError as error:
        why = f"standard output cannot be written: {error.strerror or error}"
        raise AntqError(f"{done} But {why}" if done else why) from error


def stdout_is_open() -> bool:
    """Return whether the command's standard output is open."""
    return sys.stdout is not None and not sys.stdout.closed


def has_all_characters() -> bool:
    """Return whether the encoding of the command's standard output has all characters."""
    return (sys.stdout.encoding or "").lower().replace("-", "").replace("_", "").startswith("utf")


def local_time(when: datetime, *, milliseconds: bool = False) -> str:
    """Return a time as commands print it: in this machine's zone, with its offset from UTC.

    >>> from datetime import UTC, datetime
    >>> len(local_time(datetime(2030, 5, 1, 9, 0, 12, 345678, tzinfo=UTC)))
    25
    """
    try:
        local = when.astimezone()
    except (OverflowError, ValueError, OSError):  # near the limits of datetime
        local = when
    timespec = "milliseconds" if milliseconds else "seconds"
    return local.isoformat(" ", timespec)
