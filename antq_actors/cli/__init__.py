"""The command ``antq``: start an application, run the demo, look at jobs and change them.

    commands.py     what each is called, does, and where it is; group.py: all of them, for typer
    start.py        start module:app             start_log.py what it logs
    demo.py         demo             demo_display.py while it runs, demo_report.py at its end
    course.py       course
    listing.py      list
    jobs.py         show nodes count             overview.py what runs where
    changes.py      cancel retry delete pause resume
    enqueue.py      enqueue                      user_code.py the modules that commands import
    maintenance.py  verify backup restore compact migrate reseal export import
    store.py        which store a command is about, and its opening
    render.py       jobs as text and JSON
    tables.py       jobs, and other facts, as tables
    moment.py       instants, as people read them
    output.py       standard output and standard error, whatever they are

A command is imported when it is run. ``--version`` and ``--help`` import no library but typer.

Exit codes: 0 fine; 1 refused (no such job, not cancellable, no such store any more, …), or findings
of verify; 2 wrong usage; 130 Ctrl-C. What goes wrong is one line on standard error.
"""

import sys
from typing import Any, Final

import antq_actors
from antq_actors.cli import output
from antq_actors.errors import AntqError

REFUSED: Final = 1
USAGE: Final = 2
INTERRUPTED: Final = 130


def main() -> None:
    """Run the command of ``sys.argv`` and exit with its code."""
    output.occupy_descriptors()
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code."""
    output.escape_what_cannot_be_written()
    try:
        if arguments == ["--version"]:
            output.write(f"antq {antq_actors.__version__}")
            return 0
        return _run_command(arguments)
    except (AntqError, OSError) as error:
        return _complain(_with_cause(error), REFUSED)


def _run_command(arguments: list[str]) -> int:
    import typer  # noqa: PLC0415 - not before it is needed: it takes half the time of --version

    from antq_actors.cli.group import antq  # noqa: PLC0415 - the same

    # Typer has moved the module of this class between versions, but never its place.
    usage_error: Any = typer.BadParameter.__bases__[0]
    try:
        code = antq(arguments or ["--help"], prog_name="antq", standalone_mode=False)
    except usage_error as error:
        return _complain(_wrong_usage(error), USAGE)
    except typer.Abort:
        return INTERRUPTED
    return code if isinstance(code, int) else 0


def _wrong_usage(error: Any) -> str:
    # typer puts the name of an exception before what its own check of a choice says.
    text: str = error.format_message().replace(": Value error, ", ": ", 1)
    checked: Any = error.__cause__
    if hasattr(checked, "errors"):  # of pydantic, which does not say what it has found
        found = repr(checked.errors()[0]["input"])
        if found not in text:
            text = f"{text}, got {found}"
    return text


def _complain(message: str, code: int) -> int:
    output.note(f"antq: {output.printable(' '.join(message.split()))}")
    return code


def _with_cause(error: Exception) -> str:
    cause = error.__cause__
    if cause is None or str(cause) in str(error) or str(error) in str(cause):
        return str(error)
    return f"{error}: {type(cause).__name__}: {cause}"
