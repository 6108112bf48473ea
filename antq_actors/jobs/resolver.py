"""From a stored name to the worker that runs its jobs, and back.

A name is looked up among the workers defined in this process, then imported. Importing runs code,
so it happens only for a job about to be run; what a name leads to is never called or asked for
attributes before it is known to be a worker.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from antq_actors.errors import NotAWorker, WorkerNotFound
from antq_actors.jobs import worker_registry
from antq_actors.jobs.function_worker import FunctionWorker
from antq_actors.jobs.worker import Worker
from antq_actors.jobs.worker_registry import defined

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

    from antq_actors.jobs.options import Options

FINDERS: Final = {"django.tasks": "antq_actors.integrations.django.backend"}
"""Where the workers of other libraries are found: the first part of their stored names, and the
module with a ``find``, which is given the rest."""

AnyWorker: TypeAlias = type[Worker] | FunctionWorker[..., ..., Any]
"""A class or function that jobs can name."""


def resolve(
    name: str, *, job_id: int, propagate: tuple[type[BaseException], ...] = ()
) -> AnyWorker:
    """Return the worker stored as *name*; import its module if need be. *job_id* is for the errors.

    Raises WorkerNotFound when there is none, whatever importing it raised (but *propagate*),
    and NotAWorker when the name leads to something else.
    """
    known: AnyWorker | None = defined(name)
    if known is not None:
        return known

    found = _find(name, job_id, propagate)
    if not is_worker(found):
        raise NotAWorker(
            f"job {job_id} names the worker {name!r}, which is {_kind(found)} and neither a"
            " subclass of Worker nor decorated with @worker, so it was not run and is failed"
        )
    return cast("AnyWorker", found)


def is_findable(name: str) -> bool:
    """Return whether :func:`resolve` would find the worker stored as *name* in this process.

    Nothing is imported for that: a module that is not loaded is only looked for.
    """
    if defined(name) is not None:
        return True
    module_name, _, qualname = name.partition(":")
    if not module_name or not qualname or module_name == "__main__" or "<locals>" in qualname:
        return False
    if module_name in FINDERS:
        return _has_file(qualname.rpartition(".")[0])
    module = sys.modules.get(module_name)
    if module is None:
        return _has_file(module_name)
    return is_worker(_attribute(module, qualname, ()))


def is_worker(thing: object) -> bool:
    """Return whether *thing* is a worker and can run jobs; nothing of it is called."""
    # type() and issubclass() ask no attribute of the thing; isinstance() would ask its __class__.
    if issubclass(type(thing), type):
        return thing is not Worker and issubclass(cast("type", thing), Worker)
    return issubclass(type(thing), FunctionWorker)


def is_importable(worker: AnyWorker) -> bool:
    """Return whether another process of this program finds *worker* by importing it."""
    qualname: str = worker.__qualname__  # type: ignore[union-attr] # of the function it wraps
    if worker.__module__ in ("__main__", "__mp_main__") or "<locals>" in qualname:
        return False
    if not worker_registry.is_made_by_a_function(worker):
        return True
    module = sys.modules.get(worker.__module__)
    return module is not None and _attribute(module, qualname, ()) is worker


def name_of(worker: object) -> str:
    """Return the stored name of *worker*. Raises TypeError for what is none."""
    return check_worker(worker).antq_name


def options_of(worker: object) -> Options:
    """Return the options *worker* was defined with. Raises TypeError for what is none."""
    return check_worker(worker).antq_options


def check_worker(worker: object) -> AnyWorker:
    """Return *worker* if it is one; else raise TypeError."""
    if not is_worker(worker):
        raise worker_registry.not_a_worker(worker)
    return cast("AnyWorker", worker)


def _find(name: str, job_id: int, propagate: tuple[type[BaseException], ...]) -> object:
    module_name, _, qualname = name.partition(":")
    beginning = f"job {job_id} names the worker {name!r}, which cannot be imported"
    if not module_name or not qualname:
        raise WorkerNotFound(f"{beginning}: a name looks like 'module:QualName'")
    if module_name == "__main__":
        raise WorkerNotFound(f"{beginning}: {_IN_A_SCRIPT}")
    if "<locals>" in qualname:
        raise WorkerNotFound(f"{beginning}: {_IN_A_FUNCTION}")

    try:
        if module_name in FINDERS:
            finder: Any = importlib.import_module(FINDERS[module_name])
            return finder.find(qualname)
        module = importlib.import_module(module_name)
    except propagate:
        raise
    except BaseException as error:
        # Anything may happen in a module: a syntax error, sys.exit(), an import guarded by a
        # raise. It is this job that cannot be run; the others must not notice.
        is_missing = isinstance(error, ModuleNotFoundError) and _is_within(module_name, error.name)
        advice = _advice(name) if is_missing else _MEND_IT
        raise WorkerNotFound(f"{beginning}: {_reason(error)}\n{advice}") from error

    known = defined(name)  # the module may have defined a worker that answers to this name
    if known is not None:
        return known
    found = _attribute(module, qualname, propagate)
    if found is _MISSING:
        reason = f"module '{module_name}' has no '{qualname}'"
        raise WorkerNotFound(f"{beginning}: {reason}\n{_advice(name)}")
    return found


def _has_file(module_name: str) -> bool:
    """Return whether a module could be imported, as far as looking for its file tells.

    `importlib.util.find_spec` would import the packages around it.
    """
    path: Sequence[str] | None = None
    parts = module_name.split(".")
    for number in range(1, len(parts) + 1):
        name = ".".join(parts[:number])
        loaded = sys.modules.get(name)
        if loaded is not None:
            path = getattr(loaded, "__path__", None)
        else:
            spec = _spec(name, path)
            if spec is None:
                return False
            path = spec.submodule_search_locations
        if path is None and number < len(parts):
            return False
    return True


def _spec(name: str, path: Sequence[str] | None) -> ModuleSpec | None:
    for finder in sys.meta_path:
        try:
            spec = finder.find_spec(name, path)
        except Exception:  # noqa: BLE001 - a name may be anything, and so may a finder
            return None
        if spec is not None:
            return spec
    return None


def _is_within(module: str, package: str | None) -> bool:
    return package is not None and f"{module}.".startswith(f"{package}.")


def _attribute(
    module: ModuleType, qualname: str, propagate: tuple[type[BaseException], ...]
) -> object:
    first, *inner = qualname.split(".")
    try:
        found = getattr(module, first, _MISSING)
    except propagate:
        raise
    except BaseException:  # noqa: BLE001 - a module's own __getattr__ may raise anything
        return _MISSING
    for part in inner:
        # Static: what stands in a class may be a descriptor, and would be called.
        found = inspect.getattr_static(found, part, _MISSING)
    return found


def _kind(thing: object) -> str:
    if issubclass(type(thing), type):
        return "a class"
    # Not its __qualname__: that is looked up in its metaclass, and would run code there.
    return f"an instance of {type.__repr__(type(thing))}"


def _reason(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - an exception of a user's own may not even be printable
        text = ""
    if isinstance(error, ImportError) and text:
        return text
    return f"importing it raised {type(error).__qualname__}{text and f': {text}'}"


def _advice(name: str) -> str:
    last = name.rpartition(".")[2].rpartition(":")[2]
    return (
        "This attempt counts as failed. If the class moved, let it answer to its old name, then"
        " retry the job:\n\n"
        f'    class {last}(Worker, name="{name}"): ...'
    )


_MISSING: Final = object()

_MEND_IT: Final = "This attempt counts as failed. When the module can be imported, retry the job"

_IN_A_SCRIPT: Final = (
    "it was defined in the script another process ran. Move the worker to a module that both"
    " can import; this attempt counts as failed"
)

_IN_A_FUNCTION: Final = (
    "it was defined inside a function of another process. Move the worker to the top of a module;"
    " this attempt counts as failed"
)
