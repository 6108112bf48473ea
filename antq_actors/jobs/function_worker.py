"""A function as a worker: its keywords are the arguments of its jobs.

The types say what ``@worker`` takes, as type checkers see it. A parameter that is given the job is
no argument. Where it is the first one, `Concatenate` says what the others are without it. No type
can say that of one that stands elsewhere, so the arguments of such a function are not checked. It
is recognized by the name ``job``: pyright takes `TakesJob` for any such function, mypy only the
protocols that count the arguments before it.

A first parameter that takes a job among other things, such as `object` or `Job | int`, is an
argument. `Concatenate` would take it for the job, so it is looked for before.
"""

from __future__ import annotations

import functools
import inspect
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Final,
    Generic,
    ParamSpec,
    Protocol,
    TypeVar,
    Unpack,
    overload,
)

from antq_actors.checks import example_repr, short_repr
from antq_actors.jobs import current_app, declared_limits, limits, worker_registry
from antq_actors.jobs.function_parameters import FunctionKeywords
from antq_actors.jobs.new_job import build
from antq_actors.jobs.options import JOB_OPTIONS, Options, job_options, worker_options
from antq_actors.jobs.retry_delay import delay_after
from antq_actors.jobs.worker import (
    check_cron,
    check_name,
    in_thread,
    refuse_blocking,
    refuse_unperformable,
    stored_name,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from antq_actors.flow.cron import Cron, Every
    from antq_actors.jobs.function_parameters import JobParameter
    from antq_actors.jobs.job import Job
    from antq_actors.jobs.options import JobOptions, WorkerOptions

C = ParamSpec("C")
"""The parameters of the function."""
P = ParamSpec("P")
"""The arguments of its jobs: the same, without the one that is given the job."""
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


_OPTIONS: Final = frozenset(JOB_OPTIONS)


class FunctionWorker(Generic[C, P, R]):
    """What ``@worker`` makes of a function: still that function, and a worker besides.

    Called, it is the ordinary function. ``perform_async`` stores a job with the keywords it is
    given; they are checked against the signature at once, and defaults are left to the function.
    """

    __name__: str
    """That of the function."""

    def __init__(self, function: Callable[C, R], options: Mapping[str, Any]) -> None:
        owner = f"worker {_qualname(function)}"
        given = dict(options)
        name = stored_name(given.pop("name", None), owner)
        self.antq_cron: Cron | Every | None = check_cron(given.pop("cron", None), owner)
        refuse_unperformable(function, f"function {function.__qualname__}")
        self._function = function
        self._keywords = FunctionKeywords(function)
        if self.antq_cron is not None:
            self._keywords.check(self.antq_cron.args)
        self.antq_job: JobParameter | None = self._keywords.job
        """The parameter that is given the job; None: none is."""
        self.antq_options: Options = worker_options(given, Options(), owner=owner)
        self.antq_check_unique(self.antq_options)
        path = worker_registry.default_name(function.__module__, function.__qualname__)
        self.antq_name: str = name or check_name(path, owner)
        named = limits.key_names(self.antq_options.limits_of(self.antq_name))
        self._keywords.check_names(sorted(named), "a limit")
        self.antq_is_async: bool = inspect.iscoroutinefunction(function)
        refuse_blocking(function, self.antq_options, f"function {function.__qualname__}")
        functools.update_wrapper(self, function)

    @classmethod
    def antq_made_again(
        cls,
        function: Callable[C, R],
        options: Options,
        name: str,
        job: JobParameter | None = None,
    ) -> FunctionWorker[C, P, R]:
        """Return a function worker as another process had it; annotations may mean nothing here."""
        made = cls(function, {"name": name})
        made.antq_options = options  # which were checked there
        made.antq_job = job or made.antq_job
        return made

    @property
    def function(self) -> Callable[C, R]:
        """The function that was made a worker."""
        return self._function

    def __call__(self, *args: C.args, **kwargs: C.kwargs) -> R:
        """Call the function here and now; no job is made."""
        return self._function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<worker {self.antq_name}>"

    def __reduce__(self) -> str:
        return self._function.__qualname__  # pickled by name, as the function would be

    def perform_async(self, /, *args: P.args, **kwargs: P.kwargs) -> Job:
        """Store a job with these keywords on the running application and return it.

        Raises TypeError when the function cannot be called with them, and what
        :meth:`Worker.perform_async` raises. Options go to :meth:`options`.
        """
        # As `EnqueueWith` does it, without one; each job comes by here.
        if args or not _OPTIONS.isdisjoint(kwargs):
            _refuse_wrong_call(self, {}, args, kwargs)
        for _, application in current_app.running[-1:]:
            return application.enqueue(self, kwargs)
        raise current_app.not_started()

    async def aperform_async(self, /, *args: P.args, **kwargs: P.kwargs) -> Job:
        """Do what ``perform_async`` does, without stopping the event loop that awaits it."""
        return await EnqueueWith(self, {}).aperform_async(*args, **kwargs)

    def build(self, /, *args: P.args, **kwargs: P.kwargs) -> Job:
        """Return the job that ``perform_async`` would store, with id 0; nothing is stored."""
        return EnqueueWith(self, {}).build(*args, **kwargs)

    def options(self, **options: Unpack[JobOptions]) -> EnqueueWith[P]:
        """Return the same worker with *options* for one job: those of the worker, ``schedule_in``
        and ``schedule_at``.

        Raises TypeError or ValueError for wrong ones.
        """
        wanted = job_options(
            options,
            self.antq_options,
            owner=f"worker {self._function.__qualname__}",
            arguments=self.antq_argument_names(),
            write=self._call_with,
        )
        self.antq_check_unique(wanted.options)
        return EnqueueWith(self, options)

    def perform(self, job: Job) -> Any:
        """Call the function with the arguments of *job*, and with the job where it takes it."""
        keywords: Mapping[str, Any] = job.args
        function: Callable[..., R] = self._function
        takes = self.antq_job
        if takes is None:
            return function(**keywords)
        if takes.is_positional:
            return function(job, **keywords)
        return function(**keywords, **{takes.name: job})

    def calculate_delay(self, job: Job) -> float:
        """Return the seconds until the next attempt; see :meth:`Worker.calculate_delay`."""
        seconds: float = delay_after(job, self.antq_options.retry_delay)
        return seconds

    def _call_with(self, args: Mapping[str, Any]) -> str:
        """Return the Python code that gives *args* to a job with options, for an error message."""
        write = f"{self.__name__}.options(…).perform_async({keywords(args)})"
        return f"give arguments to perform_async(name=value, …): write {write}"

    def antq_argument_names(self) -> Collection[str]:
        """Return the names of the function's arguments, as far as they are known."""
        return self._keywords.names()

    def antq_may_have(self, name: str) -> bool:
        """Return whether the function can have an argument of this name, as far as is known."""
        return self._keywords.may_have(name)

    def antq_check_unique(self, options: Options) -> None:
        """Raise ValueError if its jobs are unique by an argument that none of them can have.

        Such jobs would never be duplicates of each other.
        """
        if options.unique is not None:
            self._keywords.check_names(options.unique.args, "unique")

    def antq_as_call(self, args: Mapping[str, Any]) -> str:
        """Return a job's *args* as Python code, as a call of ``perform_async`` has them."""
        return keywords(args)

    def antq_check_args(self, args: Mapping[str, Any]) -> None:
        """Raise TypeError, naming what is missing or unexpected, if a job's *args* do not fit."""
        self._keywords.check(args)


class EnqueueWith(Generic[P]):
    """A function worker with the options of one job, as ``FunctionWorker.options`` returns it."""

    def __init__(self, worker: FunctionWorker[Any, P, Any], options: JobOptions) -> None:
        self._worker = worker
        self._options = options

    def perform_async(self, /, *args: P.args, **kwargs: P.kwargs) -> Job:
        """Store a job with these keywords on the running application and return it."""
        _refuse_wrong_call(self._worker, self._options, args, kwargs)
        return current_app.current().enqueue(self._worker, kwargs, **self._options)

    async def aperform_async(self, /, *args: P.args, **kwargs: P.kwargs) -> Job:
        """Do what ``perform_async`` does, without stopping the event loop that awaits it."""
        return await in_thread(self.perform_async, *args, **kwargs)

    def build(self, /, *args: P.args, **kwargs: P.kwargs) -> Job:
        """Return the job that ``perform_async`` would store, with id 0; nothing is stored."""
        _refuse_wrong_call(self._worker, self._options, args, kwargs)
        return build(self._worker, kwargs, self._options)


@overload
def worker(function: Callable[Concatenate[object, P], R], /) -> FunctionWorker[..., ..., R]: ...
@overload
def worker(function: Callable[Concatenate[Job | int, P], R], /) -> FunctionWorker[..., ..., R]: ...
@overload
def worker(
    function: Callable[Concatenate[Job | None, P], R], /
) -> FunctionWorker[Concatenate[Job | None, P], P, R]: ...
@overload
def worker(
    function: Callable[Concatenate[Job, P], R], /
) -> FunctionWorker[Concatenate[Job, P], P, R]: ...
@overload
def worker(function: TakesJob[R], /) -> FunctionWorker[..., ..., R]: ...
@overload
def worker(function: TakesJob0[R], /) -> FunctionWorker[..., ..., R]: ...
@overload
def worker(function: TakesJob1[R], /) -> FunctionWorker[..., ..., R]: ...
@overload
def worker(function: TakesJob2[R], /) -> FunctionWorker[..., ..., R]: ...
@overload
def worker(function: TakesJob3[R], /) -> FunctionWorker[..., ..., R]: ...
@overload
def worker(function: TakesJob4[R], /) -> FunctionWorker[..., ..., R]: ...
@overload
def worker(function: Callable[P, R], /) -> FunctionWorker[P, P, R]: ...
@overload
def worker(**options: Unpack[WorkerOptions]) -> WorkerDecorator: ...
def worker(function: Any = None, /, **options: Unpack[WorkerOptions]) -> Any:
    """Make a function a worker: ``@worker`` or ``@worker(queue="mail", max_attempts=3)``.

    The options are those of :class:`Worker`; the function may be ``async def``. Raises TypeError
    for what is no function, and for positional-only and ``*`` parameters, which no keyword can
    reach.
    """
    if function is not None:
        return _define(function, options)
    return lambda function: _define(function, options)


def _define(function: Callable[C, R], options: Mapping[str, Any]) -> FunctionWorker[C, C, R]:
    made: FunctionWorker[C, C, R] = FunctionWorker(function, options)
    origin = worker_registry.origin_of_function(function)
    with declared_limits.declared(
        made.antq_name, made.antq_options.limits_of(made.antq_name), origin
    ):
        worker_registry.register(made, origin)
    return made


def _qualname(function: Any) -> str:
    if inspect.isclass(function):
        raise TypeError(
            f"@worker is for functions; write instead: class {function.__name__}(Worker)"
        )
    if not inspect.isfunction(function):
        raise TypeError(f"@worker is for functions, got {short_repr(function)}")
    return function.__qualname__


def _refuse_wrong_call(
    worker: FunctionWorker[..., ..., Any],
    options: Mapping[str, Any],
    args: tuple[object, ...],
    kwargs: Mapping[str, Any],
) -> None:
    """Raise TypeError for positional arguments of a job, and for options among its keywords."""
    if args:
        _refuse_positional(worker, args)
    if not _OPTIONS.isdisjoint(kwargs):
        _refuse_options(worker, options, kwargs)


def _refuse_positional(worker: FunctionWorker[..., ..., Any], args: tuple[object, ...]) -> None:
    given = args[0]
    if not isinstance(given, dict) or not all(isinstance(name, str) for name in given):
        given = dict(zip(worker.antq_argument_names(), args, strict=False))
    raise TypeError(
        f"{worker!r} takes its arguments by keyword, got {short_repr(args[0])}; write"
        f" {worker.__name__}.perform_async({keywords(given) or 'name=value, …'})"
    )


def _refuse_options(
    worker: FunctionWorker[..., ..., Any], options: Mapping[str, Any], given: Mapping[str, Any]
) -> None:
    """Raise TypeError for options that are given as arguments of a worker, unless it has such."""
    meant = {
        name: value
        for name, value in given.items()
        if name in _OPTIONS and not worker.antq_may_have(name)
    }
    if meant:
        args = {name: value for name, value in given.items() if name not in meant}
        raise TypeError(
            f"{worker!r} has no argument {next(iter(meant))!r}, which is an option of a job; write"
            f" {worker.__name__}.options({keywords({**options, **meant})})"
            f".perform_async({keywords(args)})"
        )


def keywords(args: Mapping[str, Any]) -> str:
    """Return a job's *args* as keywords are written in Python.

    >>> keywords({"email": "x", "percent": 5})
    "email='x', percent=5"
    """
    return ", ".join(f"{name}={example_repr(value)}" for name, value in args.items())
