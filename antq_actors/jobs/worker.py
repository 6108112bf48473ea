"""What a user writes: a class with ``perform``, its options on the line of its name."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, ClassVar, ParamSpec, TypeVar, Unpack

from antq_actors.checks import exact_str, example_repr, is_utf8, short_repr
from antq_actors.errors import CronError
from antq_actors.jobs import current_app, declared_limits, worker_registry
from antq_actors.jobs.new_job import build
from antq_actors.jobs.options import Options, job_options, worker_options
from antq_actors.jobs.retry_delay import delay_after

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from antq_actors.flow.cron import Cron, Every
    from antq_actors.jobs.job import Job
    from antq_actors.jobs.options import JobOptions, WorkerOptions

P = ParamSpec("P")
R = TypeVar("R")


async def in_thread(function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Await a call of *function* in another thread, as ``asyncio.to_thread`` does."""
    # asyncio takes about as long to import as everything else that a module of workers needs, and
    # a program that only enqueues from threads never needs it.
    import asyncio  # noqa: PLC0415 - who awaits this has imported it

    return await asyncio.to_thread(function, *args, **kwargs)


class Worker:
    """Base of all workers: subclass it and write ``perform``.

    Options are on the class line: ``class SendReceipt(Worker, queue="mail", max_attempts=3)``.
    They are ``queue``, ``max_attempts``, ``timeout``, ``unique``, ``priority``, ``retry_delay``,
    ``executor``, ``ray``, ``cron``, ``concurrency``, ``rate_limit``, ``limits``, ``result`` and
    ``name`` (see :class:`antq_actors.WorkerOptions`), are checked when the class is defined, and
    are inherited, except ``cron`` and ``name``: the name under which its jobs are stored, by
    default ``module:QualName``. A class that moved runs its old jobs under its old name.

    ``perform`` may be ``async def``: then it runs on an event loop, beside thousands of others.

    One instance is made for each attempt, without arguments.

    A job runs at least once: again after a failed attempt, after an interruption, and after a crash
    before its end was stored. So ``perform`` must be idempotent.
    """

    antq_options: ClassVar[Options] = Options()
    antq_name: ClassVar[str]
    antq_check_args: ClassVar[None] = None
    """What raises TypeError for arguments that do not fit: nothing, a worker class takes any."""
    antq_is_async: ClassVar[bool] = False
    """Whether ``perform`` is a coroutine function."""
    antq_cron: ClassVar[Cron | Every]
    """The option ``cron``: of this class alone, and not of its subclasses."""
    _antq_is_runnable: ClassVar[bool]
    """Set in the namespace of a class that was found to be runnable."""

    def __init_subclass__(cls, **options: Unpack[WorkerOptions]) -> None:
        super().__init_subclass__()
        origin = worker_registry.origin_of_class(cls)
        if origin is None:
            return  # a copy by value: it gets all its attributes from its pickle
        owner = f"worker {cls.__qualname__}"
        name = stored_name(options.pop("name", None), owner)
        entry = check_cron(options.pop("cron", None), owner)
        if entry is not None:
            cls.antq_cron = entry
        refuse_unperformable(cls.perform, f"{cls.__qualname__}.perform")
        _refuse_without_job(cls)
        cls.antq_options = worker_options(options, cls.antq_options, owner=owner)
        if options.get("retry_delay") is not None:
            _refuse_second_delay(cls)
        cls.antq_is_async = inspect.iscoroutinefunction(cls.perform)
        if cls.perform is not Worker.perform:
            refuse_blocking(cls.perform, cls.antq_options, f"{cls.__qualname__}.perform")

        # @dataclass(slots=True) makes the class a second time, from its attributes, among which
        # is its name, and without its options and its place.
        made_before = cls.__dict__.get("antq_name")
        if made_before is not None:
            origin = worker_registry.origin_before(made_before, cls, origin)
        cls.antq_name = name or made_before or check_name(origin.path, owner)
        with declared_limits.declared(
            cls.antq_name, cls.antq_options.limits_of(cls.antq_name), origin
        ):
            worker_registry.register(cls, origin)

    @classmethod
    def antq_argument_names(cls) -> Collection[str]:
        """Return the names of the arguments of the worker's jobs that are known: none."""
        return ()

    @classmethod
    def antq_check_unique(cls, options: Options) -> None:
        """Do nothing: any argument may make the jobs of a worker class unique."""

    @classmethod
    def antq_as_call(cls, args: Mapping[str, Any]) -> str:
        """Return a job's *args* as Python code, as a call of ``perform_async`` has them."""
        return f"{{{', '.join(f'{key!r}: {example_repr(value)}' for key, value in args.items())}}}"

    def perform(self, job: Job) -> Any:
        """Do the work of *job*. Returning is success, raising a failed attempt.

        It may also return :class:`Fail`, :class:`Cancel`, :class:`Snooze` or :class:`RateLimited`;
        any other value is success, and is kept with the option ``result``.
        """
        raise NotImplementedError(
            f"{type(self).__qualname__} has no perform; write: def perform(self, job: Job) -> None"
        )

    def calculate_delay(self, job: Job) -> float:
        """Return the seconds from the attempt that failed to the next one.

        It returns what the option ``retry_delay`` says, by default 10 × attempts. Called while
        attempts are left; *job* shows the failure as its newest error. When it raises or returns
        what is no delay, that is logged and 10 × attempts is used.
        """
        seconds: float = delay_after(job, self.antq_options.retry_delay)
        return seconds

    @classmethod
    def perform_async(
        cls, args: Mapping[str, Any] | None = None, /, **options: Unpack[JobOptions]
    ) -> Job:
        """Store a job on the running application and return it.

        *options* are those of the class, ``schedule_in`` (seconds or timedelta) or ``schedule_at``
        (an aware datetime), and ``meta`` (text by text, kept beside *args*). Raises NotStarted
        without a running application; TypeError, ValueError or InvalidSchedule for wrong options;
        AlreadyExists for a duplicate of a unique job. A refused job is not stored.
        """
        for _, application in current_app.running[-1:]:  # as `current` does; each job comes by here
            return application.enqueue(cls, args, **options)
        raise current_app.not_started()

    @classmethod
    async def aperform_async(
        cls, args: Mapping[str, Any] | None = None, /, **options: Unpack[JobOptions]
    ) -> Job:
        """Do what :meth:`perform_async` does, without stopping the event loop that awaits it."""
        return await in_thread(current_app.current().enqueue, cls, args, **options)

    @classmethod
    def build(cls, args: Mapping[str, Any] | None = None, /, **options: Unpack[JobOptions]) -> Job:
        """Return the job that ``perform_async`` would store, with id 0; nothing is stored.

        It needs no running application; the default queue is then ``default``.
        """
        return build(cls, args, options)


def _refuse_without_job(cls: type[Worker]) -> None:
    """Raise TypeError for a ``perform`` that cannot be called with a job, as every call does."""
    perform = inspect.getattr_static(cls, "perform")
    if not inspect.isfunction(perform):
        return
    try:
        # Not of what a decorator wraps: that may be given more than the decorator is.
        inspect.signature(perform, follow_wrapped=False).bind("self", "job")
    except TypeError:
        raise TypeError(
            f"{cls.__qualname__}.perform is called with the job and nothing else; write:"
            " def perform(self, job: Job) -> None"
        ) from None


def _refuse_second_delay(cls: type[Worker]) -> None:
    """Raise TypeError for a worker whose ``calculate_delay`` would not use its ``retry_delay``."""
    if cls.calculate_delay is not Worker.calculate_delay:
        raise TypeError(
            f"worker {cls.__qualname__} has the option retry_delay beside a calculate_delay, which"
            " would be called in its place; write one of them, and give a function as retry_delay"
            " for what depends on the job"
        )


def refuse_unrunnable(cls: type[Worker]) -> None:
    """Raise TypeError for a worker class that no attempt could make an instance of and perform."""
    if "_antq_is_runnable" in cls.__dict__:
        return
    who = f"worker {cls.__qualname__}"
    if cls.perform in (Worker.perform, None):
        raise TypeError(f"{who} has no perform; write: def perform(self, job: Job) -> None")
    if inspect.isabstract(cls):
        missing = ", ".join(sorted(getattr(cls, "__abstractmethods__", ())))
        raise TypeError(f"{who} is abstract: enqueue a subclass that defines {missing}")
    _refuse_arguments(cls, who)
    type.__setattr__(cls, "_antq_is_runnable", True)


def _refuse_arguments(cls: type[Worker], who: str) -> None:
    try:
        # Not of what a decorator wraps: that may be given more than the decorator is.
        signature = inspect.signature(cls, follow_wrapped=False)
    except (TypeError, ValueError):  # of something in C
        return
    try:
        signature.bind()
    except TypeError as error:
        raise TypeError(
            f"{who} is made without arguments for each attempt, and its __init__{signature} takes"
            f" some ({error}); give them defaults, or pass them in the args of its jobs"
        ) from None


def stored_name(name: object, owner: str) -> str | None:
    """Return a worker's option ``name`` if it can be one; else raise TypeError or ValueError."""
    return None if name is None else check_name(name, owner)


def check_cron(cron: object, owner: str) -> Cron | Every | None:
    """Return a worker's option ``cron`` as an entry; else raise TypeError or CronError."""
    if cron is None:
        return None
    # It takes a while to import, and most workers have none.
    from antq_actors.flow.cron import Cron, Every  # noqa: PLC0415

    if isinstance(cron, str):
        return Cron(cron)
    if not isinstance(cron, Cron | Every):
        raise TypeError(
            f"cron of {owner} must be an expression such as '0 3 * * *', a Cron or an Every, got"
            f" {short_repr(cron)}"
        )
    if cron.worker is not None:
        raise CronError(f"cron of {owner} is for this worker: leave its worker= out")
    job_options(cron.options, Options(), owner=owner)
    return cron


def check_name(name: object, owner: str) -> str:
    """Return *name* if a worker can have it in the store; else raise TypeError or ValueError."""
    if not isinstance(name, str):
        raise TypeError(f"name of {owner} must be a str, got {short_repr(name)}")
    if not name or "\0" in name:
        raise ValueError(
            f"name of {owner} must not be empty or contain NUL, got {short_repr(name)}"
        )
    if not is_utf8(name):
        raise ValueError(
            f"name of {owner} must be text that UTF-8 can carry, got {short_repr(name)}"
        )
    return exact_str(name)


def refuse_unperformable(function: Callable[..., Any], owner: str) -> None:
    """Raise TypeError for a worker's generator function: calling it would do no work."""
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(
            f"{owner} contains 'yield', so calling it would run none of it; write a function"
            " that does its work and returns"
        )


def refuse_blocking(function: Callable[..., Any], options: Options, owner: str) -> None:
    """Raise TypeError for a worker's plain function on an event loop, which it would stop.

    Not for one that wraps another: that may return something to be awaited.
    """
    is_plain = not inspect.iscoroutinefunction(function) and not hasattr(function, "__wrapped__")
    if options.executor == "async" and is_plain:
        raise TypeError(
            f"{owner} is a plain function, and executor='async' runs coroutines; write"
            " 'async def', or leave the option out"
        )
