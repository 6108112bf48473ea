"""Functions as ``@worker`` takes them, as type checkers see them.

A parameter that is given the job is no argument. Where it is the first one, `Concatenate` says what
the others are without it. No type can say that of one that stands elsewhere, so the arguments of
such a function are not checked. It is recognized by the name ``job``: pyright takes `TakesJob` for
any such function, mypy only the protocols that count the arguments before it.

A first parameter that takes a job among other things, such as `object` or `Job | int`, is an
argument. `Concatenate` would take it for the job, so it is looked for before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, TypeVar, overload

if TYPE_CHECKING:
    from collections.abc import Callable

    from antq_actors.jobs.function_worker import FunctionWorker
    from antq_actors.jobs.job import Job

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class TakesJob(Protocol[R_co]):
    """A function with a parameter ``job`` that is not its first one."""

    def __call__(self, *args: Any, job: Job, **kwargs: Any) -> R_co: ...


class TakesJob0(Protocol[R_co]):
    """The same, of 0 arguments."""

    def __call__(self, *, job: Job) -> R_co: ...


class TakesJob1(Protocol[R_co]):
    """The same, of 1 arguments."""

    def __call__(self, a: Any, /, *, job: Job) -> R_co: ...


class TakesJob2(Protocol[R_co]):
    """The same, of 2 arguments."""

    def __call__(self, a: Any, b: Any, /, *, job: Job) -> R_co: ...


class TakesJob3(Protocol[R_co]):
    """The same, of 3 arguments."""

    def __call__(self, a: Any, b: Any, c: Any, /, *, job: Job) -> R_co: ...


class TakesJob4(Protocol[R_co]):
    """The same, of 4 arguments."""

    def __call__(self, a: Any, b: Any, c: Any, d: Any, /, *, job: Job) -> R_co: ...


class WorkerDecorator(Protocol):
    """What ``@worker(...)`` returns: it makes a function a worker."""

    @overload
    def __call__(
        self, function: Callable[Concatenate[object, P], R], /
    ) -> FunctionWorker[..., ..., R]: ...
    @overload
    def __call__(
        self, function: Callable[Concatenate[Job | int, P], R], /
    ) -> FunctionWorker[..., ..., R]: ...
    @overload
    def __call__(
        self, function: Callable[Concatenate[Job | None, P], R], /
    ) -> FunctionWorker[Concatenate[Job | None, P], P, R]: ...
    @overload
    def __call__(
        self, function: Callable[Concatenate[Job, P], R], /
    ) -> FunctionWorker[Concatenate[Job, P], P, R]: ...
    @overload
    def __call__(self, function: TakesJob[R], /) -> FunctionWorker[..., ..., R]: ...
    @overload
    def __call__(self, function: TakesJob0[R], /) -> FunctionWorker[..., ..., R]: ...
    @overload
    def __call__(self, function: TakesJob1[R], /) -> FunctionWorker[..., ..., R]: ...
    @overload
    def __call__(self, function: TakesJob2[R], /) -> FunctionWorker[..., ..., R]: ...
    @overload
    def __call__(self, function: TakesJob3[R], /) -> FunctionWorker[..., ..., R]: ...
    @overload
    def __call__(self, function: TakesJob4[R], /) -> FunctionWorker[..., ..., R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> FunctionWorker[P, P, R]: ...
