"""A clock for tests: it runs, stands still, and is set forward; an application goes by it."""

from __future__ import annotations

import threading
import time
import weakref
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from antq_actors.checks import real, short_repr
from antq_actors.errors import ConfigError
from antq_actors.jobs import instant
from antq_actors.jobs.instant import StoppableClock

if TYPE_CHECKING:
    from antq_actors.jobs.instant import Instant


class TestClock:
    """The time of one application, in a test: ``AntQ(clock=TestClock())``.

    It runs from *start*, None: from now, until :meth:`freeze` stops it. What the application stores
    has its instants, and its queues, its periodic entries, the deletion of old jobs and ``drain``
    go by it. Timeouts are in real time. Raises TypeError for what is no datetime, ValueError for
    one without a time zone.

    >>> clock = TestClock(datetime(2030, 1, 1, tzinfo=UTC))
    >>> clock.freeze()
    >>> clock.advance(90)
    >>> f"{clock.now():%H:%M:%S}" >= "00:01:30"
    True
    """

    __test__ = False

    def __init__(self, start: datetime | None = None) -> None:
        begin = instant.now() if start is None else _instant(start, "TestClock(start)")
        self.instants = _Instants(begin)
        """The same time as applications store it."""
        self._application: weakref.ref[Any] | None = None
        self._is_taken = False

    def __repr__(self) -> str:
        state = "frozen" if self.instants.is_stopped else "running"
        return f"<TestClock {self.now().isoformat()} {state}>"

    def now(self) -> datetime:
        """Return its time, in UTC."""
        return instant.to_datetime(self.instants())

    def freeze(self) -> None:
        """Let it stand still from now on; it moves when it is set forward, and no other way."""
        self.instants.stop()

    def advance(self, seconds: float | timedelta) -> None:
        """Set it forward, and have the application do what is due by that.

        Periodic entries have enqueued their jobs when this returns, and old jobs are deleted; the
        queues are woken. Raises ValueError for what is negative or not finite, TypeError for what
        are no seconds.
        """
        self._set(self.instants.after(_microseconds(seconds)))

    def travel_to(self, moment: datetime) -> None:
        """Set it forward to an instant; see :meth:`advance`.

        Raises ValueError for an instant that is past or has no time zone.
        """
        self._set(self.instants.at(_instant(moment, "travel_to(instant)")))

    def _set(self, _at: Instant) -> None:
        application = None if self._application is None else self._application()
        if application is not None:
            application.antq_time_passed()

    def antq_belongs_to(self, application: Any) -> None:
        """Note whose clock it is. Raises ConfigError if it is another application's."""
        if self._is_taken:
            raise ConfigError(
                "clock belongs to another application already, and each needs one of its own:"
                " AntQ(clock=TestClock())"
            )
        self._is_taken = True
        self._application = weakref.ref(application)


class _Instants(StoppableClock):
    """The time of a clock for tests, in microseconds."""

    def __init__(self, begin: Instant) -> None:
        self._lock = threading.RLock()
        self._begin = begin
        self._since: int | None = time.monotonic_ns()

    def __call__(self) -> Instant:
        """Return its time."""
        with self._lock:
            if self._since is None:
                return self._begin
            return self._begin + (time.monotonic_ns() - self._since) // 1_000

    def stop(self) -> None:
        """Let it stand still."""
        with self._lock:
            self._begin, self._since, self.is_stopped = self(), None, True

    def after(self, microseconds: int) -> Instant:
        """Set it forward by so much; return its time."""
        with self._lock:
            return self.at(self() + microseconds)

    def at(self, moment: Instant) -> Instant:
        """Set it forward to an instant; return that."""
        with self._lock:
            now = self()
            if moment < now:
                at, was = map(instant.datetime_for_display, (moment, now))
                raise ValueError(
                    f"a TestClock is never set back: it is {was.isoformat()}, and was to be set to"
                    f" {at.isoformat()}"
                )
            if moment > instant.LATEST:
                raise ValueError("a TestClock cannot be set to a time after the year 9999")
            self._begin = moment
            if self._since is not None:
                self._since = time.monotonic_ns()
            return moment


def check_clock(clock: Any) -> TestClock | None:
    """Return the clock of an application, None: the system's. Raises TypeError."""
    if clock is None or isinstance(clock, TestClock):
        return clock
    raise TypeError(
        "clock must be a TestClock of antq_actors.testing, or None for the system's clock, got"
        f" {short_repr(clock)}"
    )


def _instant(moment: object, what: str) -> Instant:
    if not isinstance(moment, datetime):
        raise TypeError(f"{what} must be a datetime with a time zone, got {short_repr(moment)}")
    if moment.utcoffset() is None:
        raise ValueError(
            f"{what}={moment.isoformat()} has no time zone; write for example"
            " datetime(2030, 1, 1, tzinfo=UTC)"
        )
    try:
        return instant.from_datetime(moment.astimezone(UTC))
    except OverflowError:
        raise ValueError(f"{what}={moment.isoformat()} is outside of the years 1 to 9999") from None


def _microseconds(seconds: object) -> int:
    if isinstance(seconds, timedelta):
        microseconds = seconds // timedelta(microseconds=1)
    else:
        number = real(seconds)
        if number is None:
            raise TypeError(f"advance() takes seconds or a timedelta, got {short_repr(seconds)}")
        if not abs(number) < instant.LATEST:  # not finite, or NaN
            raise ValueError(f"advance() takes finite seconds, got {short_repr(seconds)}")
        microseconds = round(number * instant.SECOND)
    if microseconds < 0:
        raise ValueError(f"advance() takes no negative seconds, got {short_repr(seconds)}")
    return microseconds
