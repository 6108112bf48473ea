"""Tasks of the jobs that share an event loop: whose a task is, and what it must leave alone.

The coroutines of many jobs run in one thread, on one loop. What a job does to the loop, or to all
tasks, it would do to every other job. So each task knows its owner, only the owner may cancel it,
and the methods that end a loop are refused to all jobs.
"""

from __future__ import annotations

import asyncio
import ctypes
from contextvars import Context, ContextVar
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

_ENDS_THE_LOOP: Final = ("stop", "close", "shutdown_asyncgens", "shutdown_default_executor")


class Owner(Protocol):
    """An attempt, as its tasks see it."""

    has_ended: bool

    def blame(self, error: BaseException, /) -> None:
        """Fail by *error*, which one of its tasks or callbacks raised."""


_owner: Final[ContextVar[Owner | None]] = ContextVar("antq_owner", default=None)
"""The attempt that the current code belongs to; tasks and callbacks inherit it."""


class JobTask(asyncio.Task[Any]):
    """A task that no other job cancels while its own runs."""

    def __init__(self, coroutine: Any, *, owner: Owner | None = None, **options: Any) -> None:
        self.owner = _owner.get() if owner is None else owner
        super().__init__(coroutine, **options)

    def cancel(self, msg: Any | None = None) -> bool:
        """Cancel the task. Raises RuntimeError in another job than its own.

        That would be `asyncio.all_tasks()`, which lists the tasks of all jobs.
        """
        canceller = _owner.get()
        if canceller is None or canceller is self.owner:
            return self._cancel(msg)
        if self.owner is not None and not self.owner.has_ended and not self.done():
            raise RuntimeError(
                f"a job may cancel its own tasks alone; this one belongs to {self.owner}."
                " asyncio.all_tasks() lists those of all jobs of the queue: keep the tasks that"
                " you create, or use an asyncio.TaskGroup"
            )
        return self._cancel(msg)

    def _cancel(self, msg: Any | None) -> bool:
        # What this task awaits is cancelled by asyncio, whoever owns it: in no job's name.
        token = _owner.set(None)
        try:
            return super().cancel(msg)
        finally:
            _owner.reset(token)


def new_task(coroutine: Any, owner: Owner, loop: asyncio.AbstractEventLoop) -> JobTask:
    """Start the task of an attempt, in a context of its own."""
    context = Context()
    context.run(_owner.set, owner)
    # Not by the loop's create_task(): a job may have set another task factory.
    return JobTask(coroutine, owner=owner, loop=loop, context=context)


def share(loop: asyncio.AbstractEventLoop, queue: str) -> dict[str, Callable[..., Any]]:
    """Let many jobs share *loop*; return the methods that end it, which are refused to jobs."""
    loop.set_task_factory(
        lambda its_loop, coroutine, **options: JobTask(coroutine, loop=its_loop, **options)
    )
    methods = {name: getattr(loop, name) for name in _ENDS_THE_LOOP}
    for name in methods:
        # On the object: the policy of the program chooses its class.
        setattr(loop, name, _refusal(name, loop, queue))
    return methods


def _refusal(name: str, loop: asyncio.AbstractEventLoop, queue: str) -> Callable[..., Any]:
    def refuse(*_: Any, **__: Any) -> Any:
        error = RuntimeError(
            f"loop.{name}() would end what all jobs of queue {queue!r} share; a job ends when its"
            " perform returns"
        )
        owner = _owner.get()
        if owner is not None and asyncio.current_task(loop) is None:
            owner.blame(error)  # in a callback, where asyncio would only log it
        raise error

    return refuse


def owner_of(error: BaseException) -> Owner | None:
    """Return whose task or callback raised the *error* that came out of the loop.

    Leaves in its traceback what happened in there.
    """
    frames = error.__traceback__
    while frames is not None:
        handle = frames.tb_frame.f_locals.get("self")
        if isinstance(handle, asyncio.Handle):
            error.__traceback__ = frames.tb_next or frames
            context: Context | None = getattr(handle, "_context", None)
            return None if context is None else context.get(_owner)
        frames = frames.tb_next
    return None


def abandon(task: asyncio.Task[Any]) -> None:
    """Abandon a task that does not end when it is cancelled, for good.

    Were it ever destroyed, Python would throw GeneratorExit into its coroutine. One that catches
    everything would then go on without a loop, where nothing waits: it would spin for ever.
    """
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(task))
