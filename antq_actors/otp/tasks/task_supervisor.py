"""TaskSupervisor: tasks that belong to a tree, and a bounded map over them."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from antq_actors.otp.kernel import current
from antq_actors.otp.kernel.child_spec import ChildSpec, Restart
from antq_actors.otp.kernel.messages import Promise
from antq_actors.otp.kernel.timeouts import seconds
from antq_actors.otp.messaging.destinations import find
from antq_actors.otp.supervision import admin
from antq_actors.otp.supervision.dynamic import DynamicSupervisor
from antq_actors.otp.tasks.task import Task, TaskActor, check_callable
from antq_actors.otp.tasks.task_map import TaskMap, Values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import timedelta

    from antq_actors.otp.kernel.cell import Process
    from antq_actors.otp.kernel.child_spec import ShutdownTime
    from antq_actors.otp.kernel.ref import ServerRef
    from antq_actors.otp.messaging.destinations import Destination


OnTimeout: TypeAlias = Literal["raise", "kill"]


class TaskSupervisor(DynamicSupervisor):
    """A DynamicSupervisor whose children are tasks.

    They end with it. A task is temporary, so that its crash is told to whoever awaits it and not
    repeated, unless `start_child` says otherwise.
    """

    def __init__(
        self, max_children: int | None = None, max_restarts: int = 3, max_seconds: float = 5.0
    ) -> None:
        super().__init__(
            max_children=max_children, max_restarts=max_restarts, max_seconds=max_seconds
        )

    @staticmethod
    def async_(
        sup: Destination,
        fn: Callable[..., Any],
        /,
        *args: Any,
        shutdown: ShutdownTime | timedelta = 5.0,
        **kwargs: Any,
    ) -> Task:
        """Start ``fn(*args, **kwargs)`` below *sup*, linked to the calling actor, too.

        From a plain thread it is not linked. When *sup* stops, the task is interrupted, and has
        *shutdown* seconds to end before it is killed (``BRUTAL_KILL``: none). Raises TypeError if
        *fn* cannot be called, TypeError or ValueError if *shutdown* is none, MaxChildren, and
        CallExit if *sup* is not there.
        """
        return _start_task(sup, fn, args, kwargs, owner=current.process(), shutdown=shutdown)

    @staticmethod
    def async_nolink(
        sup: Destination,
        fn: Callable[..., Any],
        /,
        *args: Any,
        shutdown: ShutdownTime | timedelta = 5.0,
        **kwargs: Any,
    ) -> Task:
        """Start a task like `async_`, but one whose crash does not end the calling actor."""
        return _start_task(sup, fn, args, kwargs, owner=None, shutdown=shutdown)

    @staticmethod
    def start_child(  # type: ignore[override]  # of tasks, not of specs; as Elixir's
        sup: Destination,
        fn: Callable[..., Any],
        /,
        *args: Any,
        restart: Restart = Restart.TEMPORARY,
        shutdown: ShutdownTime | timedelta = 5.0,
        **kwargs: Any,
    ) -> ServerRef:
        """Start ``fn(*args, **kwargs)`` whose value nobody awaits; answer its ref.

        With `Restart.TRANSIENT` it runs again after a crash, with `Restart.PERMANENT` whenever it
        has ended. When *sup* stops, it has *shutdown* seconds before it is killed.
        """
        check_callable(fn)
        ref: ServerRef = admin.ask(
            sup,
            admin.StartChild(
                _spec(None, None, fn, args, kwargs, restart=restart, shutdown=shutdown)
            ),
        )
        return ref

    @staticmethod
    def map(
        sup: Destination,
        fn: Callable[[Any], Any],
        items: Iterable[Any],
        /,
        *,
        max_concurrency: int | None = None,
        timeout: float | timedelta | None = 5.0,
        ordered: bool = True,
        on_timeout: OnTimeout = "raise",
        results: bool = False,
    ) -> Iterator[Any]:
        """Return an iterator of ``fn(item)`` for each of *items*, each in a task of its own.

        The values come in the order of the items or, if not *ordered*, as they are ready. At most
        *max_concurrency* (None: as many as there are processors) tasks are running or have a
        value that was not taken yet, and *items* are taken one by one as places come free, so
        endless ones are fine.

        Where an item's task ended without a value the iterator raises TaskExit. Where it took
        longer than *timeout* seconds (None: no limit), and has no value yet when it is its turn,
        TimeoutError. What *items* raises comes after the value that made a place for the next
        one. After that, or when the iterator is closed or dropped, or the calling actor ends, the
        tasks that are left are killed. No task is linked: a crash is raised here, and ends no
        actor.

        With *on_timeout* ``"kill"`` a task that takes longer is killed at that moment, and the
        others go on: in its place the iterator raises ``TaskExit(Killed())``, and goes on with the
        next value after that. With *results* it raises for no item: it yields ``Ok(value)`` or a
        TaskExit for each, and a task that takes longer is killed, whatever *on_timeout* is. As
        Elixir's ``Task.Supervisor.async_stream_nolink``.

        >>> from antq_actors.otp import TaskSupervisor, stop
        >>> sup = TaskSupervisor.start()
        >>> for result in TaskSupervisor.map(sup, lambda n: 12 // n, [4, 0, 6], results=True):
        ...     print(result)
        Ok(value=3)
        the task ended without a value: Crash(ZeroDivisionError: integer division or modulo by zero)
        Ok(value=2)
        >>> stop(sup)
        """
        check_callable(fn)
        find(sup)  # what is no destination is told here, and not where the first value is taken
        limit = seconds(timeout)
        _check_flag(ordered, "ordered")
        _check_flag(results, "results")
        _check_on_timeout(on_timeout)
        if max_concurrency is None:
            max_concurrency = os.cpu_count() or 1
        if isinstance(max_concurrency, bool) or not isinstance(max_concurrency, int):
            raise TypeError(f"max_concurrency must be a whole number, got {max_concurrency!r}")
        if max_concurrency < 1:
            raise ValueError(f"max_concurrency must be 1 or more, got {max_concurrency}")
        tasks = TaskMap(
            partial(TaskSupervisor.async_nolink, sup, fn),
            timeout=limit,
            ordered=ordered,
            kills_late=results or on_timeout == "kill",
            raises=not results,
        )
        made = tasks.results(iter(items), max_concurrency)
        return made if results else Values(made)


def _start_task(
    sup: Destination,
    fn: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    owner: Process | None,
    shutdown: ShutdownTime | timedelta,
) -> Task:
    check_callable(fn)
    outcome = Promise()
    spec = _spec(outcome, owner, fn, args, kwargs, shutdown=shutdown)
    return Task(admin.ask(sup, admin.StartChild(spec)), outcome)


def _spec(
    outcome: Promise | None,
    owner: Process | None,
    fn: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    restart: Restart = Restart.TEMPORARY,
    shutdown: ShutdownTime | timedelta = 5.0,
) -> ChildSpec:
    return ChildSpec(
        getattr(fn, "__qualname__", repr(fn)),
        TaskActor.spawn_link,
        (outcome, owner, fn, args, kwargs),
        restart=restart,
        shutdown=shutdown,
    )


def _check_flag(value: object, what: str) -> None:
    if not isinstance(value, bool):
        raise TypeError(f"{what} must be True or False, got {value!r}")


def _check_on_timeout(value: object) -> None:
    if not isinstance(value, str):
        raise TypeError(f"on_timeout must be 'raise' or 'kill', got {value!r}")
    if value not in get_args(OnTimeout):
        raise ValueError(f"on_timeout must be 'raise' or 'kill', got {value!r}")
