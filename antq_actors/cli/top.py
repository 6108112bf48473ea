"""``antq top``: watch a store in the terminal."""

import sys
from types import ModuleType
from typing import Annotated, TypeAlias

import typer

from antq_actors import AntqError
from antq_actors.cli import output, user_code
from antq_actors.cli.found import user_name
from antq_actors.cli.store import StorePath, open_shown_store
from antq_actors.top.look import Look
from antq_actors.top.reading import Reading

Once: TypeAlias = Annotated[
    bool, typer.Option("--once", help="Print what all tabs show now as plain text, and end.")
]
ReadOnly: TypeAlias = Annotated[
    bool, typer.Option("--read-only", help="Show everything, and change nothing.")
]
Ascii: TypeAlias = Annotated[
    bool, typer.Option("--ascii", help="Use the characters alone that every terminal has.")
]
Interval: TypeAlias = Annotated[
    float, typer.Option(min=0.1, max=3_600, metavar="SECONDS", help="Seconds between two looks.")
]


def top(
    path: StorePath,
    *,
    once: Once = False,
    read_only: ReadOnly = False,
    ascii: Ascii = False,  # noqa: A002 - the option's name
    interval: Interval = 1.0,
) -> int:
    """Watch a store in the terminal: overview, jobs, queues, supervision tree and nodes.

    The keys 1 to 5 change the tab, / filters jobs, Enter opens what a row is about, ? shows all
    keys, q ends. It takes the extra "top": pip install "antq-actors[top]"; --once does not.

    \b
    Examples:
      antq top --path jobs
      antq top --path jobs --read-only --interval 5
      antq top --path jobs --once > ticket.txt
    """
    user_code.search_current_directory()
    with open_shown_store(path) as app:
        if once:
            look = Look(ascii_only=ascii or not output.has_all_characters())
            for line in Reading(app, look).snapshot():
                output.write(line)
            return 0
        _check_terminal()
        watch = _load_program().watch
        look = Look(ascii_only=ascii)
        code: int = watch(app, look, interval, is_read_only=read_only, user=user_name())
        return code


def _check_terminal() -> None:
    streams = (sys.stdin, sys.stdout, sys.stderr)
    if not all(each is not None and not each.closed and each.isatty() for each in streams):
        raise AntqError("`antq top` needs a terminal; `antq top --once` prints what it shows")


def _load_program() -> ModuleType:
    try:
        from antq_actors.top import program  # noqa: PLC0415 - needs an extra
    except ImportError as error:
        raise AntqError(
            f'`antq top` needs Textual: pip install "antq-actors[top]" ({error});'
            " `antq top --once` does not"
        ) from None
    return program
