"""Which executor runs a worker's jobs: pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from antq_actors.jobs.worker_registry import AnyWorker

THREAD: Final = "thread"
ASYNC: Final = "async"
PROCESS: Final = "process"
RAY: Final = "ray"


def kind_for(worker: AnyWorker, of_queue: str | None) -> str:
    """Answer what the worker says; else what its queue says; else what suits its ``perform``.

    A queue that says ``async`` means its coroutines: a plain function would stop all others on
    the event loop, so it has a thread.
    """
    own = worker.antq_options.executor
    if own is not None:
        return own
    if of_queue is None or of_queue == ASYNC:
        return ASYNC if worker.antq_is_async else THREAD
    return of_queue
