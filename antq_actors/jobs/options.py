"""What can be set for a worker and for a single job: its types, and its checks where it is written.

Options of Ray are checked without Ray, which need not be installed where a worker is defined.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias, TypedDict, get_args

import msgspec
from msgspec.structs import replace

from antq_actors.backoff import Backoff
from antq_actors.checks import (
    checked_meta,
    did_you_mean,
    exact_str,
    is_utf8,
    real,
    short_repr,
    to_seconds,
    whole,
)
from antq_actors.flow.limit_options import Concurrency, Limit, RateLimit
from antq_actors.introspection import explain_fields
from antq_actors.jobs.job import Job
from antq_actors.jobs.limits import (
    JobLimit,
    check_concurrency_option,
    check_limits,
    check_rate_limit,
    worker_limits,
)
from antq_actors.jobs.result import Result, check_result
from antq_actors.jobs.retry_delay import KeptDelay, check_retry_delay
from antq_actors.jobs.unique import Unique

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from antq_actors.flow.cron import Cron, Every

ExecutorName: TypeAlias = Literal["thread", "async", "process", "ray"]
"""What can run ``perform``."""

Seconds: TypeAlias = float | timedelta
"""A duration."""

ScheduleIn: TypeAlias = Seconds | None
ScheduleAt: TypeAlias = datetime | None

RetryDelay: TypeAlias = Seconds | Backoff | Callable[[Job], Seconds]
"""How long a failed job waits before its next attempt."""


@explain_fields
class JobOptions(TypedDict, total=False):
    """The options of one job, as ``perform_async`` and ``enqueue`` take them by keyword.

    Those of its worker for this job alone, and when it is due.
    """

    queue: str | None
    """The queue; None: the first one of the application."""
    max_attempts: int
    """Attempts before the job is failed for good, at least 1."""
    timeout: Seconds | None
    """How long an attempt may take; None: no limit. A timeout is a failed attempt."""
    unique: Unique | None
    """Which other jobs are in the way of this one; None: none."""
    priority: int
    """Larger is picked first among the enqueued of a queue, from -128 to 127."""
    schedule_in: Seconds | None
    """How long to wait before it may run; None or 0: not at all."""
    schedule_at: datetime | None
    """When it may run at the earliest, with a time zone; None: now."""
    meta: Mapping[str, str] | None
    """What is kept beside its arguments: text by text, at most 4 KiB. None: nothing."""


@explain_fields
class WorkerOptions(TypedDict, total=False):
    """The options of a worker, as the line of a class and ``@worker(...)`` take them by keyword."""

    queue: str | None
    """The queue; None: the first one of the application."""
    max_attempts: int
    """Attempts before a job is failed for good, by default 1."""
    timeout: Seconds | None
    """How long an attempt may take; None: no limit. A timeout is a failed attempt."""
    unique: Unique | None
    """Which other jobs are in the way of a new one; None: none."""
    priority: int
    """Larger is picked first among the enqueued of a queue, from -128 to 127; by default 0."""
    retry_delay: RetryDelay | None
    """How long a failed job waits before its next attempt; None: 10 s for each attempt made."""
    executor: ExecutorName | None
    """What runs ``perform``; None: what its queue says, or the event loop if it is a coroutine."""
    ray: Mapping[str, Any] | None
    """What an attempt needs on a Ray cluster: ``num_cpus``, ``num_gpus``, ``memory``, …"""
    concurrency: int | Concurrency | None
    """How many of its jobs run at once, in all processes, or of each key; None: any number."""
    rate_limit: RateLimit | None
    """How many of its jobs start in a span of time, or of each key; None: any number."""
    limits: Sequence[Concurrency | RateLimit] | None
    """Limits that it shares with others; each has a name. None: none."""
    result: bool | Result | None
    """Whether what ``perform`` returns is kept, and how; False, as by default: it is not."""
    encrypted: bool
    """Whether its jobs are encrypted where the application does not encrypt all of them."""
    name: str | None
    """The name under which jobs are stored; None: ``module:QualName``. It is not inherited."""
    cron: str | Cron | Every | None
    """When a job is enqueued again and again; None: never. It is not inherited."""


RayOptions: TypeAlias = tuple[tuple[str, Any], ...]
"""Options of ``ray.remote`` and their values, by name."""

SMALLEST_SHARE: Final = 0.0001
"""Ray counts in ten-thousandths."""

_NOT_FOR_RAY: Final = {
    "max_retries": "attempts of a job are max_attempts, and Ray repeats none",
    "retry_exceptions": "attempts of a job are max_attempts, and Ray repeats none",
    "name": "Ray shows an attempt under the name of its worker",
    "num_returns": "an attempt has one outcome",
}


def check_ray(value: object) -> RayOptions:
    """Return a worker's option ``ray`` as pairs, by name; else raise TypeError or ValueError.

    >>> check_ray({"num_gpus": 0.25, "num_cpus": 1})
    (('num_cpus', 1), ('num_gpus', 0.25))
    """
    if value is None:
        return ()
    if not isinstance(value, Mapping):
        raise TypeError(
            f"ray must map resources to numbers, {{'num_cpus': 1}}, got {short_repr(value)}"
        )
    for name in value:
        if not isinstance(name, str):
            raise TypeError(f"the names in ray are str, got {short_repr(name)}")
        if name in _NOT_FOR_RAY:
            raise TypeError(f"{name!r} is no option of ray here: {_NOT_FOR_RAY[name]}")
        if name not in _RAY_CHECKS:
            raise TypeError(f"unknown option {name!r} in ray{did_you_mean(name, _RAY_CHECKS)}")
    return tuple((name, _RAY_CHECKS[name](value[name], name)) for name in sorted(value))


def _ray_amount(value: object, name: str) -> int | float:
    amount = real(value)
    if amount is None:
        raise TypeError(f"{name} in ray must be a number, got {short_repr(value)}")
    if not math.isfinite(amount) or amount < 0:
        raise ValueError(f"{name} in ray must be 0 or more and finite, got {short_repr(value)}")
    if 0 < amount < SMALLEST_SHARE:
        raise ValueError(
            f"{name} in ray is 0 or at least {SMALLEST_SHARE}, got {short_repr(value)}"
        )
    return amount


def _ray_gpus(value: object, name: str) -> int | float:
    amount = _ray_amount(value, name)
    if amount > 1 and amount != int(amount):
        raise ValueError(
            f"{name} in ray must be a share of one GPU or whole GPUs, got {short_repr(value)}"
        )
    return amount


def _ray_bytes(value: object, name: str) -> int:
    amount = _ray_amount(value, name)
    if amount != int(amount):
        raise ValueError(f"{name} in ray must be whole bytes, got {short_repr(value)}")
    return int(amount)


def _ray_resources(value: object, name: str) -> dict[str, int | float]:
    resources = _ray_mapping(value, name)
    for own, option in (("CPU", "num_cpus"), ("GPU", "num_gpus"), ("memory", "memory")):
        if own in resources:
            raise ValueError(f"{own} stands beside {name} in ray: write {{{option!r}: …}}")
    return {each: _ray_amount(amount, f"{name}[{each!r}]") for each, amount in resources.items()}


def _ray_labels(value: object, name: str) -> dict[str, str]:
    labels = _ray_mapping(value, name)
    for label in labels.values():
        _ray_text(label, name)
    return labels


def _ray_mapping(value: object, name: str) -> dict[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise TypeError(
            f"{name} in ray must be a mapping from names (str), got {short_repr(value)}"
        )
    return dict(value)


def _ray_text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name} in ray must be text (str), got {short_repr(value)}")
    return value


def _ray_strategy(value: object, name: str) -> str:
    strategy = _ray_text(value, name)
    if strategy not in ("DEFAULT", "SPREAD"):
        raise ValueError(f"{name} in ray must be 'DEFAULT' or 'SPREAD', got {short_repr(value)}")
    return strategy


_RAY_CHECKS: Final[Mapping[str, Callable[[object, str], Any]]] = {
    "num_cpus": _ray_amount,
    "num_gpus": _ray_gpus,
    "memory": _ray_bytes,
    "resources": _ray_resources,
    "accelerator_type": _ray_text,
    "label_selector": _ray_labels,
    "runtime_env": _ray_mapping,
    "scheduling_strategy": _ray_strategy,
}


LONGEST_QUEUE_NAME_BYTES: Final = 100
"""Most bytes of a queue's name in UTF-8: it is part of keys, which LMDB limits to 511 bytes."""

LONGEST_TIMEOUT_SECONDS: Final = 1_000_000_000.0
"""Most seconds of a timeout, about 31 years: what any system's timers can wait."""

EXECUTORS: Final[tuple[str, ...]] = get_args(ExecutorName)
"""What can run ``perform``."""

_PRIORITIES: Final = range(-128, 128)
_MOST_ATTEMPTS: Final = 2**31 - 1


class Options(msgspec.Struct, frozen=True):
    """How the jobs of a worker run. Made by :func:`worker_options`, which checks them."""

    queue: str | None = None
    """The queue; None: the first one of the application."""
    max_attempts: int = 1
    """Attempts before the job is failed for good."""
    timeout: float | None = None
    """Seconds an attempt may take; None: no limit. A timeout is a failed attempt."""
    unique: Unique | None = None
    """Which other jobs are in the way of this one; None: none."""
    priority: int = 0
    """Larger is picked first among the enqueued of a queue, from -128 to 127."""
    executor: str | None = None
    """What runs ``perform``; None: what its queue says, or the event loop if it is a coroutine."""
    ray: RayOptions = ()
    """What an attempt needs on a Ray cluster: ``num_cpus``, ``num_gpus``, ``memory``, …"""
    retry_delay: KeptDelay = None
    """Seconds before the next attempt, or what returns them; None: 10 for each attempt made."""
    concurrency: Concurrency | None = None
    """How many of its jobs run at once, in all processes, or of each key; None: any number."""
    rate_limit: RateLimit | None = None
    """How many of its jobs start in a span of time, or of each key; None: any number."""
    limits: tuple[Limit, ...] = ()
    """Limits that it shares with others."""
    result: Result | None = None
    """How what ``perform`` returns is kept; None: it is not."""
    encrypted: bool = False
    """Whether its jobs are encrypted where the application does not encrypt all of them."""

    def limits_of(self, name: str) -> tuple[JobLimit, ...]:
        """Return the limits of the worker stored as *name*. Raises ConfigError."""
        return worker_limits(name, self.concurrency, self.rate_limit, self.limits)


class GivenOptions(NamedTuple):
    """The options of one job: those of its worker with its own over them, schedule and meta."""

    options: Options
    schedule_in: ScheduleIn = None
    schedule_at: ScheduleAt = None
    meta: dict[str, str] | None = None


def worker_options(given: Mapping[str, Any], inherited: Options, *, owner: str) -> Options:
    """Return *inherited* with the *given* ones over them; *owner* names the worker in errors.

    Raises TypeError for an unknown option and a value of the wrong type, ValueError for a value
    out of range.
    """
    if not given:
        return inherited
    _refuse_unknown(given, owner)
    checked = {option: _OF_WORKERS[option](value) for option, value in given.items()}
    return replace(inherited, **checked)


def job_options(
    given: Mapping[str, Any],
    worker: Options,
    *,
    owner: str,
    arguments: Collection[str] = (),
    write: Callable[[Mapping[str, Any]], str] = str,
) -> GivenOptions:
    """Return the options of one job; as :func:`worker_options`, and schedule and meta besides.

    Arguments of the job may stand among *given* by mistake. *arguments* are those that are known,
    and *write* returns the sentence of the error that says how they are given. The schedule is
    checked by :func:`antq_actors.jobs.instant.due`, which knows the time.
    """
    if not given:
        return GivenOptions(worker)
    unknown = {option: value for option, value in given.items() if option not in JOB_OPTIONS}
    if unknown:
        _refuse_unknown_of_job(unknown, owner, arguments, write(unknown))
    rest = {option: value for option, value in given.items() if option in _CHECKS}
    return GivenOptions(
        worker_options(rest, worker, owner=owner),
        given.get("schedule_in"),
        given.get("schedule_at"),
        checked_meta(given.get("meta")),
    )


def check_queue_name(name: object) -> str:
    """Return the option ``queue`` if it can name a queue; else raise TypeError or ValueError."""
    if not isinstance(name, str):
        raise TypeError(f"queue must be a name (str), got {short_repr(name)}")
    if not name or "\0" in name:
        raise ValueError(f"queue must be a name without NUL and not empty, got {short_repr(name)}")
    if not is_utf8(name):
        raise ValueError(f"queue must be a name that UTF-8 can carry, got {short_repr(name)}")
    size = len(name.encode())
    if size > LONGEST_QUEUE_NAME_BYTES:
        raise ValueError(
            f"queue must be a name of at most {LONGEST_QUEUE_NAME_BYTES} bytes,"
            f" got {size}: {short_repr(name)}"
        )
    return exact_str(name)


def check_priority(value: object) -> int:
    """Return the option ``priority`` of a job if it is one; else raise TypeError or ValueError."""
    priority = _whole_number(value, "priority")
    if priority not in _PRIORITIES:
        raise ValueError(f"priority must be from -128 to 127, got {short_repr(value)}")
    return priority


def _queue(value: object) -> str | None:
    return None if value is None else check_queue_name(value)


def _max_attempts(value: object) -> int:
    attempts = _whole_number(value, "max_attempts")
    if not 1 <= attempts <= _MOST_ATTEMPTS:
        raise ValueError(
            f"max_attempts must be at least 1 and at most {_MOST_ATTEMPTS}, got {short_repr(value)}"
        )
    return attempts


def _timeout(value: object) -> float | None:
    if value is None:
        return None
    seconds = to_seconds(value, "timeout")
    if not 0 < seconds <= LONGEST_TIMEOUT_SECONDS:
        raise ValueError(
            f"timeout must be more than 0 and at most {LONGEST_TIMEOUT_SECONDS:.0f} seconds,"
            f" got {short_repr(value)}; None means no limit"
        )
    return seconds


def _unique(value: object) -> Unique | None:
    if value is None or isinstance(value, Unique):
        return value
    raise TypeError(f"unique must be Unique(args=[…]) or None, got {short_repr(value)}")


def _executor(value: object) -> str | None:
    return None if value is None else check_executor(value)


def check_executor(value: object) -> str:
    """Return the option ``executor`` if it names one; else raise TypeError or ValueError."""
    known = ", ".join(repr(name) for name in EXECUTORS)
    if not isinstance(value, str):
        raise TypeError(f"executor must be one of {known}, got {short_repr(value)}")
    if value not in EXECUTORS:
        raise ValueError(f"executor must be one of {known}, got {short_repr(value)}")
    return exact_str(value)


def _encrypted(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"encrypted must be True or False, got {short_repr(value)}")
    return value


def _whole_number(value: object, option: str) -> int:
    number = whole(value)
    if number is None:
        raise TypeError(f"{option} must be a whole number (int), got {short_repr(value)}")
    return number


_CHECKS: Final[Mapping[str, Callable[[object], Any]]] = {
    "queue": _queue,
    "max_attempts": _max_attempts,
    "timeout": _timeout,
    "unique": _unique,
    "priority": check_priority,
}

_OF_WORKERS: Final[Mapping[str, Callable[[object], Any]]] = {
    **_CHECKS,
    "executor": _executor,
    "ray": check_ray,
    "retry_delay": check_retry_delay,
    "concurrency": check_concurrency_option,
    "rate_limit": check_rate_limit,
    "limits": check_limits,
    "result": check_result,
    "encrypted": _encrypted,
}

JOB_OPTIONS: Final = (*_CHECKS, "schedule_in", "schedule_at", "meta")
"""The options of a single job."""


def _refuse_unknown(given: Iterable[str], owner: str) -> None:
    for option in given:
        if option not in _OF_WORKERS:
            hint = did_you_mean(option, _OF_WORKERS)
            if option in JOB_OPTIONS:
                hint = "; that is one of a single job: give it when you enqueue"
            raise TypeError(f"unknown option {option!r} of {owner}{hint}")


def _refuse_unknown_of_job(
    unknown: Mapping[str, Any], owner: str, arguments: Collection[str], write: str
) -> None:
    option = next((each for each in unknown if each in arguments), next(iter(unknown)))
    beginning = f"unknown option {option!r} of {owner}"
    if option in arguments:
        raise TypeError(f"{beginning}, which has an argument of this name; {write}")
    if option in _OF_WORKERS:  # not "name", which is a name of many arguments
        raise TypeError(
            f"{beginning} for a single job; {option} is an option of workers: give it where the"
            " worker is defined"
        )
    hint = did_you_mean(option, JOB_OPTIONS)
    if not hint.endswith("?"):  # else it is misspelt, and no argument in the wrong place
        hint += f"; the arguments of a job are no options: {write}"
    raise TypeError(f"{beginning}{hint}")
