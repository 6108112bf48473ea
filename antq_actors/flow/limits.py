"""Limits as the store knows them: their rules, their gates, and what can be read about them.

A limit has a name. Its concurrency bounds how many jobs run at once, its rate how many start in a
span of time; one name may have both. With a key there is a gate for each value of the key, which is
what jobs pass; without one there is a single gate. When a job passes is not decided here.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

import msgspec

from antq_actors.checks import LONGEST_SECONDS, exact_str, is_utf8, short_repr, to_seconds, whole
from antq_actors.introspection import explain_fields

if TYPE_CHECKING:
    from datetime import datetime

LimitKind: TypeAlias = Literal["concurrency", "rate"]
"""What a limit bounds; one name may have one of each."""

WAIT: Final = 0
"""What happens to a new job while its key is full: it waits, …"""
DISCARD: Final = 1
"""… it is refused, …"""
REPLACE: Final = 2
"""… or it takes the place of those that wait."""

LIMIT_BYTES: Final = 8
"""Of a gate's key, those of its limit."""
_MOST: Final = 2**31 - 1
_MICROSECONDS: Final = 1_000_000
_SHORTEST_PER_SECONDS: Final = 0.000_001


# ---- what the store keeps ---------------------------------------------------------------------


class ConcurrencyRule(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A `Concurrency` as it is stored."""

    limit: int
    strict: bool = False
    halt_on_failure: bool = False
    when_full: int = WAIT
    """`WAIT`, `DISCARD` or `REPLACE`."""
    max_waiting: int | None = None


class RateRule(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A `RateLimit` as it is stored."""

    limit: int
    per: int
    """Microseconds."""
    burst: int = 1
    fixed: bool = False


class LimitRule(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """All that is declared under one name."""

    name: str
    keyed: bool
    """Whether there is a gate for each key."""
    concurrency: ConcurrencyRule | None = None
    rate: RateRule | None = None


class QueueLimit(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A limit that each job of a queue passes, for processes that do not configure the queue."""

    rule: LimitRule
    key: tuple[str, ...] | None = None
    """The arguments that are its key; None: it has none."""
    weight: int | str = 1
    """For how many starts a job counts: a number, or the name of an argument."""
    is_own: bool = True
    """Whether it is the rate limit of the queue itself, and not shared."""
    has_function: bool = False
    """Whether its key or weight is a function, which only the queue's configuration has."""


def microseconds(seconds: float) -> int:
    """Return the span of a rate limit as it is stored, at least 1."""
    return max(1, round(seconds * _MICROSECONDS))


def gate_id(name: str, key: bytes | None) -> bytes:
    """Return the 24 bytes that name a gate of the limit *name*; `LIMIT_BYTES` are of all its gates.

    *key* is what `antq_actors.jobs.unique.canonical` makes of a value; None: it has no key.
    """
    of_limit = hashlib.blake2b(name.encode(), digest_size=LIMIT_BYTES).digest()
    return of_limit + hashlib.blake2b(key or b"", digest_size=16).digest()


def limit_digest(name: str) -> bytes:
    """Return the key of a limit in the table ``limits``, with which those of its gates begin."""
    return gate_id(name, None)[:LIMIT_BYTES]


class GateKey(NamedTuple):
    """A gate as the enqueueing process knows it: only digests of this are in the job itself."""

    gate: bytes
    """Its `gate_id`."""
    name: str
    """The name of its limit."""
    key: bytes | None
    """The key in bytes, equal for equal keys; None: the limit has no key."""
    text: str
    """The key as people read it."""


# ---- what the store tells ---------------------------------------------------------------------


@explain_fields
@dataclass(frozen=True, slots=True)
class LimitInfo:
    """A limit of a store, as ``AntQ.limits`` returns it; a name with two kinds has two of them."""

    name: str
    """Its name."""
    kind: LimitKind
    """``"concurrency"`` or ``"rate"``."""
    limit: int
    """The number in force: of jobs that run at once, or that start within *per*."""
    per: float | None
    """The seconds of a rate limit in force; None for a concurrency."""
    burst: int | None
    """How many may start together, in force; None for a concurrency."""
    keys: int
    """How many gates it has in use: one for each key, or 1 without key; 0 while it is idle."""
    running: int
    """How many jobs of it run."""
    waiting: int
    """How many jobs wait for it."""
    opens_at: datetime | None
    """When the next job may start; None if now, if nothing but the end of a job opens it, and for
    a limit with a key."""


@explain_fields
@dataclass(frozen=True, slots=True)
class GateStatus:
    """How a limit is doing at one key, as ``LimitHandle.status`` returns it."""

    running: int
    """How many of its jobs run."""
    waiting: int
    """How many wait for it."""
    holders: tuple[int, ...]
    """The ids of those that hold its places, 100 at most."""
    opens_at: datetime | None
    """When the next job may start; None if now, or if nothing but the end of a job opens it."""


# ---- checks -----------------------------------------------------------------------------------


def check_limit(value: object, owner: str) -> int:
    """Return the number ``limit`` of *owner*; else raise TypeError or ValueError.

    >>> check_limit(0, "a Concurrency")
    Traceback (most recent call last):
        ...
    ValueError: limit of a Concurrency must be at least 1, got 0; to let nothing start: pause(key)
    """
    number = check_number(value, "limit", owner)
    if number < 1:
        raise ValueError(
            f"limit of {owner} must be at least 1, got {number}; to let nothing start: pause(key)"
        )
    return number


def check_per(value: object, owner: str) -> float:
    """Return the span ``per`` of *owner* in seconds; else raise TypeError or ValueError."""
    seconds = to_seconds(value, f"per of {owner}")
    if seconds < _SHORTEST_PER_SECONDS:
        raise ValueError(f"per of {owner} must be more than 0 seconds, got {short_repr(value)}")
    return seconds


def check_burst(value: object, owner: str) -> int:
    """Return the number ``burst`` of *owner*; else raise TypeError or ValueError."""
    number = check_number(value, "burst", owner)
    if number < 1:
        raise ValueError(f"burst of {owner} must be at least 1, got {number}")
    return number


def check_numbers(rule: RateRule, owner: str) -> None:
    """Raise ValueError for numbers of a rate that do not go together."""
    if rule.fixed and rule.burst != 1:
        raise ValueError(
            f"burst of {owner} has no meaning with window='fixed', where all of limit may start"
            " together; leave it out"
        )
    if rule.burst * rule.per > rule.limit * LONGEST_SECONDS * _MICROSECONDS:
        raise ValueError(
            f"burst of {owner} is too large: {rule.burst} starts would take longer than the"
            " calendar"
        )


def check_weight(value: object, rule: RateRule, what: str) -> int:
    """Return the weight of a job, which errors name *what*; else raise TypeError or ValueError."""
    weight = whole(value)
    if weight is None:
        raise TypeError(f"{what} must be a whole number (int), got {short_repr(value)}")
    if weight < 1:
        raise ValueError(f"{what} must be at least 1, got {weight}")
    most, setting = (rule.limit, "limit") if rule.fixed else (rule.burst, "burst")
    if weight > most:
        raise ValueError(
            f"{what} must be at most {setting}, which is {most}, got {weight}: the job could never"
            " start"
        )
    return weight


def check_limit_name(value: object, owner: str) -> str:
    """Return the name of a limit of *owner*; else raise TypeError or ValueError."""
    if not isinstance(value, str):
        raise TypeError(f"name of {owner} must be a str, got {short_repr(value)}")
    if not value or "\0" in value or not is_utf8(value):
        raise ValueError(
            f"name of {owner} must be text that UTF-8 can carry, without NUL and not empty, got"
            f" {short_repr(value)}"
        )
    return exact_str(value)


def check_number(value: object, setting: str, owner: str) -> int:
    """Return a whole number of *owner*; else raise TypeError or ValueError."""
    number = whole(value)
    if number is None:
        raise TypeError(
            f"{setting} of {owner} must be a whole number (int), got {short_repr(value)}"
        )
    if number > _MOST:
        raise ValueError(f"{setting} of {owner} must be at most {_MOST}, got {number}")
    return number
