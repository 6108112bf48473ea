"""The workers defined in this process, by their stored names.

Entered where a worker is defined, read where a job is run. They are held for good: a class made
inside a function must still answer for its jobs after the function returned. A later definition
of the same name takes the place of the earlier one, as in a notebook.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from antq_actors.jobs.registry import AnyWorker

_defined: Final[dict[str, AnyWorker]] = {}


def default_name(module: str, qualname: str) -> str:
    """Answer the stored name of what is defined as *qualname* in *module*.

    A spawned child of multiprocessing knows its parent's script as ``__mp_main__``; what is
    defined there is the same worker.
    """
    return f"{'__main__' if module == '__mp_main__' else module}:{qualname}"


def define(name: str, worker: AnyWorker) -> None:
    """Let *worker* answer for the jobs stored under *name*."""
    _defined[name] = worker


def defined(name: str) -> AnyWorker | None:
    """Answer the worker last defined under *name* in this process, or None."""
    return _defined.get(name)
