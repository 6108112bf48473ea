"""The commands of ``antq`` within those of a web framework, for the application of its site.

``start`` runs the queues of that application in this process. All others are ``antq``'s, and find
the store of the application by themselves.
"""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from antq_actors import AntQ, cli
from antq_actors.cli import output, store
from antq_actors.cli.group import COMMANDS, command_of, load_command
from antq_actors.cli.start import (
    ALONE,
    Level,
    LifelineFd,
    Reload,
    run_application,
    run_reloading,
    run_under_parent,
)
from antq_actors.multiprocess.process_group import ParentLifeline

if TYPE_CHECKING:
    import click

_HELP: Final = "Run antq for this site: start, list, show, retry, cancel and others."


def command_for(application: Callable[[], AntQ], name: str, program: str) -> "click.Command":
    """Return the command ``antq`` of a framework's own command line.

    *name* is that of the site, *program* what users type, such as ``"flask antq"``.
    """
    import click  # noqa: PLC0415 - those frameworks bring it, and Django does not

    @click.command(
        "antq",
        help=_HELP,
        add_help_option=False,
        context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    )
    @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
    def antq(arguments: tuple[str, ...]) -> None:
        sys.exit(run(application(), list(arguments), name, program))

    return antq


def run(app: AntQ, arguments: list[str], name: str, program: str) -> int:
    """Run one command line of ``antq`` for an application; return its exit code."""
    command = arguments[0] if arguments else ""
    if command == "start":
        if app.is_volatile and not {"-h", "--help"}.intersection(arguments):
            return _refuse_volatile()
        return cli.run(arguments[1:], command_of(_start(app, name), "start"), f"{program} start")
    if command not in COMMANDS or not _takes_path(command) or _names_path(arguments):
        return cli.run(arguments, program=program)
    if app.is_volatile:
        return _refuse_volatile()
    with store.commands_of(app):
        return cli.run([command, "--path", str(app.path), *arguments[1:]], program=program)


def _refuse_volatile() -> int:
    output.write_stderr(
        "antq: the application of this site keeps its jobs in memory, so no other program can see"
        " them; give it a path"
    )
    return cli.REFUSED


def _start(app: AntQ, name: str) -> Callable[..., int]:
    """Return what runs the queues of an application, as a function for typer."""

    def start(
        *, reload: Reload = False, log_level: Level = None, lifeline: LifelineFd = None
    ) -> int:
        """Run the queues of this site until a signal stops them.

        SIGINT, SIGTERM or a closed terminal stops them: no more jobs are claimed, and running jobs
        may finish. A second signal stops them without waiting.
        """
        if reload:
            # As this program was started, and so with the site that its options name.
            again = [sys.executable, *(each for each in sys.orig_argv[1:] if each != "--reload")]
            return run_reloading(again, name, log_level)
        if lifeline is not None:
            run_under_parent(app, name, log_level, ALONE, ParentLifeline(lifeline))
        else:
            run_application(app, name, log_level)
        return 0

    return start


def _takes_path(command: str) -> bool:
    params: list[Any] = load_command(COMMANDS[command].place, command).params
    return any("--path" in each.opts for each in params)


def _names_path(arguments: list[str]) -> bool:
    return any(each == "--path" or each.startswith("--path=") for each in arguments)
