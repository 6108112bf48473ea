"""The application of each backend in this process: described by its OPTIONS, opened when needed."""

from __future__ import annotations

import inspect
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from django.core.exceptions import ImproperlyConfigured

from antq_actors import AntQ, QueueConfig
from antq_actors.app import job_process
from antq_actors.checks import did_you_mean, short_repr
from antq_actors.integrations.django import options as task_options
from antq_actors.integrations.django.compat import task_backends
from antq_actors.integrations.django.connections import Connections
from antq_actors.jobs import current_app

if TYPE_CHECKING:
    from collections.abc import Iterator

RUN_IN_SERVER: Final = "RUN_IN_SERVER"
"""Whether the processes that enqueue run the queues, too."""

_OPTIONS: Final = {name.upper(): name for name in inspect.signature(AntQ).parameters}
_KNOWN: Final = (*_OPTIONS, RUN_IN_SERVER, task_options.TASKS)

STOP_SECONDS: Final = 5.0
"""What running jobs get when the settings change, which they do in tests alone."""


class _Described(NamedTuple):
    """The application of a backend."""

    process: int
    params: Mapping[str, Any]
    app: AntQ


_described: Final[dict[str, _Described]] = {}
_lock = threading.RLock()


def _after_fork() -> None:
    """Have the lock free in a fork, where the thread that held it is not."""
    global _lock  # noqa: PLW0603 - a new one for this process
    _lock = threading.RLock()


os.register_at_fork(after_in_child=_after_fork)


def problems(params: Mapping[str, Any]) -> Iterator[str]:
    """Return what is wrong with the settings of a backend, as sentences."""
    options = params.get("OPTIONS", {})
    if not isinstance(options, Mapping):
        yield f"OPTIONS must be a dict, got {short_repr(options)}"
        return
    unknown = [name for name in options if name not in _KNOWN]
    for name in unknown:
        yield f"there is no option {name!r} in OPTIONS{did_you_mean(str(name), _KNOWN)}"
    if not isinstance(options.get(RUN_IN_SERVER, False), bool):
        yield f"{RUN_IN_SERVER} must be True or False, got {short_repr(options[RUN_IN_SERVER])}"
    if options.get("PATH") is None and not options.get(RUN_IN_SERVER):
        yield "OPTIONS has no PATH, the directory of the jobs, so no other process could run them"
    yield from task_options.problems(options.get(task_options.TASKS, {}))
    if not unknown:
        try:
            _describe(params)
        except (TypeError, ValueError) as error:
            yield str(error)


def application(alias: str, params: Mapping[str, Any]) -> AntQ:
    """Return the application of a backend in this process.

    That is another one if it has the same path and runs: a path is opened once in a process.
    Raises ImproperlyConfigured.
    """
    with _lock:
        known = _described.get(alias)
        if known is None or known.process != os.getpid() or known.params != params:
            for problem in problems(params):
                raise ImproperlyConfigured(f"TASKS[{alias!r}]: {problem}")
            known = _described[alias] = _Described(os.getpid(), params, _describe(params))
        return known.app if known.app.antq_is_running else _running_like(known.app)


def opened(alias: str, params: Mapping[str, Any]) -> AntQ:
    """Return the same, running: started here unless it is. Raises ImproperlyConfigured.

    By default it only enqueues and looks in this process.
    """
    with _lock:
        app = application(alias, params)
        if not app.antq_is_running and not _is_in_job_process(params):
            app.start(queues=_runs_here(params))
    return app


def _running_like(app: AntQ) -> AntQ:
    """Return the running application of this process with the same path; else *app*."""
    if not app.is_volatile:
        for _, each in current_app.running:
            if not isinstance(each, AntQ) or not each.antq_is_running or each.is_volatile:
                continue
            if os.path.realpath(each.path) == os.path.realpath(app.path):
                return each
    return app


def close_all() -> None:
    """Stop the applications of all backends in this process."""
    with _lock:
        for known in _described.values():
            if known.process == os.getpid():
                with suppress(RuntimeError):  # in a job of it
                    known.app.stop(timeout=STOP_SECONDS)
        _described.clear()


def backends() -> dict[str, Any]:
    """Return the backends of antq that ``TASKS`` names, by their aliases."""
    found = {}
    for alias in task_backends.settings:
        with suppress(ImproperlyConfigured):  # of another kind, which is not there
            found[alias] = task_backends[alias]
    return {alias: each for alias, each in found.items() if hasattr(each, "antq_params")}


def options_of(task: Any) -> dict[str, Any]:
    """Return the options of a task by the backend that it is defined with, or the first of ours."""
    known = backends()
    backend = known.get(task.backend) or next(iter(known.values()), None)
    return task_options.options_of(task, {} if backend is None else backend.options)


def _describe(params: Mapping[str, Any]) -> AntQ:
    """Return the application that the settings of a backend describe. Raises what `AntQ` does."""
    options = params.get("OPTIONS", {})
    given = {option: options[name] for name, option in _OPTIONS.items() if name in options}
    names = params.get("QUEUES", ["default"])
    queues = given.get("queues", {})
    if names and isinstance(queues, Mapping):
        given["queues"] = {name: QueueConfig() for name in names} | dict(queues)
    # It takes jobs for any queue: Django knows which there are, also in another process.
    given.setdefault("start_queues", False)
    own = given.get("middleware", ())
    if isinstance(own, Sequence) and not isinstance(own, str | bytes):  # AntQ refuses others
        given["middleware"] = [Connections(), *own]
    return AntQ(**given)


def _is_in_job_process(params: Mapping[str, Any]) -> bool:
    """Return whether this process performs jobs of the application, which then runs elsewhere."""
    path = params.get("OPTIONS", {}).get("PATH")
    return job_process.of_parent(None if path is None else Path(path).absolute()) is not None


def _runs_here(params: Mapping[str, Any]) -> bool:
    """Return whether the queues run in the processes of the server.

    ``runserver`` has a further process, which only starts the server anew when a file changes.
    """
    watches = "runserver" in sys.argv[1:2] and "--noreload" not in sys.argv
    is_watcher = watches and os.environ.get("RUN_MAIN") != "true"
    return bool(params.get("OPTIONS", {}).get(RUN_IN_SERVER)) and not is_watcher
