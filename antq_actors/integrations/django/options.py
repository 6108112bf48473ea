"""How a task is performed: what its decorator says, and over that ``OPTIONS["TASKS"]``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from antq_actors.checks import did_you_mean, short_repr
from antq_actors.integrations.django.compat import Task
from antq_actors.jobs.options import Options, worker_options

TASKS: Final = "TASKS"
"""Which of a backend's OPTIONS has the options of tasks, by their module paths."""

OPTIONS: Final = ("max_attempts", "timeout", "unique", "executor", "retry_delay", "result")
"""What a task may have, as a worker has it."""

DEFAULTS: Final[Mapping[str, Any]] = {"result": True}
"""What every task has, unless it says otherwise: what it returns is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AntqTask(Task):
    """A task with options of a worker, which its decorator was given."""

    max_attempts: Any = None
    timeout: Any = None
    unique: Any = None
    executor: Any = None
    retry_delay: Any = None
    result: Any = None


def options_of(task: Any, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a worker that performs *task*, by a backend with these OPTIONS.

    Raises TypeError and ValueError for what no worker can have.
    """
    given = {name: value for name in OPTIONS if (value := getattr(task, name, None)) is not None}
    configured = settings.get(TASKS)
    if isinstance(configured, Mapping):
        given.update(configured.get(task.module_path, {}))
    options = {**DEFAULTS, **given}
    check(options, f"task {task.module_path}")
    return options


def check(options: Mapping[str, Any], owner: str) -> None:
    """Raise TypeError and ValueError for options that no worker can have."""
    for name in options:
        if name not in OPTIONS:
            raise TypeError(
                f"there is no option {name!r} of a task{did_you_mean(str(name), OPTIONS)}"
            )
    worker_options(dict(options), Options(), owner=owner)


def problems(configured: object) -> Iterator[str]:
    """Return what is wrong with ``OPTIONS["TASKS"]``, as sentences."""
    if not isinstance(configured, Mapping):
        yield f"TASKS must map module paths of tasks to options, got {short_repr(configured)}"
        return
    for path, options in configured.items():
        if not isinstance(options, Mapping):
            yield f"TASKS[{path!r}] must map options to values, got {short_repr(options)}"
            continue
        try:
            check(options, f"task {path}")
        except (TypeError, ValueError) as error:
            yield f"TASKS[{path!r}]: {error}"
