"""A worker on its way to another process: by its name and module, else by value."""

from __future__ import annotations

import importlib
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from antq_actors.jobs import resolver, worker_registry
from antq_actors.storage import main_objects

if TYPE_CHECKING:
    from antq_actors.jobs.resolver import AnyWorker


class WorkerParcel(NamedTuple):
    """What another process needs to have a worker."""

    name: str
    """Its stored name."""
    module: str | None = None
    """What to import; None: it is found by its name, or comes by value."""
    pickled: bytes | None = None


class NotPicklableError(TypeError):
    """A worker of a script or a function cannot be pickled."""


_packed: Final[dict[str, tuple[AnyWorker, WorkerParcel]]] = {}
_unpacked: Final[dict[str, bytes]] = {}


def pack_worker(worker: AnyWorker) -> WorkerParcel:
    """Return *worker* by name, module or pickle, for a Ray process. Raises NotPicklableError."""
    name = resolver.name_of(worker)
    known = _packed.get(name)
    if known is not None and known[0] is worker:
        return known[1]
    if not resolver.is_importable(worker):
        # Each time: what it refers to may have changed, such as in another cell of a notebook.
        return WorkerParcel(name, pickled=_dumped(worker, name))
    # Not by its name alone: that may be one of its own choice.
    parcel = WorkerParcel(name, worker.__module__)
    _packed[name] = (worker, parcel)
    return parcel


def unpack_worker(parcel: WorkerParcel) -> None:
    """Import or unpickle the worker sent to this Ray process, and define it under its name."""
    name, module, pickled = parcel
    if pickled is not None:
        if _unpacked.get(name) != pickled:
            worker_registry.define(name, main_objects.loads_by_value(pickled))
            _unpacked[name] = pickled
    elif module is not None and worker_registry.defined(name) is None:
        with suppress(Exception):  # resolving the name will raise what is wrong
            importlib.import_module(module)


def _dumped(worker: AnyWorker, name: str) -> bytes:
    try:
        return main_objects.dumps_by_value(worker)
    except Exception as error:
        raise NotPicklableError(
            f"another process cannot import the worker {name!r}, and it cannot be pickled either:"
            f" {type(error).__name__}: {error}"
        ) from error
