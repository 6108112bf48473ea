"""Standard output and standard error, whatever they are: ASCII, a narrow terminal, full, closed.

Every command writes here, so that none of them meets an encoding or a missing stream by itself.
"""

import io
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import typer
from rich.console import Console

from antq_actors.cli import render
from antq_actors.errors import AntqError

_PIPE_WIDTH: Final = 1_000
"""Columns where there is no terminal: enough for any line."""


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
    if isinstance(sys.stdout, io.TextIOWrapper) and not _is_universal(sys.stdout.encoding):
        sys.stdout.reconfigure(errors="backslashreplace")


def report(text: str) -> None:
    """Write what a command has done to standard output, if that is open: it is done anyway."""
    if _is_open():
        with _writing(text):
            typer.echo(text)


def write(text: str) -> None:
    """Write what was asked for to standard output. As all below, raises AntqError if it cannot."""
    with _writing():
        typer.echo(text)


def write_json(value: Any) -> None:
    """Write a value as one JSON document, in characters that standard output has."""
    with _writing():
        typer.echo(render.as_json(value, ascii_only=not _is_universal(sys.stdout.encoding)))


def write_lines(lines: Iterable[bytes]) -> None:
    """Write bytes to standard output, each with a newline."""
    with _writing():
        for line in lines:
            sys.stdout.buffer.write(line + b"\n")
        sys.stdout.buffer.flush()


def write_table(table: render.JobTable | render.PlainTable | str) -> None:
    """Write a table, as wide as the terminal; to anything else in full."""
    with _writing():
        _write_table(table)


def _write_table(table: render.JobTable | render.PlainTable | str) -> None:
    console = Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH, highlight=False)
    if isinstance(table, render.JobTable):
        # An id that is wider than the terminal is not cut: it goes on in the next line.
        console.width = max(console.width, table.narrowest)
    console.print(table, soft_wrap=not isinstance(table, render.JobTable))


def note(text: str) -> None:
    """Write a line to standard error, if anybody can read it there."""
    if sys.stderr is not None:
        with suppress(OSError):
            print(text, file=sys.stderr, flush=True)  # noqa: T201 - it is a command


@contextmanager
def _writing(done: str = "") -> Iterator[None]:
    """Say of an error that it is one of standard output, and what was done all the same."""
    if not _is_open():
        raise AntqError("standard output is closed, so nothing can be shown")
    try:
        yield
    except BrokenPipeError:
        raise  # whoever read it has seen enough: that is no error to speak of
    except OSError as error:
        why = f"standard output cannot be written: {error.strerror or error}"
        raise AntqError(f"{done} But {why}" if done else why) from error


def _is_open() -> bool:
    return sys.stdout is not None and not sys.stdout.closed


def _is_universal(encoding: str | None) -> bool:
    """Return whether an encoding has all characters."""
    return (encoding or "").lower().replace("-", "").replace("_", "").startswith("utf")
