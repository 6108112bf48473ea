"""The command ``antq``: start an application, run the demo, show and change jobs.

    group.py        all commands, by name and summary
    embedded.py     the same within the commands of a web framework
    start.py        start module:app
    demo_web.py     demo --web
    demo.py         demo                         demo_display.py its progress and summary
    course.py       course
    listing.py      list
    jobs.py         show nodes count
    bulk.py         cancel retry delete run-now  found.py all jobs that a filter finds
    changes.py      reschedule pause resume
    crons.py        crons cron
    limits.py       limits limit
    charts.py       charts
    metrics.py      metrics
    enqueue.py      enqueue                      user_code.py imports the user's modules
    overview.py     overview queues info
    top.py          top
    tree.py         tree
    maintenance.py  verify backup restore compact migrate reseal export import
    store.py        opens the store that a command works on
    render.py       jobs and other facts as text, JSON and tables
    output.py       writes to standard output and standard error of any kind

A command is imported when it is run. ``--version`` and ``--help`` import no library except typer.

Exit codes: 0 success; 1 refused (the job does not exist or cannot be cancelled, the store is gone,
…), or findings of verify; 2 wrong usage; 130 Ctrl-C. An error is one line on standard error.
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
    """Run the ``antq`` command of ``sys.argv`` and exit the process with its code."""
    output.open_closed_descriptors()
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str], command: Any = None, program: str = "antq") -> int:
    """Run one ``antq`` command line and return its exit code; print an error on one line.

    *command* is what is run, by default the group of all commands, and *program* how users call it.
    """
    output.escape_what_cannot_be_written()
    try:
        if arguments == ["--version"]:
            output.write(f"antq {antq_actors.__version__}")
            return 0
        return _run_command(arguments, command, program)
    except (AntqError, OSError) as error:
        return _complain(_with_cause(error), REFUSED)


def _run_command(arguments: list[str], command: Any, program: str) -> int:
    import typer  # noqa: PLC0415 - only when needed: it takes half the time of --version

    from antq_actors.cli.group import antq  # noqa: PLC0415 - the same

    # typer has moved this class to other modules, but it has always been the base of BadParameter.
    usage_error: Any = typer.BadParameter.__bases__[0]
    try:
        if command is None:
            command, arguments = antq, arguments or ["--help"]
        code = command(arguments, prog_name=program, standalone_mode=False)
    except usage_error as error:
        return _complain(_wrong_usage(error), USAGE)
    except typer.Abort:
        return INTERRUPTED
    return code if isinstance(code, int) else 0


def _wrong_usage(error: Any) -> str:
    # typer puts the name of an exception before the message of its own check of a choice.
    text: str = error.format_message().replace(": Value error, ", ": ", 1)
    checked: Any = error.__cause__
    if hasattr(checked, "errors"):  # pydantic's, whose message does not show the value
        found = repr(checked.errors()[0]["input"])
        if found not in text:
            text = f"{text}, got {found}"
    return text


def _complain(message: str, code: int) -> int:
    output.write_stderr(f"antq: {output.printable(' '.join(message.split()))}")
    return code


def _with_cause(error: Exception) -> str:
    cause = error.__cause__
    if cause is None or str(cause) in str(error) or str(error) in str(cause):
        return str(error)
    return f"{error}: {type(cause).__name__}: {cause}"
