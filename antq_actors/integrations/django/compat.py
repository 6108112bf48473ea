"""``django.tasks``, by the same names: of Django 6.0 and later, or of the package django-tasks."""

from __future__ import annotations

from importlib import import_module
from typing import Any

try:
    import django  # noqa: F401 - a Django that is missing is noticed here
except ModuleNotFoundError as error:
    if error.name != "django":
        raise
    raise ImportError("this module needs Django: pip install 'antq-actors[django]'") from None

try:
    import_module("django.tasks")
except ModuleNotFoundError:
    is_backport = True
    """Whether tasks are those of the package django-tasks."""
else:
    is_backport = False


def _part(name: str) -> Any:
    """Import and return a module of ``django.tasks``, or of the package django-tasks."""
    try:
        return import_module(f"django_tasks{name}" if is_backport else f"django.tasks{name}")
    except ModuleNotFoundError as error:
        if error.name != "django_tasks":
            raise
        raise ImportError(
            "this module needs Django 6.0, or django-tasks: pip install 'antq-actors[django]'"
        ) from None


task_backends = _part("").task_backends
signals = _part(".signals")
BaseTaskBackend = _part(".backends.base").BaseTaskBackend
_their_errors = _part(".exceptions")
TaskResultDoesNotExist = _their_errors.TaskResultDoesNotExist
if is_backport:
    InvalidTask = _their_errors.InvalidTaskError
    normalize_json = _part(".utils").normalize_json
else:
    InvalidTask = _their_errors.InvalidTask
    normalize_json = import_module("django.utils.json").normalize_json
_base = _part(".base")
Task = _base.Task
TaskContext = _base.TaskContext
TaskError = _base.TaskError
TaskResult = _base.TaskResult
TaskResultStatus = _base.TaskResultStatus
