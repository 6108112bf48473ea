"""The command ``antq``: start an application, run the demo, look at jobs and change them.

    start.py        start module:app
    demo.py         demo             demo_display.py while it runs, demo_report.py at its end
    jobs.py         list show nodes count cancel retry
    maintenance.py  verify backup restore compact migrate reseal export import
    store.py        which store a command is about, and its opening
    render.py       jobs as tables, text and JSON
    output.py       standard output and standard error, whatever they are

Exit codes: 0 fine; 1 refused (no such job, not cancellable, no such store any more, …), or findings
of verify; 2 wrong usage; 130 Ctrl-C. What goes wrong is one line on standard error.
"""

import sys
from importlib.metadata import version
from typing import Annotated, Final

import typer

from antq_actors.cli import demo, jobs, maintenance, output, render, start
from antq_actors.errors import AntqError

REFUSED: Final = 1
USAGE: Final = 2
INTERRUPTED: Final = 130

# Typer has moved the module of this class between versions, but never its place.
_UsageError: type[typer.BadParameter] = typer.BadParameter.__bases__[0]

_EXAMPLES: Final = """\b
Examples:
  antq demo                                  the lead promotion, with a live display
  antq start shop.jobs:app                   run the queues of an application
  antq list --path jobs --status failed      look at jobs, also while the application runs
  antq show 4711 --path jobs                 one job with its errors and stack traces
  antq backup backups/monday --path jobs     a copy of all jobs, also while it runs
"""

_app = typer.Typer(
    name="antq",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_app.command("start")(start.start)
_app.command("demo")(demo.demo)
_app.command("list")(jobs.list_jobs)
_app.command("show")(jobs.show)
_app.command("count")(jobs.count)
_app.command("nodes")(jobs.nodes)
_app.command("cancel")(jobs.cancel)
_app.command("retry")(jobs.retry)
_app.command("verify")(maintenance.verify)
_app.command("backup")(maintenance.backup)
_app.command("restore")(maintenance.restore)
_app.command("compact")(maintenance.compact)
_app.command("migrate")(maintenance.migrate)
_app.command("reseal")(maintenance.reseal)
_app.command("export")(maintenance.export_jobs)
_app.command("import")(maintenance.import_jobs)


def main() -> None:
    """Run the command of ``sys.argv`` and exit with its code."""
    output.occupy_descriptors()
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code."""
    output.escape_what_cannot_be_written()
    try:
        code = _app(arguments or ["--help"], prog_name="antq", standalone_mode=False)
    except _UsageError as error:
        return _complain(error.format_message(), USAGE)
    except typer.Abort:
        return INTERRUPTED
    except (AntqError, OSError) as error:
        return _complain(_with_cause(error), REFUSED)
    return code if isinstance(code, int) else 0


def _complain(message: str, code: int) -> int:
    output.note(f"antq: {render.printable(' '.join(message.split()))}")
    return code


def _with_cause(error: Exception) -> str:
    cause = error.__cause__
    if cause is None or str(cause) in str(error) or str(error) in str(cause):
        return str(error)
    return f"{error}: {type(cause).__name__}: {cause}"


def _show_version(asked: bool) -> None:  # noqa: FBT001 - called by typer
    if asked:
        output.write(f"antq {version('antq-actors')}")
        raise typer.Exit


@_app.callback(epilog=_EXAMPLES)
def _antq(
    *,
    show_version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Say which version."),
    ] = False,
) -> None:
    """Durable background jobs under a supervision tree, without a broker."""
