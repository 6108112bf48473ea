"""``antq start module:app``: run the queues of an application until a signal stops it."""

import inspect
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Final, TypeAlias

import typer

import antq_actors
from antq_actors import AntQ, AntqError
from antq_actors.app import signals
from antq_actors.checks import short_repr
from antq_actors.cli import output, user_code
from antq_actors.cli.start_log import LogLevel, configure_log, held_log
from antq_actors.jobs.resolver import is_worker
from antq_actors.multiprocess import parent
from antq_actors.multiprocess import reload as reload_at_changes
from antq_actors.multiprocess.process_group import STOP_NOW, ParentLifeline
from antq_actors.storage.locks.store_lock import can_be_shared

MOST_PROCESSES: Final = 1_000

ALONE: Final = 0
"""The number of the only process below a parent."""

FORM: Final = "MODULE:APP"

Place: TypeAlias = tuple[str, int]
"""A host and a port."""

DEFAULT_PLACE: Final[Place] = ("127.0.0.1", 8420)
MOST_PORT: Final = 65_535


Target: TypeAlias = Annotated[
    str,
    typer.Argument(metavar=FORM, help="An AntQ application, or a function that returns one."),
]
Processes: TypeAlias = Annotated[
    int,
    typer.Option(
        min=1,
        max=MOST_PROCESSES,
        help="Number of processes that share the work; to compute, use one for each core.",
    ),
]
SitePlace: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--app",
        metavar="MODULE:SITE",
        help="The web application, whose lifespan or application context the jobs run in.",
    ),
]
Reload: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--reload",
        help="For development: start anew when a Python file below the current directory changes.",
    ),
]
Level: TypeAlias = Annotated[
    LogLevel | None,
    typer.Option(
        case_sensitive=False,
        help="Lowest level that is logged; info adds a line for each job that ends. The"
        " default is warning, and info for your own code.",
    ),
]
WithWeb: TypeAlias = Annotated[
    bool, typer.Option("--web", help="Also serve the dashboard; its URL is printed.")
]
WebAddress: TypeAlias = Annotated[
    str | None,
    typer.Option(metavar="HOST:PORT", help="Where --web listens; the default is 127.0.0.1:8420."),
]
Number: TypeAlias = Annotated[int, typer.Option(hidden=True)]
LifelineFd: TypeAlias = Annotated[int | None, typer.Option(hidden=True)]
WithoutTraceback: TypeAlias = Annotated[bool, typer.Option("--without-traceback", hidden=True)]


def start(
    target: Target,
    *,
    processes: Processes = 1,
    site: SitePlace = None,
    reload: Reload = False,
    log_level: Level = None,
    web: WithWeb = False,
    web_address: WebAddress = None,
    number: Number = 1,
    lifeline: LifelineFd = None,
    without_traceback: WithoutTraceback = False,
) -> int:
    """Run the queues of an application.

    SIGINT, SIGTERM or a closed terminal (SIGHUP, unless nohup ignores it) stops the application:
    it claims no more jobs, and running jobs may finish. A second signal stops it without waiting.
    SIGQUIT prints the stack traces of all threads, and stops it, too. MODULE is searched for in
    the current directory first.

    \b
    Examples:
      antq start shop.jobs:app
      antq start shop.jobs:make_app --log-level info
      antq start shop.jobs:app --processes 4
      antq start shop.jobs:app --app shop.web:site
      antq start shop.jobs:app --web
    """
    place = parse_web(web_address, is_on=web)
    command = _command(target, log_level, site, place)
    if reload:
        return _run_reloading(target, processes, log_level, command)
    if processes > 1:
        return _run_processes(target, processes, log_level, command)
    _handle_sigterm_as_first_process()
    if lifeline is not None:
        app = _runnable(target, with_traceback=not without_traceback)
        with _within(site, app):
            run_under_parent(app, target, log_level, number, ParentLifeline(lifeline), web=place)
        return 0

    app = _runnable(target)
    if app.is_volatile:
        raise _volatile(target)
    with _within(site, app):
        run_application(app, target, log_level, place)
    return 0


def _within(place: str | None, app: AntQ) -> AbstractContextManager[None]:
    """Return what sets up the site of a web framework for the jobs of *app*."""
    if place is None:
        return nullcontext()
    from antq_actors.cli import site  # noqa: PLC0415 - only where there is one

    return site.entered(place, app)


def parse_web(address: str | None, *, is_on: bool) -> Place | None:
    """Return where ``--web`` listens; None: it is not there. Raises BadParameter."""
    if address is None:
        return DEFAULT_PLACE if is_on else None
    host, separator, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    is_port = port.isascii() and port.isdecimal() and int(port[:6]) <= MOST_PORT
    if not (separator and host and is_port):
        raise typer.BadParameter(
            f"it must be HOST:PORT, such as 127.0.0.1:8420, got {short_repr(address)}",
            param_hint="--web-address",
        )
    if not is_on:
        raise typer.BadParameter("it is where --web listens; add --web", param_hint="--web-address")
    return host, int(port)


def run_application(
    app: AntQ, name: str, log_level: LogLevel | None, web: Place | None = None
) -> None:
    """Run the queues of an application in this process until a signal stops it.

    *web*: where the dashboard is served beside them.
    """

    def report_start() -> None:
        _say(f"{_version()} runs {name}; Ctrl-C stops it")
        with suppress(AntqError):  # if the store cannot be read now, the queues can still run
            _say(f"{_store_and_queues(app)}; {_place(app)}")

    configure_log(log_level)
    with _served(app, name, web) as serve:
        _run(app, report_start, serve, report=_say)
    _say("stopped")


def _run_reloading(
    target: str, processes: int, log_level: LogLevel | None, command: list[str]
) -> int:
    """Run ``antq start --reload``: one process at a time, which starts anew at each change."""
    user_code.parse_target(target, FORM, "shop.jobs:app")
    if processes > 1:
        raise typer.BadParameter(
            "it runs one process; leave out --processes", param_hint="--reload"
        )
    return run_reloading([*command, "--number", str(ALONE)], target, log_level)


def run_reloading(command: Sequence[str], name: str, log_level: LogLevel | None) -> int:
    """Run a command line that runs an application, anew at each change; return its exit code."""
    configure_log(log_level)
    _say(f"{_version()} starts {name} anew when a file changes; Ctrl-C stops it")
    return reload_at_changes.run(command, report=_say)


def _run_processes(
    target: str, processes: int, log_level: LogLevel | None, command: list[str]
) -> int:
    """Start the processes of ``antq start --processes``, and watch them as their parent."""
    user_code.parse_target(target, FORM, "shop.jobs:app")
    _check_platform()
    configure_log(log_level)
    _say(f"{_version()} starts {target} in {processes} processes; Ctrl-C stops them")
    with held_log() as log:
        return parent.run(command, processes, when_up=log.release, report=_say)


def _handle_sigterm_as_first_process() -> None:
    """Have SIGTERM end ``antq start`` while it still imports the application.

    By default it does, except in the first process of a container: there the system drops signals
    that have no handler.
    """
    if os.getpid() == 1:
        signal.signal(signal.SIGTERM, lambda number, _: os._exit(128 + number))


def _check_platform() -> None:
    if not can_be_shared(sys.platform):
        raise typer.BadParameter(
            f"on {sys.platform} only one process at a time can open a store; use one process, and"
            ' executor="process" for jobs that compute',
            param_hint="--processes",
        )


def run_under_parent(
    app: AntQ,
    target: str,
    log_level: LogLevel | None,
    number: int,
    lifeline: ParentLifeline,
    *,
    web: Place | None = None,
) -> None:
    """Run the queues as the process with this *number* of ``antq start --processes``.

    It is the only one of ``antq start --reload`` with the number 0. The first one serves *web*.
    """
    if app.is_volatile and number == ALONE:
        raise _volatile(target)
    if app.is_volatile:
        raise typer.BadParameter(
            f"'{target}' keeps its jobs in memory, so each process would have its own; give it a"
            f" path to share, or run one process",
            param_hint="--processes",
        )

    mark = "" if number == ALONE else f"[{number}] "

    def say(text: str) -> None:
        _say(f"{mark}{text}")

    def report_start() -> None:
        with suppress(AntqError):  # as in one process
            if number <= 1:  # the other processes have the same
                say(_store_and_queues(app))
            say(f"up as {_place(app)}")
        lifeline.report_up()

    configure_log(log_level, mark)
    with _served(app, target, web if number <= 1 else None) as serve:
        is_drained = _run(app, report_start, serve, report=say, hurried_by=STOP_NOW)
    if is_drained:
        lifeline.report_drained()


def _served(
    app: AntQ, name: str, web: Place | None
) -> AbstractContextManager[Callable[[], object]]:
    """Listen at *web* as long as the context lasts; what it gives serves the dashboard there."""
    if web is None:
        return nullcontext(lambda: None)
    from antq_actors.cli.web import served  # noqa: PLC0415 - needs an extra

    return served(app, name, has_auth=False, host=web[0], port=web[1])


def _run(
    app: AntQ, when_up: Callable[[], None], serve: Callable[[], object], **options: Any
) -> bool:
    """Run an application until it is to end; return whether its node was drained from outside."""
    with held_log() as log:

        def release() -> None:
            log.release()
            serve()
            when_up()

        try:
            return signals.run(app, queues=True, when_up=release, **options)
        except RuntimeError as error:
            # The tree gave up. The log has the details.
            raise AntqError(str(error)) from None


def _say(text: str) -> None:
    output.write_stderr(f"antq: {output.printable(text)}")


def _version() -> str:
    return f"antq {antq_actors.__version__}"


def _store_and_queues(app: AntQ) -> str:
    node = next((each for each in app.nodes() if each.number == app.node), None)
    queues = [
        f"{name} ({queue.concurrency} slot{'' if queue.concurrency == 1 else 's'}"
        f"{f', executor {queue.executor}' if queue.executor else ''})"
        for name, queue in (node.queues if node else {}).items()
    ]
    return f"path {app.path}; queue{'' if len(queues) == 1 else 's'} {', '.join(queues)}"


def _place(app: AntQ) -> str:
    return f"node {app.node}, process {os.getpid()}"


def _command(
    target: str, log_level: LogLevel | None, site: str | None, web: Place | None
) -> list[str]:
    """Return the command line that starts one of several processes of ``antq start``."""
    # With -m the current directory is first on sys.path, before the standard library. If it is not
    # on sys.path now, it must not be there then: the application may have a file named queue.py.
    path = [] if str(Path.cwd()) in sys.path else ["-P"]
    level = [] if log_level is None else ["--log-level", str(log_level)]
    within = [] if site is None else ["--app", site]
    served = [] if web is None else ["--web", "--web-address", f"[{web[0]}]:{web[1]}"]
    return [sys.executable, *path, "-m", "antq_actors", "start", target, *level, *within, *served]


def _runnable(target: str, *, with_traceback: bool = True) -> AntQ:
    app = load(target, with_traceback=with_traceback)
    if not app.start_queues:
        raise _wrong(
            f"'{target}' was made with start_queues=False, so it has no queues to run; remove that,"
            " and in processes that only enqueue use app.start(queues=False)"
        )
    return app


def load(target: str, *, with_traceback: bool = True) -> AntQ:
    """Import and return the application that *target* names; anything else is wrong usage.

    Raises AntqError when the user's own code raises, after showing its traceback.
    """
    place = user_code.parse_target(target, FORM, "shop.jobs:app")
    module = user_code.import_module(place.module, FORM, with_traceback=with_traceback)
    with user_code.errors_shown(f"'{target}'", with_traceback=with_traceback):
        try:
            found = user_code.find_attribute(module, place.name)
        except AttributeError:
            hint = _application_of(module)
            raise _wrong(f"module '{place.module}' has no '{place.name}'{hint}") from None
        app = found() if _is_callable_as_is(found) else found
    if not isinstance(app, AntQ):
        raise _wrong(
            f"'{target}' is {short_repr(app)}; an AntQ is needed, or a function that takes no"
            f" arguments and returns one{_application_of(module)}"
        )
    return app


def _application_of(module: ModuleType) -> str:
    """Return the hint of ``antq start`` at an application of the module, or an empty string."""
    names = [name for name, value in vars(module).items() if isinstance(value, AntQ)]
    return f"; did you mean {module.__name__}:{names[0]}?" if names else ""


def _is_callable_as_is(found: Any) -> bool:
    if isinstance(found, AntQ) or not callable(found) or is_worker(found):
        return False
    if inspect.iscoroutinefunction(found):  # its coroutine would not be awaited
        return False
    try:
        inspect.signature(found).bind()
    except (TypeError, ValueError):
        return False
    return True


def _volatile(target: str) -> typer.BadParameter:
    return _wrong(
        f"'{target}' keeps its jobs in memory, so no other program can enqueue jobs; give it a"
        " path: AntQ('jobs')"
    )


def _wrong(message: str) -> typer.BadParameter:
    return user_code.wrong_usage(message, FORM)
