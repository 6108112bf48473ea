"""Which limits a job passes, and at which keys: decided by the process that enqueues it.

A worker has limits of its own, and names shared ones; so has a queue. All that is said under one
name makes one gate for each key. A job passes its gates in a fixed order, so that no two jobs wait
for each other: the queue's own limit, then the worker's own, then all others by their names.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from msgspec.structs import replace

from antq_actors.checks import escaped, exact_str, short_repr, whole
from antq_actors.errors import ConfigError
from antq_actors.flow.limit_options import (
    Concurrency,
    Key,
    Limit,
    RateLimit,
    Weight,
    limit_rule,
)
from antq_actors.flow.limits import GateKey, LimitRule, QueueLimit, check_weight, gate_id
from antq_actors.jobs.state import GateRef, JobFlow, NewJob
from antq_actors.jobs.unique import canonical

_LONGEST_TEXT: Final = 200
"""Most characters of a key as people read it, unless it is a str."""


# ---- the options of workers and queues --------------------------------------------------------


def check_concurrency_option(value: object) -> Concurrency | None:
    """Return the option ``concurrency`` of a worker; else raise TypeError or ValueError.

    >>> check_concurrency_option(3)
    Concurrency(limit=3)
    """
    if value is None or isinstance(value, Concurrency):
        return value
    number = whole(value)
    if number is None:
        raise TypeError(
            "concurrency must be a number of jobs (int), Concurrency(…) or None, got"
            f" {short_repr(value)}"
        )
    try:
        return Concurrency(number)
    except ValueError as error:
        raise ValueError(f"concurrency={number}: {error}") from None


def check_rate_limit(value: object) -> RateLimit | None:
    """Return the option ``rate_limit`` of a worker or queue; else raise TypeError."""
    if value is None or isinstance(value, RateLimit):
        return value
    raise TypeError(f"rate_limit must be RateLimit(…) or None, got {short_repr(value)}")


def check_limits(value: object) -> tuple[Limit, ...]:
    """Return the option ``limits`` of a worker or queue; else raise TypeError or ValueError."""
    if value is None:
        return ()
    if not isinstance(value, Collection) or isinstance(value, str | bytes | Mapping):
        raise TypeError(
            "limits must be a list of shared limits, [RateLimit(…, name='…'), …], got"
            f" {short_repr(value)}"
        )
    for limit in value:
        if not isinstance(limit, Concurrency | RateLimit):
            raise TypeError(
                f"limits must have Concurrency(…) and RateLimit(…) in it, got {short_repr(limit)}"
            )
        if limit.name is None:
            raise ValueError(
                f"limits are shared by their names, and {limit!r} has none; give it one, name='…',"
                " or make it the option concurrency or rate_limit"
            )
    return tuple(value)


# ---- gates of a worker or queue ---------------------------------------------------------------


class JobLimit(NamedTuple):
    """All that is said under one name, as the jobs of one worker or queue pass it."""

    rule: LimitRule
    key: Key
    weight: Weight = 1
    is_own: bool = True
    """Whether it is the concurrency or the rate limit of its owner, and not in limits."""


def worker_limits(
    name: str,
    concurrency: Concurrency | None,
    rate_limit: RateLimit | None,
    limits: Sequence[Limit],
) -> tuple[JobLimit, ...]:
    """Return the limits of the worker stored as *name*, in passing order.

    Raises ConfigError for two under one name that do not go together.
    """
    if concurrency is None and rate_limit is None and not limits:
        return ()
    own = [limit for limit in (concurrency, rate_limit) if limit is not None]
    return _grouped(f"worker {name}", name, own, limits)


def queue_limits(
    name: str, rate_limit: RateLimit | None, limits: Sequence[Limit]
) -> tuple[JobLimit, ...]:
    """Return the limits that each job of a queue passes, but not the rate of the queue as a whole.

    Raises ConfigError for two under one name that do not go together.
    """
    own = [] if rate_limit is None or is_of_whole_queue(rate_limit) else [rate_limit]
    return _grouped(f"queue {name!r}", name, own, limits)


def as_stored(limits: Iterable[JobLimit]) -> tuple[QueueLimit, ...]:
    """Return the limits of a queue for the store, from which other processes read them."""
    return tuple(
        QueueLimit(
            rule,
            None if key is None or callable(key) else _names(key),
            1 if callable(weight) else weight,
            is_own,
            has_function=callable(key) or callable(weight),
        )
        for rule, key, weight, is_own in limits
    )


def from_stored(queue: str, stored: Iterable[QueueLimit]) -> tuple[JobLimit, ...]:
    """Return the limits of a *queue* that this process does not configure.

    Raises ConfigError where a key or a weight is a function.
    """
    found = []
    for limit in stored:
        if limit.has_function:
            raise ConfigError(
                f"jobs of queue {queue!r} pass the limit {limit.rule.name!r}, of which the key or"
                " the weight is a function, and only the queue's configuration has that; give it"
                f" to this application, too: AntQ(queues={{{queue!r}: QueueConfig(…)}})"
            )
        key = limit.key[0] if limit.key is not None and len(limit.key) == 1 else limit.key
        found.append(JobLimit(limit.rule, key, limit.weight, limit.is_own))
    return tuple(found)


def _names(key: str | Sequence[str]) -> tuple[str, ...]:
    return (key,) if isinstance(key, str) else tuple(key)


def is_of_whole_queue(rate_limit: RateLimit) -> bool:
    """Return whether a queue's rate counts all starts alike, so that jobs need not pass it."""
    return rate_limit.key is None and rate_limit.name is None and rate_limit.weight == 1


def _grouped(
    owner: str, default: str, own: Iterable[Limit], shared: Iterable[Limit]
) -> tuple[JobLimit, ...]:
    """Return a `JobLimit` for each name: *own* limits first, then *shared* ones by their names."""
    by_name: dict[str, list[Limit]] = {}
    for limit in own:
        by_name.setdefault(limit.name or default, []).append(limit)
    names = set(by_name)
    for limit in sorted(shared, key=lambda limit: limit.name or ""):
        by_name.setdefault(limit.name or default, []).append(limit)
    return tuple(
        _joined(owner, name, limits)._replace(is_own=name in names)
        for name, limits in by_name.items()
    )


def _joined(owner: str, name: str, limits: Sequence[Limit]) -> JobLimit:
    first, *others = limits
    for other in others:
        if other.key != first.key:
            raise ConfigError(
                f"{owner} has two limits under the name {name!r} with different keys,"
                f" {_written(first.key)} and {_written(other.key)}; give one of them a name of its"
                " own: name='…'"
            )
    if len({type(limit) for limit in limits}) < len(limits):
        raise ConfigError(
            f"{owner} has two limits of one kind under the name {name!r}; a name has at most one"
            " Concurrency and one RateLimit"
        )
    weight = next((limit.weight for limit in limits if isinstance(limit, RateLimit)), 1)
    return JobLimit(limit_rule(name, *limits), first.key, weight)


def _written(key: Key) -> str:
    return "no key" if key is None else repr(key)


def _name_of(limit: JobLimit) -> str:
    return limit.rule.name


def key_names(limits: Iterable[JobLimit]) -> set[str]:
    """Return the names of the arguments that keys and weights of *limits* are made of."""
    found: set[str] = set()
    for limit in limits:
        for given in (limit.key, limit.weight):
            if isinstance(given, str):
                found.add(given)
            elif isinstance(given, tuple):
                found.update(given)
    return found


# ---- gates of a job ---------------------------------------------------------------------------


def job_limits(
    of_worker: Sequence[JobLimit], of_queue: Sequence[JobLimit] = ()
) -> JobLimits | None:
    """Return what limits the jobs of a worker in a queue, in passing order; None: nothing."""
    if not of_worker and not of_queue:
        return None
    every = [*of_queue, *of_worker]
    first = [limit._replace(is_own=False) for limit in of_queue if limit.is_own]
    own = [limit for limit in of_worker if limit.is_own]
    shared = sorted((limit for limit in every if not limit.is_own), key=_name_of)
    by_name: dict[str, JobLimit] = {}
    for limit in [*first, *own, *shared]:
        by_name.setdefault(_name_of(limit), limit)
    return JobLimits(by_name.values())


class JobLimits:
    """The limits of jobs that one worker has in one queue."""

    __slots__ = ("_limits", "_unkeyed", "rules")

    def __init__(self, limits: Iterable[JobLimit]) -> None:
        """Have jobs pass *limits*, in their order."""
        self._limits = tuple(limits)
        self._unkeyed = {
            limit.rule.name: GateKey(gate_id(limit.rule.name, None), limit.rule.name, None, "")
            for limit in self._limits
            if limit.key is None
        }
        self.rules = tuple(limit.rule for limit in self._limits)
        """What the store has to know of them."""

    def added_to(self, new: NewJob, args: Mapping[str, Any]) -> NewJob:
        """Return the *new* job of these *args* with its gates.

        Raises TypeError for an argument that is missing or cannot be a key, ValueError for a weight
        that could never start, and what functions raise.
        """
        refs: list[GateRef] = []
        keys: list[GateKey] = []
        for limit in self._limits:
            gate = self._unkeyed[limit.rule.name] if limit.key is None else _gate(limit, args)
            if gate is not None:
                text = None if gate.key is None else gate.text
                refs.append(GateRef(gate.gate, _weight(limit, args), text, limit.is_own))
                keys.append(gate)
        if not refs:
            return new
        flow = replace(new.spec.flow or JobFlow(), gates=tuple(refs))
        return NewJob(new.state, replace(new.spec, flow=flow), tuple(keys))


def _gate(limit: JobLimit, args: Mapping[str, Any]) -> GateKey | None:
    """Return the gate of a limit that *args* have; None where a function says that there is none.

    Raises TypeError.
    """
    key, name = limit.key, limit.rule.name
    if isinstance(key, str):
        return gate_key(name, _argument(key, name, "key", args), f"the argument {key!r}")
    if callable(key):
        value = key(args)
        return None if value is None else gate_key(name, value, "what its function returned")
    values = tuple(_argument(each, name, "key", args) for each in key or ())
    for each, value in zip(key or (), values, strict=True):
        _canonical(name, value, f"the argument {each!r}")
    return gate_key(name, values)


def gate_key(name: str, value: object, what: str = "key") -> GateKey:
    """Return the gate of the limit *name* at the key *value*, which errors call *what*.

    Raises TypeError for what cannot be compared by its content.
    """
    key = _canonical(name, value, what)
    return GateKey(gate_id(name, key), name, key, key_text(value))


def _canonical(name: str, value: object, what: str) -> bytes:
    try:
        return canonical(value)
    except Exception as error:
        raise TypeError(
            f"{what} cannot be a key of the limit {name!r}: {short_repr(value)} cannot be compared"
            f" by its content ({error})"
        ) from error


def key_text(value: object) -> str:
    """Return a key as people read it: a str as it is.

    >>> key_text("acme"), key_text(("acme", 5))
    ('acme', "('acme', 5)")
    """
    if isinstance(value, str):
        return escaped(exact_str(value))
    try:
        shown = escaped(repr(value))
    except Exception:  # noqa: BLE001 - its content is the key, whatever its repr does
        shown = f"a {type(value).__qualname__}"
    return shown if len(shown) <= _LONGEST_TEXT else f"{shown[:_LONGEST_TEXT]}…"


def _weight(limit: JobLimit, args: Mapping[str, Any]) -> int:
    if limit.weight == 1:
        return 1
    weight, rule, name = limit.weight, limit.rule.rate, limit.rule.name
    if isinstance(weight, int) or rule is None:
        return weight if isinstance(weight, int) else 1
    if isinstance(weight, str):
        value = _argument(weight, name, "weight", args)
        return check_weight(value, rule, f"{weight!r}, the weight for the limit {name!r},")
    return check_weight(weight(args), rule, f"the weight for the limit {name!r}")


def _argument(argument: str, name: str, setting: str, args: Mapping[str, Any]) -> Any:
    try:
        return args[argument]
    except KeyError:
        raise TypeError(
            f"the {setting} of the limit {name!r} is the argument {argument!r}, which this job does"
            " not have; give it, or make it a function of the arguments"
        ) from None
