"""When a job is made again and again: what a user writes, and the instants that it names.

Instants are whole microseconds since the epoch, as jobs have them. Nothing here knows what time it
is; `antq_actors.flow.cron_turn` decides what happens at an instant.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec

from antq_actors.errors import CronError
from antq_actors.flow.cron_expression import REBOOT, read_expression
from antq_actors.flow.cron_options import (
    SECOND,
    Missed,
    Overlap,
    check_anchor,
    check_expression,
    check_period,
    checked_options,
)
from antq_actors.flow.cron_times import CronTimes, load_zone

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from antq_actors.flow.cron_expression import CronExpression

Instant: TypeAlias = int
"""Microseconds since 1970-01-01 00:00 UTC."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_LATEST: Final[Instant] = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND
_DEFAULTS: Final[Mapping[str, Any]] = {
    "args": {},
    "tz": "UTC",
    "missed": "once",
    "grace": 60.0,
    "max_missed": 100,
    "overlap": "skip",
    "jitter": 0.0,
}


class StoredEntry(msgspec.Struct, frozen=True, array_like=True):
    """What of an entry is stored: when its jobs are made, not which."""

    expression: str
    """As `CronEntry.expression`."""
    period: int
    """Microseconds; 0: it has an expression."""
    anchor: Instant | None
    tz: str
    missed: Missed
    grace: int
    """Microseconds."""
    max_missed: int
    overlap: Overlap
    jitter: int
    """Microseconds."""


@dataclass(frozen=True, slots=True, init=False, repr=False)
class CronEntry(ABC):
    """What a `Cron` and an `Every` have in common: all but when their jobs are made."""

    worker: Any
    """Whose jobs are made; None: that of the class or function on which the entry is."""
    args: Mapping[str, Any] = field(hash=False)
    """The arguments of each job."""
    name: str | None
    """The name of the entry; None: the stored name of its worker."""
    tz: str
    """The IANA name of the time zone in which it is read."""
    missed: Missed
    """Which of the instants that passed while nothing ran get a job: the newest one (``"once"``),
    those that are at most *grace* late (``"skip"``), or the newest *max_missed* (``"all"``)."""
    grace: float
    """Seconds that a job may be late with ``missed="skip"``."""
    max_missed: int
    """Most jobs that are made up for with ``missed="all"``."""
    overlap: Overlap
    """What happens at an instant while the last job has not ended: no job is made (``"skip"``), one
    is made all the same (``"allow"``), or that one is cancelled first (``"cancel"``)."""
    jitter: float
    """Most seconds by which a job is moved behind its instant, by another share for each."""
    options: Mapping[str, Any] = field(hash=False)
    """The options of each job."""

    # ---- instants -----------------------------------------------------------------------------

    @property
    @abstractmethod
    def description(self) -> str:
        """Its instants in words, in at most 1,000 characters."""

    @property
    def is_reboot(self) -> bool:
        """Whether it names no time of day, but the start of the first node."""
        return False

    @abstractmethod
    def next_after(self, after: Instant) -> Instant | None:
        """Return the first instant later than *after*; None: there is none."""

    @abstractmethod
    def newest(self, start: Instant, end: Instant, most: int) -> list[Instant]:
        """Return the last *most* instants in [*start*, *end*), the oldest one first."""

    @abstractmethod
    def count_between(self, start: Instant, end: Instant, most: int | None = None) -> int:
        """Return how many instants are in [*start*, *end*), at most *most*; none is listed."""

    def instants(self, start: Instant, end: Instant) -> Iterator[Instant]:
        """Yield the instants in [*start*, *end*), the oldest one first."""
        instant = self.next_after(start - 1)
        while instant is not None and instant < end:
            yield instant
            instant = self.next_after(instant)

    # ---- the store ----------------------------------------------------------------------------

    @abstractmethod
    def stored(self) -> StoredEntry:
        """Return what of the entry is stored."""

    def encode(self) -> bytes:
        """Return the bytes of what is stored of the entry, the same in every process."""
        return msgspec.msgpack.encode(self.stored())

    def digest(self, *more: bytes) -> bytes:
        """Return 16 bytes that change when the entry changes, or *more*: of what its jobs are."""
        digest = hashlib.blake2b(digest_size=16)
        for part in (self.encode(), *more):
            digest.update(len(part).to_bytes(8))
            digest.update(part)
        return digest.digest()

    def __repr__(self) -> str:
        own = (f.name for f in fields(self) if f.name not in {"expression", "period", "options"})
        given = [
            f"{name}={value!r}"
            for name in own
            if (value := getattr(self, name)) != _DEFAULTS.get(name)
        ]
        given += [f"{name}={value!r}" for name, value in self.options.items()]
        return f"{type(self).__name__}({', '.join([self._shown(), *given])})"

    @abstractmethod
    def _shown(self) -> str:
        """Return the first argument as ``repr`` shows it."""


@dataclass(frozen=True, slots=True, init=False, repr=False)
class Cron(CronEntry):
    """A job at each instant that a cron expression names.

    The expression has five fields, minute, hour, day, month and weekday, or six, with the second
    before them. A field is a number, a name (``jan``, ``mon``), ``*``, or a list (``1,15``), range
    (``mon-fri``) or step (``*/5``) of these; the day may be ``L``, the last one of the month, and
    the weekday ``5L`` or ``5#2``, its last or second Friday. If neither day nor weekday begins with
    ``*``, either may match. In place of it there are ``@hourly``, ``@daily``, ``@weekly``,
    ``@monthly``, ``@yearly``, and ``@reboot``: when the first node of a store starts.

    It is read in *tz*, by default UTC. Where the clocks are changed, a time of day that they leave
    out comes at the end of the gap, and one that they show twice comes once, at first. An
    expression whose minute or hour begins with ``*`` goes by the time that passes.

    Raises TypeError for an argument of the wrong type, CronError (a ValueError) for one that makes
    no sense; each names it.

    >>> Cron("0 3 * * mon-fri", tz="Europe/Berlin").description
    'At 03:00 on Monday through Friday'
    """

    expression: str
    """When: the expression as given."""

    def __init__(
        self,
        expression: str,
        *,
        worker: Any = None,
        args: Mapping[str, Any] | None = None,
        name: str | None = None,
        tz: str = "UTC",
        missed: Missed = "once",
        grace: float | timedelta = 60.0,
        max_missed: int = 100,
        overlap: Overlap = "skip",
        jitter: float | timedelta = 0.0,
        **job_options: Any,
    ) -> None:
        _set(
            self,
            expression=check_expression(expression),
            **checked_options(
                worker, args, name, tz, missed, grace, max_missed, overlap, jitter, job_options
            ),
        )

    @property
    def description(self) -> str:
        """Its instants in words, in at most 1,000 characters."""
        return "When the first node starts" if self.is_reboot else self._read().description

    @property
    def is_reboot(self) -> bool:
        """Whether it names no time of day, but the start of the first node."""
        return self.expression.strip().lower() == REBOOT

    def next_after(self, after: Instant) -> Instant | None:
        """Return the first instant later than *after*; None: there is none."""
        if self.is_reboot:
            return None
        second = self._times().first(after // SECOND + 1)
        return None if second is None else second * SECOND

    def newest(self, start: Instant, end: Instant, most: int) -> list[Instant]:
        """Return the last *most* instants in [*start*, *end*), the oldest one first."""
        if self.is_reboot:
            return []
        back = self._times().back(_seconds_up(start), _seconds_up(end))
        return [second * SECOND for second in islice(back, most)][::-1]

    def count_between(self, start: Instant, end: Instant, most: int | None = None) -> int:
        """Return how many instants are in [*start*, *end*), at most *most*; none is listed."""
        if self.is_reboot:
            return 0
        return self._times().count(_seconds_up(start), _seconds_up(end), most)

    def stored(self) -> StoredEntry:
        """Return what of the entry is stored."""
        return _stored(self, self.expression, period=0, anchor=None)

    def _read(self) -> CronExpression:
        return read_expression(self.expression)

    def _times(self) -> CronTimes:
        return CronTimes(self._read(), load_zone(self.tz))

    def _shown(self) -> str:
        return repr(self.expression)


@dataclass(frozen=True, slots=True, init=False, repr=False)
class Every(CronEntry):
    """A job each time a period has passed, counted from an anchor: a restart changes nothing.

    The *period* is at least 1 second. The anchor is an aware datetime, by default 1970-01-01 00:00
    UTC, and one of the instants: ``Every(3600)`` is on the hour. The other arguments are those of
    a `Cron`.

    Raises TypeError for an argument of the wrong type, CronError (a ValueError) for one that makes
    no sense; each names it.

    >>> Every(timedelta(minutes=5)).expression
    'every 300 s'
    """

    period: float
    """Seconds from one instant to the next."""
    anchor: datetime | None
    """One of the instants; None: 1970-01-01 00:00 UTC."""

    def __init__(
        self,
        period: float | timedelta,
        *,
        anchor: datetime | None = None,
        worker: Any = None,
        args: Mapping[str, Any] | None = None,
        name: str | None = None,
        tz: str = "UTC",
        missed: Missed = "once",
        grace: float | timedelta = 60.0,
        max_missed: int = 100,
        overlap: Overlap = "skip",
        jitter: float | timedelta = 0.0,
        **job_options: Any,
    ) -> None:
        _set(
            self,
            period=check_period(period),
            anchor=check_anchor(anchor),
            **checked_options(
                worker, args, name, tz, missed, grace, max_missed, overlap, jitter, job_options
            ),
        )

    def __eq__(self, other: object) -> bool:
        if other.__class__ is not self.__class__:
            return NotImplemented
        return self._compared() == other._compared()

    def __hash__(self) -> int:
        return hash((self.name, self.tz, self._grid()))

    def _compared(self) -> tuple[object, ...]:
        """Return what makes it equal to another one: an anchor is compared as an instant."""
        others = (getattr(self, f.name) for f in fields(self) if f.name != "anchor")
        return (*self._grid(), *others)

    @property
    def expression(self) -> str:
        """When, as a cron expression would be shown."""
        return f"every {_number(self.period)} s"

    @property
    def description(self) -> str:
        """Its instants in words, in at most 1,000 characters."""
        anchor = "1970-01-01 00:00 UTC" if self.anchor is None else self.anchor.isoformat(" ")
        return f"Every {_number(self.period)} s, counted from {anchor}"

    def next_after(self, after: Instant) -> Instant | None:
        """Return the first instant later than *after*; None: there is none."""
        period, anchor = self._grid()
        instant = anchor + ((after - anchor) // period + 1) * period
        return instant if instant <= _LATEST else None

    def newest(self, start: Instant, end: Instant, most: int) -> list[Instant]:
        """Return the last *most* instants in [*start*, *end*), the oldest one first."""
        period, anchor = self._grid()
        last = anchor + (end - 1 - anchor) // period * period
        first = max(last - (most - 1) * period, anchor - (anchor - start) // period * period)
        return list(range(first, last + 1, period))

    def count_between(self, start: Instant, end: Instant, most: int | None = None) -> int:
        """Return how many instants are in [*start*, *end*), at most *most*; none is listed."""
        period, anchor = self._grid()
        found = max((end - 1 - anchor) // period - (start - 1 - anchor) // period, 0)
        return found if most is None else min(found, most)

    def stored(self) -> StoredEntry:
        """Return what of the entry is stored."""
        period, anchor = self._grid()
        return _stored(self, self.expression, period=period, anchor=anchor)

    def _grid(self) -> tuple[int, Instant]:
        anchor = 0 if self.anchor is None else (self.anchor - _EPOCH) // _MICROSECOND
        return _microseconds(self.period), anchor

    def _shown(self) -> str:
        return _number(self.period)


# ---- the store ----------------------------------------------------------------------------------


def read_stored(data: bytes) -> StoredEntry:
    """Return what is stored of an entry, also of one that makes no sense here.

    Raises CronError for bytes that are no entry.
    """
    try:
        return msgspec.msgpack.decode(data, type=StoredEntry)
    except (msgspec.MsgspecError, ValueError) as error:
        raise CronError(f"what is stored is no periodic entry: {error}") from error


def decode_entry(data: bytes) -> Cron | Every:
    """Return the entry of which *data* is stored, without its worker, arguments and options.

    Raises CronError for a time zone that is gone, which it names, for an expression that cannot be
    read any more, and for bytes that are no entry.
    """
    stored = read_stored(data)
    common: dict[str, Any] = {
        "tz": stored.tz,
        "missed": stored.missed,
        "grace": stored.grace / SECOND,
        "max_missed": stored.max_missed,
        "overlap": stored.overlap,
        "jitter": stored.jitter / SECOND,
    }
    if not stored.period:
        return Cron(stored.expression, **common)
    try:
        anchor = _EPOCH + timedelta(microseconds=stored.anchor) if stored.anchor else None
    except OverflowError:
        raise CronError(f"anchor is in no year from 1 to 9999: {stored.anchor}") from None
    return Every(stored.period / SECOND, anchor=anchor, **common)


def _stored(entry: CronEntry, expression: str, *, period: int, anchor: int | None) -> StoredEntry:
    return StoredEntry(
        expression,
        period,
        anchor,
        entry.tz,
        entry.missed,
        _microseconds(entry.grace),
        entry.max_missed,
        entry.overlap,
        _microseconds(entry.jitter),
    )


def _set(entry: CronEntry, **values: Any) -> None:
    for name, value in values.items():
        object.__setattr__(entry, name, value)


def _microseconds(seconds: float) -> int:
    return round(seconds * SECOND)


def _seconds_up(instant: Instant) -> int:
    return -(-instant // SECOND)


def _number(seconds: float) -> str:
    return str(int(seconds) if seconds == int(seconds) else seconds)
