"""``antq start module:app``: run the queues of an application until a signal ends them."""

import importlib
import inspect
import logging
import os
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from antq_actors import AntQ, AntqError
from antq_actors.app import signals
from antq_actors.cli import output
from antq_actors.jobs.attempt_error import describe
from antq_actors.jobs.duration import brief
from antq_actors.processes import parent
from antq_actors.processes.lifeline import HURRY, Lifeline
from antq_actors.storage.store_lock import can_be_shared

MOST_PROCESSES: Final = 1_000


def start(
    target: Annotated[
        str,
        typer.Argument(metavar="MODULE:APP", help="An AntQ, or a function that returns one."),
    ],
    *,
    processes: Annotated[
        int,
        typer.Option(
            min=1,
            max=MOST_PROCESSES,
            help="Processes that share the work; one for each core computes most.",
        ),
    ] = 1,
    number: Annotated[int, typer.Option(hidden=True)] = 1,
    lifeline: Annotated[int | None, typer.Option(hidden=True)] = None,
) -> int:
    """Run the queues of an application.

    SIGINT, SIGTERM or a closed terminal (SIGHUP, unless nohup has it ignored) stops it: nothing
    more is claimed, and what runs may end. A second signal does not wait. SIGQUIT prints where all
    threads are, and stops it, too. MODULE is looked for in the current directory first.

    \b
    Examples:
      antq start shop.jobs:app
      antq start shop.jobs:make_app
      antq start shop.jobs:app --processes 4
    """
    if processes > 1:
        _check_form(target)
        _check_platform()
        _log_to_stderr()
        output.note(f"antq: running {target} in {processes} processes; Ctrl-C stops them")
        return parent.run(_command(target), processes)
    _obey_as_first_process()
    if lifeline is not None:
        _start_as_one_of_many(target, number, Lifeline(lifeline))
        return 0

    app = _runnable(target)
    if app.is_volatile:
        raise _wrong(
            f"'{target}' keeps its jobs in memory, where no other program can enqueue any; give it"
            " a path: AntQ('jobs')"
        )
    _log_to_stderr()
    output.note(f"antq: running {target}; Ctrl-C stops it")
    _run(app)
    return 0


def _obey_as_first_process() -> None:
    """Let SIGTERM end this process already while the application is imported.

    It does by itself, but for the first process of a container: the system drops what that has no
    handler for.
    """
    if os.getpid() == 1:
        signal.signal(signal.SIGTERM, lambda number, _: os._exit(128 + number))


def _check_platform() -> None:
    if not can_be_shared(sys.platform):
        raise typer.BadParameter(
            f"on {sys.platform} one process at a time may have a store open; use one, and"
            ' executor="process" for jobs that compute',
            param_hint="--processes",
        )


def _start_as_one_of_many(target: str, number: int, lifeline: Lifeline) -> None:
    """Be the process of this *number* under a parent."""
    app = _runnable(target)
    if app.is_volatile:
        raise typer.BadParameter(
            f"'{target}' keeps its jobs in memory, and each process would have its own; give it a"
            f" path to share, or run one process",
            param_hint="--processes",
        )

    def tell_that_it_is_up() -> None:
        output.note(f"antq: process {number} is up, pid {os.getpid()}")
        lifeline.report_up()

    _log_to_stderr(f"[{number}] ")
    _run(app, when_up=tell_that_it_is_up, hurried_by=HURRY)


def _run(app: AntQ, **options: Any) -> None:
    if not app.runs_queues:
        app.stop()  # its module may have started it without queues, as for a web process
    try:
        signals.run(app, queues=True, **options)
    except RuntimeError as error:
        # The tree gave up; the log has told the whole story.
        raise AntqError(str(error)) from None


def _log_to_stderr(mark: str = "") -> None:
    logging.basicConfig(
        level=logging.INFO, format=f"%(asctime)s %(levelname)-7s {mark}%(name)s: %(message)s"
    )


def _command(target: str) -> list[str]:
    """Answer this very command, for one process, in an interpreter that finds the same modules."""
    # With -m the current directory comes first on sys.path, before the standard library; if it is
    # not there now, a file of the application called queue.py must not be found there then.
    path = [] if str(Path.cwd()) in sys.path else ["-P"]
    return [sys.executable, *path, "-m", "antq_actors", "start", target]


def _runnable(target: str) -> AntQ:
    app = load(target)
    if not app.start_queues:
        raise _wrong(
            f"'{target}' was made with start_queues=False, so there is nothing to run; leave that"
            " out, and have the process that only enqueues start it with app.start(queues=False)"
        )
    return app


def load(target: str) -> AntQ:
    """Import what *target* names; wrong usage when that is no application.

    Raises AntqError when the user's own code raises, naming the place.
    """
    module_name, path = _check_form(target)
    hint = f"; `python -c 'import {module_name}'` shows the whole way there"
    with _in_one_line(f"the import of '{module_name}'", hint):
        module = _import(module_name)
    with _in_one_line(f"'{target}'"):
        found = _attribute(module, module_name, path)
        app = found() if _callable_as_is(found) else found
    if not isinstance(app, AntQ):
        raise _wrong(
            f"'{target}' is {brief(app)}; an AntQ is needed, or a function that returns one"
        )
    return app


def _check_form(target: str) -> tuple[str, str]:
    """Return the module and the path in it that *target* names."""
    module_name, _, path = target.partition(":")
    if not (path and all(module_name.split(".")) and "/" not in module_name):
        raise _wrong(f"'{target}' is not MODULE:APP; write for example shop.jobs:app")
    return module_name, path


def _import(module_name: str) -> Any:
    directory = str(Path.cwd())
    if directory not in sys.path:
        sys.path.insert(0, directory)
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        # Only when the module itself is missing, and not one that it imports.
        if error.name and f"{module_name}.".startswith(f"{error.name}."):
            raise _wrong(
                f"there is no module '{error.name}' in {directory} or on sys.path"
            ) from None
        raise


def _attribute(module: Any, module_name: str, path: str) -> Any:
    try:
        return attrgetter(path)(module)
    except AttributeError:
        apps = [name for name, value in vars(module).items() if isinstance(value, AntQ)]
        hint = f"; did you mean {module_name}:{apps[0]}?" if apps else ""
        raise _wrong(f"module '{module_name}' has no '{path}'{hint}") from None


@contextmanager
def _in_one_line(what: str, hint: str = "") -> Iterator[None]:
    """Raise what the user's code raises as an AntqError that says what and where it was."""
    try:
        yield
    except (typer.BadParameter, AntqError):
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever the user's code raises
        raise AntqError(
            f"{what} raised {type(error).__name__}: {describe(error)}{_place(error)}{hint}"
        ) from None


def _place(error: BaseException) -> str:
    """Return where in a file an exception was raised."""
    if isinstance(error, SyntaxError):
        return ""  # its text says so
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith("<") and frame.filename != __file__
    ]
    return f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""


def _callable_as_is(found: Any) -> bool:
    if isinstance(found, AntQ) or not callable(found):
        return False
    try:
        inspect.signature(found).bind()
    except (TypeError, ValueError):
        return False
    return True


def _wrong(message: str) -> typer.BadParameter:
    return typer.BadParameter(message, param_hint="MODULE:APP")
