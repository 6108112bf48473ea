"""What is checked of a periodic job where it is written, and what its errors say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, Literal, TypeAlias, get_args

from antq_actors.checks import did_you_mean, exact_str, is_utf8, short_repr, to_seconds, whole
from antq_actors.errors import CronError
from antq_actors.flow.cron_expression import REBOOT, read_expression
from antq_actors.flow.cron_times import load_zone

Missed: TypeAlias = Literal["once", "skip", "all"]
"""Which of the instants that passed while nothing ran get a job."""
Overlap: TypeAlias = Literal["skip", "allow", "cancel"]
"""What happens at an instant while the last job has not ended."""

LONGEST_NAME_BYTES: Final = 400
"""Most bytes of a periodic job's name in UTF-8: it is part of keys, which LMDB limits to 511."""

SECOND: Final = 1_000_000
"""Microseconds in a second."""

_MOST_MADE_UP_FOR: Final = 1_000_000
"""Most jobs that one turn makes up for: they are stored in one transaction."""

OWN_OPTIONS: Final = (
    *("worker", "args", "name", "tz", "missed", "grace", "max_missed", "overlap", "jitter"),
)
"""The options of each entry."""

JOB_OPTIONS: Final = ("queue", "max_attempts", "timeout", "unique", "priority", "meta")
"""The options of each job, which are checked where the worker is known."""

SCHEDULES: Final = ("schedule_in", "schedule_at")
"""What other jobs take, and those of an entry do not."""


def check_entry_name(name: object) -> str:
    """Return the *name* of an entry if the store can keep it; else raise TypeError or CronError."""
    if not isinstance(name, str):
        raise TypeError(f"name of a periodic job must be a str, got {short_repr(name)}")
    if not name or "\0" in name or not is_utf8(name):
        raise CronError(
            f"name of a periodic job must not be empty, have no NUL, and be text that UTF-8 can"
            f" carry, got {short_repr(name)}"
        )
    size = len(name.encode())
    if size > LONGEST_NAME_BYTES:
        raise CronError(
            f"name of a periodic job must have at most {LONGEST_NAME_BYTES} bytes, got {size}:"
            f" {short_repr(name)}; give it a shorter one with name="
        )
    return exact_str(name)


def checked_options(  # noqa: PLR0917 - the arguments that Cron and Every share, in their order
    worker: Any,
    args: object,
    name: object,
    tz: object,
    missed: object,
    grace: object,
    max_missed: object,
    overlap: object,
    jitter: object,
    job_options: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the fields that every entry has. Raises TypeError or CronError, which name one."""
    _refuse_unknown(job_options)
    return {
        "worker": worker,
        "args": _check_args(args),
        "name": None if name is None else check_entry_name(name),
        "tz": _check_zone(tz),
        "missed": _check_choice(missed, "missed", get_args(Missed)),
        "grace": _check_seconds(grace, "grace"),
        "max_missed": _check_max_missed(max_missed),
        "overlap": _check_choice(overlap, "overlap", get_args(Overlap)),
        "jitter": _check_seconds(jitter, "jitter"),
        "options": {
            option: value.total_seconds() if isinstance(value, timedelta) else value
            for option, value in job_options.items()
        },
    }


def _refuse_unknown(job_options: Iterable[str]) -> None:
    for option in job_options:
        if option in SCHEDULES:
            raise TypeError(
                f"{option} is no option of a periodic job: its expression or period says when its"
                " jobs are made"
            )
        if option not in JOB_OPTIONS:
            hint = did_you_mean(option, (*OWN_OPTIONS, *JOB_OPTIONS))
            raise TypeError(
                f"unknown option {option!r} of a periodic job{hint}; the arguments of its jobs are"
                " given as args={…}"
            )


def check_expression(expression: object) -> str:
    """Return a cron expression if it can be read; else raise TypeError or CronError."""
    if not isinstance(expression, str):
        raise TypeError(
            f"expression must be a cron expression (str), such as '0 3 * * *', got"
            f" {short_repr(expression)}"
        )
    if expression.strip().lower() != REBOOT:
        read_expression(expression)
    return exact_str(expression)


def check_period(period: object) -> float:
    """Return the seconds of a period of 1 second or more; else raise TypeError or CronError."""
    seconds = _check_seconds(period, "period")
    if seconds < 1:
        raise CronError(f"period must be 1 second or more, got {short_repr(period)}")
    return seconds


def check_anchor(anchor: object) -> datetime | None:
    """Return an anchor if it is None or an aware datetime; else raise TypeError or CronError."""
    if anchor is None:
        return None
    if not isinstance(anchor, datetime):
        raise TypeError(
            f"anchor must be a datetime with a time zone, or None, got {short_repr(anchor)}"
        )
    if anchor.utcoffset() is None:
        raise CronError(
            f"anchor {anchor.isoformat()} has no time zone; write for example"
            " datetime(2026, 1, 1, tzinfo=UTC)"
        )
    return anchor


def _check_zone(name: object) -> str:
    """Return the option ``tz`` if it names a time zone; else raise TypeError or CronError."""
    if not isinstance(name, str):
        raise TypeError(
            f"tz must be the IANA name of a time zone, such as 'Europe/Berlin', got"
            f" {short_repr(name)}"
        )
    load_zone(name)
    return exact_str(name)


def _check_args(args: object) -> dict[str, Any]:
    if args is None:
        return {}
    if not isinstance(args, Mapping):
        raise TypeError(
            f"args must be a mapping such as {{'email': …}}, got {short_repr(args)}; give options"
            " by keyword"
        )
    return dict(args)


def _check_choice(value: object, what: str, known: tuple[str, ...]) -> str:
    choices = ", ".join(map(repr, known))
    if not isinstance(value, str):
        raise TypeError(f"{what} must be one of {choices}, got {short_repr(value)}")
    if value not in known:
        raise CronError(f"{what} must be one of {choices}, got {short_repr(value)}")
    return exact_str(value)


def _check_max_missed(value: object) -> int:
    number = whole(value)
    if number is None:
        raise TypeError(f"max_missed must be a whole number, got {short_repr(value)}")
    if number < 1:
        raise CronError(
            f"max_missed must be 1 or more, got {number}; missed='skip' makes up for none"
        )
    if number > _MOST_MADE_UP_FOR:
        raise CronError(f"max_missed must be at most {_MOST_MADE_UP_FOR:,}, got {number}")
    return number


def _check_seconds(value: object, what: str) -> float:
    """Return a duration in seconds, to the microsecond. Raises TypeError or CronError."""
    try:
        seconds = to_seconds(value, what)
    except ValueError as error:
        raise CronError(str(error)) from None
    return round(seconds * SECOND) / SECOND
