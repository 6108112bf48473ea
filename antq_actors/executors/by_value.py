"""Workers that no other process can import, pickled by value: those of scripts, notebooks and
functions.
"""

from __future__ import annotations

import io
import pickle
from typing import TYPE_CHECKING, Any

import cloudpickle  # type: ignore[import-untyped] # it has no types

from antq_actors.jobs.function_worker import FunctionWorker
from antq_actors.jobs.registry import is_importable

if TYPE_CHECKING:
    from collections.abc import Callable

    from antq_actors.jobs.options import Options
    from antq_actors.jobs.registry import AnyWorker


class _Pickler(cloudpickle.CloudPickler):  # type: ignore[misc] # it has no types
    """Takes function workers along by value, too, which pickle by the name of their function.

    And applications, as they were described.
    """

    def reducer_override(self, obj: Any) -> Any:
        """Answer how to pickle *obj*."""
        if isinstance(obj, FunctionWorker) and not is_importable(obj):
            return _made_again, (obj.function, obj.antq_options, obj.antq_name)
        if hasattr(type(obj), "antq_described"):  # an application, which is no argument of jobs
            return obj.antq_described()
        return super().reducer_override(obj)


def dumps(worker: AnyWorker) -> bytes:
    """Answer *worker* pickled. Raises what its parts raise that cannot be pickled."""
    buffer = io.BytesIO()
    _Pickler(buffer).dump(worker)
    return buffer.getvalue()


def loads(pickled: bytes) -> AnyWorker:
    """Answer the worker."""
    worker: AnyWorker = pickle.loads(pickled)  # noqa: S301 - of the parent process
    return worker


def _made_again(
    function: Callable[..., Any], options: Options, name: str
) -> FunctionWorker[..., Any]:
    return FunctionWorker.of(function, options, name)
