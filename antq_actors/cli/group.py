"""The group of all commands, for typer."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

import antq_actors
from antq_actors.cli import output
from antq_actors.cli.commands import COMMANDS

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
        return _load(name)

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
        """Return the names of the commands, in the order in which help lists them."""
        return list(COMMANDS)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - typer's
        """Write the section of the help that lists the commands."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.summary) for name, command in COMMANDS.items()])


def _load(name: str) -> Any:
    module, _, function = COMMANDS[name].place.partition(":")
    single = _new_typer()
    single.command(name)(getattr(import_module(f"antq_actors.cli.{module}"), function))
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
