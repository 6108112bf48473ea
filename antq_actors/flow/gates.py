"""May a job pass a limit now, and if not, what has to change first?

A gate is what jobs pass: a limit at one key. It is open while fewer of its jobs run than may, its
rate lets another one start, and nobody has closed it. Those that find it closed wait in its rooms,
one for each queue, and the first of each room is in front of the gate while that is open.

This file decides and never acts: records come in, and what was decided is a value, or a number in
the record. The claim and those who explain a job ask the same functions, with the time passed in.

A rate is one number, the time at which all starts so far would be over if each took its share of
the span (GCRA). It is kept in nanoseconds, so that a share is hardly rounded. At most *limit* +
*burst* - 1 starts, by weight, are in any span, whatever was asked when.
"""

from __future__ import annotations

from itertools import chain
from typing import Final, NamedTuple, TypeAlias

import msgspec

from antq_actors.flow.limits import DISCARD, REPLACE, LimitRule, RateRule

Instant: TypeAlias = int
"""Microseconds since the epoch."""

MOST_HOLDERS: Final = 100
"""Ids of running jobs that a gate keeps, for people."""
_NANOSECONDS: Final = 1_000
"""In a microsecond."""


class Room(msgspec.Struct, array_like=True, gc=False):
    """Where the jobs of one queue wait for a gate."""

    queue: str
    waiting: int = 0
    """How many wait in it, besides the one in front."""
    head: int = 0
    """The id of the job in front of the gate, which may be waiting for a later one; 0: none."""
    is_front: bool = False
    """Whether that one was given back, so that no other one of its key goes before it."""
    priority: int = 0
    """Of the job in front."""
    opens_at: Instant = 0
    """For when the store has a row for its opening; 0: it has none."""


class Numbers(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Numbers that were set at runtime; None: that of the code, or that for all keys."""

    concurrency: int | None = None
    limit: int | None = None
    per: int | None = None
    burst: int | None = None


NO_NUMBERS: Final = Numbers()


class Gate(msgspec.Struct, array_like=True):
    """A limit at one key, as it is stored."""

    key: str | None = None
    """The key as people read it; None for a limit without."""
    running: int = 0
    """How many of its jobs run."""
    rooms: list[Room] = []
    holders: list[int] = []
    """The ids of the first jobs that run, `MOST_HOLDERS` at most."""
    full_at: int = 0
    """When all starts so far would be over at this rate, in nanoseconds."""
    window: int = 0
    """The number of the window of a fixed rate in which the last job started."""
    used: int = 0
    """The weight of the jobs that started in that window."""
    closed_until: Instant = 0
    """Nothing starts before that: it is paused so long."""
    is_paused: bool = False
    numbers: Numbers = NO_NUMBERS
    reach: int = 0
    """The largest burst or weight with which the starts were counted that are not over yet."""
    refused_until: Instant = 0
    """Nothing starts before that, as another service lets nobody in: a job said so."""

    def room(self, queue_name: str) -> Room:
        """Return the room of a queue, a new one if it has none."""
        for room in self.rooms:
            if room.queue == queue_name:
                return room
        room = Room(queue_name)
        self.rooms.append(room)
        return room


class Limit(msgspec.Struct, array_like=True):
    """A limit as it is stored: what the code says of it, and what was set at runtime."""

    rule: LimitRule
    numbers: Numbers = NO_NUMBERS
    closed_until: Instant = 0
    is_paused: bool = False
    passes_first: bool | None = None
    """Whether its gates are passed before others; None: if it is strict. That stays as it was when
    the limit was declared first, as all jobs have to pass gates in one sequence."""


def copy_of(limit: Limit, rule: LimitRule | None = None) -> Limit:
    """Return a limit that can be changed without changing this one, perhaps with another rule.

    Jobs pass its gates where they did before, also if it is strict now and was not, or the reverse.
    """
    copy = Limit(rule or limit.rule, limit.numbers, limit.closed_until, limit.is_paused)
    if is_strict(copy) is not passes_first(limit):
        copy.passes_first = passes_first(limit)
    return copy


def passes_first(limit: Limit) -> bool:
    """Return whether jobs pass the gates of a limit before those of others."""
    return is_strict(limit) if limit.passes_first is None else limit.passes_first


def has_settings(of: Limit | Gate) -> bool:
    """Return whether anything was set of a limit or a gate at runtime."""
    is_closed = bool(of.closed_until) or (isinstance(of, Gate) and bool(of.refused_until))
    return of.is_paused or is_closed or of.numbers != NO_NUMBERS


def holder_in(gate: Gate) -> int | None:
    """Return a job that holds a place of a gate: one that runs, or else one in front of it."""
    in_front = (room.head for room in gate.rooms if room.head)
    return next(chain(gate.holders, in_front), None)


def waiting_in(gate: Gate) -> int:
    """Return how many jobs wait at a gate, those in front of it included."""
    return sum(room.waiting + bool(room.head) for room in gate.rooms)


class Closed(NamedTuple):
    """Why a gate is closed."""

    why: str
    """``full``, ``rate``, ``paused``, or ``order``: others are before it at a strict limit."""
    opens_at: Instant | None = None
    """When it opens if nothing else changes; None: never by itself."""


# ---- the rule in force ------------------------------------------------------------------------


def concurrency_of(limit: Limit | None, gate: Gate) -> int | None:
    """Return how many jobs of a gate may run at once; None: any number."""
    if limit is None or limit.rule.concurrency is None:
        return None
    number = gate.numbers.concurrency
    if number is None:
        number = limit.numbers.concurrency
    return limit.rule.concurrency.limit if number is None else number


def rate_of(limit: Limit | None, gate: Gate) -> RateRule | None:
    """Return the rate at which jobs of a gate may start; None: any."""
    if limit is None or limit.rule.rate is None:
        return None
    rule = limit.rule.rate
    for numbers in (limit.numbers, gate.numbers):
        if numbers is not NO_NUMBERS and numbers != NO_NUMBERS:
            rule = RateRule(
                rule.limit if numbers.limit is None else numbers.limit,
                rule.per if numbers.per is None else numbers.per,
                rule.burst if numbers.burst is None else numbers.burst,
                rule.fixed,
            )
    return rule


# ---- is it open? ------------------------------------------------------------------------------


def closed_by(limit: Limit | None, gate: Gate, now: Instant, weight: int = 1) -> Closed | None:
    """Return why a job of this *weight* may not pass *gate* now; None: it may.

    What must change first comes first: the end of a job, then the rate, then what people closed.
    A limit of which nothing is known closes nothing.
    """
    if gate.running and is_full(limit, gate):
        return Closed("full")
    until, closed, is_paused = gate.refused_until, gate.closed_until, gate.is_paused
    if limit is not None:
        if limit.rule.rate is not None:
            rate = rate_of(limit, gate)
            if rate is not None:
                until = max(until, rate_opens_at(rate, gate, now, weight))
        is_paused = is_paused or limit.is_paused
        closed = max(closed, limit.closed_until)
    if is_paused:
        return Closed("paused")
    if until <= now and closed <= now:
        return None
    return Closed("rate" if until > now else "paused", max(until, closed))


def is_full(limit: Limit | None, gate: Gate) -> bool:
    """Return whether as many jobs of a gate run as may."""
    most = concurrency_of(limit, gate)
    return most is not None and gate.running >= most


def refused_by(limit: Limit | None, gate: Gate) -> str | None:
    """Return why a new job may not even wait for a gate, as a sentence; None: it may."""
    rule = None if limit is None else limit.rule.concurrency
    if limit is None or rule is None or rule.when_full == REPLACE:
        return None  # where it replaces, those that wait make room, whatever max_waiting says
    if rule.when_full != DISCARD and rule.max_waiting is None:
        return None
    most = concurrency_of(limit, gate) or rule.limit
    where = f"the limit {limit.rule.name!r}"
    if gate.key is not None:
        where += f" at the key {gate.key!r}"
    if rule.when_full == DISCARD and gate.running >= most:
        return f"{where} is full: {gate.running} of {most} jobs run, and when_full is 'discard'"
    ahead = gate.running + waiting_in(gate) - most
    if rule.max_waiting is not None and ahead >= rule.max_waiting:
        return (
            f"{where} is full: {gate.running} of {most} jobs run, {waiting_in(gate)} wait, and"
            f" max_waiting is {rule.max_waiting}"
        )
    return None


def replaces(limit: Limit) -> bool:
    """Return whether a new job takes the place of those that wait, while a limit is full."""
    rule = limit.rule.concurrency
    return rule is not None and rule.when_full == REPLACE


def is_strict(limit: Limit | None) -> bool:
    """Return whether jobs keep their order at a limit, and their places in it until they end."""
    return (
        limit is not None and limit.rule.concurrency is not None and limit.rule.concurrency.strict
    )


def halts(limit: Limit | None) -> bool:
    """Return whether a job that failed keeps its place at a strict limit."""
    rule = None if limit is None else limit.rule.concurrency
    return rule is not None and rule.strict and rule.halt_on_failure


def rate_opens_at(rate: RateRule, gate: Gate, now: Instant, weight: int = 1) -> Instant:
    """Return from when on the rate of a gate lets a job of this *weight* start; 0: it does now."""
    if rate.fixed:
        window = now // rate.per
        if not 0 <= gate.window - window <= 1:
            return 0
        is_spent = gate.used + min(weight, rate.limit) > rate.limit
        return (gate.window + 1) * rate.per if is_spent else 0
    # A job that weighs more than a lowered burst starts when all of that is there.
    ahead = gate.full_at - (rate.burst - min(weight, rate.burst)) * share(rate)
    opens_at = -(-ahead // _NANOSECONDS)
    return opens_at if opens_at > now else 0


def share(rate: RateRule) -> int:
    """Return the nanoseconds of the span that each start takes, rounded up."""
    return -(-rate.per * _NANOSECONDS // rate.limit)


def is_idle(gate: Gate) -> bool:
    """Return whether a gate has no jobs and settings, so that only its rate is worth keeping."""
    if gate.running or gate.is_paused:
        return False
    for room in gate.rooms:  # without a generator: each transaction asks this of all its gates
        if room.waiting or room.head:
            return False
    return gate.numbers is NO_NUMBERS or gate.numbers == NO_NUMBERS


def forgotten_at(limit: Limit | None, gate: Gate) -> Instant:
    """Return from when on an idle gate decides what a new one would."""
    rate, closed = rate_of(limit, gate), max(gate.closed_until, gate.refused_until)
    if rate is None:
        return closed
    if rate.fixed:
        return max(closed, (gate.window + 1) * rate.per if gate.used else 0)
    return max(closed, -(-gate.full_at // _NANOSECONDS))


# ---- a job passes, or leaves ------------------------------------------------------------------


def take(limit: Limit | None, gate: Gate, id_: int, now: Instant, weight: int = 1) -> None:
    """Count in *gate* that a job starts."""
    gate.running += 1
    if len(gate.holders) < MOST_HOLDERS:
        gate.holders.append(id_)
    rate = rate_of(limit, gate)
    if rate is not None:
        count_starts(rate, gate, now, weight)


def count_starts(rate: RateRule, gate: Gate, now: Instant, weight: int) -> None:
    """Count in *gate* so many starts at its rate."""
    if rate.fixed:
        window = now // rate.per
        if not 0 <= gate.window - window <= 1:
            gate.window, gate.used = window, 0
        gate.used += weight
    else:
        is_over = gate.full_at <= now * _NANOSECONDS
        gate.reach = max(0 if is_over else gate.reach, rate.burst, weight)
        gate.full_at = max(gate.full_at, now * _NANOSECONDS) + weight * share(rate)


def starts_left(rate: RateRule, gate: Gate, now: Instant) -> int:
    """Return how many jobs may start at once now at the rate of a gate."""
    if rate.fixed:
        is_current = 0 <= gate.window - now // rate.per <= 1
        return max(0, rate.limit - gate.used) if is_current else rate.limit
    ahead = max(0, gate.full_at - now * _NANOSECONDS)
    return max(0, rate.burst - -(-ahead // share(rate)))


def rescale(gate: Gate, old: RateRule | None, new: RateRule | None, now: Instant) -> None:
    """Keep in *gate* the starts that it has counted, now that its rate is another one."""
    if new is None or old is None or old.fixed is not new.fixed:
        gate.full_at = gate.window = gate.used = 0
    elif new.fixed:
        is_current = 0 <= gate.window - now // old.per <= 1
        gate.window, gate.used = now // new.per, gate.used if is_current else 0
    else:
        at = now * _NANOSECONDS
        ahead = max(0, gate.full_at - at)
        gate.full_at = at + -(-ahead * share(new) // share(old))


def release(gate: Gate, id_: int) -> None:
    """Count in *gate* that a job runs no more."""
    gate.running = max(0, gate.running - 1)
    if id_ in gate.holders:
        gate.holders.remove(id_)


def cut(limit: Limit | None, gate: Gate, now: Instant) -> None:
    """Cut in *gate* what no start can have left behind: then the clock was set back.

    It has to be stored; else it would be as far ahead again at each look. Starts that were counted
    with a larger burst than there is now stay counted.
    """
    rate = rate_of(limit, gate)
    if rate is None:
        return
    if rate.fixed:
        if gate.window - now // rate.per > 1:
            gate.window = gate.used = 0
        return
    most = now * _NANOSECONDS + (max(rate.burst, gate.reach) + 1) * share(rate)
    gate.full_at = min(gate.full_at, most)


def goes_before(is_front: bool, priority: int, room: Room) -> bool:  # noqa: FBT001 - a key
    """Return whether a job goes before the one that is in front of the gate."""
    return (is_front, priority) > (room.is_front, room.priority)
