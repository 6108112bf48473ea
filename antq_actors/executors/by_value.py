"""Workers that no other process can import, pickled by value: those of scripts, notebooks and
functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from antq_actors.storage import main_objects

if TYPE_CHECKING:
    from antq_actors.jobs.worker_registry import AnyWorker


def dumps(worker: AnyWorker) -> bytes:
    """Return *worker* pickled. Raises what its parts raise that cannot be pickled."""
    return main_objects.dumps_by_value(worker)


def loads(pickled: bytes) -> AnyWorker:
    """Return the worker."""
    worker: AnyWorker = main_objects.loads_by_value(pickled)
    return worker
