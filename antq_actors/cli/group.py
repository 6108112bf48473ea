"""The commands of ``antq``, by name and summary, and their group for typer.

The module of a command is imported when the command is run or its own help is shown. ``antq
--help`` shows all summaries without importing the modules, so they are repeated here. A test
compares them with the docstrings of the functions.
"""

from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import Annotated, Any, Final, NamedTuple

import typer
from typer.core import TyperGroup

import antq_actors
from antq_actors.cli import output

_EXAMPLES: Final = """\b
Examples:
  antq demo                                  the lead promotion, with a live display
  antq start shop.jobs:app                   run the queues of an application
  antq list --path jobs --status failed      list jobs, also while the application runs
  antq show 4711 --path jobs                 one job with its errors and stack traces
  antq backup backups/monday --path jobs     copy all jobs, also while the application runs
"""


class _OnDemand(Mapping[str, Any]):
    """All commands by name; each is imported when it is looked up."""

    def __getitem__(self, name: str) -> Any:
        if name not in COMMANDS:
            raise KeyError(name)
        return load_command(COMMANDS[name].place, name)

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


class CommandGroup(TyperGroup):
    """The group of all commands. It knows their names without importing them."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.commands: Any = _OnDemand()

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - typer's
        """Return the names of the ``antq`` commands, in the order in which help lists them."""
        return list(COMMANDS)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - typer's
        """Write the section of ``antq --help`` that lists the commands."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.summary) for name, command in COMMANDS.items()])


def load_command(place: str, name: str) -> Any:
    """Import the function at ``module:name`` in ``antq_actors.cli``; return its command."""
    module, _, function = place.partition(":")
    return command_of(getattr(import_module(f"antq_actors.cli.{module}"), function), name)


def command_of(function: Callable[..., int], name: str) -> Any:
    """Return a function as a command of this *name*."""
    single = _new_typer()
    single.command(name)(function)
    return typer.main.get_command(single)


def _new_typer(**options: Any) -> typer.Typer:
    return typer.Typer(
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        **options,
    )


antq: Final = _new_typer(name="antq", cls=CommandGroup)


def _show_version(asked: bool) -> None:  # noqa: FBT001 - called by typer
    if asked:
        output.write(f"antq {antq_actors.__version__}")
        raise typer.Exit


@antq.callback(epilog=_EXAMPLES)
def _antq(
    *,
    show_version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Durable background jobs under a supervision tree, without a broker."""


class Command(NamedTuple):
    """One command of ``antq``."""

    place: str
    """Its function, as ``module:name`` in ``antq_actors.cli``."""
    summary: str
    """The first line of its function's docstring."""


COMMANDS: Final = {
    "start": Command("start:start", "Run the queues of an application."),
    "demo": Command("demo:demo", "Send a promotion to every lead in a file."),
    "course": Command("course:course", "List the programs of the OTP course; show and run one."),
    "list": Command("listing:list_jobs", "List jobs by id. A job must match all filters."),
    "errors": Command(
        "errors:errors",
        "Show the failures of jobs, grouped by what they have in common, the last one first.",
    ),
    "show": Command(
        "jobs:show",
        "Show one job with its result, steps, errors and stack traces, and where it runs.",
    ),
    "history": Command(
        "jobs:history", "Show what happened to one job, from its insertion to how it stands."
    ),
    "overview": Command(
        "overview:overview",
        "Show whether all is well: what waits and runs, and what needs attention.",
    ),
    "queues": Command(
        "overview:queues",
        "Show each queue: what waits, what runs in how many slots, and where that is heading.",
    ),
    "top": Command(
        "top:top",
        "Watch a store in the terminal: overview, jobs, queues, supervision tree and nodes.",
    ),
    "tree": Command(
        "tree:tree",
        "Show the supervision tree of a node: its actors, their restarts, and what they are at.",
    ),
    "count": Command("jobs:count", "Count jobs, as fast with ten million as with ten."),
    "nodes": Command("jobs:nodes", "Show which processes run which queues, and how many jobs."),
    "why": Command("why:why", "Show why a job does not run, or why a queue does nothing."),
    "charts": Command(
        "charts:charts",
        "Show how many jobs came in and ended lately, and how long they waited and ran.",
    ),
    "audit": Command(
        "audit:audit", "Show what was done by hand, by whom and why, the newest first."
    ),
    "metrics": Command(
        "metrics:metrics", "Serve the numbers of a store to Prometheus until a signal stops it."
    ),
    "web": Command(
        "web:web", "Serve the dashboard of a store in the browser until a signal stops it."
    ),
    "enqueue": Command("enqueue:enqueue", "Enqueue one job."),
    "cancel": Command(
        "bulk:cancel",
        "Cancel jobs that have not ended: those named, or all that match filters.",
    ),
    "retry": Command(
        "bulk:retry", "Enqueue ended jobs again: those named, or all that match filters."
    ),
    "delete": Command(
        "bulk:delete",
        "Delete jobs of any status, for good: those named, or all that match filters.",
    ),
    "run-now": Command(
        "bulk:run_now",
        "Make scheduled and retrying jobs due now: those named, or all that a filter finds.",
    ),
    "reschedule": Command(
        "changes:reschedule", "Change when a scheduled, retrying or enqueued job is due."
    ),
    "pause": Command(
        "changes:pause",
        "Pause queues in every process on the path; they stay paused after a restart.",
    ),
    "resume": Command("changes:resume", "Resume paused queues, in every process on the path."),
    "preview": Command(
        "stepping:preview",
        "Show which jobs of a queue would start next, and what puts each at its place.",
    ),
    "step": Command(
        "stepping:step", "Let the next jobs of a paused queue start; those behind them wait."
    ),
    "breakpoint": Command(
        "stepping:breakpoint",
        "Pause a queue by itself at a job of a worker or with an argument, on every node.",
    ),
    "crons": Command(
        "crons:crons", "List periodic entries: when they fire next, and what has come of them."
    ),
    "cron": Command("crons:cron", "Show one periodic entry, or change it."),
    "limits": Command(
        "limits:limits",
        "Show the limits of a store: their numbers in force, and what waits for them.",
    ),
    "limit": Command(
        "limits:limit",
        "Change a limit on every node: other numbers, a pause, or back to what the code says.",
    ),
    "batches": Command(
        "batches:batches",
        "List batches by id, with how far they are; or close, cancel or retry one.",
    ),
    "workflows": Command("workflows:workflows", "List workflows by id, with how far they are."),
    "workflow": Command(
        "workflows:workflow",
        "Show one workflow with its jobs, each below what it waits for; or change it.",
    ),
    "verify": Command(
        "maintenance:verify", "Compare every index, count and unique key with the jobs."
    ),
    "info": Command(
        "overview:info", "Show how large a store is, and what of it can be returned to the disk."
    ),
    "backup": Command(
        "maintenance:backup",
        "Copy the current state of a store to a new directory, while applications run.",
    ),
    "restore": Command(
        "maintenance:restore", "Create a store from a backup, after verifying the backup."
    ),
    "compact": Command("maintenance:compact", "Return the space of deleted data to the disk."),
    "migrate": Command("maintenance:migrate", "Convert a store to the format of this release."),
    "reseal": Command(
        "maintenance:reseal", "Sign and encrypt all jobs in a store with the first keys."
    ),
    "export": Command(
        "maintenance:export_jobs", "Write jobs as lines of JSON, while applications run."
    ),
    "import": Command(
        "maintenance:import_jobs",
        "Import the jobs of an export; use only a file that you trust as you trust code.",
    ),
}
