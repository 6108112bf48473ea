"""Limits as users declare them: on the line of a worker, and for a queue."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from msgspec.structs import replace

from antq_actors.checks import check_flag, did_you_mean, exact_str, is_utf8, short_repr, whole
from antq_actors.flow.limits import (
    ConcurrencyRule,
    LimitRule,
    RateRule,
    check_burst,
    check_limit,
    check_limit_name,
    check_number,
    check_numbers,
    check_per,
    check_weight,
    microseconds,
)
from antq_actors.introspection import explain_fields

if TYPE_CHECKING:
    from datetime import timedelta

Key: TypeAlias = str | Sequence[str] | Callable[[Mapping[str, Any]], Any] | None
"""What tells the keys of a limit apart: an argument, several, or a function of the arguments."""

Weight: TypeAlias = int | str | Callable[[Mapping[str, Any]], int]
"""For how many starts one job counts."""

_WHEN_FULL: Final = ("wait", "discard", "replace")
"""By their numbers in a `ConcurrencyRule`."""

_ORDERS: Final = ("fair", "strict")
_WINDOWS: Final = ("sliding", "fixed")


@explain_fields
@dataclass(frozen=True, slots=True, init=False, repr=False)
class Concurrency:
    """At most *limit* jobs run at once, over all processes of a store; with *key*, of each key.

    Raises TypeError and ValueError for what makes no sense, naming the argument.

    >>> Concurrency(2, key="account")
    Concurrency(limit=2, key='account')
    """

    limit: int
    """How many jobs may run at once, 1 or more."""
    key: Key
    """The argument whose values have a limit each, several arguments, or a function that is given
    the arguments; where it returns None the job has no limit. None: one limit for all."""
    name: str | None
    """The name of the limit; None: that of the worker or queue that has it. Workers and queues
    that name the same one share it."""
    order: Literal["fair", "strict"]
    """``"fair"``: a job that waits for its retry, or is scheduled for later, lets others pass.
    ``"strict"``: it keeps its place among the first until it has ended."""
    halt_on_failure: bool
    """Whether a strict key goes no further after a job that failed for good."""
    when_full: Literal["wait", "discard", "replace"]
    """What a new job does where as many run as may: wait, be refused with LimitReached, or take
    the place of the jobs that wait, which are cancelled."""
    max_waiting: int | None
    """How many jobs of a key may wait; one more is refused with LimitReached. None: any number.
    With ``when_full="replace"`` none is refused."""

    def __init__(
        self,
        limit: int,
        *,
        key: Key = None,
        name: str | None = None,
        order: Literal["fair", "strict"] = "fair",
        halt_on_failure: bool = False,
        when_full: Literal["wait", "discard", "replace"] = "wait",
        max_waiting: int | None = None,
    ) -> None:
        owner = "a Concurrency"
        checked = {
            "limit": check_limit(limit, owner),
            "key": _key(key, owner),
            "name": None if name is None else check_limit_name(name, owner),
            "order": _one_of(order, _ORDERS, "order", owner),
            "halt_on_failure": check_flag(halt_on_failure, f"halt_on_failure of {owner}"),
            "when_full": _one_of(when_full, _WHEN_FULL, "when_full", owner),
            "max_waiting": _max_waiting(max_waiting, owner),
        }
        if halt_on_failure and order != "strict":
            raise ValueError(
                f"halt_on_failure of {owner} is for order='strict', which was not given: in the"
                " other order a failed job holds nothing back"
            )
        _set(self, checked)

    def __repr__(self) -> str:
        return _shown(self, _CONCURRENCY_DEFAULTS)


_CONCURRENCY_DEFAULTS: Final = {
    "key": None,
    "name": None,
    "order": "fair",
    "halt_on_failure": False,
    "when_full": "wait",
    "max_waiting": None,
}


@explain_fields
@dataclass(frozen=True, slots=True, init=False, repr=False)
class RateLimit:
    """At most *limit* jobs start in each span of *per*, over all processes of a store.

    What counts is a start: an attempt that is a retry counts as well. With *burst* more than 1, so
    many may start together after a pause; in no span of *per* more than limit + burst - 1 start.
    Raises TypeError and ValueError for what makes no sense, naming the argument.

    >>> RateLimit(100, per=60, key="account")
    RateLimit(limit=100, per=60.0, key='account')
    """

    limit: int
    """How many jobs may start in the span, 1 or more."""
    per: float
    """The span in seconds; it is given as seconds or a timedelta."""
    key: Key
    """The argument whose values have a limit each, several arguments, or a function that is given
    the arguments; where it returns None the job has no limit. None: one limit for all."""
    name: str | None
    """The name of the limit; None: that of the worker or queue that has it. Workers and queues
    that name the same one share it."""
    burst: int
    """How many may start together after a pause."""
    weight: Weight
    """For how many starts a job counts: a number, the name of an argument, or a function that is
    given the arguments. At most *burst*, with a fixed window at most *limit*."""
    window: Literal["sliding", "fixed"]
    """``"sliding"``: the span may begin at any moment. ``"fixed"``: the spans follow each other
    from the epoch on, for services that count so; then all of *limit* may start together."""

    def __init__(
        self,
        limit: int,
        per: float | timedelta,
        *,
        key: Key = None,
        name: str | None = None,
        burst: int = 1,
        weight: Weight = 1,
        window: Literal["sliding", "fixed"] = "sliding",
    ) -> None:
        owner = "a RateLimit"
        checked = {
            "limit": check_limit(limit, owner),
            "per": check_per(per, owner),
            "key": _key(key, owner),
            "name": None if name is None else check_limit_name(name, owner),
            "burst": check_burst(burst, owner),
            "weight": _weight(weight, owner),
            "window": _one_of(window, _WINDOWS, "window", owner),
        }
        _set(self, checked)
        rule = rate_rule(self)
        check_numbers(rule, owner)
        if isinstance(self.weight, int):
            check_weight(self.weight, rule, f"weight of {owner}")

    def __repr__(self) -> str:
        return _shown(self, _RATE_DEFAULTS)


_RATE_DEFAULTS: Final = {"key": None, "name": None, "burst": 1, "weight": 1, "window": "sliding"}


Limit: TypeAlias = Concurrency | RateLimit
"""What users declare."""


def _set(limit: Limit, checked: Mapping[str, Any]) -> None:
    for field, value in checked.items():
        object.__setattr__(limit, field, value)


def _shown(limit: Limit, defaults: Mapping[str, Any]) -> str:
    """Return the call that makes *limit*, without the arguments that have their default."""
    values = {name: getattr(limit, name) for name in type(limit).__dataclass_fields__}
    shown = [
        f"{name}={value!r}"
        for name, value in values.items()
        if name not in defaults or value != defaults[name]
    ]
    return f"{type(limit).__name__}({', '.join(shown)})"


def concurrency_rule(limit: Concurrency) -> ConcurrencyRule:
    """Return what the store keeps of *limit*."""
    return ConcurrencyRule(
        limit.limit,
        limit.order == "strict",
        limit.halt_on_failure,
        _WHEN_FULL.index(limit.when_full),
        limit.max_waiting,
    )


def rate_rule(limit: RateLimit) -> RateRule:
    """Return what the store keeps of *limit*."""
    return RateRule(limit.limit, microseconds(limit.per), limit.burst, limit.window == "fixed")


def limit_rule(name: str, *limits: Limit) -> LimitRule:
    """Return what the store keeps of *limits* that are declared under *name*: one of each kind."""
    rule = LimitRule(name, keyed=limits[0].key is not None)
    for limit in limits:
        if isinstance(limit, Concurrency):
            rule = replace(rule, concurrency=concurrency_rule(limit))
        else:
            rule = replace(rule, rate=rate_rule(limit))
    return rule


# ---- checks -----------------------------------------------------------------------------------


def _max_waiting(value: object, owner: str) -> int | None:
    if value is None:
        return None
    number = check_number(value, "max_waiting", owner)
    if number < 0:
        raise ValueError(f"max_waiting of {owner} must be 0 or more, got {number}")
    return number


def _weight(value: object, owner: str) -> Weight:
    if callable(value):
        return value
    if isinstance(value, str):
        return _argument(value, "weight", owner)
    number = whole(value)
    if number is None:
        raise TypeError(
            f"weight of {owner} must be a whole number, the name of an argument or a function, got"
            f" {short_repr(value)}"
        )
    return number


def _key(value: object, owner: str) -> Key:
    """Return a key as it is kept: one name is a str, several are a tuple."""
    if value is None or callable(value):
        return value
    if isinstance(value, str):
        return _argument(value, "key", owner)
    if not isinstance(value, Sequence) or isinstance(value, bytes | bytearray | memoryview):
        raise TypeError(
            f"key of {owner} must be the name of an argument, several names or a function, got"
            f" {short_repr(value)}"
        )
    names = tuple(dict.fromkeys(_argument(name, "key", owner) for name in value))
    if not names:
        raise ValueError(f"key of {owner} must name at least one argument, got none")
    return names[0] if len(names) == 1 else names


def _argument(name: object, setting: str, owner: str) -> str:
    if not isinstance(name, str):
        raise TypeError(
            f"{setting} of {owner} must be made of names of arguments (str), got {short_repr(name)}"
        )
    if not name or not is_utf8(name):
        raise ValueError(
            f"{setting} of {owner} must be text that UTF-8 can carry and not empty, got"
            f" {short_repr(name)}"
        )
    return exact_str(name)


def _one_of(value: object, known: Collection[str], setting: str, owner: str) -> str:
    names = " or ".join(map(repr, known))
    if not isinstance(value, str):
        raise TypeError(f"{setting} of {owner} must be {names}, got {short_repr(value)}")
    if value not in known:
        raise ValueError(
            f"{setting} of {owner} must be {names}, got {value!r}{did_you_mean(value, known)}"
        )
    return exact_str(value)
